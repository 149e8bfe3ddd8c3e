//! Products of the rows of a quantized weight with one row of inputs, with the instructions that the processor has.
//!
//! With blocks, inputs have eight bits. 32 weights and 32 inputs give eight exact integers, each the sum of four products; these are scaled and added
//! to eight 32-bit sums. With half-precision weights, inputs are not rounded.
//!
//! Every path adds the same numbers in the same order, and thus gives the same bits. For a row:
//!
//! ```text
//! lanes[g mod 2][l] += (scale_g d_g) · Σ_k q_(4l+k) x_(4l+k)        offsets[g mod 2] += offset_g · (d_g Σ x)
//! ```
//!
//! for groups `g` of 32 in order. Each multiplication and addition has one rounding. Finally the sums are added in pairs.
//!
//! The rows of a panel have one sum each, to which first the scaled integer and then the offset of each group is added:
//!
//! ```text
//! sum += (scale_g d_g) · Σ_i q_i x_i        sum += offset_g · (d_g Σ x)
//! ```

mod panel;
#[cfg(target_arch = "x86_64")]
mod panel_x86;
mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

use super::WeightFormat;
use super::input::QuantizedInput;
use super::interleaved::ROWS;

/// The instructions for products.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Any processor.
    Portable,
    /// x86-64 with AVX2, FMA and F16C: two instructions for four products.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// The same with AVX-512 VNNI on vectors of 256 bits: one instruction for four products.
    #[cfg(target_arch = "x86_64")]
    Vnni,
}

/// Some rows of a weight.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub(super) format: WeightFormat,
    pub(super) bytes: &'a [u8],
    pub(super) row_bytes: usize,
    /// Whether the rows lie in panels; they are whole panels then.
    pub(super) interleaved: bool,
}

/// One row of inputs, in the form that the weight's format needs.
#[derive(Clone, Copy)]
pub(super) enum Input<'a> {
    Floats(&'a [f32]),
    Quantized(&'a QuantizedInput),
}

impl Path {
    /// All paths of this processor; the best is the last.
    #[cfg(test)]
    pub(super) fn all() -> Vec<Self> {
        #[cfg(target_arch = "x86_64")]
        {
            let has = |path: &Self| match path {
                Self::Portable => true,
                Self::Avx2 => x86::has_avx2(),
                Self::Vnni => x86::has_vnni(),
            };
            let mut paths = vec![Self::Portable, Self::Avx2, Self::Vnni];
            paths.retain(has);
            paths
        }
        #[cfg(not(target_arch = "x86_64"))]
        vec![Self::Portable]
    }

    /// The best path of this processor.
    pub(super) fn best() -> Self {
        #[cfg(target_arch = "x86_64")]
        {
            if x86::has_vnni() {
                return Self::Vnni;
            }
            if x86::has_avx2() {
                return Self::Avx2;
            }
        }
        Self::Portable
    }

    /// `out[i] = row i · input`.
    ///
    /// # Panics
    /// If `out` has another number of outputs than there are rows.
    pub(super) fn products(self, rows: Rows<'_>, input: Input<'_>, out: &mut [f32]) {
        assert_eq!(out.len() * rows.row_bytes, rows.bytes.len());
        match self {
            Self::Portable => portable::products(rows, input, out),
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                assert!(x86::has_avx2());
                // SAFETY: the line above has checked every feature that the function is compiled for.
                #[allow(
                    unsafe_code,
                    reason = "a function compiled for features of the processor"
                )]
                unsafe {
                    x86::avx2(rows, input, out);
                }
            }
            #[cfg(target_arch = "x86_64")]
            Self::Vnni => {
                assert!(x86::has_vnni());
                // SAFETY: the line above has checked every feature that the function is compiled for.
                #[allow(
                    unsafe_code,
                    reason = "a function compiled for features of the processor"
                )]
                unsafe {
                    x86::vnni(rows, input, out);
                }
            }
        }
    }
}

impl Rows<'_> {
    /// The products of all panels with one row of inputs, panel by panel.
    ///
    /// # Panics
    /// If the rows are no whole panels.
    #[inline(always)]
    fn each_panel(self, out: &mut [f32], product: impl Fn(&[u8]) -> [f32; ROWS]) {
        assert!(out.len().is_multiple_of(ROWS), "whole panels");
        let panels = self.bytes.chunks_exact(ROWS * self.row_bytes);
        for (panel, out) in panels.zip(out.as_chunks_mut::<ROWS>().0) {
            *out = product(panel);
        }
    }
}

/// The sum of eight numbers, added in pairs.
#[inline(always)]
fn folded(lanes: [f32; 8]) -> f32 {
    let four: [f32; 4] = std::array::from_fn(|lane| lanes[lane] + lanes[lane + 4]);
    (four[0] + four[2]) + (four[1] + four[3])
}
