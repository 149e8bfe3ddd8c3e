//! The registry of distributions: how far a weight deviates, in units of the largest magnitude of its tensor.
//!
//! Every distribution is a quantile function: a uniform draw in, a deviation out. That makes draws independent of each
//! other and of their order, monotone in the uniform, and cheap to reason about.

mod four_level;
mod gaussian;
mod left_censored;
mod log_normal;
mod right_censored;
mod right_truncated;
mod two_sided_censored;
mod uniform;

pub use four_level::{FEFET2, FEFET3, FEFET6, FourLevel, RRAM1, RRAM4};
pub use gaussian::Gaussian;
pub use left_censored::LeftCensored;
pub use log_normal::LogNormal;
pub use right_censored::RightCensored;
pub use right_truncated::RightTruncated;
pub use two_sided_censored::TwoSidedCensored;
pub use uniform::Uniform;

use crate::NoiseError;
use crate::philox::{Philox, unit};

/// Mean and second moment of a deviation, in units of the reference magnitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// E\[d\].
    pub mean: f64,
    /// E\[d²\].
    pub second: f64,
}

impl Moments {
    /// The standard deviation.
    pub fn std(&self) -> f64 {
        (self.second - self.mean * self.mean).max(0.0).sqrt()
    }
}

/// What a distribution is: one file each.
pub(crate) trait Deviate {
    /// Its name in recipes.
    const NAME: &'static str;
    /// Refuses parameters that are not finite or out of range.
    fn check(&self) -> Result<(), NoiseError>;
    /// Closed-form moments.
    fn moments(&self) -> Moments;
    /// The deviation at the uniform draw `u`, in units of the reference magnitude, of a weight that is `relative` times
    /// that magnitude.
    fn deviation(&self, u: f64, relative: f64) -> f64;
}

/// How a weight deviates.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Distribution {
    /// No deviation.
    #[default]
    None,
    /// Normal.
    Gaussian(Gaussian),
    /// Normal, large values set to a bound.
    RightCensored(RightCensored),
    /// Normal, small values set to a bound.
    LeftCensored(LeftCensored),
    /// Normal, values beyond either bound set to it.
    TwoSidedCensored(TwoSidedCensored),
    /// Normal, values above a bound drawn again.
    RightTruncated(RightTruncated),
    /// Uniform.
    Uniform(Uniform),
    /// Log-normal, multiplicative.
    LogNormal(LogNormal),
    /// Normal with a standard deviation that depends on the level.
    FourLevel(FourLevel),
}

/// Runs an expression with the distribution inside, or another where there is none.
macro_rules! with {
    ($distribution:expr, $inner:ident => $body:expr, $none:expr) => {
        match $distribution {
            Distribution::None => $none,
            Distribution::Gaussian($inner) => $body,
            Distribution::RightCensored($inner) => $body,
            Distribution::LeftCensored($inner) => $body,
            Distribution::TwoSidedCensored($inner) => $body,
            Distribution::RightTruncated($inner) => $body,
            Distribution::Uniform($inner) => $body,
            Distribution::LogNormal($inner) => $body,
            Distribution::FourLevel($inner) => $body,
        }
    };
}

fn name_of<D: Deviate>(_: &D) -> &'static str {
    D::NAME
}

impl Distribution {
    /// No deviation.
    pub const fn none() -> Self {
        Self::None
    }

    /// Normal with standard deviation `sigma_rel_wmax` times the largest magnitude.
    pub const fn gaussian(sigma_rel_wmax: f64) -> Self {
        Self::Gaussian(Gaussian { sigma_rel_wmax })
    }

    /// Right-censored normal: `sigma_rel_wmax * min(Z, censor)` times the largest magnitude.
    pub const fn right_censored(sigma_rel_wmax: f64, censor: f64) -> Self {
        Self::RightCensored(RightCensored {
            sigma_rel_wmax,
            censor,
        })
    }

