//! Causal language models: networks that say which token comes next.

use burn::tensor::{Gradients, Int, Tensor, TensorData};

use crate::Network;
use crate::decoder::{Adapter, Cache, Decoder};

/// A network that says which token follows those before it.
pub trait CausalLanguageModel: Network {
    /// Logits of the tokens that have a label, each from the tokens before it in its row.
    ///
    /// `tokens` holds rows of `places` tokens, `labels[i]` what token `i` should be, and `None` where that does not matter.
    /// The first token of a row has none. A place must be computed from those before it alone: what stands after the last
    /// label of a row fills it up.
    ///
    /// # Panics
    /// For a token outside the vocabulary, or more places than the network has.
    fn predict(&self, tokens: &[u32], places: usize, labels: &[Option<u32>]) -> Predictions;

    /// Gradients of `loss` of what [`predict`](Self::predict) gives, with the activations of one block held at a time: every block
    /// is computed a second time, for its gradients. `take` receives them part by part; a parameter may be in several parts, whose
    /// sum is its gradient. Where `loss` gives nothing, there are none.
    ///
    /// A network that has no blocks is one part: the default.
    ///
    /// # Panics
    /// As [`predict`](Self::predict).
    fn gradients_by_blocks(
        &self,
        tokens: &[u32],
        places: usize,
        labels: &[Option<u32>],
        loss: &mut dyn FnMut(Predictions) -> Option<Tensor<1>>,
        take: &mut dyn FnMut(Gradients),
    ) {
        if let Some(loss) = loss(self.predict(tokens, places, labels)) {
            take(loss.backward());
        }
    }

    /// What learns beside weights that rest, where something does.
    fn adapter(&self) -> Option<&Adapter> {
        None
    }
}

/// What a language model says of some tokens.
#[derive(Clone, Debug)]
pub struct Predictions {
    /// `[labelled tokens, vocabulary]`.
    pub logits: Tensor<2>,
    /// The tokens that they are about.
    pub targets: Vec<u32>,
}

impl Predictions {
    /// The tokens on the device of the logits: `[labelled tokens]`.
    pub fn target_tensor(&self) -> Tensor<1, Int> {
        let targets: Vec<i64> = self.targets.iter().map(|token| i64::from(*token)).collect();
        let count = targets.len();
        Tensor::from_data(TensorData::new(targets, [count]), &self.logits.device())
    }
}

/// Only places with a label pass through the head. With an adapter that learned a prompt, the first token of a row may have a
/// label, too.
pub(crate) fn predict(
    decoder: &Decoder,
    adapter: Option<&Adapter>,
    tokens: Tensor<2, Int>,
    labels: &[Option<u32>],
) -> Predictions {
    let hidden = decoder.hidden(tokens, adapter, &mut Cache::new());
    of_hidden(decoder, adapter, hidden, labels)
}

/// What a decoder makes of the last vectors `hidden`, `[batch, prompt + places, width]`.
pub(crate) fn of_hidden(
    decoder: &Decoder,
    adapter: Option<&Adapter>,
    hidden: Tensor<3>,
    labels: &[Option<u32>],
) -> Predictions {
    let [batch, all, width] = hidden.dims();
    let prompt = adapter.map_or(0, Adapter::prompt_tokens);
    let places = all - prompt;
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (index, label) in labels.iter().enumerate() {
        let (row, place) = (index / places, index % places);
        if let (Some(label), Some(before)) = (label, (prompt + place).checked_sub(1)) {
            rows.push((row * all + before) as i64);
            targets.push(*label);
        }
    }
    let count = rows.len();
    let rows = Tensor::from_data(TensorData::new(rows, [count]), &hidden.device());
    let hidden = hidden.reshape([batch * all, width]).select(0, rows);
    Predictions {
        logits: decoder.logits(hidden),
        targets,
    }
}

/// Rows of `places` tokens on the device of `decoder`.
pub(crate) fn rows_of(decoder: &Decoder, tokens: &[u32], places: usize) -> Tensor<2, Int> {
    let values: Vec<i64> = tokens.iter().map(|token| i64::from(*token)).collect();
    let shape = [values.len() / places.max(1), places];
    Tensor::from_data(TensorData::new(values, shape), &decoder.device())
}

impl CausalLanguageModel for Decoder {
    fn predict(&self, tokens: &[u32], places: usize, labels: &[Option<u32>]) -> Predictions {
        predict(self, None, rows_of(self, tokens, places), labels)
    }

    fn gradients_by_blocks(
        &self,
        tokens: &[u32],
        places: usize,
        labels: &[Option<u32>],
        loss: &mut dyn FnMut(Predictions) -> Option<Tensor<1>>,
        take: &mut dyn FnMut(Gradients),
    ) {
        let tokens = rows_of(self, tokens, places);
        self.gradients_of_blocks(None, tokens, labels, loss, take);
    }
}
