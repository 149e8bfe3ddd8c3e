//! Chips of one network side by side in one module, so that a device is asked once for all of them.
//!
//! A GPU finishes a layer of one small chip before it is busy. Stacked, the outputs of a layer are those of all chips, chip
//! after chip: the first layer reads the images once for all of them, a convolution after it runs in as many groups, a
//! linear layer as a batch of products. What a chip computes does not change, but the order of its sums may. CPUs have
//! better: a chip for each core.

use std::collections::BTreeSet;

use burn::module::{
    Module, ModuleMapper, ModuleVisitor, Param, Reparameterization, Reparameterizer,
};
use burn::nn::Linear;
use burn::nn::conv::{Conv1d, Conv2d};
use burn::tensor::Tensor;
use crossburn_noise::matrix_weights;

use super::OnArray;
use crate::HardwareError;

/// Modules whose parameters are per output, so that those of several chips stand next to each other.
const PER_OUTPUT: [&str; 4] = [
    "Struct:Linear",
    "Struct:Conv1d",
    "Struct:Conv2d",
    "Struct:BatchNorm",
];
/// Modules whose parameters a network shares with all of its chips.
const SHARED: [&str; 1] = ["Struct:ActivationQuantizer"];

/// `chips`, chips of one network, as one module that computes all of them: from the inputs of one chip the outputs of all,
/// `[batch, chips · outputs]`, chip after chip.
///
/// Every layer with weights must be called through [`linear`](super::linear), [`conv1d`](super::conv1d) or
/// [`conv2d`](super::conv2d), or be a batch norm; all else must treat channels alike: pooling, activations, sums.
///
/// # Errors
/// [`HardwareError::Conflict`] for no chips, a module with other parameters, and chips on arrays, which multiply one by one.
///
/// # Panics
/// Where the chips are not of one network.
///
/// ```
/// use burn::nn::LinearConfig;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_hardware::layer::{linear, stack};
///
/// let device = Device::flex();
/// let chips: Vec<_> = (0..3).map(|_| LinearConfig::new(4, 2).init(&device)).collect();
/// let all = linear(&stack(&chips)?, Tensor::<2>::ones([5, 4], &device));
/// assert_eq!(all.dims(), [5, 3 * 2]);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
pub fn stack<M: Module>(chips: &[M]) -> Result<M, HardwareError> {
    let [first, ..] = chips else {
        return Err(HardwareError::conflict(
            "a stack of no chips computes nothing",
            "stack one chip at least",
        ));
    };
    let mut parts = Vec::with_capacity(chips.len());
    for chip in chips {
        let mut arrays = Arrays::default();
        chip.visit(&mut arrays);
        let mut collect = Collect::default();
        // A visit meets stored weights, not what is attached to them.
        chip.valid().materialize().visit(&mut collect);
        match arrays.refused.or(collect.refused) {
            Some(error) => return Err(error),
            None => parts.push(collect.parameters.into_iter()),
        }
    }
    // A copy with running statistics of its own: to map them is to change them in place.
    let stacked = first.valid().materialize().map(&mut Join {
        containers: Vec::new(),
        parts,
    });
    let selected = matrix_weights(&stacked);
    Ok(stacked.apply_reparameterization(Mark {
        selected,
        chips: chips.len(),
    }))
}

/// Marks a weight as that of several chips.
#[derive(Module, Debug)]
pub(super) struct Stacked {
    chips: usize,
}

impl Reparameterization for Stacked {
    const NAME: &'static str = "stacked";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        base
    }
}

impl Stacked {
    /// [`linear`](super::linear) of every chip, on the outputs of every chip or on inputs that they share.
    pub(super) fn linear<const D: usize>(&self, layer: &Linear, input: Tensor<D>) -> Tensor<D> {
        let mut shape = input.dims();
        let [inputs, all] = layer.weight.lazy_shape().dims();
        if shape[D - 1] == inputs {
            return crossburn_kernels::linear(layer, input);
        }
        let (chips, outputs) = (self.chips, all / self.chips);
        let rows = shape[..D - 1].iter().product::<usize>();
        let input = input.reshape([rows, chips, inputs]).swap_dims(0, 1);
        let weight = layer.weight.val().reshape([inputs, chips, outputs]);
        let product = input.matmul(weight.swap_dims(0, 1)).swap_dims(0, 1);
        shape[D - 1] = all;
        let product = product.reshape([rows, all]);
        let output = match &layer.bias {
            Some(bias) => product + bias.val().unsqueeze(),
            None => product,
        };
        output.reshape(shape)
    }

