//! A language model on this machine that proposes designs.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Result;
use crossburn_checkpoints::{ChatMessage, ChatRole, ChatTemplate};
use crossburn_models::decoder::{Cache, Generation, Sampling, Stop};
use crossburn_training::search::{Message, Role, Speaker, SpeakerProblem};

use super::speakers::REPLY_TOKENS;
use crate::cli::model_choice::{ModelChoice, RunningModel};
use crate::cli::speech::{Beginning, say};

/// A language model that replies, through the decoder of this project.
pub(super) struct Local {
    model: RunningModel,
    template: Option<ChatTemplate>,
    temperature: f64,
    stop: Arc<AtomicBool>,
}

impl Local {
    /// Loads the model at `model`.
    ///
    /// # Errors
    /// Whatever is wrong with its files, and less memory than it needs.
    pub(super) fn open(model: PathBuf, temperature: f64, stop: &Arc<AtomicBool>) -> Result<Self> {
        let chosen = ModelChoice::of(model).open()?;
        let template = chosen.chat_template()?;
        Ok(Self {
            model: chosen.load()?,
            template,
            temperature,
            stop: Arc::clone(stop),
        })
    }

    /// The text of a conversation, in the form that the model was trained with.
    fn written(&self, messages: &[Message]) -> Result<String> {
        let Some(template) = &self.template else {
            let contents = messages
                .iter()
                .map(|message| format!("{}\n", message.content));
            return Ok(contents.collect());
        };
        let messages: Vec<ChatMessage> = messages
            .iter()
            .map(|message| ChatMessage {
                role: match message.role {
                    Role::System => ChatRole::System,
                    Role::User => ChatRole::User,
                    Role::Assistant => ChatRole::Assistant,
                },
                content: message.content.clone(),
            })
            .collect();
        Ok(template.render(&messages)?)
    }

    fn answer(&self, messages: &[Message]) -> Result<String> {
        let text = self.written(messages)?;
        let bare = self.template.is_none();
        let prompt = self.model.tokenizer.encode(&text, bare)?;
        let config = self.model.decoder.config();
        config.check_tokens(&prompt, REPLY_TOKENS)?;
        let generation = Generation {
            max_new_tokens: REPLY_TOKENS,
            sampling: Sampling {
                temperature: self.temperature,
                top_k: None,
                top_p: None,
                seed: 1,
            },
            stop: Stop {
                tokens: self.model.tokenizer.end().to_vec(),
                sequences: Vec::new(),
            },
        };
        let beginning = Beginning {
            prompt: &prompt,
            seen: 0,
            cache: &mut Cache::new(),
        };
        let mut sink = std::io::sink();
        let said = say(
            &self.model,
            beginning,
            &generation,
            &[],
            &self.stop,
            &mut sink,
        )?;
        Ok(said.text)
    }
}

impl Speaker for Local {
    fn reply(&mut self, messages: &[Message]) -> Result<Option<String>, SpeakerProblem> {
        let answer = self.answer(messages).map_err(|error| SpeakerProblem {
            speaker: "the language model".to_string(),
            problem: error.to_string(),
            remedy: "lower --budget, or take a model with more positions".to_string(),
        })?;
        // A reply that was broken off is none.
        Ok((!self.stop.load(Ordering::Relaxed)).then_some(answer))
    }
}
