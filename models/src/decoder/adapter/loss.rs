//! What a language model and its adapter learn from.

use burn::tensor::{Int, Tensor, TensorData};
use crossburn_kernels::cross_entropy;

use super::Adapter;
use crate::decoder::{Cache, Decoder, DecoderError};

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
    let prompt = adapter.map_or(0, Adapter::prompt_tokens);
    let (mut rows, mut targets) = (Vec::new(), Vec::new());
    for (index, label) in labels.iter().enumerate() {
        let (row, place) = (index / places, index % places);
        let Some(label) = label else { continue };
        if *label as usize >= vocabulary {
            return refuse(format!("{label} is outside the vocabulary of {vocabulary}"));
        }
        // The first token of a text is predicted only after a learned prompt.
        if let Some(before) = (prompt + place).checked_sub(1) {
            rows.push((row * (prompt + places) + before) as i64);
            targets.push(i64::from(*label));
        }
    }
    if rows.is_empty() {
        return refuse("none names a token to learn; give texts of two tokens or more".to_string());
    }
    let device = decoder.device();
    let count = rows.len();
    let hidden = decoder.hidden(tokens, adapter, &mut Cache::new());
    let [batch, places, width] = hidden.dims();
    let rows = Tensor::from_data(TensorData::new(rows, [count]), &device);
    let hidden = hidden.reshape([batch * places, width]).select(0, rows);
    let targets = Tensor::from_data(TensorData::new(targets, [count]), &device);
    Ok(cross_entropy(decoder.logits(hidden), targets))
}
