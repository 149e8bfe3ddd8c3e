//! The properties of array, mapping and converters that the cost model needs.

use serde::{Deserialize, Serialize};

use super::limit::require_count;
use crate::HardwareError;

/// More columns are no reference any more, and every count of this module fits 64 bits.
const REFERENCE_COLUMNS_MAX: usize = 16;

/// Where the two devices of a weight are subtracted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subtraction {
    /// Before the converter: one conversion per weight slice.
    #[default]
    Analog,
    /// After it: each device's column is converted.
    Digital,
}

/// Where the results of the input slices are added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Accumulation {
    /// After the converter: one conversion per input slice.
    #[default]
    Digital,
    /// Before it, on an integrator: one conversion for all slices.
    Analog,
}

/// Where the columns of slices and signs of one output lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Side by side: all columns of the layer fill arrays one after the other.
    #[default]
    Interleaved,
    /// On separate arrays, at the same place: every slice and sign has its own arrays.
    Separate,
}

/// The arrays, the mapping and the converters, as far as they decide a cost.
///
/// ```text
/// slices of a weight    S    = ceil((weight_bits - 1) / slice_bits) for a pair, ceil(weight_bits / slice_bits) else
/// input cycles          n_in = ceil(input_bits / input_slice_bits)
/// ```
///
/// A pair carries the sign outside the slices; one device per weight (an offset or unit column) carries it inside.
///
/// ```
/// use crossburn_hardware::cost::ArrayShape;
///
/// let isaac = ArrayShape {
///     rows: 128, columns: 128, weight_bits: 16, slice_bits: Some(2), devices_per_weight: 1,
///     input_bits: 16, input_slice_bits: 1, adc_bits: 8, output_bits: 16,
///     ..ArrayShape::default()
/// };
/// assert_eq!((isaac.slices(), isaac.input_cycles()), (8, 16));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArrayShape {
    /// Rows R of an array: inputs.
    pub rows: usize,
    /// Columns C of an array.
    pub columns: usize,
    /// Bits of a weight, sign included.
    pub weight_bits: u8,
    /// Bits of a cell; without it, a cell holds the whole weight.
    pub slice_bits: Option<u8>,
    /// Devices per slice: 2 for a pair, 1 for an offset.
    pub devices_per_weight: u8,
    /// Where a pair is subtracted; ignored for one device.
    pub subtraction: Subtraction,
    /// Where slices and signs lie.
    pub layout: Layout,
    /// Columns of each array that hold no weight but a reference, such as a unit column; each is converted.
    pub reference_columns: usize,
    /// Bits of an input.
    pub input_bits: u8,
    /// Bits that a driver applies per cycle.
    pub input_slice_bits: u8,
    /// Where input slices are added up.
    pub accumulation: Accumulation,
    /// Bits of a converter.
    pub adc_bits: u8,
    /// Bits of an output as it is stored and sent.
    pub output_bits: u8,
}

/// 128×128 arrays of analog pairs, 8 bits everywhere, inputs bit by bit, one cell per weight and sign.
impl Default for ArrayShape {
    fn default() -> Self {
        Self {
            rows: 128,
            columns: 128,
            weight_bits: 8,
            slice_bits: None,
            devices_per_weight: 2,
            subtraction: Subtraction::Analog,
            layout: Layout::Interleaved,
            reference_columns: 0,
            input_bits: 8,
            input_slice_bits: 1,
            accumulation: Accumulation::Digital,
            adc_bits: 8,
            output_bits: 8,
        }
    }
}

impl ArrayShape {
    /// Whether arrays can have this shape.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] and [`HardwareError::Conflict`].
    pub fn check(&self) -> Result<(), HardwareError> {
        require_count("rows", self.rows, 1, 1 << 16)?;
        require_count("columns", self.columns, 1, 1 << 16)?;
        require_count("weight_bits", self.weight_bits.into(), 1, 16)?;
        require_count("devices_per_weight", self.devices_per_weight.into(), 1, 2)?;
        if self.devices_per_weight == 2 {
            require_count("weight_bits of a pair", self.weight_bits.into(), 2, 16)?;
        }
        if let Some(bits) = self.slice_bits {
            require_count("slice_bits", bits.into(), 1, self.weight_bits.into())?;
        }
        require_count("input_bits", self.input_bits.into(), 1, 16)?;
        let most = usize::from(self.input_bits);
        require_count("input_slice_bits", self.input_slice_bits.into(), 1, most)?;
        require_count("adc_bits", self.adc_bits.into(), 1, 16)?;
        require_count("output_bits", self.output_bits.into(), 1, 32)?;
        let most = REFERENCE_COLUMNS_MAX.min(self.columns - 1);
        require_count("reference_columns", self.reference_columns, 0, most)?;
        if self.devices_per_weight == 1 && self.subtraction == Subtraction::Digital {
            return Err(HardwareError::conflict(
                "subtraction = digital with devices_per_weight = 1",
                "one device has no partner: leave `subtraction` out or use a pair",
            ));
        }
        Ok(())
    }

