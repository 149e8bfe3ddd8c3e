//! Which currents a converter tells apart.

use serde::{Deserialize, Serialize};

use crate::HardwareError;

/// Normalised currents from `lo` to `hi`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CurrentRange {
    /// The current of code 0.
    pub lo: f32,
    /// The current of the last code.
    pub hi: f32,
}

/// Width of a range of which 2¹⁶ steps, and their reciprocals, are still numbers: 2⁻¹⁰⁰, 8e-31.
pub(super) const LEAST_WIDTH: f32 = 1.0 / (1u128 << 100) as f32;

impl CurrentRange {
    /// Whether it reaches as far below zero as above it.
    pub(super) fn is_symmetric(&self) -> bool {
        self.lo == -self.hi
    }

    /// # Errors
    /// [`HardwareError::Limit`] unless `lo < hi`, both finite, and far enough apart for steps.
    pub(super) fn check(&self) -> Result<(), HardwareError> {
        let width = self.hi - self.lo;
        if width >= LEAST_WIDTH && width.is_finite() {
            return Ok(());
        }
        Err(HardwareError::limit(
            "range",
            format!("[{}, {}]", self.lo, self.hi),
            "lo < hi, at least 1e-30 apart",
            "use finite limits in normalised current",
        ))
    }
}

/// How the range of a converter is chosen. In TOML `range = "max"`, or `range = { fixed = { lo = -2.0, hi = 2.0 } }`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum AdcRange {
    /// As many fully conducting cells as the array has inputs, of both signs where currents can be negative: nothing is
    /// ever clipped, and most codes are never seen.
    #[default]
    Max,
    /// One code per step of a cell and of an input. Needs about `log2(rows) + cell bits + input bits` bits; fewer are
    /// refused.
    Granular,
    /// The same limits for all slices.
    Fixed {
        /// The current of code 0.
        lo: f32,
        /// The current of the last code.
        hi: f32,
    },
    /// Limits per slice from profiled currents: see [`CurrentProfile`](super::CurrentProfile).
    Calibrated {
        /// The percentile that is not clipped, above 50, up to 100; its mirror image at the lower end.
        percentile: f64,
    },
}

impl AdcRange {
    pub(super) fn check(&self) -> Result<(), HardwareError> {
        match *self {
            Self::Max | Self::Granular => Ok(()),
            Self::Fixed { lo, hi } => CurrentRange { lo, hi }.check(),
            Self::Calibrated { percentile } if percentile > 50.0 && percentile <= 100.0 => Ok(()),
            Self::Calibrated { percentile } => Err(HardwareError::limit(
                "percentile",
                percentile,
                "50..=100, without 50",
                "use 100 to clip nothing",
            )),
        }
    }
}

/// The currents that a range must cover.
pub(super) struct Span {
    /// Inputs of the fullest array.
    pub(super) rows: usize,
    /// Steps of a cell, and normalised conductance between `g_min` and `g_max`; `None` where a cell takes any conductance.
    pub(super) cell: Option<(u32, f32)>,
    /// Input steps that are applied at a time.
    pub(super) input_steps: u32,
    /// Whether currents can be negative.
    pub(super) signed: bool,
}

impl Span {
    /// Plus or minus all cells.
    pub(super) fn max(&self) -> CurrentRange {
        let hi = self.rows as f32;
        let lo = if self.signed { -hi } else { 0.0 };
        CurrentRange { lo, hi }
    }

    /// One step of the converter for one step of cell and input.
    ///
    /// # Source
    /// Xiao et al., IEEE Circuits and Systems Magazine 2022, section on ADC ranges; the steps are counted here instead of
    /// their bits.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where `steps` are too few, [`HardwareError::Conflict`] where cells have no steps.
    pub(super) fn granular(&self, bits: u8, steps: u32) -> Result<CurrentRange, HardwareError> {
        let Some((cell_steps, full)) = self.cell else {
            return Err(HardwareError::conflict(
                "adc range = granular: the cells of this scheme have no steps",
                "use range = max or calibrated",
            ));
        };
        let levels = self.rows as u64 * u64::from(cell_steps) * u64::from(self.input_steps);
        // Zero is a code: of an odd number of steps one more lies above it.
        let below = if self.signed { steps / 2 } else { 0 };
        if u64::from(steps - below).min(if self.signed { below.into() } else { u64::MAX }) < levels
        {
            let needed = (levels as f64 + 1.0).log2().ceil() as u32 + u32::from(self.signed);
            return Err(HardwareError::limit(
                "adc bits",
                bits,
                format!("{needed}.. for range = granular over {} rows", self.rows),
                "use more bits, fewer rows, smaller slices, or another range",
            ));
        }
        let step = full / cell_steps as f32 / self.input_steps as f32;
        Ok(CurrentRange {
            lo: -(below as f32) * step,
            hi: (steps - below) as f32 * step,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn span(signed: bool) -> Span {
        Span {
            rows: 128,
            cell: Some((3, 0.99)),
            input_steps: 1,
            signed,
        }
    }

    #[test]
    fn a_granular_step_is_a_step_of_the_cell() {
        // 128 rows of two bits and one: 384 levels, which 9 bits tell apart; with a sign 10.
        let range = span(false).granular(9, 511).unwrap();
        assert_eq!((range.lo, range.hi), (0.0, 511.0 * 0.33));
        let range = span(true).granular(10, 1023).unwrap();
        assert_eq!((range.lo, range.hi), (-511.0 * 0.33, 512.0 * 0.33));
        let message = span(true).granular(9, 511).unwrap_err().to_string();
        assert_eq!(
            message,
            "adc bits = 9 is outside 10.. for range = granular over 128 rows: use more bits, fewer rows, smaller slices, \
             or another range"
        );
        assert!(span(false).granular(8, 255).is_err());
    }
}
