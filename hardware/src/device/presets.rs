//! Published devices, one file each in `configs/devices`.

use super::MemoryDevice;
use crate::HardwareError;

/// Names and texts, sorted by name.
macro_rules! presets {
    ($($name:literal),+ $(,)?) => {
        const PRESETS: &[(&str, &str)] = &[
            $(($name, include_str!(concat!("../../../configs/devices/", $name, ".toml")))),+
        ];
    };
}

presets![
    "fefet2",
    "fefet3",
    "fefet6",
    "hermes-afm",
    "ideal",
    "neurosim",
    "pcm-hermes-1",
    "pcm-hermes-2",
    "pcm-joshi",
    "pcm-mushroom",
    "reram-cmo-hfox",
    "reram-cmo-hfox-fine",
    "reram-milo-2021",
    "reram-wan-2022",
    "rram1",
    "rram4",
    "sonos-40nm",
    "state-independent",
];

impl MemoryDevice {
    /// The published device of this name.
    ///
    /// # Errors
    /// [`HardwareError::Unknown`] with the known names.
    pub fn preset(name: &str) -> Result<Self, HardwareError> {
        Self::from_toml(Self::preset_text(name)?)
    }

    /// The file that describes the published device of this name, with its source.
    ///
    /// # Errors
    /// [`HardwareError::Unknown`] with the known names.
    pub fn preset_text(name: &str) -> Result<&'static str, HardwareError> {
        match PRESETS.iter().find(|(known, _)| *known == name) {
            Some((_, text)) => Ok(text),
            None => Err(HardwareError::Unknown {
                kind: "device",
                name: name.to_string(),
                known: Self::preset_names().collect::<Vec<_>>().join(", "),
            }),
        }
    }

    /// Names of all published devices, sorted.
    pub fn preset_names() -> impl Iterator<Item = &'static str> {
        PRESETS.iter().map(|(name, _)| *name)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn every_preset_is_read_and_cites_its_source() {
        assert!(MemoryDevice::preset_names().is_sorted());
        for name in MemoryDevice::preset_names() {
            let device = MemoryDevice::preset(name).unwrap();
            assert!(device.range().span() > 0.0, "{name}");
            let text = MemoryDevice::preset_text(name).unwrap();
            for word in ["# Source: ", "# Valid: "] {
                assert!(text.contains(word), "{name} has no `{word}`");
            }
        }
    }

    #[test]
    fn an_unknown_name_is_refused_with_the_known_ones() {
        let message = MemoryDevice::preset("rram2").unwrap_err().to_string();
        let start = "there is no device `rram2`: use one of fefet2, fefet3, fefet6, hermes-afm, ideal, neurosim,";
        assert!(message.starts_with(start), "{message}");
    }
}
