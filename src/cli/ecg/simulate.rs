//! `crossburn ecg simulate`

use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::Args;
use crossburn_training::data::DataSource;

use super::compile::shown;
use crate::apps::ecg::{CompileJob, IntegerDetector, Simulation, open_accelerator, simulate};
use crate::apps::stored_network::StoredNetwork;
use crate::cli::device::DeviceChoice;
use crate::cli::process::ProcessArguments;
use crate::cli::{Outcome, print};
use crate::report::draw::Table;
use crate::report::draw::quantity::{Shown, count, share};

/// Run a detector in integers on a simulated sparse accelerator, and say what an inference takes
///
/// The table counts cycles, waiting and multiplications layer by layer, with their energy. The average power is that of one inference
/// each five seconds: leakage, which always flows, is nearly all of it, so it says nothing about the efficiency at work. The test segments
/// then run on the accelerator, and their results must be those of the integer network to the bit.
///
/// Example: crossburn ecg simulate runs/iegm-sparse
///
/// Example: crossburn ecg simulate detector.json --accelerator my.toml --json
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
    /// Segments: iegm, iegm:DIR and so on (docs/recipes.md); those of the training where absent
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    /// Test segments to simulate [default: as many as in training]
    #[arg(long, value_name = "N", help_heading = "Data")]
    items: Option<usize>,
    /// Print a JSON object instead of text
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
        let device = DeviceChoice::Cpu.open()?;
        let detector = match self.detector.is_file() {
            true => IntegerDetector::read(&self.detector)?,
            false => {
                let stored = StoredNetwork::open(&self.detector)?;
                CompileJob::new(&stored, None, &device)?.run()?.0
            }
        };
        let source = detector.source(self.data.as_ref());
        let test = detector.test(&source, self.items)?;
        let found = simulate(&detector, &accelerator, &test, &device)?;
        match self.json {
            true => print(&serde_json::to_string_pretty(&found)?)?,
            false => print(&text(&found))?,
        }
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

fn text(found: &Simulation) -> String {
    let headers = [
        "Layer",
        "Cycles",
        "Waiting",
        "Utilisation",
        "Products",
        "If none were skipped",
        "Energy",
    ];
    let rows = found.rows().map(|(counts, energy)| {
        [
            counts.name.clone(),
            count(counts.total_cycles()),
            count(counts.stall_cycles),
            share(counts.utilisation()),
            count(counts.executed_macs),
            count(counts.dense_macs),
            energy.switching().shown(),
        ]
    });
    let cost = &found.cost;
    let [executed, dense] = found.multiplications();
    let stalls = found.layers.iter().map(|counts| counts.stall_cycles).sum();
    let total = [
        "all".to_string(),
        count(found.cycles),
        count(stalls),
        share(found.utilisation),
        count(executed),
        count(dense),
        cost.switching_energy.shown(),
    ];
    format!(
        "{}\n\
         accelerator    {}, {}\n\
         cycles         {:.3} of the {} that multiply by the zeros as well\n\
         inference      {} and {}, with its own leakage {}\n\
         leakage        {}\n\
         average power  {} for an inference each {}, {} of the time at work\n\
         segments       {} of {} have the results of the integer network, to the bit\n\
         {:<14} {}",
        Table::new(headers)
            .rows(rows)
            .total(total)
            .numbers(6)
            .text(),
        found.accelerator,
        cost.area.shown(),
        found.cycles_ratio,
        count(found.dense_cycles),
        cost.latency.shown(),
        cost.switching_energy.shown(),
        cost.active_energy().shown(),
        cost.leakage_power.shown(),
        cost.average_power.shown(),
        cost.period,
        format_args!("{:.5} %", 100.0 * cost.duty),
        found.equal,
        found.segments,
        found.metric,
        shown(found.value),
    )
}
