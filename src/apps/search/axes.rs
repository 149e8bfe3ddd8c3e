//! The meaning of the axes of a space, for a convolutional network and its arrays.

use std::ops::RangeInclusive;

use anyhow::{Result, anyhow};
use crossburn_hardware::cost::{Accelerator, CostReport, LayerShape, TotalCost};
use crossburn_hardware::deploy::{Hardware, HardwareConfig};
use crossburn_hardware::{HardwareError, MemoryDevice, WeightBits};
use crossburn_models::nas::{
    Block, CandidateLayer, CandidateNorm, CandidatePool, ConvolutionalCandidate,
};
use crossburn_noise::Better;
use crossburn_training::search::{Choice, Design, Measure, Space, Times};

use super::layers::layers_of;
use crate::report::DesignLayer;

/// Joules to picojoules.
pub(super) const PICO: f64 = 1e12;
/// Sizes that a network or an array may have.
const SIZES: RangeInclusive<usize> = 1..=4096;

/// Bits that a weight on cells may have, sign included.
const BITS: RangeInclusive<usize> = 2..=16;

/// What the choices of an axis must be.
#[derive(Clone, Copy)]
enum Needs {
    /// Sizes, at one position.
    Size,
    /// Sizes, one for each layer.
    SizePerLayer,
    /// Bits of weights, at one position or one for each layer.
    Bits,
    /// Words or numbers that a function accepts, at one position, and what they are in words.
    Known(fn(&Choice) -> bool, &'static str),
}

const KNOWN: [(&str, Needs); 13] = [
    ("adc_bits", Needs::Size),
    ("array", Needs::Size),
    (
        "block",
        Needs::Known(
            |choice| Block::of(&choice.to_string()).is_some(),
            "conv, depthwise-separable and residual",
        ),
    ),
    ("cell_bits", Needs::Size),
    ("channels", Needs::SizePerLayer),
    ("columns_per_converter", Needs::Size),
    (
        "device",
        Needs::Known(
            |choice| MemoryDevice::preset(&choice.to_string()).is_ok(),
            "names of devices, as `crossburn devices` lists them",
        ),
    ),
    (
        "dropout",
        Needs::Known(
            |choice| {
                choice
                    .number()
                    .is_some_and(|share| (0.0..1.0).contains(&share))
            },
            "shares from 0 to below 1",
        ),
    ),
    ("kernels", Needs::SizePerLayer),
    ("layers", Needs::Size),
    (
        "norm",
        Needs::Known(
            |choice| CandidateNorm::of(&choice.to_string()).is_some(),
            "none, batch and group",
        ),
    ),
    (
        "pool",
        Needs::Known(
            |choice| CandidatePool::of(&choice.to_string()).is_some(),
            "max, avg and stride",
        ),
    ),
    (WEIGHT_BITS, Needs::Bits),
];

/// The axis with the bits of weights.
const WEIGHT_BITS: &str = "weight_bits";

/// What designs do not determine, and the hardware that their axes change.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    /// The network without its layers.
    network: ConvolutionalCandidate,
    hardware: HardwareConfig,
    /// The hardware of all designs, if the space has no axes of the hardware.
    fixed: Option<Accelerator>,
    bits_by_layer: bool,
}

/// The cost of a design.
pub(super) struct Cost {
    /// In pJ per input.
    energy: f64,
    /// In seconds per input.
    latency: f64,
    /// In mm².
    area: f64,
    weights: f64,
    activations: f64,
    /// Bytes of the weights, if the layers of a space may have different bits: their number does not tell their size then.
    storage: Option<f64>,
}

impl Cost {
    pub(super) fn values(&self) -> Vec<f64> {
        let values = [
            self.energy,
            self.latency,
            self.area,
            self.weights,
            self.activations,
        ];
        values.into_iter().chain(self.storage).collect()
    }
}

/// Whether `space` chooses the bits of weights layer by layer.
fn has_bits_by_layer(space: &Space) -> bool {
    space
        .axis(WEIGHT_BITS)
        .is_some_and(|axis| !axis.is_single())
}

