//! `crossburn ecg compile`

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use clap::Args;
use crossburn_training::data::DataSource;

use crate::apps::ecg::{Compilation, CompileJob};
use crate::apps::stored_network::StoredNetwork;
use crate::cli::device::DeviceChoice;
use crate::cli::predict::require_folder;
use crate::cli::process::ProcessArguments;
use crate::cli::{Outcome, note, print};
use crate::report::draw::Table;
use crate::report::draw::quantity::{count, kib};
use crate::report::stored_form;

/// Convert a trained detector to integers, for `crossburn ecg simulate`
///
/// The detector must be a network `signal-cnn` or `cnn1d` with weights of 8, 4, 2 or 1 bits, activations of at most 8 bits whose steps
/// are powers of two, and no batch norm after an activation. The table says how much memory each layer takes.
///
/// The network in integers is compared with the network in floats in two ways: by their decisions about the test segments, and by their
/// results on the same codes of a segment. These results may differ by at most a computed bound. If they differ by more, nothing is
/// written.
///
/// Example: crossburn ecg compile runs/iegm-sparse --out detector.json
#[derive(Debug, Args)]
pub(super) struct Compile {
    /// A checkpoint, or the run folder that holds it
    run: PathBuf,
    /// Segments: iegm, iegm:DIR and so on (docs/recipes.md) [default: those of the training]
    #[arg(long, value_name = "SOURCE", help_heading = "Data")]
    data: Option<DataSource>,
    /// Test segments to compare on [default: as many as in training]
    #[arg(long, value_name = "N", help_heading = "Data")]
    items: Option<usize>,
    /// File for the network in integers, as JSON
    #[arg(long, value_name = "FILE", help_heading = "Options")]
    out: PathBuf,
    /// Print a JSON object instead of text
    #[arg(long, help_heading = "Options")]
    json: bool,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

impl Compile {
    pub(super) fn run(self) -> Result<Outcome> {
        if self.items == Some(0) {
            bail!("--items 0 compares nothing: use a number above 0");
        }
        require_folder("--out", &self.out)?;
        let stored = StoredNetwork::open(&self.run)?;
        let device = DeviceChoice::Cpu.open()?;
        let job = CompileJob::new(&stored, self.data.as_ref(), &device)?;
        let (detector, compared) = job.compared_on(self.items).run()?;
        let compared = compared.context("nothing was compared")?;
        detector.write(&self.out)?;
        match self.json {
            true => print(&serde_json::to_string_pretty(&compared)?)?,
            false => print(&text(&compared))?,
        }
        note(&format!(
            "{} is written: `crossburn ecg simulate` runs it on an accelerator",
            self.out.display()
        ));
        Ok(Outcome::Done)
    }
}

/// A metric of segments that may have none.
fn shown(value: Option<f64>) -> String {
    value.map_or_else(|| "none".to_string(), |value| format!("{value:.4}"))
}

fn text(compared: &Compilation) -> String {
    let headers = [
        "Layer",
        "Outputs x inputs x taps",
        "Weight bits",
        "Input bits",
        "Kept",
        "Form",
        "Weights KiB",
        "Index KiB",
        "Biases KiB",
    ];
    let rows = compared.layers.iter().map(|layer| {
        let [outputs, inputs, taps] = layer.shape;
        [
            layer.name.clone(),
            format!("{outputs} x {inputs} x {taps}"),
            layer.weight_bits.to_string(),
            layer.input_bits.to_string(),
            format!(
                "{} of {}",
                count(layer.kept as u64),
                count(layer.weights as u64)
            ),
            stored_form(layer.sparsity, layer.stored.form),
            kib(layer.stored.weights),
            kib(layer.stored.index),
            kib(layer.stored.parameters),
        ]
    });
    let [weights, index, parameters] = compared.stored();
    format!(
        "{}\n\
         size        {} KiB: {} weights, {} index, {} biases and factors of rescaling\n\
         mean width  {:.2} bits\n\
         results     differ by {:.4} at most on these segments, {:.4} is the bound\n\
         decisions   {} of {} segments as in floats\n\
         {:<11} {} in floats, {} in integers",
        Table::new(headers).rows(rows).text(),
        kib(weights + index + parameters),
        kib(weights),
        kib(index),
        kib(parameters),
        compared.mean_bits,
        compared.difference,
        compared.bound,
        compared.alike,
        compared.segments,
        compared.metric,
        shown(compared.floats),
        shown(compared.integers),
    )
}