    /// [`conv1d`](super::conv1d) of every chip, on the outputs of every chip or on inputs that they share.
    pub(super) fn conv1d(&self, layer: &Conv1d, input: Tensor<3>) -> Tensor<3> {
        let [_, each, _] = layer.weight.lazy_shape().dims();
        match self.groups(each, layer.groups, input.dims()[1]) {
            None => crossburn_kernels::conv1d(layer, input),
            Some((groups, copies)) => {
                let layer = Conv1d {
                    groups,
                    ..layer.clone()
                };
                crossburn_kernels::conv1d(&layer, input.repeat_dim(1, copies))
            }
        }
    }

    /// See [`conv1d`](Self::conv1d).
    pub(super) fn conv2d(&self, layer: &Conv2d, input: Tensor<4>) -> Tensor<4> {
        let [_, each, _, _] = layer.weight.lazy_shape().dims();
        match self.groups(each, layer.groups, input.dims()[1]) {
            None => crossburn_kernels::conv2d(layer, input),
            Some((groups, copies)) => {
                let layer = Conv2d {
                    groups,
                    ..layer.clone()
                };
                crossburn_kernels::conv2d(&layer, input.repeat_dim(1, copies))
            }
        }
    }

    /// Groups of the convolution of all chips, where one chip has `groups` of `each` channels, and how often its input of
    /// `channels` must stand there. `None` where all outputs see the same channels.
    fn groups(&self, each: usize, groups: usize, channels: usize) -> Option<(usize, usize)> {
        match (channels == each * groups, groups) {
            (true, 1) => None,
            (true, _) => Some((self.chips * groups, self.chips)),
            (false, _) => Some((self.chips * groups, 1)),
        }
    }
}

/// Looks for weights on arrays.
#[derive(Default)]
struct Arrays {
    path: Vec<String>,
    refused: Option<HardwareError>,
}

impl ModuleVisitor for Arrays {
    fn enter_module(&mut self, name: &str, container: &str) {
        if (name, container) == (OnArray::NAME, "Reparameterization") {
            let path = self.path.join(".");
            self.refused.get_or_insert_with(|| {
                HardwareError::conflict(
                    format!("`{path}` lies on arrays, which multiply chip by chip"),
                    "stack chips of fidelity weight",
                )
            });
        }
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }
}

/// All parameters of a module in the order of its visit.
#[derive(Default)]
struct Collect {
    path: Vec<String>,
    containers: Vec<String>,
    parameters: Vec<Tensor<1>>,
    refused: Option<HardwareError>,
}

impl ModuleVisitor for Collect {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.to_string());
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
        self.containers.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let container = self.containers.last().map_or("", String::as_str);
        let path = self.path.join(".");
        self.parameters.push(param.val().flatten(0, D - 1));
        if self.refused.is_some() {
            return;
        }
        if !PER_OUTPUT.contains(&container) && !SHARED.contains(&container) {
            self.refused = Some(HardwareError::conflict(
                format!("`{path}` belongs to a {container}, whose parameters are not per output"),
                "evaluate such a network chip by chip",
            ));
        }
    }
}

/// Puts the parameters of several modules next to each other.
struct Join {
    containers: Vec<String>,
    /// One for each chip, in the order of a visit.
    parts: Vec<std::vec::IntoIter<Tensor<1>>>,
}

impl ModuleMapper for Join {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.containers.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.containers.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let parts: Vec<Tensor<1>> = self.parts.iter_mut().filter_map(Iterator::next).collect();
        let container = self.containers.last().map_or("", String::as_str);
        if SHARED.contains(&container) {
            return param;
        }
        param.map(|own| {
            let shape = own.dims();
            // Linear weights have their outputs last, all others first.
            let axis = usize::from(D == 2);
            Tensor::cat(
                parts.into_iter().map(|part| part.reshape(shape)).collect(),
                axis,
            )
        })
    }
}

/// Attaches [`Stacked`].
struct Mark {
    selected: BTreeSet<String>,
    chips: usize,
}

