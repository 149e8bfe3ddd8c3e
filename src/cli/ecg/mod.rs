//! `crossburn ecg`: signals of the heart.

mod compile;
mod detect;
mod input;
mod simulate;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Outcome;
use super::process::ProcessArguments;

/// Find ventricular arrhythmia in signals of the heart
///
/// `detect` decides about a signal. `compile` converts a trained detector to integers, and `simulate` runs it on a simulated accelerator.
/// Detectors are trained with `crossburn train` and the task arrhythmia-detection (docs/recipes.md).
///
/// Example: crossburn ecg detect runs/iegm-procedural --input signal.txt
#[derive(Debug, Args)]
pub(super) struct Ecg {
    #[command(subcommand)]
    verb: EcgVerb,
}

/// What to do with signals of the heart.
#[derive(Debug, Subcommand)]
enum EcgVerb {
    Detect(detect::Detect),
    Compile(compile::Compile),
    Simulate(simulate::Simulate),
}

impl Ecg {
    /// The arguments about the process.
    pub(super) fn process(&self) -> &ProcessArguments {
        match &self.verb {
            EcgVerb::Detect(verb) => &verb.process,
            EcgVerb::Compile(verb) => &verb.process,
            EcgVerb::Simulate(verb) => &verb.process,
        }
    }

    pub(super) fn run(self) -> Result<Outcome> {
        match self.verb {
            EcgVerb::Detect(verb) => verb.run(),
            EcgVerb::Compile(verb) => verb.run(),
            EcgVerb::Simulate(verb) => verb.run(),
        }
    }
}
