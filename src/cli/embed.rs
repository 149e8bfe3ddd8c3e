//! `crossburn embed`

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use anyhow::{Context, Result, bail};
use clap::Args;
use crossburn_checkpoints::{ModelFolder, SentenceEncoder, Tokenizer};
use crossburn_models::encoder::EncoderConfig;
use serde_json::json;

use super::device::DeviceChoice;
use super::held_weights::HeldWeights;
use super::model_choice::located;
use super::process::ProcessArguments;
use super::{Outcome, interrupt, print};
use crate::report::draw::Table;

/// Turn sentences into vectors that are close if their meanings are close
///
/// Each line of the input is a sentence. For each sentence, a line of JSON with the text and its vector goes to stdout. Vectors have
/// length 1, so the product of two vectors is their cosine similarity. --similarity prints the similarity of all pairs instead.
///
/// Example: crossburn embed --model sentence-transformers/all-MiniLM-L6-v2 sentences.txt
///
/// Example: crossburn embed --model all-MiniLM-L6-v2 --similarity sentences.txt
#[derive(Debug, Args)]
pub(super) struct Embed {
    /// A file with one sentence per line; - reads stdin
    #[arg(value_name = "FILE|-")]
    input: PathBuf,
    /// An encoder such as all-MiniLM-L6-v2: a folder with config.json, weights and tokenizer.json, or a name at the Hugging Face hub:
    /// owner/name[@revision]
    #[arg(long, value_name = "DIR|NAME", help_heading = "Model")]
    model: PathBuf,
    /// Format of the matrices in memory, on the CPU. With blocks (q8_0, q4_0), layers that get at most four tokens at once also round
    /// their inputs to 8 bits. A matrix that does not fit the format keeps that of its file
    #[arg(
        long,
        value_name = "FORM",
        default_value = "f32",
        help_heading = "Model"
    )]
    weights: HeldWeights,
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N
    #[arg(
        long,
        value_name = "DEVICE",
        default_value_t = DeviceChoice::Cpu,
        help_heading = "Model"
    )]
    device: DeviceChoice,
    /// Print a table of the similarities of all pairs
    #[arg(long, help_heading = "Options")]
    similarity: bool,
    /// Cut sentences that are too long for the model, instead of refusing them
    #[arg(long, help_heading = "Options")]
    truncate: bool,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

const BATCH: usize = SentenceEncoder::BATCH;

/// Sentences of which a table can still be read.
const MOST_IN_TABLE: usize = 50;

impl Embed {
    pub(super) fn run(self) -> Result<Outcome> {
        let device = self.device.open()?;
        let only = (self.device != DeviceChoice::Cpu).then_some("--device");
        let held = HeldWeights::resolve(Some(self.weights), only)?;
        let folder = ModelFolder::open(&located(&self.model)?)?;
        let config = folder.encoder_config()?;
        let tokenizer = folder.tokenizer(config.vocabulary)?;
        let sentences = self.sentences()?;
        if self.similarity && sentences.len() > MOST_IN_TABLE {
            bail!(
                "--similarity prints at most {MOST_IN_TABLE} sentences, {} has {}: give fewer, or take the vectors",
                self.name(),
                sentences.len()
            );
        }
        let tokens = sentences
            .iter()
            .zip(1..)
            .map(|(sentence, line)| self.tokens(&tokenizer, sentence, line, &config))
            .collect::<Result<Vec<_>>>()?;
        let encoder = folder.held_encoder(&device, held)?.module;
        let stop = interrupt::flag()?;
        let mut vectors = Vec::new();
        for (sentences, tokens) in sentences.chunks(BATCH).zip(tokens.chunks(BATCH)) {
            if stop.load(Ordering::Relaxed) {
                return Ok(Outcome::Interrupted);
            }
            let found = folder.vectors(&encoder, tokens)?;
            for (text, embedding) in sentences.iter().zip(&found) {
                if !self.similarity {
                    print(&json!({ "text": text, "embedding": embedding }).to_string())?;
                }
            }
            vectors.extend(found);
        }
        if self.similarity {
            print(table(&sentences, &vectors).text().trim_end())?;
        }
        Ok(Outcome::Done)
    }

    fn name(&self) -> String {
        match self.input == Path::new("-") {
            true => "stdin".to_string(),
            false => self.input.display().to_string(),
        }
    }

    /// The lines of the input.
    fn sentences(&self) -> Result<Vec<String>> {
        let mut text = String::new();
        let read = match self.input == Path::new("-") {
            true => std::io::stdin().read_to_string(&mut text).map(|_| ()),
            false => std::fs::read_to_string(&self.input).map(|found| text = found),
        };
        read.with_context(|| format!("cannot read {}: give a file of text in UTF-8", self.name()))?;
        let lines: Vec<String> = text.lines().map(str::to_string).collect();
        if lines.is_empty() {
            bail!("{} has no line: give one sentence a line", self.name());
        }
        if let Some(empty) = lines.iter().position(|line| line.trim().is_empty()) {
            bail!("{} line {} is empty: remove it", self.name(), empty + 1);
        }
        Ok(lines)
    }

    /// The tokens of the sentence in line `line`.
    fn tokens(
        &self,
        tokenizer: &Tokenizer,
        sentence: &str,
        line: usize,
        config: &EncoderConfig,
    ) -> Result<Vec<u32>> {
        let tokens = tokenizer.encode(sentence, true)?;
        let positions = config.max_positions;
        if tokens.len() > positions && !self.truncate {
            bail!(
                "{} line {line} has {} tokens, the model takes {positions}: shorten it, or cut it with --truncate",
                self.name(),
                tokens.len()
            );
        }
        Ok(config.cut(tokens))
    }
}

/// The cosine similarity of all pairs.
fn table(sentences: &[String], vectors: &[Vec<f32>]) -> Table {
    const SHOWN: usize = 40;
    let short = |text: &String| match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.clone(),
    };
    let numbers = (1..=sentences.len()).map(|number| number.to_string());
    let headers = ["sentence".to_string()].into_iter().chain(numbers);
    let rows = sentences.iter().zip(vectors).zip(1..);
    let rows = rows.map(|((sentence, vector), number)| {
        let cosine = |other: &Vec<f32>| {
            let products = vector.iter().zip(other).map(|(a, b)| f64::from(a * b));
            format!("{:.3}", products.sum::<f64>())
        };
        let name = format!("{number} {}", short(sentence));
        let cosines = vectors.iter().map(cosine);
        [name].into_iter().chain(cosines).collect::<Vec<_>>()
    });
    Table::new(headers).numbers(sentences.len()).rows(rows)
}
