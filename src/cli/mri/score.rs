//! `crossburn mri score`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use crossburn_training::data::mri::Chain;
use serde_json::json;

use crate::apps::mri::{MAP_FILE, SHEET_FILE, ScoreJob};
use crate::apps::stored_network::StoredNetwork;
use crate::cli::run_setup::RunArguments;
use crate::cli::{Outcome, note, print};

/// Make a map of one volume: how far every voxel is from what a network that has learned healthy slices gives back
///
/// The map goes to map.nii.gz on the grid of the volume, voxel by voxel, and some of its slices to map.png. Slices are prepared as in training: give the
/// options that the data source of the training had. Skull stripping, registration and bias correction are for other programs.
///
/// Example: crossburn mri score flair.nii.gz --checkpoint runs/mri --down 2 --size 96 --out scored
#[derive(Debug, Args)]
pub(super) struct Score {
    /// A NIfTI-1 volume (.nii or .nii.gz)
    volume: PathBuf,
    /// A network that finds lesions: a checkpoint, or the run folder that holds it
    #[arg(long, value_name = "RUN", help_heading = "Network")]
    checkpoint: PathBuf,
    /// The mask of the brain, on the same grid; brain is found by a threshold where absent
    #[arg(long, value_name = "FILE", help_heading = "Slices")]
    brain: Option<PathBuf>,
    /// Which volume of a file with several, from 0
    #[arg(long, value_name = "N", help_heading = "Slices")]
    number: Option<usize>,
    /// Pixels of a row, and rows, that become one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=16), help_heading = "Slices")]
    down: u16,
    /// Slices that become one
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Slices")]
    thick: u16,
    /// Height and width of a slice after that; as they are where absent
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Slices")]
    size: Option<u16>,
    /// Reverse intensities inside the brain, as in training
    #[arg(long, help_heading = "Slices")]
    reverse: bool,
    /// Folder that map and sheet go to
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: PathBuf,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

impl Score {
    pub(super) fn run(self) -> Result<Outcome> {
        let chain = Chain {
            down: usize::from(self.down),
            thick: usize::from(self.thick),
            size: self.size.map(usize::from),
            ..Chain::default()
        };
        let settings = json!({
            "volume": self.volume,
            "checkpoint": self.checkpoint,
            "brain": self.brain,
            "number": self.number,
            "down": chain.down,
            "thick": chain.thick,
            "size": chain.size,
            "reverse": self.reverse,
        });
        if self.run.prints(&settings)? {
            return Ok(Outcome::Done);
        }
        let stored = StoredNetwork::open(&self.checkpoint)?;
        let place = self.run.set_up(self.out, "mri score")?;
        let job = ScoreJob {
            stored: &stored,
            volume: self.volume,
            brain: self.brain,
            number: self.number,
            chain,
            reverse: self.reverse,
        };
        let Some(scores) = job.run(&place.workplace(false))? else {
            return Ok(Outcome::Interrupted);
        };
        note(&format!("prepared: {}", scores.steps));
        let (score, voxel) = scores.largest;
        let files = [MAP_FILE, SHEET_FILE].map(|file| place.out.join(file));
        if self.run.json {
            let document = json!({
                "map": files[0],
                "sheet": files[1],
                "slices": scores.slices,
                "largest_score": score,
                "largest_at": voxel,
                "threshold": scores.above.map(|(threshold, _)| threshold),
                "voxels_above": scores.above.map(|(_, voxels)| voxels),
            });
            print(&document.to_string())?;
            return Ok(Outcome::Done);
        }
        let [x, y, z] = voxel;
        print(&format!(
            "{} slices; the largest score is {score:.4}, at voxel {x}, {y}, {z}",
            scores.slices
        ))?;
        if let Some((threshold, voxels)) = scores.above {
            print(&format!(
                "{voxels} voxels are above the threshold of {threshold}"
            ))?;
        }
        let [map, sheet] = files.map(|file| file.display().to_string());
        print(&format!("map: {map}\nsheet: {sheet}"))?;
        Ok(Outcome::Done)
    }
}
