//! The setting of an array and its periphery.

use serde::{Deserialize, Serialize};

use super::{Adc, Circuit, Conversion, Dac};
use crate::HardwareError;

/// Arrays of one size, their input converters and their output converters. In TOML:
///
/// ```toml
/// rows = 128
/// columns = 128
///
/// [input]
/// bits = 8
/// slice_bits = 1
///
/// [adc]
/// bits = 8
/// range = { calibrated = { percentile = 99.9 } }
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ArrayConfig {
    /// Inputs of one array.
    pub rows: usize,
    /// Outputs of one array.
    pub columns: usize,
    /// Converter of the inputs.
    pub input: Dac,
    /// Converter of the outputs; `None` reads currents exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adc: Option<Adc>,
    /// The codes that columns and converters really give for each code; `None` for ideal ones.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub circuit: Option<Circuit>,
}

impl ArrayConfig {
    /// Arrays of `rows × columns` that are read exactly.
    pub fn new(rows: usize, columns: usize, input: Dac) -> Self {
        Self {
            rows,
            columns,
            input,
            adc: None,
            circuit: None,
        }
    }

    /// The same arrays with converters of the outputs.
    pub fn with_adc(self, adc: Adc) -> Self {
        Self {
            adc: Some(adc),
            ..self
        }
    }

    /// Whether the parameters are allowed.
    ///
    /// # Errors
    /// [`HardwareError::Limit`], [`HardwareError::Conflict`] for accumulation without input slices, and what the table of the
    /// circuit refuses.
    pub fn check(&self) -> Result<(), HardwareError> {
        for (field, lines) in [("array.rows", self.rows), ("array.columns", self.columns)] {
            if !(1..=1 << 16).contains(&lines) {
                return Err(HardwareError::limit(
                    field,
                    lines,
                    "1..=65536",
                    "use the lines of one array, such as 128",
                ));
            }
        }
        let dac = self.input.check()?;
        let adc = self.adc.map(Adc::check).transpose()?;
        if let Some(circuit) = &self.circuit {
            circuit.check(adc)?;
        }
        let Some(adc) = adc else { return Ok(()) };
        if adc.conversion == Conversion::Accumulated && dac.slice_bits.is_none() {
            return Err(HardwareError::conflict(
                "adc conversion = accumulated without input slice_bits: there is nothing to accumulate",
                "set input slice_bits, or leave conversion out",
            ));
        }
        Ok(())
    }
}