    /// The name in recipes.
    pub fn name(&self) -> &'static str {
        with!(self, inner => name_of(inner), "none")
    }

    /// The same distribution, if its parameters are allowed.
    ///
    /// # Errors
    /// [`NoiseError::Parameter`].
    pub fn check(self) -> Result<Self, NoiseError> {
        with!(&self, inner => inner.check(), Ok(()))?;
        Ok(self)
    }

    /// Closed-form moments of the deviation, in units of the reference magnitude. For distributions that depend on the
    /// weight, the type says for which weight.
    pub fn moments(&self) -> Moments {
        with!(self, inner => inner.moments(), Moments { mean: 0.0, second: 0.0 })
    }

    /// The scale parameter: `sigma_rel_wmax`, or `sigma_log` of the log-normal.
    pub fn sigma(&self) -> f64 {
        match self {
            Self::LogNormal(inner) => inner.sigma_log,
            other => other.sigma_rel_wmax().unwrap_or(0.0),
        }
    }

    fn sigma_rel_wmax(&self) -> Option<f64> {
        match *self {
            Self::None | Self::LogNormal(_) => None,
            Self::Gaussian(Gaussian { sigma_rel_wmax })
            | Self::RightCensored(RightCensored { sigma_rel_wmax, .. })
            | Self::LeftCensored(LeftCensored { sigma_rel_wmax, .. })
            | Self::TwoSidedCensored(TwoSidedCensored { sigma_rel_wmax, .. })
            | Self::RightTruncated(RightTruncated { sigma_rel_wmax, .. })
            | Self::Uniform(Uniform { sigma_rel_wmax })
            | Self::FourLevel(FourLevel { sigma_rel_wmax, .. }) => Some(sigma_rel_wmax),
        }
    }

    /// The same distribution with another scale parameter; none stays none.
    pub fn with_sigma(mut self, sigma: f64) -> Self {
        match &mut self {
            Self::None => {}
            Self::LogNormal(LogNormal { sigma_log: held })
            | Self::Gaussian(Gaussian {
                sigma_rel_wmax: held,
            })
            | Self::RightCensored(RightCensored {
                sigma_rel_wmax: held,
                ..
            })
            | Self::LeftCensored(LeftCensored {
                sigma_rel_wmax: held,
                ..
            })
            | Self::TwoSidedCensored(TwoSidedCensored {
                sigma_rel_wmax: held,
                ..
            })
            | Self::RightTruncated(RightTruncated {
                sigma_rel_wmax: held,
                ..
            })
            | Self::Uniform(Uniform {
                sigma_rel_wmax: held,
            })
            | Self::FourLevel(FourLevel {
                sigma_rel_wmax: held,
                ..
            }) => *held = sigma,
        }
        self
    }

    /// Deviations of `weights`, draw `i` for weight `i`; `reference(i)` is the magnitude that weight `i` is judged by.
    pub(crate) fn fill(
        &self,
        generator: &Philox,
        weights: &[f32],
        reference: impl Fn(usize) -> f32,
        out: &mut [f32],
    ) {
        with!(self, inner => fill(inner, generator, weights, reference, out), out.fill(0.0));
    }
}

fn fill<D: Deviate>(
    distribution: &D,
    generator: &Philox,
    weights: &[f32],
    reference: impl Fn(usize) -> f32,
    out: &mut [f32],
) {
    for (block, chunk) in out.chunks_mut(4).enumerate() {
        let words = generator.block(block as u64);
        for (lane, value) in chunk.iter_mut().enumerate() {
            let index = 4 * block + lane;
            let scale = f64::from(reference(index));
            let relative = if scale > 0.0 {
                f64::from(weights[index]) / scale
            } else {
                0.0
            };
            *value = (distribution.deviation(unit(words[lane]), relative) * scale) as f32;
        }
    }
}

/// Refuses a value that is not finite or fails `allowed`.
fn require(
    distribution: &'static str,
    key: &'static str,
    value: f64,
    allowed: bool,
    remedy: &'static str,
) -> Result<(), NoiseError> {
    if value.is_finite() && allowed {
        Ok(())
    } else {
        Err(NoiseError::Parameter {
            distribution,
            key,
            value,
            remedy,
        })
    }
}

