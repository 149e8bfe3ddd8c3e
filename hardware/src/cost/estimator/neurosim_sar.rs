//! Successive-approximation converter as NeuroSim simulated it, low-power devices at 300 K.
//!
//! ```text
//! P = a b + c + k R^(-m)                 E = P (b + 1) ns            latency = (b + 1) ns
//! A = u F² (478 + 182 (b - 1))           u = 212.8 down to 22 nm, 360.4 below (fin transistors)
//! ```
//!
//! a and c in µW per node, R the effective resistance of the sensed column, scaled by 0.5 V / read voltage because the
//! circuit was simulated at 0.5 V; F the node. The last term of P is the current of the column: without a column only the
//! fixed part is counted, and the array has to count the current of its cells.
//!
//! # Validity
//! The nodes of the table; NeuroSim was run up to about 10 bits.
//!
//! # Source
//! Peng et al., "DNN+NeuroSim", IEDM 2019, and NeuroSim V1.3: fitted power of its converter per node (low-power road
//! map), layout of 269 + 109 (b - 1) n-type and 209 + 73 (b - 1) p-type minimum transistors, each 2 (1 + 2.8) F by 28 F
//! (bulk) or 2 (1.4 + 3.9) F by 34 F (fin).

use super::{AdcEstimate, Converter};
use crate::HardwareError;
use crate::units::{Joule, SquareMillimetre};

pub(super) const NAME: &str = "neurosim-sar";

/// Power of one node.
struct Fit {
    node_nm: f64,
    /// µW per bit.
    per_bit: f64,
    /// µW.
    fixed: f64,
    /// k, in W Ω^m.
    column: f64,
    /// m times ln 10: the fit is over the decimal logarithm.
    exponent: f64,
}

impl Fit {
    const fn new(node_nm: f64, per_bit: f64, fixed: f64, column: f64, exponent: f64) -> Self {
        Self {
            node_nm,
            per_bit,
            fixed,
            column,
            exponent,
        }
    }
}

const FITS: [Fit; 9] = [
    Fit::new(130.0, 8.4483, 65.243, 0.169380, 2.303),
    Fit::new(90.0, 5.9869, 37.462, 0.144323, 2.303),
    Fit::new(65.0, 3.7506, 25.844, 0.121272, 2.303),
    Fit::new(45.0, 2.1691, 16.693, 0.100225, 2.303),
    Fit::new(32.0, 1.1294, 8.8998, 0.079449, 2.297),
    Fit::new(22.0, 0.538, 4.3753, 0.072341, 2.303),
    Fit::new(14.0, 0.3132, 2.5681, 0.061085, 2.303),
    Fit::new(10.0, 0.1823, 1.5073, 0.051580, 2.303),
    Fit::new(7.0, 0.1061, 0.8847, 0.043555, 2.303),
];

pub(super) fn estimate(converter: &Converter) -> Result<AdcEstimate, HardwareError> {
    let bits = converter.bits_within(NAME, 1, 10)?;
    let node = converter.node_nm;
    let fit = FITS.iter().find(|fit| fit.node_nm == node).ok_or_else(|| {
        HardwareError::limit(
            "adc node_nm",
            node,
            format_args!("the nodes 7, 10, 14, 22, 32, 45, 65, 90 and 130 of {NAME}"),
            "use one of them or another estimator",
        )
    })?;
    let column = converter.column.map_or(0.0, |column| {
        let resistance = column.resistance.get() * 0.5 / column.read_voltage.get();
        fit.column * (-fit.exponent * resistance.log10()).exp()
    });
    let power = (fit.per_bit * bits + fit.fixed) * 1e-6 + column;
    let time = (bits + 1.0) * 1e-9;
    let transistor = if node > 14.0 {
        2.0 * (1.0 + 2.8) * 28.0
    } else {
        2.0 * (1.4 + 3.9) * 34.0
    };
    let features = transistor * (478.0 + 182.0 * (bits - 1.0));
    Ok(AdcEstimate {
        energy: Joule::new(power * time),
        area: SquareMillimetre::new(features * node * node * 1e-12),
        latency: converter.latency(time),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::cost::Column;
    use crate::units::{Hertz, Ohm, Volt};
    use rstest::rstest;

    fn converter(bits: u8, node_nm: f64) -> Converter {
        Converter {
            bits,
            node_nm,
            rate: Hertz::new(1e9),
            column: None,
        }
    }

    #[rstest]
    #[case(5, 22.0, 42.0)]
    #[case(8, 22.0, 78.0)]
    // (3.75 · 8 + 25.8) · 9 = 502.2 and so on, from the coefficients to three digits.
    #[case(8, 65.0, 502.2)]
    #[case(8, 45.0, (2.17 * 8.0 + 16.7) * 9.0)]
    #[case(8, 32.0, (1.13 * 8.0 + 8.90) * 9.0)]
    #[case(8, 14.0, (0.313 * 8.0 + 2.57) * 9.0)]
    #[case(8, 7.0, (0.106 * 8.0 + 0.885) * 9.0)]
    fn the_fixed_part_is_that_of_the_fit(
        #[case] bits: u8,
        #[case] node_nm: f64,
        #[case] femtojoule: f64,
    ) {
        let estimate = estimate(&converter(bits, node_nm)).unwrap();
        // Two or three digits: one per cent.
        let energy = estimate.energy.get() * 1e15;
        assert!(
            (energy - femtojoule).abs() <= 0.01 * femtojoule,
            "{energy} fJ"
        );
        assert!((estimate.latency.get() - (f64::from(bits) + 1.0) * 1e-9).abs() < 1e-18);
    }

    #[test]
    fn the_column_adds_its_current() {
        let with_column = Converter {
            column: Some(Column {
                resistance: Ohm::new(10_000.0),
                read_voltage: Volt::new(0.5),
            }),
            ..converter(5, 22.0)
        };
        let added = estimate(&with_column).unwrap().energy.get()
            - estimate(&converter(5, 22.0)).unwrap().energy.get();
        // 0.0723 W Ω / 10 kΩ · 6 ns = 43.4 fJ; the exponent 2.303 / ln 10 is one within 2e-4, of ln 10⁴ that is 2e-3.
        assert!((added - 43.4e-15).abs() < 2e-3 * 43.4e-15, "{added}");
        let doubled = Converter {
            column: Some(Column {
                resistance: Ohm::new(20_000.0),
                read_voltage: Volt::new(1.0),
            }),
            ..with_column
        };
        assert_eq!(
            estimate(&doubled).unwrap().energy,
            estimate(&with_column).unwrap().energy
        );
    }

    #[test]
    fn the_area_is_that_of_its_transistors() {
        // 5 bits at 22 nm: 705 + 501 transistors of 7.6 F by 28 F, F² = 484 nm²: 124.2 µm².
        let area = estimate(&converter(5, 22.0)).unwrap().area.get() * 1e6;
        assert!((area - 1206.0 * 212.8 * 484e-6).abs() < 1e-9, "{area}");
    }

    #[rstest]
    #[case(8, 28.0)]
    #[case(11, 22.0)]
    fn what_was_not_simulated_is_refused(#[case] bits: u8, #[case] node_nm: f64) {
        assert!(estimate(&converter(bits, node_nm)).is_err());
    }
}
