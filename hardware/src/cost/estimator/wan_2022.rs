//! Charge-decrement converter of the NeuRRAM chip, 130 nm at 1.8 V.
//!
//! ```text
//! E = 1.2 pJ (sample) + 0.25 pJ (integrate) + 0.3 pJ · 2^(b-1) (one comparison for the sign, 2^(b-1) - 1 decrements)
//! A = 350 (sample) + 350 (integrate) + 400 (convert) µm²
//! ```
//!
//! The number of steps is that of the largest output: the chip stops early at smaller ones. One sample is counted; a
//! converter that integrates several input slices adds 1.45 pJ for each more. The latency is the period of the asked
//! rate: the table gives none.
//!
//! # Validity
//! 130 nm, 2 to 8 bits, sign included.
//!
//! # Source
//! Wan et al., "A compute-in-memory chip based on resistive random-access memory", Nature 608, 2022 (principle of the
//! converter); Andrulis et al., CiMLoop, ISPASS 2024, component table of that chip (energies and areas).

use super::{AdcEstimate, Converter};
use crate::HardwareError;
use crate::units::{Joule, SquareMillimetre};

pub(super) const NAME: &str = "wan-2022";

const SAMPLE: f64 = 1.2e-12;
const INTEGRATE: f64 = 0.25e-12;
const STEP: f64 = 0.3e-12;

pub(super) fn estimate(converter: &Converter) -> Result<AdcEstimate, HardwareError> {
    let bits = converter.bits_within(NAME, 2, 8)?;
    converter.at_node(NAME, 130.0)?;
    let steps = (bits - 1.0).exp2();
    Ok(AdcEstimate {
        energy: Joule::new(SAMPLE + INTEGRATE + STEP * steps),
        area: SquareMillimetre::new(1100e-6),
        latency: converter.latency(0.0),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::units::Hertz;
    use rstest::rstest;

    // 1.45 pJ and 2, 32 and 128 steps of 0.3 pJ.
    #[rstest]
    #[case(2, 2.05)]
    #[case(6, 11.05)]
    #[case(8, 39.85)]
    fn every_step_costs_the_same(#[case] bits: u8, #[case] picojoule: f64) {
        let converter = Converter {
            bits,
            node_nm: 130.0,
            rate: Hertz::new(1e6),
            column: None,
        };
        let energy = estimate(&converter).unwrap().energy.get();
        assert!((energy - picojoule * 1e-12).abs() < 1e-24, "{energy}");
    }

    #[test]
    fn other_nodes_and_resolutions_are_refused() {
        for (bits, node_nm) in [(1, 130.0), (9, 130.0), (8, 32.0)] {
            let converter = Converter {
                bits,
                node_nm,
                rate: Hertz::new(1e6),
                column: None,
            };
            assert!(estimate(&converter).is_err());
        }
    }
}
