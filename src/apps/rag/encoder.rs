//! The encoder of a store: from texts to vectors.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::{ModelFolder, SentenceEncoder};
use crossburn_models::HashedNgrams;
use serde::{Deserialize, Serialize};

/// The encoder that needs no file, and its name on the command line.
pub(crate) const HASHED_NGRAMS: &str = "hashed-ngrams";

/// Which encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum EncoderSettings {
    /// Hashed n-grams through a random projection.
    HashedNgrams { dimension: usize, seed: u64 },
    /// A folder with an encoder such as all-MiniLM-L6-v2.
    Sentences {
        /// Where it was when the store was made.
        folder: PathBuf,
        /// The checksum of its weights.
        checksum: String,
    },
}

impl EncoderSettings {
    /// A text that tells this encoder from all others, wherever its folder is.
    pub(crate) fn identity(&self) -> String {
        match self {
            Self::HashedNgrams { dimension, seed } => {
                format!("{HASHED_NGRAMS} of {dimension} numbers with seed {seed}")
            }
            Self::Sentences { folder, checksum } => {
                let name = folder.file_name().unwrap_or(folder.as_os_str());
                format!("{} with weights {checksum}", name.to_string_lossy())
            }
        }
    }

    /// Whether both give the same vectors.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Sentences { checksum: a, .. }, Self::Sentences { checksum: b, .. }) => a == b,
            _ => self == other,
        }
    }
}

/// An encoder that is ready.
pub(crate) struct TextEncoder {
    settings: EncoderSettings,
    encoder: SentenceEncoder,
}

impl TextEncoder {
    /// The encoder that needs no file.
    pub(crate) fn hashed_ngrams() -> Self {
        Self::of_ngrams(HashedNgrams::default())
    }

    fn of_ngrams(ngrams: HashedNgrams) -> Self {
        Self {
            settings: EncoderSettings::HashedNgrams {
                dimension: ngrams.dimension(),
                seed: ngrams.seed(),
            },
            encoder: ngrams.into(),
        }
    }

    /// The encoder in `folder`, on the processor.
    ///
    /// # Errors
    /// A folder without an encoder, and whatever is wrong with its files.
    pub(crate) fn sentences(folder: &Path) -> Result<Self> {
        let opened = ModelFolder::open(folder)?;
        // What is no encoder is refused before its weights are read.
        opened.encoder_config()?;
        let path = folder
            .canonicalize()
            .with_context(|| folder.display().to_string())?;
        Ok(Self {
            settings: EncoderSettings::Sentences {
                folder: path,
                checksum: opened.weights_checksum()?,
            },
            encoder: SentenceEncoder::of(opened, &Device::flex())?,
        })
    }

    /// The encoder that `settings` names.
    ///
    /// # Errors
    /// A folder that is no longer there, or holds other weights.
    pub(crate) fn of(settings: &EncoderSettings) -> Result<Self> {
        let folder = match settings {
            EncoderSettings::HashedNgrams { dimension, seed } => {
                return Ok(Self::of_ngrams(HashedNgrams::new(*dimension, *seed)));
            }
            EncoderSettings::Sentences { folder, .. } => folder,
        };
        if !folder.exists() {
            bail!(
                "the encoder of the store is no longer in {}; hint: name its folder with --model",
                folder.display()
            );
        }
        let found = Self::sentences(folder)?;
        match found.settings.is_same(settings) {
            true => Ok(found),
            false => bail!(
                "{} holds other weights than when the store was made; hint: name the folder of {} with --model",
                folder.display(),
                settings.identity()
            ),
        }
    }

    /// Which encoder it is.
    pub(crate) fn settings(&self) -> &EncoderSettings {
        &self.settings
    }

    /// Numbers of a vector.
    pub(crate) fn dimension(&self) -> usize {
        self.encoder.dimension()
    }

    /// One vector of length 1 for each text; all zeros for a text in which the encoder finds no word. A text that is longer than the encoder takes is
    /// cut.
    ///
    /// # Errors
    /// Vectors that are not finite.
    pub(crate) fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        Ok(self.encoder.embed(texts)?)
    }
}