/// A problem with the axes of `space`, and its remedy.
fn problem(space: &Space) -> Result<(), (String, String)> {
    let is_size = |choice: &Choice| choice.size().is_some_and(|size| SIZES.contains(&size));
    for axis in space.axes() {
        let name = &axis.name;
        let Some((_, needs)) = KNOWN.iter().find(|(known, _)| known == name) else {
            let known = KNOWN.map(|(known, _)| known).join(", ");
            return Err((
                format!("axis `{name}` has no meaning"),
                format!("use the axes {known}"),
            ));
        };
        let sizes = axis.choices.iter().all(is_size);
        let (fits, wanted) = match needs {
            Needs::Size => (
                sizes && axis.is_single(),
                "sizes from 1 to 4096, one choice".to_string(),
            ),
            Needs::SizePerLayer => (sizes, "sizes from 1 to 4096".to_string()),
            Needs::Bits => (
                axis.choices
                    .iter()
                    .all(|choice| choice.size().is_some_and(|bits| BITS.contains(&bits))),
                "whole numbers of bits from 2 to 16".to_string(),
            ),
            Needs::Known(knows, words) => (
                axis.is_single() && axis.choices.iter().all(knows),
                format!("{words}, one choice"),
            ),
        };
        if !fits {
            return Err((
                format!("axis `{name}` cannot be used as it is"),
                format!("give it {wanted}"),
            ));
        }
    }
    let missing = |name: &str| {
        (
            format!("axis `{name}` is missing"),
            format!("add network.{name}"),
        )
    };
    let find = |name: &str| space.axis(name).ok_or_else(|| missing(name));
    let (channels, kernels) = (find("channels")?, find("kernels")?);
    for axis in [Some(kernels), space.axis(WEIGHT_BITS)]
        .into_iter()
        .flatten()
    {
        if !axis.is_single() && axis.times != channels.times {
            return Err((
                format!(
                    "axis `{}` has another number of positions than `channels`",
                    axis.name
                ),
                "use the same `times` for both, or one choice for all layers".to_string(),
            ));
        }
    }
    if space.axis("layers").is_some() && channels.times != Times::Axis("layers".to_string()) {
        return Err((
            "axis `layers` changes nothing".to_string(),
            "set times = \"layers\" for `channels`".to_string(),
        ));
    }
    Ok(())
}

/// The error of an evaluation of this kind.
pub(super) fn refusal(kind: &str, problem: String, remedy: &str) -> anyhow::Error {
    anyhow!("evaluation.kind = {kind}: {problem}; {remedy}")
}

/// The number that a design has on an axis of one position.
pub(super) fn number(space: &Space, design: &Design, name: &str) -> Option<usize> {
    space.chosen(design, name)?.first()?.size()
}

/// The word that a design has on an axis of one position.
fn word(space: &Space, design: &Design, name: &str) -> Option<String> {
    Some(space.chosen(design, name)?.first()?.to_string())
}

/// A number of bits. If it is too large, the function that takes it refuses it.
fn bits(number: usize) -> u8 {
    u8::try_from(number).unwrap_or(u8::MAX)
}

impl Axes {
    /// The axes of `space`, for an evaluation of the kind `kind`. `network` gives what designs do not determine; the axes change `hardware`.
    ///
    /// # Errors
    /// If an axis has no meaning, a size is impossible for a network, or the hardware has no costs.
    pub(super) fn new(
        kind: &str,
        space: &Space,
        network: ConvolutionalCandidate,
        hardware: &Hardware,
    ) -> Result<Self> {
        problem(space).map_err(|(problem, remedy)| refusal(kind, problem, &remedy))?;
        let sizes = network.input.into_iter().chain([network.outputs]);
        if sizes
            .chain(network.hidden)
            .any(|size| !SIZES.contains(&size))
        {
            let problem = "input, outputs or hidden is outside 1 to 4096".to_string();
            return Err(refusal(kind, problem, "correct it"));
        }
        let accelerator = hardware.accelerator()?;
        let changes = [
            "adc_bits",
            "array",
            "cell_bits",
            "columns_per_converter",
            "device",
            WEIGHT_BITS,
        ];
        let fixed = changes.iter().all(|name| space.axis(name).is_none());
        Ok(Self {
            network,
            hardware: hardware.config().clone(),
            fixed: fixed.then_some(accelerator),
            bits_by_layer: has_bits_by_layer(space),
        })
    }

    /// The measures of costs, in the order of their values.
    pub(super) fn measures(&self) -> Vec<Measure> {
        let storage = self.bits_by_layer.then_some(("storage", "B"));
        let measures = [
            ("energy", "pJ"),
            ("latency", "s"),
            ("area", "mm2"),
            ("weights", ""),
            ("activations", ""),
        ];
        let measures = measures.into_iter().chain(storage);
        measures
            .map(|(name, unit)| Measure::new(name, unit, Better::Lower))
            .collect()
    }

