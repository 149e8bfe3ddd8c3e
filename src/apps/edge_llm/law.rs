//! The memory cells that hold a model's weights, and how much they deviate.

use std::fmt;
use std::str::FromStr;

use crossburn_noise::{Distribution, FEFET2, FEFET3, FEFET6, FourLevel, RRAM1, RRAM4, Variation};
use serde::{Deserialize, Serialize};

/// The deviation that is independent of the weight.
const GAUSSIAN: &str = "gaussian";
/// Devices, with the ratio of inner to outer deviation.
const DEVICES: [(&str, f64); 5] = [
    ("rram1", RRAM1),
    ("rram4", RRAM4),
    ("fefet2", FEFET2),
    ("fefet3", FEFET3),
    ("fefet6", FEFET6),
];
/// A law of deviation, with σ relative to the largest weight. Its name is `ideal`, `gaussian-0.1`, `rram4-0.05` and so on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct Law(String);

impl Law {
    /// The name of cells without deviation.
    pub(super) const IDEAL: &'static str = "ideal";

    /// Law and σ; `None` for ideal cells.
    fn parts(text: &str) -> Option<(&str, f64)> {
        let (law, sigma) = text.split_once('-')?;
        let sigma = sigma.parse::<f64>().ok();
        let sigma = sigma.filter(|sigma| *sigma > 0.0 && *sigma <= 1.0)?;
        let known = law == GAUSSIAN || DEVICES.iter().any(|(name, _)| *name == law);
        known.then_some((law, sigma))
    }

    /// The deviation of stored numbers; `None` for ideal cells.
    pub(super) fn variation(&self) -> Option<Variation> {
        let (law, sigma) = Self::parts(&self.0)?;
        let device = DEVICES.iter().find(|(name, _)| *name == law);
        Some(Variation::from(match device {
            Some((_, ratio)) => Distribution::FourLevel(FourLevel {
                sigma_rel_wmax: sigma,
                ratio: *ratio,
            }),
            None => Distribution::gaussian(sigma),
        }))
    }
}

impl fmt::Display for Law {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Law {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text == Self::IDEAL || Self::parts(text).is_some() {
            true => Ok(Self(text.to_string())),
            false => Err(format!(
                "there are no cells `{text}`: use ideal, or gaussian, rram1, rram4, fefet2, fefet3 or fefet6 with a σ above 0 and up to 1, such as rram4-0.1"
            )),
        }
    }
}

impl TryFrom<String> for Law {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<Law> for String {
    fn from(law: Law) -> Self {
        law.0
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn names_are_laws_and_others_are_refused() {
        let law = |text: &str| text.parse::<Law>();
        assert!(law("ideal").unwrap().variation().is_none());
        for (text, sigma) in [("gaussian-0.05", 0.05), ("rram4-0.2", 0.2)] {
            let variation = law(text).unwrap().variation().unwrap();
            assert_eq!(variation.sigma(), sigma, "{text}");
        }
        for text in [
            "gaussian",
            "gaussian-0",
            "gaussian-nan",
            "pcm-0.1",
            "rram4-2",
        ] {
            let message = law(text).unwrap_err();
            assert!(message.starts_with(&format!("there are no cells `{text}`: use ideal")));
        }
    }
}
