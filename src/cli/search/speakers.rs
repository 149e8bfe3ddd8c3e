//! Proposers that are spoken with: their options, and how each is opened.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use crossburn_training::search::Speaker;
use serde_json::{Value, json};

use super::local::Local;
use crate::apps::search::conversation::Replay;
use crate::apps::search::external::External;

/// The proposers that are spoken with.
pub(super) const SPOKEN: [&str; 4] = ["chat", "local", "command", "replay"];

/// Tokens of a reply: a design with a few words around it.
pub(super) const REPLY_TOKENS: usize = 400;

/// The options of proposers that are spoken with.
#[derive(Debug, Args)]
#[command(next_help_heading = "Proposers that are spoken with")]
pub(super) struct SpeakerArguments {
    /// chat: address of the endpoint, without /chat/completions, such as http://localhost:11434/v1
    #[arg(long, value_name = "URL")]
    endpoint: Option<String>,
    /// chat: name of the model at the endpoint
    #[arg(long, value_name = "NAME")]
    chat_model: Option<String>,
    /// chat: environment variable with the key; if it is not set, no key is sent
    #[arg(long, value_name = "VARIABLE", default_value = "CROSSBURN_API_KEY")]
    key_env: String,
    /// chat, local: temperature of the replies; 0 takes the likeliest words
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f64,
    /// chat, command: seconds to wait for a reply
    #[arg(long, value_name = "SECONDS", default_value_t = 120.0)]
    timeout: f64,
    /// local: the language model, a folder, a GGUF file, or a name at the Hugging Face hub
    #[arg(long, value_name = "DIR|FILE.gguf|NAME")]
    model: Option<PathBuf>,
    /// command: a shell command to run for every reply; it reads the prompt on stdin and replies on stdout
    #[arg(long, value_name = "COMMAND")]
    command: Option<String>,
    /// replay: the conversation of an earlier search, conversation-NAME.jsonl in its folder
    #[arg(long, value_name = "FILE")]
    transcript: Option<PathBuf>,
}

impl SpeakerArguments {
    /// Refuses options that are missing for one of `proposers`, or of none of them.
    ///
    /// # Errors
    /// The option.
    pub(super) fn check(&self, proposers: &[String]) -> Result<()> {
        for (option, given, proposer) in [
            ("--endpoint URL", self.endpoint.is_some(), "chat"),
            ("--chat-model NAME", self.chat_model.is_some(), "chat"),
            ("--model PATH", self.model.is_some(), "local"),
            ("--command COMMAND", self.command.is_some(), "command"),
            ("--transcript FILE", self.transcript.is_some(), "replay"),
        ] {
            let takes_part = proposers.iter().any(|name| name == proposer);
            match (takes_part, given) {
                (true, false) => bail!("--proposer {proposer} needs {option}"),
                (false, true) => {
                    bail!("{option} is for --proposer {proposer}: add it, or leave the option out")
                }
                _ => {}
            }
        }
        if !(self.timeout > 0.0 && self.timeout <= 86_400.0) {
            bail!(
                "--timeout {}: use seconds above 0, at most 86400",
                self.timeout
            );
        }
        if !(0.0..=10.0).contains(&self.temperature) {
            bail!("--temperature {}: use 0 to 10", self.temperature);
        }
        Ok(())
    }

    /// What a document says of them. The key is no part of it.
    pub(super) fn config(&self, proposers: &[String]) -> Value {
        let speaks = |name: &&str| proposers.iter().any(|proposer| proposer == name);
        let of = |name: &str| match name {
            "chat" => json!({
                "endpoint": self.endpoint,
                "model": self.chat_model,
                "temperature": self.temperature,
            }),
            "local" => json!({ "model": self.model, "temperature": self.temperature }),
            "command" => json!({ "command": self.command }),
            _ => json!({ "transcript": self.transcript }),
        };
        let entries = SPOKEN.into_iter().filter(speaks);
        entries.map(|name| (name.to_string(), of(name))).collect()
    }

    /// Opens one of them.
    ///
    /// # Errors
    /// What keeps it from replying, as far as that is known before the first prompt.
    pub(super) fn open(&self, name: &str, stop: &Arc<AtomicBool>) -> Result<Box<dyn Speaker>> {
        let patience = Duration::from_secs_f64(self.timeout);
        Ok(match name {
            "chat" => self.chat(patience, stop)?,
            "local" => {
                let model = self
                    .model
                    .clone()
                    .context("--proposer local needs --model")?;
                Box::new(Local::open(model, self.temperature, stop)?)
            }
            "command" => {
                let command = self.command.as_deref().unwrap_or_default();
                Box::new(External::new(command, patience, stop))
            }
            _ => {
                let transcript = self.transcript.clone().unwrap_or_default();
                Box::new(Replay::open(&transcript)?)
            }
        })
    }

    #[cfg(feature = "hub")]
    fn chat(&self, patience: Duration, stop: &Arc<AtomicBool>) -> Result<Box<dyn Speaker>> {
        use crate::apps::search::endpoint::{Endpoint, EndpointConfig};

        let key = match std::env::var(&self.key_env) {
            Ok(key) if key.trim().is_empty() => None,
            Ok(key) => Some(key.trim().to_string()),
            Err(std::env::VarError::NotPresent) => None,
            Err(std::env::VarError::NotUnicode(_)) => {
                bail!("the key in {} is no text: set it again", self.key_env)
            }
        };
        let config = EndpointConfig {
            url: self.endpoint.clone().unwrap_or_default(),
            model: self.chat_model.clone().unwrap_or_default(),
            key,
            temperature: self.temperature,
            most_tokens: REPLY_TOKENS,
            patience,
        };
        Ok(Box::new(Endpoint::new(config, stop)?))
    }

    #[cfg(not(feature = "hub"))]
    fn chat(&self, _: Duration, _: &Arc<AtomicBool>) -> Result<Box<dyn Speaker>> {
        bail!(
            "this program was built without network access: build it with the feature `hub` for --proposer chat (key in {})",
            self.key_env
        )
    }
}
