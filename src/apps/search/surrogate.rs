//! A stand-in for training: the quality of a design by a formula, its cost by the cost model.

use std::ops::RangeInclusive;

use anyhow::Result;
use crossburn_hardware::cost::{Accelerator, ArrayShape};
use crossburn_hardware::deploy::Hardware;
use crossburn_models::nas::{Block, CandidateLayer, ConvolutionalCandidate};
use crossburn_noise::{Better, Philox, path_hash};
use crossburn_training::TrainingError;
use crossburn_training::search::{Choice, Design, Judge, Judged, Measure, Space, Times};
use serde::{Deserialize, Serialize};

/// Joules to picojoules.
const PICO: f64 = 1e12;

/// A stand-in for training.
///
/// ```text
/// x         mean over all convolutions of log10(weights)
/// quality   ceiling - span exp(-(x - origin) / scale) - 0.3 / 2^weight_bits - 0.3 / 2^adc_bits - 0.01 (cell_bits - 1) + noise z
/// ```
///
/// `z` is a normal number that belongs to the design; the quality is at least that of chance and at most 1. The three terms of the hardware
/// hold where the space has these axes. The formula is made up: it saturates with size, as the quality of trained networks does, and nothing else about
/// it is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SurrogateConfig {
    /// Channels, height and width of an input.
    input: [usize; 3],
    outputs: usize,
    /// Units of a hidden linear layer.
    hidden: Option<usize>,
    /// The accelerator whose costs are counted; axes of the hardware change it.
    accelerator: String,
    ceiling: f64,
    span: f64,
    origin: f64,
    scale: f64,
    /// Standard deviation of what training would add at random.
    noise: f64,
}

impl Default for SurrogateConfig {
    fn default() -> Self {
        Self {
            input: [3, 32, 32],
            outputs: 10,
            hidden: None,
            accelerator: "isaac".to_string(),
            ceiling: 0.95,
            span: 0.35,
            origin: 3.5,
            scale: 0.8,
            noise: 0.003,
        }
    }
}

/// Sizes that a network or an array can have.
const SIZES: RangeInclusive<usize> = 1..=4096;

/// What the choices of an axis must be.
#[derive(Clone, Copy)]
enum Needs {
    /// Sizes, at one position.
    Size,
    /// Sizes, one for each layer.
    SizePerLayer,
    /// Names of blocks, at one position.
    Block,
    /// Anything, since it changes nothing.
    Nothing,
}

/// Axes that the cost model or the formula knows, and those that it may ignore.
const KNOWN: [(&str, Needs); 12] = [
    ("adc_bits", Needs::Size),
    ("array", Needs::Size),
    ("block", Needs::Block),
    ("cell_bits", Needs::Size),
    ("channels", Needs::SizePerLayer),
    ("columns_per_converter", Needs::Size),
    ("dropout", Needs::Nothing),
    ("kernels", Needs::SizePerLayer),
    ("layers", Needs::Size),
    ("norm", Needs::Nothing),
    ("pool", Needs::Nothing),
    ("weight_bits", Needs::Size),
];

fn block_of(choice: &Choice) -> Option<Block> {
    Block::of(&choice.to_string())
}

/// What is wrong with the axes of `space`, and what to do.
fn check_axes(space: &Space) -> Result<(), (String, String)> {
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
                "sizes from 1 to 4096, one choice",
            ),
            Needs::SizePerLayer => (sizes, "sizes from 1 to 4096"),
            Needs::Block => (
                axis.is_single() && axis.choices.iter().all(|own| block_of(own).is_some()),
                "conv, depthwise-separable and residual, one choice",
            ),
            Needs::Nothing => (true, ""),
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

/// The stand-in on an accelerator.
pub(super) struct Surrogate {
    config: SurrogateConfig,
    base: Accelerator,
    measures: Vec<Measure>,
}

impl Surrogate {
    /// The stand-in for the designs of `space`.
    ///
    /// # Errors
    /// An unknown accelerator, an axis that has no meaning here, and numbers that cannot be used.
    pub(super) fn new(config: &SurrogateConfig, space: &Space) -> Result<Self> {
        let refuse = |problem: String, remedy: &str| {
            anyhow::anyhow!("evaluation.kind = surrogate: {problem}; {remedy}")
        };
        check_axes(space).map_err(|(problem, remedy)| refuse(problem, &remedy))?;
        let sizes = config
            .input
            .into_iter()
            .chain([config.outputs])
            .chain(config.hidden);
        if sizes.into_iter().any(|size| !SIZES.contains(&size)) {
            return Err(refuse(
                "input, outputs or hidden is outside 1 to 4096".to_string(),
                "correct it",
            ));
        }
        let numbers = [
            config.ceiling,
            config.span,
            config.origin,
            config.scale,
            config.noise,
        ];
        if numbers.iter().any(|number| !number.is_finite()) || config.scale <= 0.0 {
            return Err(refuse(
                "a number of the formula is not finite, or scale is not above 0".to_string(),
                "correct it",
            ));
        }
        let measures = [
            ("quality", "", Better::Higher),
            ("energy", "pJ", Better::Lower),
            ("latency", "s", Better::Lower),
            ("area", "mm2", Better::Lower),
            ("weights", "", Better::Lower),
            ("activations", "", Better::Lower),
        ];
        Ok(Self {
            config: config.clone(),
            base: Hardware::preset(&config.accelerator)?.accelerator()?,
            measures: measures
                .into_iter()
                .map(|(name, unit, better)| Measure::new(name, unit, better))
                .collect(),
        })
    }

