//! The component table of ISAAC with its scaling over bits.
//!
//! | bits | 4 | 5 | 6 | 7 | 8 |
//! |---|---|---|---|---|---|
//! | pJ per conversion | 0.79 | 0.99 | 1.20 | 1.42 | 1.67 |
//! | µm² | 361 | 477 | 627 | 845 | 1200 |
//!
//! The row at 8 bits is 2 mW at 1.2 GS/s, the rate in the paper's table 3; its text samples 128 columns in 100 ns, at
//! 1.28 GS/s, where 2 mW are 1.56 pJ. The latency is that of the text.
//!
//! # Validity
//! 32 nm, 4 to 8 bits.
//!
//! # Source
//! Shafiee et al., "ISAAC", ISCA 2016, table 3 (8 bits); values below 8 bits
//! as the Accelergy library of components lists them for ISAAC.

use super::{AdcEstimate, Converter};
use crate::HardwareError;
use crate::units::{Joule, SquareMillimetre};

pub(super) const NAME: &str = "isaac";

/// Picojoules and square micrometres at 4, 5, 6, 7 and 8 bits.
const BY_BITS: [(f64, f64); 5] = [
    (0.79, 361.0),
    (0.99, 477.0),
    (1.20, 627.0),
    (1.42, 845.0),
    (1.67, 1200.0),
];

pub(super) fn estimate(converter: &Converter) -> Result<AdcEstimate, HardwareError> {
    converter.bits_within(NAME, 4, 8)?;
    converter.at_node(NAME, 32.0)?;
    let (picojoule, square_micrometre) = BY_BITS[usize::from(converter.bits) - 4];
    Ok(AdcEstimate {
        energy: Joule::new(picojoule * 1e-12),
        area: SquareMillimetre::new(square_micrometre * 1e-6),
        latency: converter.latency(100e-9 / 128.0),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::units::Hertz;
    use rstest::rstest;

    fn converter(bits: u8, node_nm: f64) -> Converter {
        Converter {
            bits,
            node_nm,
            rate: Hertz::new(1.28e9),
            column: None,
        }
    }

    #[rstest]
    #[case(4, 0.79, 361.0)]
    #[case(5, 0.99, 477.0)]
    #[case(6, 1.20, 627.0)]
    #[case(7, 1.42, 845.0)]
    #[case(8, 1.67, 1200.0)]
    fn every_resolution_is_a_row_of_the_table(
        #[case] bits: u8,
        #[case] picojoule: f64,
        #[case] square_micrometre: f64,
    ) {
        let estimate = estimate(&converter(bits, 32.0)).unwrap();
        assert_eq!(estimate.energy, Joule::new(picojoule * 1e-12));
        assert_eq!(
            estimate.area,
            SquareMillimetre::new(square_micrometre * 1e-6)
        );
    }

    #[test]
    fn the_row_at_8_bits_is_two_milliwatts_at_the_rate_of_the_table() {
        let energy = estimate(&converter(8, 32.0)).unwrap().energy.get();
        // Three digits: half a unit of the last.
        assert!((energy - 2e-3 / 1.2e9).abs() <= 0.005e-12, "{energy}");
    }

    #[rstest]
    #[case(3, 32.0)]
    #[case(9, 32.0)]
    #[case(8, 22.0)]
    fn outside_the_table_it_refuses(#[case] bits: u8, #[case] node_nm: f64) {
        assert!(estimate(&converter(bits, node_nm)).is_err());
    }
}
