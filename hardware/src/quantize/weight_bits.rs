//! The width of a quantized weight.

use serde::{Deserialize, Serialize};

use crate::HardwareError;

/// The width of a quantized weight, sign included: 1 to 16 bits. One bit is the sign alone: its levels are -1 and 1, without 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct WeightBits(u8);

impl WeightBits {
    /// A width of eight bits.
    pub const EIGHT: Self = Self(8);

    /// A checked width.
    ///
    /// # Errors
    /// [`HardwareError::Bits`] outside 1..=16.
    pub fn new(bits: u8) -> Result<Self, HardwareError> {
        if (1..=16).contains(&bits) {
            Ok(Self(bits))
        } else {
            Err(HardwareError::Bits { bits })
        }
    }

    /// The width in bits.
    pub fn get(self) -> u8 {
        self.0
    }

    /// The largest level: levels are the integers `-max_level..=max_level`, without 0 at one bit.
    pub fn max_level(self) -> f32 {
        ((1u32 << (self.0 - 1)) - 1).max(1) as f32
    }

    /// Whether the sign is all there is.
    pub fn is_sign(self) -> bool {
        self.0 == 1
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
        for bits in [0, 17, 255] {
            assert_eq!(WeightBits::new(bits), Err(HardwareError::Bits { bits }));
        }
    }
}
