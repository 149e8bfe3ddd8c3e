//! All estimates of one converter.

use serde::{Deserialize, Serialize};

use super::{AdcEstimate, AdcEstimator, Converter};
use crate::HardwareError;
use crate::units::Joule;

/// One estimator's answer.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedEstimate {
    /// Whose.
    pub estimator: AdcEstimator,
    /// The answer.
    pub estimate: AdcEstimate,
}

/// An estimator that does not cover the converter.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Refusal {
    /// Which.
    pub estimator: AdcEstimator,
    /// Why, in one line.
    pub reason: String,
}

/// The results of all estimators for one converter.
///
/// If the latency of an estimate is longer than the period of the asked rate, the converter is too slow: several of them
/// would have to take turns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AdcEstimates {
    /// The converter.
    pub converter: Converter,
    /// The estimators that cover it, in the order of [`AdcEstimator::ALL`].
    pub estimates: Vec<NamedEstimate>,
    /// The others.
    pub refusals: Vec<Refusal>,
    /// The least energy per conversion.
    pub energy_min: Joule,
    /// The largest energy per conversion.
    pub energy_max: Joule,
}

impl AdcEstimates {
    /// Every estimate of `converter`.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where the converter cannot be, or where no estimator covers it.
    pub fn of(converter: &Converter) -> Result<Self, HardwareError> {
        converter.check()?;
        let mut estimates = Vec::new();
        let mut refusals = Vec::new();
        let mut last = None;
        for estimator in AdcEstimator::ALL {
            match estimator.estimate(converter) {
                Ok(estimate) => estimates.push(NamedEstimate {
                    estimator,
                    estimate,
                }),
                Err(error) => {
                    refusals.push(Refusal {
                        estimator,
                        reason: error.to_string(),
                    });
                    last = Some(error);
                }
            }
        }
        if let (true, Some(error)) = (estimates.is_empty(), last) {
            return Err(error);
        }
        let energies = || estimates.iter().map(|named| named.estimate.energy.get());
        let energy_min = Joule::new(energies().fold(f64::INFINITY, f64::min));
        let energy_max = Joule::new(energies().fold(0.0, f64::max));
        Ok(Self {
            converter: *converter,
            estimates,
            refusals,
            energy_min,
            energy_max,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::units::Hertz;

    #[test]
    fn estimates_of_one_converter_differ_by_more_than_an_order_of_magnitude() {
        let converter = Converter {
            bits: 8,
            node_nm: 130.0,
            rate: Hertz::new(1e7),
            column: None,
        };
        let range = AdcEstimates::of(&converter).unwrap();
        let names: Vec<_> = range.estimates.iter().map(|e| e.estimator.name()).collect();
        assert_eq!(names, ["accelergy-survey", "neurosim-sar", "wan-2022"]);
        assert_eq!(range.refusals.len(), 2);
        assert!(range.energy_max.get() > 10.0 * range.energy_min.get());
        let again: AdcEstimates =
            serde_json::from_str(&serde_json::to_string(&range).unwrap()).unwrap();
        assert_eq!(again.refusals, range.refusals);
    }

    #[test]
    fn a_converter_that_nobody_covers_is_refused() {
        let converter = Converter {
            bits: 2,
            node_nm: 28.0,
            rate: Hertz::new(1e9),
            column: None,
        };
        assert!(AdcEstimates::of(&converter).is_err());
    }
}
