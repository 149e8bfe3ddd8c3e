//! Resistance of a copper wire by technology node.

use serde::{Deserialize, Serialize};

use crate::HardwareError;
use crate::units::Ohm;

/// A technology node whose local wires are tabulated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum WireNode {
    /// 65 nm.
    #[serde(rename = "65nm")]
    Nm65,
    /// 45 nm.
    #[serde(rename = "45nm")]
    Nm45,
    /// 32 nm.
    #[serde(rename = "32nm")]
    Nm32,
    /// 22 nm.
    #[serde(rename = "22nm")]
    Nm22,
    /// 14 nm.
    #[serde(rename = "14nm")]
    Nm14,
    /// 7 nm.
    #[serde(rename = "7nm")]
    Nm7,
}

impl WireNode {
    /// Every node, largest first.
    pub const ALL: [Self; 6] = [
        Self::Nm65,
        Self::Nm45,
        Self::Nm32,
        Self::Nm22,
        Self::Nm14,
        Self::Nm7,
    ];

    /// Width in nm, height over width, and resistivity in 1e-8 Ω m of a local wire; the resistivity of narrow wires is
    /// above that of bulk copper, 1.7.
    fn wire(self) -> (f64, f64, f64) {
        match self {
            Self::Nm65 => (105.0, 1.7, 2.21),
            Self::Nm45 => (80.0, 1.7, 2.37),
            Self::Nm32 => (56.0, 1.8, 2.63),
            Self::Nm22 => (40.0, 1.9, 2.97),
            Self::Nm14 => (32.0, 2.0, 3.25),
            Self::Nm7 => (20.0, 2.0, 4.17),
        }
    }
}

/// Relative change of resistance per kelvin of distance from 300 K.
const TEMPERATURE_COEFFICIENT: f64 = 0.00451;

/// Resistance of a local wire of `length_um` micrometres, at `kelvin`.
///
/// ```text
/// R = ρ L / (W² A) · (1 + 0.00451 |T - 300 K|)        W width, A height over width
/// ```
///
/// The segment between two cells has the length of a cell in that direction.
///
/// # Errors
/// [`HardwareError::Limit`] for a length that is negative or not finite, and outside the temperatures 200..=450 K, between
/// which a linear coefficient is sensible.
///
/// # Source
/// Table of local interconnect in DNN+NeuroSim, Peng et al., IEDM 2019. Its temperature term grows on both sides of 300 K,
/// as here.
///
/// ```
/// use crossburn_hardware::ir_drop::{WireNode, wire_resistance};
///
/// // A cell four wire widths long at 22 nm, where wires are 40 nm wide.
/// let segment = wire_resistance(WireNode::Nm22, 4.0 * 0.040, 300.0)?;
/// assert_eq!(format!("{:.1}", segment.get()), "1.6");
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
pub fn wire_resistance(node: WireNode, length_um: f64, kelvin: f64) -> Result<Ohm, HardwareError> {
    if !(length_um >= 0.0 && length_um.is_finite()) {
        return Err(HardwareError::limit(
            "length",
            format!("{length_um} um"),
            "the finite lengths from 0 um on",
            "use the length of a cell along the line",
        ));
    }
    if !(200.0..=450.0).contains(&kelvin) {
        return Err(HardwareError::limit(
            "temperature",
            format!("{kelvin} K"),
            "200..=450 K",
            "use the temperature of the chip in kelvin",
        ));
    }
    let (width, aspect, resistivity) = node.wire();
    // 1e-8 Ω m · 1e-6 m / 1e-18 m² = 1e4 Ω.
    let at_300 = 1e4 * resistivity * length_um / (width * width * aspect);
    Ok(Ohm::new(
        at_300 * (1.0 + TEMPERATURE_COEFFICIENT * (kelvin - 300.0).abs()),
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_micrometre_has_the_resistance_of_its_cross_section() {
        // By hand: 2.97e-8 Ωm · 1e-6 m / (40 nm · 76 nm) = 9.77 Ω.
        let r = wire_resistance(WireNode::Nm22, 1.0, 300.0).unwrap().get();
        assert!((r - 9.7697).abs() < 1e-4, "{r}");
        let warm = wire_resistance(WireNode::Nm22, 1.0, 350.0).unwrap().get();
        assert!((warm / r - 1.2255).abs() < 1e-12);
    }

    #[test]
    fn smaller_nodes_have_more_resistance() {
        let resistances =
            WireNode::ALL.map(|node| wire_resistance(node, 1.0, 300.0).unwrap().get());
        assert!(resistances.is_sorted(), "{resistances:?}");
    }

    #[test]
    fn impossible_wires_are_refused() {
        let message = wire_resistance(WireNode::Nm7, -1.0, 300.0)
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "length = -1 um is outside the finite lengths from 0 um on: use the length of a cell along the line"
        );
        assert!(wire_resistance(WireNode::Nm7, 1.0, f64::NAN).is_err());
    }
}
