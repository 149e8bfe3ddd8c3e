//! The methods that are compared with a real language model.

use serde::Serialize;

use super::super::super::Arm;
use super::super::arms::{FULL, NOISE_AWARE, ONE, UNMITIGATED};

/// The language model as it is.
pub(super) const NO_PROMPT: &str = "no prompt";

/// Which prompts there are, and how one of them is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "prompts")]
pub(super) enum Prompts {
    None,
    /// One for all texts.
    One,
    /// One for each profile.
    OfProfiles {
        /// Whether prompts and coder are trained under noise.
        noise: bool,
        /// Whether averages are searched as well.
        scaled: bool,
    },
}

/// One method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct ModelArm {
    name: &'static str,
    #[serde(flatten)]
    pub(super) prompts: Prompts,
}

impl ModelArm {
    /// Whether prompts and coder are trained under noise.
    pub(super) fn noise(&self) -> bool {
        matches!(self.prompts, Prompts::OfProfiles { noise: true, .. })
    }

    /// The name of the file of what it learns. Methods that differ in their search alone share it.
    pub(super) fn file(&self) -> Option<&'static str> {
        match self.prompts {
            Prompts::None => None,
            Prompts::One => Some("one.safetensors"),
            Prompts::OfProfiles { noise: true, .. } => Some("noise-aware.safetensors"),
            Prompts::OfProfiles { noise: false, .. } => Some("plain.safetensors"),
        }
    }
}

impl Arm for ModelArm {
    fn name(&self) -> &str {
        self.name
    }

    fn family(&self) -> &str {
        self.name
    }

    /// Noise-aware tuning with plain search reuses the prompts of the full method.
    fn starts_from_another(&self) -> bool {
        self.name == NOISE_AWARE
    }
}

/// All methods, the full one first.
pub(super) fn arms() -> Vec<ModelArm> {
    let of_profiles = |noise, scaled| Prompts::OfProfiles { noise, scaled };
    [
        (FULL, of_profiles(true, true)),
        (NOISE_AWARE, of_profiles(true, false)),
        (UNMITIGATED, of_profiles(false, false)),
        (ONE, Prompts::One),
        (NO_PROMPT, Prompts::None),
    ]
    .map(|(name, prompts)| ModelArm { name, prompts })
    .to_vec()
}
