//! The encoder of a store, which converts texts to vectors.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::{ModelFolder, SentenceEncoder};
use crossburn_models::HashedNgrams;
use serde::{Deserialize, Serialize};

/// The name of the encoder that needs no file, on the command line.
pub(crate) const HASHED_NGRAMS: &str = "hashed-ngrams";

/// The choice of the encoder.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub(crate) enum EncoderSettings {
    /// Hashed n-grams, followed by a random projection.
    HashedNgrams { dimension: usize, seed: u64 },
    /// An encoder in a folder, such as all-MiniLM-L6-v2.
    Sentences {
        /// Its folder when the store was made.
        folder: PathBuf,
        /// The checksum of its weights.
        checksum: String,
    },
}

impl EncoderSettings {
    /// A text that identifies the encoder. It does not depend on the folder.
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

/// An encoder in memory.
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

    /// Opens the encoder in `folder`, on the CPU.
    ///
    /// # Errors
    /// If the folder contains no encoder, and errors of its files.
    pub(crate) fn sentences(folder: &Path) -> Result<Self> {
        let opened = ModelFolder::open(folder)?;
        // A folder without an encoder is refused before weights are read.
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

    /// Opens the encoder that `settings` describes.
    ///
    /// # Errors
    /// If the folder does not exist any more or has other weights.
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

    /// The choice that made this encoder.
    pub(crate) fn settings(&self) -> &EncoderSettings {
        &self.settings
    }

    /// Length of a vector.
    pub(crate) fn dimension(&self) -> usize {
        self.encoder.dimension()
    }

    /// One vector for each text. It has length 1, or is all zeros if the encoder finds no word in the text. A text that is too long for the encoder is cut.
    ///
    /// # Errors
    /// If a vector is not finite.
    pub(crate) fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        Ok(self.encoder.embed(texts)?)
    }
}
