//! Inputs as a converter applies them.

use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

use crate::HardwareError;
use crate::map::round;

/// Whether inputs can be negative.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InputSign {
    /// Sign and magnitude: codes `-(2^(bits-1) - 1)..=2^(bits-1) - 1`.
    #[default]
    Signed,
    /// Magnitude alone: codes `0..=2^bits - 1`; negative inputs are clipped to zero.
    Unsigned,
}

/// Digital to analog converter of the inputs.
///
/// ```text
/// code = round(clip(x / x_max) L)          applied: code / L          L = 2^(bits-1) - 1, unsigned 2^bits - 1
/// ```
///
/// With `slice_bits` the magnitude of the code is applied a few bits at a time, the lowest first, each slice with the
/// sign of the code.
///
/// ```
/// use crossburn_hardware::{Dac, InputSign};
///
/// let dac = Dac::new(8);
/// assert_eq!(dac.codes(&[0.5, -1.0, 7.0])?, [64.0, -127.0, 127.0]);
/// assert_eq!(Dac { sign: InputSign::Unsigned, ..dac }.codes(&[0.5, -1.0])?, [128.0, 0.0]);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
///
/// # Source
/// Xiao et al., "On the accuracy of analog neural network inference accelerators", IEEE Circuits and Systems Magazine
/// 2022 (sign-magnitude inputs, input bit slicing).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dac {
    /// Width of a code, sign included: 2 to 16, unsigned 1 to 16.
    pub bits: u8,
    /// Whether inputs can be negative.
    #[serde(default)]
    pub sign: InputSign,
    /// The input at full scale.
    #[serde(default = "one", deserialize_with = "crate::single::of_field")]
    pub x_max: f32,
    /// Bits that are applied at a time; `None` applies the whole code.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub slice_bits: Option<u8>,
}

fn one() -> f32 {
    1.0
}

impl Dac {
    /// A signed converter over ±1 that applies whole codes.
    pub const fn new(bits: u8) -> Self {
        Self {
            bits,
            sign: InputSign::Signed,
            x_max: 1.0,
            slice_bits: None,
        }
    }

    /// The same converter, if its parameters are allowed.
    ///
    /// # Errors
    /// [`HardwareError::Limit`].
    pub fn check(self) -> Result<Self, HardwareError> {
        let least = match self.sign {
            InputSign::Signed => 2,
            InputSign::Unsigned => 1,
        };
        let limit = |field: &str, value: String, limit: String, remedy: &str| {
            Err(HardwareError::limit(field, value, limit, remedy))
        };
        if !(least..=16).contains(&self.bits) {
            let (value, limits) = (self.bits.to_string(), format!("{least}..=16"));
            return limit("input bits", value, limits, "use a width in that range");
        }
        // Smaller ones have no reciprocal.
        if !(self.x_max >= f32::MIN_POSITIVE && self.x_max.is_finite()) {
            let remedy = "use the largest input that should not be clipped";
            return limit(
                "x_max",
                self.x_max.to_string(),
                "the finite numbers from 1.2e-38 on".into(),
                remedy,
            );
        }
        match self.slice_bits {
            Some(bits) if bits == 0 || u32::from(bits) > self.magnitude_bits() => limit(
                "input slice_bits",
                bits.to_string(),
                format!("1..={}, the bits of a magnitude", self.magnitude_bits()),
                "use a width in that range, or leave it out",
            ),
            _ => Ok(self),
        }
    }

    /// The codes of `x`, as numbers; NaN stays NaN.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] where the parameters are not allowed.
    pub fn codes(&self, x: &[f32]) -> Result<Vec<f32>, HardwareError> {
        let dac = self.check()?;
        let mut codes = vec![0.0; x.len()];
        dac.encode(x, &mut codes);
        Ok(codes)
    }

    /// Bits of a magnitude.
    pub(super) fn magnitude_bits(&self) -> u32 {
        match self.sign {
            InputSign::Signed => u32::from(self.bits) - 1,
            InputSign::Unsigned => self.bits.into(),
        }
    }

    /// The largest code.
    pub fn levels(&self) -> u32 {
        (1 << self.magnitude_bits()) - 1
    }

