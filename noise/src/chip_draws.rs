//! The source of the uniform draws that a chip is made of.

use crossburn_kernels::normal_quantiles;
use rayon::prelude::*;

use crate::{ChipSeed, Philox};

/// A source of the uniform draws of one chip: a [`ChipSeed`], or a type for chips that no seed alone gives.
///
/// Every distribution is a quantile function of one uniform draw per element, so the draws determine the chip.
pub trait ChipDraws: Sync {
    /// The draws of the parameter at `path`.
    fn parameter(&self, path: &str) -> Box<dyn ParameterDraws + '_>;

    /// A stream at `path` for draws that are new at every use of the chip, such as read noise.
    fn stream(&self, path: &str) -> Philox;
}

/// The uniform draws of one parameter of one chip.
pub trait ParameterDraws: Sync {
    /// Fills `out` with the draws of the elements `first`, `first + 1`, …, each in the open interval (0, 1). `first` is
    /// a multiple of four.
    fn fill(&self, first: usize, out: &mut [f64]);

    /// The draw of the element `index`.
    fn uniform(&self, index: usize) -> f64 {
        let mut block = [0.0; 4];
        self.fill(index / 4 * 4, &mut block);
        block[index % 4]
    }

    /// Fills `out` with the draws of the elements 0, 1, … as standard normals.
    fn fill_normal(&self, out: &mut [f32]) {
        let piece = |(piece, out): (usize, &mut [f32])| {
            let mut draws = vec![0.0; out.len()];
            self.fill(piece * PIECE, &mut draws);
            normal_quantiles(&mut draws);
            for (out, draw) in out.iter_mut().zip(draws) {
                *out = draw as f32;
            }
        };
        out.par_chunks_mut(PIECE).enumerate().for_each(piece);
    }
}

/// Elements of one task; a multiple of four.
const PIECE: usize = 1 << 14;

impl ParameterDraws for Philox {
    fn fill(&self, first: usize, out: &mut [f64]) {
        self.fill_uniform_from((first / 4) as u64, out);
    }

    fn uniform(&self, index: usize) -> f64 {
        Philox::uniform(self, index as u64)
    }

    fn fill_normal(&self, out: &mut [f32]) {
        Philox::fill_normal(self, out);
    }
}

impl ChipDraws for ChipSeed {
    fn parameter(&self, path: &str) -> Box<dyn ParameterDraws + '_> {
        Box::new(self.generator(path))
    }

    fn stream(&self, path: &str) -> Philox {
        self.generator(path)
    }
}

impl<S: ChipDraws + ?Sized> ChipDraws for &S {
    fn parameter(&self, path: &str) -> Box<dyn ParameterDraws + '_> {
        (**self).parameter(path)
    }

    fn stream(&self, path: &str) -> Philox {
        (**self).stream(path)
    }
}
