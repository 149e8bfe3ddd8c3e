//! What is stored and asked, and how a head learns it.

use std::path::PathBuf;

use crossburn_noise::{Granularity, Metric, Variation};
use serde::{Deserialize, Serialize};

use crate::TrainingError;

/// How texts become vectors, and how a head on them learns. In recipes the table `[task]` with `kind = "retrieval"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RetrievalConfig {
    /// Folder of the sentence encoder, which rests; hashed n-grams, which need no file, where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub encoder: Option<PathBuf>,
    /// What is asked, and what is stored.
    pub queries: Queries,
    /// Where triplets come from.
    pub triplets: Triplets,
    /// How far two vectors lie apart.
    pub distance: Distance,
    /// By how much the negative should lie farther from the anchor than the positive.
    pub margin: f64,
    /// The least distance of the positive, as it is stored without deviation; 0 for no bound.
    pub second_margin: f64,
    /// Whether the loss has its first term, which contrasts positives with negatives. Without it, the second margin alone is learned.
    pub contrast: bool,
    /// The share of the numbers of an encoder's vector that are dropped for a positive.
    pub dropout: f64,
    /// The share that are masked for a negative where `triplets = "data"`.
    pub masking: f64,
    /// Width of a stored number, sign included.
    pub bits: u8,
    /// The deviation of stored numbers, relative to the largest of all.
    pub noise: Variation,
    /// The share of the epochs in which that deviation rises from 0.
    pub ramp: f64,
    /// A query counts as answered if its document is among the first `k` that are found.
    pub k: usize,
}

impl Default for RetrievalConfig {
    fn default() -> Self {
        Self {
            encoder: None,
            queries: Queries::default(),
            triplets: Triplets::default(),
            distance: Distance::default(),
            margin: 1.0,
            second_margin: 0.5,
            contrast: true,
            dropout: 0.1,
            masking: 0.9,
            bits: 8,
            noise: Variation::default(),
            ramp: 1.0 / 3.0,
            k: 1,
        }
    }
}

/// What is asked, and what is stored, of a passage: its prompt is the title, its completion the body.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Queries {
    /// Title and body are stored, and asked with 30 to 50 % of the words left out.
    #[default]
    Corrupted,
    /// The title asks for the body.
    Title,
}

/// Where triplets of anchor, positive and negative come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Triplets {
    /// The paper's CDE. The title is the label. Where queries are corrupted documents, the positive is the document under dropout and the
    /// negative has the title of another document; where titles are asked, the title is the anchor, the positive its own body, and
    /// the negative another one.
    #[default]
    Labels,
    /// The paper's CDI. The positive is the document under dropout, the negative the document of which almost everything is masked.
    Data,
}

/// How far two vectors lie apart.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Distance {
    /// The length of the difference.
    #[default]
    Euclidean,
    /// 1 less the cosine of the angle.
    Cosine,
}

impl RetrievalConfig {
    /// What heads are judged by.
    pub fn metric(&self) -> Metric {
        recall_at(self.k)
    }

    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] with the first bad key, and a bad variation.
    pub fn check(&self) -> Result<(), TrainingError> {
        for (key, value) in [
            ("task.margin", self.margin),
            ("task.second_margin", self.second_margin),
        ] {
            if !(value.is_finite() && value >= 0.0) {
                return Err(TrainingError::setting(key, value, "a number from 0 on"));
            }
        }
        for (key, value) in [
            ("task.dropout", self.dropout),
            ("task.masking", self.masking),
        ] {
            if !(0.0..1.0).contains(&value) {
                return Err(TrainingError::setting(
                    key,
                    value,
                    "a share from 0 to below 1",
                ));
            }
        }
        if !(0.0..=1.0).contains(&self.ramp) {
            return Err(TrainingError::setting(
                "task.ramp",
                self.ramp,
                "a share from 0 to 1",
            ));
        }
        if !(2..=8).contains(&self.bits) {
            return Err(TrainingError::setting("task.bits", self.bits, "2 to 8"));
        }
        if self.k == 0 {
            return Err(TrainingError::setting("task.k", 0, "a number above 0"));
        }
        if !self.contrast && self.second_margin == 0.0 {
            return Err(TrainingError::setting(
                "task.contrast",
                false,
                "it with a second_margin above 0: otherwise nothing is learned",
            ));
        }
        if self.noise.scale != Granularity::PerTensor {
            return Err(TrainingError::setting(
                "task.noise.scale",
                "per-channel",
                "per-tensor: stored vectors share one scale",
            ));
        }
        self.noise.check()?;
        Ok(())
    }

    /// The deviation of stored numbers after this share of the epochs.
    pub(super) fn noise_at(&self, progress: f64) -> Variation {
        match progress < self.ramp {
            true => self
                .noise
                .with_sigma(self.noise.sigma() * progress / self.ramp),
            false => self.noise,
        }
    }
}

/// The share of queries whose document is among the first `k`.
pub(super) fn recall_at(k: usize) -> Metric {
    Metric::share(format!("recall@{k}"))
}
