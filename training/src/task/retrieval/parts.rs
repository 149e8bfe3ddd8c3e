//! The documents of a recipe.

use burn::tensor::Device;
use crossburn_checkpoints::SentenceEncoder;
use crossburn_models::{Embedder, EmbeddingHeadConfig};

use super::{Retrieval, RetrievalConfig};
use crate::TrainingError;
use crate::data::{Amount, Corpus, DataSource};
use crate::task::{Part, Role, TaskParts};

/// The documents of a recipe, with the encoder that makes vectors of them.
pub(crate) struct Retrievals {
    config: RetrievalConfig,
    encoder: SentenceEncoder,
}

impl Retrievals {
    /// For a head of this configuration; the encoder computes on `device`.
    ///
    /// # Errors
    /// A folder without an encoder, and one whose vectors the head does not take.
    pub(crate) fn new(
        config: &RetrievalConfig,
        head: &EmbeddingHeadConfig,
        device: &Device,
    ) -> Result<Self, TrainingError> {
        let device = device.clone().without_autodiff();
        let encoder = SentenceEncoder::open(config.encoder.as_deref(), &device)?;
        if encoder.dimension() != head.inputs {
            return Err(TrainingError::setting(
                "model.inputs",
                head.inputs,
                "the numbers of a vector of the encoder: 384 for hashed n-grams",
            ));
        }
        Ok(Self {
            config: config.clone(),
            encoder,
        })
    }

    /// The first documents of a part of `source`.
    fn documents(
        &self,
        source: &DataSource,
        seed: u64,
        (part, role): (Part, Role),
        amount: Amount,
    ) -> Result<Retrieval, TrainingError> {
        let (corpus, what) = match part {
            Part::Training => (source.training_corpus(seed)?, "training"),
            Part::Test => (source.test_corpus(seed)?, "test"),
        };
        let name = source.to_string();
        let Corpus::Passages(mut passages) = corpus else {
            return Err(TrainingError::Content {
                source_name: name,
                has: "a running text",
                needs: "passages are",
            });
        };
        let available = passages.len();
        passages.truncate(amount.of(what, &name, available, available)?);
        Retrieval::new(&passages, &self.config, &self.encoder, (seed, role))
    }
}

impl<E: Embedder> TaskParts<E> for Retrievals {
    type Task = Retrieval;

    fn load(
        &self,
        source: &DataSource,
        seed: u64,
        part_and_role: (Part, Role),
        amount: Amount,
    ) -> Result<Retrieval, TrainingError> {
        self.documents(source, seed, part_and_role, amount)
    }
}
