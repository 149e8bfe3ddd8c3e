//! Structural similarity as an extension of Burn's backends, and on the tape.
#![allow(deprecated, reason = "Burn's ndarray backend stays selectable")]

use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{Autodiff, Backend, Flex, TensorMetadata, backend_extension};
use burn::tensor::{Shape, TensorData};
use pulp::Arch;

use super::{C1, C2, RADIUS, fused, taps};
use crate::flex::{dense, sizes, tensor, values};

/// `1 - SSIM` and its gradients. The bodies here are the backend's own operations. All are `[batch, channels, height, width]`.
#[backend_extension(Flex, NdArray: cfg(feature = "ndarray"), Cube: cfg(feature = "wgpu"), Autodiff)]
pub(crate) trait SimilarityKernel: Backend {
    fn structural_dissimilarity(x: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self> {
        Moments::<Self>::of(x, y).dissimilarity()
    }

    /// Gradients of `x` and `y`.
    fn structural_dissimilarity_gradients(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        Moments::<Self>::of(x, y).gradients(gradient)
    }
}

#[cfg(feature = "ndarray")]
impl SimilarityKernel for burn::backend::NdArray {}

#[cfg(feature = "wgpu")]
impl SimilarityKernel for burn::backend::Cube {}

fn square<B: Backend>(x: FloatTensor<B>) -> FloatTensor<B> {
    B::float_mul(x.clone(), x)
}

/// The weights of the window along one axis of `length` pixels, as a symmetric matrix `[length, length]`.
fn band<B: Backend>(length: usize, like: &FloatTensor<B>) -> FloatTensor<B> {
    let taps = taps();
    let mut values = vec![0.0f32; length * length];
    for row in 0..length {
        let columns = row.saturating_sub(RADIUS)..(row + RADIUS + 1).min(length);
        for column in columns {
            values[row * length + column] = taps[row.abs_diff(column)] as f32;
        }
    }
    let data = TensorData::new(values, [length, length]);
    B::float_from_data(data, &like.device())
}

/// Means under the window, with zeros beyond the edges. Rows and columns are one product each with a banded matrix, which backends compute fast.
fn blurred<B: Backend>(maps: FloatTensor<B>) -> FloatTensor<B> {
    let shape = maps.shape();
    let [batch, channels, height, width] = shape.dims();
    let lines = |x, length| {
        B::float_reshape(
            x,
            Shape::from([batch * channels * height * width / length, length]),
        )
    };
    let by = |x, length| {
        let band = band::<B>(length, &x);
        B::float_matmul(lines(x, length), band)
    };
    if shape.num_elements() == 0 {
        return maps;
    }
    let turned = |x, [rows, columns]: [usize; 2]| {
        let x = B::float_reshape(x, Shape::from([batch * channels, rows, columns]));
        B::float_swap_dims(x, 1, 2)
    };
    let rows = turned(by(maps, width), [height, width]);
    let columns = turned(by(rows, height), [width, height]);
    B::float_reshape(columns, shape)
}

/// The moments under the window of each pixel. Names are those of the formula of
/// [`structural_dissimilarity`](super::structural_dissimilarity).
struct Moments<B: Backend> {
    x: FloatTensor<B>,
    y: FloatTensor<B>,
    mean_x: FloatTensor<B>,
    mean_y: FloatTensor<B>,
    /// `μx² + μy² + C1`
    means: FloatTensor<B>,
    /// `sd²` and `sx² + sy²`, before variances are clamped.
    between: FloatTensor<B>,
    own: FloatTensor<B>,
}

impl<B: Backend> Moments<B> {
    fn of(x: FloatTensor<B>, y: FloatTensor<B>) -> Self {
        let difference = B::float_sub(x.clone(), y.clone());
        let power = B::float_add(square::<B>(x.clone()), square::<B>(y.clone()));
        let (mean_x, mean_y) = (blurred::<B>(x.clone()), blurred::<B>(y.clone()));
        let mean_d = B::float_sub(mean_x.clone(), mean_y.clone());
        let means = B::float_add(square::<B>(mean_x.clone()), square::<B>(mean_y.clone()));
        let between = B::float_sub(blurred::<B>(square::<B>(difference)), square::<B>(mean_d));
        Self {
            own: B::float_sub(blurred::<B>(power), means.clone()),
            means: B::float_add_scalar(means, C1.into()),
            x,
            y,
            mean_x,
            mean_y,
            between,
        }
    }

    fn mean_difference(&self) -> FloatTensor<B> {
        B::float_sub(self.mean_x.clone(), self.mean_y.clone())
    }

    /// `sx² + sy² + C2`
    fn spread(&self) -> FloatTensor<B> {
        let own = B::float_clamp_min(self.own.clone(), 0.0.into());
        B::float_add_scalar(own, C2.into())
    }

    /// `a` and `b` of the formula.
    fn parts(&self) -> [FloatTensor<B>; 2] {
        let between = B::float_clamp_min(self.between.clone(), 0.0.into());
        [
            B::float_div(square::<B>(self.mean_difference()), self.means.clone()),
            B::float_div(between, self.spread()),
        ]
    }

    fn dissimilarity(&self) -> FloatTensor<B> {
        let [a, b] = self.parts();
        B::float_sub(B::float_add(a.clone(), b.clone()), B::float_mul(a, b))
    }