impl Reparameterizer for Mark {
    type Reparam = Stacked;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<Stacked>) {
        let marked = self.selected.contains(path);
        (param, marked.then_some(Stacked { chips: self.chips }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::nn::conv::{Conv1dConfig, Conv2dConfig};
    use burn::nn::{
        BatchNorm, BatchNormConfig, LayerNorm, LayerNormConfig, LinearConfig, PaddingConfig1d,
        PaddingConfig2d,
    };
    use burn::tensor::{Device, Distribution};

    use super::*;
    use crate::layer::{conv1d, conv2d, linear};
    use crate::{WeightBits, quantize_weights};

    fn images(shape: [usize; 4]) -> Tensor<4> {
        Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Device::flex())
    }

    fn agree<const D: usize>(left: Tensor<D>, right: Tensor<D>) {
        assert_eq!(left.dims(), right.dims());
        let gap = (left - right).abs().max().into_scalar::<f32>();
        assert!(gap < 1e-5, "{gap}");
    }

    /// A convolution in groups on images that chips share, one on the outputs of each, a batch norm, and a linear layer.
    #[derive(Module, Debug)]
    struct Net {
        first: Conv2d,
        second: Conv2d,
        line: Conv1d,
        norm: BatchNorm,
        fc: Linear,
    }

    impl Net {
        fn new(first_groups: usize) -> Self {
            let device = Device::flex();
            let padding = PaddingConfig2d::Explicit(1, 1, 1, 1);
            let norm = BatchNormConfig::new(4).init(&device);
            norm.running_mean.update(images([1, 1, 1, 4]).flatten(0, 3));
            norm.running_mean.value_sync();
            Self {
                first: Conv2dConfig::new([2, 6], [3, 3])
                    .with_groups(first_groups)
                    .with_padding(padding)
                    .init(&device),
                second: Conv2dConfig::new([6, 4], [3, 3])
                    .with_groups(2)
                    .init(&device),
                line: Conv1dConfig::new(4, 3, 3)
                    .with_padding(PaddingConfig1d::Explicit(1, 1))
                    .init(&device),
                norm,
                fc: LinearConfig::new(3 * 9, 5).init(&device),
            }
        }

        fn forward(&self, images: Tensor<4>) -> Tensor<2> {
            let x = conv2d(&self.second, conv2d(&self.first, images));
            let x = self.norm.forward(x).flatten::<3>(2, 3);
            linear(&self.fc, conv1d(&self.line, x).flatten::<2>(1, 2))
        }
    }

    #[test]
    fn stacked_chips_compute_what_each_computes() {
        for groups in [1, 2] {
            let chips: Vec<Net> = (0..3).map(|_| Net::new(groups)).collect();
            let mean = |chip: &Net| chip.norm.running_mean.value_sync();
            let means: Vec<Tensor<1>> = chips.iter().map(mean).collect();
            let input = images([4, 2, 5, 5]);
            let each = chips.iter().map(|chip| chip.forward(input.clone()));
            let expected = Tensor::cat(each.collect(), 1);
            agree(stack(&chips).unwrap().forward(input), expected);
            // The chips are what they were, running statistics included.
            for (chip, before) in chips.iter().zip(means) {
                agree(mean(chip), before);
            }
        }
    }

    #[test]
    fn a_stack_of_one_is_that_chip() {
        let chip = Net::new(1);
        let input = images([2, 2, 5, 5]);
        let stacked = stack(std::slice::from_ref(&chip)).unwrap();
        agree(stacked.forward(input.clone()), chip.forward(input));
    }

    #[test]
    fn chips_stand_with_the_weights_that_they_compute_with() {
        let quantization = Some(WeightBits::new(2).unwrap().into());
        let chips: Vec<Net> = (0..2)
            .map(|_| quantize_weights(Net::new(1), quantization).unwrap())
            .collect();
        let input = images([2, 2, 5, 5]);
        let each = chips.iter().map(|chip| chip.forward(input.clone()));
        let expected = Tensor::cat(each.collect(), 1);
        agree(stack(&chips).unwrap().forward(input), expected);
    }

    #[test]
    fn a_layer_may_be_called_array() {
        #[derive(Module, Debug)]
        struct Named {
            array: Linear,
        }
        let array = LinearConfig::new(4, 2).init(&Device::flex());
        stack(&[Named { array }]).unwrap();
    }

    #[test]
    fn what_cannot_stand_side_by_side_is_refused() {
        #[derive(Module, Debug)]
        struct Normed {
            norm: LayerNorm,
        }
        let norm = LayerNormConfig::new(4).init(&Device::flex());
        let error = stack(&[Normed { norm }]).unwrap_err().to_string();
        assert!(
            error.contains("`norm.gamma` belongs to a Struct:LayerNorm"),
            "{error}"
        );
        let none: [Linear; 0] = [];
        assert!(stack(&none).is_err());
    }
}
