//! Converters by successive approximation whose capacitors do not match.

use serde::{Deserialize, Serialize};

use super::adc::check_sigma;
use crate::HardwareError;

/// Capacitors of unit cells that vary independently:
///
/// ```text
/// C_k = 2^k + sigma_unit 2^(k/2) ξ_k,  a last unit capacitor       weight of bit k = 2^bits C_k / Σ C
/// ```
///
/// Bits are decided from the highest down: a bit is kept where its weight fits under what is left of the current. Wrong
/// weights make steps of uneven width and codes that are never given.
///
/// # Source
/// Saberi, Lotfi, Mafinezhad and Serdijn, "Analysis of power consumption and linearity in capacitive digital-to-analog
/// converters used in successive approximation ADCs", IEEE Trans. Circuits Syst. I 2011 (binary-weighted array).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CapacitorMismatch {
    /// Standard deviation of a unit capacitor, relative.
    #[serde(deserialize_with = "crate::single::of_field")]
    pub sigma_unit: f32,
}

impl CapacitorMismatch {
    pub(super) fn check(&self) -> Result<(), HardwareError> {
        check_sigma("capacitor_mismatch sigma_unit", self.sigma_unit)
    }

    /// The weights of all bits in steps, the lowest first, from a standard normal per bit.
    pub(super) fn weights(&self, draws: &[f32]) -> Vec<f32> {
        let capacitor = |(k, draw): (usize, &f32)| {
            let nominal = (k as f32).exp2();
            (nominal + self.sigma_unit * nominal.sqrt() * draw).max(0.0)
        };
        let capacitors: Vec<f32> = draws.iter().enumerate().map(capacitor).collect();
        let total: f32 = capacitors.iter().sum::<f32>() + 1.0;
        let full = (draws.len() as f32).exp2();
        capacitors.into_iter().map(|c| full * c / total).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn matched_capacitors_have_binary_weights() {
        let weights = CapacitorMismatch { sigma_unit: 0.0 }.weights(&[1.0, -2.0, 0.5]);
        assert_eq!(weights, [1.0, 2.0, 4.0]);
        let weights = CapacitorMismatch { sigma_unit: 0.1 }.weights(&[1.0, 0.0, 0.0]);
        // C = 1.1, 2, 4 and 1: one part in 81 goes from the high bits to the low one.
        assert!((weights[0] - 8.8 / 8.1).abs() < 1e-6 && (weights[2] - 32.0 / 8.1).abs() < 1e-6);
    }
}
