//! `crossburn ecg simulate`

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use crossburn_training::data::DataSource;

use crate::apps::ecg::{CompileJob, IntegerDetector, SimulationJob, open_accelerator};
use crate::apps::stored_network::StoredNetwork;
use crate::cli::device::DeviceChoice;
use crate::cli::process::ProcessArguments;
use crate::cli::run_lock::RunLock;
use crate::cli::run_setup::{name_after, note_report, run_folder};
use crate::cli::{Outcome, command_line, finish};

/// The verb that its run folders belong to.
const VERB: &str = "ecg simulate";

/// Run a detector in integers on a simulated sparse accelerator
///
/// The tables show, layer by layer, what is stored, and count cycles, stalls and multiplications with their energy. The average power is
/// that of one inference every five seconds. Leakage flows all the time and makes up nearly all of it, so the average power says nothing
/// about the efficiency at work.
///
/// The test segments run on the accelerator. Their results must equal those of the integer network to the bit. The report shows how the
/// segments are classified, and a few signals with the decisions and diagnoses below them.
///
/// Example: crossburn ecg simulate runs/iegm-sparse
///
/// Example: crossburn ecg simulate detector.json --accelerator my.toml --out runs/my-chip
#[derive(Debug, Args)]
pub(super) struct Simulate {
    /// A file of `crossburn ecg compile`, or a run folder or checkpoint, which is compiled first
    detector: PathBuf,
    /// A sparse accelerator by name, or a TOML file (docs/accelerator.md)
    #[arg(
        long,
        value_name = "NAME|FILE",
        default_value = "sparse-40nm",
        help_heading = "Hardware"
    )]
    accelerator: String,
    /// Segments: iegm, iegm:DIR and so on (docs/recipes.md) [default: those of the training]
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    /// Test segments to simulate [default: as many as in training]
    #[arg(long, value_name = "N", help_heading = "Data")]
    items: Option<usize>,
    /// Folder of the run [default: runs/simulate-NAME]
    #[arg(long, value_name = "DIR", help_heading = "Options")]
    out: Option<PathBuf>,
    /// Print the results document on stdout instead of the table
    #[arg(long, help_heading = "Options")]
    json: bool,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

impl Simulate {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.items == Some(0) {
            bail!("--items 0 simulates nothing: use a number above 0");
        }
        let accelerator = open_accelerator(&self.accelerator)?;
        let out = run_folder(self.out.as_deref(), &name_after("simulate", &self.detector));
        RunLock::require_own(&out, VERB)?;
        let device = DeviceChoice::Cpu.open()?;
        let detector = match self.detector.is_file() {
            true => IntegerDetector::read(&self.detector)?,
            false => {
                let stored = StoredNetwork::open(&self.detector)?;
                CompileJob::new(&stored, None, &device)?.run()?.0
            }
        };
        let source = detector.source(self.data.as_ref());
        let _lock = RunLock::take(&out, VERB)?;
        let job = SimulationJob {
            detector: &detector,
            accelerator: &accelerator,
            items: self.items,
            reproduce: command_line::repeated(&[("data", source.to_string())]),
            source,
            device: &device,
        };
        let found = job.run()?;
        finish(&out, &found, self.json)?;
        note_report(&out);
        if found.equal < found.segments {
            bail!(
                "the accelerator gives other results than the network for {} of {} segments: this is an error of the simulator",
                found.segments - found.equal,
                found.segments
            );
        }
        Ok(Outcome::Done)
    }
}
