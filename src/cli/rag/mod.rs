//! `crossburn rag`: documents in arrays, and answers from them.

mod answer;
mod ask;
mod index;
mod model;

use anyhow::Result;
use clap::{Args, Subcommand};

use super::Outcome;
use super::process::ProcessArguments;

/// Answer questions from your documents, stored as vectors in memory cells
///
/// `index` cuts documents into passages and stores one vector for each passage in the arrays of a chip. `ask` searches the arrays for the
/// passages that fit a question. With --llm, a language model answers from these passages. See docs/rag.md.
///
/// Example: crossburn rag index README.md docs
///
/// Example: crossburn rag ask runs/rag "What is a chip?"
#[derive(Debug, Args)]
pub(super) struct Rag {
    #[command(subcommand)]
    verb: RagVerb,
}

/// What to do with documents in arrays.
#[derive(Debug, Subcommand)]
enum RagVerb {
    Index(Box<index::Index>),
    Ask(Box<ask::Ask>),
}

impl Rag {
    /// The arguments about the process.
    pub(super) fn process(&self) -> &ProcessArguments {
        match &self.verb {
            RagVerb::Index(verb) => &verb.process,
            RagVerb::Ask(verb) => &verb.process,
        }
    }

    pub(super) fn run(self) -> Result<Outcome> {
        match self.verb {
            RagVerb::Index(verb) => verb.run(),
            RagVerb::Ask(verb) => verb.run(),
        }
    }
}
