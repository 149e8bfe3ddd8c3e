//! Accelerators that come with the crate.

use super::CostConfig;
use crate::HardwareError;

/// Names and texts, one file per published accelerator.
const ACCELERATORS: [(&str, &str); 4] = [
    (
        "isaac",
        include_str!("../../../configs/accelerators/isaac.toml"),
    ),
    (
        "prime",
        include_str!("../../../configs/accelerators/prime.toml"),
    ),
    (
        "neurosim-22nm",
        include_str!("../../../configs/accelerators/neurosim-22nm.toml"),
    ),
    (
        "papers",
        include_str!("../../../configs/accelerators/papers.toml"),
    ),
];

/// The names of the accelerators that come with the crate.
pub fn accelerators() -> impl Iterator<Item = &'static str> {
    ACCELERATORS.iter().map(|(name, _)| *name)
}

/// The whole text of an accelerator, every section.
///
/// # Errors
/// [`HardwareError::Unknown`].
pub fn accelerator_text(name: &str) -> Result<&'static str, HardwareError> {
    let found = ACCELERATORS.iter().find(|(known, _)| *known == name);
    found
        .map(|(_, text)| *text)
        .ok_or_else(|| HardwareError::Unknown {
            kind: "accelerator",
            name: name.to_string(),
            known: accelerators().collect::<Vec<_>>().join(", "),
        })
}

impl CostConfig {
    /// The section `[cost]` of an accelerator that comes with the crate.
    ///
    /// # Errors
    /// [`HardwareError::Unknown`].
    pub fn preset(name: &str) -> Result<Self, HardwareError> {
        Self::from_accelerator(accelerator_text(name)?)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_read() {
        for name in accelerators() {
            CostConfig::preset(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert_eq!(
            CostConfig::preset("issac").unwrap_err().to_string(),
            "there is no accelerator `issac`: use one of isaac, prime, neurosim-22nm, papers"
        );
    }
}
