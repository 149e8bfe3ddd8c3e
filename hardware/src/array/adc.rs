//! Currents as a converter reads them.

use serde::{Deserialize, Serialize};

use super::{AdcRange, CapacitorMismatch, ComparatorOffset, CurrentRange, GainError};
use crate::HardwareError;

/// How many of the `2^bits` codes are used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdcCodes {
    /// So that no current is read as no current, and with padding, idle bit planes and zero inputs no result is biased: as
    /// `symmetric` in a range that reaches as far below zero as above it, else as `full`, in a range with zero inside that
    /// is moved by up to half a step.
    #[default]
    Auto,
    /// All: `2^bits - 1` steps. The middle of the range lies between two codes, so that a signed range reads no current as
    /// half a step.
    Full,
    /// All but one: `2^bits - 2` steps, so that the middle of the range is a code.
    Symmetric,
}

/// When currents are converted while inputs are applied in slices.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Conversion {
    /// After every input slice; codes are shifted and added digitally.
    #[default]
    PerSlice,
    /// Once, after an analog integrator has accumulated all slices; the range then is that of the whole product.
    Accumulated,
}

/// Analog to digital converter of the output currents.
///
/// ```text
/// code = round((clip(I, lo, hi) - lo) steps / (hi - lo))          read as lo + code (hi - lo) / steps
/// ```
///
/// Ties go to even. An integrator accumulates `a <- (a + I_j) / 2^k` over slices of `k` bits, lowest first, and
/// `(2^k - 1) 2^(k S - m) 2^m / (2^m - 1) a` is converted, which is the product with the whole input of `m` bits. What
/// slices of inputs lose is therefore in the conversion alone.
///
/// # Source
/// Xiao et al., IEEE Circuits and Systems Magazine 2022 (ranges, input slices, analog and digital shift and add).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Adc {
    /// Width of a code, 1 to 16.
    pub bits: u8,
    /// Currents that are told apart.
    #[serde(default)]
    pub range: AdcRange,
    /// Codes in use.
    #[serde(default)]
    pub codes: AdcCodes,
    /// Whether input slices are converted one by one.
    #[serde(default)]
    pub conversion: Conversion,
    /// Neighbouring output lines that share a converter, and so its errors.
    #[serde(default = "eight")]
    pub columns_per_converter: usize,
    /// Wrong slope of each converter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gain_error: Option<GainError>,
    /// Wrong zero of each comparator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparator_offset: Option<ComparatorOffset>,
    /// Wrong capacitors of a converter by successive approximation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub capacitor_mismatch: Option<CapacitorMismatch>,
}

fn eight() -> usize {
    8
}

impl Adc {
    /// An ideal converter over the largest possible currents, shared by eight lines.
    pub fn new(bits: u8) -> Self {
        Self {
            bits,
            range: AdcRange::Max,
            codes: AdcCodes::Auto,
            conversion: Conversion::PerSlice,
            columns_per_converter: eight(),
            gain_error: None,
            comparator_offset: None,
            capacitor_mismatch: None,
        }
    }

    /// The same converter over another range.
    pub fn with_range(self, range: AdcRange) -> Self {
        Self { range, ..self }
    }

    /// The same converter, if its parameters are allowed.
    ///
    /// # Errors
    /// [`HardwareError::Limit`].
    pub fn check(self) -> Result<Self, HardwareError> {
        let least = match self.codes {
            AdcCodes::Auto | AdcCodes::Full => 1,
            AdcCodes::Symmetric => 2,
        };
        if !(least..=16).contains(&self.bits) {
            return Err(HardwareError::limit(
                "adc bits",
                self.bits,
                format!("{least}..=16"),
                "use a width in that range, or leave `adc` out for ideal readout",
            ));
        }
        if self.columns_per_converter == 0 {
            return Err(HardwareError::limit(
                "columns_per_converter",
                "0",
                "1..",
                "use 1 for a converter per line",
            ));
        }
        self.range.check()?;
        self.gain_error.map_or(Ok(()), |e| e.check())?;
        self.comparator_offset.map_or(Ok(()), |e| e.check())?;
        self.capacitor_mismatch.map_or(Ok(()), |e| e.check())?;
        Ok(self)
    }

    /// Steps between the ends of `range`.
    pub fn steps(&self, range: CurrentRange) -> u32 {
        match self.codes {
            AdcCodes::Auto if range.is_symmetric() => (1 << self.bits) - 2,
            AdcCodes::Auto | AdcCodes::Full => (1 << self.bits) - 1,
            AdcCodes::Symmetric => (1 << self.bits) - 2,
        }
    }

