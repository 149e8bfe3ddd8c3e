//! The two inner loops of every convolution: a product over taps and a correlation, in vectors of the processor.

use std::array;

use pulp::{Simd, WithSimd};

use super::geometry::SLACK;

/// Output channels that a product works on at a time.
pub(super) const BLOCK: usize = 6;

/// Values of a run, rounded up to whole tiles.
pub(super) fn padded(run: usize) -> usize {
    run.next_multiple_of(SLACK)
}

/// `out[c][i] = Σ_k weights[k][c] planes[offsets[k] + i]` for `i` in the run.
///
/// Six channels by two vectors stay in registers (by four where there are thirty-two registers), so each tap costs two
/// loads and six broadcasts for twelve multiply-adds: bound by arithmetic. The planes of a tile stay in the first cache.
pub(super) struct Product<'a> {
    pub(super) planes: &'a [f32],
    pub(super) offsets: &'a [usize],
    /// `[taps, channels]`.
    pub(super) weights: &'a [f32],
    /// 1 to [`BLOCK`].
    pub(super) channels: usize,
    pub(super) run: usize,
    /// `[channels, padded(run)]`.
    pub(super) out: &'a mut [f32],
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
        let stride = padded(self.run);
        for (c, sums) in sums.into_iter().enumerate() {
            let out = &mut self.out[c * stride + at..c * stride + at + length];
            S::as_mut_simd_f32s(out).0.copy_from_slice(&sums);
        }
    }
}

/// `sums[c][k] += Σ_m Σ_i rows[m][c][i] planes[m][offsets[k] + i]`, the sum over images and a run.
///
/// Rows must be zero behind the run, up to `padded(run)`.
pub(super) struct Correlation<'a> {
    /// `[images, plane_stride]`.
    pub(super) planes: &'a [f32],
    pub(super) plane_stride: usize,
    /// Where the planes of the group start within an image.
    pub(super) start: usize,
    pub(super) offsets: &'a [usize],
    /// `[images, row_stride]`, each `[channels, padded(run)]` at least.
    pub(super) rows: &'a [f32],
    pub(super) row_stride: usize,
    pub(super) images: usize,
    pub(super) channels: usize,
    pub(super) run: usize,
    /// `[channels, taps]`.
    pub(super) sums: &'a mut [f32],
}

impl WithSimd for Correlation<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        if S::REGISTER_COUNT >= 32 {
            self.blocks::<S, 4, 6>(simd);
        } else {
            self.blocks::<S, 3, 4>(simd);
        }
    }
}

impl Correlation<'_> {
    #[inline(always)]
    fn blocks<S: Simd, const C: usize, const T: usize>(mut self, simd: S) {
        let mut tap = 0;
        while tap < self.offsets.len() {
            let count = T.min(self.offsets.len() - tap);
            // Behind the last tap the last is taken again, and its sum dropped.
            let offsets = array::from_fn(|t| self.offsets[tap + t.min(count - 1)]);
            let mut channel = 0;
            while channel < self.channels {
                let block = C.min(self.channels - channel);
                match block {
                    1 => self.block::<S, 1, T>(simd, channel, tap, count, offsets),
                    2 => self.block::<S, 2, T>(simd, channel, tap, count, offsets),
                    3 => self.block::<S, 3, T>(simd, channel, tap, count, offsets),
                    _ => self.block::<S, 4, T>(simd, channel, tap, count, offsets),
                }
                channel += block;
            }
            tap += count;
        }
    }

    #[inline(always)]
    fn block<S: Simd, const C: usize, const T: usize>(
        &mut self,
        simd: S,
        channel: usize,
        tap: usize,
        count: usize,
        offsets: [usize; T],
    ) {
        let vectors = self.run.div_ceil(S::F32_LANES);
        let length = vectors * S::F32_LANES;
        let stride = padded(self.run);
        let mut sums = [[simd.splat_f32s(0.0); T]; C];
        for image in 0..self.images {
            let rows = image * self.row_stride;
            let planes = image * self.plane_stride + self.start;
            let rows: [&[S::f32s]; C] = array::from_fn(|c| {
                let at = rows + (channel + c) * stride;
                &S::as_simd_f32s(&self.rows[at..at + length]).0[..vectors]
            });
            let planes: [&[S::f32s]; T] = array::from_fn(|t| {
                let at = planes + offsets[t];
                &S::as_simd_f32s(&self.planes[at..at + length]).0[..vectors]
            });
            for i in 0..vectors {
                let row: [S::f32s; C] = array::from_fn(|c| rows[c][i]);
                for t in 0..T {
                    let value = planes[t][i];
                    for c in 0..C {
                        sums[c][t] = simd.mul_add_e_f32s(row[c], value, sums[c][t]);
                    }
                }
            }
        }
        let taps = self.offsets.len();
        for (c, sums) in sums.into_iter().enumerate() {
            let out = &mut self.sums[(channel + c) * taps + tap..][..count];
            for (out, sum) in out.iter_mut().zip(sums) {
                *out += simd.reduce_sum_f32s(sum);
            }
        }
    }
}
