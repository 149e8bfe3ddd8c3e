//! Gradients of the attention on the tape.

use burn::backend::Autodiff;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::CheckpointStrategy;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::tensor::FloatTensor;

use super::backend::AttentionKernel;
use super::geometry::Geometry;

#[derive(Debug)]
struct Attention;

impl<B: AttentionKernel> Backward<B, 3> for Attention {
    /// Nodes of query, key and value; the result; and the logarithm of each query's sum of exponentials.
    type State = ([NodeId; 3], FloatTensor<B>, FloatTensor<B>, Geometry);

    fn backward(
        self,
        ops: Ops<Self::State, 3>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let (nodes, output, normalizer, geometry) = ops.state;
        let [query, key, value] =
            nodes.map(|node| checkpointer.retrieve_node_output::<FloatTensor<B>>(node));
        let gradient = grads.consume::<B>(&ops.node);
        let (query, key, value) =
            B::attended_gradients(query, key, value, output, normalizer, gradient, geometry);
        for (parent, value) in ops.parents.into_iter().zip([query, key, value]) {
            if let Some(parent) = parent {
                grads.register::<B>(parent.id, value);
            }
        }
    }
}

#[derive(Debug)]
struct SelfAttention;

impl<B: AttentionKernel> Backward<B, 1> for SelfAttention {
    /// Node of query, key and value together; the result; and the logarithm of each query's sum of exponentials.
    type State = (NodeId, FloatTensor<B>, FloatTensor<B>, Geometry);

    fn backward(
        self,
        ops: Ops<Self::State, 1>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let (node, output, normalizer, geometry) = ops.state;
        let packed = checkpointer.retrieve_node_output::<FloatTensor<B>>(node);
        let gradient = grads.consume::<B>(&ops.node);
        let [parent] = ops.parents;
        if let Some(parent) = parent {
            let value = B::attended_packed_gradient(packed, output, normalizer, gradient, geometry);
            grads.register::<B>(parent.id, value);
        }
    }
}

impl<B: AttentionKernel, C: CheckpointStrategy> AttentionKernel for Autodiff<B, C> {
    fn attended(
        query: FloatTensor<Self>,
        key: FloatTensor<Self>,
        value: FloatTensor<Self>,
        geometry: Geometry,
    ) -> FloatTensor<Self> {
        let inputs = [&query, &key, &value].map(|tensor| tensor.primitive().clone());
        let nodes = [query.node(), key.node(), value.node()];
        let [q, k, v] = inputs;
        match Attention.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(mut prep) => {
                let (output, normalizer) = B::attended_with_normalizer(q, k, v, geometry);
                let nodes = [&query, &key, &value].map(|tensor| prep.checkpoint(tensor));
                prep.finish((nodes, output.clone(), normalizer, geometry), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::attended(q, k, v, geometry)),
        }
    }

    fn attended_places(packed: FloatTensor<Self>, geometry: Geometry) -> FloatTensor<Self> {
        let input = packed.primitive().clone();
        match SelfAttention
            .prepare::<C>([packed.node()])
            .compute_bound()
            .stateful()
        {
            OpsKind::Tracked(mut prep) => {
                let (output, normalizer) = B::attended_packed(input, geometry);
                let node = prep.checkpoint(&packed);
                prep.finish((node, output.clone(), normalizer, geometry), output)
            }
            OpsKind::UnTracked(prep) => prep.finish(B::attended_places(input, geometry)),
        }
    }
}
