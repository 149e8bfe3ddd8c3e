//! Cells that do not answer to writing.

use crossburn_noise::ParameterDraws;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::programming::PIECE;
use crate::HardwareError;

/// Fractions of cells that are stuck, independent of each other and of their targets.
///
/// | key | the cell holds |
/// |---|---|
/// | `stuck_on` | `g_max`, the low resistance |
/// | `stuck_off` | `g_min`, the high resistance |
/// | `unformed` | `g_min`: forming failed, which the sources treat as the high resistance |
///
/// Which of a test chip's `SA0` and `SA1` is the low resistance differs between papers: state it by these names.
///
/// # Source
/// Stuck-at and forming faults as in MemTorch (Lammie et al., Neurocomputing 2022) and NVMExplorer (Pentecost et al.,
/// HPCA 2022).
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Faults {
    /// Fraction stuck at `g_max`.
    pub stuck_on: f64,
    /// Fraction stuck at `g_min`.
    pub stuck_off: f64,
    /// Fraction that was never formed.
    pub unformed: f64,
}

impl Faults {
    /// The same faults, if they are fractions that leave no cell counted twice.
    ///
    /// # Errors
    /// [`HardwareError::Limit`].
    pub fn check(self) -> Result<Self, HardwareError> {
        for (field, value) in [
            ("faults.stuck_on", self.stuck_on),
            ("faults.stuck_off", self.stuck_off),
            ("faults.unformed", self.unformed),
        ] {
            if !(0.0..=1.0).contains(&value) {
                return Err(HardwareError::limit(
                    field,
                    value,
                    "0..=1",
                    "give a fraction of cells",
                ));
            }
        }
        let sum = 1.0 - self.cell_yield();
        // Three fractions written in decimals may sum to one and a rounding.
        if sum > 1.0 + 1e-12 {
            return Err(HardwareError::limit(
                "faults.stuck_on + stuck_off + unformed",
                sum,
                "0..=1",
                "a cell has one fault at most: lower the fractions",
            ));
        }
        Ok(self)
    }

    /// Expected fraction of cells that answer to writing.
    pub fn cell_yield(&self) -> f64 {
        1.0 - (self.stuck_on + self.stuck_off + self.unformed)
    }

    /// Sets stuck cells to what they hold. The same `draws` find the same cells again, before and after ageing.
    pub(super) fn stick(
        &self,
        range: ConductanceRange,
        cells: &mut [f32],
        draws: &dyn ParameterDraws,
    ) {
        let on = self.stuck_on;
        let faulty = on + self.stuck_off + self.unformed;
        cells
            .par_chunks_mut(PIECE)
            .enumerate()
            .for_each(|(piece, cells)| {
                let mut uniforms = vec![0.0; cells.len()];
                draws.fill(piece * PIECE, &mut uniforms);
                for (cell, u) in cells.iter_mut().zip(uniforms) {
                    if u < on {
                        *cell = range.g_max;
                    } else if u < faulty {
                        *cell = range.g_min;
                    }
                }
            });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(
        1.5,
        0.0,
        0.0,
        "faults.stuck_on = 1.5 is outside 0..=1: give a fraction of cells"
    )]
    #[case(
        0.0,
        f64::NAN,
        0.0,
        "faults.stuck_off = NaN is outside 0..=1: give a fraction of cells"
    )]
    #[case(
        0.5,
        0.25,
        0.5,
        "faults.stuck_on + stuck_off + unformed = 1.25 is outside 0..=1: a cell has one fault at most: lower the fractions"
    )]
    fn fractions_that_are_none_are_refused(
        #[case] stuck_on: f64,
        #[case] stuck_off: f64,
        #[case] unformed: f64,
        #[case] message: &str,
    ) {
        let faults = Faults {
            stuck_on,
            stuck_off,
            unformed,
        };
        assert_eq!(faults.check().unwrap_err().to_string(), message);
    }
}
