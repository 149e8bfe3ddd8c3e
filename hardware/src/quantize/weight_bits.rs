//! The width of a quantized weight.

use serde::{Deserialize, Serialize};

use crate::HardwareError;

/// The width of a quantized weight, sign included: 2 to 16 bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct WeightBits(u8);

impl WeightBits {
    /// A checked width.
    ///
    /// # Errors
    /// [`HardwareError::Bits`] outside 2..=16.
    pub fn new(bits: u8) -> Result<Self, HardwareError> {
        if (2..=16).contains(&bits) {
            Ok(Self(bits))
        } else {
            Err(HardwareError::Bits { bits })
        }
    }

    /// The width in bits.
    pub fn get(self) -> u8 {
        self.0
    }

    /// The largest level: levels are the integers `-max_level..=max_level`.
    pub fn max_level(self) -> f32 {
        ((1u32 << (self.0 - 1)) - 1) as f32
    }
}

impl TryFrom<u8> for WeightBits {
    type Error = HardwareError;

    fn try_from(bits: u8) -> Result<Self, HardwareError> {
        Self::new(bits)
    }
}

impl From<WeightBits> for u8 {
    fn from(bits: WeightBits) -> u8 {
        bits.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_widths_are_refused() {
        for bits in [0, 1, 17, 255] {
            assert_eq!(WeightBits::new(bits), Err(HardwareError::Bits { bits }));
        }
    }
}
