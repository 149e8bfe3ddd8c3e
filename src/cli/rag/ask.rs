//! `crossburn rag ask`

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use crossburn_noise::ChipSeed;
use serde_json::json;

use super::answer::answer;
use super::model;
use crate::apps::rag::{AskJob, Found, PassageStore, TextEncoder};
use crate::cli::model_choice::ModelChoice;
use crate::cli::process::ProcessArguments;
use crate::cli::speech::SpeechArguments;
use crate::cli::{Outcome, note, print};

/// Ask a question to a store of documents
///
/// Two searches look for passages that fit the question: one on a chip, and an ideal one without noise. The best passages on the chip are
/// printed, each with its rank on the chip and both scores. Passages that only the ideal search puts first follow. A score estimates the
/// cosine of the angle between the vectors of question and passage.
///
/// With --llm, a language model answers from the passages that the chip found. Its answer goes to stdout, the passages to stderr.
///
/// Example: crossburn rag ask runs/rag "What is a chip?"
///
/// Example: crossburn rag ask runs/rag "What is a chip?" -k 2 --llm models/SmolLM2-135M-Instruct
#[derive(Debug, Args)]
pub(super) struct Ask {
    /// The folder that `crossburn rag index` wrote
    store: PathBuf,
    /// The question
    question: String,
    /// How many passages to retrieve [default: 3, or all of a smaller store]
    #[arg(short, long = "passages", value_name = "N", help_heading = "Search")]
    k: Option<usize>,
    /// Number of the chip to ask, in the population of the store
    #[arg(long, value_name = "N", default_value_t = 0, help_heading = "Search")]
    chip: u64,
    /// Folder of the encoder, if it was moved [default: where it was when the store was made]
    #[arg(long, value_name = "DIR|NAME", help_heading = "Search")]
    model: Option<PathBuf>,
    /// A language model to write the answer: a folder, a run, a GGUF file, or a name at the Hugging Face hub
    #[arg(long, value_name = "DIR|FILE.gguf|NAME", help_heading = "Answer")]
    llm: Option<PathBuf>,
    #[command(flatten)]
    speech: SpeechArguments,
    /// Print JSON
    #[arg(long, conflicts_with = "llm", help_heading = "Options")]
    json: bool,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

/// Passages that are retrieved by default.
const USUAL: usize = 3;

impl Ask {
    pub(super) fn run(self) -> Result<Outcome> {
        self.speech.check()?;
        if self.question.trim().is_empty() {
            bail!("the question is empty; hint: write it in quotes after the store");
        }
        // A model that is not there is refused before the search.
        let llm = self
            .llm
            .map(|llm| ModelChoice::of(llm).open())
            .transpose()?;
        let store = PassageStore::open(&self.store)?;
        let encoder = match &self.model {
            None => TextEncoder::of(&store.settings.encoder)?,
            Some(asked) => {
                let encoder = model::open(asked)?;
                store.require_encoder(&encoder)?;
                encoder
            }
        };
        let job = AskJob {
            store: &store,
            encoder: &encoder,
            question: &self.question,
            k: self.k.unwrap_or(USUAL.min(store.passages.len())),
            chip: ChipSeed::new(store.settings.seed, self.chip),
        };
        let k = job.k;
        let found = job.run()?;
        if self.json {
            print(&json(&self.question, &found))?;
            return Ok(Outcome::Done);
        }
        let listed = listed(&found, k);
        let Some(llm) = llm else {
            print(&listed)?;
            return Ok(Outcome::Done);
        };
        note(&listed);
        // The model reads what the chip found, not what the ideal search adds.
        answer(
            llm,
            &self.question,
            &found[..k.min(found.len())],
            &self.speech,
        )
    }
}

fn json(question: &str, found: &[Found<'_>]) -> String {
    let found = found.iter().map(|found| {
        json!({
            "entry": found.passage.entry,
            "places": found.passage.places,
            "text": found.passage.text,
            "chip": { "rank": found.chip.rank, "score": found.chip.score },
            "ideal": { "rank": found.ideal.rank, "score": found.ideal.score },
        })
    });
    let document = json!({ "question": question, "passages": found.collect::<Vec<_>>() });
    format!("{document:#}")
}

/// The first `k` passages on the chip, then those that are among the first `k` only in the ideal search.
fn listed(found: &[Found<'_>], k: usize) -> String {
    let (retrieved, missed) = found.split_at(k.min(found.len()));
    let blocks = |found: &[Found<'_>]| found.iter().map(block).collect::<Vec<_>>().join("\n\n");
    match missed.is_empty() {
        true => blocks(retrieved),
        false => format!(
            "{}\n\nOnly the ideal search has these passages among its first {k}:\n\n{}",
            blocks(retrieved),
            blocks(missed)
        ),
    }
}

/// A passage: its rank on the chip and its place, its scores, and its text.
fn block(found: &Found<'_>) -> String {
    let mut places = found.passage.places.iter();
    let place = places.next().map_or_else(String::new, |place| {
        format!("{}, {}", near(&place.file), place.at)
    });
    let others = match places.len() {
        0 => String::new(),
        1 => ", and another place".to_string(),
        others => format!(", and {others} other places"),
    };
    format!(
        "{}. {place}{others}\n   score {:.3} on the chip; score {:.3} and rank {} in the ideal search\n   {}",
        found.chip.rank, found.chip.score, found.ideal.score, found.ideal.rank, found.passage.text
    )
}

/// The path `file`, relative to the current folder if it lies below.
fn near(file: &str) -> String {
    let here = std::env::current_dir().and_then(|here| here.canonicalize());
    let near = here.ok().and_then(|here| {
        let near = Path::new(file).strip_prefix(here).ok()?;
        Some(near.to_string_lossy().into_owned())
    });
    near.unwrap_or_else(|| file.to_string())
}
