//! Numbers that are stored one by one, without blocks.

/// The number of a little-endian IEEE half-precision pattern.
#[inline(always)]
pub(crate) fn f16(bytes: [u8; 2]) -> f32 {
    let bits = u32::from(u16::from_le_bytes(bytes));
    let magnitude = (bits & 0x7fff) << 13;
    // The exponent of half precision is 112 lower. A product corrects it exactly, also for subnormal numbers.
    let number = f32::from_bits(magnitude) * f32::from_bits((127 + 112) << 23);
    let special = if magnitude >= 0x7c00 << 13 {
        0x7f80_0000
    } else {
        0
    };
    f32::from_bits(number.to_bits() | special | (bits & 0x8000) << 16)
}

/// The 32-bit number whose upper half is `bytes`, little-endian.
#[inline(always)]
pub(crate) fn bf16(bytes: [u8; 2]) -> f32 {
    f32::from_bits(u32::from(u16::from_le_bytes(bytes)) << 16)
}

#[cfg(test)]
mod tests {
    use super::f16;

    /// Every pattern by the formula of the format, in 64 bits: ± 2^(e-15) (1 + m/1024), or ± 2^-14 m/1024 for e = 0.
    #[test]
    fn half_precision_is_exact_for_every_pattern() {
        for bits in 0..=u16::MAX {
            let sign = if bits >> 15 == 1 { -1.0 } else { 1.0 };
            let (exponent, mantissa) = (i32::from(bits >> 10 & 31), f64::from(bits & 1023));
            let expected = sign
                * match exponent {
                    0 => mantissa / 1024.0 * 2.0f64.powi(-14),
                    31 if mantissa == 0.0 => f64::INFINITY,
                    31 => f64::NAN,
                    _ => (1.0 + mantissa / 1024.0) * 2.0f64.powi(exponent - 15),
                };
            let found = f16(bits.to_le_bytes());
            if expected.is_nan() {
                assert!(found.is_nan(), "{bits:#06x}");
            } else {
                assert_eq!(
                    found.to_bits(),
                    (expected as f32).to_bits(),
                    "{bits:#06x}: {found}"
                );
            }
        }
    }
}
