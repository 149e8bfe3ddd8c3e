//! What a recipe says of the weights of its network.

use crossburn_hardware::{Quantization, WeightBits, WeightPlan};
use crossburn_models::Network;
use crossburn_noise::{PathPattern, Placement};
use serde::{Deserialize, Serialize};

use crate::{Recipe, TrainingError};

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
    /// Widths in place of `model.bits`; the last whose path matches holds.
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

impl Recipe {
    /// Which weights of a network of type `N` lie on arrays and how they are quantized: what the network proposes, and what
    /// `[arrays]` changes.
    pub fn weights<N: Network>(&self) -> WeightPlan {
        let proposed = N::DIGITAL.iter().copied().map(PathPattern::new);
        let placement = Placement::default()
            .proposed_digital(proposed)
            .on_array(self.arrays.also.iter().cloned())
            .digital(self.arrays.digital.iter().cloned());
        let bits = self.model.bits().map(Quantization::from);
        let plan = WeightPlan::from(bits).with_placement(placement);
        self.arrays.bits.iter().fold(plan, |plan, of_path| {
            plan.with_bits(of_path.path.clone(), of_path.bits)
        })
    }

    /// Refuses a path of `[arrays]` at which `network` has no weight.
    ///
    /// # Errors
    /// [`TrainingError::Arrays`], naming it.
    pub fn check_weights<N: Network>(&self, network: &N) -> Result<(), TrainingError> {
        self.weights::<N>()
            .check(network)
            .map_err(TrainingError::Arrays)
    }
}
