//! Charge-trap memory in subthreshold operation.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::elementary::exp;
use super::law::Law;
use super::programming::{Programming, Spread};
use super::read_noise::ReadNoise;
use super::refusal::microsiemens;
use super::relaxation::{Added, Relaxation};
use crate::HardwareError;
use crate::units::{Second, Siemens};

/// A 40 nm SONOS cell. The source gives currents in nA at one read bias; here they are nS at 1 V: 1600 nA is 1600 nS.
///
/// ```text
/// σ(I, t) = A(t) (1 - e^(-I / B(t)))                                                     nA
/// programming   I_p  = max(0, I_T + σ(I_T, 0) ξ)
/// ageing        M    = I_T + shift(I_T, t)
///               I(t) = max(0, I_p + shift(I_T, t) + sqrt(σ(M, t)² - σ(I_T, 0)²) ξ)
/// read noise    12.580 (1 - e^(-I / 215.37))
/// ```
///
/// Writing and ageing together have the mean M and the deviation σ(M, t) that were measured. A, B and the shift are
/// interpolated linearly between days, the shift also between currents.
///
/// # Validity
/// Up to 3200 nS; up to 1800 nS and 5 days with ageing.
///
/// # Source
/// Agrawal et al., IEDM 2022, Fig. 10 (deviation and shift) and Fig. 11b (read noise), 128 K devices, with the fits of
/// Sandia's CrossSim; its polynomial of the shift is tabulated here to 0.1 nA.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SonosConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
}

impl Default for SonosConfig {
    fn default() -> Self {
        Self {
            g_min: Siemens::new(0.16e-12),
            g_max: Siemens::new(1600e-9),
        }
    }
}

const DAY: f64 = 86_400.0;
/// A and B in nA, at 0 to 5 days.
const SPREAD: [(f64, f64); 6] = [
    (19.887, 176.31),
    (25.591, 186.86),
    (28.728, 193.57),
    (31.043, 198.90),
    (33.762, 204.77),
    (34.579, 207.34),
];
/// A and B of a read, nA.
const READ: (f64, f64) = (12.580, 215.37);
/// Currents, nA, of the shifts below.
const CURRENTS: [f64; 22] = [
    0.0, 25.0, 50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0, 900.0, 1000.0,
    1100.0, 1200.0, 1300.0, 1400.0, 1500.0, 1600.0, 1700.0, 1800.0,
];
/// Shift of the mean, nA, at 1 to 5 days.
const SHIFTS: [[f64; 22]; 5] = [
    [
        0.2, 1.2, 1.7, 1.7, 1.3, 1.0, 0.8, 0.6, -0.2, -1.5, -2.8, -3.8, -4.5, -5.1, -6.0, -7.3,
        -8.6, -9.6, -10.2, -11.5, -13.6, -10.3,
    ],
    [
        0.3, 1.5, 2.2, 2.4, 2.0, 1.5, 0.7, -0.1, -1.5, -3.6, -6.0, -8.0, -9.6, -11.2, -12.9, -15.1,
        -17.2, -18.8, -20.2, -22.4, -25.5, -21.0,
    ],
    [
        0.0, 1.9, 3.0, 3.6, 3.4, 3.0, 2.1, 0.8, -1.3, -4.0, -6.8, -9.3, -11.4, -13.5, -15.7, -18.3,
        -20.8, -23.0, -24.9, -26.9, -29.2, -28.8,
    ],
    [
        0.0, 2.0, 3.1, 3.6, 3.1, 2.3, 0.6, -1.5, -4.4, -7.8, -11.1, -13.9, -16.4, -19.1, -22.3,
        -26.0, -29.7, -32.8, -35.3, -38.3, -42.3, -42.1,
    ],
    [
        0.3, 2.4, 3.5, 4.1, 3.6, 2.6, 0.7, -1.5, -4.4, -7.9, -11.7, -15.2, -18.4, -21.6, -25.0,
        -28.5, -31.9, -34.8, -37.4, -40.7, -45.0, -43.4,
    ],
];
/// Largest current with ageing, nA.
const LARGEST_AGED: f64 = 1800.0;

/// The checked form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Sonos {
    range: ConductanceRange,
}

impl SonosConfig {
    pub(super) fn check(&self) -> Result<Sonos, HardwareError> {
        let range =
            ConductanceRange::new(self.g_min, self.g_max)?.within((0.0, 3.2), "the SONOS cell")?;
        Ok(Sonos { range })
    }
}

/// `A (1 - e^(-I / B))`.
#[inline(always)]
fn saturating((a, b): (f64, f64), current: f64) -> f64 {
    a * (1.0 - exp(-current.max(0.0) / b))
}

impl Programming for Sonos {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        Spread {
            mean: target,
            sigma: 1e-3 * saturating(SPREAD[0], 1e3 * target),
        }
    }
}

/// The change that a time adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Shifted {
    spread: (f64, f64),
    /// Shift at no current, and by how much its slope changes at every tabulated current.
    first: f64,
    turns: [f64; 21],
}

impl Shifted {
    fn new(spread: (f64, f64), shifts: [f64; 22]) -> Self {
        let slope = |i: usize| (shifts[i + 1] - shifts[i]) / (CURRENTS[i + 1] - CURRENTS[i]);
        let turns = std::array::from_fn(|i| match i {
            0 => slope(0),
            _ => slope(i) - slope(i - 1),
        });
        Self {
            spread,
            first: shifts[0],
            turns,
        }
    }

