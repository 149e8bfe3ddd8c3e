//! Sentence encoders, which rest.

use std::path::Path;

use burn::tensor::Device;
use crossburn_checkpoints::{ModelFolder, Tokenizer};
use crossburn_models::HashedNgrams;
use crossburn_models::encoder::Encoder;

use crate::TrainingError;
use crate::weight_gradients::values;

/// Numbers of a vector of hashed n-grams: as many as those of all-MiniLM-L6-v2.
const NGRAMS: usize = 384;
/// Texts that pass through an encoder at a time.
const BATCH: usize = 32;

/// What makes a vector of a text.
pub(super) enum SentenceEncoder {
    /// Without a file.
    Ngrams(HashedNgrams),
    /// A network with its tokenizer.
    Network {
        encoder: Box<Encoder>,
        tokenizer: Box<Tokenizer>,
    },
}

impl SentenceEncoder {
    /// The encoder of `folder`, on `device`; hashed n-grams without a folder.
    ///
    /// # Errors
    /// A folder without an encoder.
    pub(super) fn open(folder: Option<&Path>, device: &Device) -> Result<Self, TrainingError> {
        let Some(folder) = folder else {
            return Ok(Self::Ngrams(HashedNgrams::new(NGRAMS, 0)));
        };
        let folder = ModelFolder::open(folder)?;
        let config = folder.encoder_config()?;
        Ok(Self::Network {
            tokenizer: Box::new(folder.tokenizer(config.vocabulary)?),
            encoder: Box::new(folder.encoder(device)?.module),
        })
    }

    /// Numbers of a vector.
    pub(super) fn dimension(&self) -> usize {
        match self {
            Self::Ngrams(ngrams) => ngrams.dimension(),
            Self::Network { encoder, .. } => encoder.config().width,
        }
    }

    /// The vectors of `texts`, each of length 1, row after row: `[texts, dimension]`. What an encoder has no places for is left out of a
    /// text.
    ///
    /// # Errors
    /// A text that gives no vector; `place` says where it is from.
    pub(super) fn embed(
        &self,
        texts: &[String],
        place: impl Fn(usize) -> String,
    ) -> Result<Vec<f32>, TrainingError> {
        let width = self.dimension();
        let vectors = match self {
            Self::Ngrams(ngrams) => texts.iter().flat_map(|text| ngrams.embed(text)).collect(),
            Self::Network { encoder, tokenizer } => {
                let positions = encoder.config().max_positions;
                let mut vectors = Vec::with_capacity(texts.len() * width);
                for (index, texts) in texts.chunks(BATCH).enumerate() {
                    let tokens = texts
                        .iter()
                        .map(|text| cut(tokenizer.encode(text, true)?, positions));
                    let tokens = tokens.collect::<Result<Vec<_>, TrainingError>>()?;
                    let found = encoder.embed(&tokens).map_err(|error| {
                        TrainingError::data(
                            place(index * BATCH),
                            error.to_string(),
                            "take the tokenizer and the weights of one model",
                        )
                    })?;
                    vectors.extend(values(found)?);
                }
                vectors
            }
        };
        let nothing =
            |row: &[f32]| row.iter().all(|x| *x == 0.0) || row.iter().any(|x| !x.is_finite());
        match vectors.chunks(width).position(nothing) {
            Some(text) => Err(TrainingError::data(
                place(text),
                "the text gives no vector",
                "write words in it, or leave it out",
            )),
            None => Ok(vectors),
        }
    }
}

/// The first of `tokens`, and the last, which ends a text: at most `positions`.
fn cut(mut tokens: Vec<u32>, positions: usize) -> Result<Vec<u32>, TrainingError> {
    if tokens.len() > positions {
        let last = tokens.last().copied();
        tokens.truncate(positions.saturating_sub(1));
        tokens.extend(last);
    }
    Ok(tokens)
}
