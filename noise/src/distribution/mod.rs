//! The registry of distributions: how far a weight deviates, in units of the largest magnitude of its tensor.
//!
//! Every distribution is a quantile function: a uniform draw in, a deviation out. That makes draws independent of each
//! other and of their order, monotone in the uniform, and cheap to reason about.

mod four_level;
mod gaussian;
mod left_censored;
mod log_normal;
mod own;
mod power_law;
mod right_censored;
mod right_censored_centred;
mod right_truncated;
mod salt_and_pepper;
mod shifted_gaussian;
mod two_sided_censored;
mod uniform;

pub use four_level::{FEFET2, FEFET3, FEFET6, FourLevel, RRAM1, RRAM4};
pub use gaussian::Gaussian;
pub use left_censored::LeftCensored;
pub use log_normal::LogNormal;
pub use own::OwnLaw;
pub use power_law::PowerLaw;
pub use right_censored::RightCensored;
pub use right_censored_centred::RightCensoredCentred;
pub use right_truncated::RightTruncated;
pub use salt_and_pepper::SaltAndPepper;
pub use shifted_gaussian::ShiftedGaussian;
pub use two_sided_censored::TwoSidedCensored;
pub use uniform::Uniform;

use serde::{Deserialize, Serialize};

use crate::granularity::{Granularity, Reference};
use crate::{ChipDraws, NoiseError, ParameterDraws, Variation, WeightShape};

/// Weights in one batch: their buffers on the stack fit the first cache. A multiple of a Philox block.
const BATCH: usize = 1024;

/// Moments of a deviation, in units of the reference magnitude.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moments {
    /// E\[d\].
    pub mean: f64,
    /// E\[d²\].
    pub second: f64,
    /// Standard deviation, `sqrt(second - mean²)`.
    pub std: f64,
}

impl Moments {
    /// The moments of E\[d\] and E\[d²\].
    pub fn new(mean: f64, second: f64) -> Self {
        Self {
            mean,
            second,
            std: (second - mean * mean).max(0.0).sqrt(),
        }
    }
}

/// A distribution: a quantile function with a name. Each one of this crate is one file; [`Distribution::own`] takes yours.
///
/// ```
/// use crossburn_noise::{ChipSeed, Deviate, Distribution, Moments, Variation};
///
/// /// One size and either sign.
/// #[derive(Clone, Copy, Debug)]
/// struct Flip {
///     sigma_rel_wmax: f64,
/// }
///
/// impl Deviate for Flip {
///     const NAME: &'static str = "flip";
///
///     fn sigma_mut(&mut self) -> &mut f64 {
///         &mut self.sigma_rel_wmax
///     }
///
///     fn moments(&self) -> Moments {
///         Moments::new(0.0, self.sigma_rel_wmax.powi(2))
///     }
///
///     fn deviate(&self, draws: &mut [f64], _: &[f64]) {
///         for draw in draws {
///             *draw = self.sigma_rel_wmax.copysign(*draw - 0.5);
///         }
///     }
/// }
///
/// let variation = Variation::from(Distribution::own(Flip { sigma_rel_wmax: 0.1 }));
/// let deviations = variation.draw(ChipSeed::new(7, 0), "fc.weight", &[0.5, -2.0], &[2]);
/// assert!(deviations.iter().all(|deviation| deviation.abs() == 0.2));
/// ```
pub trait Deviate: Copy + std::fmt::Debug + Send + Sync + 'static {
    /// Its name, in recipes and documents.
    const NAME: &'static str;
    /// Whether the deviation depends on the weight.
    const READS_WEIGHTS: bool = false;
    /// Name of the scale parameter in recipes.
    const SIGMA: &'static str = "sigma_rel_wmax";
    /// The scale parameter. At 0, nothing deviates.
    fn sigma_mut(&mut self) -> &mut f64;
    /// Refuses other parameters that are not finite or out of range. The scale has been checked before.
    ///
    /// # Errors
    /// [`NoiseError::Parameter`].
    fn check(&self) -> Result<(), NoiseError> {
        Ok(())
    }
    /// Moments of the deviation, in units of the reference magnitude. Mean folding uses them.
    fn moments(&self) -> Moments;
    /// Replaces uniform draws above 0 and below 1 by deviations in units of the reference magnitude. A deviation must not
    /// fall when its draw rises. `relative` holds the weights in the same unit if the distribution reads weights, and is
    /// empty otherwise.
    fn deviate(&self, draws: &mut [f64], relative: &[f64]);
}

