//! Write-verify in steps: each pulse corrects a part of the error.

use crossburn_noise::ParameterDraws;
use serde::Serialize;

use super::programmed::{Cell, pulse_until_verified, require, require_verification};
use super::{Acceptance, Programmed};
use crate::HardwareError;
use crate::device::ConductanceRange;

/// One write, then pulses that each correct a fraction of the error that was read, with noise of their own.
///
/// ```text
/// g_1     = max(target + σ span ξ_1, 0)
/// g_{k+1} = max(g_k + c (target - g_k) + σ_pulse span ξ_{k+1}, 0)    until |g_k - target| <= tolerance span, or k = maximum
/// ```
///
/// With `correction = 1` and `sigma_pulse = sigma_before` this is [`WriteVerify`](super::WriteVerify). A pulse starts where
/// the last one ended, so the number of pulses is not geometric; there is no law in closed form to draw from.
///
/// # Source
/// The closed-loop pulse trains of Milo et al., "Accurate program/verify schemes of resistive switching memory (RRAM) for
/// in-memory neural network circuits", IEEE Trans. Electron Devices 2021, reduced to a linear response with additive noise.
///
/// In TOML: `tolerance`, `sigma_before`, `correction`, `sigma_pulse`, `maximum_pulses`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct IncrementalWriteVerify {
    tolerance: f64,
    sigma_before: f64,
    correction: f64,
    sigma_pulse: f64,
    maximum_pulses: u32,
}

impl IncrementalWriteVerify {
    /// Accepts cells within `tolerance` of the target. The first write deviates by `sigma_before`; each later pulse
    /// corrects the fraction `correction` of the error and adds a deviation of `sigma_pulse`. Tolerance and deviations are
    /// fractions of the range of conductances.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for tolerances and deviations that are not positive and finite (`sigma_pulse` may be 0),
    /// for corrections outside 0..2, which never settle, and outside 1..=2^20 pulses.
    pub fn new(
        tolerance: f64,
        sigma_before: f64,
        correction: f64,
        sigma_pulse: f64,
        maximum_pulses: u32,
    ) -> Result<Self, HardwareError> {
        require_verification(
            &[("tolerance", tolerance), ("sigma_before", sigma_before)],
            maximum_pulses,
        )?;
        require(
            "correction",
            correction,
            correction > 0.0 && correction < 2.0,
            "0..2, both excluded",
            "use a fraction up to 1 of the error",
        )?;
        require(
            "sigma_pulse",
            sigma_pulse,
            sigma_pulse >= 0.0,
            "the finite numbers from 0 on",
            "give it as a fraction of the range of conductances, such as 0.02",
        )?;
        Ok(Self {
            tolerance,
            sigma_before,
            correction,
            sigma_pulse,
            maximum_pulses,
        })
    }

    /// Largest accepted distance from the target, as a fraction of the range.
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// Programs pulse by pulse.
    ///
    /// `targets` in µS; the tolerance and deviations are relative to the span of `range`.
    pub fn program(
        &self,
        targets: &[f32],
        range: ConductanceRange,
        draws: &dyn ParameterDraws,
    ) -> Programmed {
        let cells = self.program_cells(targets, range, draws, |_| true);
        Programmed::of_cells(&cells, |_| true)
    }

    /// Cells that are verified, and others that are written once.
    pub(super) fn program_cells(
        &self,
        targets: &[f32],
        range: ConductanceRange,
        draws: &dyn ParameterDraws,
        verified: impl Fn(usize) -> bool + Sync,
    ) -> Vec<Cell> {
        let span = f64::from(range.span());
        pulse_until_verified(
            targets,
            draws,
            Acceptance::new(self.tolerance, range),
            self.maximum_pulses,
            verified,
            |target, before, normal| match before {
                None => target + self.sigma_before * span * normal,
                Some(g) => g + self.correction * (target - g) + self.sigma_pulse * span * normal,
            },
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::program::WriteVerify;
    use crossburn_noise::Philox;

    const RANGE: ConductanceRange = ConductanceRange {
        g_min: 0.0,
        g_max: 100.0,
    };

    #[test]
    fn a_full_correction_is_a_new_write() {
        let draws = Philox::new(1, 1);
        let steps = IncrementalWriteVerify::new(0.05, 0.1, 1.0, 0.1, 50).unwrap();
        let anew = WriteVerify::new(0.05, 0.1, 50).unwrap();
        let targets = vec![60.0; 10_000];
        let (steps, anew) = (
            steps.program(&targets, RANGE, &draws),
            anew.program(&targets, RANGE, &draws),
        );
        assert_eq!(steps.pulses, anew.pulses);
        // g + (target - g) is the target up to one rounding, and the result is rounded to f32.
        let close = |(a, b): (&f32, &f32)| (a - b).abs() < 1e-5;
        assert!(steps.conductances.iter().zip(&anew.conductances).all(close));
    }

    #[test]
    fn without_acceptance_deviations_follow_the_recursion() {
        // A tolerance that no f64 meets: σ_{k+1}² = (1-c)² σ_k² + σ_pulse². Targets lie 8 σ from 0 µS.
        let (n, sigma, correction, pulse, count) = (100_000, 0.06, 0.4, 0.02, 5);
        let verify = IncrementalWriteVerify::new(1e-300, sigma, correction, pulse, count).unwrap();
        let programmed = verify.program(&vec![50.0; n], RANGE, &Philox::new(4, 4));
        assert_eq!(programmed.failures.len(), n);
        let variance = (1..count).fold(sigma * sigma, |variance: f64, _| {
            (1.0 - correction).powi(2) * variance + pulse * pulse
        });
        let expected = 1e4 * variance;
        let found = programmed
            .conductances
            .iter()
            .map(|g| f64::from(g - 50.0).powi(2))
            .sum::<f64>()
            / n as f64;
        // The variance of n normals has the relative standard error √(2/n): five of them.
        assert!(
            (found / expected - 1.0).abs() < 5.0 * (2.0 / n as f64).sqrt(),
            "{found} {expected}"
        );
    }

    #[test]
    fn without_pulse_noise_the_error_shrinks_geometrically() {
        let verify = IncrementalWriteVerify::new(0.01, 0.2, 0.5, 0.0, 50).unwrap();
        let programmed = verify.program(&vec![50.0; 1000], RANGE, &Philox::new(9, 4));
        assert!(programmed.failures.is_empty());
        // At most 6.34 σ at first, halved until 1: log2(127) < 7 pulses more.
        assert!(programmed.pulses.iter().all(|pulses| *pulses <= 8));
        assert!(programmed.pulses.iter().any(|pulses| *pulses > 4));
    }

    #[test]
    fn settings_are_checked() {
        let message = IncrementalWriteVerify::new(0.01, 0.2, 2.0, 0.0, 50)
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "correction = 2 is outside 0..2, both excluded: use a fraction up to 1 of the error"
        );
    }
}
