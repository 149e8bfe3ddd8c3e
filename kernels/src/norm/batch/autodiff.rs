//! Gradients of batch normalisation on the tape.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::ops::ModuleOps;
use burn::backend::tensor::FloatTensor;

use super::backend::BatchNormKernel;

/// Nodes of the input and of γ; mean, variance and ε.
type State<B> = (NodeId, NodeId, FloatTensor<B>, FloatTensor<B>, f64);

#[derive(Debug)]
struct Training;

impl<B: BatchNormKernel> Backward<B, 3> for Training {
    type State = State<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, gamma, mean, variance, epsilon) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let gamma = checkpointer.retrieve_node_output::<FloatTensor<B>>(gamma);
        let (x, gamma, beta) =
            B::batch_norm_training_gradients(x, gamma, mean, variance, gradient, epsilon);
        for (node, value) in ops.parents.into_iter().zip([x, gamma, beta]) {
            if let Some(node) = node {
                grads.register::<B>(node.id, value);
            }
        }
    }
}

#[derive(Debug)]
struct Fixed;

impl<B: BatchNormKernel> Backward<B, 3> for Fixed {
    type State = State<B>;

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = grads.consume::<B>(&ops.node);
        let (x, gamma, mean, variance, epsilon) = ops.state;
        let x = checkpointer.retrieve_node_output::<FloatTensor<B>>(x);
        let gamma = checkpointer.retrieve_node_output::<FloatTensor<B>>(gamma);
        let [node, gamma_node, beta_node] = ops.parents.map(|node| node.map(|node| node.id));
        if gamma_node.is_some() || beta_node.is_some() {
            let (gamma, beta) = B::batch_norm_fixed_parameter_gradients(
                x,
                mean,
                variance.clone(),
                gradient.clone(),
                epsilon,
            );
            for (node, value) in [(gamma_node, gamma), (beta_node, beta)] {
                if let Some(node) = node {
                    grads.register::<B>(node, value);
                }
            }
        }
        if let Some(node) = node {
            let value = B::batch_norm_fixed_input_gradient(gamma, variance, gradient, epsilon);
            grads.register::<B>(node, value);
        }
    }
}

impl<B: BatchNormKernel, C: CheckpointStrategy> BatchNormKernel for Autodiff<B, C> {
    fn batch_norm_training(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        epsilon: f64,
    ) -> (FloatTensor<Self>, FloatTensor<Self>, FloatTensor<Self>) {
        let (output, mean, variance) = B::batch_norm_training(
            x.primitive().clone(),
            gamma.primitive().clone(),
            beta.primitive().clone(),
            epsilon,
        );
        let statistics = (mean.clone(), variance.clone());
        let output = match Training
            .prepare::<C>([x.node(), gamma.node(), beta.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let (x, gamma) = (prep.checkpoint(&x), prep.checkpoint(&gamma));
                prep.finish((x, gamma, mean, variance, epsilon), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        };
        (
            output,
            FloatTensor::<Self>::new(statistics.0),
            FloatTensor::<Self>::new(statistics.1),
        )
    }

    fn batch_norm_fixed(
        x: FloatTensor<Self>,
        gamma: FloatTensor<Self>,
        beta: FloatTensor<Self>,
        mean: FloatTensor<Self>,
        variance: FloatTensor<Self>,
        epsilon: f64,
    ) -> FloatTensor<Self> {
        // If the statistics are trained, Burn's own operations give their gradients.
        if mean.is_tracked() || variance.is_tracked() {
            return <Self as ModuleOps<Self>>::batch_norm(x, gamma, beta, mean, variance, epsilon);
        }
        let (mean, variance) = (mean.into_primitive(), variance.into_primitive());
        let output = B::batch_norm_fixed(
            x.primitive().clone(),
            gamma.primitive().clone(),
            beta.primitive().clone(),
            mean.clone(),
            variance.clone(),
            epsilon,
        );
        match Fixed
            .prepare::<C>([x.node(), gamma.node(), beta.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let (x, gamma) = (prep.checkpoint(&x), prep.checkpoint(&gamma));
                prep.finish((x, gamma, mean, variance, epsilon), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}