    /// How designs are measured.
    pub(super) fn words(&self) -> String {
        format!(
            "surrogate: quality by a made-up formula of the size, no training; cost by the cost model of {}",
            self.config.accelerator
        )
    }

    /// The network of a design.
    fn candidate(&self, space: &Space, design: &Design) -> ConvolutionalCandidate {
        let sizes = |name: &str| -> Vec<usize> {
            let chosen = space.chosen(design, name).unwrap_or_default();
            chosen.into_iter().filter_map(Choice::size).collect()
        };
        let (channels, kernels) = (sizes("channels"), sizes("kernels"));
        let block = space.chosen(design, "block").unwrap_or_default();
        let block = block.first().and_then(|block| block_of(block));
        // A single kernel is that of all layers.
        let layers = channels.iter().zip(kernels.iter().cycle());
        ConvolutionalCandidate {
            input: self.config.input,
            outputs: self.config.outputs,
            hidden: self.config.hidden,
            layers: layers
                .map(|(channels, kernel)| CandidateLayer {
                    channels: *channels,
                    kernel: *kernel,
                    block: block.unwrap_or_default(),
                })
                .collect(),
        }
    }

    /// The number that a design has on an axis of one position.
    fn number(space: &Space, design: &Design, name: &str) -> Option<usize> {
        space.chosen(design, name)?.first()?.size()
    }

    fn accelerator(&self, space: &Space, design: &Design) -> Result<Accelerator, String> {
        let number = |name| Self::number(space, design, name);
        let bits = |name| number(name).map(|bits| u8::try_from(bits).unwrap_or(u8::MAX));
        let mut array: ArrayShape = *self.base.array();
        let mut cost = self.base.config().clone();
        if let Some(size) = number("array") {
            (array.rows, array.columns) = (size, size);
            cost.adc.columns_per_adc = cost.adc.columns_per_adc.min(size);
        }
        array.adc_bits = bits("adc_bits").unwrap_or(array.adc_bits);
        array.weight_bits = bits("weight_bits").unwrap_or(array.weight_bits);
        array.slice_bits = bits("cell_bits").or(array.slice_bits);
        // A cell holds no more than the weight has.
        array.slice_bits = array.slice_bits.map(|slice| slice.min(array.weight_bits));
        if let Some(columns) = number("columns_per_converter") {
            cost.adc.columns_per_adc = columns;
        }
        Accelerator::new(cost, array).map_err(|error| error.to_string())
    }

    fn quality(&self, space: &Space, design: &Design, candidate: &ConvolutionalCandidate) -> f64 {
        let config = &self.config;
        let shapes = candidate.shapes();
        let convolutions = shapes
            .iter()
            .filter(|shape| shape.path.starts_with("layers."));
        let logs: Vec<f64> = convolutions
            .map(|shape| (shape.weights() as f64).log10())
            .collect();
        let mean = logs.iter().sum::<f64>() / logs.len().max(1) as f64;
        let coarse = |name| {
            Self::number(space, design, name).map_or(0.0, |bits| 0.3 / 2f64.powi(bits as i32))
        };
        let cells =
            Self::number(space, design, "cell_bits").map_or(0.0, |bits| 0.01 * (bits as f64 - 1.0));
        let mut normal = [0f32; 4];
        Philox::new(space.hash(design), path_hash("search.surrogate")).fill_normal(&mut normal);
        let quality = config.ceiling
            - config.span * (-(mean - config.origin) / config.scale).exp()
            - coarse("weight_bits")
            - coarse("adc_bits")
            - cells
            + config.noise * f64::from(normal[0]);
        quality.clamp(1.0 / config.outputs as f64, 1.0)
    }
}

impl Judge for Surrogate {
    fn measures(&self) -> &[Measure] {
        &self.measures
    }

