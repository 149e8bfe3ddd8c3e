//! What a worst-case search makes small in place of an area under a curve.

use std::fmt;
use std::str::FromStr;

use burn::tensor::Tensor;
use burn::tensor::activation::tanh;
use serde::{Deserialize, Serialize};

use super::Judged;
use crate::task::SurrogateList;

/// The surrogate of how well errors tell anomalies from normal samples. An area under a curve counts pairs, so that it has no
/// gradient; these sum a number over samples, of anomalies with a plus and of normal samples with a minus sign, both kinds
/// together counting the same.
///
/// | surrogate | number of a sample with the error `e` |
/// |---|---|
/// | soft | `tanh((e - t) / s)`: samples near the threshold `t` move it, those far away do not |
/// | separation | `e` |
/// | error | `e`, of every sample with a minus sign: raises the error of all |
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum AnomalySurrogate {
    /// Errors beyond a threshold, softly counted.
    Soft {
        /// t.
        threshold: f64,
        /// s.
        scale: f64,
    },
    /// The mean error of anomalies less that of normal samples.
    Separation {},
    /// The error of every sample.
    Error {},
}

impl Default for AnomalySurrogate {
    fn default() -> Self {
        Self::Separation {}
    }
}

impl AnomalySurrogate {
    /// Those for a network with these errors: the threshold lies in the middle between the two means, and the scale is how far
    /// these are apart, half of it.
    pub(super) fn all(judged: &[Judged]) -> SurrogateList<Self> {
        let mean = |wanted: bool| {
            let errors = judged.iter().filter(|(_, anomalous)| *anomalous == wanted);
            let (sum, count) = errors.fold((0.0, 0.0), |(s, n), (error, _)| (s + error, n + 1.0));
            sum / f64::max(count, 1.0)
        };
        let (normal, anomalous) = (mean(false), mean(true));
        let scale = (0.5 * (anomalous - normal).abs())
            .max(1e-3 * normal)
            .max(1e-12);
        let soft = Self::Soft {
            threshold: rounded(0.5 * (normal + anomalous)),
            scale: rounded(scale),
        };
        SurrogateList::new(vec![soft, Self::Separation {}], [])
    }

    /// The number of every sample, from its error: `[batch]`.
    pub(super) fn of(self, errors: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Soft { threshold, scale } => tanh((errors - threshold) / scale),
            Self::Separation {} | Self::Error {} => errors,
        }
    }
}

/// `value` to three significant digits, so that a surrogate can be read.
fn rounded(value: f64) -> f64 {
    format!("{value:.2e}").parse().unwrap_or(value)
}

impl fmt::Display for AnomalySurrogate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Soft { threshold, scale } => write!(f, "soft:{threshold}:{scale}"),
            Self::Separation {} => f.write_str("separation"),
            Self::Error {} => f.write_str("error"),
        }
    }
}

impl FromStr for AnomalySurrogate {
    type Err = String;

    /// `soft:THRESHOLD:SCALE`, `separation` or `error`.
    fn from_str(text: &str) -> Result<Self, String> {
        let soft = || {
            let (threshold, scale) = text.strip_prefix("soft:")?.split_once(':')?;
            let (threshold, scale): (f64, f64) = (threshold.parse().ok()?, scale.parse().ok()?);
            let allowed = threshold.is_finite() && scale.is_finite() && scale > 0.0;
            allowed.then_some(Self::Soft { threshold, scale })
        };
        match text {
            "separation" => Ok(Self::Separation {}),
            "error" => Ok(Self::Error {}),
            _ => soft().ok_or_else(|| {
                "use separation, error, or soft:THRESHOLD:SCALE with SCALE above 0".to_string()
            }),
        }
    }
}
