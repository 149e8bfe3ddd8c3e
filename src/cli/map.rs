//! `crossburn map`

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use crossburn_training::data::DataSource;
use serde_json::json;

use super::device::DeviceChoice;
use super::run_lock::RunLock;
use super::run_setup::{name_after, note_report, run_folder};
use super::stored_network::StoredNetwork;
use super::{Outcome, command_line, print_mapping};
use crate::apps::hardware::{NamedHardware, open_hardware};
use crate::apps::mapping::Job;
use crate::report::write_mapping;

/// Map a checkpoint to the arrays of an accelerator, and say what it costs
///
/// A few images pass through the network to show how often an image uses every layer. The table then says how many arrays
/// each layer takes and what an image costs in energy and time, and how much of that are the converters, by the figures of
/// every published estimator.
///
/// Example: crossburn map runs/digits --accelerator papers
#[derive(Debug, Args)]
pub(super) struct Map {
    /// A checkpoint, or the run folder that holds it
    checkpoint: PathBuf,
    /// An accelerator by name, or a TOML file with a section [cost]
    #[arg(
        long,
        value_name = "NAME|FILE",
        visible_alias = "hardware",
        default_value = "isaac"
    )]
    accelerator: String,
    /// Weights that stay digital, by path, comma-separated
    #[arg(long, value_name = "PATH,...", value_delimiter = ',')]
    digital: Vec<String>,
    /// Images: digits, mnist:DIR or cifar10:DIR; those of the training where absent
    #[arg(long, value_name = "SOURCE")]
    data: Option<DataSource>,
    /// Training images that pass through the network
    #[arg(long, value_name = "N", default_value_t = 16)]
    images: usize,
    /// Folder of the run; runs/map-NAME where absent
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print the results document on stdout instead of the table
    #[arg(long)]
    json: bool,
}

impl Map {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.images == 0 {
            bail!("--images 0 shows nothing: use a number above 0");
        }
        let NamedHardware { name, hardware } = open_hardware(&self.accelerator)?;
        let hardware = hardware.with_digital(&self.digital)?;
        let network = StoredNetwork::open(&self.checkpoint)?;
        let source = self
            .data
            .clone()
            .unwrap_or_else(|| network.recipe.data.source.clone());
        let out = run_folder(self.out.as_deref(), &name_after("map", &self.checkpoint));
        let device = DeviceChoice::Cpu.open()?;
        let _lock = RunLock::take(&out, "map")?;
        let job = Job {
            folder: network.folder.clone(),
            recipe: &network.recipe,
            images: self.images,
            accelerator: name,
            hardware,
            config: json!({
                "architecture": network.manifest.architecture,
                "weights": network.manifest.weights_checksum(),
                "data_seed": network.recipe.seed,
            }),
            reproduce: command_line::repeated(&[("data", source.to_string())]),
            source,
            device: &device,
        };
        let mapping = network
            .model
            .build(network.recipe.seed, &device, job)
            .with_context(|| {
                format!(
                    "cannot map {} to {}",
                    self.checkpoint.display(),
                    self.accelerator
                )
            })?;
        write_mapping(&out, &mapping)?;
        print_mapping(&mapping, self.json)?;
        note_report(&out);
        Ok(Outcome::Done)
    }
}
