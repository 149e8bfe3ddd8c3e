//! `crossburn mri score`

use std::path::PathBuf;

use anyhow::Result;
use clap::Args;
use clap::builder::BoolishValueParser;
use serde_json::json;

use crate::apps::mri::{Form, Overrides, SHEET_FILE, ScoreJob, slices_in_words};
use crate::apps::stored_network::StoredNetwork;
use crate::cli::run_setup::RunArguments;
use crate::cli::{Outcome, note, print};

/// Make a map of a volume or of slices that is high where a lesion is likely
///
/// The network has learned to reconstruct healthy slices. The map says, voxel by voxel, how far the input is from its reconstruction. For a
/// volume it is written to map.nii.gz on the grid of the volume; for slices to map.npy, in the shape of the input. map.png shows some of the
/// slices with their maps.
///
/// Slices are prepared with the options of the data source that the network was trained on. For an input of another resolution, --down,
/// --thick and --size replace those options. Skull stripping, registration and bias correction must be done before, with other programs.
///
/// Example: crossburn mri score flair.nii.gz --checkpoint runs/mri --out scored
///
/// Example: crossburn mri score slice.png --checkpoint runs/mri --out scored
#[derive(Debug, Args)]
pub(super) struct Score {
    /// A NIfTI-1 volume (.nii or .nii.gz), an image of one slice (.png, .jpg or .pgm), or an array (.npy) of one slice or of several slices of a
    /// patient
    input: PathBuf,
    /// A network that finds lesions: a checkpoint, or the run folder that holds it
    #[arg(long, value_name = "RUN", help_heading = "Network")]
    checkpoint: PathBuf,
    /// The mask of the brain, on the same grid or of the same shape [default: found by a threshold]
    #[arg(long, value_name = "FILE", help_heading = "Slices")]
    brain: Option<PathBuf>,
    /// Number of the volume in a NIfTI file with several, from 0
    #[arg(long, value_name = "N", help_heading = "Slices")]
    number: Option<usize>,
    /// Average this many pixels in each direction into one [default: as in training]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=16), help_heading = "Slices")]
    down: Option<u16>,
    /// Average this many slices into one [default: as in training]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=64), help_heading = "Slices")]
    thick: Option<u16>,
    /// Height and width of a slice after averaging [default: as in training]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Slices")]
    size: Option<u16>,
    /// Whether the training reversed intensities: yes or no. Needed only if the checkpoint does not say and its training data can no
    /// longer be read
    #[arg(long, value_name = "yes|no", value_parser = BoolishValueParser::new(), help_heading = "Slices")]
    reverse: Option<bool>,
    /// Folder for the map and map.png
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: PathBuf,
    #[command(flatten)]
    pub(super) run: RunArguments,
}

impl Score {
    pub(super) fn run(self) -> Result<Outcome> {
        let overrides = Overrides {
            down: self.down.map(usize::from),
            thick: self.thick.map(usize::from),
            size: self.size.map(usize::from),
            reverse: self.reverse,
        };
        let settings = json!({
            "input": self.input,
            "checkpoint": self.checkpoint,
            "brain": self.brain,
            "number": self.number,
            "down": overrides.down,
            "thick": overrides.thick,
            "size": overrides.size,
            "reverse": overrides.reverse,
        });
        if self.run.prints(&settings)? {
            return Ok(Outcome::Done);
        }
        let stored = StoredNetwork::open(&self.checkpoint)?;
        let place = self.run.set_up(self.out, "mri score")?;
        let job = ScoreJob {
            stored: &stored,
            input: self.input,
            brain: self.brain,
            number: self.number,
            overrides,
        };
        let Some(scores) = job.run(&place.workplace(false))? else {
            return Ok(Outcome::Interrupted);
        };
        note(&format!("prepared: {}", scores.steps));
        let (score, voxel) = scores.largest;
        let files = [scores.form.map_file(), SHEET_FILE].map(|file| place.out.join(file));
        if self.run.json {
            let document = json!({
                "map": files[0],
                "sheet": files[1],
                "steps": scores.steps,
                "slices": scores.slices,
                "largest_score": score,
                "largest_at": voxel,
                "threshold": scores.found.map(|(threshold, _)| threshold),
                "voxels_found": scores.found.map(|(_, voxels)| voxels),
            });
            print(&document.to_string())?;
            return Ok(Outcome::Done);
        }
        let [x, y, z] = voxel;
        let (place, pieces) = match scores.form {
            Form::Volume => (format!("voxel {x}, {y}, {z}"), "voxels"),
            Form::Slices => (format!("column {x}, row {y} of slice {z}"), "pixels"),
        };
        let slices = slices_in_words(scores.slices);
        print(&format!(
            "{slices}; the largest score is {score:.4}, at {place}"
        ))?;
        if let Some((threshold, found)) = scores.found {
            print(&format!(
                "{found} {pieces} of these slices are found above the threshold of {threshold:.4}"
            ))?;
        }
        let [map, sheet] = files.map(|file| file.display().to_string());
        print(&format!("map: {map}\nsheet: {sheet}"))?;
        Ok(Outcome::Done)
    }
}
