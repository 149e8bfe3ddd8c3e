//! From texts to vectors.

use std::path::Path;

use burn::tensor::Device;
use crossburn_models::HashedNgrams;
use crossburn_models::encoder::Encoder;

use super::ModelFolder;
use crate::{CheckpointError, Tokenizer};

/// Makes vectors of texts that are close if the texts mean the same: a network with its tokenizer, or hashed n-grams.
#[derive(Debug)]
pub struct SentenceEncoder(Kind);

#[derive(Debug)]
enum Kind {
    Ngrams(HashedNgrams),
    Network(Box<Network>),
}

#[derive(Debug)]
struct Network {
    folder: ModelFolder,
    tokenizer: Tokenizer,
    encoder: Encoder,
}

impl From<HashedNgrams> for SentenceEncoder {
    fn from(ngrams: HashedNgrams) -> Self {
        Self(Kind::Ngrams(ngrams))
    }
}

impl SentenceEncoder {
    /// Texts that pass through a network at a time.
    pub const BATCH: usize = 32;

    /// The encoder in `folder`, which computes on `device`; without a folder the usual hashed n-grams, which need neither.
    ///
    /// # Errors
    /// Those of [`ModelFolder::open`] and [`of`](Self::of).
    pub fn open(folder: Option<&Path>, device: &Device) -> Result<Self, CheckpointError> {
        match folder {
            None => Ok(HashedNgrams::default().into()),
            Some(folder) => Self::of(ModelFolder::open(folder)?, device),
        }
    }

    /// The encoder in `folder`, which computes on `device`.
    ///
    /// # Errors
    /// Those of [`ModelFolder::encoder_config`], [`ModelFolder::tokenizer`] and [`ModelFolder::encoder`].
    pub fn of(folder: ModelFolder, device: &Device) -> Result<Self, CheckpointError> {
        let config = folder.encoder_config()?;
        Ok(Self(Kind::Network(Box::new(Network {
            tokenizer: folder.tokenizer(config.vocabulary)?,
            encoder: folder.encoder(device)?.module,
            folder,
        }))))
    }

    /// Numbers of a vector.
    pub fn dimension(&self) -> usize {
        match &self.0 {
            Kind::Ngrams(ngrams) => ngrams.dimension(),
            Kind::Network(network) => network.encoder.config().width,
        }
    }

    /// One vector for each text, of length 1; that of a text in which hashed n-grams find no letter or digit is all zeros. A text of more tokens
    /// than the network has positions is cut.
    ///
    /// # Errors
    /// Those of the tokenizer and of [`ModelFolder::vectors`].
    pub fn embed(&self, texts: &[impl AsRef<str>]) -> Result<Vec<Vec<f32>>, CheckpointError> {
        let texts: Vec<&str> = texts.iter().map(AsRef::as_ref).collect();
        match &self.0 {
            Kind::Ngrams(ngrams) => Ok(texts.iter().map(|text| ngrams.embed(text)).collect()),
            Kind::Network(network) => network.embed(&texts),
        }
    }
}

impl Network {
    fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>, CheckpointError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for texts in texts.chunks(SentenceEncoder::BATCH) {
            let tokens = texts.iter().map(|text| {
                Ok(self
                    .encoder
                    .config()
                    .cut(self.tokenizer.encode(text, true)?))
            });
            let tokens = tokens.collect::<Result<Vec<_>, CheckpointError>>()?;
            vectors.extend(self.folder.vectors(&self.encoder, &tokens)?);
        }
        Ok(vectors)
    }
}
