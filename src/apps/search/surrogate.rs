//! A substitute for training: the quality of a design from a formula, and its cost from the cost model.

use anyhow::Result;
use crossburn_hardware::deploy::Hardware;
use crossburn_models::nas::ConvolutionalCandidate;
use crossburn_noise::{Better, Philox, path_hash};
use crossburn_training::TrainingError;
use crossburn_training::search::{Design, Judge, Judged, Measure, Space};
use serde::{Deserialize, Serialize};

use super::axes::{Axes, number, refusal};
use super::layers::Measures;
use crate::report::DesignLayer;

/// A substitute for training.
///
/// ```text
/// x         mean over all convolutions of log10(weights)
/// quality   ceiling - span exp(-(x - origin) / scale) - 0.3 / 2^weight_bits - 0.3 / 2^adc_bits - 0.01 (cell_bits - 1) + noise z
/// ```
///
/// `z` is a normal number that depends on the design. If every layer has its own `weight_bits`, their term is the mean over layers. The quality is at least that of chance and at most 1. The three terms of the hardware apply only if the
/// space has these axes. The formula is invented. Like the quality of trained networks, it saturates with size; nothing else about it is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct SurrogateConfig {
    /// Channels, height and width of an input.
    input: [usize; 3],
    outputs: usize,
    /// Number of units of a hidden linear layer.
    hidden: Option<usize>,
    /// The accelerator whose costs are computed. Axes of the hardware change it.
    accelerator: String,
    ceiling: f64,
    span: f64,
    origin: f64,
    scale: f64,
    /// Standard deviation of the random part of the quality.
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

/// The name of this evaluation in a space file.
const KIND: &str = "surrogate";

/// The substitute, with an accelerator.
pub(super) struct Surrogate {
    config: SurrogateConfig,
    axes: Axes,
    measures: Vec<Measure>,
}

impl Surrogate {
    /// The substitute for the designs of `space`.
    ///
    /// # Errors
    /// If the accelerator is unknown, an axis has no meaning here, or numbers are unusable.
    pub(super) fn new(config: &SurrogateConfig, space: &Space) -> Result<Self> {
        let network = ConvolutionalCandidate {
            hidden: config.hidden,
            ..ConvolutionalCandidate::new(config.input, config.outputs, Vec::new())
        };
        let hardware = Hardware::preset(&config.accelerator)?;
        let axes = Axes::new(KIND, space, network, &hardware)?;
        if space.axis("device").is_some() {
            let problem = "axis `device` changes nothing".to_string();
            return Err(refusal(
                KIND,
                problem,
                "leave it out, or use evaluation.kind = training",
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
            let problem = "a number of the formula is not finite, or scale is not above 0";
            return Err(refusal(KIND, problem.to_string(), "correct it"));
        }
        let quality = Measure::new("quality", "", Better::Higher);
        Ok(Self {
            config: config.clone(),
            measures: [quality].into_iter().chain(axes.measures()).collect(),
            axes,
        })
    }

    /// How designs are measured, in words.
    pub(super) fn words(&self) -> String {
        format!(
            "surrogate: quality by a made-up formula of the size, no training; cost by the cost model of {}",
            self.config.accelerator
        )
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
            let chosen = space.chosen(design, name).unwrap_or_default();
            let bits = chosen.iter().filter_map(|choice| choice.size());
            let terms: Vec<f64> = bits.map(|bits| 0.3 / 2f64.powi(bits as i32)).collect();
            terms.iter().sum::<f64>() / terms.len().max(1) as f64
        };
        let cells =
            number(space, design, "cell_bits").map_or(0.0, |bits| 0.01 * (bits as f64 - 1.0));
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

    fn values(&self, space: &Space, design: &Design) -> Result<Vec<f64>, String> {
        let candidate = self.axes.candidate(space, design)?;
        let cost = self.axes.cost(space, design, &candidate)?;
        let quality = self.quality(space, design, &candidate);
        Ok([quality].into_iter().chain(cost.values()).collect())
    }
}

impl Judge for Surrogate {
    fn measures(&self) -> &[Measure] {
        &self.measures
    }

    fn judge(&self, space: &Space, design: &Design) -> Result<Judged, TrainingError> {
        Ok(match self.values(space, design) {
            Ok(values) => Judged::Measured(values),
            Err(reason) => Judged::Refused(reason),
        })
    }
}

impl Measures for Surrogate {
    fn layers(&self, space: &Space, design: &Design) -> Result<Vec<DesignLayer>, String> {
        self.axes.layers(space, design)
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
        // Rows of kernels are read in parallel, as the paper notes about language models' designs.
        assert_eq!(small[2], large[2]);
        // The energy is in picojoules, and microjoules per inference are millions of them.
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
    fn bits_of_layers_count_by_their_mean() {
        let quiet = SurrogateConfig {
            noise: 0.0,
            ..SurrogateConfig::default()
        };
        let with = |axis: &str, bits: &str| {
            let space = space(&format!("{LCDA}\nhardware.weight_bits = {axis}"));
            let surrogate = Surrogate::new(&quiet, &space).unwrap();
            let text = format!("channels=32,32,32,32,32,32 kernels=3,3,3,3,3,3 weight_bits={bits}");
            values(&surrogate, &space, &text)[0]
        };
        let each = with("{ times = 6, of = [4, 8] }", "4,8,8,8,8,4");
        let (coarse, fine) = (with("[4, 8]", "4"), with("[4, 8]", "8"));
        assert!((each - (2.0 * coarse + 4.0 * fine) / 6.0).abs() < 1e-12);
        assert!(coarse < fine);
    }

    #[test]
    fn a_device_changes_no_formula() {
        let odd = space(&format!("{LCDA}\nhardware.device = [\"rram1\", \"ideal\"]"));
        let found = Surrogate::new(&SurrogateConfig::default(), &odd);
        let message = found.err().unwrap().to_string();
        assert!(
            message.contains("axis `device` changes nothing"),
            "{message}"
        );
    }
}