    /// Cells per weight and sign: S.
    pub fn slices(&self) -> usize {
        let sign = usize::from(self.devices_per_weight == 2);
        let bits = usize::from(self.weight_bits) - sign;
        self.slice_bits
            .map_or(1, |slice| bits.div_ceil(usize::from(slice.max(1))))
    }

    /// Cycles that apply one input: n_in.
    pub fn input_cycles(&self) -> usize {
        usize::from(self.input_bits).div_ceil(usize::from(self.input_slice_bits.max(1)))
    }

    /// Columns per output: S d.
    pub(super) fn columns_per_output(&self) -> usize {
        self.slices() * usize::from(self.devices_per_weight)
    }

    /// Conversions per output and conversion cycle: S d'.
    pub(super) fn conversions_per_output(&self) -> usize {
        match self.subtraction {
            Subtraction::Analog => self.slices(),
            Subtraction::Digital => self.columns_per_output(),
        }
    }

    /// Columns of an array that can hold weights.
    pub(super) fn weight_columns(&self) -> usize {
        self.columns - self.reference_columns
    }

    /// How often the converters run per output position.
    pub(super) fn conversion_cycles(&self) -> usize {
        match self.accumulation {
            Accumulation::Digital => self.input_cycles(),
            Accumulation::Analog => 1,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use rstest::rstest;

    #[rstest]
    #[case(8, Some(2), 2, 4)] // 7 bits of magnitude
    #[case(8, Some(2), 1, 4)]
    #[case(9, Some(2), 2, 4)]
    #[case(9, Some(2), 1, 5)]
    #[case(16, Some(2), 1, 8)]
    #[case(8, None, 2, 1)]
    fn slices_hold_the_magnitude_of_a_pair_and_all_bits_else(
        #[case] weight_bits: u8,
        #[case] slice_bits: Option<u8>,
        #[case] devices_per_weight: u8,
        #[case] slices: usize,
    ) {
        let shape = ArrayShape {
            weight_bits,
            slice_bits,
            devices_per_weight,
            ..ArrayShape::default()
        };
        shape.check().unwrap();
        assert_eq!(shape.slices(), slices);
    }

    #[rstest]
    #[case(ArrayShape { rows: 0, ..ArrayShape::default() }, "rows = 0")]
    #[case(ArrayShape { columns: 0, ..ArrayShape::default() }, "columns = 0")]
    #[case(ArrayShape { weight_bits: 17, ..ArrayShape::default() }, "weight_bits = 17")]
    #[case(ArrayShape { weight_bits: 1, ..ArrayShape::default() }, "weight_bits of a pair = 1")]
    #[case(ArrayShape { slice_bits: Some(0), ..ArrayShape::default() }, "slice_bits = 0")]
    #[case(ArrayShape { slice_bits: Some(9), ..ArrayShape::default() }, "slice_bits = 9")]
    #[case(ArrayShape { devices_per_weight: 3, ..ArrayShape::default() }, "devices_per_weight = 3")]
    #[case(ArrayShape { input_bits: 0, ..ArrayShape::default() }, "input_bits = 0")]
    #[case(ArrayShape { input_slice_bits: 9, ..ArrayShape::default() }, "input_slice_bits = 9")]
    #[case(ArrayShape { adc_bits: 0, ..ArrayShape::default() }, "adc_bits = 0")]
    #[case(ArrayShape { output_bits: 0, ..ArrayShape::default() }, "output_bits = 0")]
    #[case(ArrayShape { reference_columns: 128, ..ArrayShape::default() }, "reference_columns = 128")]
    #[case(
        ArrayShape { devices_per_weight: 1, subtraction: Subtraction::Digital, ..ArrayShape::default() },
        "subtraction = digital"
    )]
    fn what_no_array_can_be_is_refused(#[case] shape: ArrayShape, #[case] start: &str) {
        let message = shape.check().unwrap_err().to_string();
        assert!(message.starts_with(start), "{message}");
    }
}
