//! The answer of a language model from retrieved passages.

use std::path::PathBuf;

use anyhow::{Result, bail};
use crossburn_checkpoints::{ChatMessage, ChatRole};
use crossburn_models::decoder::Cache;

use crate::apps::rag::Found;
use crate::cli::model_choice::ModelChoice;
use crate::cli::speech::{Beginning, SpeechArguments, say};
use crate::cli::{Outcome, interrupt, note};

/// What the model is asked to do, before the passages.
const INSTRUCTION: &str = "Answer the question from these passages.";

/// Lets the model at `llm` answer `question` from the passages in `found` on stdout.
///
/// # Errors
/// A model that cannot be opened, and passages that do not fit its positions.
pub(super) fn answer(
    llm: PathBuf,
    question: &str,
    found: &[Found<'_>],
    speech: &SpeechArguments,
) -> Result<Outcome> {
    let model = ModelChoice::of(llm).open()?;
    let asked = asked(question, found);
    let (text, bare) = match model.chat_template()? {
        Some(template) => {
            let message = ChatMessage {
                role: ChatRole::User,
                content: asked,
            };
            (template.render(&[message])?, false)
        }
        None => (format!("{asked}\nAnswer:"), true),
    };
    let prompt = model.tokenizer.encode(&text, bare)?;
    let (config, end) = (model.config.clone(), model.tokenizer.end().to_vec());
    let generation = speech.generation(&config, prompt.len(), &end);
    if prompt.len() >= config.max_positions {
        bail!(
            "the question and its passages take {} tokens, the model has {} positions; hint: retrieve fewer with -k",
            prompt.len(),
            config.max_positions
        );
    }
    config.check_tokens(&prompt, generation.max_new_tokens)?;
    let model = model.load()?;
    let stop = interrupt::silent_flag()?;
    let beginning = Beginning {
        prompt: &prompt,
        seen: 0,
        cache: &mut Cache::new(),
    };
    let mut out = std::io::stdout();
    let said = say(
        &model,
        beginning,
        &generation,
        speech.stops(),
        &stop,
        &mut out,
    )?;
    crate::cli::print("")?;
    note(&said.speed());
    match stop.load(std::sync::atomic::Ordering::Relaxed) {
        true => Ok(Outcome::Interrupted),
        false => Ok(Outcome::Done),
    }
}

/// What the model is asked.
fn asked(question: &str, found: &[Found<'_>]) -> String {
    let passages = found
        .iter()
        .map(|found| format!("{}\n\n", found.passage.text));
    let passages: String = passages.collect();
    format!("{INSTRUCTION}\n\n{passages}Question: {question}")
}
