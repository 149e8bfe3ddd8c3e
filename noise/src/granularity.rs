//! Which elements of a tensor share a scale: the reference of a deviation, a quantizer's grid, the largest integer of a
//! mapping.

use serde::{Deserialize, Serialize};

use crate::{OutputChannels, WeightShape};

/// Which elements of a tensor share one scale, usually their largest magnitude. Deviations, grids and conductances have such
/// scales.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Granularity {
    /// The whole tensor, as in the papers.
    #[default]
    PerTensor,
    /// Each output channel: the last axis of a rank-2 weight (linear layers, `[d_in, d_out]` in
    /// Burn), the second axis of a transposed convolution (`[channels_in, channels_out / groups, ...]`), group by group,
    /// and the first axis of any other (convolutions, `[channels_out, channels_in, ...]`).
    PerChannel,
}

/// The reference magnitudes of one parameter: element `i` is judged by `largest[outputs.of(i)]`.
pub(crate) struct Reference {
    largest: Vec<f32>,
    /// `None` if the whole tensor has one reference.
    outputs: Option<OutputChannels>,
}

impl Reference {
    pub(crate) fn new(scale: Granularity, weights: &[f32], shape: &WeightShape) -> Self {
        if scale == Granularity::PerTensor || shape.is_empty() {
            let largest = vec![largest_magnitude(weights)];
            return Self {
                largest,
                outputs: None,
            };
        }
        let outputs = shape.outputs();
        let mut largest = vec![0.0f32; outputs.count()];
        if outputs.in_rows() {
            for row in weights.chunks(outputs.count()) {
                largest
                    .iter_mut()
                    .zip(row)
                    .for_each(|(held, weight)| *held = held.max(weight.abs()));
            }
        } else {
            for (run, weights) in weights.chunks(outputs.run()).enumerate() {
                let held = &mut largest[outputs.of(run * outputs.run())];
                *held = held.max(largest_magnitude(weights));
            }
        }
        Self {
            largest,
            outputs: Some(outputs),
        }
    }

    /// Fills `out` with the references of the elements `first`, `first + 1`, …
    pub(crate) fn fill(&self, first: usize, out: &mut [f64]) {
        let Some(outputs) = self.outputs else {
            return out.fill(f64::from(self.largest[0]));
        };
        if outputs.in_rows() {
            let mut rest = out;
            let mut row = &self.largest[first % self.largest.len()..];
            while !rest.is_empty() {
                let (run, after) = rest.split_at_mut(row.len().min(rest.len()));
                for (value, largest) in run.iter_mut().zip(row) {
                    *value = f64::from(*largest);
                }
                (rest, row) = (after, &self.largest);
            }
            return;
        }
        let (mut at, mut rest) = (first, out);
        while !rest.is_empty() {
            let left = outputs.run() - at % outputs.run();
            let (run, after) = rest.split_at_mut(left.min(rest.len()));
            run.fill(f64::from(self.largest[outputs.of(at)]));
            (at, rest) = (at + left, after);
        }
    }
}

/// `max|w|`, or 0 without elements. It keeps several running maxima, because each step of a single one would wait for the
/// step before.
pub(crate) fn largest_magnitude(weights: &[f32]) -> f32 {
    let mut lanes = [0.0f32; 16];
    let mut chunks = weights.chunks_exact(lanes.len());
    for chunk in &mut chunks {
        for (lane, weight) in lanes.iter_mut().zip(chunk) {
            *lane = if weight.abs() > *lane {
                weight.abs()
            } else {
                *lane
            };
        }
    }
    lanes
        .iter()
        .chain(chunks.remainder())
        .fold(0.0, |largest, weight| largest.max(weight.abs()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Philox, WeightLayout};

    #[test]
    fn references_are_the_maxima_found_element_by_element() {
        let by_rank: [&[usize]; 6] = [&[7, 5], &[4, 3, 3, 2], &[300, 2], &[2, 600], &[9], &[1, 1]];
        let transposed = |dims: &[usize], groups: usize| {
            WeightShape::new(dims, WeightLayout::Transposed { groups })
        };
        let shapes = by_rank.map(WeightShape::from).into_iter().chain([
            transposed(&[4, 3, 3, 2], 1),
            transposed(&[6, 3, 5], 2),
            transposed(&[6, 4, 1, 1], 3),
        ]);
        for shape in shapes {
            let mut weights = vec![0.0; shape.iter().product()];
            Philox::new(1, 1).fill_normal(&mut weights);
            let channel = |i: usize| {
                let taps: usize = shape.iter().skip(2).product();
                match (shape.layout(), shape.len()) {
                    (WeightLayout::Transposed { groups }, _) => {
                        let input = i / (shape[1] * taps);
                        (input / (shape[0] / groups), i / taps % shape[1])
                    }
                    (_, 2) => (0, i % shape[1]),
                    _ => (0, i / shape[1..].iter().product::<usize>()),
                }
            };
            let largest = |same: &dyn Fn(usize) -> bool| {
                let of_same = weights.iter().enumerate().filter(|(i, _)| same(*i));
                f64::from(of_same.fold(0.0f32, |a, (_, w)| a.max(w.abs())))
            };
            for first in [0, 1, weights.len() / 2] {
                let mut found = vec![0.0; weights.len() - first];
                Reference::new(Granularity::PerTensor, &weights, &shape).fill(first, &mut found);
                assert!(found.iter().all(|f| *f == largest(&|_| true)), "{shape:?}");
                Reference::new(Granularity::PerChannel, &weights, &shape).fill(first, &mut found);
                for (i, found) in found.iter().enumerate() {
                    assert_eq!(
                        *found,
                        largest(&|j| channel(j) == channel(first + i)),
                        "{shape:?} {i}"
                    );
                }
            }
        }
    }
}
