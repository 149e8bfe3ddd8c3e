//! Gradients of the functions on the tape.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::Function;
use super::backend::ActivationKernel;

/// Functions whose derivative is computed from the argument.
#[derive(Debug)]
struct OfArgument;

impl<B: ActivationKernel> Backward<B, 1> for OfArgument {
    type State = (NodeId, Function);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let (input, function) = ops.state;
        let input = checkpointer.retrieve_node_output::<FloatTensor<B>>(input);
        let gradient = grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let value = B::activation_gradient(input, gradient, function);
            grads.register::<B>(parent.id, value);
        }
    }
}

/// Functions whose derivative is computed from the result.
#[derive(Debug)]
struct OfResult;

impl<B: ActivationKernel> Backward<B, 1> for OfResult {
    type State = (FloatTensor<B>, Function);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let (output, function) = ops.state;
        let gradient = grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let value = B::activation_gradient(output, gradient, function);
            grads.register::<B>(parent.id, value);
        }
    }
}

impl<B: ActivationKernel, C: CheckpointStrategy> ActivationKernel for Autodiff<B, C> {
    fn activation(input: FloatTensor<Self>, function: Function) -> FloatTensor<Self> {
        if function.derives_from_result() {
            // The argument is released, so that the result can take its memory.
            let (input, node) = input.into_parts();
            let output = B::activation(input, function);
            return match OfResult.prepare::<C>([node]).compute_bound().stateful() {
                OpsKind::Tracked(prep) => prep.finish((output.clone(), function), output),
                OpsKind::UnTracked(prep) => prep.finish(output),
            };
        }
        let output = B::activation(input.primitive().clone(), function);
        match OfArgument
            .prepare::<C>([input.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&input), function);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
