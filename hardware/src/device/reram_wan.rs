//! Resistive memory of the NeuRRAM chip.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::law::Law;
use super::programming::{Programming, Spread};
use super::read_noise::ReadNoise;
use super::refusal::not_negative;
use super::relaxation::{Added, Relaxation};
use crate::HardwareError;
use crate::units::{Second, Siemens};

/// A TiN/HfOx cell that relaxes for two days.
///
/// ```text
/// r = g_T / g_max                      σ(t) = (g_max / 40 uS)(c0 + c1 r + c2 r² + c3 r³ + c4 r⁴) uS
/// programming   g_p  = max(0, g_T + σ(1 s) ξ)
/// relaxation    g(t) = max(0, g_p + sqrt(σ(t)² - σ(1 s)²) ξ)          the mean does not drift
/// read noise    read_noise_rel_gmax * g_max
/// ```
///
/// The source measured the deviation from the target after 1 s, 1 day and 2 days, programming and relaxation together;
/// the deviation of 1 s counts as programming, and what is added later as relaxation. Between two times σ is
/// interpolated linearly in ln t. Within the first second nothing is added.
///
/// # Validity
/// Up to 2 days.
///
/// # Source
/// Wan et al., Nature 2022, Extended Data Fig. 3, with the coefficients of IBM's analog hardware acceleration kit, which
/// does not scale them for another `g_max`; here they are.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReramWanConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
    /// Standard deviation of one read, as a fraction of `g_max`.
    pub read_noise_rel_gmax: f64,
}

impl Default for ReramWanConfig {
    fn default() -> Self {
        Self {
            g_min: Siemens::new(0.0),
            g_max: Siemens::new(40e-6),
            read_noise_rel_gmax: 0.01,
        }
    }
}

/// Time since writing, s, and the coefficients c0 to c4 of σ, uS at `g_max` = 40 uS.
const TABLE: [(f64, [f64; 5]); 3] = [
    (1.0, [0.348, 16.030, -43.853, 45.393, -16.815]),
    (86_400.0, [0.701, 22.086, -50.773, 47.095, -16.458]),
    (172_800.0, [0.782, 20.274, -43.507, 37.062, -11.934]),
];
/// `g_max` of the fit, uS.
const FITTED: f64 = 40.0;

/// The checked form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ReramWan {
    range: ConductanceRange,
    g_max: f64,
    read: f64,
}

impl ReramWanConfig {
    pub(super) fn check(&self) -> Result<ReramWan, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?;
        let read = not_negative("read_noise_rel_gmax", self.read_noise_rel_gmax)?;
        let g_max = f64::from(range.g_max);
        Ok(ReramWan {
            range,
            g_max,
            read: read * g_max,
        })
    }
}

impl ReramWan {
    #[inline(always)]
    fn sigma(&self, coefficients: [f64; 5], target: f64) -> f64 {
        let r = target / self.g_max;
        let sum = coefficients
            .into_iter()
            .rev()
            .fold(0.0, |sum, c| sum * r + c);
        (sum * (self.g_max / FITTED)).max(0.0)
    }
}

impl Programming for ReramWan {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        Spread {
            mean: target,
            sigma: self.sigma(TABLE[0].1, target),
        }
    }
}

/// The change that a time adds. σ is linear in the coefficients, so the coefficients are interpolated.
#[derive(Clone, Copy, Debug)]
pub(super) struct Later {
    law: ReramWan,
    coefficients: [f64; 5],
}

impl Added for Later {
    #[inline(always)]
    fn added(&self, target: f64) -> Spread {
        let [first, now] = [TABLE[0].1, self.coefficients].map(|c| self.law.sigma(c, target));
        Spread {
            mean: 0.0,
            sigma: (now * now - first * first).max(0.0).sqrt(),
        }
    }
}

/// The same noise whatever the conductance.
#[derive(Clone, Copy, Debug)]
pub(super) struct Constant(f64);

impl ReadNoise for Constant {
    #[inline(always)]
    fn sigma(&self, _conductance: f64) -> f64 {
        self.0
    }
}

impl Law for ReramWan {
    type Ageing = Relaxation<Later>;
    type Read = Constant;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    fn ageing(&self, after: f64) -> Result<Option<Relaxation<Later>>, HardwareError> {
        let [(t0, first), (t1, second), (t2, third)] = TABLE;
        if after > t2 {
            return Err(HardwareError::limit(
                "after",
                Second::new(after),
                "the measured times 0 s..2 d of Wan et al. 2022",
                "choose a time up to 2 d",
            ));
        }
        let ((ta, a), (tb, b)) = if after <= t1 {
            ((t0, first), (t1, second))
        } else {
            ((t1, second), (t2, third))
        };
        let share = libm::log(after.max(t0) / ta) / libm::log(tb / ta);
        let coefficients = std::array::from_fn(|i| a[i] + share * (b[i] - a[i]));
        Ok(Some(Relaxation(Later {
            law: *self,
            coefficients,
        })))
    }

    fn read(&self, _after: f64) -> Option<Constant> {
        (self.read > 0.0).then_some(Constant(self.read))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn deviations_are_those_of_the_table() {
        let law = ReramWanConfig::default().check().unwrap();
        for (after, expected) in [
            (1.0, [2.26, 2.02, 1.10]),
            (86_400.0, [3.72, 3.91, 2.65]),
            (172_800.0, [3.66, 3.93, 2.68]),
        ] {
            let Relaxation(later) = law.ageing(after).unwrap().unwrap();
            for (r, expected) in [0.25, 0.5, 1.0].into_iter().zip(expected) {
                let target = 40.0 * r;
                let total = law.spread(target).sigma.hypot(later.added(target).sigma);
                // Two decimals, and coefficients of three.
                assert!((total - expected).abs() < 6e-3, "{after} {r}: {total}");
            }
        }
    }

    #[test]
    fn another_range_scales_everything() {
        let law = ReramWanConfig::default().check().unwrap();
        let smaller = ReramWanConfig {
            g_max: Siemens::new(25e-6),
            ..ReramWanConfig::default()
        };
        let smaller = smaller.check().unwrap();
        // 0.348 + 8.015 - 10.96325 + 5.674125 - 1.0509375 = 2.0229375 of 40 at r = 0.5, whatever g_max is.
        for (law, g_max) in [(law, 40.0), (smaller, 25.0)] {
            assert!((law.spread(0.5 * g_max).sigma / g_max - 2.0229375 / 40.0).abs() < 1e-12);
        }
    }

    #[test]
    fn sigma_is_interpolated_in_the_logarithm_of_time() {
        let law = ReramWanConfig::default().check().unwrap();
        let total = |after: f64, target: f64| {
            let Relaxation(later) = law.ageing(after).unwrap().unwrap();
            law.spread(target).sigma.hypot(later.added(target).sigma)
        };
        // Halfway between 1 s and 1 day in ln t.
        let (half, target) = (86_400f64.sqrt(), 20.0);
        let mean = 0.5 * (total(1.0, target) + total(86_400.0, target));
        assert!((total(half, target) - mean).abs() < 1e-12);
        assert_eq!(total(0.5, target), total(1.0, target));
        assert_eq!(
            law.ageing(200_000.0).unwrap_err().to_string(),
            "after = 2.314814815 d is outside the measured times 0 s..2 d of Wan et al. 2022: choose a time up to 2 d"
        );
    }
}
