//! Sparse accelerators that come with the crate.

use super::AcceleratorConfig;
use crate::HardwareError;

/// Names and texts.
const PRESETS: [(&str, &str); 1] = [(
    "sparse-40nm",
    include_str!("../../../configs/accelerators/sparse-40nm.toml"),
)];

impl AcceleratorConfig {
    /// The names of the descriptions that come with the crate.
    pub fn presets() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, _)| *name)
    }

    /// A description that comes with the crate.
    ///
    /// # Errors
    /// [`HardwareError::Unknown`].
    pub fn preset(name: &str) -> Result<Self, HardwareError> {
        match PRESETS.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Self::from_toml(text),
            None => Err(HardwareError::Unknown {
                kind: "sparse accelerator",
                name: name.to_string(),
                known: Self::presets().collect::<Vec<_>>().join(", "),
            }),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_read() {
        for name in AcceleratorConfig::presets() {
            AcceleratorConfig::preset(name).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        assert_eq!(
            AcceleratorConfig::preset("sparse").unwrap_err().to_string(),
            "there is no sparse accelerator `sparse`: use one of sparse-40nm"
        );
    }
}
