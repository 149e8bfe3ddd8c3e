//! Current of a cell as a function of conductance and voltage.

use serde::{Deserialize, Serialize};

use crate::HardwareError;
use crate::units::Volt;

/// How much current a cell lets through.
///
/// Closures `|conductance, voltage| (current, slope)` are laws as well.
pub trait CellLaw {
    /// Current in µA and its derivative by the voltage in µS, of a cell of `conductance` µS at `voltage` V.
    ///
    /// The slope must not be negative.
    fn current(&self, conductance: f64, voltage: f64) -> (f64, f64);
}

impl<F: Fn(f64, f64) -> (f64, f64)> CellLaw for F {
    fn current(&self, conductance: f64, voltage: f64) -> (f64, f64) {
        self(conductance, voltage)
    }
}

/// Ohm's law: `I = g V`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LinearCell {}

impl CellLaw for LinearCell {
    fn current(&self, conductance: f64, voltage: f64) -> (f64, f64) {
        (conductance * voltage, conductance)
    }
}

/// A cell that conducts by tunnelling: `I = g V₀ sinh(V / V₀)`, of slope g at 0 V.
///
/// # Source
/// Guan, Yu and Wong, "A SPICE compact model of metal oxide resistive switching memory with variations", IEEE Electron
/// Device Letters 2012, equation 1: V₀ is 0.2 to 0.5 V for oxide cells.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "Unchecked")]
pub struct SinhCell {
    v0: Volt,
}

impl SinhCell {
    /// The law with the scale `v0`.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where `v0` is not positive and finite.
    pub fn new(v0: Volt) -> Result<Self, HardwareError> {
        if v0.get() > 0.0 && v0.get().is_finite() {
            Ok(Self { v0 })
        } else {
            Err(HardwareError::limit(
                "v0",
                v0,
                "the finite voltages above 0 V",
                "use 0.2 V to 0.5 V for oxide cells, or the linear law",
            ))
        }
    }
}

/// The form in files.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Unchecked {
    v0: Volt,
}

impl TryFrom<Unchecked> for SinhCell {
    type Error = HardwareError;

    fn try_from(cell: Unchecked) -> Result<Self, HardwareError> {
        Self::new(cell.v0)
    }
}

impl CellLaw for SinhCell {
    fn current(&self, conductance: f64, voltage: f64) -> (f64, f64) {
        let v0 = self.v0.get();
        (
            conductance * v0 * libm::sinh(voltage / v0),
            conductance * libm::cosh(voltage / v0),
        )
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_law_is_read_strictly() {
        let cell: SinhCell = toml::from_str("v0 = \"300 mV\"").unwrap();
        assert_eq!(cell, SinhCell::new(Volt::new(0.3)).unwrap());
        let message = toml::from_str::<SinhCell>("v0 = \"0 V\"")
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("v0 = 0 V is outside the finite voltages above 0 V"),
            "{message}"
        );
    }

    proptest! {
        #[test]
        fn the_slope_is_the_derivative(g in 0.1f64..100.0, v in -1.0f64..1.0, v0 in 0.2f64..2.0) {
            let cell = SinhCell::new(Volt::new(v0)).unwrap();
            let h = 1e-5;
            let difference = (cell.current(g, v + h).0 - cell.current(g, v - h).0) / (2.0 * h);
            let slope = cell.current(g, v).1;
            // The central difference is off by h² / (6 v0²) of the slope and by rounding, 1e-16 / h.
            prop_assert!((difference - slope).abs() < 1e-8 * slope);
        }
    }
}
