//! Causal language models: networks that say which token comes next.

use std::ops::ControlFlow;

use burn::tensor::{Gradients, Int, Tensor, TensorData};

use crate::Network;
use crate::decoder::{Adapter, Cache, Decoder, DecoderError, Generation};

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

    /// The adapter beside frozen weights, if there is one.
    fn adapter(&self) -> Option<&Adapter> {
        None
    }

    /// The tokens that follow each of `prompts`. By default each of them is predicted from all before it anew.
    ///
    /// # Errors
    /// [`DecoderError::Empty`] for a prompt without a token, [`DecoderError::NotFinite`], and settings of sampling that choose nothing.
    ///
    /// # Panics
    /// By default as [`predict`](Self::predict): for a token outside the vocabulary, or a text that becomes longer than the network has places.
    fn continued(
        &self,
        prompts: &[Vec<u32>],
        generation: &Generation,
    ) -> Result<Vec<Vec<u32>>, DecoderError> {
        let texts = prompts.iter().zip(0..);
        texts
            .map(|(prompt, text)| {
                if prompt.is_empty() {
                    return Err(DecoderError::Empty);
                }
                let logits = |written: &[u32]| {
                    // The place of the next token, whatever stands there.
                    let tokens = [prompt.as_slice(), written, &[0]].concat();
                    let places = tokens.len();
                    let mut labels = vec![None; places];
                    labels[places - 1] = Some(0);
                    self.predict(&tokens, places, &labels).logits
                };
                let each = |_| ControlFlow::Continue(());
                generation.after(text, prompt.len(), logits, each)
            })
            .collect()
    }
}

/// The output of a language model for some tokens.
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
    let prompt = adapter.map_or(0, Adapter::prompt_tokens);
    of_hidden(decoder, prompt, hidden, labels)
}

/// The predictions from the last vectors `hidden`, `[batch, prompt + places, width]`.
pub(crate) fn of_hidden(
    decoder: &Decoder,
    prompt: usize,
    hidden: Tensor<3>,
    labels: &[Option<u32>],
) -> Predictions {
    let [batch, all, width] = hidden.dims();
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

    fn continued(
        &self,
        prompts: &[Vec<u32>],
        generation: &Generation,
    ) -> Result<Vec<Vec<u32>>, DecoderError> {
        self.generate_batch(prompts, None, generation)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::module::Module;
    use burn::tensor::Device;

    use super::*;
    use crate::decoder::{DecoderSizes, Sampling, Stop};
    use crate::initialize;

    /// A decoder that reads every text anew.
    #[derive(Module, Debug)]
    struct Anew {
        decoder: Decoder,
    }

    impl Network for Anew {}

    impl CausalLanguageModel for Anew {
        fn predict(&self, tokens: &[u32], places: usize, labels: &[Option<u32>]) -> Predictions {
            self.decoder.predict(tokens, places, labels)
        }
    }

    #[test]
    fn texts_are_continued_as_predictions_say() {
        let sizes = r#"{"vocabulary": 13, "width": 16, "heads": 2, "layers": 2, "context": 16}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        let decoder = initialize(sizes.init(&Device::flex()).unwrap(), 4);
        let anew = Anew {
            decoder: decoder.clone(),
        };
        let prompts = [vec![1, 5, 2], vec![7], vec![3, 3, 9, 11, 0, 4]];
        let generation = |stop| Generation {
            max_new_tokens: 8,
            sampling: Sampling::greedy(),
            stop,
        };
        let free = generation(Stop::default());
        let all = decoder.continued(&prompts, &free).unwrap();
        assert!(all.iter().all(|text| text.len() == 8), "{all:?}");
        assert_eq!(anew.continued(&prompts, &free).unwrap(), all);
        let stop = generation(Stop {
            tokens: vec![all[0][3]],
            sequences: vec![all[2][1..3].to_vec()],
        });
        let stopped = decoder.continued(&prompts, &stop).unwrap();
        assert!(
            stopped[0].len() <= 3 && stopped[2].len() <= 3,
            "{stopped:?}"
        );
        assert_eq!(anew.continued(&prompts, &stop).unwrap(), stopped);
        assert_eq!(
            anew.continued(&[Vec::new()], &free),
            Err(DecoderError::Empty)
        );
    }
}
