//! The use of one weight in a pass through a network.

use serde::Serialize;

use super::Geometry;
use crate::cost::LayerShape;

/// How one weight was used in one or more passes: its matrices and the inputs that they met.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LayerUse {
    /// Path of the weight.
    pub path: String,
    /// Inputs of one group.
    pub inputs: usize,
    /// Outputs of one group.
    pub outputs: usize,
    /// Groups, each with a matrix of its own.
    pub groups: usize,
    /// Products with every matrix: output positions of all images and uses.
    pub rows: u64,
    /// Smallest input, or zero.
    pub input_low: f32,
    /// Largest input, or zero.
    pub input_high: f32,
    /// The largest magnitude of the inputs of each channel, those of a group after the other.
    #[serde(skip)]
    pub channels: Vec<f32>,
}

impl LayerUse {
    /// The use of the layer at `path` for `x`, a batch of images.
    pub(crate) fn of(path: &str, geometry: &Geometry, batch: usize, x: &[f32]) -> Self {
        let (input_low, input_high) = x.iter().fold((0.0f32, 0.0f32), |(low, high), x| {
            (low.min(*x), high.max(*x))
        });
        let volume = (x.len() / (batch * geometry.channels).max(1)).max(1);
        let mut channels = vec![0.0f32; geometry.channels];
        for image in x.chunks((geometry.channels * volume).max(1)) {
            for (most, plane) in channels.iter_mut().zip(image.chunks(volume)) {
                *most = plane.iter().fold(*most, |most, x| most.max(x.abs()));
            }
        }
        Self {
            channels,
            path: path.to_string(),
            inputs: geometry.inputs(),
            outputs: geometry.outputs / geometry.groups,
            groups: geometry.groups,
            rows: (batch * geometry.positions()) as u64,
            input_low,
            input_high,
        }
    }

    /// Both uses of one weight together.
    pub(crate) fn and(self, other: &Self) -> Self {
        Self {
            rows: self.rows + other.rows,
            input_low: self.input_low.min(other.input_low),
            input_high: self.input_high.max(other.input_high),
            channels: (self.channels.iter().zip(&other.channels))
                .map(|(a, b)| a.max(*b))
                .collect(),
            ..self
        }
    }

    /// The shape that the cost model takes, where `images` images passed.
    pub fn shape(&self, images: usize) -> LayerShape {
        LayerShape {
            path: self.path.clone(),
            inputs: self.inputs,
            outputs: self.outputs,
            groups: self.groups,
            positions: self.rows.div_ceil(images.max(1) as u64) as usize,
        }
    }

    /// The largest magnitude of an input; one where nothing but zeros was seen, or numbers so small that their reciprocal
    /// is none.
    pub(crate) fn largest_input(&self) -> f32 {
        used_range(self.input_high.max(-self.input_low))
    }
}

/// `largest`, or one where it is zero, or so small that its reciprocal is no number.
pub(crate) fn used_range(largest: f32) -> f32 {
    match largest < f32::MIN_POSITIVE {
        true => 1.0,
        false => largest,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A layer whose inputs are all but nothing has no full scale of its own: a converter divides by it.
    #[test]
    fn the_largest_input_has_a_reciprocal() {
        let of = |x: &[f32]| LayerUse::of("w", &Geometry::linear(2, 1), 1, x).largest_input();
        for (x, expected) in [
            ([0.0, 0.0], 1.0),
            ([1e-44, 0.0], 1.0),
            ([0.0, -1e-44], 1.0),
            ([-2.0, 0.5], 2.0),
            ([1e-30, 0.0], 1e-30),
        ] {
            assert_eq!(of(&x), expected, "{x:?}");
            assert!((1.0 / of(&x)).is_finite());
        }
    }
}
