//! The command line: parse, run, print. Data goes to stdout, everything else to stderr.

mod bench;
mod chat;
mod command_line;
mod compress;
mod compress_widths;
mod demo;
mod device;
mod devices;
mod digital;
mod doctor;
mod ecg;
mod embed;
mod evaluate;
mod export;
mod face;
mod generate;
mod held_weights;
#[cfg(feature = "hub")]
mod hub;
mod import;
mod interrupt;
mod map;
mod model_choice;
mod mri;
mod nearest;
mod noise;
mod normalize_argument;
mod open_stored;
mod predict;
mod process;
mod progress;
mod rag;
mod recipe_file;
mod recommend;
mod report;
mod reproduce;
mod run_lock;
mod run_setup;
mod search;
mod shard;
mod size;
mod speech;
mod stored_prompts;
mod study;
mod terminal;
mod train;
mod tune;
mod tuning_cost;
mod worst_case;

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{ArgAction, FromArgMatches, Parser, Subcommand};

use self::process::{ProcessArguments, is_quiet};
use crate::report::registry::AnyDocument;

/// Train neural networks for analog in-memory chips, and judge the chips
///
/// In these chips, weights are conductances of memory cells. No cell is written exactly, so every chip computes with slightly different
/// weights. Crossburn trains networks under this variation, and reports how good a population of chips will be.
///
/// To begin, run the example: it trains three networks, judges 100 chips of each, and takes 15 seconds on two cores.
///
/// Example: crossburn demo --quick
#[derive(Debug, Parser)]
#[command(
    name = "crossburn",
    version,
    propagate_version = true,
    max_term_width = 100,
    // The flags of clap would come first, under their own heading.
    disable_help_flag = true,
    disable_version_flag = true
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
    /// Print help: -h in short, --help in full
    #[arg(
        short,
        long,
        global = true,
        action = ArgAction::Help,
        help_heading = "Options",
        display_order = LAST
    )]
    help: Option<bool>,
    /// Print the version
    #[arg(
        short = 'V',
        long,
        global = true,
        action = ArgAction::Version,
        help_heading = "Options",
        display_order = LAST
    )]
    version: Option<bool>,
}

/// Place in the help after the options of the verbs, which are numbered from 0.
const LAST: usize = 1000;

/// The verbs. Each one is described at its arguments.
#[derive(Debug, Subcommand)]
enum Verb {
    Demo(demo::Demo),
    Train(train::Train),
    Tune(tune::Tune),
    Evaluate(Box<evaluate::Evaluate>),
    WorstCase(Box<worst_case::FindWorstCase>),
    Map(map::Map),
    Import(import::Import),
    Compress(Box<compress::Compress>),
    Predict(predict::Predict),
    Generate(Box<generate::Generate>),
    Chat(Box<chat::Chat>),
    Embed(embed::Embed),
    Bench(bench::Bench),
    Export(export::Export),
    Ecg(ecg::Ecg),
    Mri(mri::Mri),
    Face(face::Face),
    Rag(rag::Rag),
    Search(Box<search::Search>),
    Report(report::Report),
    Reproduce(reproduce::Reproduce),
    Study(study::Study),
    Recommend(recommend::Recommend),
    Devices(devices::Devices),
    Doctor(doctor::Doctor),
}

impl Verb {
    /// The arguments about the process, of verbs that have them.
    fn process(&self) -> Option<&ProcessArguments> {
        match self {
            Self::Demo(verb) => Some(&verb.run.process),
            Self::Train(verb) => Some(&verb.run.process),
            Self::Tune(verb) => Some(&verb.run.process),
            Self::Evaluate(verb) => Some(&verb.run.process),
            Self::WorstCase(verb) => Some(&verb.run.process),
            Self::Map(verb) => Some(&verb.process),
            Self::Import(verb) => Some(&verb.run.process),
            Self::Compress(verb) => Some(&verb.run.process),
            Self::Predict(verb) => Some(&verb.process),
            Self::Generate(verb) => Some(&verb.process),
            Self::Chat(verb) => Some(&verb.process),
            Self::Embed(verb) => Some(&verb.process),
            Self::Bench(verb) => Some(&verb.process),
            Self::Ecg(verb) => Some(verb.process()),
            Self::Mri(verb) => Some(verb.process()),
            Self::Face(verb) => Some(verb.process()),
            Self::Rag(verb) => Some(verb.process()),
            Self::Search(verb) => Some(&verb.process),
            Self::Reproduce(verb) => Some(&verb.run.process),
            Self::Study(verb) => Some(verb.process()),
            Self::Recommend(_)
            | Self::Export(_)
            | Self::Report(_)
            | Self::Devices(_)
            | Self::Doctor(_) => None,
        }
    }

