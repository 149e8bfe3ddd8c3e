//! A distribution together with what it is relative to, as recipes write it.

use serde::{Deserialize, Serialize};

use crate::distribution::{
    Distribution, FourLevel, Gaussian, LeftCensored, LogNormal, RightCensored, RightTruncated,
    TwoSidedCensored, Uniform,
};
use crate::{ChipSeed, NoiseError};

/// Which largest magnitude a deviation is relative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// The largest magnitude of the whole tensor, as in the papers.
    #[default]
    PerTensor,
    /// The largest magnitude of the output channel: the last axis of a linear weight (`[d_in, d_out]` in Burn), the
    /// first of a convolution's (`[channels_out, channels_in, ...]`).
    PerChannel,
}

/// How the weights of a network vary.
///
/// In TOML one flat table, strict about its keys:
///
/// ```toml
/// kind = "right-censored"
/// sigma_rel_wmax = 0.25
/// censor = 1.0
/// scale = "per-tensor"
/// ```
///
/// ```
/// use crossburn_noise::{ChipSeed, Distribution, Variation};
///
/// let variation = Variation::from(Distribution::gaussian(0.1));
/// let deviation = variation.draw(ChipSeed::new(7, 17), "fc.weight", &[0.5, -1.0], &[2, 1]);
/// assert_eq!(deviation, variation.draw(ChipSeed::new(7, 17), "fc.weight", &[0.5, -1.0], &[2, 1]));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Table", into = "Table")]
pub struct Variation {
    /// How far weights deviate.
    pub distribution: Distribution,
    /// What that is relative to.
    pub scale: Scale,
}

impl From<Distribution> for Variation {
    fn from(distribution: Distribution) -> Self {
        Self {
            distribution,
            scale: Scale::default(),
        }
    }
}

impl Variation {
    /// The same variation, if its parameters are allowed.
    ///
    /// # Errors
    /// [`NoiseError::Parameter`].
    pub fn check(self) -> Result<Self, NoiseError> {
        self.distribution.check()?;
        Ok(self)
    }

    /// The same variation with another scale parameter.
    pub fn with_sigma(self, sigma: f64) -> Self {
        Self {
            distribution: self.distribution.with_sigma(sigma),
            ..self
        }
    }

    /// The deviation of every weight of the parameter at `path` on `chip`.
    ///
    /// `weights` are the programmed weights in row-major order, `shape` their shape; the result has their length.
    pub fn draw(&self, chip: ChipSeed, path: &str, weights: &[f32], shape: &[usize]) -> Vec<f32> {
        let mut out = vec![0.0; weights.len()];
        let generator = chip.generator(path);
        let (largest, channel) = self.references(weights, shape);
        self.distribution.fill(
            &generator,
            weights,
            |index| largest[channel(index)],
            &mut out,
        );
        out
    }

    /// The mean deviation of every weight, `mean * max|W|`: what mean folding adds.
    pub(crate) fn mean_deviation(&self, weights: &[f32], shape: &[usize]) -> Vec<f32> {
        let mean = self.distribution.moments().mean;
        let multiplicative = matches!(self.distribution, Distribution::LogNormal(_));
        let (largest, channel) = self.references(weights, shape);
        let deviation = |(index, weight): (usize, &f32)| match multiplicative {
            true => (mean * f64::from(*weight)) as f32,
            false => (mean * f64::from(largest[channel(index)])) as f32,
        };
        weights.iter().enumerate().map(deviation).collect()
    }

    /// The reference magnitudes, and which of them a weight is judged by.
    fn references(&self, weights: &[f32], shape: &[usize]) -> (Vec<f32>, impl Fn(usize) -> usize) {
        let (channels, stride) = match (self.scale, shape) {
            (Scale::PerTensor, _) | (Scale::PerChannel, []) => (1, usize::MAX),
            (Scale::PerChannel, [_, outputs]) => (*outputs, 1),
            (Scale::PerChannel, [outputs, inner @ ..]) => {
                (*outputs, inner.iter().product::<usize>().max(1))
            }
        };
        let channel = move |index: usize| index / stride % channels.max(1);
        let mut largest = vec![0.0f32; channels.max(1)];
        for (index, weight) in weights.iter().enumerate() {
            let held = &mut largest[channel(index)];
            *held = held.max(weight.abs());
        }
        (largest, channel)
    }
}

/// The flat, strict form.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sigma_rel_wmax: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sigma_log: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    censor: Option<f64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    ratio: Option<f64>,
    #[serde(default)]
    scale: Scale,
}

/// Every name in the registry.
const KINDS: &str = "none, gaussian, right-censored, left-censored, two-sided-censored, right-truncated, uniform, log-normal, four-level";

impl TryFrom<Table> for Variation {
    type Error = String;

