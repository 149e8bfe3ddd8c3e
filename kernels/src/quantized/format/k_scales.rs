//! The eight scales and minima of `Q4_K` and `Q5_K`, six bits each, in twelve bytes.
//!
//! ```text
//! byte j      (j < 4)   low six bits: scale j      high two bits: bits 4-5 of scale j+4
//! byte j+4    (j < 4)   low six bits: minimum j    high two bits: bits 4-5 of minimum j+4
//! byte j+8    (j < 4)   low four bits: of scale j+4; high four bits: of minimum j+4
//! ```

/// The scale and the minimum of group `group` (0 to 7).
#[inline(always)]
pub(crate) fn scale_and_minimum(packed: &[u8; 12], group: usize) -> (u8, u8) {
    if group < 4 {
        (packed[group] & 63, packed[group + 4] & 63)
    } else {
        let (low, scale, minimum) = (packed[group + 4], packed[group - 4], packed[group]);
        (low & 15 | scale >> 6 << 4, low >> 4 | minimum >> 6 << 4)
    }
}
