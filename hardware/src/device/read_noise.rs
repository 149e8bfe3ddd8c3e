//! Read noise: new at every read, or held by a chip at its time (the slow part of 1/f noise, see `flicker.rs`).

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::programming::PIECE;

/// How reads of a cell scatter at a fixed time.
pub trait ReadNoise: Sync {
    /// Standard deviation over reads, or over chips, of a cell with this conductance, uS.
    fn sigma(&self, conductance: f64) -> f64;
}

/// For a device without read noise. This type has no values.
#[derive(Clone, Copy, Debug)]
pub enum NoReadNoise {}

impl ReadNoise for NoReadNoise {
    fn sigma(&self, _conductance: f64) -> f64 {
        match *self {}
    }
}

/// Standard deviations of every cell, uS.
pub(super) fn read_sigma<R: ReadNoise>(law: &R, conductances: &[f32]) -> Vec<f32> {
    let mut out = conductances.to_vec();
    let arch = Arch::new();
    if out.len() <= PIECE {
        arch.dispatch(Sigmas { law, out: &mut out });
    } else {
        out.par_chunks_mut(PIECE)
            .for_each(|out| arch.dispatch(Sigmas { law, out }));
    }
    out
}

/// Turns conductances into standard deviations.
struct Sigmas<'a, R> {
    law: &'a R,
    out: &'a mut [f32],
}

impl<R: ReadNoise> WithSimd for Sigmas<'_, R> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        for value in self.out {
            *value = self.law.sigma(f64::from(*value)) as f32;
        }
    }
}