macro_rules! registry {
    ($($(#[$doc:meta])* $kind:ident),+ $(,)?) => {
        /// How a weight deviates.
        ///
        /// In recipes, the key `kind` names the distribution. Its parameters are further keys; any other key is refused. See
        /// [`Variation`] for the table that also holds the scale.
        #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
        #[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
        pub enum Distribution {
            /// No deviation.
            None {},
            $($(#[$doc])* $kind($kind),)+
            /// A law of another program.
            Own(OwnLaw),
        }

        impl Distribution {
            /// The name in recipes. A law of another program has the name that it gives itself.
            pub fn name(&self) -> &'static str {
                match self {
                    Self::None {} => "none",
                    $(Self::$kind(_) => <$kind as Deviate>::NAME,)+
                    Self::Own(own) => own.name(),
                }
            }

            /// The scale parameter: `sigma_rel_wmax`, or `sigma_log` for the log-normal; 0 for `none`.
            pub fn sigma(&self) -> f64 {
                match *self {
                    Self::None {} => 0.0,
                    $(Self::$kind(mut inner) => *inner.sigma_mut(),)+
                    Self::Own(mut own) => *own.sigma_mut(),
                }
            }

            /// The same distribution with another scale parameter, for sweeps. `none` stays `none`.
            pub fn with_sigma(mut self, sigma: f64) -> Self {
                match &mut self {
                    Self::None {} => {}
                    $(Self::$kind(inner) => *inner.sigma_mut() = sigma,)+
                    Self::Own(own) => *own.sigma_mut() = sigma,
                }
                self
            }

            /// The same distribution, if its parameters are allowed.
            ///
            /// # Errors
            /// [`NoiseError::Parameter`], and [`NoiseError::UnknownLaw`] for a law of another program that a document names.
            pub fn check(self) -> Result<Self, NoiseError> {
                match &self {
                    Self::None {} => {}
                    $(Self::$kind(inner) => {
                        require_sigma::<$kind>(self.sigma())?;
                        inner.check()?;
                    })+
                    Self::Own(own) => own.check()?,
                }
                Ok(self)
            }

            /// Closed-form moments of the deviation, in units of the reference magnitude. For distributions that depend
            /// on the weight, the type says for which weight.
            pub fn moments(&self) -> Moments {
                match self {
                    Self::None {} => Moments::new(0.0, 0.0),
                    $(Self::$kind(inner) => inner.moments(),)+
                    Self::Own(own) => own.moments(),
                }
            }

            /// Deviations of `weights`, which start at element `first` (a multiple of four) of their parameter.
            pub(crate) fn fill(
                &self,
                draws: &dyn ParameterDraws,
                first: usize,
                weights: &[f32],
                reference: &Reference,
                out: &mut [f32],
            ) {
                match self {
                    Self::None {} => out.fill(0.0),
                    $(Self::$kind(inner) => fill(inner, draws, first, weights, reference, out),)+
                    Self::Own(own) => own.fill((draws, first), weights, reference, out),
                }
            }
        }
    };
}

registry! {
    /// Normal.
    Gaussian,
    /// Normal, large values set to a bound.
    RightCensored,
    /// Normal, small values set to a bound.
    LeftCensored,
    /// Normal, values beyond either bound set to it.
    TwoSidedCensored,
    /// Normal, values above a bound drawn again.
    RightTruncated,
    /// Uniform.
    Uniform,
    /// Log-normal, multiplicative.
    LogNormal,
    /// Normal with a standard deviation that depends on the level.
    FourLevel,
    /// Right-censored, minus its mean.
    RightCensoredCentred,
    /// Normal, with the mean of a right-censored one.
    ShiftedGaussian,
    /// One size and either sign, rarely.
    SaltAndPepper,
    /// Either sign, the size by a power law.
    PowerLaw,
}

impl Default for Distribution {
    fn default() -> Self {
        Self::none()
    }
}

impl Distribution {
    /// No deviation.
    pub const fn none() -> Self {
        Self::None {}
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

    /// A law of your own. Its memory is kept until the program ends, a few bytes for each call.
    pub fn own<D: Deviate>(law: D) -> Self {
        Self::Own(OwnLaw::new(law))
    }

    /// The deviation of every weight of the parameter at `path` on `chip`: see [`Variation::draw`].
    pub fn draw(
        &self,
        chip: impl ChipDraws,
        path: &str,
        weights: &[f32],
        shape: impl Into<WeightShape>,
        scale: Granularity,
    ) -> Vec<f32> {
        let distribution = *self;
        Variation {
            distribution,
            scale,
        }
        .draw(chip, path, weights, shape)
    }
}

fn fill<D: Deviate>(
    distribution: &D,
    source: &dyn ParameterDraws,
    first: usize,
    weights: &[f32],
    reference: &Reference,
    out: &mut [f32],
) {
    let (mut draws, mut scales, mut relative) = ([0.0; BATCH], [0.0; BATCH], [0.0; BATCH]);
    for (batch, (out, weights)) in out.chunks_mut(BATCH).zip(weights.chunks(BATCH)).enumerate() {
        let start = first + batch * BATCH;
        let draws = &mut draws[..out.len()];
        let scales = &mut scales[..out.len()];
        source.fill(start, draws);
        reference.fill(start, scales);
        let relative = if D::READS_WEIGHTS {
            let relative = &mut relative[..out.len()];
            for ((relative, weight), scale) in relative.iter_mut().zip(weights).zip(scales.iter()) {
                *relative = if *scale > 0.0 {
                    f64::from(*weight) / scale
                } else {
                    0.0
                };
            }
            relative
        } else {
            &mut []
        };
        distribution.deviate(draws, relative);
        for ((value, draw), scale) in out.iter_mut().zip(draws).zip(scales) {
            *value = (*draw * *scale) as f32;
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
fn require_sigma<D: Deviate>(value: f64) -> Result<(), NoiseError> {
    require(
        D::NAME,
        D::SIGMA,
        value,
        value >= 0.0,
        "a finite number from 0 on",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::ChipSeed;
    use proptest::prelude::*;

    fn all() -> Vec<Distribution> {
        vec![
            Distribution::gaussian(0.3),
            Distribution::right_censored(0.25, 0.5),
            Distribution::right_censored(0.25, 1.0),
            Distribution::LeftCensored(LeftCensored {
                sigma_rel_wmax: 0.2,
                censor: 0.7,
            }),
            Distribution::TwoSidedCensored(TwoSidedCensored {
                sigma_rel_wmax: 0.2,
                censor: 1.0,
            }),
            Distribution::RightTruncated(RightTruncated {
                sigma_rel_wmax: 0.2,
                censor: 1.0,
            }),
            Distribution::Uniform(Uniform {
                sigma_rel_wmax: 0.2,
            }),
            Distribution::LogNormal(LogNormal { sigma_log: 0.3 }),
            Distribution::FourLevel(FourLevel {
                sigma_rel_wmax: 0.2,
                ratio: FEFET3,
            }),
            Distribution::RightCensoredCentred(RightCensoredCentred {
                sigma_rel_wmax: 0.2,
                censor: 0.5,
            }),
            Distribution::ShiftedGaussian(ShiftedGaussian {
                sigma_rel_wmax: 0.2,
                censor: 0.5,
            }),
            Distribution::SaltAndPepper(SaltAndPepper {
                sigma_rel_wmax: 0.2,
                probability: 0.3,
            }),
            Distribution::PowerLaw(PowerLaw {
                sigma_rel_wmax: 0.2,
                exponent: 0.5,
            }),
        ]
    }

    /// Deviations of `weights` in units of the largest, one, which is put in front and left out of the result.
    fn deviations(distribution: Distribution, seed: u64, weights: &[f32]) -> Vec<f32> {
        let with_one: Vec<f32> = std::iter::once(1.0)
            .chain(weights.iter().copied())
            .collect();
        let shape = [with_one.len()];
        distribution
            .draw(
                ChipSeed::new(seed, 0),
                "w",
                &with_one,
                &shape,
                Granularity::PerTensor,
            )
            .split_off(1)
    }

    #[test]
    fn a_million_draws_have_the_closed_form_moments() {
        let n = 1_000_000;
        for (row, distribution) in all().into_iter().enumerate() {
            // The weights that the moments are stated for: 40 % inner levels, or all at the largest magnitude.
            let level = |i: usize| if i % 5 < 2 { 0.5 } else { 1.0 };
            let weights: Vec<f32> = match distribution {
                Distribution::FourLevel(_) => (0..n).map(level).collect(),
                _ => vec![1.0; n],
            };
            let drawn = deviations(distribution, 5 + row as u64, &weights);
            let moment =
                |k: i32| drawn.iter().map(|d| f64::from(*d).powi(k)).sum::<f64>() / n as f64;
            let expected = distribution.moments();
            let (mean, second, fourth) = (moment(1), moment(2), moment(4));
            // Three standard errors, from the draws' own spread; the seed is fixed.
            let error = 3.0 * (expected.std * expected.std / n as f64).sqrt();
            assert!(
                (mean - expected.mean).abs() < error,
                "{distribution:?}: mean {mean} {expected:?}"
            );
            let error = 3.0 * ((fourth - second * second) / n as f64).sqrt();
            assert!(
                (second - expected.second).abs() < error,
                "{distribution:?}: second {second} {expected:?}"
            );
            // The bound is tight enough to show a mistake of one percent.
            assert!(
                error < 0.01 * expected.second,
                "{distribution:?}: the bound proves something"
            );
        }
    }

    #[test]
    fn deviations_are_monotone_in_the_uniform_and_vanish_at_sigma_zero() {
        let uniforms: Vec<f64> = (1..1000).map(|step| f64::from(step) / 1000.0).collect();
        let one = [1.0; 999];
        macro_rules! check {
            ($($kind:ident),+) => {
                for distribution in all() {
                    let deviate = |distribution: Distribution| {
                        let mut draws = uniforms.clone();
                        match distribution {
                            Distribution::None {} => draws.fill(0.0),
                            $(Distribution::$kind(inner) => inner.deviate(&mut draws, &one),)+
                            Distribution::Own(_) => unreachable!("it is none of those of the crate"),
                        }
                        draws
                    };
                    assert!(deviate(distribution).is_sorted(), "{distribution:?}");
                    assert!(deviate(distribution.with_sigma(0.0)).iter().all(|d| *d == 0.0), "{distribution:?}");
                }
            };
        }
        check!(
            Gaussian,
            RightCensored,
            LeftCensored,
            TwoSidedCensored,
            RightTruncated,
            Uniform,
            LogNormal,
            FourLevel,
            RightCensoredCentred,
            ShiftedGaussian,
            SaltAndPepper,
            PowerLaw
        );
    }

    #[test]
    fn parameters_that_make_no_sense_are_refused() {
        for distribution in all() {
            assert_eq!(distribution.check(), Ok(distribution));
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
        let negative = TwoSidedCensored {
            sigma_rel_wmax: 0.1,
            censor: -1.0,
        };
        assert!(Distribution::TwoSidedCensored(negative).check().is_err());
        for probability in [0.0, -0.1, 1.1, f64::NAN] {
            let bad = SaltAndPepper {
                sigma_rel_wmax: 0.1,
                probability,
            };
            let message = Distribution::SaltAndPepper(bad).check().unwrap_err();
            assert!(message.to_string().contains("probability"), "{message}");
        }
        for exponent in [0.0, -1.0, f64::INFINITY] {
            let bad = PowerLaw {
                sigma_rel_wmax: 0.1,
                exponent,
            };
            let message = Distribution::PowerLaw(bad).check().unwrap_err();
            assert!(message.to_string().contains("exponent"), "{message}");
        }
    }

    #[test]
    fn names_are_those_that_serde_writes() {
        for distribution in all().into_iter().chain([Distribution::none()]) {
            let json = serde_json::to_value(distribution).unwrap();
            assert_eq!(json["kind"], distribution.name());
            assert_eq!(
                serde_json::from_value::<Distribution>(json.clone()).unwrap(),
                distribution
            );
            // Every kind refuses a key that it does not know, also one of another kind.
            for key in ["sigma", "censored", "scale"] {
                let mut json = json.clone();
                json[key] = 1.0.into();
                let message = serde_json::from_value::<Distribution>(json)
                    .unwrap_err()
                    .to_string();
                assert!(message.contains(key), "{message}");
            }
        }
    }

    #[test]
    fn a_chip_is_the_same_forever() {
        // Computed by an independent implementation; a change of these numbers changes every published chip.
        let drawn = Distribution::gaussian(1.0).draw(
            ChipSeed::new(7, 17),
            "fc1.weight",
            &[1.0, 0.0, 0.0],
            &[3],
            Granularity::PerTensor,
        );
        assert_eq!(drawn, [-1.272_560_5, -0.796_497_76, 1.366_530_4]);
    }

    proptest! {
        #[test]
        fn deviations_stay_in_their_range(
            sigma in 0.0f64..2.0, c in 0.0f64..3.0, seed: u64, weights in prop::collection::vec(-1.0f32..1.0, 1..600),
        ) {
            // The largest magnitude of a 32-bit normal draw, and room for the rounding to f32.
            let (most, room) = (6.35 * sigma, 1.0 + 1e-6);
            let at_most = |distribution: Distribution, low: f64, high: f64| {
                let drawn = deviations(distribution, seed, &weights);
                drawn.iter().all(|d| (low * room..=high * room).contains(&f64::from(*d)))
            };
            let (s, sigma_rel_wmax, censor) = (sigma * c, sigma, c);
            prop_assert!(at_most(Distribution::gaussian(sigma), -most, most));
            prop_assert!(at_most(Distribution::right_censored(sigma, c), -most, s));
            let left = LeftCensored { sigma_rel_wmax, censor };
            prop_assert!(at_most(Distribution::LeftCensored(left), -s, most));
            let both = TwoSidedCensored { sigma_rel_wmax, censor };
            prop_assert!(at_most(Distribution::TwoSidedCensored(both), -s, s));
            let truncated = RightTruncated { sigma_rel_wmax, censor };
            prop_assert!(at_most(Distribution::RightTruncated(truncated), -most - sigma, s));
            let centred = RightCensoredCentred { sigma_rel_wmax, censor };
            // The mean that is taken off lies between -0.4 and 0 where c is not negative.
            prop_assert!(at_most(Distribution::RightCensoredCentred(centred), -most, s + 0.4 * sigma));
            let salted = SaltAndPepper { sigma_rel_wmax, probability: 0.25 };
            prop_assert!(at_most(Distribution::SaltAndPepper(salted), -2.0 * sigma, 2.0 * sigma));
            let law = PowerLaw { sigma_rel_wmax, exponent: 1.0 };
            let half = sigma * 3f64.sqrt();
            prop_assert!(at_most(Distribution::PowerLaw(law), -half, half));
            let uniform = Uniform { sigma_rel_wmax };
            prop_assert!(at_most(Distribution::Uniform(uniform), -half, half));
            // A log-normal factor is positive: the sign of a weight stays.
            let log = deviations(Distribution::LogNormal(LogNormal { sigma_log: sigma }), seed, &weights);
            prop_assert!(weights.iter().zip(log).all(|(w, d)| (w + d) * w >= 0.0));
        }
    }
}
