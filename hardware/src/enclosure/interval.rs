//! A signal between two ends, and what a network does with it.

use std::sync::Arc;

use burn::module::Param;
use burn::nn::conv::{Conv1d, Conv2d};
use burn::nn::pool::MaxPool2d;
use burn::nn::{BatchNorm, Linear};
use burn::tensor::Tensor;
use crossburn_kernels::{Rounding, conv1d, conv2d, relu};

use super::margins::LinearOrigin;
use super::product::{Product, slack};
use super::weight_box::WeightBox;
use super::{Arithmetic, Tensors};
use crate::ActivationQuantizer;

/// Values between two ends: whatever the deviation of the weights, `low <= value <= high`. NaN where nothing is known.
#[derive(Clone, Debug)]
pub struct Interval<const D: usize> {
    pub(super) low: Tensor<D>,
    pub(super) high: Tensor<D>,
    /// Both ends are one tensor.
    pub(super) point: bool,
    /// The lower end is at least zero.
    pub(super) nonnegative: bool,
    /// The linear layer that gave it, where nothing came after.
    pub(super) origin: Option<Arc<LinearOrigin>>,
}

impl<const D: usize> Interval<D> {
    /// Values that are known, such as images.
    pub fn point(values: Tensor<D>) -> Self {
        Self {
            low: values.clone(),
            high: values,
            point: true,
            nonnegative: false,
            origin: None,
        }
    }

    /// The lower ends.
    pub fn low(&self) -> Tensor<D> {
        self.low.clone()
    }

    /// The higher ends.
    pub fn high(&self) -> Tensor<D> {
        self.high.clone()
    }

    pub(super) fn between(low: Tensor<D>, high: Tensor<D>) -> Self {
        Self {
            low,
            high,
            point: false,
            nonnegative: false,
            origin: None,
        }
    }

    /// The largest magnitudes.
    pub(super) fn reach(&self) -> Tensor<D> {
        match (self.nonnegative, self.point) {
            (true, _) => self.high.clone(),
            (false, true) => self.low.clone().abs(),
            (false, false) => self.low.clone().abs().max_pair(self.high.clone().abs()),
        }
    }

    /// Both ends through something that never falls, as it is computed.
    fn monotone<const E: usize>(self, work: impl Fn(Tensor<D>) -> Tensor<E>) -> Interval<E> {
        let low = work(self.low);
        let high = match self.point {
            true => low.clone(),
            false => work(self.high),
        };
        Interval {
            low,
            high,
            point: self.point,
            nonnegative: self.nonnegative,
            origin: None,
        }
    }
}

/// Enclosures: what [`Tensors`] can give while the weights are anywhere in the boxes that
/// [`enclose_weights`](super::enclose_weights) attached.
#[derive(Clone, Copy, Debug)]
pub struct Intervals;

/// The box at `weight`, that of no deviation where there is none.
fn weight_box<const D: usize>(weight: &Param<Tensor<D>>) -> WeightBox {
    match weight.reparameterization::<WeightBox>() {
        Some(attached) => attached.clone(),
        None => WeightBox::point(weight.val()),
    }
}

impl Arithmetic for Intervals {
    type Signal<const D: usize> = Interval<D>;

    fn linear<const D: usize>(layer: &Linear, x: Interval<D>) -> Interval<D> {
        let weights = weight_box(&layer.weight);
        let weight = layer.weight.val();
        let bias = layer.bias.as_ref().map(|bias| bias.val());
        // Inputs that are zero whatever the deviation are added without rounding.
        let reach = x.reach();
        let counted = reach.clone().equal_elem(0.0).bool_not().int();
        let terms: i64 = counted.sum_dim(D - 1).max().into_scalar();
        let product = Product {
            weight: weight.clone(),
            weights: &weights,
            bias: bias.clone(),
            rounding: Rounding::of_sum(terms as usize),
            multiply: |x, weight, bias| crossburn_kernels::multiply(x, weight, bias),
            total: Some(|x: Tensor<D>| x.sum_dim(D - 1)),
        };
        let mut product = product.enclose(&x, reach);
        product.origin = Some(Arc::new(LinearOrigin::new(&x, weight, weights, bias)));
        product
    }

