//! What a recipe says of the weights of its network.

use crossburn_hardware::deploy::Fidelity;
use crossburn_hardware::quantize::Calibration;
use crossburn_hardware::{Quantization, WeightBits, WeightPlan};
use crossburn_models::{Activation, Network};
use crossburn_noise::{Granularity, PathPattern, Placement};
use serde::{Deserialize, Serialize};

use crate::{Deployment, Method, Recipe, TrainingError};

/// Which weights lie on arrays, and the widths of single ones: the table `[arrays]` of a recipe.
///
/// ```
/// use crossburn_training::ArraysConfig;
///
/// let arrays: ArraysConfig = toml::from_str(r#"
///     digital = ["conv1.weight"]
///     bits = [{ path = "fc*.weight", bits = 3 }, { path = "fc3.weight" }]
/// "#)?;
/// assert_eq!(arrays.digital[0].as_str(), "conv1.weight");
/// assert_eq!(arrays.bits[1].bits, None);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArraysConfig {
    /// Matrix weights that stay digital: they do not deviate.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub digital: Vec<PathPattern>,
    /// Weights that lie on arrays although the network proposes otherwise, such as an embedding. Where a path is in both
    /// lists, it is digital.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<PathPattern>,
    /// Widths in place of `model.bits` and of widths that the model gives to single layers; the last whose path matches holds.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub bits: Vec<BitsOfPath>,
}

/// The width of some weights.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BitsOfPath {
    /// Paths of the weights.
    pub path: PathPattern,
    /// Their width; full precision where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

impl ArraysConfig {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// How grids are chosen: the table `[quantization]` of a recipe. Widths stand in `model.bits` and `arrays.bits`.
///
/// ```
/// use crossburn_training::{ActivationScale, QuantizationConfig};
///
/// let quantization: QuantizationConfig = toml::from_str(r#"
///     granularity = "per-channel"
///     calibration = { kind = "learned" }
///     activation_scale = "power-of-two"
/// "#)?;
/// assert_eq!(quantization.activation_scale, ActivationScale::PowerOfTwo);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct QuantizationConfig {
    /// What of a weight shares a scale.
    pub granularity: Granularity,
    /// How that scale is chosen.
    pub calibration: Calibration,
    /// Which distances the levels of activations may have.
    pub activation_scale: ActivationScale,
}

/// Which distances the levels of activations may have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ActivationScale {
    /// Any.
    #[default]
    Free,
    /// Powers of two: rescaling is a shift.
    PowerOfTwo,
}

impl QuantizationConfig {
    /// Whether it says nothing.
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// `network` with the activations that the table asks for: those of a network that [`train`](crate::train) is given by a program.
    /// [`Recipe::build`] has done it already.
    pub fn activations<N: Network>(&self, network: N) -> N {
        match self.activation_scale {
            ActivationScale::Free => network,
            ActivationScale::PowerOfTwo => {
                network.with_activations(&Activation::with_power_of_two_scale)
            }
        }
    }

    /// A symmetric grid of `bits`.
    fn of(&self, bits: WeightBits) -> Quantization {
        Quantization {
            granularity: self.granularity,
            calibration: self.calibration,
            ..Quantization::from(bits)
        }
    }
}

impl Recipe {
    /// Which weights of a network of type `N` lie on arrays and how they are pruned and quantized: what the network proposes, and what
    /// `[arrays]`, `[quantization]` and `[pruning]` change. The pruning is that at its end.
    pub fn weights<N: Network>(&self) -> WeightPlan {
        let proposed = N::DIGITAL.iter().copied().map(PathPattern::new);
        let placement = Placement::default()
            .proposed_digital(proposed)
            .on_array(self.arrays.also.iter().cloned())
            .digital(self.arrays.digital.iter().cloned());
        let grids = &self.quantization;
        let whole = self.model.bits().map(|bits| grids.of(bits));
        let plan = WeightPlan::from(whole).with_placement(placement);
        let of_model = self.model.bits_by_path().into_iter();
        let plan = of_model.fold(plan, |plan, (path, bits)| {
            plan.with_quantization(PathPattern::new(path), Some(grids.of(bits)))
        });
        let widths = self.arrays.bits.iter();
        let plan = widths.fold(plan, |plan, of_path| {
            let quantization = of_path.bits.map(|bits| grids.of(bits));
            plan.with_quantization(of_path.path.clone(), quantization)
        });
        let Some(pruning) = &self.pruning else {
            return plan;
        };
        let plan = plan.with_pruning(PathPattern::new("*"), Some(pruning.pattern));
        let patterns = pruning.paths.iter();
        patterns.fold(plan, |plan, of_path| {
            plan.with_pruning(of_path.path.clone(), of_path.pattern)
        })
    }

    /// Refuses what `[quantization]` and `[pruning]` cannot be, alone or with the rest.
    pub(crate) fn check_compression(&self) -> Result<(), TrainingError> {
        let learns = matches!(self.quantization.calibration, Calibration::Learned { .. });
        let widths = self.arrays.bits.iter().filter_map(|of_path| of_path.bits);
        let of_model = self.model.bits_by_path().into_iter().map(|(_, bits)| bits);
        for bits in self.model.bits().into_iter().chain(of_model).chain(widths) {
            self.quantization.of(bits).check()?;
        }
        self.quantization.calibration.check()?;
        if let Some(pruning) = &self.pruning {
            pruning.check()?;
        }
        if learns && !self.method.learns_weight_scales() {
            return Err(TrainingError::setting(
                "method.kind",
                self.method.name(),
                "noise-injection, orthogonality or distillation with quantization.calibration.kind = learned",
            ));
        }
        if self.pruning.is_some() && matches!(self.method, Method::Trice(_)) {
            return Err(TrainingError::setting(
                "method.kind",
                self.method.name(),
                "another method with [pruning]: the copies of this one would prune different weights",
            ));
        }
        if (learns || self.pruning.is_some()) && self.training.deployment == Deployment::MeanFolded
        {
            return Err(TrainingError::setting(
                "training.deployment",
                "mean-folded",
                "as-trained with learned scales or [pruning]: what is added to all weights leaves their levels and zeros",
            ));
        }
        let arrays = self.hardware.as_ref().map(|hardware| hardware.fidelity);
        if learns && arrays == Some(Fidelity::Array) {
            return Err(TrainingError::setting(
                "quantization.calibration.kind",
                "learned",
                "min-max, percentile or mse with hardware.fidelity = array, whose arrays pass no gradient to the scales",
            ));
        }
        Ok(())
    }

    /// Refuses a path of `[arrays]` or `[pruning]` at which `network` has no weight.
    ///
    /// # Errors
    /// [`TrainingError::Arrays`], naming it.
    pub fn check_weights<N: Network>(&self, network: &N) -> Result<(), TrainingError> {
        self.weights::<N>()
            .check(network)
            .map_err(TrainingError::Arrays)
    }
}
