//! Write-verify: a cell is written and read until it is close enough to its target.

use crossburn_noise::ParameterDraws;
use libm::{erfc, exp, log, log1p, pow};
use serde::{Deserialize, Serialize};

use super::programmed::{
    Cell, PieceDraws, in_pieces, pulse_until_verified, require, require_verification,
};
use super::{Acceptance, Programmed};
use crate::HardwareError;
use crate::device::ConductanceRange;

/// Writes with independent deviations until the target is met within a tolerance.
///
/// ```text
/// g_k = max(target + σ span ξ_k, 0),   ξ_k ~ N(0, 1),   k = 1, 2, … until |g_k - target| <= tolerance span, or k = maximum
/// ```
///
/// A pulse meets the tolerance with the same probability p each time, so the number of pulses is geometric, cut at the
/// maximum, and the conductance is a truncated normal, whichever pulse met it. [`Self::program`] pulses; [`Self::draw`]
/// draws from these laws directly, with two random numbers per cell.
///
/// # Source
/// The scheme of Shim, Seo and Yu, "Two-step write-verify scheme and impact of the read noise in multilevel RRAM-based
/// inference engine", Semicond. Sci. Technol. 2020. Yan et al., SWIM, DAC 2022, use σ = 0.1 of the range before and 0.03
/// after verification and about ten pulses. Independent draws reach 0.03 with 2.5 pulses from 0.1 and 7.3 from 0.3.
///
/// In TOML: `tolerance = 0.05`, `sigma_before = 0.1`, `maximum_pulses = 100`.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct WriteVerify {
    tolerance: f64,
    sigma_before: f64,
    maximum_pulses: u32,
}

impl WriteVerify {
    /// Accepts cells within `tolerance` of the target and writes with deviation `sigma_before`, both fractions of the range
    /// of conductances.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for fractions that are not positive and finite, and outside 1..=2^20 pulses.
    pub fn new(
        tolerance: f64,
        sigma_before: f64,
        maximum_pulses: u32,
    ) -> Result<Self, HardwareError> {
        require_verification(
            &[("tolerance", tolerance), ("sigma_before", sigma_before)],
            maximum_pulses,
        )?;
        Ok(Self {
            tolerance,
            sigma_before,
            maximum_pulses,
        })
    }

    /// The tolerance that leaves cells with deviation `sigma_after`.
    ///
    /// # Errors
    /// As [`Self::new`], and unless `sigma_after` is between 0 and `sigma_before`.
    ///
    /// ```
    /// use crossburn_hardware::program::WriteVerify;
    ///
    /// let verify = WriteVerify::reaching(0.03, 0.1, 100)?;
    /// assert_eq!(format!("{:.1}", verify.mean_pulses()), "2.5");
    /// # Ok::<(), crossburn_hardware::HardwareError>(())
    /// ```
    pub fn reaching(
        sigma_after: f64,
        sigma_before: f64,
        maximum_pulses: u32,
    ) -> Result<Self, HardwareError> {
        let limit = format!("0..{sigma_before}, both excluded");
        require(
            "sigma_after",
            sigma_after,
            sigma_after > 0.0 && sigma_after < sigma_before,
            &limit,
            "use a deviation below the one of a single write",
        )?;
        // The deviation grows with the tolerance: from tolerance / √3 towards sigma_before.
        let (mut low, mut high) = (0.0, 40.0 * sigma_before);
        for _ in 0..200 {
            let middle = 0.5 * (low + high);
            let found = Self::new(middle, sigma_before, maximum_pulses)?.sigma_after();
            if found < sigma_after {
                low = middle;
            } else {
                high = middle;
            }
        }
        Self::new(high, sigma_before, maximum_pulses)
    }

    /// Deviation of a single write, as a fraction of the range.
    pub fn sigma_before(&self) -> f64 {
        self.sigma_before
    }

    /// Largest accepted distance from the target, as a fraction of the range.
    pub fn tolerance(&self) -> f64 {
        self.tolerance
    }

    /// Pulses after which a cell is left as it is.
    pub fn maximum_pulses(&self) -> u32 {
        self.maximum_pulses
    }

    /// Probability that one pulse meets the tolerance, for a target farther from 0 µS than the tolerance.
    pub fn acceptance(&self) -> f64 {
        1.0 - erfc(self.tolerance / self.sigma_before / std::f64::consts::SQRT_2)
    }

