//! The matrix weights of a network: read, replaced, or given something to compute with.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::{Module, Param, Reparameterizer};
use burn::tensor::Tensor;
use crossburn_noise::{HostWeight, WeightLayout, WeightLayouts, WeightShape, host_weights_at};

use crate::HardwareError;
use crate::layer::{OnArray, in_layout_of};
use crate::map::WeightMatrix;

/// The selected weights of `network` by path.
pub(super) fn stored<M: Module>(
    network: &M,
    selected: &BTreeSet<String>,
) -> BTreeMap<String, HostWeight> {
    host_weights_at(network, selected)
}

/// Values in the layout of a Burn weight of this shape as matrices, one per group; a linear weight has one. `groups` are
/// those of a convolution: a transposed one says them in its shape.
pub(super) fn in_matrices(
    values: &[f32],
    shape: &WeightShape,
    groups: usize,
) -> Result<Vec<WeightMatrix>, HardwareError> {
    match (shape.layout(), &shape[..]) {
        (WeightLayout::Transposed { groups }, shape) => {
            WeightMatrix::from_transposed_conv(values, shape, groups)
        }
        (WeightLayout::ByRank, [inputs, outputs]) => {
            Ok(vec![WeightMatrix::from_linear(values, *inputs, *outputs)?])
        }
        (WeightLayout::ByRank, shape) => WeightMatrix::from_conv(values, shape, groups),
    }
}

/// `network` with what `role` gives for a path; what a weight carries stays where it gives nothing.
pub(super) fn attach<M: Module>(network: M, mut role: impl FnMut(&str) -> Option<OnArray>) -> M {
    /// Knows no type of a closure, so that it is compiled once for each layer of a network.
    struct Attach<'a>(&'a mut dyn FnMut(&str) -> Option<OnArray>);
    impl Reparameterizer for Attach<'_> {
        type Reparam = OnArray;

        fn reparameterize<const D: usize>(
            &mut self,
            path: &str,
            param: Param<Tensor<D>>,
        ) -> (Param<Tensor<D>>, Option<OnArray>) {
            let role = (self.0)(path);
            (param, role)
        }
    }
    network.apply_reparameterization(Attach(&mut role))
}

/// `network`, whose weights carry nothing, with `held` by path, in rows of outputs, in the place of its weights.
pub(super) fn replace<M: Module>(network: &M, held: BTreeMap<String, Vec<f32>>) -> M {
    let layouts = WeightLayouts::of(network);
    network
        .clone()
        .apply_reparameterization(Replace { layouts, held })
}

struct Replace {
    layouts: WeightLayouts,
    held: BTreeMap<String, Vec<f32>>,
}

impl Reparameterizer for Replace {
    type Reparam = OnArray;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<OnArray>) {
        let Some(rows) = self.held.remove(path) else {
            return (param, None);
        };
        let layout = self.layouts.layout(path);
        (
            param.map(|weight| in_layout_of(&weight, layout, rows)),
            None,
        )
    }
}
