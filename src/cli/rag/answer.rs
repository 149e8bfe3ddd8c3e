//! The answer of a language model from retrieved passages.

use std::sync::atomic::Ordering;

use anyhow::{Result, bail};
use crossburn_checkpoints::{ChatMessage, ChatRole};
use crossburn_models::decoder::Cache;

use crate::apps::rag::Found;
use crate::cli::model_choice::ChosenModel;
use crate::cli::speech::{Beginning, SpeechArguments, say};
use crate::cli::{Outcome, interrupt, note, print};

/// The instruction to the model, before the passages.
const INSTRUCTION: &str = "Answer the question from these passages.";

/// Lets `model` answer `question` from the passages in `found` on stdout.
///
/// # Errors
/// Passages that do not fit the positions of the model, and weights that cannot be loaded.
pub(super) fn answer(
    model: ChosenModel,
    question: &str,
    found: &[Found<'_>],
    speech: &SpeechArguments,
) -> Result<Outcome> {
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
    print("")?;
    note(&said.speed());
    match stop.load(Ordering::Relaxed) {
        true => {
            note("interrupted: the answer ends here");
            Ok(Outcome::Interrupted)
        }
        false => Ok(Outcome::Done),
    }
}

/// The prompt of the model.
fn asked(question: &str, found: &[Found<'_>]) -> String {
    let passages = found
        .iter()
        .map(|found| format!("{}\n\n", found.passage.text));
    let passages: String = passages.collect();
    format!("{INSTRUCTION}\n\n{passages}Question: {question}")
}
