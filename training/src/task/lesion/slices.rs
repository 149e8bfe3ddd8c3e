//! Slices on a device.

use std::ops::Range;

use burn::tensor::Tensor;

use crate::task::Batch;

/// Slices on a device, with what networks are shown of them.
#[derive(Clone, Debug)]
pub struct Slices {
    /// `[items, 1, height, width]`.
    pub(super) clean: Tensor<4>,
    /// All views of the first slice, then those of the second, and so on: `[items · views, 1, height, width]`.
    pub(super) inputs: Tensor<4>,
    /// 1 where the output for a view counts: `[items, views, height, width]`.
    pub(super) pasted: Tensor<4>,
    /// Numbers of the slices among the samples.
    pub(super) places: Vec<usize>,
    /// Reconstructions of a slice, each of as many views.
    pub(super) passes: usize,
}

impl Slices {
    /// What networks are shown: all views of the first slice, then those of the second, and so on.
    ///
    /// # Shapes
    /// `[items · views, 1, height, width]`.
    pub fn inputs(&self) -> &Tensor<4> {
        &self.inputs
    }

    /// Its reconstructions: what the network gives where that counts, and the slice itself elsewhere.
    ///
    /// # Shapes
    /// `[items · views, 1, height, width] → [items, passes, height, width]`.
    pub(super) fn reconstructions(&self, output: Tensor<4>) -> Tensor<4> {
        let [items, views, height, width] = self.pasted.dims();
        let passes = self.passes;
        let joined = |views_of_all: Tensor<4>| {
            let of_passes = [items * passes, views / passes, height, width];
            let sum = views_of_all.reshape(of_passes).sum_dim(1);
            sum.reshape([items, passes, height, width])
        };
        let given = output.reshape([items, views, height, width]) * self.pasted.clone();
        let kept = joined(self.pasted.clone()) * -1.0 + 1.0;
        joined(given) + kept * self.clean.clone()
    }
}

impl Batch for Slices {
    fn items(&self) -> usize {
        self.places.len()
    }

    fn cut(&self, range: Range<usize>) -> Self {
        let views = self.pasted.dims()[1];
        Self {
            clean: self.clean.cut(range.clone()),
            inputs: self.inputs.cut(range.start * views..range.end * views),
            pasted: self.pasted.cut(range.clone()),
            places: self.places[range].to_vec(),
            passes: self.passes,
        }
    }

    fn tracked(&self) -> Self {
        Self {
            clean: self.clean.tracked(),
            inputs: self.inputs.tracked(),
            pasted: self.pasted.tracked(),
            places: self.places.clone(),
            passes: self.passes,
        }
    }
}
