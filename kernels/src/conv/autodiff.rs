//! The convolution on the tape.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ConvOptions;
use burn::backend::tensor::FloatTensor;

use super::backend::ConvKernel;

/// Nodes of input and weight, and the options.
type State = (NodeId, NodeId, ConvOptions<2>);

/// Registers the gradients of input and weight, each only where it is asked for.
fn backward<B: ConvKernel>(
    parents: [Option<NodeId>; 2],
    state: State,
    gradient: FloatTensor<B>,
    grads: &mut Gradients,
    checkpointer: &mut Checkpointer,
) {
    let (input, weight, options) = state;
    let input = checkpointer.retrieve_node_output::<FloatTensor<B>>(input);
    let weight = checkpointer.retrieve_node_output::<FloatTensor<B>>(weight);
    if let Some(node) = parents[0] {
        let value = B::convolution_input_gradient(
            input.clone(),
            weight.clone(),
            gradient.clone(),
            options.clone(),
        );
        grads.register::<B>(node, value);
    }
    if let Some(node) = parents[1] {
        let value = B::convolution_weight_gradient(input, weight, gradient, options);
        grads.register::<B>(node, value);
    }
}

#[derive(Debug)]
struct Convolution;

impl<B: ConvKernel> Backward<B, 2> for Convolution {
    type State = State;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        backward::<B>(parents, ops.state, gradient, grads, checkpointer);
    }
}

#[derive(Debug)]
struct ConvolutionWithBias;

impl<B: ConvKernel> Backward<B, 3> for ConvolutionWithBias {
    type State = State;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let [input, weight, bias] = ops.parents.map(|node| node.map(|node| node.id));
        if let Some(node) = bias {
            let value = B::convolution_bias_gradient(gradient.clone());
            grads.register::<B>(node, value);
        }
        backward::<B>([input, weight], ops.state, gradient, grads, checkpointer);
    }
}

impl<B: ConvKernel, C: CheckpointStrategy> ConvKernel for Autodiff<B, C> {
    fn convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let output = B::convolution(
            input.primitive().clone(),
            weight.primitive().clone(),
            options.clone(),
        );
        match Convolution
            .prepare::<C>([input.node(), weight.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&input), prep.checkpoint(&weight), options);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn convolution_with_bias(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
    ) -> FloatTensor<Self> {
        let output = B::convolution_with_bias(
            input.primitive().clone(),
            weight.primitive().clone(),
            bias.primitive().clone(),
            options.clone(),
        );
        match ConvolutionWithBias
            .prepare::<C>([input.node(), weight.node(), bias.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = (prep.checkpoint(&input), prep.checkpoint(&weight), options);
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
