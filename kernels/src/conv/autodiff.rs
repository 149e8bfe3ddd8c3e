//! Gradients of the convolution on the tape.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ConvOptions;
use burn::backend::tensor::FloatTensor;

use super::backend::ConvKernel;
use super::epilogue::Epilogue;

/// Nodes of the input and of the weight, and the options.
type Operands = (NodeId, NodeId, ConvOptions<2>);

/// What the backward pass needs from the forward pass.
#[derive(Clone, Debug)]
struct State<B: ConvKernel> {
    operands: Operands,
    epilogue: Epilogue,
    /// The output, if the epilogue has a gradient of its own.
    output: Option<FloatTensor<B>>,
}

impl<B: ConvKernel> State<B> {
    fn new(operands: Operands, epilogue: Epilogue, output: &FloatTensor<B>) -> Self {
        Self {
            operands,
            epilogue,
            output: (epilogue != Epilogue::Identity).then(|| output.clone()),
        }
    }

    /// The gradient of the sums, from that of the output.
    fn of_sums(&mut self, gradient: FloatTensor<B>) -> FloatTensor<B> {
        match self.output.take() {
            Some(output) => B::convolution_epilogue_gradient(output, gradient, self.epilogue),
            None => gradient,
        }
    }
}

/// Registers the gradients of input and weight, as far as they are needed.
fn backward<B: ConvKernel>(
    parents: [Option<NodeId>; 2],
    operands: Operands,
    gradient: FloatTensor<B>,
    grads: &mut Gradients,
    checkpointer: &mut Checkpointer,
) {
    let (input, weight, options) = operands;
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
    type State = State<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 2>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let mut state = ops.state;
        let gradient = state.of_sums(grads.consume::<B>(&ops.node));
        let parents = ops.parents.map(|node| node.map(|node| node.id));
        backward::<B>(parents, state.operands, gradient, grads, checkpointer);
    }
}

#[derive(Debug)]
struct ConvolutionWithBias;

impl<B: ConvKernel> Backward<B, 3> for ConvolutionWithBias {
    type State = State<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let mut state = ops.state;
        let gradient = state.of_sums(grads.consume::<B>(&ops.node));
        let [input, weight, bias] = ops.parents.map(|node| node.map(|node| node.id));
        if let Some(node) = bias {
            let value = B::convolution_bias_gradient(gradient.clone());
            grads.register::<B>(node, value);
        }
        let parents = [input, weight];
        backward::<B>(parents, state.operands, gradient, grads, checkpointer);
    }
}

impl<B: ConvKernel, C: CheckpointStrategy> ConvKernel for Autodiff<B, C> {
    fn convolution(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        options: ConvOptions<2>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        let output = B::convolution(
            input.primitive().clone(),
            weight.primitive().clone(),
            options.clone(),
            epilogue,
        );
        match Convolution
            .prepare::<C>([input.node(), weight.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let operands = (prep.checkpoint(&input), prep.checkpoint(&weight), options);
                prep.finish(State::new(operands, epilogue, &output), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }

    fn convolution_with_bias(
        input: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        options: ConvOptions<2>,
        epilogue: Epilogue,
    ) -> FloatTensor<Self> {
        let output = B::convolution_with_bias(
            input.primitive().clone(),
            weight.primitive().clone(),
            bias.primitive().clone(),
            options.clone(),
            epilogue,
        );
        match ConvolutionWithBias
            .prepare::<C>([input.node(), weight.node(), bias.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let operands = (prep.checkpoint(&input), prep.checkpoint(&weight), options);
                prep.finish(State::new(operands, epilogue, &output), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