    fn cost_of(&self, total: &TotalCost, candidate: &ConvolutionalCandidate) -> Cost {
        Cost {
            energy: total.energy_total.get() * PICO,
            latency: total.latency_sequential.get(),
            area: total.area_total.get(),
            weights: candidate.weights() as f64,
            activations: candidate.peak_activations() as f64,
            storage: self.bits_by_layer.then(|| candidate.weight_bytes() as f64),
        }
    }

    /// The network of a design.
    ///
    /// # Errors
    /// Why it cannot be built, in words.
    pub(super) fn candidate(
        &self,
        space: &Space,
        design: &Design,
    ) -> Result<ConvolutionalCandidate, String> {
        let sizes = |name: &str| -> Vec<usize> {
            let chosen = space.chosen(design, name).unwrap_or_default();
            chosen.into_iter().filter_map(Choice::size).collect()
        };
        let word = |name| word(space, design, name);
        let (channels, kernels) = (sizes("channels"), sizes("kernels"));
        let block = word("block").and_then(|name| Block::of(&name));
        let dropout = space.chosen(design, "dropout").unwrap_or_default();
        let dropout = dropout.first().and_then(|share| share.number());
        let open = &self.network;
        let width = |own: usize| WeightBits::new(bits(own)).map_err(|error| error.to_string());
        let widths = sizes(WEIGHT_BITS);
        let mut layers = Vec::with_capacity(channels.len());
        // A single kernel size holds for all layers.
        for (number, (channels, kernel)) in channels.iter().zip(kernels.iter().cycle()).enumerate()
        {
            let own = widths.get(number).filter(|_| self.bits_by_layer);
            layers.push(CandidateLayer {
                block: block.unwrap_or_default(),
                bits: own.map(|own| width(*own)).transpose()?,
                ..CandidateLayer::new(*channels, *kernel)
            });
        }
        let candidate = ConvolutionalCandidate {
            layers,
            norm: word("norm")
                .and_then(|name| CandidateNorm::of(&name))
                .unwrap_or(open.norm),
            pool: word("pool")
                .and_then(|name| CandidatePool::of(&name))
                .unwrap_or(open.pool),
            dropout: dropout.unwrap_or(open.dropout),
            bits: match number(space, design, WEIGHT_BITS).filter(|_| !self.bits_by_layer) {
                None => open.bits,
                Some(own) => Some(width(own)?),
            },
            ..open.clone()
        };
        candidate.check().map_err(|error| error.to_string())?;
        Ok(candidate)
    }

    /// The hardware of a design with this network.
    ///
    /// # Errors
    /// Why it cannot be made, in words.
    pub(super) fn hardware(
        &self,
        space: &Space,
        design: &Design,
        candidate: &ConvolutionalCandidate,
    ) -> Result<Hardware, String> {
        let config = self.changed(space, design);
        let hardware = config.and_then(|config| hardware_for(config, candidate));
        hardware.map_err(|error| error.to_string())
    }

    fn changed(&self, space: &Space, design: &Design) -> Result<HardwareConfig, HardwareError> {
        let number = |name| number(space, design, name);
        let mut config = self.hardware.clone();
        if let Some(name) = word(space, design, "device") {
            config.device = MemoryDevice::preset(&name)?;
        }
        if let Some(size) = number("array") {
            (config.array.rows, config.array.columns) = (size, size);
        }
        if let Some(own) = number(WEIGHT_BITS).filter(|_| !self.bits_by_layer) {
            config.mapping.weight_bits = WeightBits::new(bits(own))?;
        }
        if let Some(cell) = number("cell_bits") {
            config.mapping.slice_bits = Some(bits(cell));
        }
        config.mapping = config.mapping.with_fitting_cells();
        let (size, shared) = (config.array.columns, number("columns_per_converter"));
        let shares = |usual: usize| shared.unwrap_or(usual.min(size));
        if let Some(adc) = &mut config.array.adc {
            adc.bits = number("adc_bits").map_or(adc.bits, bits);
            adc.columns_per_converter = shares(adc.columns_per_converter);
        }
        if let Some(cost) = &mut config.cost {
            cost.adc.columns_per_adc = shares(cost.adc.columns_per_adc);
        }
        Ok(config)
    }

    /// What designs do not determine of their networks. It has no layers.
    pub(super) fn open_network(&self) -> &ConvolutionalCandidate {
        &self.network
    }

