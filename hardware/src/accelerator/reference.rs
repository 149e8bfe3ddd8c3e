//! The definition of an integer network, in plain loops.

use super::{IntegerLayer, IntegerNetwork, LayerOutput, Pool};
use crate::HardwareError;

impl IntegerNetwork {
    /// The sums of the last layer for one signal.
    ///
    /// This is the reference: plain loops over the definition of [`IntegerLayer`], which every other evaluation equals to the
    /// bit. [`FastNetwork`](super::FastNetwork) is the one to use where time counts.
    ///
    /// # Shapes
    /// `[channels, length]` → `[results, steps]`, row-major.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for another number of values than the network takes.
    pub fn evaluate(&self, signal: &[i8]) -> Result<Vec<i32>, HardwareError> {
        self.check_signal(signal.len())?;
        let mut codes: Vec<i32> = signal.iter().map(|code| i32::from(*code)).collect();
        for (layer, steps) in self.layers().iter().zip(self.lengths()) {
            let positions = layer.positions(*steps)?;
            let sums = convolve(layer, &codes, *steps, positions);
            codes = finished(layer, sums, positions);
        }
        Ok(codes)
    }
}

/// Sums of every output channel at every position.
fn convolve(layer: &IntegerLayer, codes: &[i32], steps: usize, positions: usize) -> Vec<i32> {
    let mut sums = Vec::with_capacity(layer.outputs() * positions);
    for output in 0..layer.outputs() {
        for position in 0..positions {
            let mut sum = layer.bias[output];
            for input in 0..layer.inputs() {
                for tap in 0..layer.kernel() {
                    let step = (position * layer.stride + tap).checked_sub(layer.padding[0]);
                    if let Some(step) = step.filter(|step| *step < steps) {
                        let weight = layer.row(output)[input * layer.kernel() + tap];
                        sum += i32::from(weight) * codes[input * steps + step];
                    }
                }
            }
            sums.push(sum);
        }
    }
    sums
}

/// Turns the sums `[outputs, positions]` of a layer into codes, and takes the largest code of each window.
pub(super) fn finished(layer: &IntegerLayer, sums: Vec<i32>, positions: usize) -> Vec<i32> {
    let LayerOutput::Activations {
        bits,
        rescale,
        pool,
        ..
    } = &layer.output
    else {
        return sums;
    };
    let largest = (1 << bits) - 1;
    let mut codes = sums;
    for (codes, rescale) in codes.chunks_exact_mut(positions).zip(rescale) {
        for code in codes {
            *code = rescale.apply(*code).clamp(0, largest) as i32;
        }
    }
    match pool {
        None => codes,
        Some(pool) => codes
            .chunks_exact(positions)
            .flat_map(|codes| pooled(codes, *pool))
            .collect(),
    }
}

/// The largest code of every window.
fn pooled(codes: &[i32], pool: Pool) -> impl Iterator<Item = i32> + '_ {
    let windows = codes.windows(pool.kernel).step_by(pool.stride);
    windows.filter_map(|window| window.iter().copied().max())
}
