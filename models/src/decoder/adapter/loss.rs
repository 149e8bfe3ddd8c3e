//! The loss of a language model and its adapter.

use burn::tensor::{Int, Tensor};
use crossburn_kernels::cross_entropy;

use super::Adapter;
use crate::decoder::{Decoder, DecoderError};
use crate::language_model::predict;

/// Mean cross-entropy of the tokens that `labels` name, each predicted from those before it.
///
/// `labels[i]` is what token `i` should be, row by row, and `None` where it does not matter: a prompt, or what fills up a
/// shorter text. Only places with a label pass through the head.
///
/// # Shapes
/// `tokens`: `[batch, places]`; `labels`: `batch · places`.
///
/// # Errors
/// [`DecoderError::Labels`] for another number of labels, a label outside the vocabulary, or none that has a token before it.
pub fn next_token_loss(
    decoder: &Decoder,
    adapter: Option<&Adapter>,
    tokens: Tensor<2, Int>,
    labels: &[Option<u32>],
) -> Result<Tensor<1>, DecoderError> {
    let refuse = |cause: String| Err(DecoderError::Labels { cause });
    let [batch, places] = tokens.dims();
    if labels.len() != batch * places {
        let found = labels.len();
        return refuse(format!(
            "{found} do not fit {batch} texts of {places} tokens"
        ));
    }
    let vocabulary = decoder.config().vocabulary;
    let named = labels.iter().flatten();
    if let Some(label) = named.copied().find(|label| *label as usize >= vocabulary) {
        return refuse(format!("{label} is outside the vocabulary of {vocabulary}"));
    }
    // The first token of a text is predicted only after a learned prompt.
    let first = usize::from(adapter.is_none_or(|adapter| adapter.prompt_tokens() == 0));
    let predicted =
        |(index, label): (usize, &Option<u32>)| label.is_some() && index % places >= first;
    if !labels.iter().enumerate().any(predicted) {
        return refuse("none names a token to learn; give texts of two tokens or more".to_string());
    }
    let predictions = predict(decoder, adapter, tokens, labels);
    let targets = predictions.target_tensor();
    Ok(cross_entropy(predictions.logits, targets))
}