    /// Expected pulses of such a cell: `(1 - (1-p)^maximum) / p`.
    pub fn mean_pulses(&self) -> f64 {
        let p = self.acceptance();
        (1.0 - pow(1.0 - p, f64::from(self.maximum_pulses))) / p
    }

    /// Expected fraction of such cells that never meet the tolerance: `(1-p)^maximum`.
    pub fn failure_probability(&self) -> f64 {
        pow(1.0 - self.acceptance(), f64::from(self.maximum_pulses))
    }

    /// Deviation of an accepted cell of that kind, as a fraction of the range: that of the normal truncated at ±tolerance.
    pub fn sigma_after(&self) -> f64 {
        let t = self.tolerance / self.sigma_before;
        if t < 1e-3 {
            // Uniform, up to t² / 15 of its variance; below, the difference of the closed form loses all digits.
            return self.tolerance / 3f64.sqrt();
        }
        let density = exp(-0.5 * t * t) / (2.0 * std::f64::consts::PI).sqrt();
        self.sigma_before * (1.0 - 2.0 * t * density / self.acceptance()).sqrt()
    }

    /// Programs pulse by pulse.
    ///
    /// `targets` in µS; the tolerance and deviation are relative to the span of `range`.
    pub fn program(
        &self,
        targets: &[f32],
        range: ConductanceRange,
        draws: &dyn ParameterDraws,
    ) -> Programmed {
        let sigma = self.sigma_before * f64::from(range.span());
        let cells = pulse_until_verified(
            targets,
            draws,
            Acceptance::new(self.tolerance, range),
            self.maximum_pulses,
            |_| true,
            |target, _, normal| target + sigma * normal,
        );
        Programmed::of_cells(&cells, |_| true)
    }

    /// The same in distribution, in closed form: the time of two draws per cell, however many pulses there are.
    pub fn draw(
        &self,
        targets: &[f32],
        range: ConductanceRange,
        draws: &dyn ParameterDraws,
    ) -> Programmed {
        let cells = self.draw_cells(targets, range, draws, |_| true);
        Programmed::of_cells(&cells, |_| true)
    }

    /// Cells that are verified, and others that are written once.
    pub(super) fn draw_cells(
        &self,
        targets: &[f32],
        range: ConductanceRange,
        draws: &dyn ParameterDraws,
        verified: impl Fn(usize) -> bool + Sync,
    ) -> Vec<Cell> {
        let span = f64::from(range.span());
        let sigma = self.sigma_before * span;
        let acceptance = Acceptance::new(self.tolerance, range);
        let far = cumulative(-self.tolerance * span / sigma);
        in_pieces(
            targets,
            draws,
            |draws: &PieceDraws<'_>, first, targets, cells| {
                let times = draws.uniforms(0);
                let mut places = draws.uniforms(1);
                for (index, ((cell, time), place)) in
                    cells.iter_mut().zip(times).zip(&mut places).enumerate()
                {
                    if !verified(first + index) {
                        cell.pulses = 1;
                        continue;
                    }
                    // All that lies below becomes 0 µS, which is accepted where the tolerance reaches it.
                    let below = match acceptance.accepts(0.0, targets[index].into()) {
                        true => 0.0,
                        false => far,
                    };
                    let accepted = 1.0 - far - below;
                    // P(pulses > k) = (1-p)^k.
                    let pulses = (log(time) / log1p(-accepted)).ceil().max(1.0);
                    cell.failed = pulses > f64::from(self.maximum_pulses);
                    cell.pulses = pulses.min(f64::from(self.maximum_pulses)) as u32;
                    *place = match cell.failed {
                        false => below + *place * accepted,
                        true => {
                            let outside = *place * (far + below);
                            outside + if outside < below { 0.0 } else { accepted }
                        }
                    };
                    *place = place.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON);
                }
                crossburn_kernels::normal_quantiles(&mut places);
                for ((cell, normal), target) in cells.iter_mut().zip(places).zip(targets) {
                    cell.conductance = (f64::from(*target) + sigma * normal).max(0.0) as f32;
                }
            },
        )
    }
}

/// The form in files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    tolerance: f64,
    sigma_before: f64,
    maximum_pulses: u32,
}

impl TryFrom<Unchecked> for WriteVerify {
    type Error = HardwareError;

    fn try_from(verify: Unchecked) -> Result<Self, HardwareError> {
        Self::new(verify.tolerance, verify.sigma_before, verify.maximum_pulses)
    }
}

