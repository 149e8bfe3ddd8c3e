//! Computes the vectors of image files, and finds the threshold for comparing two of them.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::load_checkpoint;
use crossburn_hardware::programmed;
use crossburn_models::{Family, Recognizer, WithNetwork};
use crossburn_training::data::{Framing, Landmarks, Normalization, Samples, read_images};
use crossburn_training::{TaskConfig, Verification, VerificationConfig, kept_threshold};

use crate::apps::stored_network::StoredNetwork;

/// The smallest possible cosine.
const LEAST: f64 = -1.0;

/// The part of an image file that shows the face.
#[derive(Clone, Debug)]
pub(crate) enum Cut {
    /// The whole image. It must have the size that the network takes.
    Whole,
    /// The largest part in the middle that has the shape of the network's inputs.
    Centred,
    /// The part that the landmarks in this table define.
    Aligned(PathBuf),
}

impl Cut {
    /// How faces of `size` (height, width) are cut out; nothing if images are taken whole.
    fn framing(&self, size: [usize; 2]) -> Result<Option<Framing>> {
        Ok(match self {
            Self::Whole => None,
            Self::Centred => Some(Framing::centred(size)),
            Self::Aligned(table) => Some(Framing::aligned(size, Landmarks::read(table)?)),
        })
    }
}

/// A network that was trained to compare faces.
pub(crate) struct FaceVerifier<'a> {
    stored: &'a StoredNetwork,
    config: &'a VerificationConfig,
    device: &'a Device,
}

impl<'a> FaceVerifier<'a> {
    /// Opens the network of a checkpoint.
    ///
    /// # Errors
    /// If the network was trained for another task.
    pub(crate) fn new(stored: &'a StoredNetwork, device: &'a Device) -> Result<Self> {
        match &stored.recipe.task {
            TaskConfig::Verification(config) => Ok(Self {
                stored,
                config,
                device,
            }),
            task => bail!(
                "{} was trained for {}: train a network that compares faces, such as configs/recipes/faces.toml",
                stored.folder.display(),
                task.name()
            ),
        }
    }

    /// The score from which on two images count as the same person, and where this number comes from.
    ///
    /// # Errors
    /// If the checkpoint has no threshold, or if its file has none.
    pub(crate) fn threshold(&self, asked: Option<f64>) -> Result<(f64, String)> {
        let folder = self.stored.folder.display();
        if let Some(threshold) = asked {
            return Ok((threshold, "the command line".to_string()));
        }
        if let Some(threshold) = self.config.threshold {
            return Ok((threshold, "the recipe".to_string()));
        }
        let kept = match self.stored.checkpoint() {
            Some(checkpoint) => kept_threshold(checkpoint, LEAST)?,
            None => None,
        };
        let source = &self.stored.recipe.data.source;
        match kept {
            Some(threshold) => Ok((
                threshold,
                format!("people of {source} whom its training held back"),
            )),
            None => bail!(
                "{folder} has no threshold: train with data.validation, whose people give it, or use --threshold"
            ),
        }
    }

    /// The vectors of the faces in these images, each of length 1.
    ///
    /// # Errors
    /// If an image cannot be read or does not fit the network, or if it has no landmarks but the cut needs them.
    pub(crate) fn vectors(&self, files: Vec<PathBuf>, cut: &Cut) -> Result<Vec<Vec<f32>>> {
        let stored = self.stored;
        let Some([channels, height, width]) = stored.model.input_shape() else {
            return stored.is_no("recognizer");
        };
        let normalization = match stored.conventions()? {
            Some(conventions) => conventions.normalization,
            None => Normalization::none(channels),
        };
        let framing = cut.framing([height, width])?;
        let images = read_images(files, channels, normalization, framing)?;
        stored.model.check(images.shape).with_context(|| {
            format!(
                "crop faces as in training, and bring images to {width} x {height} pixels, or use --crop or --landmarks"
            )
        })?;
        let embedding = Embedding {
            verifier: self,
            images,
        };
        stored
            .model
            .build(stored.recipe.seed, self.device, embedding)?
    }
}

/// Computes the vectors of images.
struct Embedding<'a> {
    verifier: &'a FaceVerifier<'a>,
    images: Samples,
}

impl WithNetwork for Embedding<'_> {
    type Output = Result<Vec<Vec<f32>>>;

    fn other(self, _: Family) -> Self::Output {
        self.verifier.stored.is_no("recognizer")
    }

    fn recognizer<R: Recognizer>(self, network: R) -> Self::Output {
        let FaceVerifier {
            stored,
            config,
            device,
        } = *self.verifier;
        let Some(checkpoint) = stored.checkpoint() else {
            bail!("{} is no checkpoint", stored.folder.display());
        };
        let network = stored.recipe.quantization.activations(network);
        let network = load_checkpoint(checkpoint, network)?.0;
        stored.recipe.weights::<R>().check(&network)?;
        let network = programmed(&network, stored.weights::<R>()).valid();
        let faces = Verification::of_nobody(self.images, config)?;
        Ok(faces.vectors(&network, device)?.into_rows())
    }
}
