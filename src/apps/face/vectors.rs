//! The vectors of image files, and the threshold that decides about two of them.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_checkpoints::load_checkpoint;
use crossburn_hardware::programmed;
use crossburn_models::{Family, Recognizer, WithNetwork};
use crossburn_training::data::{Framing, Landmarks, Normalization, Samples, read_images};
use crossburn_training::{TaskConfig, Verification, VerificationConfig, kept_threshold};

use crate::apps::stored_network::StoredNetwork;

/// The least cosine.
const LEAST: f64 = -1.0;

/// Which part of an image file is the face.
#[derive(Clone, Debug)]
pub(crate) enum Cut {
    /// All of it: it has the size that the network takes.
    Whole,
    /// The largest part in its middle that has the shape of what the network takes.
    Centred,
    /// What the landmarks in a table say.
    Aligned(PathBuf),
}

impl Cut {
    /// How faces of `size`, height and width, are cut out; nothing where images are whole.
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
    /// The network of a checkpoint.
    ///
    /// # Errors
    /// A network that was trained for something else.
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

    /// From which score on two images count as of one person, and where that number is from.
    ///
    /// # Errors
    /// A checkpoint without a threshold, or with a file that holds none.
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

    /// The vectors of the faces on these images, each of length 1.
    ///
    /// # Errors
    /// Images that cannot be read or that the network does not take, and an image without landmarks where they place the face.
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

/// Images that become vectors.
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
