//! Gradients in little memory: a block is computed again when its gradients are due.

use burn::module::Module;
use burn::tensor::{Gradients, Int, Tensor};

use super::{Adapter, Cache, Decoder};
use crate::Predictions;
use crate::language_model::of_hidden;

impl Decoder {
    /// Gives `take` the gradients of `loss` of the predictions, part by part from the head to the embeddings.
    ///
    /// A first pass keeps what every block receives, `[batch, places, width]`, and nothing else. Then, from the last block to the
    /// first, a block is computed again with a gradient, and that of `Σ y · g` by what it receives is `g` of the block before: the
    /// chain rule, so the same gradients for about a third more work. Activations of one block are held at a time.
    ///
    /// # Source
    /// Chen et al. 2016 (arXiv 1604.06174), with a segment for each block.
    pub(crate) fn gradients_of_blocks(
        &self,
        adapter: Option<&Adapter>,
        tokens: Tensor<2, Int>,
        labels: &[Option<u32>],
        loss: &mut dyn FnMut(Predictions) -> Option<Tensor<1>>,
        take: &mut dyn FnMut(Gradients),
    ) {
        let [batch, _] = tokens.dims();
        let mut received = self.received(adapter, tokens.clone());
        let Some(last) = received.pop() else { return };
        let last = leaf(last);
        let Some(loss) = loss(of_hidden(self, adapter, self.end(last.clone()), labels)) else {
            return;
        };
        let mut found = loss.backward();
        let mut gradient = last.grad_remove(&mut found);
        take(found);
        for (index, block) in self.layers().iter().enumerate().rev() {
            let (Some(x), Some(after)) = (received.pop(), gradient.take()) else {
                return;
            };
            let x = leaf(x);
            let mut cache = Cache::new();
            if let Some(adapter) = adapter {
                self.begin_with_prefix(adapter, batch, &mut cache);
            }
            let layer = adapter.and_then(|adapter| adapter.layer(index));
            let y = block.forward(x.clone(), &mut self.pass(&mut cache, &x), layer);
            let mut found = (y * Tensor::from_inner(after)).sum().backward();
            gradient = x.grad_remove(&mut found);
            take(found);
        }
        let first = self.begin(tokens, adapter, &mut Cache::new());
        if let (Some(gradient), true) = (gradient, first.is_tracked()) {
            take((first * Tensor::from_inner(gradient)).sum().backward());
        }
    }

    /// What every block receives, and what the last one gives, without gradients.
    fn received(&self, adapter: Option<&Adapter>, tokens: Tensor<2, Int>) -> Vec<Tensor<3>> {
        let (decoder, adapter) = (self.valid(), adapter.map(Module::valid));
        let mut cache = Cache::new();
        let first = decoder.begin(tokens.without_autodiff(), adapter.as_ref(), &mut cache);
        let mut pass = decoder.pass(&mut cache, &first);
        let mut received = vec![first.clone()];
        let mut x = first;
        for (index, block) in decoder.layers().iter().enumerate() {
            let layer = adapter.as_ref().and_then(|adapter| adapter.layer(index));
            x = block.forward(x, &mut pass, layer);
            received.push(x.clone());
        }
        received
    }
}

/// The same values, with a gradient of their own.
fn leaf(x: Tensor<3>) -> Tensor<3> {
    Tensor::from_inner(x).require_grad()
}
