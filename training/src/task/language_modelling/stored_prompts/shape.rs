//! Texts in the shape of a prompt.

use burn::tensor::TensorData;
use burn::tensor::{Int, Tensor};
use crossburn_models::decoder::Decoder;

use crate::TrainingError;
use crate::weight_gradients::values;

/// Embeddings of texts.
#[derive(Clone, Debug, PartialEq)]
pub struct EmbeddedTexts {
    /// Numbers of one token.
    width: usize,
    /// `[tokens, width]` of each text.
    texts: Vec<Vec<f32>>,
}

impl EmbeddedTexts {
    /// The input embeddings of `texts` by `decoder`.
    ///
    /// # Errors
    /// A text without a token or with one that the decoder does not have.
    pub fn new(decoder: &Decoder, texts: &[&[u32]]) -> Result<Self, TrainingError> {
        for (number, text) in texts.iter().enumerate() {
            if let Err(error) = decoder.check_tokens(text, 0) {
                return Err(TrainingError::data(
                    format!("text {number}"),
                    error.to_string(),
                    "leave the text out otherwise",
                ));
            }
        }
        let width = decoder.config().width;
        if texts.is_empty() {
            return Ok(Self {
                width,
                texts: Vec::new(),
            });
        }
        let tokens: Vec<i64> = texts
            .iter()
            .flat_map(|text| *text)
            .map(|t| i64::from(*t))
            .collect();
        let shape = [1, tokens.len()];
        let tokens = TensorData::new(tokens, shape);
        let tokens = Tensor::<2, Int>::from_data(tokens, &decoder.device());
        let all = values(decoder.embed(tokens))?;
        let mut rest = all.as_slice();
        let of_text = |text: &&[u32]| {
            let (own, others) = rest.split_at(text.len() * width);
            rest = others;
            own.to_vec()
        };
        Ok(Self {
            width,
            texts: texts.iter().map(of_text).collect(),
        })
    }

    /// The mean embedding of every text: what representatives are chosen by.
    pub fn means(&self) -> Vec<Vec<f64>> {
        let mean = |text: &Vec<f32>| {
            let row = resampled(text, self.width, 1);
            row.into_iter().map(f64::from).collect()
        };
        self.texts.iter().map(mean).collect()
    }

    /// Every text as `tokens` embeddings, averages of neighbouring ones.
    ///
    /// # Shapes
    /// `[texts, tokens, width]`, row by row.
    pub fn in_shape(&self, tokens: usize) -> Vec<f32> {
        let texts = self.texts.iter();
        texts
            .flat_map(|text| resampled(text, self.width, tokens))
            .collect()
    }
}

/// `[tokens, width]` of any number of embeddings: token `i` is the mean of those from `⌊i n / tokens⌋` to before `⌈(i + 1) n / tokens⌉`.
fn resampled(embeddings: &[f32], width: usize, tokens: usize) -> Vec<f32> {
    let count = embeddings.len() / width.max(1);
    let mut out = Vec::with_capacity(tokens * width);
    for token in 0..tokens {
        let (first, end) = (
            token * count / tokens,
            ((token + 1) * count).div_ceil(tokens),
        );
        for feature in 0..width {
            let own = (first..end).map(|row| embeddings[row * width + feature]);
            out.push(own.sum::<f32>() / (end - first) as f32);
        }
    }
    out
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn neighbours_are_averaged_and_short_texts_repeated() {
        // Three tokens of two numbers.
        let three = [1.0, 10.0, 3.0, 20.0, 8.0, 60.0];
        assert_eq!(resampled(&three, 2, 1), [4.0, 30.0]);
        // Tokens 0 and 1, then 1 and 2.
        assert_eq!(resampled(&three, 2, 2), [2.0, 15.0, 5.5, 40.0]);
        assert_eq!(resampled(&three, 2, 3), three);
        assert_eq!(
            resampled(&three[..4], 2, 4),
            [1.0, 10.0, 1.0, 10.0, 3.0, 20.0, 3.0, 20.0]
        );
    }

    #[test]
    fn texts_keep_their_embeddings() {
        use burn::tensor::Device;
        use crossburn_models::decoder::DecoderSizes;
        use crossburn_models::initialize;

        let device = Device::flex();
        let sizes: DecoderSizes =
            serde_json::from_str(r#"{"vocabulary": 9, "width": 8, "context": 8}"#).unwrap();
        let decoder = initialize(sizes.init(&device).unwrap(), 2);
        let embedded = EmbeddedTexts::new(&decoder, &[&[1, 2, 3], &[7]]).unwrap();
        let alone = values(decoder.embed(decoder.tokens(&[7]))).unwrap();
        assert_eq!(embedded.in_shape(2)[16..], [alone.clone(), alone].concat());
        assert_eq!(embedded.means().len(), 2);
        let message = EmbeddedTexts::new(&decoder, &[&[9]])
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with("text 0: token 9 is outside the vocabulary of 9"),
            "{message}"
        );
        assert!(EmbeddedTexts::new(&decoder, &[&[]]).is_err());
    }
}
