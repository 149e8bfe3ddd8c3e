//! From currents to shifted and added codes, in one pass.

use pulp::{Arch, Simd, WithSimd};

use super::adc::Quantizer;
use super::converter_errors::LineErrors;
use crate::map::round;

/// `sums[row][line] += Σ_j factors[j] convert(unit currents[row][j][line])`.
pub(super) struct Convert<'a> {
    /// `[rows, conversions, stride]`, of which `width` are used.
    pub(super) currents: &'a [f32],
    pub(super) stride: usize,
    pub(super) width: usize,
    /// Normalised current of one unit of `currents`.
    pub(super) unit: f32,
    /// Factor of every conversion.
    pub(super) factors: &'a [f32],
    /// `None` reads exactly.
    pub(super) quantizer: Option<Quantizer>,
    /// Errors of the converters, and the first line in them.
    pub(super) errors: Option<(&'a LineErrors, usize)>,
    /// `[rows, sum_stride]`, from `sum_offset` on.
    pub(super) sums: &'a mut [f32],
    pub(super) sum_stride: usize,
    pub(super) sum_offset: usize,
}

impl Convert<'_> {
    pub(super) fn run(self) {
        Arch::new().dispatch(self);
    }
}

impl WithSimd for Convert<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let Self {
            unit,
            quantizer,
            errors,
            ..
        } = self;
        match (quantizer, errors) {
            (None, _) => self.each(|_, sums, currents, factor| {
                let factor = factor * unit;
                for (sum, current) in sums.iter_mut().zip(currents) {
                    *sum += factor * current;
                }
            }),
            (Some(quantizer), None) => self.each(|_, sums, currents, factor| {
                for (sum, current) in sums.iter_mut().zip(currents) {
                    let code = round(quantizer.place(unit * current));
                    *sum += factor * quantizer.current(code);
                }
            }),
            (Some(quantizer), Some((errors, first))) if errors.weights.is_empty() => {
                self.each(|line, sums, currents, factor| {
                    let gains = &errors.gains[first + line..];
                    let offsets = &errors.offsets[first + line..];
                    let errors = gains.iter().zip(offsets);
                    for ((sum, current), (gain, offset)) in
                        sums.iter_mut().zip(currents).zip(errors)
                    {
                        let place = quantizer.place(gain * unit * current) + offset;
                        let code = round(bounded(place, 0.0, quantizer.steps));
                        *sum += factor * quantizer.current(code);
                    }
                });
            }
            (Some(quantizer), Some((errors, first))) => {
                let lines = errors.gains.len();
                self.each(|line, sums, currents, factor| {
                    let first = first + line;
                    for (l, (sum, current)) in sums.iter_mut().zip(currents).enumerate() {
                        let place = quantizer.place(errors.gains[first + l] * unit * current)
                            + errors.offsets[first + l];
                        let mut code = 0u32;
                        let mut kept = 0.0;
                        for (bit, weights) in errors.weights.chunks_exact(lines).enumerate().rev() {
                            let trial = kept + weights[first + l];
                            // Half a step: thresholds lie between codes.
                            if trial <= place + 0.5 {
                                kept = trial;
                                code += 1 << bit;
                            }
                        }
                        let code = bounded(code as f32, 0.0, quantizer.steps);
                        *sum += factor * quantizer.current(code);
                    }
                });
            }
        }
    }
}

/// Lines whose sums stay in registers over all conversions of a row.
const SIDE_BY_SIDE: usize = 32;

impl Convert<'_> {
    /// Calls `add` with the first line, the sums, the currents and the factor of every conversion.
    #[inline(always)]
    fn each(self, add: impl Fn(usize, &mut [f32], &[f32], f32)) {
        let rows = self.currents.chunks_exact(self.stride * self.factors.len());
        for (sums, currents) in self.sums.chunks_exact_mut(self.sum_stride).zip(rows) {
            let sums = &mut sums[self.sum_offset..][..self.width];
            let (blocks, rest) = sums.as_chunks_mut::<SIDE_BY_SIDE>();
            let conversions = || currents.chunks_exact(self.stride).zip(self.factors);
            let mut line = 0;
            for sums in blocks {
                let mut total = *sums;
                for (currents, factor) in conversions() {
                    if let Some(currents) = currents[line..].first_chunk::<SIDE_BY_SIDE>() {
                        add(line, &mut total, currents, *factor);
                    }
                }
                *sums = total;
                line += SIDE_BY_SIDE;
            }
            for (currents, factor) in conversions() {
                add(line, rest, &currents[line..], *factor);
            }
        }
    }
}

impl Quantizer {
    /// The code of a current, inside the range.
    #[inline(always)]
    pub(super) fn place(&self, current: f32) -> f32 {
        bounded(current * self.inverse - self.first, 0.0, self.steps)
    }

    /// The current that a code is read as.
    #[inline(always)]
    pub(super) fn current(&self, code: f32) -> f32 {
        (code + self.first) * self.lsb
    }
}

#[inline(always)]
fn bounded(x: f32, least: f32, most: f32) -> f32 {
    let x = if x > least { x } else { least };
    if x < most { x } else { most }
}
