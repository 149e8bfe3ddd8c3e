//! Softmax and the cross-entropy as an extension of Burn's backends.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::tensor::{FloatTensor, IntTensor};
use burn::backend::{Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::{DType, IndexingUpdateOp, Shape};
use pulp::Arch;
use rayon::prelude::*;

use super::loss::{loss, loss_and_gradient};
use super::rows::{Scale, chain, normalize};
use crate::activation::{PIECE, in_place};
use crate::flex::{FlexTensor, all_f32, dense, sizes, tensor, values};

/// Softmax over the last axis, the mean cross-entropy, and their gradients. The bodies here are the backend's own
/// operations.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait SoftmaxKernel: Backend {
    fn normalized(input: FloatTensor<Self>, scale: Scale) -> FloatTensor<Self> {
        softmax::<Self>(input, scale)
    }

    fn normalized_gradient(
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: Scale,
    ) -> FloatTensor<Self> {
        softmax_gradient::<Self>(output, gradient, scale)
    }

    /// `[1]` from `[batch, classes]` and `[batch]`.
    fn mean_cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        cross_entropy::<Self>(logits, targets)
    }

    /// The same with its gradient `[batch, classes]`.
    fn mean_cross_entropy_with_gradient(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        cross_entropy_with_gradient::<Self>(logits, targets)
    }

    /// `matrix` times the one value of `factor`.
    fn matrix_times(matrix: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self> {
        product::<Self>(matrix, factor)
    }
}

fn product<B: Backend>(matrix: FloatTensor<B>, factor: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(matrix, B::float_reshape(factor, [1, 1].into()))
}

fn last_axis(shape: &Shape) -> usize {
    shape.num_dims() - 1
}

fn softmax<B: Backend>(input: FloatTensor<B>, scale: Scale) -> FloatTensor<B> {
    let axis = last_axis(&input.shape());
    match scale {
        Scale::Linear => B::softmax(input, axis),
        Scale::Logarithmic => B::log_softmax(input, axis),
    }
}

fn softmax_gradient<B: Backend>(
    output: FloatTensor<B>,
    gradient: FloatTensor<B>,
    scale: Scale,
) -> FloatTensor<B> {
    let axis = last_axis(&output.shape());
    match scale {
        Scale::Linear => {
            let sum = B::float_sum_dim(B::float_mul(output.clone(), gradient.clone()), axis);
            B::float_mul(output, B::float_sub(gradient, sum))
        }
        Scale::Logarithmic => {
            let sum = B::float_sum_dim(gradient.clone(), axis);
            B::float_sub(gradient, B::float_mul(B::float_exp(output), sum))
        }
    }
}

/// `[1]`: minus the mean of the logarithms of the targets. `targets` is `[batch, 1]`.
fn mean_of_chosen<B: Backend>(logarithms: FloatTensor<B>, targets: IntTensor<B>) -> FloatTensor<B> {
    B::float_neg(B::float_mean(B::float_gather(1, logarithms, targets)))
}

fn column<B: Backend>(targets: IntTensor<B>) -> IntTensor<B> {
    let batch = targets.shape()[0];
    B::int_reshape(targets, [batch, 1].into())
}

fn cross_entropy<B: Backend>(logits: FloatTensor<B>, targets: IntTensor<B>) -> FloatTensor<B> {
    mean_of_chosen::<B>(B::log_softmax(logits, 1), column::<B>(targets))
}

fn cross_entropy_with_gradient<B: Backend>(
    logits: FloatTensor<B>,
    targets: IntTensor<B>,
) -> (FloatTensor<B>, FloatTensor<B>) {
    let batch = targets.shape()[0];
    let targets = column::<B>(targets);
    let logarithms = B::log_softmax(logits, 1);
    let loss = mean_of_chosen::<B>(logarithms.clone(), targets.clone());
    let ones = B::float_ones(
        [batch, 1].into(),
        &logarithms.device(),
        logarithms.dtype().into(),
    );
    let gradient = B::float_scatter(
        1,
        B::float_exp(logarithms),
        targets,
        B::float_neg(ones),
        IndexingUpdateOp::Add,
    );
    (loss, B::float_div_scalar(gradient, (batch as f64).into()))
}

#[cfg(feature = "ndarray")]
impl SoftmaxKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl SoftmaxKernel for burn::backend::Cube {}

/// The targets as indices of `classes`, if they have an integer type that Burn uses by default.
fn classes_of(targets: &FlexTensor, classes: usize) -> Option<Vec<usize>> {
    let targets = dense(targets.clone());
    let integers: Vec<i64> = match TensorMetadata::dtype(&targets) {
        DType::I64 => targets.as_slice::<i64>()?.to_vec(),
        DType::I32 => targets
            .as_slice::<i32>()?
            .iter()
            .map(|target| i64::from(*target))
            .collect(),
        _ => return None,
    };
    let class = |(row, target): (usize, &i64)| match usize::try_from(*target) {
        Ok(target) if target < classes => target,
        _ => panic!("Cross-entropy target {target} of row {row} is not one of {classes} classes."),
    };
    Some(integers.iter().enumerate().map(class).collect())
}

/// The targets, if the fast path supports both tensors.
fn fast_targets(logits: &FlexTensor, targets: &FlexTensor) -> Option<Vec<usize>> {
    all_f32([logits])
        .then(|| classes_of(targets, sizes::<2>(logits)[1]))
        .flatten()
}

impl SoftmaxKernel for Flex {
    fn normalized(input: FloatTensor<Self>, scale: Scale) -> FloatTensor<Self> {
        if !all_f32([&input]) {
            return softmax::<Self>(input, scale);
        }
        let width = input.shape()[last_axis(&input.shape())];
        in_place(input, |rows| normalize(Arch::new(), scale, width, rows))
    }

    fn normalized_gradient(
        output: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        scale: Scale,
    ) -> FloatTensor<Self> {
        if !all_f32([&output, &gradient]) {
            return softmax_gradient::<Self>(output, gradient, scale);
        }
        let output = dense(output);
        let width = output.shape()[last_axis(&output.shape())];
        in_place(gradient, |gradient| {
            chain(Arch::new(), scale, width, values(&output), gradient);
        })
    }

    fn mean_cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let Some(classes) = fast_targets(&logits, &targets) else {
            return cross_entropy::<Self>(logits, targets);
        };
        let logits = dense(logits);
        let width = sizes::<2>(&logits)[1];
        tensor(
            vec![loss(Arch::new(), width, values(&logits), &classes)],
            [1],
        )
    }

    fn mean_cross_entropy_with_gradient(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let Some(classes) = fast_targets(&logits, &targets) else {
            return cross_entropy_with_gradient::<Self>(logits, targets);
        };
        let width = sizes::<2>(&logits)[1];
        let mut loss = 0.0;
        let gradient = in_place(logits, |logits| {
            loss = loss_and_gradient(Arch::new(), width, logits, &classes);
        });
        (tensor(vec![loss], [1]), gradient)
    }

    fn matrix_times(matrix: FloatTensor<Self>, factor: FloatTensor<Self>) -> FloatTensor<Self> {
        if !all_f32([&matrix, &factor]) {
            return product::<Self>(matrix, factor);
        }
        let factor = values(&dense(factor))[0];
        if factor == 1.0 {
            return matrix;
        }
        let scale = |values: &mut [f32]| values.iter_mut().for_each(|value| *value *= factor);
        in_place(matrix, |values| match values.len() <= PIECE {
            true => scale(values),
            false => values.par_chunks_mut(PIECE).for_each(scale),
        })
    }
}