    /// The cost of a network on the fixed hardware, and that hardware.
    ///
    /// # Errors
    /// Why it cannot be built, in words.
    pub(super) fn cost_on_fixed(
        &self,
        candidate: &ConvolutionalCandidate,
    ) -> Result<(Cost, Hardware), String> {
        candidate.check().map_err(|error| error.to_string())?;
        let hardware = hardware_for(self.hardware.clone(), candidate);
        let hardware = hardware.map_err(|error| error.to_string())?;
        let counted = cost_on(&hardware, &candidate.shapes());
        let counted = counted.map_err(|error| error.to_string())?;
        Ok((self.cost_of(&counted.total, candidate), hardware))
    }

    /// The cost of a design with this network.
    ///
    /// # Errors
    /// Why it cannot be built, in words.
    pub(super) fn cost(
        &self,
        space: &Space,
        design: &Design,
        candidate: &ConvolutionalCandidate,
    ) -> Result<Cost, String> {
        let counted = self.counted(space, design, candidate)?;
        Ok(self.cost_of(&counted.total, candidate))
    }

    /// The layers of a design.
    ///
    /// # Errors
    /// Why it cannot be built, in words.
    pub(super) fn layers(
        &self,
        space: &Space,
        design: &Design,
    ) -> Result<Vec<DesignLayer>, String> {
        let candidate = self.candidate(space, design)?;
        let counted = self.counted(space, design, &candidate)?;
        Ok(layers_of(&candidate.shapes(), &counted))
    }

    fn counted(
        &self,
        space: &Space,
        design: &Design,
        candidate: &ConvolutionalCandidate,
    ) -> Result<CostReport, String> {
        let shapes = candidate.shapes();
        let counted = match &self.fixed {
            Some(accelerator) => accelerator.cost(&shapes),
            None => cost_on(&self.hardware(space, design, candidate)?, &shapes),
        };
        counted.map_err(|error| error.to_string())
    }
}

/// The hardware of `config`, which stores the layers of `candidate` in their own bits where they have any.
fn hardware_for(
    config: HardwareConfig,
    candidate: &ConvolutionalCandidate,
) -> Result<Hardware, HardwareError> {
    let (hardware, bits) = (Hardware::try_from(config)?, candidate.bits_by_path());
    match bits.is_empty() {
        true => Ok(hardware),
        false => hardware.with_weight_bits(bits),
    }
}

