//! Inputs of a product with a quantized weight, rounded to eight bits.
//!
//! ```text
//! d = max |x_i| / 127 of 32 inputs        q_i = round(x_i / d)        x_i ≈ d q_i
//! ```
//!
//! The error of an input is at most `d / 2`, or 1/254 of the largest of its group of 32.

use pulp::{Arch, Simd, WithSimd};

/// One row of inputs, in groups of 32.
#[derive(Clone, Debug, Default)]
pub(super) struct QuantizedInput {
    pub(super) groups: Vec<InputGroup>,
}

/// 32 inputs.
#[derive(Clone, Copy, Debug)]
pub(super) struct InputGroup {
    /// From -127 to 127.
    pub(super) quants: [i8; 32],
    /// `d`; NaN if an input is not finite.
    pub(super) scale: f32,
    /// `Σ q_i`.
    pub(super) total: i32,
    /// `d Σ q_i`.
    pub(super) sum: f32,
}

impl QuantizedInput {
    /// Rounds `values`, which must be whole groups.
    pub(super) fn new(arch: Arch, values: &[f32]) -> Self {
        let groups = arch.dispatch(Quantize { values });
        Self { groups }
    }
}

struct Quantize<'a> {
    values: &'a [f32],
}

impl WithSimd for Quantize<'_> {
    type Output = Vec<InputGroup>;

    /// Plain loops that the compiler vectorizes; an iterator that is collected would not be. The results are the same with any vectors.
    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Vec<InputGroup> {
        let values = self.values.as_chunks::<32>().0;
        let empty = InputGroup {
            quants: [0; 32],
            scale: 0.0,
            total: 0,
            sum: 0.0,
        };
        let mut groups = vec![empty; values.len()];
        for (group, values) in groups.iter_mut().zip(values) {
            *group = quantized(values);
        }
        groups
    }
}

#[inline(always)]
fn quantized(values: &[f32; 32]) -> InputGroup {
    // Magnitudes have the same order as their bits. Those that are not finite come last.
    let bits = values.map(|value| value.to_bits() & 0x7fff_ffff);
    let largest = f32::from_bits(bits.iter().fold(0, |most, bits| most.max(*bits)));
    let inverse = 127.0 / largest;
    let mut quants = [0; 32];
    // For scales below about 4e-37 the inverse is infinite; such inputs become zeros.
    if inverse.is_finite() {
        for (quant, value) in quants.iter_mut().zip(values) {
            *quant = (value * inverse).round_ties_even() as i32 as i8;
        }
    }
    let scale = match largest.is_finite() {
        true => largest / 127.0,
        false => f32::NAN,
    };
    let total: i32 = quants.iter().map(|quant| i32::from(*quant)).sum();
    InputGroup {
        quants,
        scale,
        total,
        sum: scale * total as f32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{numbers, paths};

    #[test]
    fn an_input_is_off_by_half_a_step_at_most() {
        let mut values = numbers(1, 64);
        values[40] = 20.0;
        for arch in paths() {
            let found = QuantizedInput::new(arch, &values);
            for (group, values) in found.groups.iter().zip(values.chunks(32)) {
                let largest = values.iter().fold(0.0f32, |most, x| most.max(x.abs()));
                assert_eq!(group.scale, largest / 127.0);
                let mut sum = 0;
                for (quant, value) in group.quants.iter().zip(values) {
                    let error =
                        (f64::from(group.scale) * f64::from(*quant) - f64::from(*value)).abs();
                    // Half a step, plus the rounding of a 32-bit quotient.
                    assert!(error <= f64::from(group.scale) * (0.5 + 1e-4), "{value}");
                    sum += i32::from(*quant);
                }
                assert_eq!(group.total, sum);
                assert_eq!(group.sum, group.scale * sum as f32);
            }
        }
    }

    #[test]
    fn zeros_stay_zeros_and_what_is_not_finite_is_seen() {
        let groups = |values: &[f32]| QuantizedInput::new(Arch::new(), values).groups;
        for small in [0.0, f32::MIN_POSITIVE / 4.0] {
            let found = groups(&[small; 32]);
            assert_eq!((found[0].quants, found[0].sum), ([0; 32], 0.0));
            assert!(found[0].scale.is_finite());
        }
        for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let mut values = [1.0; 64];
            values[3] = bad;
            let found = groups(&values);
            assert!(found[0].scale.is_nan() && found[0].sum.is_nan());
            assert_eq!(found[1].scale, 1.0 / 127.0);
        }
    }
}
