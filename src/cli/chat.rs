//! `crossburn chat`

use std::io::{BufRead, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use clap::Args;
use crossburn_checkpoints::{ChatMessage, ChatRole, ChatTemplate};
use crossburn_models::decoder::{Adapter, Cache};

use super::model_choice::{ModelChoice, RunningModel};
use super::process::ProcessArguments;
use super::speech::{Beginning, SpeechArguments, say};
use super::{Outcome, interrupt, note};

/// Talk with a language model in the terminal
///
/// Type a line and press Enter; the answer appears as it is generated. /clear forgets the conversation. /exit or Ctrl-D ends it. Ctrl-C
/// stops an answer; at the prompt it ends the conversation.
///
/// The model sees the conversation in its chat template, which is the form that it was trained with. A model without a chat template sees
/// plain turns of User and Assistant. When the conversation no longer fits the model's context, its oldest turns are forgotten.
///
/// Example: crossburn chat --model SmolLM2-135M-Instruct.Q4_1.gguf --temperature 0.7 --top-p 0.9
#[derive(Debug, Args)]
pub(super) struct Chat {
    #[command(flatten)]
    model: ModelChoice,
    /// Instructions to the model, before the conversation
    #[arg(
        long,
        value_name = "TEXT",
        allow_hyphen_values = true,
        help_heading = "Text"
    )]
    system: Option<String>,
    #[command(flatten)]
    speech: SpeechArguments,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

impl Chat {
    pub(super) fn run(self) -> Result<Outcome> {
        self.speech.check()?;
        let model = self.model.open()?;
        let form = match model.chat_template()? {
            Some(template) => Form::Template(Box::new(template)),
            None => {
                note(
                    "the model has no chat template: the conversation is plain turns of User and Assistant",
                );
                Form::Plain
            }
        };
        let system = self.system.clone().map(|content| ChatMessage {
            role: ChatRole::System,
            content,
        });
        let mut conversation = Conversation {
            form,
            messages: system.into_iter().collect(),
            model: model.load()?,
            cache: Cache::new(),
            cached: Vec::new(),
        };
        let stop = interrupt::silent_flag()?;
        let prompts = std::io::stdin().is_terminal();
        if prompts {
            note("type a line, /clear to start again, /exit to end");
        }
        let lines = lines();
        loop {
            if prompts {
                show("> ");
            }
            let Some(line) = next(&lines, &stop)? else {
                if prompts {
                    show("\n");
                }
                return match stop.load(Ordering::Relaxed) {
                    true => Ok(Outcome::Interrupted),
                    false => Ok(Outcome::Done),
                };
            };
            match line.trim() {
                "" => {}
                "/exit" => return Ok(Outcome::Done),
                "/clear" => conversation.clear(),
                command if command.starts_with('/') && !command.contains(' ') => {
                    note("there are /clear and /exit");
                }
                text => {
                    conversation.answer(text, &self.speech, &stop)?;
                    // For a person, the first Ctrl-C only stops the answer. A program that sends the signal wants the
                    // process to end.
                    if stop.load(Ordering::Relaxed) && !prompts {
                        return Ok(Outcome::Interrupted);
                    }
                    stop.store(false, Ordering::Relaxed);
                }
            }
        }
    }
}

