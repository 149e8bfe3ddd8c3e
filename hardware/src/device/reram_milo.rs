//! Multilevel resistive memory with program-verify and a nonlinear current.

use serde::{Deserialize, Serialize};

use super::ConductanceRange;
use super::ageing::NoAgeing;
use super::iv_curve::IvCurve;
use super::law::Law;
use super::programming::{Programming, Spread};
use super::read_noise::NoReadNoise;
use crate::HardwareError;
use crate::units::Siemens;

/// A multilevel cell programmed by IGVVA-100.
///
/// ```text
/// g = max(0, g_T + σ_p ξ)                     σ_p = max(0, 4.782321 - 0.009107 g_T) uS, g_T in uS
/// I = g V + N2 V² + N3 V³ (SI units)          L = log10(g)
/// N2 = 1.388e-4 L³ + 1.541e-3 L² + 5.711e-3 L + 7.063e-3,  N3 = 8.871e-5 L² + 6.792e-4 L + 1.297e-3
/// ```
///
/// # Validity
/// 50 to 225 uS and voltages up to 0.5 V; the current is reliable from 62.5 to 110 uS.
///
/// # Source
/// Milo et al., IRPS 2021, Fig. 4 (programming error), with the fits of Sandia's CrossSim.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReramMiloConfig {
    /// Lowest conductance.
    pub g_min: Siemens,
    /// Highest conductance.
    pub g_max: Siemens,
}

impl Default for ReramMiloConfig {
    fn default() -> Self {
        Self {
            g_min: Siemens::new(50e-6),
            g_max: Siemens::new(225e-6),
        }
    }
}

const CURVE: IvCurve = IvCurve {
    second: [7.063e-3, 5.711e-3, 1.541e-3, 1.388e-4],
    third: [1.297e-3, 6.792e-4, 8.871e-5, 0.0],
    valid: (50e-6, 225e-6),
    v_max: 0.5,
    reliable: (62.5e-6, 110e-6),
};

/// The checked form.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct ReramMilo {
    range: ConductanceRange,
}

impl ReramMiloConfig {
    pub(super) fn check(&self) -> Result<ReramMilo, HardwareError> {
        let range = ConductanceRange::new(self.g_min, self.g_max)?
            .within((50.0, 225.0), "Milo et al. 2021")?;
        Ok(ReramMilo { range })
    }
}

impl Programming for ReramMilo {
    #[inline(always)]
    fn spread(&self, target: f64) -> Spread {
        Spread {
            mean: target,
            sigma: (4.782_321 - 0.009_107 * target).max(0.0),
        }
    }
}

impl Law for ReramMilo {
    type Ageing = NoAgeing;
    type Read = NoReadNoise;

    fn range(&self) -> ConductanceRange {
        self.range
    }

    fn iv_curve(&self) -> Option<IvCurve> {
        Some(CURVE)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_current_is_the_polynomial() {
        // g = 100 uS: L = -4, N2 = -8.883200e-3 + 0.024656 - 0.022844 + 0.007063 = -8.2e-6,
        // N3 = 1.41936e-3 - 2.7168e-3 + 1.297e-3 = -4.4e-7.
        let current = CURVE.current(1e-4, 0.5).unwrap();
        let expected = 0.5e-4 - 8.2e-6 * 0.25 - 4.4e-7 * 0.125;
        assert!(
            (current - expected).abs() < 1e-15,
            "{current:e} {expected:e}"
        );
        let slope = CURVE.slope(1e-4, 0.5).unwrap();
        assert!((slope - (1e-4 - 2.0 * 8.2e-6 * 0.5 - 3.0 * 4.4e-7 * 0.25)).abs() < 1e-15);
    }

    /// What products leave out that take a cell for a resistor (docs/hardware.md): the conductance at half of a voltage,
    /// relative to that at the voltage.
    #[test]
    fn a_cell_conducts_otherwise_at_half_the_voltage() {
        let conductance = |voltage: f64| CURVE.current(1e-4, voltage).unwrap() / voltage;
        for (voltage, expected) in [(0.2, 0.0085), (0.5, 0.0223)] {
            let more = conductance(0.5 * voltage) / conductance(voltage) - 1.0;
            assert!((more - expected).abs() < 5e-5, "{voltage}: {more}");
        }
    }

    proptest! {
        #[test]
        fn the_slope_is_the_derivative_and_positive(g in 62.5e-6f64..110e-6, v in -0.49f64..0.49) {
            let h = 1e-4;
            let [low, high] = [v - h, v + h].map(|v| CURVE.current(g, v).unwrap());
            let slope = CURVE.slope(g, v).unwrap();
            // The central difference of a cubic errs by N3 h², and by rounding of 5e-5 / h · 1e-16.
            prop_assert!((slope - (high - low) / (2.0 * h)).abs() < 1e-12);
            prop_assert!(slope > 0.0);
            prop_assert_eq!(CURVE.current(g, 0.0), Some(0.0));
        }
    }

    #[test]
    fn there_is_no_current_outside_the_fit() {
        assert_eq!(CURVE.current(49e-6, 0.1), None);
        assert_eq!(CURVE.current(226e-6, 0.1), None);
        assert_eq!(CURVE.current(100e-6, -0.51), None);
        assert_eq!(CURVE.slope(f64::NAN, 0.1), None);
        assert!(CURVE.current(f64::from(225.0f32) * 1e-6, 0.5).is_some());
    }

    #[test]
    fn conductances_outside_the_fit_are_refused() {
        let wide = ReramMiloConfig {
            g_max: Siemens::new(300e-6),
            ..ReramMiloConfig::default()
        };
        assert_eq!(
            wide.check().unwrap_err().to_string(),
            "g_max = 300 uS is outside the fitted range 50 uS..225 uS of Milo et al. 2021: choose conductances inside it, or \
             describe the device by a table"
        );
    }
}