/// The check that every scale parameter has.
fn require_sigma(
    distribution: &'static str,
    key: &'static str,
    value: f64,
) -> Result<(), NoiseError> {
    require(
        distribution,
        key,
        value,
        value >= 0.0,
        "a finite number from 0 on",
    )
}

/// Density of the standard normal.
fn density(z: f64) -> f64 {
    libm::exp(-0.5 * z * z) / (2.0 * std::f64::consts::PI).sqrt()
}

/// Distribution function of the standard normal.
fn cumulative(z: f64) -> f64 {
    0.5 * libm::erfc(-z / std::f64::consts::SQRT_2)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn all() -> Vec<(Distribution, f64)> {
        // With the relative weight that the moments are stated for.
        vec![
            (Distribution::gaussian(0.3), 0.0),
            (Distribution::right_censored(0.25, 0.5), 0.0),
            (Distribution::right_censored(0.25, 1.0), 0.0),
            (
                Distribution::LeftCensored(LeftCensored {
                    sigma_rel_wmax: 0.2,
                    censor: 0.7,
                }),
                0.0,
            ),
            (
                Distribution::TwoSidedCensored(TwoSidedCensored {
                    sigma_rel_wmax: 0.2,
                    censor: 1.0,
                }),
                0.0,
            ),
            (
                Distribution::RightTruncated(RightTruncated {
                    sigma_rel_wmax: 0.2,
                    censor: 1.0,
                }),
                0.0,
            ),
            (
                Distribution::Uniform(Uniform {
                    sigma_rel_wmax: 0.2,
                }),
                0.0,
            ),
            (Distribution::LogNormal(LogNormal { sigma_log: 0.3 }), 1.0),
        ]
    }

    #[test]
    fn a_million_draws_have_the_closed_form_moments() {
        let n = 1_000_000;
        for (row, (distribution, relative)) in all().into_iter().enumerate() {
            let weights = vec![relative as f32; n];
            let mut out = vec![0.0; n];
            distribution.fill(&Philox::new(5, row as u64), &weights, |_| 1.0, &mut out);
            let moment = |k: i32| out.iter().map(|d| f64::from(*d).powi(k)).sum::<f64>() / n as f64;
            let expected = distribution.moments();
            let (mean, second, fourth) = (moment(1), moment(2), moment(4));
            // Three and a half standard errors: sixteen comparisons, one false alarm in 130 seeds, and one seed fixed.
            let error = 3.5 * ((second - mean * mean) / n as f64).sqrt();
            assert!(
                (mean - expected.mean).abs() < error,
                "{}: mean {mean} {expected:?}",
                distribution.name()
            );
            let error = 3.5 * ((fourth - second * second) / n as f64).sqrt();
            assert!(
                (second - expected.second).abs() < error,
                "{}: second {second} {expected:?}",
                distribution.name()
            );
        }
    }

    #[test]
    fn deviations_are_monotone_in_the_uniform_and_vanish_at_sigma_zero() {
        for (distribution, relative) in all() {
            let at = |distribution: &Distribution, u: f64| with!(distribution, inner => inner.deviation(u, relative), 0.0);
            let zero = distribution.with_sigma(0.0);
            let mut last = f64::NEG_INFINITY;
            for step in 1..1000 {
                let u = f64::from(step) / 1000.0;
                let d = at(&distribution, u);
                assert!(d >= last, "{} at {u}", distribution.name());
                assert_eq!(at(&zero, u), 0.0, "{} at {u}", distribution.name());
                last = d;
            }
        }
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for (distribution, _) in all() {
            assert!(distribution.check().is_ok());
            for sigma in [-0.1, f64::NAN, f64::INFINITY] {
                let error = distribution
                    .with_sigma(sigma)
                    .check()
                    .unwrap_err()
                    .to_string();
                assert!(
                    error.contains(distribution.name()) && error.contains("sigma"),
                    "{error}"
                );
            }
        }
        let message = Distribution::right_censored(0.1, f64::NAN)
            .check()
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "right-censored: censor = NaN is not allowed, use a finite number"
        );
    }
}
