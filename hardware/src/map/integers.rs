//! Weights on the grid of integers, and the planes of cells made from them.

use crossburn_noise::Granularity;
use rayon::prelude::*;

use super::WeightMatrix;
use super::mapped_matrix::{MappedMatrix, Plane, Polarity, Reference, Slice};
use crate::{ConductanceRange, HardwareError};

/// Adding and taking away 1.5 · 2²³ rounds to the nearest even integer, for magnitudes below 2²².
const ROUNDER: f32 = 12_582_912.0;

/// `round(x)`, ties to even, for magnitudes below 2²².
#[inline(always)]
pub(crate) fn round(x: f32) -> f32 {
    (x + ROUNDER) - ROUNDER
}

/// `round(x)` as an integer, ties to even, for magnitudes below 2²².
#[inline(always)]
pub(super) fn round_to_integer(x: f32) -> i32 {
    (x + ROUNDER).to_bits() as i32 - ROUNDER.to_bits() as i32
}

/// A matrix on its way to cells.
pub(super) struct Cells<'a> {
    weights: &'a WeightMatrix,
    /// The weight that every output's largest integer stands for.
    largest: Vec<f32>,
    range: ConductanceRange,
}

impl<'a> Cells<'a> {
    /// # Errors
    /// Those of [`WeightMatrix::new`].
    pub(super) fn new(
        weights: &'a WeightMatrix,
        scale: Granularity,
        range: ConductanceRange,
    ) -> Result<Self, HardwareError> {
        weights.check()?;
        let mut largest = weights.largest_per_output();
        if scale == Granularity::PerTensor {
            let all = largest.iter().copied().fold(0.0, f32::max);
            largest.fill(all);
        }
        Ok(Self {
            weights,
            largest,
            range,
        })
    }

    /// Integers that stand for themselves, where cells hold up to `level`.
    ///
    /// # Errors
    /// Those of [`WeightMatrix::new`], and [`HardwareError::Limit`] for a magnitude above `level`.
    pub(super) fn of_integers(
        integers: &'a WeightMatrix,
        level: f32,
        range: ConductanceRange,
    ) -> Result<Self, HardwareError> {
        integers.check()?;
        match integers.values.iter().find(|value| value.abs() > level) {
            None => Ok(Self {
                weights: integers,
                largest: vec![level; integers.outputs],
                range,
            }),
            Some(value) => Err(HardwareError::limit(
                "an integer",
                value,
                format!("-{level}..={level}"),
                "use more weight_bits",
            )),
        }
    }

    /// Outputs of the matrix.
    pub(super) fn outputs(&self) -> usize {
        self.weights.outputs
    }

    /// One plane: `fraction(w / max|w|)` of the range above `g_min`, after one line at the fraction `unit` where given.
    pub(super) fn plane(
        &self,
        slice: usize,
        polarity: Polarity,
        unit: Option<f32>,
        fraction: impl Fn(f32) -> f32 + Sync,
    ) -> Plane {
        let (inputs, lead) = (self.weights.inputs, usize::from(unit.is_some()));
        let (g_min, span) = (self.range.g_min, self.range.span());
        let mut targets = vec![0.0; (self.weights.outputs + lead) * inputs];
        let (first, rest) = targets.split_at_mut(lead * inputs);
        first.fill(g_min + span * unit.unwrap_or(0.0));
        rest.par_chunks_exact_mut(inputs)
            .zip(self.weights.values.par_chunks_exact(inputs))
            .zip(&self.largest)
            .with_min_len((1 << 15) / inputs + 1)
            .for_each(|((targets, weights), largest)| {
                // The smallest normal number keeps an all-zero row away from 0 / 0.
                let largest = largest.max(f32::MIN_POSITIVE);
                for (target, weight) in targets.iter_mut().zip(weights) {
                    *target = g_min + span * fraction(weight / largest);
                }
            });
        Plane {
            targets,
            slice,
            polarity,
        }
    }

    /// The mapped matrix of `planes`, where the largest weight is the integer `level`.
    pub(super) fn finish(
        self,
        level: f32,
        planes: Vec<Plane>,
        slices: Vec<Slice>,
        reference: Reference,
    ) -> MappedMatrix {
        MappedMatrix {
            outputs: self.weights.outputs,
            inputs: self.weights.inputs,
            planes,
            slices,
            reference,
            corrections: vec![1.0; self.weights.outputs],
            scales: self.largest.into_iter().map(|l| l / level).collect(),
            range: self.range,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ties_go_to_even() {
        for (x, expected) in [
            (0.5, 0),
            (1.5, 2),
            (2.5, 2),
            (-0.5, 0),
            (-1.5, -2),
            (126.4999, 126),
            (-32766.6, -32767),
        ] {
            assert_eq!(round_to_integer(x), expected);
            assert_eq!(round(x), expected as f32);
        }
    }
}
