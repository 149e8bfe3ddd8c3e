//! Phase-change memory, doped Ge₂Sb₂Te₅, mushroom cell.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::elementary::{exp, ln};
use super::flicker::{Flicker, Level, Part};
use super::law::Law;
use super::power_law::{Exponent, PowerLaw};
use super::programming::{Programming, Spread};
use crate::HardwareError;
use crate::units::Siemens;

/// A phase-change cell that drifts, with 1/f noise.
///
/// ```text
/// r = g_T / g_max,  L = ln((t + t_0) / t_0),  t_0 = 20 s,  t_read = 250 ns
/// programming   g_p = max(0, g_T + σ_p ξ)         σ_p = (g_max / 25 uS)(0.26348 + 1.9650 r - 1.1731 r²) uS
/// drift         g(t) = g_p e^(-ν L)               ν = |μ + s ξ|, one per cell
///               μ = -0.0155 ln r + 0.0244 in [0.049, 0.1],  s = -0.0125 ln r - 0.0059 in [0.008, 0.045]
/// read noise    σ_r = g(t) Q sqrt(ln((t + t_0 + t_read) / (2 t_read))), what fluctuates within 1 s per read, the rest held
///               Q = min(0.0088 / max(r_p^0.65, 0.001), 0.2),  r_p = g_p / g_max
/// ```
///
/// # Validity
/// Fitted for `g_max` = 25 uS; another `g_max` scales all of it. Time counts from the first read, 20 s after writing.
///
/// # Source
/// Nandakumar et al., ICECS 2019, with the coefficients of IBM's analog hardware acceleration kit. For `r_p` the drift
/// is undone with the mean exponent, because a read sees only the drifted conductance.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct PcmMushroomConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
}

impl Default for PcmMushroomConfig {
    fn default() -> Self {
        Self {
            g_min: Siemens::new(0.0),
            g_max: Siemens::new(25e-6),
        }
    }
}

/// First read after writing, s, and read window, s.
const T_0: f64 = 20.0;
const T_READ: f64 = 250e-9;
/// Conductances relative to `g_max` below this have the exponents of this one, which are at their bound.
pub(super) const SMALLEST: f64 = 1e-7;

/// The checked form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct PcmMushroom {
    range: ConductanceRange,
    g_max: f64,
}

impl PcmMushroomConfig {
    pub(super) fn check(&self) -> Result<PcmMushroom, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?;
        Ok(PcmMushroom {
            range,
            g_max: f64::from(range.g_max),
        })
    }
}

impl Programming for PcmMushroom {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        let r = target / self.g_max;
        let sigma = 0.26348 + r * (1.9650 - r * 1.1731);
        Spread {
            mean: target,
            sigma: (sigma * (self.g_max / 25.0)).max(0.0),
        }
    }
}

impl Exponent for PcmMushroom {
    #[inline(always)]
    fn exponent(&self, relative: f64) -> (f64, f64) {
        let log = ln(relative.max(SMALLEST));
        (
            (-0.0155 * log + 0.0244).clamp(0.049, 0.1),
            (-0.0125 * log - 0.0059).clamp(0.008, 0.045),
        )
    }
}

impl Level for PcmMushroom {
    #[inline(always)]
    fn level(&self, written: f64) -> f64 {
        let power = exp(0.65 * ln(written.max(SMALLEST)));
        (0.0088 / power.max(1e-3)).min(0.2)
    }
}

impl PcmMushroom {
    fn flicker(self, after: f64, part: Part) -> Flicker<Self> {
        Flicker::new(self, self.g_max, T_0, T_READ, after, part)
    }
}

impl Law for PcmMushroom {
    type Ageing = PowerLaw<Self>;
    type Read = Flicker<Self>;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    fn ageing(&self, after: f64) -> Result<Option<PowerLaw<Self>>, HardwareError> {
        Ok(Some(PowerLaw::new(*self, self.g_max, T_0, after)))
    }

    fn read(&self, after: f64) -> Option<Flicker<Self>> {
        Some(self.flicker(after, Part::Fast))
    }

    fn held(&self, after: f64) -> Option<Flicker<Self>> {
        Some(self.flicker(after, Part::Slow))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::read_noise::ReadNoise;
    use super::*;

    #[test]
    fn programming_errors_are_those_of_the_fit() {
        let law = PcmMushroomConfig::default().check().unwrap();
        // Three decimals; r = 0.84 is near the peak at 1.9650 / (2 * 1.1731).
        for (r, expected) in [(0.0, 0.263), (0.5, 0.953), (0.84, 1.086), (1.0, 1.055)] {
            let found = law.spread(25.0 * r).sigma;
            assert!((found - expected).abs() < 5.1e-4, "{r}: {found}");
        }
    }

    #[test]
    fn exponents_meet_their_bounds_where_the_source_says() {
        let law = PcmMushroomConfig::default().check().unwrap();
        assert_eq!(law.exponent(0.206).0, 0.049);
        assert!(law.exponent(0.204).0 > 0.049);
        assert_eq!(law.exponent(0.0075).0, 0.1);
        assert!(law.exponent(0.0077).0 < 0.1);
        assert_eq!(law.exponent(0.0), (0.1, 0.045));
        assert_eq!(law.exponent(1.0), (0.049, 0.008));
    }

    #[test]
    fn reads_of_a_fresh_cell_scatter_by_q_times_4_18() {
        let law = PcmMushroomConfig::default().check().unwrap();
        let (read, held) = (law.read(0.0).unwrap(), law.held(0.0).unwrap());
        let sigma = |g: f64| read.sigma(g).hypot(held.sigma(g));
        // r = 1: Q = 0.0088. r = 0.004: 0.0088 / 0.004^0.65 = 0.319, held at 0.2. sqrt(ln(4e7)) = 4.1836.
        assert!((sigma(25.0) - 25.0 * 0.0088 * 4.1838).abs() < 1e-3);
        assert!((sigma(0.1) - 0.1 * 0.2 * 4.1838).abs() < 1e-4);
        assert_eq!(sigma(0.0), 0.0);
    }

    #[test]
    fn reading_a_drifted_cell_finds_the_level_that_it_was_written_to() {
        let law = PcmMushroomConfig::default().check().unwrap();
        for r in [0.02, 0.1, 0.3, 1.0] {
            for after in [60.0, 86_400.0, 31_557_600.0] {
                let drift = PowerLaw::new(law, 25.0, T_0, after);
                let factor = libm::exp(-law.exponent(r).0 * libm::log((after + T_0) / T_0));
                let found = drift.undone(25.0 * r * factor);
                // Three steps of a contraction by 0.0155 L <= 0.23 from an error of 0.1 L <= 1.4, in the logarithm.
                assert!(
                    (found / r).ln().abs() < 1.5 * 0.23f64.powi(3),
                    "{r} {after}: {found}"
                );
            }
        }
    }
}