/// The lines of stdin, read beside the conversation: Ctrl-C must end a wait for one.
fn lines() -> Receiver<std::io::Result<String>> {
    let (sender, receiver) = channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lock().lines() {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The next line; none at the end of stdin and after Ctrl-C.
fn next(lines: &Receiver<std::io::Result<String>>, stop: &AtomicBool) -> Result<Option<String>> {
    const PATIENCE: Duration = Duration::from_millis(50);
    while !stop.load(Ordering::Relaxed) {
        match lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                let line = line.context("cannot read from stdin: give text in UTF-8")?;
                return Ok(Some(line));
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
    Ok(None)
}

/// Shows the user something that is no answer.
fn show(text: &str) {
    let mut stderr = std::io::stderr();
    let _ = stderr.write_all(text.as_bytes());
    let _ = stderr.flush();
}

/// How a conversation is written.
enum Form {
    Template(Box<ChatTemplate>),
    Plain,
}

/// Begins a turn of the user in plain form, so it ends a turn of the model.
const PLAIN_STOP: &str = "\nUser:";

impl Form {
    /// The text of a conversation up to where the model answers.
    fn written(&self, messages: &[ChatMessage]) -> Result<String> {
        match self {
            Self::Template(template) => Ok(template.render(messages)?),
            Self::Plain => {
                let turns = messages.iter().map(|message| match message.role {
                    ChatRole::System => format!("{}\n", message.content),
                    ChatRole::User => format!("User: {}\n", message.content),
                    ChatRole::Assistant => format!("Assistant: {}\n", message.content),
                });
                Ok(turns.chain(["Assistant:".to_string()]).collect())
            }
        }
    }

    /// Whether the text lacks the tokens around a text, which a template writes itself.
    fn bare(&self) -> bool {
        matches!(self, Self::Plain)
    }
}

struct Conversation {
    form: Form,
    messages: Vec<ChatMessage>,
    model: RunningModel,
    /// The cache of the model for the tokens `cached`.
    cache: Cache,
    cached: Vec<u32>,
}

impl Conversation {
    /// Messages that stay: what the model is told before.
    fn kept(&self) -> usize {
        let system = |message: &&ChatMessage| message.role == ChatRole::System;
        self.messages.iter().take_while(system).count()
    }

    fn clear(&mut self) {
        self.messages.truncate(self.kept());
        self.cache = Cache::new();
        self.cached.clear();
    }

    /// The tokens of the conversation, of which the oldest turns are forgotten until `room` more fit.
    fn tokens(&mut self, room: usize) -> Result<Vec<u32>> {
        let positions = self.model.decoder.config().max_positions;
        let learned = self
            .model
            .adapter
            .as_ref()
            .map_or(0, Adapter::virtual_tokens);
        let positions = positions.saturating_sub(learned);
        let mut forgotten = 0;
        loop {
            let text = self.form.written(&self.messages)?;
            let tokens = self.model.tokenizer.encode(&text, self.form.bare())?;
            if tokens.len() + room <= positions {
                if forgotten > 0 {
                    note(&format!(
                        "the conversation no longer fits {positions} positions: its {forgotten} oldest messages are forgotten"
                    ));
                }
                return Ok(tokens);
            }
            let kept = self.kept();
            // The last message is the one to answer.
            if self.messages.len() <= kept + 1 {
                bail!(
                    "{} tokens and an answer of {room} do not fit the model's {positions} positions: write less or lower \
                     --max-new-tokens",
                    tokens.len()
                );
            }
            let turn = 2.min(self.messages.len() - kept - 1);
            self.messages.drain(kept..kept + turn);
            forgotten += turn;
        }
    }

    /// Lets the model answer `text` on stdout.
    fn answer(&mut self, text: &str, speech: &SpeechArguments, stop: &AtomicBool) -> Result<()> {
        self.messages.push(ChatMessage {
            role: ChatRole::User,
            content: text.to_string(),
        });
        let config = self.model.decoder.config();
        // Half of the positions stay for the conversation where the user does not say how long an answer may be.
        let room = speech.most_tokens().min(config.max_positions / 2).max(1);
        let prompt = match self.tokens(room) {
            Ok(prompt) => prompt,
            Err(error) => {
                self.messages.pop();
                note(&error.to_string());
                return Ok(());
            }
        };
        let end = self.model.tokenizer.end();
        let mut generation = speech.generation(self.model.decoder.config(), prompt.len(), end);
        generation.max_new_tokens = room;
        let shared = self.cached.iter().zip(&prompt);
        let seen = shared.take_while(|(a, b)| a == b).count();
        // A cache cannot forget: it serves a text that goes on from all it has seen.
        let seen = if seen == self.cached.len() && seen < prompt.len() {
            seen
        } else {
            self.cache = Cache::new();
            0
        };
        let mut stops = speech.stops().to_vec();
        if self.form.bare() {
            stops.push(PLAIN_STOP.to_string());
        }
        let mut out = std::io::stdout();
        let beginning = Beginning {
            prompt: &prompt,
            seen,
            cache: &mut self.cache,
        };
        let said = say(&self.model, beginning, &generation, &stops, stop, &mut out)?;
        let _ = writeln!(out);
        match stop.load(Ordering::Relaxed) {
            true => note("interrupted: the answer ends here"),
            false => note(&said.speed()),
        }
        // The cache has not seen the last generated token.
        self.cached = prompt;
        let seen = said.tokens.len().saturating_sub(1);
        self.cached.extend(&said.tokens[..seen]);
        self.messages.push(ChatMessage {
            role: ChatRole::Assistant,
            content: said.text.trim().to_string(),
        });
        Ok(())
    }
}
