//! A text as the model generates it: its options, where it stops, and how it reaches the reader word by word.

use std::io::{ErrorKind, Write};
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use clap::Args;
use crossburn_models::decoder::{Adapter, Cache, DecoderConfig, Generation, Sampling, Stop};

use super::model_choice::RunningModel;

/// The arguments that say how a text goes on.
#[derive(Debug, Args)]
#[command(next_help_heading = "Text")]
pub(super) struct SpeechArguments {
    /// Tokens to generate at most; fewer if the model's context ends earlier [default: 256]
    #[arg(long, value_name = "N")]
    max_new_tokens: Option<usize>,
    /// Temperature: 0 takes the likeliest token, higher values draw more freely
    #[arg(long, value_name = "T", default_value_t = 0.0)]
    temperature: f64,
    /// Draw only from this many of the likeliest tokens
    #[arg(long, value_name = "K")]
    top_k: Option<usize>,
    /// Draw only from the likeliest tokens that together reach this probability
    #[arg(long, value_name = "P")]
    top_p: Option<f64>,
    /// Seed of the draws
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// End the text before this text; may be repeated
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    stop: Vec<String>,
}

/// Tokens where the user does not say how many.
const USUAL_TOKENS: usize = 256;

impl SpeechArguments {
    /// Refuses settings that draw nothing.
    ///
    /// # Errors
    /// The setting, with what is possible.
    pub(super) fn check(&self) -> Result<()> {
        if self.stop.iter().any(String::is_empty) {
            bail!("--stop '' would end every text before it begins: give a text");
        }
        if self.max_new_tokens == Some(0) {
            bail!("--max-new-tokens 0 generates nothing: use a number above 0");
        }
        Ok(self.sampling().check()?)
    }

    fn sampling(&self) -> Sampling {
        Sampling {
            temperature: self.temperature,
            top_k: self.top_k,
            top_p: self.top_p,
            seed: self.seed,
        }
    }

    /// Tokens that a text may take at most.
    pub(super) fn most_tokens(&self) -> usize {
        self.max_new_tokens.unwrap_or(USUAL_TOKENS)
    }

    /// How a text goes on after `prompt` tokens, those of an adapter among them, in a model that is `config` and ends its texts
    /// with one of the tokens `end`.
    pub(super) fn generation(
        &self,
        config: &DecoderConfig,
        prompt: usize,
        end: &[u32],
    ) -> Generation {
        let left = config.max_positions.saturating_sub(prompt).max(1);
        Generation {
            max_new_tokens: match self.max_new_tokens {
                Some(asked) => asked,
                None => USUAL_TOKENS.min(left),
            },
            sampling: self.sampling(),
            stop: Stop {
                tokens: end.to_vec(),
                sequences: Vec::new(),
            },
        }
    }

    /// The texts that end a text.
    pub(super) fn stops(&self) -> &[String] {
        &self.stop
    }
}

/// The text of a model.
pub(super) struct Said {
    /// The text, without what ended it.
    pub(super) text: String,
    /// Its tokens, those of a text that ended it included.
    pub(super) tokens: Vec<u32>,
    /// Tokens that were read before.
    read: usize,
    /// From the start to the first token.
    reading: Duration,
    /// From the first token to the last.
    writing: Duration,
}

impl Said {
    /// How fast it was, in a line.
    pub(super) fn speed(&self) -> String {
        let rate = |tokens: usize, time: Duration| tokens as f64 / time.as_secs_f64().max(1e-9);
        let count = self.tokens.len();
        let mut line = format!(
            "read {} tokens at {:.1} tokens/s",
            self.read,
            rate(self.read, self.reading)
        );
        if count > 1 {
            let rate = rate(count - 1, self.writing);
            line.push_str(&format!(", generated {count} at {rate:.1} tokens/s"));
        } else {
            line.push_str(&format!(", generated {count}"));
        }
        line
    }
}

/// The beginning that a text continues.
pub(super) struct Beginning<'a> {
    /// All tokens before it.
    pub(super) prompt: &'a [u32],
    /// How many of them `cache` has seen.
    pub(super) seen: usize,
    /// The cache of the model for these tokens.
    pub(super) cache: &'a mut Cache,
}