    /// Gradients of `x` and `y`, by the chain rule. The window is symmetric, so its transpose is the window itself.
    fn gradients(self, gradient: FloatTensor<B>) -> (FloatTensor<B>, FloatTensor<B>) {
        let [a, b] = self.parts();
        let rest = |part: FloatTensor<B>| {
            let one = B::float_add_scalar(B::float_neg(part), 1.0.into());
            B::float_mul(gradient.clone(), one)
        };
        let (for_a, for_b) = (rest(b.clone()), rest(a.clone()));
        // The derivative of the clamp is 1 above 0.
        let kept = |of: &FloatTensor<B>, value| {
            let above = B::float_clamp_min(B::float_sign(of.clone()), 0.0.into());
            B::float_mul(value, above)
        };
        let for_b = B::float_div(for_b, self.spread());
        let for_square = kept(&self.between, for_b.clone());
        let for_power = B::float_neg(kept(&self.own, B::float_mul(for_b, b)));
        let for_a = B::float_div(for_a, self.means.clone());
        let twice = |x: FloatTensor<B>| B::float_mul_scalar(x, 2.0.into());
        let of_difference = B::float_sub(for_a.clone(), for_square.clone());
        let of_difference = B::float_mul(of_difference, twice(self.mean_difference()));
        let of_means = B::float_add(B::float_mul(for_a, a), for_power.clone());
        let through = |mean: &FloatTensor<B>| B::float_mul(of_means.clone(), twice(mean.clone()));
        let for_mean_x = B::float_sub(of_difference.clone(), through(&self.mean_x));
        let for_mean_y = B::float_neg(B::float_add(of_difference, through(&self.mean_y)));
        let difference = B::float_sub(self.x.clone(), self.y.clone());
        let squares = B::float_mul(twice(difference), blurred::<B>(for_square));
        let powers = blurred::<B>(for_power);
        let of = |image, mean, squares| {
            let powers = B::float_mul(twice(image), powers.clone());
            B::float_add(B::float_add(blurred::<B>(mean), powers), squares)
        };
        (
            of(self.x, for_mean_x, squares.clone()),
            of(self.y, for_mean_y, B::float_neg(squares)),
        )
    }
}

impl SimilarityKernel for Flex {
    fn structural_dissimilarity(x: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self> {
        let [_, _, height, width] = sizes(&x);
        let (x, y) = (dense(x), dense(y));
        let map = fused::forward(Arch::new(), [height, width], [values(&x), values(&y)]);
        tensor(map, x.shape())
    }

    fn structural_dissimilarity_gradients(
        x: FloatTensor<Self>,
        y: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
    ) -> (FloatTensor<Self>, FloatTensor<Self>) {
        let [_, _, height, width] = sizes(&x);
        let (x, y, gradient) = (dense(x), dense(y), dense(gradient));
        let pair = [values(&x), values(&y)];
        let gradients = fused::gradients(Arch::new(), [height, width], pair, values(&gradient));
        let [for_x, for_y] = gradients.map(|gradient| tensor(gradient, x.shape()));
        (for_x, for_y)
    }
}

#[derive(Debug)]
struct Dissimilarity;

impl<B: SimilarityKernel> Backward<B, 2> for Dissimilarity {
    type State = (NodeId, NodeId);

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, y) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let y = checkpointer.retrieve_node_output::<FloatTensor<B>>(y);
        let (x, y) = B::structural_dissimilarity_gradients(x, y, gradient);
        for (node, value) in ops.parents.into_iter().zip([x, y]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, value);
            }
        }
    }
}

impl<B: SimilarityKernel, C: CheckpointStrategy> SimilarityKernel for Autodiff<B, C> {
    fn structural_dissimilarity(x: FloatTensor<Self>, y: FloatTensor<Self>) -> FloatTensor<Self> {
        let map = B::structural_dissimilarity(x.primitive().clone(), y.primitive().clone());
        match Dissimilarity
            .prepare::<C>([x.node(), y.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&x), prep.checkpoint(&y));
                prep.finish(state, map)
            }
            OpsKind::UnTracked(prep) => prep.finish(map),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{agree, numbers};

    /// Other backends use the operations here, which share no code with the rows of [`fused`].
    #[test]
    fn the_operations_of_a_backend_give_what_the_kernel_gives() {
        let shape = [2, 1, 9, 13];
        let of = |seed| {
            let values = numbers(seed, 2 * 9 * 13);
            tensor(values.iter().map(|x| 0.5 + 0.4 * x).collect(), shape)
        };
        let wide = |x: FloatTensor<Flex>| -> Vec<f64> {
            values(&dense(x)).iter().map(|x| f64::from(*x)).collect()
        };
        let (x, y, gradient) = (of(1), of(2), of(3));
        let ours = Flex::structural_dissimilarity(x.clone(), y.clone());
        let operations = Moments::<Flex>::of(x.clone(), y.clone());
        agree(values(&ours), &wide(operations.dissimilarity()), 1e-5);
        let ours = Flex::structural_dissimilarity_gradients(x.clone(), y.clone(), gradient.clone());
        let others = Moments::<Flex>::of(x, y).gradients(gradient);
        agree(values(&ours.0), &wide(others.0), 1e-4);
        agree(values(&ours.1), &wide(others.1), 1e-4);
    }
}
