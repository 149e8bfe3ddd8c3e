//! The cost of one analog-to-digital conversion, by five published models.
//!
//! | name | model | bits | node in nm | energy at 8 bits |
//! |---|---|---|---|---|
//! | `accelergy-survey` | fit to Murmann's survey of published converters | 4..=16 | 7..=350 | 1.71 pJ (32 nm, 1 GS/s) |
//! | `neurosim-sar` | circuit simulation of a successive-approximation converter | 1..=10 | 7, 10, 14, 22, 32, 45, 65, 90, 130 | 0.078 pJ (22 nm) |
//! | `puma` | constants of the PUMA simulator | 1..=8 | 32 | 1.56 pJ |
//! | `wan-2022` | charge-decrement converter of the NeuRRAM chip | 2..=8 | 130 | 39.9 pJ |
//! | `isaac` | component table of ISAAC | 4..=8 | 32 | 1.67 pJ |
//!
//! They differ by more than an order of magnitude: a report names the one it used and prints the range of all of them.
//!
//! ```
//! use crossburn_hardware::cost::{AdcEstimator, AdcEstimates, Converter};
//! use crossburn_hardware::units::Hertz;
//!
//! let converter = Converter { bits: 8, node_nm: 32.0, rate: Hertz::new(1e9), column: None };
//! let puma = AdcEstimator::Puma.estimate(&converter)?;
//! assert_eq!(puma.energy.to_string(), "1.5625 pJ");
//! let range = AdcEstimates::of(&converter)?;
//! assert_eq!(range.estimates.len(), 4);
//! assert!(range.energy_max.get() > 10.0 * range.energy_min.get());
//! # Ok::<(), crossburn_hardware::HardwareError>(())
//! ```

mod accelergy_survey;
mod converter;
mod isaac;
mod neurosim_sar;
mod puma;
mod range;
mod wan_2022;

use std::fmt;

use serde::{Deserialize, Serialize};

pub use converter::{AdcEstimate, Column, Converter};
pub use range::{AdcEstimates, NamedEstimate, Refusal};

use crate::HardwareError;

/// A published model of the cost of a conversion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdcEstimator {
    /// The Accelergy plug-in: an optimistic fit to Murmann's survey.
    AccelergySurvey,
    /// NeuroSim's successive-approximation converter, low-power devices.
    NeurosimSar,
    /// The constants of the PUMA simulator.
    Puma,
    /// The charge-decrement converter of Wan et al., Nature 2022.
    #[serde(rename = "wan-2022")]
    Wan2022,
    /// The component table of ISAAC.
    Isaac,
}

impl AdcEstimator {
    /// Every estimator.
    pub const ALL: [Self; 5] = [
        Self::AccelergySurvey,
        Self::NeurosimSar,
        Self::Puma,
        Self::Wan2022,
        Self::Isaac,
    ];

    /// The name in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Self::AccelergySurvey => accelergy_survey::NAME,
            Self::NeurosimSar => neurosim_sar::NAME,
            Self::Puma => puma::NAME,
            Self::Wan2022 => wan_2022::NAME,
            Self::Isaac => isaac::NAME,
        }
    }

    /// Energy per conversion, area and latency of `converter`.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where the converter is outside the range that the source covers.
    pub fn estimate(self, converter: &Converter) -> Result<AdcEstimate, HardwareError> {
        converter.check()?;
        match self {
            Self::AccelergySurvey => accelergy_survey::estimate(converter),
            Self::NeurosimSar => neurosim_sar::estimate(converter),
            Self::Puma => puma::estimate(converter),
            Self::Wan2022 => wan_2022::estimate(converter),
            Self::Isaac => isaac::estimate(converter),
        }
    }
}

impl fmt::Display for AdcEstimator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::units::Hertz;

    #[test]
    fn every_estimator_is_read_and_written_by_its_name() {
        for estimator in AdcEstimator::ALL {
            let text = serde_json::to_string(&estimator).unwrap();
            assert_eq!(text, format!("\"{estimator}\""));
            let again: AdcEstimator = serde_json::from_str(&text).unwrap();
            assert_eq!(again, estimator);
        }
        assert!(serde_json::from_str::<AdcEstimator>("\"sar\"").is_err());
    }

    #[test]
    fn a_converter_that_cannot_be_is_refused_by_every_estimator() {
        let good = Converter {
            bits: 8,
            node_nm: 32.0,
            rate: Hertz::new(1e8),
            column: None,
        };
        for estimator in AdcEstimator::ALL {
            for bad in [
                Converter { bits: 0, ..good },
                Converter { bits: 17, ..good },
                Converter {
                    node_nm: 0.0,
                    ..good
                },
                Converter {
                    node_nm: f64::NAN,
                    ..good
                },
                Converter {
                    rate: Hertz::new(0.0),
                    ..good
                },
                Converter {
                    rate: Hertz::new(f64::INFINITY),
                    ..good
                },
            ] {
                assert!(
                    matches!(estimator.estimate(&bad), Err(HardwareError::Limit { .. })),
                    "{estimator}"
                );
            }
        }
    }
}
