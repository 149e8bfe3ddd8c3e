//! Ageing: what time does to a written cell, drift and relaxation alike. Drawn once per cell and write.

use crossburn_noise::ParameterDraws;
use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::moments::{RawMoments, density};
use super::programming::{PIECE, Programming, Shape, Spread};

/// The change of a cell after a fixed time.
pub trait Ageing: Sync {
    /// Whether the device has a time law at all.
    const EXISTS: bool = true;

    /// The aged conductance of a cell that was written to `programmed`, with a standard normal draw; all in uS.
    fn age(&self, programmed: f64, target: f64, draw: f64) -> f64;

    /// Moments of [`Self::age`] over the draw.
    fn moments(&self, programmed: f64, target: f64) -> RawMoments;
}

/// The time law of a device that has none: there is no value of this type.
#[derive(Clone, Copy, Debug)]
pub enum NoAgeing {}

impl Ageing for NoAgeing {
    const EXISTS: bool = false;

    fn age(&self, _programmed: f64, _target: f64, _draw: f64) -> f64 {
        match *self {}
    }

    fn moments(&self, _programmed: f64, _target: f64) -> RawMoments {
        match *self {}
    }
}

/// Every cell at the time of `law`.
pub(super) fn age<A: Ageing>(
    law: &A,
    mut programmed: Vec<f32>,
    targets: &[f32],
    draws: &dyn ParameterDraws,
) -> Vec<f32> {
    let mut normals = vec![0.0; programmed.len()];
    draws.fill_normal(&mut normals);
    let arch = Arch::new();
    let pass = |((cells, targets), draws): ((&mut [f32], &[f32]), &[f32])| {
        arch.dispatch(Pass {
            law,
            cells,
            targets,
            draws,
        });
    };
    if programmed.len() <= PIECE {
        pass(((&mut programmed, targets), &normals));
    } else {
        programmed
            .par_chunks_mut(PIECE)
            .zip(targets.par_chunks(PIECE))
            .zip(normals.par_chunks(PIECE))
            .for_each(pass);
    }
    programmed
}

/// Moments of a cell that was written and has aged: closed form over the draw of ageing, Simpson's rule with 4000
/// intervals over the draw of writing (±8 standard deviations; error below 1e-5 of σ where a clamp makes a kink, and
/// none to speak of elsewhere).
pub(super) fn aged_moments<P: Programming, A: Ageing>(
    programming: &P,
    ageing: &A,
    target: f64,
) -> RawMoments {
    let Spread { mean, sigma } = programming.spread(target);
    let bounds = programming.bounds();
    if sigma == 0.0 {
        return ageing.moments(bounds.clamp(mean), target);
    }
    let intervals = 4000;
    let (reach, weigh): (f64, fn(f64) -> f64) = match programming.shape() {
        Shape::Normal => (8.0, density),
        Shape::Uniform => (3f64.sqrt(), |_| 1.0 / 12f64.sqrt()),
    };
    let step = 2.0 * reach / f64::from(intervals);
    let mut sum = RawMoments {
        mean: 0.0,
        second: 0.0,
    };
    for i in 0..=intervals {
        let z = f64::from(i) * step - reach;
        let simpson = match i {
            0 => 1.0,
            _ if i == intervals => 1.0,
            _ if i % 2 == 1 => 4.0,
            _ => 2.0,
        };
        let weight = weigh(z) * simpson * step / 3.0;
        let given = ageing.moments(bounds.clamp(mean + sigma * z), target);
        sum.mean += weight * given.mean;
        sum.second += weight * given.second;
    }
    sum
}

/// Ages `cells` in place.
struct Pass<'a, A> {
    law: &'a A,
    cells: &'a mut [f32],
    targets: &'a [f32],
    draws: &'a [f32],
}

impl<A: Ageing> WithSimd for Pass<'_, A> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, _simd: S) {
        let inputs = self.targets.iter().zip(self.draws);
        for (cell, (target, draw)) in self.cells.iter_mut().zip(inputs) {
            let aged = self
                .law
                .age(f64::from(*cell), f64::from(*target), f64::from(*draw));
            *cell = aged as f32;
        }
    }
}
