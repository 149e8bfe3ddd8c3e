//! `crossburn map`

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use crossburn_training::data::DataSource;
use serde_json::json;

use super::device::DeviceChoice;
use super::digital::DigitalArgument;
use super::normalize_argument::NormalizeArgument;
use super::open_stored::open_stored;
use super::process::ProcessArguments;
use super::run_lock::RunLock;
use super::run_setup::{name_after, note_report, run_folder};
use super::{Outcome, command_line, finish};
use crate::apps::hardware::{NamedHardware, open_hardware};
use crate::apps::mapping::MappingJob;

/// Map a trained network to the arrays of an accelerator, and estimate its cost
///
/// A few items pass through the network to count how often one inference uses each layer. The table shows how many arrays each layer
/// takes, and the energy and time of one inference. It also shows the part of the converters, which every published estimator puts at
/// another figure.
///
/// Example: crossburn map runs/digits --accelerator papers
#[derive(Debug, Args)]
pub(super) struct Map {
    /// A trained network: a run folder, a checkpoint, or a classifier as an ONNX file
    checkpoint: PathBuf,
    /// An accelerator by name, or a TOML file with a section [cost]
    #[arg(
        long,
        value_name = "NAME|FILE",
        visible_alias = "hardware",
        default_value = "isaac",
        help_heading = "Hardware"
    )]
    accelerator: String,
    #[command(flatten)]
    digital: DigitalArgument,
    /// Items: digits, mnist:DIR, csv:FILE and so on (docs/recipes.md) [default: those of the training]
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    #[command(flatten)]
    normalize: NormalizeArgument,
    /// Number of training items to pass through the network
    #[arg(
        long,
        alias = "images",
        value_name = "N",
        default_value_t = 16,
        help_heading = "Data"
    )]
    items: usize,
    /// Folder of the run [default: runs/map-NAME]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Print the results document on stdout instead of the table
    #[arg(long, help_heading = "Options")]
    json: bool,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

impl Map {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.items == 0 {
            bail!("--items 0 shows nothing: use a number above 0");
        }
        let NamedHardware { name, hardware } = open_hardware(&self.accelerator)?;
        let network = open_stored(&self.checkpoint)?
            .normalized(self.normalize.asked())?
            .with_digital(&self.digital.paths);
        let source = network.source(self.data.as_ref())?;
        let out = run_folder(self.out.as_deref(), &name_after("map", &self.checkpoint));
        let device = DeviceChoice::Cpu.open()?;
        let _lock = RunLock::take(&out, "map")?;
        let job = MappingJob {
            checkpoint: network.checkpoint().map(Path::to_path_buf),
            recipe: &network.recipe,
            items: self.items,
            accelerator: name,
            hardware,
            config: network.with_arrays(json!({
                "architecture": network.manifest.architecture,
                "weights": network.manifest.weights_checksum(),
                "data_seed": network.recipe.seed,
            }))?,
            reproduce: command_line::repeated(&[("data", source.to_string())]),
            source,
            device: &device,
        };
        let mapping = network
            .build(&device, job)
            .map_err(anyhow::Error::from)
            .flatten()
            .with_context(|| {
                format!(
                    "cannot map {} to {}",
                    self.checkpoint.display(),
                    self.accelerator
                )
            })?;
        finish(&out, &mapping, self.json)?;
        note_report(&out);
        Ok(Outcome::Done)
    }
}