    fn conv1d(layer: &Conv1d, x: Interval<3>) -> Interval<3> {
        let weights = weight_box(&layer.weight);
        let weight = layer.weight.val();
        let [_, channels, taps] = weight.dims();
        let with = |weight: Tensor<3>, bias: Option<Tensor<1>>| Conv1d {
            weight: Param::from_tensor(weight),
            bias: bias.map(Param::from_tensor),
            ..layer.clone()
        };
        let ones = Tensor::ones([1, channels, taps], &weight.device());
        let total = (layer.groups == 1).then_some(|x| conv1d(&with(ones.clone(), None), x));
        let reach = x.reach();
        let product = Product {
            weight,
            weights: &weights,
            bias: layer.bias.as_ref().map(|bias| bias.val()),
            rounding: Rounding::of_sum(channels * taps),
            multiply: |x, weight, bias| conv1d(&with(weight, bias), x),
            total,
        };
        product.enclose(&x, reach)
    }

    fn conv2d(layer: &Conv2d, x: Interval<4>) -> Interval<4> {
        let weights = weight_box(&layer.weight);
        let weight = layer.weight.val();
        let [_, channels, height, width] = weight.dims();
        let with = |weight: Tensor<4>, bias: Option<Tensor<1>>| Conv2d {
            weight: Param::from_tensor(weight),
            bias: bias.map(Param::from_tensor),
            ..layer.clone()
        };
        let ones = Tensor::ones([1, channels, height, width], &weight.device());
        let total = (layer.groups == 1).then_some(|x| conv2d(&with(ones.clone(), None), x));
        let reach = x.reach();
        let product = Product {
            weight,
            weights: &weights,
            bias: layer.bias.as_ref().map(|bias| bias.val()),
            rounding: Rounding::of_conv2d(layer, x.low.dims()),
            multiply: |x, weight, bias| conv2d(&with(weight, bias), x),
            total,
        };
        product.enclose(&x, reach)
    }

    fn batch_norm<const D: usize>(layer: &BatchNorm, x: Interval<D>) -> Interval<D> {
        let x = x.monotone(|x| Tensors::batch_norm(layer, x));
        // Channels with a factor below zero fall where their input rises.
        let mut shape = [1; D];
        shape[1] = x.low.dims()[1];
        let falls = layer.gamma.val().lower_elem(0.0);
        let falls = falls.reshape(shape).expand(x.low.dims());
        let low = x.low.clone().mask_where(falls.clone(), x.high.clone());
        let high = x.high.mask_where(falls, x.low);
        Interval {
            low,
            high,
            nonnegative: false,
            ..x
        }
    }

    fn relu<const D: usize>(x: Interval<D>) -> Interval<D> {
        Interval {
            nonnegative: true,
            ..x.monotone(relu)
        }
    }

    fn quantize<const D: usize>(quantizer: &ActivationQuantizer, x: Interval<D>) -> Interval<D> {
        Interval {
            nonnegative: true,
            ..x.monotone(|x| quantizer.forward(x))
        }
    }

    fn max_pool2d(layer: &MaxPool2d, x: Interval<4>) -> Interval<4> {
        x.monotone(|x| Tensors::max_pool2d(layer, x))
    }

    fn mean_over_pixels(x: Interval<4>) -> Interval<2> {
        let [_, _, height, width] = x.low.dims();
        let nonnegative = x.nonnegative;
        // Sums of other orders differ: by the error of two sums, and of the division.
        let reach = Tensors::mean_over_pixels(x.reach());
        let slack = reach * slack(&Rounding::of_sum(height * width));
        let means = x.monotone(Tensors::mean_over_pixels);
        let low = means.low - slack.clone();
        Interval {
            low: if nonnegative { relu(low) } else { low },
            high: means.high + slack,
            point: false,
            nonnegative,
            origin: None,
        }
    }

    fn flatten(x: Interval<4>) -> Interval<2> {
        x.monotone(Tensors::flatten)
    }

    fn without_height(x: Interval<4>) -> Interval<3> {
        x.monotone(Tensors::without_height)
    }

    fn with_height(x: Interval<3>) -> Interval<4> {
        x.monotone(Tensors::with_height)
    }

    fn add<const D: usize>(left: Interval<D>, right: Interval<D>) -> Interval<D> {
        Interval {
            low: left.low + right.low,
            high: left.high + right.high,
            point: false,
            nonnegative: left.nonnegative && right.nonnegative,
            origin: None,
        }
    }

    fn halve(x: Interval<4>, from: usize, to: usize) -> Interval<4> {
        x.monotone(|x| Tensors::halve(x, from, to))
    }
}
