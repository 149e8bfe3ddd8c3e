//! Programming error: fixed when a cell is written, new at every write.

use crossburn_noise::ParameterDraws;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::moments::{Bounds, RawMoments};

/// Cells of one task. A draw depends on the index of its cell alone, so that the number of threads does not show.
pub(super) const PIECE: usize = 1 << 14;

/// Mean and standard deviation before the clamp, uS.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Mean, uS.
    pub mean: f64,
    /// Standard deviation, uS.
    pub sigma: f64,
}

/// The form of an error around its mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shape {
    /// Normal.
    Normal,
    /// Flat, `√12 σ` wide.
    Uniform,
}

/// How one cell misses its target when it is written: `g = clamp(mean + sigma ξ)`.
pub trait Programming: Send + Sync {
    /// Mean and standard deviation before the clamp, for a target inside the range, in uS.
    fn spread(&self, target: f64) -> Spread;

    /// The form of the error; normal by default.
    fn shape(&self) -> Shape {
        Shape::Normal
    }

    /// The range of a cell; by default at 0 and above.
    fn bounds(&self) -> Bounds {
        Bounds::NOT_NEGATIVE
    }
}

/// One write of every cell.
pub(super) fn program<L: Programming>(
    law: &L,
    targets: &[f32],
    draws: &dyn ParameterDraws,
) -> Vec<f32> {
    let mut out = vec![0.0; targets.len()];
    match law.shape() {
        Shape::Normal => draws.fill_normal(&mut out),
        Shape::Uniform => uniform_deviates(draws, &mut out),
    }
    let arch = Arch::new();
    let write = |(out, targets): (&mut [f32], &[f32])| arch.dispatch(Write { law, targets, out });
    if out.len() <= PIECE {
        write((&mut out, targets));
    } else {
        out.par_chunks_mut(PIECE)
            .zip(targets.par_chunks(PIECE))
            .for_each(write);
    }
    out
}

/// Moments of a written cell, in closed form.
pub(super) fn moments<L: Programming>(law: &L, target: f64) -> RawMoments {
    let Spread { mean, sigma } = law.spread(target);
    match law.shape() {
        Shape::Normal => law.bounds().of_normal(mean, sigma),
        Shape::Uniform => law.bounds().of_uniform(mean, sigma),
    }
}

/// Uniform draws of mean 0 and standard deviation 1.
fn uniform_deviates(draws: &dyn ParameterDraws, out: &mut [f32]) {
    let width = 12f64.sqrt();
    out.par_chunks_mut(PIECE)
        .enumerate()
        .for_each(|(piece, out)| {
            let mut uniforms = vec![0.0; out.len()];
            draws.fill(piece * PIECE, &mut uniforms);
            for (out, u) in out.iter_mut().zip(uniforms) {
                *out = (width * (u - 0.5)) as f32;
            }
        });
}

/// Turns the draws in `out` into conductances.
struct Write<'a, L> {
    law: &'a L,
    targets: &'a [f32],
    out: &'a mut [f32],
}

impl<L: Programming> WithSimd for Write<'_, L> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let bounds = self.law.bounds();
        for (out, target) in self.out.iter_mut().zip(self.targets) {
            let Spread { mean, sigma } = self.law.spread(f64::from(*target));
            *out = bounds.clamp(mean + sigma * f64::from(*out)) as f32;
        }
    }
}
