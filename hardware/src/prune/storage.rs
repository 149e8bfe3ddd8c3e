//! The memory that the weights of a layer take.

use super::PruningPattern;
use crate::WeightBits;

/// Bits of memory for `weights` weights of a layer of which `kept` remain after `pattern`, each of `bits` bits, or of 32 where it is not
/// quantized: the smallest of three forms.
///
/// ```text
/// dense:   weights · b                       where a level is zero
/// bitmap:  kept · b + weights                a bit for every weight says whether it remains
/// index:   kept · (b + ceil(log2 M))         the place in a group of M, of N:M patterns
/// ```
///
/// Without a pattern a layer is dense. At one bit no level is zero, so that pruned signs need a bitmap or an index: with half of the weights
/// they are larger than dense ones.
///
/// ```
/// use crossburn_hardware::WeightBits;
/// use crossburn_hardware::prune::stored_bits;
///
/// let half = Some("2:4".parse()?);
/// let of = |bits, pattern| Ok::<_, crossburn_hardware::HardwareError>(stored_bits(64, 32, pattern, Some(WeightBits::new(bits)?)));
/// assert_eq!((of(8, None)?, of(8, half)?), (64 * 8, 32 * 8 + 64));
/// // Two bits: the bitmap costs what it spares. One bit: more than that.
/// assert_eq!((of(2, half)?, of(1, half)?), (128, 96));
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
pub fn stored_bits(
    weights: usize,
    kept: usize,
    pattern: Option<PruningPattern>,
    bits: Option<WeightBits>,
) -> u64 {
    let width = bits.map_or(32, |bits| u64::from(bits.get()));
    let (weights, kept) = (weights as u64, kept as u64);
    let dense = weights * width;
    let Some(pattern) = pattern else {
        return dense;
    };
    let bitmap = kept * width + weights;
    let index = match pattern {
        PruningPattern::Balanced { of, .. } => {
            let place = u64::from(of.next_power_of_two().trailing_zeros());
            kept * (width + place)
        }
        PruningPattern::Unstructured { .. } => bitmap,
    };
    match width {
        1 => bitmap.min(index),
        _ => dense.min(bitmap).min(index),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_form_is_counted() {
        let of = |pattern: &str, kept, bits: Option<u8>| {
            let bits = bits.map(|bits| WeightBits::new(bits).unwrap());
            stored_bits(64, kept, Some(pattern.parse().unwrap()), bits)
        };
        // 1:4 keeps 16: 16 · (8 + 2) against 16 · 8 + 64 of the bitmap.
        assert_eq!(of("1:4", 16, Some(8)), 160);
        // 8:16 keeps 32: a place takes 4 bits, a bitmap 2 a weight that remains.
        assert_eq!(of("8:16", 32, Some(4)), 32 * 4 + 64);
        assert_eq!(of("unstructured:0.5", 32, Some(4)), 32 * 4 + 64);
        assert_eq!(of("2:4", 32, None), 32 * 32 + 64);
        // Three groups of five need three bits for a place.
        assert_eq!(of("1:5", 13, Some(1)), 13 * 4);
    }
}
