//! Vectors of sentences by an encoder of the BERT family.

use anyhow::{Context, Result, bail};
use crossburn_models::encoder::Encoder;

/// Sentences that pass through the encoder at a time.
pub(crate) const BATCH: usize = 32;

/// One vector of length 1 for each text of `tokens`.
///
/// # Errors
/// A text that the encoder does not take, and a vector that is not finite.
pub(crate) fn embedded(encoder: &Encoder, tokens: &[Vec<u32>]) -> Result<Vec<Vec<f32>>> {
    let vectors = encoder.embed(tokens)?;
    let [_, width] = vectors.dims();
    let values = vectors.into_data().try_into_vec_as::<f32>();
    let values = values.context("cannot read the vectors back from the device")?;
    if !values.iter().all(|value| value.is_finite()) {
        bail!("the vectors are not finite: download the weights of the model again");
    }
    Ok(values.chunks(width).map(<[f32]>::to_vec).collect())
}

/// The tokens of a text, of which the ones before the last are cut until `positions` are left: the last token ends a text.
pub(crate) fn cut(mut tokens: Vec<u32>, positions: usize) -> Vec<u32> {
    if tokens.len() > positions {
        let last = tokens.last().copied();
        tokens.truncate(positions.saturating_sub(1));
        tokens.extend(last);
    }
    tokens
}