/// Distribution function of the standard normal.
fn cumulative(z: f64) -> f64 {
    0.5 * erfc(-z / std::f64::consts::SQRT_2)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crossburn_noise::Philox;
    use proptest::prelude::*;
    use rstest::rstest;

    const RANGE: ConductanceRange = ConductanceRange {
        g_min: 1.0,
        g_max: 101.0,
    };

    fn moments(values: &[f32], target: f32) -> (f64, f64) {
        let n = values.len() as f64;
        let deviations = || values.iter().map(|g| f64::from(g - target));
        let mean = deviations().sum::<f64>() / n;
        let variance = deviations().map(|d| (d - mean) * (d - mean)).sum::<f64>() / n;
        (mean, variance.sqrt())
    }

    /// n = 200,000 cells; every bound is five standard errors of the difference of two such samples.
    #[rstest]
    #[case::interior(50.0, 0.05, 0.1, 100)]
    #[case::wide(50.0, 0.05, 0.3, 100)]
    #[case::short(50.0, 0.05, 0.3, 4)]
    #[case::one_pulse(50.0, 0.05, 0.1, 1)]
    #[case::at_the_floor(1.0, 0.05, 0.1, 20)]
    #[case::near_the_floor(20.0, 0.05, 0.3, 5)]
    fn drawing_has_the_distribution_of_pulsing(
        #[case] target: f32,
        #[case] tolerance: f64,
        #[case] sigma: f64,
        #[case] maximum: u32,
    ) {
        let n = 200_000;
        let nf = n as f64;
        let verify = WriteVerify::new(tolerance, sigma, maximum).unwrap();
        let targets = vec![target; n];
        let pulsed = verify.program(&targets, RANGE, &Philox::new(1, 1));
        let drawn = verify.draw(&targets, RANGE, &Philox::new(2, 1));
        let ((mean_a, sigma_a), (mean_b, sigma_b)) = (
            moments(&pulsed.conductances, target),
            moments(&drawn.conductances, target),
        );
        assert!(
            (mean_a - mean_b).abs() < 5.0 * sigma_a * (2.0 / nf).sqrt(),
            "{mean_a} {mean_b}"
        );
        // The variance of a sample σ is at most (kurtosis - 1) / 4 σ² / n; the kurtosis of these laws stays below 9, that of
        // a few outliers among truncated draws.
        assert!(
            (sigma_a - sigma_b).abs() < 5.0 * sigma_a * (2.0 * 2.0 / nf).sqrt(),
            "{sigma_a} {sigma_b}"
        );
        for count in 1..=maximum {
            let share = |p: &Programmed| {
                p.pulses.iter().filter(|pulses| **pulses == count).count() as f64 / nf
            };
            let (a, b) = (share(&pulsed), share(&drawn));
            // 5 standard errors of a binomial; the 1/n keeps empty cells comparable.
            let bound = 5.0 * (2.0 * (a.max(b) + 1.0 / nf) / nf).sqrt();
            assert!((a - b).abs() < bound, "{count} pulses: {a} {b}");
        }
        let (a, b) = (
            pulsed.failures.len() as f64 / nf,
            drawn.failures.len() as f64 / nf,
        );
        assert!(
            (a - b).abs() < 5.0 * (2.0 * (a + 1.0 / nf) / nf).sqrt(),
            "{a} {b}"
        );
        for programmed in [&pulsed, &drawn] {
            assert_eq!(programmed.reads, programmed.total_pulses());
            let outside = |(index, g): (usize, &f32)| {
                (f64::from(*g) - f64::from(target)).abs() > 100.0 * tolerance
                    && programmed.failures.binary_search(&index).is_err()
            };
            // One rounding to f32 may step over the bound.
            let stepped = programmed
                .conductances
                .iter()
                .enumerate()
                .filter(|g| outside(*g));
            assert!(stepped.count() < 5);
        }
    }

    #[test]
    fn closed_forms_are_those_of_the_pulses() {
        let n = 400_000;
        let verify = WriteVerify::new(0.05, 0.1, 6).unwrap();
        let pulsed = verify.program(&vec![50.0; n], RANGE, &Philox::new(3, 1));
        // Five standard errors: pulses have a deviation below 2.
        assert!(
            (pulsed.mean_pulses() - verify.mean_pulses()).abs() < 5.0 * 2.0 / (n as f64).sqrt()
        );
        let p = verify.failure_probability();
        let share = pulsed.failures.len() as f64 / n as f64;
        assert!(
            (share - p).abs() < 5.0 * (p / n as f64).sqrt(),
            "{share} {p}"
        );
        let accepted: Vec<f32> = (0..n)
            .filter(|index| pulsed.failures.binary_search(index).is_err())
            .map(|index| pulsed.conductances[index])
            .collect();
        let (_, sigma) = moments(&accepted, 50.0);
        // A truncated normal has a kurtosis below 3: the error of σ is below σ / √(2n).
        let bound = 5.0 * verify.sigma_after() * 100.0 / (2.0 * accepted.len() as f64).sqrt();
        assert!(
            (sigma - 100.0 * verify.sigma_after()).abs() < bound,
            "{sigma}"
        );
    }

    #[rstest]
    #[case(0.1, 2.50)]
    #[case(0.3, 7.26)]
    fn the_reference_deviation_takes_that_many_pulses(#[case] sigma: f64, #[case] pulses: f64) {
        let verify = WriteVerify::reaching(0.03, sigma, 1000).unwrap();
        assert!((verify.sigma_after() - 0.03).abs() < 1e-12);
        assert!(
            (verify.mean_pulses() - pulses).abs() < 0.05,
            "{}",
            verify.mean_pulses()
        );
    }

    #[rstest]
    #[case(0.0, 0.1, 1, "tolerance = 0 is outside the finite numbers above 0")]
    #[case(0.1, f64::NAN, 1, "sigma_before = NaN is outside")]
    #[case(0.1, 0.1, 0, "maximum_pulses = 0 is outside 1..=1048576")]
    fn what_cannot_be_is_refused(
        #[case] tolerance: f64,
        #[case] sigma: f64,
        #[case] maximum: u32,
        #[case] message: &str,
    ) {
        let error = WriteVerify::new(tolerance, sigma, maximum)
            .unwrap_err()
            .to_string();
        assert!(error.starts_with(message), "{error}");
    }

    #[test]
    fn settings_are_read_and_written() {
        let text = "tolerance = 0.05\nsigma_before = 0.1\nmaximum_pulses = 100\n";
        let verify: WriteVerify = toml::from_str(text).unwrap();
        assert_eq!(toml::to_string(&verify).unwrap(), text);
        assert!(toml::from_str::<WriteVerify>("tolerance = 0.05\nsigma = 0.1").is_err());
        assert!(WriteVerify::reaching(0.1, 0.1, 10).is_err());
    }

    #[test]
    fn threads_do_not_change_a_cell() {
        let targets: Vec<f32> = (0..50_000).map(|i| 1.0 + (i % 100) as f32).collect();
        let verify = WriteVerify::new(0.05, 0.2, 30).unwrap();
        let draws = Philox::new(5, 2);
        let all = verify.program(&targets, RANGE, &draws);
        let one = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        assert_eq!(one.install(|| verify.program(&targets, RANGE, &draws)), all);
        let few = verify.program(&targets[..100], RANGE, &draws);
        assert_eq!(few.conductances, all.conductances[..100]);
        let drawn = verify.draw(&targets, RANGE, &draws);
        assert_eq!(one.install(|| verify.draw(&targets, RANGE, &draws)), drawn);
    }

    proptest! {
        #[test]
        fn every_cell_is_within_tolerance_or_a_failure(
            tolerance in 0.001f64..0.5,
            sigma in 0.001f64..0.5,
            maximum in 1u32..20,
            target in 1.0f32..101.0,
            seed: u64,
        ) {
            let verify = WriteVerify::new(tolerance, sigma, maximum).unwrap();
            for programmed in [
                verify.program(&[target; 50], RANGE, &Philox::new(seed, 0)),
                verify.draw(&[target; 50], RANGE, &Philox::new(seed, 0)),
            ] {
                for (index, g) in programmed.conductances.iter().enumerate() {
                    prop_assert!(*g >= 0.0);
                    let pulses = programmed.pulses[index];
                    prop_assert!((1..=maximum).contains(&pulses));
                    let distance = f64::from((g - target).abs());
                    // One rounding to f32.
                    match programmed.failures.binary_search(&index).is_ok() {
                        true => prop_assert!(pulses == maximum && distance >= 100.0 * tolerance - 1e-5),
                        false => prop_assert!(distance <= 100.0 * tolerance + 1e-5),
                    }
                }
            }
        }
    }
}
