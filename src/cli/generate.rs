//! `crossburn generate`

use std::io::{IsTerminal, Read, Write};
use std::path::PathBuf;
use std::sync::atomic::Ordering;

use anyhow::{Context, Result};
use clap::Args;
use crossburn_models::decoder::{Adapter, Cache};

use super::model_choice::ModelChoice;
use super::process::ProcessArguments;
use super::speech::{Beginning, SpeechArguments, say};
use super::stored_prompts::fetched;
use super::{Outcome, interrupt, note};

/// Continue a text with a language model
///
/// The generated text goes to stdout as it comes, without the prompt. Notes go to stderr. The text ends with the model's own end token,
/// before a --stop, after --max-new-tokens, or with Ctrl-C. The same seed gives the same text.
///
/// Example: crossburn generate --model SmolLM2-135M-Instruct.Q4_1.gguf --prompt "The capital of France is" --max-new-tokens 20
///
/// Example: crossburn generate --model models/SmolLM2-135M --store runs/prompts --prompt "Dear"
#[derive(Debug, Args)]
pub(super) struct Generate {
    #[command(flatten)]
    model: ModelChoice,
    /// The text to continue; - reads it from stdin
    #[arg(
        long,
        value_name = "TEXT|-",
        allow_hyphen_values = true,
        help_heading = "Text"
    )]
    prompt: String,
    #[command(flatten)]
    speech: SpeechArguments,
    /// Fetch the tuned prompt that fits the text from this store of `crossburn tune prompt --store`
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "adapter",
        help_heading = "Store"
    )]
    store: Option<PathBuf>,
    /// Number of the chip to fetch the prompt from, in the population of the store
    #[arg(
        long,
        value_name = "N",
        default_value_t = 0,
        requires = "store",
        help_heading = "Store"
    )]
    chip: u64,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

impl Generate {
    pub(super) fn run(self) -> Result<Outcome> {
        self.speech.check()?;
        let model = self.model.open()?;
        let prompt = match self.prompt.as_str() {
            "-" => from_stdin()?,
            text => text.to_string(),
        };
        let stored = match &self.store {
            None => None,
            Some(store) => {
                let weights = model.weights_checksum()?;
                let place = (store.as_path(), self.chip);
                Some(fetched(
                    place,
                    &prompt,
                    (&model.config, &weights),
                    model.device(),
                )?)
            }
        };
        let prompt = model.tokenizer.encode(&prompt, true)?;
        let (config, end) = (model.config.clone(), model.tokenizer.end().to_vec());
        let generation = self.speech.generation(&config, prompt.len(), &end);
        config.check_tokens(&prompt, generation.max_new_tokens)?;
        let mut model = model.load()?;
        if stored.is_some() {
            model.adapter = stored;
        }
        let learned = model.adapter.as_ref().map_or(0, Adapter::virtual_tokens);
        let generation = self
            .speech
            .generation(&config, prompt.len() + learned, &end);
        let stop = interrupt::silent_flag()?;
        let mut out = std::io::stdout();
        let beginning = Beginning {
            prompt: &prompt,
            seen: 0,
            cache: &mut Cache::new(),
        };
        let said = say(
            &model,
            beginning,
            &generation,
            self.speech.stops(),
            &stop,
            &mut out,
        )?;
        if out.is_terminal() {
            let _ = writeln!(out);
        }
        note(&said.speed());
        match stop.load(Ordering::Relaxed) {
            true => {
                note("interrupted: the text ends here");
                Ok(Outcome::Interrupted)
            }
            false => Ok(Outcome::Done),
        }
    }
}

fn from_stdin() -> Result<String> {
    let mut text = String::new();
    let read = std::io::stdin().read_to_string(&mut text);
    read.context("cannot read the prompt from stdin: give text in UTF-8")?;
    Ok(text)
}
