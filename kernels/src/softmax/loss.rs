//! The cross-entropy of classes. Its gradient overwrites the logits.
//!
//! `loss = ln Σ_j e^(x_j - m) - (x_target - m)` with the largest value `m`, and `∂loss/∂x_j = e^(x_j - m) / Σ - [j = target]`.
//! The loss alone reads 4 bytes per value. On the tape, one pass gives the gradient too: 8 bytes and one exponential per value, which is its floor.
//! The backward pass is then one product with the gradient of the loss, or nothing if that is one. Keeping the logits and computing the
//! exponentials again in the backward pass was not tried: it needs as much memory, and a second exponential per value.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::rows::{largest, powers, rows_per_piece, sum_of_powers};

/// The losses of a few rows.
struct Losses<'a> {
    logits: &'a [f32],
    classes: usize,
    targets: &'a [usize],
    losses: &'a mut [f32],
}

impl WithSimd for Losses<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.logits.chunks_exact(self.classes);
        for ((row, target), loss) in rows.zip(self.targets).zip(self.losses) {
            let shift = largest(simd, row);
            *loss = sum_of_powers(simd, row, shift).ln() - (row[*target] - shift);
        }
    }
}

/// The same, and overwrites the logits with `(softmax - target) * share`.
struct LossesAndGradients<'a> {
    logits: &'a mut [f32],
    classes: usize,
    targets: &'a [usize],
    losses: &'a mut [f32],
    share: f32,
}

impl WithSimd for LossesAndGradients<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let rows = self.logits.chunks_exact_mut(self.classes);
        for ((row, target), loss) in rows.zip(self.targets).zip(self.losses) {
            let shift = largest(simd, row);
            let chosen = row[*target] - shift;
            let sum = powers(simd, row, shift);
            *loss = sum.ln() - chosen;
            let factor = self.share / sum;
            row.iter_mut().for_each(|x| *x *= factor);
            row[*target] -= self.share;
        }
    }
}

/// The mean, summed in the order of the rows; NaN without rows.
fn mean(losses: &[f32]) -> f32 {
    let sum: f64 = losses.iter().map(|loss| f64::from(*loss)).sum();
    (sum / losses.len() as f64) as f32
}

/// The mean loss of `logits [batch, classes]`. Targets are indices of classes.
pub(super) fn loss(arch: Arch, classes: usize, logits: &[f32], targets: &[usize]) -> f32 {
    let mut losses = vec![0.0; targets.len()];
    let rows = rows_per_piece(classes);
    let work = |((losses, targets), logits)| {
        arch.dispatch(Losses {
            logits,
            classes,
            targets,
            losses,
        });
    };
    if losses.len() <= rows {
        if !losses.is_empty() {
            work(((&mut losses[..], targets), logits));
        }
    } else {
        losses
            .par_chunks_mut(rows)
            .zip(targets.par_chunks(rows))
            .zip(logits.par_chunks(rows * classes))
            .for_each(work);
    }
    mean(&losses)
}

/// The mean loss. Its gradient overwrites the logits.
pub(super) fn loss_and_gradient(
    arch: Arch,
    classes: usize,
    logits: &mut [f32],
    targets: &[usize],
) -> f32 {
    let mut losses = vec![0.0; targets.len()];
    let rows = rows_per_piece(classes);
    let share = 1.0 / targets.len() as f32;
    let work = |((losses, targets), logits)| {
        arch.dispatch(LossesAndGradients {
            logits,
            classes,
            targets,
            losses,
            share,
        });
    };
    if losses.len() <= rows {
        if !losses.is_empty() {
            work(((&mut losses[..], targets), logits));
        }
    } else {
        losses
            .par_chunks_mut(rows)
            .zip(targets.par_chunks(rows))
            .zip(logits.par_chunks_mut(rows * classes))
            .for_each(work);
    }
    mean(&losses)
}