    /// Shift of the mean at a current, nA: straight lines between the tabulated ones, as a sum of hinges, which unlike a
    /// search runs on vectors.
    #[inline(always)]
    fn shift(&self, current: f64) -> f64 {
        let mut shift = self.first;
        for (turn, knot) in self.turns.iter().zip(CURRENTS) {
            shift += turn * (current - knot).max(0.0);
        }
        shift
    }
}

impl Added for Shifted {
    #[inline(always)]
    fn added(&self, target: f64) -> Spread {
        let current = 1e3 * target;
        let shift = self.shift(current);
        let fresh = saturating(SPREAD[0], current);
        let aged = saturating(self.spread, current + shift);
        Spread {
            mean: 1e-3 * shift,
            sigma: 1e-3 * (aged * aged - fresh * fresh).max(0.0).sqrt(),
        }
    }
}

/// Reads at any time.
#[derive(Clone, Copy, Debug)]
pub(super) struct SonosRead;

impl ReadNoise for SonosRead {
    #[inline(always)]
    fn sigma(&self, conductance: f64) -> f64 {
        1e-3 * saturating(READ, 1e3 * conductance)
    }
}

impl Law for Sonos {
    type Ageing = Relaxation<Shifted>;
    type Read = SonosRead;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    fn ageing(&self, after: f64) -> Result<Option<Relaxation<Shifted>>, HardwareError> {
        let days = after / DAY;
        if days > 5.0 {
            return Err(HardwareError::limit(
                "after",
                Second::new(after),
                "the measured times 0 s..5 d of the SONOS cell",
                "choose a time up to 5 d",
            ));
        }
        if 1e3 * self.range.g_max > LARGEST_AGED as f32 {
            return Err(HardwareError::limit(
                "g_max",
                microsiemens(self.range.g_max),
                "the conductances up to 1800 nS whose ageing was measured",
                "choose a smaller g_max, or leave `after` out",
            ));
        }
        let day = (days as usize).min(4);
        let share = days - day as f64;
        let between = |a: f64, b: f64| a + share * (b - a);
        let ((a0, b0), (a1, b1)) = (SPREAD[day], SPREAD[day + 1]);
        let shifts = std::array::from_fn(|i| {
            // Nothing has moved on day 0.
            let before = day.checked_sub(1).map_or(0.0, |day| SHIFTS[day][i]);
            between(before, SHIFTS[day][i])
        });
        let spread = (between(a0, a1), between(b0, b1));
        Ok(Some(Relaxation(Shifted::new(spread, shifts))))
    }

    fn read(&self, _after: f64) -> Option<SonosRead> {
        Some(SonosRead)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn at(after: f64) -> Shifted {
        let law = SonosConfig::default().check().unwrap();
        law.ageing(after).unwrap().unwrap().0
    }

    #[test]
    fn means_shift_as_the_fit_says() {
        for (days, expected) in [
            (1.0, [1.7, 1.0, 0.6, -3.8, -7.3, -11.5]),
            (5.0, [3.6, 2.6, -1.5, -15.2, -28.5, -40.7]),
        ] {
            let law = at(days * DAY);
            for (current, expected) in [50.0, 200.0, 400.0, 800.0, 1200.0, 1600.0]
                .into_iter()
                .zip(expected)
            {
                let found = law.added(1e-3 * current).mean * 1e3;
                // One decimal, once in the table and once in the expectation.
                assert!(
                    (found - expected).abs() < 0.101,
                    "{days} {current}: {found}"
                );
            }
        }
        let (one, two) = (at(DAY), at(2.0 * DAY));
        let half = at(1.5 * DAY).added(0.7).mean;
        assert!((half - 0.5 * (one.added(0.7).mean + two.added(0.7).mean)).abs() < 1e-12);
        // A tenth of the first day moves a tenth of its shift.
        assert!((at(0.1 * DAY).added(0.7).mean - 0.1 * one.added(0.7).mean).abs() < 1e-12);
        // Halfway between two tabulated currents.
        let mean = 0.5 * (one.shift(1600.0) + one.shift(1700.0));
        assert!((one.shift(1650.0) - mean).abs() < 1e-12);
    }

    #[test]
    fn written_and_aged_cells_scatter_as_measured() {
        let law = SonosConfig::default().check().unwrap();
        for (day, (a, b)) in SPREAD.into_iter().enumerate().skip(1) {
            let later = at(day as f64 * DAY);
            for target in [0.01, 0.05, 0.4, 1.6] {
                let added = later.added(target);
                let total = law.spread(target).sigma.hypot(added.sigma);
                let expected = 1e-3 * a * (1.0 - libm::exp(-1e3 * (target + added.mean) / b));
                assert!(
                    (total - expected).abs() < 1e-12,
                    "{day} {target}: {total} {expected}"
                );
            }
        }
        assert!(
            (SonosRead.sigma(1.6) - 0.012_580 * (1.0 - libm::exp(-1600.0 / 215.37))).abs() < 1e-15
        );
    }

    #[test]
    fn what_was_not_measured_is_refused() {
        let law = SonosConfig::default().check().unwrap();
        assert_eq!(
            law.ageing(6.0 * DAY).unwrap_err().to_string(),
            "after = 6 d is outside the measured times 0 s..5 d of the SONOS cell: choose a time up to 5 d"
        );
        let large = SonosConfig {
            g_max: Siemens::new(3200e-9),
            ..SonosConfig::default()
        };
        assert_eq!(
            large.check().unwrap().ageing(DAY).unwrap_err().to_string(),
            "g_max = 3.2 uS is outside the conductances up to 1800 nS whose ageing was measured: choose a smaller g_max, or \
             leave `after` out"
        );
        let larger = SonosConfig {
            g_max: Siemens::new(3300e-9),
            ..SonosConfig::default()
        };
        assert!(larger.check().is_err());
    }
}
