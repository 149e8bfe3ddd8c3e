//! The section `[programming]`: which of the ways to verify.

use crossburn_noise::ParameterDraws;
use serde::{Deserialize, Serialize};

use super::programmed::Cell;
use super::{IncrementalWriteVerify, Programmed, WriteVerify};
use crate::HardwareError;
use crate::device::ConductanceRange;

/// How writes are verified: each pulse writes anew, or corrects a part of the error.
///
/// In TOML one table. With `correction` and `sigma_pulse` pulses correct, without them they write anew:
///
/// ```toml
/// tolerance = 0.05
/// sigma_before = 0.1
/// correction = 0.5          # the part of the error that a pulse corrects
/// sigma_pulse = 0.02        # deviation of such a pulse, as a fraction of the range
/// maximum_pulses = 100
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged, try_from = "Unchecked")]
pub enum Verification {
    /// Each pulse writes anew.
    Redraw(WriteVerify),
    /// Each pulse corrects a part of the error.
    Incremental(IncrementalWriteVerify),
}

impl Verification {
    /// Largest accepted distance from the target, as a fraction of the range.
    pub fn tolerance(&self) -> f64 {
        match self {
            Self::Redraw(verify) => verify.tolerance(),
            Self::Incremental(verify) => verify.tolerance(),
        }
    }

    /// Programs all cells. `targets` in µS; tolerance and deviations are relative to the span of `range`.
    pub fn draw(
        &self,
        targets: &[f32],
        range: ConductanceRange,
        draws: &dyn ParameterDraws,
    ) -> Programmed {
        Programmed::of_cells(&self.cells(targets, range, draws, |_| true), |_| true)
    }

    /// Cells that are verified, and others that are written once.
    pub(super) fn cells(
        &self,
        targets: &[f32],
        range: ConductanceRange,
        draws: &dyn ParameterDraws,
        verified: impl Fn(usize) -> bool + Sync,
    ) -> Vec<Cell> {
        match self {
            Self::Redraw(verify) => verify.draw_cells(targets, range, draws, verified),
            Self::Incremental(verify) => verify.program_cells(targets, range, draws, verified),
        }
    }
}

impl From<WriteVerify> for Verification {
    fn from(verify: WriteVerify) -> Self {
        Self::Redraw(verify)
    }
}

impl From<IncrementalWriteVerify> for Verification {
    fn from(verify: IncrementalWriteVerify) -> Self {
        Self::Incremental(verify)
    }
}

/// The form in files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    tolerance: f64,
    sigma_before: f64,
    correction: Option<f64>,
    sigma_pulse: Option<f64>,
    maximum_pulses: u32,
}

impl TryFrom<Unchecked> for Verification {
    type Error = HardwareError;

    fn try_from(verify: Unchecked) -> Result<Self, HardwareError> {
        let Unchecked {
            tolerance,
            sigma_before,
            maximum_pulses,
            ..
        } = verify;
        let alone = |given: &str, missing: &str| {
            Err(HardwareError::conflict(
                format!("programming.{given} without programming.{missing}"),
                "give both for pulses that correct, or neither for pulses that write anew",
            ))
        };
        match (verify.correction, verify.sigma_pulse) {
            (None, None) => {
                WriteVerify::new(tolerance, sigma_before, maximum_pulses).map(Self::Redraw)
            }
            (Some(correction), Some(sigma_pulse)) => IncrementalWriteVerify::new(
                tolerance,
                sigma_before,
                correction,
                sigma_pulse,
                maximum_pulses,
            )
            .map(Self::Incremental),
            (Some(_), None) => alone("correction", "sigma_pulse"),
            (None, Some(_)) => alone("sigma_pulse", "correction"),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case("tolerance = 0.05\nsigma_before = 0.1\nmaximum_pulses = 100\n", false)]
    #[case(
        "tolerance = 0.01\nsigma_before = 0.2\ncorrection = 0.5\nsigma_pulse = 0.0\nmaximum_pulses = 50\n",
        true
    )]
    fn both_ways_are_read_and_written(#[case] text: &str, #[case] incremental: bool) {
        let verify: Verification = toml::from_str(text).unwrap();
        assert_eq!(toml::to_string(&verify).unwrap(), text);
        assert_eq!(matches!(verify, Verification::Incremental(_)), incremental);
    }

    #[rstest]
    #[case(
        "correction = 0.5",
        "programming.correction without programming.sigma_pulse"
    )]
    #[case(
        "sigma_pulse = 0.5",
        "programming.sigma_pulse without programming.correction"
    )]
    #[case(
        "correction = 2.0\nsigma_pulse = 0.0",
        "correction = 2 is outside 0..2"
    )]
    #[case("step = 0.5", "unknown field `step`")]
    fn half_a_setting_is_refused(#[case] text: &str, #[case] message: &str) {
        let text = format!("tolerance = 0.05\nsigma_before = 0.1\nmaximum_pulses = 100\n{text}");
        let error = toml::from_str::<Verification>(&text).unwrap_err();
        assert!(error.to_string().contains(message), "{error}");
    }
}
