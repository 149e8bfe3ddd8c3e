//! Searches by their names on the command line.

use std::str::FromStr;

/// A search by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SearchMethod {
    Auto,
    Apgd,
    Momentum,
    RawGradient,
    Sign,
    Lagrangian,
    SingleStep,
    Corners,
    MonteCarlo,
}

impl FromStr for SearchMethod {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "auto" => Ok(Self::Auto),
            "apgd" => Ok(Self::Apgd),
            "momentum" => Ok(Self::Momentum),
            "raw-gradient" => Ok(Self::RawGradient),
            "sign" => Ok(Self::Sign),
            "lagrangian" => Ok(Self::Lagrangian),
            "single-step" => Ok(Self::SingleStep),
            "corners" => Ok(Self::Corners),
            "monte-carlo" => Ok(Self::MonteCarlo),
            _ => Err(
                "use auto, apgd, momentum, raw-gradient, sign, lagrangian, single-step, corners or monte-carlo"
                    .to_string(),
            ),
        }
    }
}
