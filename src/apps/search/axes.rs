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

/// What the choices of an axis must be.
#[derive(Clone, Copy)]
enum Needs {
    /// Sizes, at one position.
    Size,
    /// Sizes, one for each layer.
    SizePerLayer,
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
    ("weight_bits", Needs::Size),
];

/// What designs do not determine, and the hardware that their axes change.
#[derive(Clone, Debug)]
pub(super) struct Axes {
    /// The network without its layers.
    network: ConvolutionalCandidate,
    hardware: HardwareConfig,
    /// The hardware of all designs, if the space has no axes of the hardware.
    fixed: Option<Accelerator>,
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
}

impl Cost {
    fn of(total: &TotalCost, candidate: &ConvolutionalCandidate) -> Self {
        Self {
            energy: total.energy_total.get() * PICO,
            latency: total.latency_sequential.get(),
            area: total.area_total.get(),
            weights: candidate.weights() as f64,
            activations: candidate.peak_activations() as f64,
        }
    }

    /// The measures, in the order of their values.
    pub(super) fn measures() -> [Measure; 5] {
        [
            ("energy", "pJ"),
            ("latency", "s"),
            ("area", "mm2"),
            ("weights", ""),
            ("activations", ""),
        ]
        .map(|(name, unit)| Measure::new(name, unit, Better::Lower))
    }

    pub(super) fn values(&self) -> [f64; 5] {
        [
            self.energy,
            self.latency,
            self.area,
            self.weights,
            self.activations,
        ]
    }
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
    if !kernels.is_single() && kernels.times != channels.times {
        return Err((
            "axis `kernels` has another number of positions than `channels`".to_string(),
            "use the same `times` for both, or one kernel for all layers".to_string(),
        ));
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
            "weight_bits",
        ];
        let fixed = changes.iter().all(|name| space.axis(name).is_none());
        Ok(Self {
            network,
            hardware: hardware.config().clone(),
            fixed: fixed.then_some(accelerator),
        })
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
        // A single kernel size holds for all layers.
        let layers = channels.iter().zip(kernels.iter().cycle());
        let candidate = ConvolutionalCandidate {
            layers: layers
                .map(|(channels, kernel)| CandidateLayer {
                    channels: *channels,
                    kernel: *kernel,
                    block: block.unwrap_or_default(),
                })
                .collect(),
            norm: word("norm")
                .and_then(|name| CandidateNorm::of(&name))
                .unwrap_or(open.norm),
            pool: word("pool")
                .and_then(|name| CandidatePool::of(&name))
                .unwrap_or(open.pool),
            dropout: dropout.unwrap_or(open.dropout),
            bits: match number(space, design, "weight_bits") {
                None => open.bits,
                Some(own) => Some(WeightBits::new(bits(own)).map_err(|error| error.to_string())?),
            },
            ..open.clone()
        };
        candidate.check().map_err(|error| error.to_string())?;
        Ok(candidate)
    }

    /// The hardware of a design.
    ///
    /// # Errors
    /// Why it cannot be made, in words.
    pub(super) fn hardware(&self, space: &Space, design: &Design) -> Result<Hardware, String> {
        let config = self.changed(space, design);
        let hardware = config.and_then(Hardware::try_from);
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
        if let Some(own) = number("weight_bits") {
            config.mapping.weight_bits = WeightBits::new(bits(own))?;
        }
        let slice = number("cell_bits").map(bits);
        let slice = slice.or(config.mapping.slice_bits);
        // A cell holds at most as many bits as the weight has.
        config.mapping.slice_bits = slice.map(|bits| bits.min(config.mapping.weight_bits.get()));
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
        let hardware = Hardware::try_from(self.hardware.clone());
        let hardware = hardware.map_err(|error| error.to_string())?;
        let counted = cost_on(&hardware, &candidate.shapes());
        let counted = counted.map_err(|error| error.to_string())?;
        Ok((Cost::of(&counted.total, candidate), hardware))
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
        Ok(Cost::of(&counted.total, candidate))
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
            None => cost_on(&self.hardware(space, design)?, &shapes),
        };
        counted.map_err(|error| error.to_string())
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
            channels,
            kernel: 3,
            block: Block::Residual,
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
        let hardware = axes.hardware(&space, &design(3, 3)).unwrap();
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