    /// Bits of a slice and number of slices.
    pub(super) fn slices(&self) -> (u32, usize) {
        let width = self.slice_bits.map_or(self.magnitude_bits(), u32::from);
        (width, self.magnitude_bits().div_ceil(width) as usize)
    }

    /// Writes the codes of `x` and returns their sum, exact for up to 8,192 inputs; NaN makes it NaN.
    pub(super) fn encode(&self, x: &[f32], codes: &mut [f32]) -> f32 {
        let levels = self.levels() as f32;
        Arch::new().dispatch(Encode {
            x,
            codes,
            inverse: 1.0 / self.x_max,
            least: match self.sign {
                InputSign::Signed => -1.0,
                InputSign::Unsigned => 0.0,
            },
            levels,
        })
    }
}

struct Encode<'a> {
    x: &'a [f32],
    codes: &'a mut [f32],
    inverse: f32,
    least: f32,
    levels: f32,
}

/// Codes that are added up side by side.
const LANES: usize = 16;

impl WithSimd for Encode<'_> {
    type Output = f32;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) -> f32 {
        let Self {
            x,
            codes,
            inverse,
            least,
            levels,
        } = self;
        let code = |x: f32| {
            let x = x * inverse;
            // Comparisons that are false for NaN keep it.
            let x = if x < least { least } else { x };
            let x = if x > 1.0 { 1.0 } else { x };
            round(x * levels)
        };
        let (heads, tail) = x.as_chunks::<LANES>();
        let (code_heads, code_tail) = codes.as_chunks_mut::<LANES>();
        let mut sums = [0.0f32; LANES];
        for (x, codes) in heads.iter().zip(code_heads) {
            *codes = x.map(code);
            for (sum, code) in sums.iter_mut().zip(codes) {
                *sum += *code;
            }
        }
        let mut sum: f64 = sums.into_iter().map(f64::from).sum();
        for (x, value) in tail.iter().zip(code_tail) {
            *value = code(*x);
            sum += f64::from(*value);
        }
        sum as f32
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use rstest::rstest;

    proptest! {
        #[test]
        fn codes_are_the_nearest_and_their_sum_is_exact(
            x in prop::collection::vec(-2.0f32..2.0, 1..70), bits in 2u8..=16, unsigned: bool, x_max in 0.5f32..3.0,
        ) {
            let sign = if unsigned { InputSign::Unsigned } else { InputSign::Signed };
            let dac = Dac { sign, x_max, ..Dac::new(bits) }.check().unwrap();
            let mut codes = vec![0.0; x.len()];
            let sum = dac.encode(&x, &mut codes);
            let levels = f64::from(dac.levels());
            for (x, code) in x.iter().zip(&codes) {
                let least = if unsigned { 0.0 } else { -1.0 };
                let exact = f64::from(x / x_max).clamp(least, 1.0) * levels;
                // Half a step and the roundings of 32 bits.
                prop_assert!((f64::from(*code) - exact).abs() <= 0.5 + 3e-7 * levels);
                prop_assert_eq!(code.fract(), 0.0);
            }
            prop_assert_eq!(f64::from(sum), codes.iter().map(|c| f64::from(*c)).sum::<f64>());
        }
    }

    #[rstest]
    #[case(Dac::new(1), "input bits = 1 is outside 2..=16")]
    #[case(Dac { x_max: 0.0, ..Dac::new(8) }, "x_max = 0 is outside the finite numbers from 1.2e-38 on")]
    #[case(Dac { x_max: 1e-44, ..Dac::new(8) }, "x_max = 0.0000000")]
    #[case(Dac { x_max: f32::NAN, ..Dac::new(8) }, "x_max = NaN is outside")]
    #[case(Dac { slice_bits: Some(8), ..Dac::new(8) }, "input slice_bits = 8 is outside 1..=7")]
    #[case(Dac { slice_bits: Some(0), ..Dac::new(8) }, "input slice_bits = 0 is outside 1..=7")]
    fn impossible_converters_are_refused(#[case] dac: Dac, #[case] message: &str) {
        let found = dac.check().unwrap_err().to_string();
        assert!(found.starts_with(message), "{found}");
    }
}
