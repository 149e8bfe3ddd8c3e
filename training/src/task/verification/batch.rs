//! Images on a device, and the vectors that a network makes of them.

use std::ops::Range;

use burn::tensor::Tensor;

use crate::task::{Batch, Tally};

/// Images on a device.
#[derive(Clone, Debug)]
pub struct Faces {
    /// `[items, channels, height, width]`.
    pub(super) inputs: Tensor<4>,
    /// The same in their mirror, where vectors of both are added.
    pub(super) mirrored: Option<Tensor<4>>,
    /// The number of the person, of every item.
    pub(super) identities: Vec<usize>,
    /// Places among the samples.
    pub(super) places: Vec<usize>,
    /// Whether identities are learned from them.
    pub(super) learned: bool,
}

impl Batch for Faces {
    fn items(&self) -> usize {
        self.places.len()
    }

    fn cut(&self, range: Range<usize>) -> Self {
        Self {
            inputs: self.inputs.cut(range.clone()),
            mirrored: self.mirrored.as_ref().map(|all| all.cut(range.clone())),
            identities: self.identities[range.clone()].to_vec(),
            places: self.places[range].to_vec(),
            learned: self.learned,
        }
    }

    fn tracked(&self) -> Self {
        Self {
            inputs: self.inputs.tracked(),
            mirrored: self.mirrored.as_ref().map(Batch::tracked),
            identities: self.identities.clone(),
            places: self.places.clone(),
            learned: self.learned,
        }
    }
}

/// What a network makes of a batch.
#[derive(Clone, Debug)]
pub struct FaceOutput {
    /// `[items, numbers]`.
    pub(super) vectors: Tensor<2>,
    /// Class vectors, where identities are learned: `[identities, numbers]`.
    pub(super) classes: Option<Tensor<2>>,
}

/// Vectors of length 1 of the images that were seen, each with its place among the samples.
#[derive(Clone, Debug, Default)]
pub struct FaceVectors {
    pub(super) rows: Vec<(usize, Vec<f32>)>,
}

impl FaceVectors {
    /// The vectors, in the order in which images were seen.
    pub fn into_rows(self) -> Vec<Vec<f32>> {
        self.rows.into_iter().map(|(_, row)| row).collect()
    }
}

impl Tally for FaceVectors {
    fn merge(&mut self, other: Self) {
        self.rows.extend(other.rows);
    }
}

/// The cosine of two vectors of length 1: how alike the faces are that they are of.
pub fn cosine(first: &[f32], second: &[f32]) -> f64 {
    let products = first.iter().zip(second);
    products.map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
}
