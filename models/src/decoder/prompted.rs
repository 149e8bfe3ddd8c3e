//! Texts that stand after virtual tokens, with a prompt of its own for each.

use burn::tensor::Tensor;

use super::{Cache, Decoder};
use crate::Predictions;
use crate::language_model::{of_hidden, rows_of};

impl Decoder {
    /// What [`CausalLanguageModel::predict`](crate::CausalLanguageModel::predict) gives where row `i` of the tokens stands after the
    /// virtual tokens `prompts[i]`: many prompts are tuned, or compared, in one pass. The first token of a row may have a label, too.
    ///
    /// # Shapes
    /// `prompts`: `[rows, virtual tokens, width]`; `tokens` and `labels`: `rows · places`.
    ///
    /// # Panics
    /// For prompts of another number of rows or another width, a token outside the vocabulary, or more places than the network has.
    pub fn predict_after(
        &self,
        prompts: Tensor<3>,
        tokens: &[u32],
        places: usize,
        labels: &[Option<u32>],
    ) -> Predictions {
        let [_, virtual_tokens, _] = prompts.dims();
        let tokens = rows_of(self, tokens, places);
        let mut cache = Cache::new();
        let first = self.begin_after(Some(prompts), tokens, &mut cache);
        let last = self.through(first, None, &mut cache, |_| {});
        of_hidden(self, virtual_tokens, self.end(last), labels)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::decoder::{AdaptedDecoder, Adapter, AdapterConfig, AdapterKind, DecoderSizes};
    use crate::{CausalLanguageModel, initialize};

    /// Each row against a pass of its own with the adapter that has learned its prompt.
    #[test]
    fn every_row_follows_its_own_prompt() {
        let device = Device::flex();
        let sizes = r#"{"vocabulary": 11, "width": 16, "heads": 2, "layers": 2, "context": 16}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        let decoder = initialize(sizes.init(&device).unwrap(), 4);
        let config = AdapterConfig {
            kind: AdapterKind::Prompt { tokens: 3 },
        };
        // Fifty times as large as new ones, so that they matter.
        let prompts = [5, 6].map(|seed| {
            let adapter = config.init(decoder.config(), &device).unwrap();
            initialize(adapter, seed).prompt().unwrap() * 50.0
        });
        let texts = [[1, 4, 9, 2], [1, 4, 9, 2]];
        let labels = [Some(1), None, None, Some(2)];
        let rows = prompts.clone().map(|prompt| prompt.unsqueeze::<3>());
        let rows = Tensor::cat(rows.to_vec(), 0);
        let both = decoder.predict_after(rows, &texts.concat(), 4, &[labels, labels].concat());
        assert_eq!(both.targets, [1, 2, 1, 2]);
        let mut alone = Vec::new();
        for (prompt, text) in prompts.into_iter().zip(&texts) {
            let adapter = Adapter::of_prompt(prompt);
            let network = AdaptedDecoder::new(decoder.clone(), adapter);
            alone.push(network.predict(text, 4, &labels).logits);
        }
        let difference = both.logits - Tensor::cat(alone.clone(), 0);
        let most: f32 = difference.abs().max().into_scalar();
        assert!(most < 1e-5, "{most}");
        let apart: f32 = (alone.remove(1) - alone.remove(0))
            .abs()
            .max()
            .into_scalar();
        assert!(apart > 1e-2, "the prompts say the same: {apart}");
    }
}