    fn run(self) -> Result<Outcome> {
        match self {
            Self::Demo(verb) => verb.run(),
            Self::Train(verb) => verb.run(),
            Self::Tune(verb) => verb.run(),
            Self::Evaluate(verb) => verb.run(),
            Self::WorstCase(verb) => verb.run(),
            Self::Map(verb) => verb.run(),
            Self::Import(verb) => verb.run(),
            Self::Compress(verb) => verb.run(),
            Self::Predict(verb) => verb.run(),
            Self::Generate(verb) => verb.run(),
            Self::Chat(verb) => verb.run(),
            Self::Embed(verb) => verb.run(),
            Self::Bench(verb) => verb.run(),
            Self::Export(verb) => verb.run(),
            Self::Ecg(verb) => verb.run(),
            Self::Mri(verb) => verb.run(),
            Self::Face(verb) => verb.run(),
            Self::Rag(verb) => verb.run(),
            Self::Search(verb) => verb.run(),
            Self::Report(verb) => verb.run(),
            Self::Reproduce(verb) => verb.run(),
            Self::Study(verb) => verb.run(),
            Self::Recommend(verb) => verb.run(),
            Self::Devices(verb) => verb.run(),
            Self::Doctor(verb) => verb.run(),
        }
    }
}

/// Exit status of a run that was interrupted and has kept what was finished.
const INTERRUPTED: u8 = 130;

/// How a verb ended.
enum Outcome {
    Done,
    Interrupted,
}

/// The parser of the command line, with every verb and option. It runs nothing.
pub fn parser() -> clap::Command {
    command_line::parser()
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let typed = parser().get_matches_from(command_line::typed());
    let arguments = Arguments::from_arg_matches(&typed).unwrap_or_else(|error| error.exit());
    let set_up = arguments.verb.process().map(ProcessArguments::set_up);
    let result = set_up.unwrap_or(Ok(())).and_then(|()| arguments.verb.run());
    match result {
        Ok(Outcome::Done) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted) => ExitCode::from(INTERRUPTED),
        Err(error) => {
            // One line: the chain of causes, outermost first, without a cause that its parent already quotes.
            let mut line = error.to_string();
            for cause in error.chain().skip(1).map(ToString::to_string) {
                if !line.contains(&cause) {
                    line = format!("{line}: {cause}");
                }
            }
            complain(&format!("error: {}", line.replace('\n', " ")));
            ExitCode::FAILURE
        }
    }
}

/// Ends a run that can resume: notes `kept`, a sentence without its end, and the command that continues.
fn resumable(kept: &str) -> Outcome {
    note(&format!(
        "{kept}: continue with `{}`",
        command_line::resumed()
    ));
    Outcome::Interrupted
}

/// Prints a line for the user on stderr, unless `--quiet` was given.
fn note(line: &str) {
    if !is_quiet() {
        complain(line);
    }
}

/// Prints a line on stderr. A closed stderr is nobody's error.
fn complain(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Prints `text` on stdout; a reader that has gone away ends the output quietly.
fn print(text: &str) -> Result<()> {
    match writeln!(std::io::stdout(), "{text}") {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error.into()),
        _ => Ok(()),
    }
}

/// Ends a run: writes the run folder `out` of its document, and prints it. Data go to stdout as a table, or as the document
/// itself for programs.
fn finish(out: &Path, document: &dyn AnyDocument, json: bool) -> Result<()> {
    document.write_run(out)?;
    match json {
        true => print(document.json()?.trim_end()),
        false => print(&document.table()?),
    }
}
