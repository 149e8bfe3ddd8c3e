//! The two inner loops of all convolutions, with vectors of the processor: a product over taps, and an outer product over pixels.

use std::array;

use pulp::{Arch, Simd, WithSimd};

use super::epilogue::Epilogue;
use super::geometry::SLACK;

/// Output channels of one product.
pub(super) const BLOCK: usize = 6;

/// The length of a run, rounded up to whole tiles.
pub(super) fn padded(run: usize) -> usize {
    run.next_multiple_of(SLACK)
}

/// `out[c][i] = epilogue(bias[c] + Σ_k weights[k][c] planes[offsets[k] + i])` for all `i` of the run.
///
/// Six channels by two vectors stay in registers (by four if there are thirty-two registers). Each tap costs two loads and six broadcasts for twelve
/// multiply-adds: bound by arithmetic. The planes of a tile stay in the first-level cache, and a sum leaves its register once, as the output.
pub(super) struct Product<'a> {
    pub(super) planes: &'a [f32],
    pub(super) offsets: &'a [usize],
    /// `[taps, channels]`.
    pub(super) weights: &'a [f32],
    /// 1 to [`BLOCK`].
    pub(super) channels: usize,
    pub(super) run: usize,
    /// Biases of the channels, then zeros.
    pub(super) bias: [f32; BLOCK],
    pub(super) epilogue: Epilogue,
    /// `[channels, stride]`: values after the run may be overwritten.
    pub(super) out: &'a mut [f32],
    /// Length of the run, or of the run [`padded`] to whole tiles.
    pub(super) stride: usize,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        match self.channels {
            1 => self.tiles::<S, 1>(simd),
            2 => self.tiles::<S, 2>(simd),
            3 => self.tiles::<S, 3>(simd),
            4 => self.tiles::<S, 4>(simd),
            5 => self.tiles::<S, 5>(simd),
            _ => self.tiles::<S, BLOCK>(simd),
        }
    }
}

impl Product<'_> {
    #[inline(always)]
    fn tiles<S: Simd, const C: usize>(mut self, simd: S) {
        let lanes = S::F32_LANES;
        let wide = S::REGISTER_COUNT >= 32 || C <= 2;
        let mut at = 0;
        while at < self.run {
            let left = self.run - at;
            if wide && left > 2 * lanes {
                self.tile::<S, C, 4>(simd, at);
                at += 4 * lanes;
            } else if left > lanes {
                self.tile::<S, C, 2>(simd, at);
                at += 2 * lanes;
            } else {
                self.tile::<S, C, 1>(simd, at);
                at += lanes;
            }
        }
    }

    #[inline(always)]
    fn tile<S: Simd, const C: usize, const V: usize>(&mut self, simd: S, at: usize) {
        let length = V * S::F32_LANES;
        let mut sums = [[simd.splat_f32s(0.0); V]; C];
        for (offset, weights) in self.offsets.iter().zip(self.weights.chunks_exact(C)) {
            let values = S::as_simd_f32s(&self.planes[offset + at..offset + at + length]).0;
            let values: [S::f32s; V] = array::from_fn(|v| values[v]);
            for c in 0..C {
                let weight = simd.splat_f32s(weights[c]);
                for v in 0..V {
                    sums[c][v] = simd.mul_add_e_f32s(weight, values[v], sums[c][v]);
                }
            }
        }
        for (c, mut sums) in sums.into_iter().enumerate() {
            let bias = simd.splat_f32s(self.bias[c]);
            for sum in &mut sums {
                *sum = self.epilogue.value(simd, simd.add_f32s(*sum, bias));
            }
            let out = &mut self.out[c * self.stride..(c + 1) * self.stride][at..];
            if length <= out.len() {
                S::as_mut_simd_f32s(&mut out[..length])
                    .0
                    .copy_from_slice(&sums);
            } else {
                for (out, sum) in out.chunks_mut(S::F32_LANES).zip(sums) {
                    simd.partial_store_f32s(out, sum);
                }
            }
        }
    }
}

/// Taps of one outer product.
const TAPS: usize = 6;

