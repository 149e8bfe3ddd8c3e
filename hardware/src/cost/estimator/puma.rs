//! Constants of the PUMA simulator: 2 mW at 8 bits, linear in bits, 128 columns in 100 ns.
//!
//! ```text
//! E = 2 mW · b / 8 · 100 ns / 128            A = 0.0012 mm²            latency = 100 ns / 128
//! ```
//!
//! # Validity
//! 32 nm, 1 to 8 bits.
//!
//! # Source
//! Ankit et al., "PUMA", ASPLOS 2019, table 3, and the constants of its simulator (0.225 mW dynamic and 0.025 mW static
//! per bit). Deviation: the simulator's variant for sparse outputs also shortens the pass with fewer bits; here the pass
//! takes 100 ns at any resolution.

use super::{AdcEstimate, Converter};
use crate::HardwareError;
use crate::units::{Joule, SquareMillimetre};

pub(super) const NAME: &str = "puma";

pub(super) fn estimate(converter: &Converter) -> Result<AdcEstimate, HardwareError> {
    let bits = converter.bits_within(NAME, 1, 8)?;
    converter.at_node(NAME, 32.0)?;
    let conversion = 100e-9 / 128.0;
    Ok(AdcEstimate {
        energy: Joule::new(2e-3 * bits / 8.0 * conversion),
        area: SquareMillimetre::new(0.0012),
        latency: converter.latency(conversion),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::units::Hertz;

    #[test]
    fn a_pass_of_128_columns_takes_two_milliwatts_for_100_ns() {
        let converter = Converter {
            bits: 8,
            node_nm: 32.0,
            rate: Hertz::new(1.28e9),
            column: None,
        };
        let eight = estimate(&converter).unwrap();
        // The tolerances are a few roundings of f64.
        assert!((128.0 * eight.energy.get() - 200e-12).abs() < 1e-24);
        assert!((128.0 * eight.latency.get() - 100e-9).abs() < 1e-20);
        assert_eq!(eight.area.get(), 0.0012);
        let four = estimate(&Converter {
            bits: 4,
            ..converter
        })
        .unwrap();
        assert!((2.0 * four.energy.get() - eight.energy.get()).abs() < 1e-26);
    }

    #[test]
    fn other_nodes_and_resolutions_are_refused() {
        for (bits, node_nm) in [(9, 32.0), (8, 22.0)] {
            let converter = Converter {
                bits,
                node_nm,
                rate: Hertz::new(1e9),
                column: None,
            };
            assert!(estimate(&converter).is_err());
        }
    }
}
