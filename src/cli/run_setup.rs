//! The set-up of every verb that makes a run folder: its last arguments, the folder, the device, Ctrl-C and progress bars.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use anyhow::{Result, bail};
use burn::tensor::Device;
use clap::Args;
use crossburn_training::data::DataSource;
use indicatif::{MultiProgress, ProgressDrawTarget};
use serde_json::Value;

use super::device::DeviceChoice;
use super::process::{ProcessArguments, is_quiet};
use super::progress::bar;
use super::run_lock::RunLock;
use super::{interrupt, note, print};
use crate::apps::workplace::{JobObserver, Stage, Workplace};

/// The arguments that all these verbs have.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options")]
pub(super) struct RunArguments {
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N
    #[arg(long, value_name = "DEVICE", default_value_t = DeviceChoice::Cpu)]
    device: DeviceChoice,
    /// Print the resolved settings and stop
    #[arg(long)]
    pub(super) print_config: bool,
    /// Print the results document on stdout instead of the table
    #[arg(long)]
    pub(super) json: bool,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

impl RunArguments {
    /// Prints `config` where that is all that was asked for, and says whether it was.
    pub(super) fn prints(&self, config: &Value) -> Result<bool> {
        if self.print_config {
            print(&serde_json::to_string_pretty(config)?)?;
        }
        Ok(self.print_config)
    }

    /// The backend that computes, without the number of a GPU.
    pub(super) fn backend(&self) -> &'static str {
        self.device.backend()
    }

    /// Opens the device alone, for a verb that takes its folder later.
    ///
    /// # Errors
    /// A device that is not there.
    pub(super) fn open_device(&self) -> Result<Device> {
        self.device.open()
    }

    /// Opens the device, takes the folder `out` for `verb` and listens for Ctrl-C.
    ///
    /// # Errors
    /// A device that is not there, and a folder that the verb may not write into: see [`RunLock::take`].
    pub(super) fn set_up(&self, out: PathBuf, verb: &str) -> Result<RunPlace> {
        let device = self.device.open()?;
        let lock = RunLock::take(&out, verb)?;
        Ok(RunPlace {
            out,
            _lock: lock,
            device,
            side_by_side: self.device.side_by_side(),
            lanes: self.device.lanes(),
            stop: interrupt::flag()?,
            bars: bars(),
        })
    }
}

/// Progress on stderr; nothing where `--quiet` was given.
pub(super) fn bars() -> MultiProgress {
    match is_quiet() {
        true => MultiProgress::with_draw_target(ProgressDrawTarget::hidden()),
        false => MultiProgress::new(),
    }
}

/// The place of a run.
pub(super) struct RunPlace {
    /// Its folder, which exists.
    pub(super) out: PathBuf,
    /// No other process writes into it.
    _lock: RunLock,
    /// The device, without autodiff.
    pub(super) device: Device,
    /// Chips of a population that compute side by side there.
    pub(super) side_by_side: usize,
    /// Trainings that run at a time there.
    pub(super) lanes: usize,
    /// Set by Ctrl-C.
    pub(super) stop: Arc<AtomicBool>,
    /// Progress on stderr.
    pub(super) bars: MultiProgress,
}

impl RunPlace {
    /// The same for a job, which goes on from what is kept where `resume`.
    pub(super) fn workplace(&self, resume: bool) -> Workplace<'_> {
        Workplace {
            out: &self.out,
            device: &self.device,
            side_by_side: self.side_by_side,
            resume,
            stop: &self.stop,
            observer: &self.bars,
        }
    }

    /// Says where the report is.
    pub(super) fn note_report(&self) {
        note_report(&self.out);
    }
}

impl JobObserver for MultiProgress {
    fn stage(&self, name: &str, total: u64, unit: &str) -> Box<dyn Stage> {
        Box::new(bar(self, name, total, unit))
    }

    fn note(&self, line: &str) {
        note(line);
    }
}

/// Says where the report in `out` is.
pub(super) fn note_report(out: &Path) {
    note(&format!("report: {}", out.join("report.html").display()));
}

/// Says which files data were read from, since a folder may hold others that look alike; nothing for the procedural set.
pub(super) fn note_files(files: &[PathBuf]) {
    let Some(folder) = files.first().and_then(|file| file.parent()) else {
        return;
    };
    // A file of which both parts are read is named once.
    let mut names: Vec<Cow<'_, str>> = Vec::new();
    for name in files.iter().filter_map(|file| file.file_name()) {
        let name = name.to_string_lossy();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let names = names.join(", ");
    match folder.as_os_str().is_empty() {
        true => note(&format!("data: {names}")),
        false => note(&format!("data: {names} in {}", folder.display())),
    }
}

/// Says how the samples of `source` were prepared, those of `seed` where they are drawn, and what of its files was left out.
pub(super) fn note_preparation(source: &DataSource, seed: u64) {
    if let Some(steps) = source.steps(seed) {
        note(&format!("{source}: {steps}"));
    }
    if let Some(left_out) = source.left_out() {
        note(&format!("{source}: {left_out}"));
    }
}

/// The folder that was asked for, or `runs/name`.
pub(super) fn run_folder(asked: Option<&Path>, name: &str) -> PathBuf {
    asked.map_or_else(|| Path::new("runs").join(name), Path::to_path_buf)
}

/// Refuses to resume a run in `out` where `found` says that nothing of it is there: a mistyped folder would start afresh.
///
/// # Errors
/// The folder, where nothing was found.
pub(super) fn expect_kept(out: &Path, found: bool) -> Result<()> {
    if !found {
        bail!(
            "nothing to resume in {}: check --out, or leave out --resume to start afresh",
            out.display()
        );
    }
    Ok(())
}

/// Whether `folder` holds a JSON file whose name starts with one of `names`.
pub(super) fn holds_kept(folder: &Path, names: &[&str]) -> bool {
    let Ok(entries) = fs_err::read_dir(folder) else {
        return false;
    };
    entries.flatten().any(|entry| {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        name.ends_with(".json") && names.iter().any(|start| name.starts_with(start))
    })
}

/// `what` and the last part of `path`, such as `evaluate-digits`: the name of a run on a checkpoint.
pub(super) fn name_after(what: &str, path: &Path) -> String {
    // `.` and `..` have a name as well, only not a written one.
    let whole = match path.file_name() {
        Some(_) => path.to_path_buf(),
        None => path.canonicalize().unwrap_or_default(),
    };
    let last = whole.file_name().unwrap_or_default();
    format!("{what}-{}", last.to_string_lossy())
}