/// `sums[k][c] += Σ_m Σ_(y, x) planes[m][offsets[k] + y columns + x] rows[m][(y, x)][c]`, over images `m` and outputs `(y, x)`.
///
/// The lanes of a vector are channels, so nothing is summed across a vector. Six taps by two vectors stay in registers (by four if there are thirty-two).
/// Blocks of channels are as wide as that, so that both operands are read in order.
pub(super) struct Outer<'a> {
    /// `[images, plane_stride]`.
    pub(super) planes: &'a [f32],
    pub(super) plane_stride: usize,
    /// Offset of the group's planes within an image.
    pub(super) start: usize,
    pub(super) offsets: &'a [usize],
    /// Length of a plane's row.
    pub(super) columns: usize,
    /// `[images, blocks, output, block]`.
    pub(super) rows: &'a [f32],
    pub(super) row_stride: usize,
    pub(super) images: usize,
    /// Height and width.
    pub(super) output: [usize; 2],
    /// Number of channels of a block, from [`block`].
    pub(super) block: usize,
    /// `[taps, blocks, block]`.
    pub(super) sums: &'a mut [f32],
}

/// Channels of a block for [`Outer`]: as many as registers hold, or fewer if most would be padding.
pub(super) fn block(arch: Arch, channels: usize) -> usize {
    let mut block = match arch {
        #[cfg(target_arch = "x86_64")]
        Arch::V4(_) => 64,
        _ => 16,
    };
    while block > 16 && 4 * channels.next_multiple_of(block) > 5 * channels.next_multiple_of(16) {
        block /= 2;
    }
    block
}

impl WithSimd for Outer<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        let lanes = S::F32_LANES;
        let taps = self.offsets.len();
        for tap in (0..taps).step_by(TAPS) {
            let count = TAPS.min(taps - tap);
            // After the last tap, the last tap is repeated and its sum is dropped.
            let offsets = array::from_fn(|t| self.offsets[tap + t.min(count - 1)]);
            for block in 0..self.sums.len() / (taps * self.block) {
                let mut channel = 0;
                while channel < self.block {
                    let left = (self.block - channel) / lanes;
                    if S::REGISTER_COUNT >= 32 && left >= 4 {
                        self.tile::<S, 4>(simd, block, channel, tap, count, offsets);
                        channel += 4 * lanes;
                    } else if left >= 2 {
                        self.tile::<S, 2>(simd, block, channel, tap, count, offsets);
                        channel += 2 * lanes;
                    } else {
                        self.tile::<S, 1>(simd, block, channel, tap, count, offsets);
                        channel += lanes;
                    }
                }
            }
        }
    }
}

impl Outer<'_> {
    #[inline(always)]
    fn tile<S: Simd, const V: usize>(
        &mut self,
        simd: S,
        block: usize,
        channel: usize,
        tap: usize,
        count: usize,
        offsets: [usize; TAPS],
    ) {
        let [height, width] = self.output;
        let size = height * width * self.block;
        let mut sums = [[simd.splat_f32s(0.0); V]; TAPS];
        for image in 0..self.images {
            let planes = &self.planes[image * self.plane_stride + self.start..];
            let rows = &self.rows[image * self.row_stride + block * size..][..size];
            for (y, row) in rows.chunks_exact(width * self.block).enumerate() {
                let mut lines: [&[f32]; TAPS] = [&[]; TAPS];
                for (line, offset) in lines.iter_mut().zip(offsets) {
                    *line = &planes[offset + y * self.columns..][..width];
                }
                for (x, pixel) in row.chunks_exact(self.block).enumerate() {
                    let values = &pixel[channel..channel + V * S::F32_LANES];
                    let values = S::as_simd_f32s(values).0;
                    let values: [S::f32s; V] = array::from_fn(|v| values[v]);
                    for t in 0..TAPS {
                        let input = simd.splat_f32s(lines[t][x]);
                        for v in 0..V {
                            sums[t][v] = simd.mul_add_e_f32s(input, values[v], sums[t][v]);
                        }
                    }
                }
            }
        }
        let channels = self.sums.len() / self.offsets.len();
        for (t, sums) in sums.into_iter().take(count).enumerate() {
            let at = (tap + t) * channels + block * self.block + channel;
            let out = &mut self.sums[at..at + V * S::F32_LANES];
            for (out, sum) in S::as_mut_simd_f32s(out).0.iter_mut().zip(sums) {
                *out = simd.add_f32s(*out, sum);
            }
        }
    }
}
