//! How the samples of a file are encoded.

/// An encoding of whole numbers. Its code in WFDB comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Encoding {
    /// 16: two bytes, the low byte first, in two's complement.
    Word16,
    /// 80: one byte, from which 128 is subtracted.
    Offset8,
    /// 212: two 12-bit samples in three bytes.
    Packed12,
}

impl Encoding {
    /// All codes, as words of a message.
    pub(super) const NAMES: &'static str = "16, 80 and 212";

    /// The encoding with this code.
    pub(super) fn of(code: &str) -> Option<Self> {
        match code {
            "16" => Some(Self::Word16),
            "80" => Some(Self::Offset8),
            "212" => Some(Self::Packed12),
            _ => None,
        }
    }

    /// Number of bytes for `count` samples.
    pub(super) fn bytes(self, count: u128) -> u128 {
        match self {
            Self::Word16 => 2 * count,
            Self::Offset8 => count,
            // If the number of samples is odd, the last one takes two bytes.
            Self::Packed12 => count / 2 * 3 + count % 2 * 2,
        }
    }

    /// Number of samples in `bytes` bytes.
    pub(super) fn samples(self, bytes: u64) -> u64 {
        match self {
            Self::Word16 => bytes / 2,
            Self::Offset8 => bytes,
            Self::Packed12 => bytes / 3 * 2 + u64::from(bytes % 3 == 2),
        }
    }

    /// The number that marks a missing sample.
    pub(super) fn invalid(self) -> i32 {
        match self {
            Self::Word16 => -(1 << 15),
            Self::Offset8 => -(1 << 7),
            Self::Packed12 => -(1 << 11),
        }
    }

    /// The first `count` samples in `bytes`, which must hold as many.
    pub(super) fn decode(self, bytes: &[u8], count: usize) -> Vec<i32> {
        match self {
            Self::Word16 => {
                let words = bytes.as_chunks::<2>().0.iter().take(count);
                words
                    .map(|word| i32::from(i16::from_le_bytes(*word)))
                    .collect()
            }
            Self::Offset8 => {
                let bytes = bytes.iter().take(count);
                bytes.map(|byte| i32::from(*byte) - 128).collect()
            }
            Self::Packed12 => {
                // Sign extension of 12 bits.
                let signed = |bits: u16| i32::from((bits << 4) as i16 >> 4);
                let mut samples = Vec::with_capacity(count + 1);
                for three in bytes.chunks(3) {
                    let byte = |place: usize| u16::from(three.get(place).copied().unwrap_or(0));
                    samples.push(signed(byte(0) | (byte(1) & 0x0F) << 8));
                    samples.push(signed(byte(2) | (byte(1) & 0xF0) << 4));
                    if samples.len() >= count {
                        break;
                    }
                }
                samples.truncate(count);
                samples
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_are_those_worked_by_hand() {
        assert_eq!(
            Encoding::Word16.decode(&[1, 0, 0xFF, 0xFF, 0, 0x80], 3),
            [1, -1, -32768]
        );
        assert_eq!(Encoding::Offset8.decode(&[0, 128, 255], 3), [-128, 0, 127]);
        // 0x7FF and -2048 (0x800): bytes FF, 87, 00. Then 1 alone: bytes 01, 00.
        let packed = [0xFF, 0x87, 0x00, 0x01, 0x00];
        assert_eq!(Encoding::Packed12.decode(&packed, 3), [2047, -2048, 1]);
        // -1 and 100 (0x064): FF, 0F, 64.
        assert_eq!(Encoding::Packed12.decode(&[0xFF, 0x0F, 0x64], 2), [-1, 100]);
    }

    #[test]
    fn sizes_go_both_ways() {
        for encoding in [Encoding::Word16, Encoding::Offset8, Encoding::Packed12] {
            for count in 0..20u64 {
                let bytes = encoding.bytes(u128::from(count)) as u64;
                assert_eq!(encoding.samples(bytes), count, "{encoding:?}");
            }
        }
        assert_eq!(Encoding::Packed12.bytes(3), 5);
    }
}
