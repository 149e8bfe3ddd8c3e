//! A checkpoint on disk and what belongs to it.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use crossburn_checkpoints::{Manifest, read_manifest};
use crossburn_hardware::Quantization;
use crossburn_models::ModelConfig;
use crossburn_training::Recipe;

/// What a checkpoint says of its network; the weights stay on disk.
#[derive(Debug)]
pub(super) struct StoredNetwork {
    pub(super) folder: PathBuf,
    pub(super) manifest: Manifest,
    pub(super) model: ModelConfig,
    pub(super) recipe: Recipe,
}

impl StoredNetwork {
    /// The checkpoint at `path`, or the one inside the run folder there.
    ///
    /// # Errors
    /// No checkpoint, or one that this version cannot read.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let inside = path.join("checkpoint");
        let folder = if inside.is_dir() {
            inside
        } else {
            path.to_path_buf()
        };
        let manifest = read_manifest(&folder)?;
        let model = serde_json::from_value(manifest.architecture.clone()).with_context(|| {
            format!(
                "{} names a network that this version does not know",
                folder.display()
            )
        })?;
        let recipe = serde_json::from_value(manifest.recipe.clone()).with_context(|| {
            format!(
                "{} carries a recipe that this version cannot read",
                folder.display()
            )
        })?;
        Ok(Self {
            folder,
            manifest,
            model,
            recipe,
        })
    }

    /// How its weights are quantized: those of a chip are not.
    pub(super) fn quantization(&self) -> Option<Quantization> {
        match self.manifest.programmed {
            true => None,
            false => self.model.quantization(),
        }
    }
}