    fn try_from(mut table: Table) -> Result<Self, String> {
        let kind = table.kind.clone();
        let need =
            |key: &str, value: Option<f64>| value.ok_or_else(|| format!("{kind} needs `{key}`"));
        let mut sigma = || need("sigma_rel_wmax", table.sigma_rel_wmax.take());
        let mut censor = || need("censor", table.censor.take());
        let distribution = match table.kind.as_str() {
            "none" => Distribution::None,
            "gaussian" => Distribution::Gaussian(Gaussian {
                sigma_rel_wmax: sigma()?,
            }),
            "right-censored" => Distribution::RightCensored(RightCensored {
                sigma_rel_wmax: sigma()?,
                censor: censor()?,
            }),
            "left-censored" => Distribution::LeftCensored(LeftCensored {
                sigma_rel_wmax: sigma()?,
                censor: censor()?,
            }),
            "two-sided-censored" => Distribution::TwoSidedCensored(TwoSidedCensored {
                sigma_rel_wmax: sigma()?,
                censor: censor()?,
            }),
            "right-truncated" => Distribution::RightTruncated(RightTruncated {
                sigma_rel_wmax: sigma()?,
                censor: censor()?,
            }),
            "uniform" => Distribution::Uniform(Uniform {
                sigma_rel_wmax: sigma()?,
            }),
            "log-normal" => Distribution::LogNormal(LogNormal {
                sigma_log: need("sigma_log", table.sigma_log.take())?,
            }),
            "four-level" => Distribution::FourLevel(FourLevel {
                sigma_rel_wmax: sigma()?,
                ratio: need("ratio", table.ratio.take())?,
            }),
            other => return Err(format!("unknown noise kind `{other}`, use one of {KINDS}")),
        };
        let left = [
            ("sigma_rel_wmax", table.sigma_rel_wmax),
            ("sigma_log", table.sigma_log),
            ("censor", table.censor),
            ("ratio", table.ratio),
        ];
        match left.into_iter().find(|(_, value)| value.is_some()) {
            Some((key, _)) => Err(format!("{} has no `{key}`: leave it out", table.kind)),
            None => Ok(Self {
                distribution,
                scale: table.scale,
            }),
        }
    }
}

impl From<Variation> for Table {
    fn from(variation: Variation) -> Self {
        let Variation {
            distribution,
            scale,
        } = variation;
        let log = matches!(distribution, Distribution::LogNormal(_));
        let none = matches!(distribution, Distribution::None);
        Self {
            kind: distribution.name().to_string(),
            sigma_rel_wmax: (!log && !none).then(|| distribution.sigma()),
            sigma_log: log.then(|| distribution.sigma()),
            censor: match distribution {
                Distribution::RightCensored(RightCensored { censor, .. })
                | Distribution::LeftCensored(LeftCensored { censor, .. })
                | Distribution::TwoSidedCensored(TwoSidedCensored { censor, .. })
                | Distribution::RightTruncated(RightTruncated { censor, .. }) => Some(censor),
                _ => None,
            },
            ratio: match distribution {
                Distribution::FourLevel(FourLevel { ratio, .. }) => Some(ratio),
                _ => None,
            },
            scale,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(r#"{"kind":"none","scale":"per-tensor"}"#)]
    #[case(r#"{"kind":"gaussian","sigma_rel_wmax":0.1,"scale":"per-channel"}"#)]
    #[case(r#"{"kind":"right-censored","sigma_rel_wmax":0.25,"censor":1.0,"scale":"per-tensor"}"#)]
    #[case(r#"{"kind":"left-censored","sigma_rel_wmax":0.25,"censor":1.0,"scale":"per-tensor"}"#)]
    #[case(
        r#"{"kind":"two-sided-censored","sigma_rel_wmax":0.25,"censor":1.0,"scale":"per-tensor"}"#
    )]
    #[case(r#"{"kind":"right-truncated","sigma_rel_wmax":0.25,"censor":1.0,"scale":"per-tensor"}"#)]
    #[case(r#"{"kind":"uniform","sigma_rel_wmax":0.25,"scale":"per-tensor"}"#)]
    #[case(r#"{"kind":"log-normal","sigma_log":0.25,"scale":"per-tensor"}"#)]
    #[case(r#"{"kind":"four-level","sigma_rel_wmax":0.25,"ratio":2.0,"scale":"per-tensor"}"#)]
    fn every_kind_is_read_and_written_the_same(#[case] text: &str) {
        let variation: Variation = serde_json::from_str(text).unwrap();
        assert_eq!(serde_json::to_string(&variation).unwrap(), text);
    }

    #[rstest]
    #[case(r#"{"kind":"gaussian","sigma":0.1}"#, "unknown field `sigma`")]
    #[case(r#"{"kind":"gaussian"}"#, "gaussian needs `sigma_rel_wmax`")]
    #[case(
        r#"{"kind":"gaussian","sigma_rel_wmax":0.1,"censor":1.0}"#,
        "gaussian has no `censor`"
    )]
    #[case(
        r#"{"kind":"none","sigma_rel_wmax":0.1}"#,
        "none has no `sigma_rel_wmax`"
    )]
    #[case(r#"{"kind":"gauss"}"#, "unknown noise kind `gauss`")]
    fn bad_tables_are_refused_by_name(#[case] text: &str, #[case] part: &str) {
        let message = serde_json::from_str::<Variation>(text)
            .unwrap_err()
            .to_string();
        assert!(message.contains(part), "{message}");
    }

    #[test]
    fn a_deviation_is_relative_to_its_tensor_or_channel() {
        let chip = ChipSeed::new(1, 2);
        let weights = [1.0, 8.0, -2.0, 4.0];
        let tensor = Variation::from(Distribution::gaussian(1.0));
        let channel = Variation {
            scale: Scale::PerChannel,
            ..tensor
        };
        let by_tensor = tensor.draw(chip, "w", &weights, &[2, 2]);
        let linear = channel.draw(chip, "w", &weights, &[2, 2]);
        let convolution = channel.draw(chip, "w", &weights, &[2, 2, 1]);
        for (index, by_tensor) in by_tensor.into_iter().enumerate() {
            // Columns of a linear weight have maxima 2 and 8, rows of a convolution 8 and 4.
            let expected = by_tensor / 8.0 * [2.0, 8.0][index % 2];
            assert!((linear[index] - expected).abs() <= 1e-6 * expected.abs());
            let expected = by_tensor / 8.0 * [8.0, 4.0][index / 2];
            assert!((convolution[index] - expected).abs() <= 1e-6 * expected.abs());
        }
    }
}