    /// # Errors
    /// [`HardwareError::Limit`] where `range` leaves this converter a single code.
    pub(super) fn check_steps(&self, range: CurrentRange) -> Result<(), HardwareError> {
        if self.steps(range) > 0 {
            return Ok(());
        }
        Err(HardwareError::limit(
            "adc bits",
            self.bits,
            "2..=16 for currents of both signs, one of whose codes is zero",
            "use more bits, or codes = \"full\"",
        ))
    }

    /// Whether converters of one chip differ.
    pub fn has_errors(&self) -> bool {
        self.gain_error.is_some()
            || self.comparator_offset.is_some()
            || self.capacitor_mismatch.is_some()
    }

    pub(super) fn quantizer(&self, range: CurrentRange) -> Quantizer {
        let steps = f64::from(self.steps(range));
        let lsb = (f64::from(range.hi) - f64::from(range.lo)) / steps;
        let halves = 2.0 * f64::from(range.lo) / lsb;
        // Limits are rounded to 32 bits: a zero within that of a code, or of the middle between two, is meant to be there.
        let rounding = 4.0 * f64::from(f32::EPSILON) * steps;
        let moves = self.codes == AdcCodes::Auto && range.lo < 0.0 && range.hi > 0.0;
        let first = match (halves - halves.round()).abs() <= rounding {
            _ if moves => (0.5 * halves).round(),
            true => 0.5 * halves.round(),
            false => 0.5 * halves,
        };
        Quantizer {
            first: first as f32,
            steps: steps as f32,
            inverse: (1.0 / lsb) as f32,
            lsb: lsb as f32,
        }
    }
}

/// The numbers of one range. Currents count in steps from zero, so that small ones keep their digits in a wide range.
#[derive(Clone, Copy, Debug)]
pub(super) struct Quantizer {
    /// The current of code 0, in steps.
    pub(super) first: f32,
    pub(super) steps: f32,
    pub(super) inverse: f32,
    pub(super) lsb: f32,
}

/// A standard deviation that is a number from zero.
pub(super) fn check_sigma(field: &str, sigma: f32) -> Result<(), HardwareError> {
    if sigma >= 0.0 && sigma.is_finite() {
        return Ok(());
    }
    Err(HardwareError::limit(
        field,
        sigma,
        "0..",
        "use a finite standard deviation, or leave the effect out",
    ))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use rstest::rstest;

    #[test]
    fn a_converter_is_read_and_written_the_same() {
        let text = "bits = 8\ncodes = \"symmetric\"\nconversion = \"accumulated\"\ncolumns_per_converter = 4\n\n\
            [range.fixed]\nlo = -2.0\nhi = 2.0\n\n[gain_error]\nsigma = 0.5\n";
        let adc: Adc = toml::from_str(text).unwrap();
        assert_eq!(toml::to_string(&adc).unwrap(), text);
        assert_eq!(toml::from_str::<Adc>("bits = 8").unwrap(), Adc::new(8));
        let text = "bits = 8\nrange = { calibrated = { percentile = 99.9 } }";
        assert!(toml::from_str::<Adc>(text).is_ok());
        assert!(toml::from_str::<Adc>("bits = 8\nrnge = \"max\"").is_err());
    }

    #[rstest]
    #[case(Adc::new(0), "adc bits = 0 is outside 1..=16")]
    #[case(Adc { codes: AdcCodes::Symmetric, ..Adc::new(1) }, "adc bits = 1 is outside 2..=16")]
    #[case(Adc { columns_per_converter: 0, ..Adc::new(8) }, "columns_per_converter = 0")]
    #[case(Adc { gain_error: Some(GainError { sigma: -1.0 }), ..Adc::new(8) }, "gain_error sigma = -1 is outside 0..")]
    #[case(
        Adc::new(8).with_range(AdcRange::Fixed { lo: 1.0, hi: 1.0 }),
        "range = [1, 1] is outside lo < hi"
    )]
    #[case(
        Adc::new(8).with_range(AdcRange::Calibrated { percentile: 50.0 }),
        "percentile = 50 is outside"
    )]
    fn impossible_converters_are_refused(#[case] adc: Adc, #[case] message: &str) {
        let found = adc.check().unwrap_err().to_string();
        assert!(found.starts_with(message), "{found}");
    }
}
