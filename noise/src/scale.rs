//! What a deviation is relative to.

use serde::{Deserialize, Serialize};

/// Which largest magnitude a deviation is relative to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scale {
    /// The largest magnitude of the whole tensor, as in the papers.
    #[default]
    PerTensor,
    /// The largest magnitude of the output channel: the last axis of a rank-2 weight (linear layers, `[d_in, d_out]` in
    /// Burn), the first axis of any other (convolutions, `[channels_out, channels_in, ...]`). The first axis of a
    /// transposed convolution is its input channel.
    PerChannel,
}

/// The reference magnitudes of one parameter: element `i` is judged by `largest[i / stride % channels]`.
pub(crate) struct Reference {
    largest: Vec<f32>,
    stride: usize,
}

impl Reference {
    pub(crate) fn new(scale: Scale, weights: &[f32], shape: &[usize]) -> Self {
        let (channels, stride) = match (scale, shape) {
            (Scale::PerTensor, _) | (Scale::PerChannel, []) => {
                let largest = vec![largest_magnitude(weights)];
                // One run without end.
                let stride = usize::MAX;
                return Self { largest, stride };
            }
            (Scale::PerChannel, [_, outputs]) => (*outputs, 1),
            (Scale::PerChannel, [outputs, inner @ ..]) => (*outputs, inner.iter().product()),
        };
        let (channels, stride) = (channels.max(1), stride.max(1));
        let mut largest = vec![0.0f32; channels];
        if stride == 1 {
            for row in weights.chunks(channels) {
                largest
                    .iter_mut()
                    .zip(row)
                    .for_each(|(held, weight)| *held = held.max(weight.abs()));
            }
        } else {
            for (run, weights) in weights.chunks(stride).enumerate() {
                let held = &mut largest[run % channels];
                *held = held.max(largest_magnitude(weights));
            }
        }
        Self { largest, stride }
    }

    /// Fills `out` with the references of the elements `first`, `first + 1`, …
    pub(crate) fn fill(&self, first: usize, out: &mut [f64]) {
        if self.stride == 1 {
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
        let mut channel = first / self.stride % self.largest.len();
        let mut left = self.stride - first % self.stride;
        let mut rest = out;
        while !rest.is_empty() {
            let (run, after) = rest.split_at_mut(left.min(rest.len()));
            run.fill(f64::from(self.largest[channel]));
            channel = if channel + 1 == self.largest.len() {
                0
            } else {
                channel + 1
            };
            (rest, left) = (after, self.stride);
        }
    }
}

/// `max|w|`, 0 of nothing; several running maxima side by side, because one would wait for itself.
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
    use crate::Philox;

    #[test]
    fn references_are_the_maxima_found_element_by_element() {
        let shapes: [&[usize]; 6] = [&[7, 5], &[4, 3, 3, 2], &[300, 2], &[2, 600], &[9], &[1, 1]];
        for shape in shapes {
            let mut weights = vec![0.0; shape.iter().product()];
            Philox::new(1, 1).fill_normal(&mut weights);
            let channel = |i: usize| {
                if shape.len() == 2 {
                    i % shape[1]
                } else {
                    i / shape[1..].iter().product::<usize>()
                }
            };
            let largest = |same: &dyn Fn(usize) -> bool| {
                let of_same = weights.iter().enumerate().filter(|(i, _)| same(*i));
                f64::from(of_same.fold(0.0f32, |a, (_, w)| a.max(w.abs())))
            };
            for first in [0, 1, weights.len() / 2] {
                let mut found = vec![0.0; weights.len() - first];
                Reference::new(Scale::PerTensor, &weights, shape).fill(first, &mut found);
                assert!(found.iter().all(|f| *f == largest(&|_| true)), "{shape:?}");
                Reference::new(Scale::PerChannel, &weights, shape).fill(first, &mut found);
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
