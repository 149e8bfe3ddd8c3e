//! In which form the weights of a model rest.

use std::fmt::{Display, Formatter};

use serde::{Deserialize, Serialize};

/// How the matrices of a model that rests are held in memory, in place of 32-bit numbers. In recipes `model.weights`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HeldForm {
    /// As the file has them.
    Stored,
    /// 16-bit numbers, 11 bits of them significant.
    F16,
    /// 16-bit numbers, 8 bits of them significant.
    Bf16,
    /// 8 bits a number, 32 of them with a scale.
    #[serde(rename = "q8_0")]
    Q8_0,
    /// 4 bits a number, 32 of them with a scale.
    #[serde(rename = "q4_0")]
    Q4_0,
}

impl Display for HeldForm {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Stored => "stored",
            Self::F16 => "f16",
            Self::Bf16 => "bf16",
            Self::Q8_0 => "q8_0",
            Self::Q4_0 => "q4_0",
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn forms_are_written_as_they_are_shown() {
        for form in [
            HeldForm::Stored,
            HeldForm::F16,
            HeldForm::Bf16,
            HeldForm::Q8_0,
            HeldForm::Q4_0,
        ] {
            assert_eq!(serde_json::to_value(form).unwrap(), form.to_string());
        }
    }
}
