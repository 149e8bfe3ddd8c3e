//! `crossburn mri`: volumes and slices of brains.

mod score;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Outcome;
use super::process::ProcessArguments;

/// Find lesions in volumes and slices of brains
///
/// Networks are trained with `crossburn train` and the task lesion-detection (docs/mri.md). This is research software, not a medical
/// device.
///
/// Example: crossburn mri score flair.nii.gz --checkpoint runs/mri --out scored
#[derive(Debug, Args)]
pub(super) struct Mri {
    #[command(subcommand)]
    verb: MriVerb,
}

/// What to do with volumes and slices of brains.
#[derive(Debug, Subcommand)]
enum MriVerb {
    Score(score::Score),
}

impl Mri {
    /// The arguments about the process.
    pub(super) fn process(&self) -> &ProcessArguments {
        match &self.verb {
            MriVerb::Score(verb) => &verb.run.process,
        }
    }

    pub(super) fn run(self) -> Result<Outcome> {
        match self.verb {
            MriVerb::Score(verb) => verb.run(),
        }
    }
}
