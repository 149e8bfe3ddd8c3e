//! How much of the hardware a chip computes with.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::HardwareError;

/// How much of the hardware a chip computes with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fidelity {
    /// The weights that the programmed cells hold, in a plain network: fast, and for any module.
    #[default]
    Weight,
    /// Every product on its arrays: converters, slices, partial sums, wires, read noise.
    Array,
}

impl FromStr for Fidelity {
    type Err = HardwareError;

    fn from_str(text: &str) -> Result<Self, HardwareError> {
        match text {
            "weight" => Ok(Self::Weight),
            "array" => Ok(Self::Array),
            _ => Err(HardwareError::Unknown {
                kind: "fidelity",
                name: text.to_string(),
                known: "weight, array".to_string(),
            }),
        }
    }
}

impl fmt::Display for Fidelity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Weight => "weight",
            Self::Array => "array",
        })
    }
}
