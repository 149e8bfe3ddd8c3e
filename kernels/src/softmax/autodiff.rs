//! Gradients of softmax and the cross-entropy on the tape.

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::{FloatTensor, IntTensor};

use super::backend::SoftmaxKernel;
use super::rows::Scale;

#[derive(Debug)]
struct Softmax;

impl<B: SoftmaxKernel> Backward<B, 1> for Softmax {
    /// The result.
    type State = (FloatTensor<B>, Scale);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (output, scale) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let value = B::normalized_gradient(output, gradient, scale);
            grads.register::<B>(parent.id, value);
        }
    }
}

#[derive(Debug)]
struct CrossEntropy;

impl<B: SoftmaxKernel> Backward<B, 1> for CrossEntropy {
    /// The gradient of the mean loss.
    type State = FloatTensor<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let value = B::matrix_times(ops.state, gradient);
            grads.register::<B>(parent.id, value);
        }
    }
}

impl<B: SoftmaxKernel, C: CheckpointStrategy> SoftmaxKernel for Autodiff<B, C> {
    fn normalized(input: FloatTensor<Self>, scale: Scale) -> FloatTensor<Self> {
        // The argument is released, so that the result can take its memory.
        let (input, node) = input.into_parts();
        let output = B::normalized(input, scale);
        match Softmax.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => prep.finish((output.clone(), scale), output),
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn mean_cross_entropy(
        logits: FloatTensor<Self>,
        targets: IntTensor<Self>,
    ) -> FloatTensor<Self> {
        let (logits, node) = logits.into_parts();
        match CrossEntropy.prepare::<C>([node]).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let (loss, gradient) = B::mean_cross_entropy_with_gradient(logits, targets);
                prep.finish(gradient, loss)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::mean_cross_entropy(logits, targets)),
        }
    }
}
