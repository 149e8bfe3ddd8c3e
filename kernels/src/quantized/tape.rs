//! The product with a stored matrix if gradients are needed. Only the input has a gradient.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Dispatch, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Tensor, TensorData};

use super::QuantizedMatrix;
use crate::flex::{all_f32, dense, sizes, tensor, values};

/// `input · matrixᵀ`, with the numbers for which the bytes of `matrix` stand. The tape keeps the bytes; they are unpacked again for the gradient of
/// `input`.
///
/// # Shapes
/// `[rows, inputs] → [rows, outputs]`.
pub(super) fn product_of_numbers(input: Tensor<2>, matrix: &QuantizedMatrix) -> Tensor<2> {
    let product = Dispatch::held_product(input.into_dispatch(), matrix.clone());
    Tensor::from_dispatch(product)
}

/// The product with a stored matrix, and the gradient of the input. The bodies here are the backend's own operations.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait HeldKernel: Backend {
    fn held_product(input: FloatTensor<Self>, matrix: QuantizedMatrix) -> FloatTensor<Self> {
        product::<Self>(input, &matrix)
    }

    fn held_product_gradient(
        gradient: FloatTensor<Self>,
        matrix: QuantizedMatrix,
    ) -> FloatTensor<Self> {
        input_gradient::<Self>(gradient, &matrix)
    }
}

fn product<B: Backend>(input: FloatTensor<B>, matrix: &QuantizedMatrix) -> FloatTensor<B> {
    let weight = B::float_transpose(numbers::<B>(matrix, &input));
    <B as ModuleOps<B>>::linear(input, weight, None)
}

fn input_gradient<B: Backend>(
    gradient: FloatTensor<B>,
    matrix: &QuantizedMatrix,
) -> FloatTensor<B> {
    let weight = numbers::<B>(matrix, &gradient);
    <B as ModuleOps<B>>::linear(gradient, weight, None)
}

/// The numbers of `matrix`, `[outputs, inputs]`, on the device and in the type of `like`.
fn numbers<B: Backend>(matrix: &QuantizedMatrix, like: &FloatTensor<B>) -> FloatTensor<B> {
    let [outputs, inputs] = matrix.dims();
    let data = TensorData::new(matrix.unpacked(0..outputs), [outputs, inputs]);
    B::float_from_data(data.convert_dtype(like.dtype()), &like.device())
}

#[cfg(feature = "ndarray")]
impl HeldKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl HeldKernel for burn::backend::Cube {}

impl HeldKernel for Flex {
    fn held_product(input: FloatTensor<Self>, matrix: QuantizedMatrix) -> FloatTensor<Self> {
        if !all_f32([&input]) {
            return product::<Self>(input, &matrix);
        }
        let ([rows, _], [outputs, _]) = (sizes(&input), matrix.dims());
        let found = matrix.product_of_numbers(values(&dense(input)));
        tensor(found, [rows, outputs])
    }

    fn held_product_gradient(
        gradient: FloatTensor<Self>,
        matrix: QuantizedMatrix,
    ) -> FloatTensor<Self> {
        if !all_f32([&gradient]) {
            return input_gradient::<Self>(gradient, &matrix);
        }
        let ([rows, _], [_, inputs]) = (sizes(&gradient), matrix.dims());
        let found = matrix.input_gradient(values(&dense(gradient)));
        tensor(found, [rows, inputs])
    }
}

#[derive(Debug)]
struct HeldProduct;

impl<B: HeldKernel> Backward<B, 1> for HeldProduct {
    type State = QuantizedMatrix;

    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let gradient = grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let value = B::held_product_gradient(gradient, ops.state);
            grads.register::<B>(parent.id, value);
        }
    }
}

impl<B: HeldKernel, C: CheckpointStrategy> HeldKernel for Autodiff<B, C> {
    fn held_product(input: FloatTensor<Self>, matrix: QuantizedMatrix) -> FloatTensor<Self> {
        let output = B::held_product(input.primitive().clone(), matrix.clone());
        match HeldProduct
            .prepare::<C>([input.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(prep) => prep.finish(matrix, output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
