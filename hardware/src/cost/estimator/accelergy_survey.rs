//! Fit to Murmann's survey of published converters.
//!
//! ```text
//! SNDR = 6.0206 b + 1.761                                                          dB
//! FOM  = min(213.7807 - 2.87190 ln f,  128.3068 + 3.22052 ceil(b))                 dB
//! E    = exp(26.04962 + 1.880037 ln n - 2.829126 ln b - 1.470202) / (2 · 10^((FOM - SNDR) / 10))    pJ
//! A    = exp(1.346192 + 0.993279 ln n + 0.180715 ln f + 0.299124 ln E)             µm²
//! ```
//!
//! with b bits, the rate f in Hz and the node n in nm. The fit follows the best published converters: it is optimistic.
//!
//! # Validity
//! The plug-in asks for at least 4 bits and at most 10 GS/s. The limits of 16 bits and of 7..=350 nm are an assumption:
//! where the survey still has many converters.
//!
//! # Source
//! Andrulis et al., "Modeling Analog-Digital-Converter Energy and Area for Compute-In-Memory Accelerator Design", 2024
//! (arXiv 2404.06553), equation 1 and the fitted model of the Accelergy plug-in; Murmann, "ADC Performance Survey
//! 1997-2021".

use super::{AdcEstimate, Converter};
use crate::HardwareError;
use crate::units::{Joule, SquareMillimetre};

pub(super) const NAME: &str = "accelergy-survey";

const NODES: std::ops::RangeInclusive<f64> = 7.0..=350.0;
const RATE_MAX: f64 = 1e10;

pub(super) fn estimate(converter: &Converter) -> Result<AdcEstimate, HardwareError> {
    let bits = converter.bits_within(NAME, 4, 16)?;
    let node = converter.node_nm;
    if !NODES.contains(&node) {
        return Err(HardwareError::limit(
            "adc node_nm",
            node,
            format_args!("7..=350, the range of {NAME}"),
            "use a node in that range or another estimator",
        ));
    }
    let rate = converter.rate.get();
    if rate > RATE_MAX {
        return Err(HardwareError::limit(
            "adc rate",
            converter.rate,
            format_args!("the rates up to 10 GHz of {NAME}"),
            "lower the rate or use more converters",
        ));
    }
    let sndr = 6.0206 * bits + 1.761;
    let by_rate = 213.7807 - 2.87190 * rate.ln();
    let by_bits = 128.3068 + 3.22052 * bits.ceil();
    let fom = by_rate.min(by_bits);
    let scale = (26.04962 + 1.880037 * node.ln() - 2.829126 * bits.ln() - 1.470202).exp();
    let picojoule = scale / (2.0 * 10f64.powf((fom - sndr) / 10.0));
    let square_micrometre =
        (1.346192 + 0.993279 * node.ln() + 0.180715 * rate.ln() + 0.299124 * picojoule.ln()).exp();
    Ok(AdcEstimate {
        energy: Joule::new(picojoule * 1e-12),
        area: SquareMillimetre::new(square_micrometre * 1e-6),
        latency: converter.latency(0.0),
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::units::Hertz;
    use rstest::rstest;

    fn converter(bits: u8, node_nm: f64, rate: f64) -> Converter {
        Converter {
            bits,
            node_nm,
            rate: Hertz::new(rate),
            column: None,
        }
    }

    #[rstest]
    #[case(4, 32.0, 1e9, 0.924, Some(4964.0))]
    #[case(6, 32.0, 1e9, 1.07, Some(5180.0))]
    #[case(8, 32.0, 1e9, 1.71, Some(5972.0))]
    #[case(10, 32.0, 1e9, 13.9, None)]
    #[case(8, 22.0, 1e8, 0.847, Some(2199.0))]
    #[case(8, 65.0, 1e8, 6.49, None)]
    fn the_values_of_the_plug_in_are_met(
        #[case] bits: u8,
        #[case] node_nm: f64,
        #[case] rate: f64,
        #[case] picojoule: f64,
        #[case] square_micrometre: Option<f64>,
    ) {
        let estimate = estimate(&converter(bits, node_nm, rate)).unwrap();
        // The check values have three digits: half a unit of the third.
        let energy = estimate.energy.get() * 1e12;
        assert!(
            (energy - picojoule).abs() <= 5.1e-3 * picojoule,
            "{energy} pJ"
        );
        if let Some(expected) = square_micrometre {
            let area = estimate.area.get() * 1e6;
            assert!((area - expected).abs() <= 0.5, "{area} um2");
        }
        assert_eq!(estimate.latency.get(), 1.0 / rate);
    }

    #[rstest]
    #[case(3, 32.0, 1e9)]
    #[case(8, 5.0, 1e9)]
    #[case(8, 500.0, 1e9)]
    #[case(8, 32.0, 2e10)]
    fn outside_the_survey_it_refuses(#[case] bits: u8, #[case] node_nm: f64, #[case] rate: f64) {
        assert!(estimate(&converter(bits, node_nm, rate)).is_err());
    }
}
