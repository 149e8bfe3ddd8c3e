//! Searches and losses by their names on the command line.

use std::str::FromStr;

use crossburn_training::AttackLoss;

/// A search by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Sign,
    Lagrangian,
    SingleStep,
    Corners,
    MonteCarlo,
}

impl FromStr for Method {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "sign" => Ok(Self::Sign),
            "lagrangian" => Ok(Self::Lagrangian),
            "single-step" => Ok(Self::SingleStep),
            "corners" => Ok(Self::Corners),
            "monte-carlo" => Ok(Self::MonteCarlo),
            _ => Err("use sign, lagrangian, single-step, corners or monte-carlo".to_string()),
        }
    }
}

/// A surrogate loss by its name.
pub(super) fn loss(text: &str) -> Result<AttackLoss, String> {
    let named = AttackLoss::both()
        .into_iter()
        .find(|loss| loss.name() == text);
    named.ok_or_else(|| "use margin or cross-entropy".to_string())
}
