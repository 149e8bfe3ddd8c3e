//! A law of deviation that another program brings.

use std::fmt::Debug;

use serde::{Deserialize, Serialize};

use super::{Deviate, Moments, fill, require_sigma};
use crate::granularity::Reference;
use crate::{NoiseError, ParameterDraws};

/// A law of another program. [`Distribution::own`](super::Distribution::own) makes a distribution of it.
///
/// Documents show its name, its strength and its `Debug` text. Two laws count as the same if these are the same. A document
/// does not hold the formula, so [`Distribution::check`](super::Distribution::check) refuses a law that was read from a
/// document, and its deviations are NaN.
#[derive(Clone, Copy, Debug)]
pub struct OwnLaw {
    law: &'static dyn AnyLaw,
    sigma: f64,
}

/// The operations on a law, whatever its type.
trait AnyLaw: Debug + Send + Sync {
    fn name(&self) -> &'static str;
    /// The law at the strength `sigma`, as it is printed.
    fn text(&self, sigma: f64) -> String;
    fn check(&self, sigma: f64) -> Result<(), NoiseError>;
    fn moments(&self, sigma: f64) -> Moments;
    fn fill(
        &self,
        sigma: f64,
        draws: (&dyn ParameterDraws, usize),
        weights: &[f32],
        reference: &Reference,
        out: &mut [f32],
    );
}

fn at<D: Deviate>(mut law: D, sigma: f64) -> D {
    *law.sigma_mut() = sigma;
    law
}

impl<D: Deviate> AnyLaw for D {
    fn name(&self) -> &'static str {
        D::NAME
    }

    fn text(&self, sigma: f64) -> String {
        format!("{:?}", at(*self, sigma))
    }

    fn check(&self, sigma: f64) -> Result<(), NoiseError> {
        require_sigma::<D>(sigma)?;
        Deviate::check(&at(*self, sigma))
    }

    fn moments(&self, sigma: f64) -> Moments {
        Deviate::moments(&at(*self, sigma))
    }

    fn fill(
        &self,
        sigma: f64,
        (draws, first): (&dyn ParameterDraws, usize),
        weights: &[f32],
        reference: &Reference,
        out: &mut [f32],
    ) {
        fill(&at(*self, sigma), draws, first, weights, reference, out);
    }
}

/// A law in a document.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    name: String,
    law: String,
    sigma: f64,
}

/// A law that a document names, without its formula.
#[derive(Debug)]
struct Unknown {
    name: &'static str,
    text: String,
}

impl AnyLaw for Unknown {
    fn name(&self) -> &'static str {
        self.name
    }

    fn text(&self, _sigma: f64) -> String {
        self.text.clone()
    }

    fn check(&self, _sigma: f64) -> Result<(), NoiseError> {
        Err(NoiseError::UnknownLaw {
            name: self.name.to_string(),
        })
    }

    fn moments(&self, _sigma: f64) -> Moments {
        Moments::new(f64::NAN, f64::NAN)
    }

    fn fill(
        &self,
        _sigma: f64,
        _draws: (&dyn ParameterDraws, usize),
        _weights: &[f32],
        _reference: &Reference,
        out: &mut [f32],
    ) {
        out.fill(f32::NAN);
    }
}

impl OwnLaw {
    pub(super) fn new<D: Deviate>(mut law: D) -> Self {
        let sigma = *law.sigma_mut();
        // Leaked, because a distribution is `Copy` and a program has only a handful of laws.
        Self {
            law: Box::leak(Box::new(law)),
            sigma,
        }
    }

    pub(super) fn name(&self) -> &'static str {
        self.law.name()
    }

    pub(super) fn sigma_mut(&mut self) -> &mut f64 {
        &mut self.sigma
    }

    pub(super) fn check(&self) -> Result<(), NoiseError> {
        self.law.check(self.sigma)
    }

    pub(super) fn moments(&self) -> Moments {
        self.law.moments(self.sigma)
    }

    pub(super) fn fill(
        &self,
        draws: (&dyn ParameterDraws, usize),
        weights: &[f32],
        reference: &Reference,
        out: &mut [f32],
    ) {
        self.law.fill(self.sigma, draws, weights, reference, out);
    }
}

impl PartialEq for OwnLaw {
    fn eq(&self, other: &Self) -> bool {
        let text = |own: &Self| own.law.text(own.sigma);
        self.name() == other.name() && self.sigma == other.sigma && text(self) == text(other)
    }
}

impl Serialize for OwnLaw {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let described = Described {
            name: self.name().to_string(),
            law: self.law.text(self.sigma),
            sigma: self.sigma,
        };
        described.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for OwnLaw {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let Described { name, law, sigma } = Described::deserialize(deserializer)?;
        let unknown = Unknown {
            name: name.leak(),
            text: law,
        };
        Ok(Self {
            law: Box::leak(Box::new(unknown)),
            sigma,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crate::{ChipSeed, Distribution, Gaussian, Granularity, LogNormal, Variation};

    /// A law that comes with the crate deviates to the bit as it does in its own variant, also one that reads weights.
    #[test]
    fn a_law_from_outside_is_as_good_as_one_of_the_crate() {
        let weights: Vec<f32> = (0..3000).map(|i| (i % 17) as f32 / 17.0 - 0.4).collect();
        let gaussian = Gaussian {
            sigma_rel_wmax: 0.1,
        };
        let log = LogNormal { sigma_log: 0.2 };
        for (known, own) in [
            (
                Distribution::Gaussian(gaussian),
                Distribution::own(gaussian),
            ),
            (Distribution::LogNormal(log), Distribution::own(log)),
        ] {
            for sigma in [known.sigma(), 0.05] {
                let (known, own) = (known.with_sigma(sigma), own.with_sigma(sigma));
                let draw = |distribution: Distribution| {
                    let chip = ChipSeed::new(3, 1);
                    let shape = [weights.len()];
                    distribution.draw(chip, "w", &weights, &shape, Granularity::PerTensor)
                };
                assert_eq!(draw(own), draw(known));
                assert_eq!(own.moments(), known.moments());
                assert_eq!(own.sigma(), sigma);
                assert_eq!(own.name(), known.name());
                assert_eq!(own.check(), Ok(own));
            }
            let refused = known.with_sigma(-1.0).check().unwrap_err();
            assert_eq!(own.with_sigma(-1.0).check(), Err(refused));
        }
    }

    #[test]
    fn documents_name_the_law_and_hold_none() {
        let law = Gaussian {
            sigma_rel_wmax: 0.1,
        };
        let variation = Variation::from(Distribution::own(law)).with_sigma(0.25);
        let text = serde_json::to_string(&variation).unwrap();
        assert_eq!(
            text,
            r#"{"kind":"own","name":"gaussian","law":"Gaussian { sigma_rel_wmax: 0.25 }","sigma":0.25,"scale":"per-tensor"}"#
        );
        let read: Variation = serde_json::from_str(&text).unwrap();
        assert_eq!(read, variation);
        assert_ne!(read, variation.with_sigma(0.5));
        assert_eq!(serde_json::to_string(&read).unwrap(), text);
        assert_eq!(
            read.check().unwrap_err().to_string(),
            "`gaussian` is a law of another program, of which a document holds the name alone: draw its chips in that program, or choose another kind of noise"
        );
        let drawn = read.draw(ChipSeed::new(1, 0), "w", &[1.0, 0.5], &[2]);
        assert!(drawn.iter().all(|deviation| deviation.is_nan()));
    }
}
