//! Gradients of the linear layer on the tape.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::backend::LinearKernel;

/// Nodes of the input and of the weight. Each is kept only if the other one's gradient is needed.
type State = [Option<NodeId>; 2];

/// Registers the gradients of input and weight.
fn backward<B: LinearKernel>(
    parents: [Option<NodeId>; 2],
    state: State,
    gradient: FloatTensor<B>,
    grads: &mut Gradients,
    checkpointer: &mut Checkpointer,
) {
    let [input, weight] =
        state.map(|node| node.map(|id| checkpointer.retrieve_node_output::<FloatTensor<B>>(id)));
    if let (Some(node), Some(weight)) = (parents[0], weight) {
        let value = B::product_input_gradient(weight, gradient.clone());
        grads.register::<B>(node, value);
    }
    if let (Some(node), Some(input)) = (parents[1], input) {
        let value = B::product_weight_gradient(input, gradient);
        grads.register::<B>(node, value);
    }
}

#[derive(Debug)]
struct Product;

impl<B: LinearKernel> Backward<B, 2> for Product {
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
struct ProductWithBias;

impl<B: LinearKernel> Backward<B, 3> for ProductWithBias {
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
            let value = B::product_bias_gradient(gradient.clone());
            grads.register::<B>(node, value);
        }
        backward::<B>([input, weight], ops.state, gradient, grads, checkpointer);
    }
}

impl<B: LinearKernel, C: CheckpointStrategy> LinearKernel for Autodiff<B, C> {
    fn product(input: FloatTensor<Self>, weight: FloatTensor<Self>) -> FloatTensor<Self> {
        let output = B::product(input.primitive().clone(), weight.primitive().clone());
        match Product
            .prepare::<C>([input.node(), weight.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = [
                    weight.is_tracked().then(|| prep.checkpoint(&input)),
                    input.is_tracked().then(|| prep.checkpoint(&weight)),
                ];
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn product_with_bias(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
    ) -> FloatTensor<Self> {
        let output = B::product_with_bias(
            input.primitive().clone(),
            weight.primitive().clone(),
            bias.primitive().clone(),
        );
        match ProductWithBias
            .prepare::<C>([input.node(), weight.node(), bias.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let state = [
                    weight.is_tracked().then(|| prep.checkpoint(&input)),
                    input.is_tracked().then(|| prep.checkpoint(&weight)),
                ];
                prep.finish(state, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