    fn judge(&self, space: &Space, design: &Design) -> Result<Judged, TrainingError> {
        let candidate = self.candidate(space, design);
        let cost = self.accelerator(space, design).and_then(|accelerator| {
            accelerator
                .cost(&candidate.shapes())
                .map_err(|error| error.to_string())
        });
        let total = match cost {
            Ok(cost) => cost.total,
            Err(reason) => return Ok(Judged::Refused(reason)),
        };
        Ok(Judged::Measured(vec![
            self.quality(space, design, &candidate),
            total.energy_total.get() * PICO,
            total.latency_sequential.get(),
            total.area_total.get(),
            candidate.weights() as f64,
            candidate.peak_activations() as f64,
        ]))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_training::search::SpaceConfig;

    use super::*;

    fn space(text: &str) -> Space {
        Space::new(toml::from_str::<SpaceConfig>(text).unwrap()).unwrap()
    }

    const LCDA: &str = "name = \"a\"\nnetwork.channels = { times = 6, of = [32, 64, 512] }\n\
                        network.kernels = { times = 6, of = [3, 7] }";

    fn values(surrogate: &Surrogate, space: &Space, text: &str) -> Vec<f64> {
        let design = space.parse(text).unwrap();
        match surrogate.judge(space, &design).unwrap() {
            Judged::Measured(values) => values,
            Judged::Refused(reason) => panic!("{reason}"),
        }
    }

    #[test]
    fn larger_kernels_cost_energy_but_no_time() {
        let space = space(LCDA);
        let config = SurrogateConfig {
            noise: 0.0,
            ..SurrogateConfig::default()
        };
        let surrogate = Surrogate::new(&config, &space).unwrap();
        let of = |kernel: u8| {
            let kernels = vec![kernel.to_string(); 6].join(",");
            let text = format!("channels=32,32,32,32,32,32 kernels={kernels}");
            values(&surrogate, &space, &text)
        };
        let (small, large) = (of(3), of(7));
        // By hand: log10 of 864 and of five times 9216.
        let mean = (864f64.log10() + 5.0 * 9216f64.log10()) / 6.0;
        let expected = 0.95 - 0.35 * (-(mean - 3.5) / 0.8).exp();
        assert!((small[0] - expected).abs() < 1e-12, "{small:?}");
        assert!(
            large[0] > small[0] && large[1] > small[1],
            "{small:?} {large:?}"
        );
        // Rows of kernels are read in parallel: the paper's point about language models.
        assert_eq!(small[2], large[2]);
        // The energy is in picojoules: microjoules per inference are millions of them.
        assert!(small[1] > 1e6, "{small:?}");
    }

    #[test]
    fn noise_belongs_to_the_design() {
        let space = space(LCDA);
        let surrogate = Surrogate::new(&SurrogateConfig::default(), &space).unwrap();
        let text = "channels=32,64,64,64,64,512 kernels=3,3,3,3,3,7";
        let first = values(&surrogate, &space, text);
        assert_eq!(values(&surrogate, &space, text), first);
        let quiet = SurrogateConfig {
            noise: 0.0,
            ..SurrogateConfig::default()
        };
        let quiet = values(&Surrogate::new(&quiet, &space).unwrap(), &space, text);
        assert!((first[0] - quiet[0]).abs() < 6.5 * 0.003 && first[0] != quiet[0]);
        assert_eq!(first[1..], quiet[1..]);
    }

    #[test]
    fn axes_without_meaning_are_refused_by_name() {
        let odd = space(&format!("{LCDA}\nnetwork.colour = [1, 2]"));
        let message = Surrogate::new(&SurrogateConfig::default(), &odd)
            .err()
            .unwrap()
            .to_string();
        assert!(
            message.contains("axis `colour` has no meaning"),
            "{message}"
        );
        let none = space("name = \"a\"\nnetwork.kernels = [3]");
        let message = Surrogate::new(&SurrogateConfig::default(), &none)
            .err()
            .unwrap()
            .to_string();
        assert!(message.contains("axis `channels` is missing"), "{message}");
        // An axis whose choices would be ignored is refused as well.
        for (axis, part) in [
            (
                "network.block = [\"conv\", \"dense\"]",
                "axis `block` cannot",
            ),
            ("network.layers = [2, 4]", "axis `layers` changes nothing"),
            ("hardware.array = [\"large\"]", "axis `array` cannot"),
            (
                "hardware.adc_bits = { times = 2, of = [4, 8] }",
                "axis `adc_bits` cannot",
            ),
        ] {
            let odd = space(&format!("{LCDA}\n{axis}"));
            let found = Surrogate::new(&SurrogateConfig::default(), &odd);
            let message = found.err().unwrap().to_string();
            assert!(message.contains(part), "{part}: {message}");
        }
        let odd = space(&LCDA.replace("kernels = { times = 6", "kernels = { times = 2"));
        let found = Surrogate::new(&SurrogateConfig::default(), &odd);
        let message = found.err().unwrap().to_string();
        assert!(message.contains("another number of positions"), "{message}");
    }
}