/// Lets `model` speak into `out`, until it ends, one of `stops` comes, or `interrupted` is set.
///
/// # Errors
/// A prompt that does not fit the model, a result that is not a number, and an `out` that cannot be written; one that was
/// closed ends the text quietly.
pub(super) fn say(
    model: &RunningModel,
    beginning: Beginning,
    generation: &Generation,
    stops: &[String],
    interrupted: &AtomicBool,
    out: &mut impl Write,
) -> Result<Said> {
    let Beginning {
        prompt,
        seen,
        cache,
    } = beginning;
    let mut stream = model.tokenizer.stream(prompt);
    let mut held = HeldBack::new(stops);
    let mut failed = None;
    let start = Instant::now();
    let (mut first, mut last) = (None, start);
    let adapter: Option<&Adapter> = model.adapter.as_ref();
    let tokens =
        model
            .decoder
            .generate_after(cache, seen, prompt, adapter, generation, |token| {
                last = Instant::now();
                first.get_or_insert(last);
                let text = match stream.push(token) {
                    Ok(text) => text,
                    Err(error) => {
                        failed = Some(error.into());
                        return ControlFlow::Break(());
                    }
                };
                let flow = held.push(&text);
                if let Err(error) = held.flush(out) {
                    if error.kind() != ErrorKind::BrokenPipe {
                        failed = Some(error.into());
                    }
                    return ControlFlow::Break(());
                }
                match interrupted.load(Ordering::Relaxed) {
                    true => ControlFlow::Break(()),
                    false => flow,
                }
            })?;
    held.release();
    match held.flush(out) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => failed = Some(error.into()),
        _ => {}
    }
    match failed {
        Some(error) => Err(error),
        None => {
            let first = first.unwrap_or_else(Instant::now);
            Ok(Said {
                text: held.text,
                tokens,
                read: prompt.len() - seen,
                reading: first - start,
                writing: last.saturating_duration_since(first),
            })
        }
    }
}

/// A text that grows, whose end is held back while it may be the start of a text that ends it.
struct HeldBack<'a> {
    stops: &'a [String],
    text: String,
    /// Bytes that were written.
    written: usize,
    /// Bytes that may be written.
    free: usize,
    ended: bool,
}

impl<'a> HeldBack<'a> {
    fn new(stops: &'a [String]) -> Self {
        Self {
            stops,
            text: String::new(),
            written: 0,
            free: 0,
            ended: false,
        }
    }

    /// Adds a piece, and says whether the text goes on.
    fn push(&mut self, piece: &str) -> ControlFlow<()> {
        self.text.push_str(piece);
        let rest = &self.text[self.free..];
        let found = self
            .stops
            .iter()
            .filter_map(|stop| rest.find(stop.as_str()));
        if let Some(at) = found.min() {
            self.text.truncate(self.free + at);
            self.free = self.text.len();
            self.ended = true;
            return ControlFlow::Break(());
        }
        let begins_stop = |(at, _): &(usize, char)| {
            let end = &rest[*at..];
            self.stops.iter().any(|stop| stop.starts_with(end))
        };
        let held = rest.char_indices().find(begins_stop);
        self.free += held.map_or(rest.len(), |(at, _)| at);
        ControlFlow::Continue(())
    }

    /// Nothing comes any more: what was held back is part of the text.
    fn release(&mut self) {
        self.free = self.text.len();
    }

    /// Writes what may be written.
    fn flush(&mut self, out: &mut impl Write) -> std::io::Result<()> {
        out.write_all(&self.text.as_bytes()[self.written..self.free])?;
        self.written = self.free;
        out.flush()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// What is written after each piece, and the whole text.
    fn written(stops: &[&str], pieces: &[&str]) -> (Vec<String>, String) {
        let stops: Vec<String> = stops.iter().map(ToString::to_string).collect();
        let mut held = HeldBack::new(&stops);
        let mut steps = Vec::new();
        for piece in pieces {
            let flow = held.push(piece);
            let mut out = Vec::new();
            held.flush(&mut out).unwrap();
            steps.push(String::from_utf8(out).unwrap());
            if flow.is_break() {
                break;
            }
        }
        held.release();
        held.flush(&mut Vec::new()).unwrap();
        (steps, held.text)
    }

    #[test]
    fn a_text_ends_before_its_stop_and_shows_no_part_of_it() {
        for (stops, pieces, steps, text) in [
            (
                &["User:"][..],
                &["Hi", "\nUs", "er: x"][..],
                &["Hi", "\n", ""][..],
                "Hi\n",
            ),
            (&["User:"], &["Us", "ed"], &["", "Used"], "Used"),
            (&["User:"], &["Us"], &[""], "Us"),
            (&["b", "ab"], &["xa", "b"], &["x", ""], "x"),
            (&["é!"], &["aé", "é!"], &["a", "é"], "aé"),
            (&[], &["a", "b"], &["a", "b"], "ab"),
        ] {
            let found = written(stops, pieces);
            assert_eq!(found.0, steps, "{stops:?} {pieces:?}");
            assert_eq!(found.1, text, "{stops:?} {pieces:?}");
        }
    }
}