fn cost_on(hardware: &Hardware, shapes: &[LayerShape]) -> Result<CostReport, HardwareError> {
    hardware.accelerator()?.cost(shapes)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_hardware::cost::ArrayShape;
    use crossburn_training::search::{Draws, SpaceConfig};

    use super::*;

    const LCDA: &str = "name = \"a\"\nnetwork.channels = { times = 6, of = [32, 64, 512] }\n\
                        network.kernels = { times = 6, of = [3, 7] }";

    fn space(text: &str) -> Space {
        Space::new(toml::from_str::<SpaceConfig>(text).unwrap()).unwrap()
    }

    fn axes(space: &Space) -> Result<Axes> {
        let network = ConvolutionalCandidate::new([3, 32, 32], 10, Vec::new());
        Axes::new("training", space, network, &Hardware::preset("isaac")?)
    }

    #[test]
    fn axes_without_meaning_are_refused_by_name() {
        let odd = space(&format!("{LCDA}\nnetwork.colour = [1, 2]"));
        let message = axes(&odd).unwrap_err().to_string();
        assert!(
            message.contains("evaluation.kind = training: axis `colour` has no meaning"),
            "{message}"
        );
        let none = space("name = \"a\"\nnetwork.kernels = [3]");
        let message = axes(&none).unwrap_err().to_string();
        assert!(message.contains("axis `channels` is missing"), "{message}");
        // An axis whose choices would have no effect is refused too.
        for (axis, part) in [
            (
                "network.block = [\"conv\", \"dense\"]",
                "axis `block` cannot",
            ),
            ("network.norm = [\"layer\"]", "axis `norm` cannot"),
            ("network.dropout = [0, 1]", "axis `dropout` cannot"),
            ("network.layers = [2, 4]", "axis `layers` changes nothing"),
            ("hardware.array = [\"large\"]", "axis `array` cannot"),
            ("hardware.device = [\"rram9\"]", "give it names of devices"),
            (
                "hardware.adc_bits = { times = 2, of = [4, 8] }",
                "axis `adc_bits` cannot",
            ),
            (
                "hardware.weight_bits = { times = 6, of = [4, 17] }",
                "axis `weight_bits` cannot be used as it is; give it whole numbers of bits from 2 to 16",
            ),
            ("hardware.weight_bits = [1, 4]", "axis `weight_bits` cannot"),
            (
                "hardware.weight_bits = { times = 2, of = [4, 8] }",
                "axis `weight_bits` has another number of positions than `channels`",
            ),
        ] {
            let odd = space(&format!("{LCDA}\n{axis}"));
            let message = axes(&odd).unwrap_err().to_string();
            assert!(message.contains(part), "{part}: {message}");
        }
        let odd = space(&LCDA.replace("kernels = { times = 6", "kernels = { times = 2"));
        let message = axes(&odd).unwrap_err().to_string();
        assert!(message.contains("another number of positions"), "{message}");
    }

    #[test]
    fn a_design_says_what_network_and_hardware_are() {
        let text = "name = \"a\"\nnetwork.channels = { times = 2, of = [4, 8] }\nnetwork.kernels = [3, 4]\n\
                    network.block = [\"residual\"]\nnetwork.norm = [\"group\"]\nnetwork.dropout = [0.1]\n\
                    network.pool = [\"stride\"]\nhardware.array = [64]\nhardware.adc_bits = [5]\n\
                    hardware.cell_bits = [4]\nhardware.weight_bits = [3, 6]\nhardware.device = [\"ideal\"]\n\
                    hardware.columns_per_converter = [16]";
        let space = space(text);
        let axes = axes(&space).unwrap();
        let design = |kernels: u8, bits: u8| {
            let text = format!(
                "channels=4,8 kernels={kernels} block=residual norm=group dropout=0.1 pool=stride array=64 adc_bits=5 cell_bits=4 weight_bits={bits} device=ideal columns_per_converter=16"
            );
            space.parse(&text).unwrap()
        };
        let candidate = axes.candidate(&space, &design(3, 6)).unwrap();
        let layer = |channels| CandidateLayer {
            block: Block::Residual,
            ..CandidateLayer::new(channels, 3)
        };
        let expected = ConvolutionalCandidate {
            norm: CandidateNorm::Group,
            dropout: 0.1,
            pool: CandidatePool::Stride,
            bits: Some(WeightBits::new(6).unwrap()),
            ..ConvolutionalCandidate::new([3, 32, 32], 10, vec![layer(4), layer(8)])
        };
        assert_eq!(candidate, expected);
        let even = axes.candidate(&space, &design(4, 6)).unwrap_err();
        assert!(even.contains("layers.kernel = 4 is even"), "{even}");
        let narrow = axes.candidate(&space, &design(3, 3)).unwrap();
        let hardware = axes.hardware(&space, &design(3, 3), &narrow).unwrap();
        let config = hardware.config();
        assert_eq!((config.array.rows, config.array.columns), (64, 64));
        let adc = config.array.adc.unwrap();
        assert_eq!((adc.bits, adc.columns_per_converter), (5, 16));
        // A cell for 4 bits holds the 3 bits of the weight.
        let mapping = &config.mapping;
        assert_eq!(
            (mapping.weight_bits.get(), mapping.slice_bits),
            (3, Some(3))
        );
        // The cells of a pair hold no sign.
        let papers = Hardware::preset("papers").unwrap();
        let open = ConvolutionalCandidate::new([3, 32, 32], 10, Vec::new());
        let pairs = Axes::new("training", &space, open, &papers).unwrap();
        let hardware = pairs.hardware(&space, &design(3, 3), &narrow).unwrap();
        assert_eq!(hardware.config().mapping.slice_bits, Some(2));
    }

    /// Every layer is trained, stored and counted in its own bits.
    #[test]
    fn layers_have_bits_of_their_own() {
        let text = "name = \"a\"\nnetwork.layers = [1, 2]\n\
                    network.channels = { times = \"layers\", of = [4, 8] }\nnetwork.kernels = [3]\n\
                    network.block = [\"depthwise-separable\"]\n\
                    hardware.weight_bits = { times = \"layers\", of = [2, 4, 8] }";
        let space = space(text);
        let network = ConvolutionalCandidate {
            bits: Some(WeightBits::EIGHT),
            ..ConvolutionalCandidate::new([3, 8, 8], 10, Vec::new())
        };
        let papers = Hardware::preset("papers").unwrap();
        let axes = Axes::new("training", &space, network, &papers).unwrap();
        let names: Vec<String> = axes
            .measures()
            .into_iter()
            .map(|measure| measure.name)
            .collect();
        assert_eq!(names[4..], ["activations", "storage"]);
        let measured = |text: &str| {
            let design = space.parse(text).unwrap();
            let candidate = axes.candidate(&space, &design).unwrap();
            let cost = axes.cost(&space, &design, &candidate).unwrap().values();
            let hardware = axes.hardware(&space, &design, &candidate).unwrap();
            (candidate, cost, hardware)
        };
        let rest = "block=depthwise-separable";
        let (candidate, cost, hardware) = measured(&format!(
            "layers=2 channels=4,8 kernels=3 {rest} weight_bits=2,4"
        ));
        let widths: Vec<Option<u8>> = candidate
            .layers
            .iter()
            .map(|layer| layer.bits.map(WeightBits::get))
            .collect();
        assert_eq!(widths, [Some(2), Some(4)]);
        // Activations and the last linear layer keep the bits of the network.
        assert_eq!(candidate.bits, Some(WeightBits::EIGHT));
        // 27 and 12 weights of 2 bits, 36 and 32 of 4, and 8 · 4 · 4 · 10 of 8.
        assert_eq!(
            cost[5],
            f64::from(u32::div_ceil(39 * 2 + 68 * 4 + 1280 * 8, 8))
        );
        let held: Vec<(&str, u8)> = hardware
            .config()
            .layers
            .iter()
            .map(|layer| {
                (
                    layer.path.as_str(),
                    layer.mapping.as_ref().unwrap().weight_bits.get(),
                )
            })
            .collect();
        let expected = [
            ("layers.0.first.conv.weight", 2),
            ("layers.0.second.conv.weight", 2),
            ("layers.1.first.conv.weight", 4),
            ("layers.1.second.conv.weight", 4),
        ];
        assert_eq!(held, expected);
        // Cells of two bits: 2 bits are one of them and a sign, 4 bits are two, 8 bits are four.
        let shapes = candidate.shapes();
        let counted = hardware.accelerator().unwrap().cost(&shapes).unwrap();
        for (layer, (shape, cells)) in counted
            .layers
            .iter()
            .zip(shapes.iter().zip([2, 2, 4, 4, 8]))
        {
            assert_eq!(
                layer.programming.cells,
                cells * shape.weights(),
                "{}",
                layer.path
            );
        }
        let (_, wide, _) = measured(&format!(
            "layers=2 channels=4,8 kernels=3 {rest} weight_bits=8,8"
        ));
        assert!(wide[0] > cost[0] && wide[5] > cost[5], "{wide:?} {cost:?}");
        assert_eq!(wide[3], cost[3]);
        let (alone, ..) = measured(&format!(
            "layers=1 channels=4 kernels=3 {rest} weight_bits=8"
        ));
        assert_eq!(alone.layers[0].bits, Some(WeightBits::EIGHT));
    }

    /// The costs of a design are those of an accelerator with the same numbers, built directly.
    #[test]
    fn costs_are_those_of_the_chosen_arrays() {
        let text = format!(
            "{LCDA}\nhardware.array = [64, 128, 256]\nhardware.adc_bits = [4, 6]\n\
             hardware.cell_bits = [1, 2, 4]\nhardware.weight_bits = [4, 8]"
        );
        let space = space(&text);
        let axes = axes(&space).unwrap();
        let isaac = Hardware::preset("isaac").unwrap().accelerator().unwrap();
        let mut draws = Draws::new(3, "costs");
        for _ in 0..20 {
            let design = space.draw(&mut draws).unwrap();
            let of = |name| number(&space, &design, name).unwrap();
            let mut cost = isaac.config().clone();
            cost.adc.columns_per_adc = cost.adc.columns_per_adc.min(of("array"));
            let array = ArrayShape {
                rows: of("array"),
                columns: of("array"),
                adc_bits: of("adc_bits") as u8,
                weight_bits: of("weight_bits") as u8,
                slice_bits: Some(of("cell_bits") as u8),
                ..*isaac.array()
            };
            let candidate = axes.candidate(&space, &design).unwrap();
            let expected = Accelerator::new(cost, array)
                .unwrap()
                .cost(&candidate.shapes())
                .unwrap()
                .total;
            let found = axes.cost(&space, &design, &candidate).unwrap().values();
            assert_eq!(found[0], expected.energy_total.get() * 1e12);
            assert_eq!(found[1], expected.latency_sequential.get());
            assert_eq!(found[2], expected.area_total.get());
            assert_eq!(found[3], candidate.weights() as f64);
        }
    }
}
