//! From texts to sequences of tokens.

use crossburn_checkpoints::Tokenizer;
use rayon::prelude::*;

use super::LanguageModellingConfig;
use crate::TrainingError;
use crate::data::{Corpus, Passage};

/// Bytes of a running text that are taken at once; a part ends with a line.
const PART: usize = 1 << 16;

/// Some tokens in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sequence {
    /// The tokens.
    pub tokens: Vec<u32>,
    /// The first of them that is to be predicted; those after it are, too. At least 1.
    pub first: usize,
}

impl Sequence {
    /// The tokens before those that are to be predicted.
    pub(super) fn prompt(&self) -> &[u32] {
        &self.tokens[..self.first]
    }
}

/// What a network and its tokenizer take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// Tokens of a window of running text.
    pub(crate) window: usize,
    /// Tokens of the longest sequence.
    pub(crate) positions: usize,
}

impl Limits {
    /// Tokens of a window unless told.
    const WINDOW: usize = 256;

    /// For a network that takes `positions` tokens.
    ///
    /// # Errors
    /// A window that it does not take.
    pub(crate) fn new(
        config: &LanguageModellingConfig,
        positions: usize,
    ) -> Result<Self, TrainingError> {
        let window = config.window.unwrap_or(positions.min(Self::WINDOW));
        match window < 2 || window > positions {
            true => Err(TrainingError::setting(
                "task.window",
                window,
                "2 or more tokens, and no more than the network takes",
            )),
            false => Ok(Self { window, positions }),
        }
    }
}

/// The sequences of a corpus: a running text is cut into windows that do not overlap, a passage is one sequence.
pub(crate) fn sequences(
    corpus: &Corpus,
    tokenizer: &Tokenizer,
    limits: Limits,
) -> Result<Vec<Sequence>, TrainingError> {
    let opening = tokenizer.opening()?;
    match corpus {
        Corpus::Running(text) => windows(text, tokenizer, &opening, limits.window),
        Corpus::Passages(passages) => passages
            .iter()
            .map(|passage| of_passage(passage, tokenizer, &opening, limits.positions))
            .collect(),
    }
}

/// The parts of a running text, which are tokenized one by one.
pub(crate) fn parts(text: &str) -> Vec<&str> {
    let mut parts = Vec::new();
    let mut rest = text;
    while rest.len() > PART {
        // A line feed is a character of its own.
        let end = rest.as_bytes()[PART..]
            .iter()
            .position(|byte| *byte == b'\n');
        let Some(end) = end else { break };
        let (part, others) = rest.split_at(PART + end + 1);
        parts.push(part);
        rest = others;
    }
    parts.push(rest);
    parts
}

/// Windows of `window` tokens, each opened as a text is; the last one may be shorter.
fn windows(
    text: &str,
    tokenizer: &Tokenizer,
    opening: &[u32],
    window: usize,
) -> Result<Vec<Sequence>, TrainingError> {
    let parts: Vec<Vec<u32>> = parts(text)
        .into_par_iter()
        .map(|part| tokenizer.encode(part, false))
        .collect::<Result<_, _>>()?;
    let tokens = parts.concat();
    let own = window.saturating_sub(opening.len()).max(2);
    let first = opening.len().max(1);
    let sequence = |tokens: &[u32]| Sequence {
        tokens: [opening, tokens].concat(),
        first,
    };
    let windows = tokens.chunks(own).map(sequence);
    // A single token that nothing stands before says nothing.
    let predicts = |sequence: &Sequence| sequence.tokens.len() > sequence.first;
    Ok(windows.filter(predicts).collect())
}

/// A passage, whose completion is to be predicted, and its end where the tokenizer has a token for that.
fn of_passage(
    passage: &Passage,
    tokenizer: &Tokenizer,
    opening: &[u32],
    positions: usize,
) -> Result<Sequence, TrainingError> {
    let refuse =
        |problem: String, remedy: &str| Err(TrainingError::data(&passage.place, problem, remedy));
    // Apart, so that the completion has the tokens that a model would write after the prompt.
    let prompt = match passage.prompt.is_empty() {
        true => Vec::new(),
        false => tokenizer.encode(&passage.prompt, false)?,
    };
    let completion = tokenizer.encode(&passage.completion, false)?;
    let end = tokenizer.end().first().copied().filter(|_| passage.ends);
    let before = opening.len() + prompt.len();
    let tokens: Vec<u32> = opening
        .iter()
        .chain(&prompt)
        .chain(&completion)
        .copied()
        .chain(end)
        .collect();
    if tokens.len() > positions {
        return refuse(
            format!(
                "it has {} tokens, the model takes {positions}",
                tokens.len()
            ),
            "shorten it",
        );
    }
    let first = before.max(1);
    match tokens.len() > first {
        true => Ok(Sequence { tokens, first }),
        false => refuse(
            "it leaves no token to predict".to_string(),
            "give a text of two tokens or more",
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn parts_are_the_text_and_end_with_lines() {
        let line = "a line of some length\n";
        let text = line.repeat(10_000);
        let cut = parts(&text);
        assert!(cut.len() == 4, "{}", cut.len());
        assert_eq!(cut.concat(), text);
        assert!(cut.iter().all(|part| part.ends_with('\n')));
        let long = "x".repeat(3 * PART);
        assert_eq!(parts(&long), [long.as_str()]);
        assert_eq!(parts("a"), ["a"]);
    }

    #[test]
    fn windows_do_not_overlap_and_completions_alone_are_learned() {
        let tokenizer = Tokenizer::byte_pairs(["none"], 257).unwrap();
        let limits = Limits {
            window: 4,
            positions: 8,
        };
        let running = Corpus::Running("abcdefghij".to_string());
        let found = sequences(&running, &tokenizer, limits).unwrap();
        let texts: Vec<String> = found
            .iter()
            .map(|s| tokenizer.decode(&s.tokens).unwrap())
            .collect();
        assert_eq!(texts, ["abcd", "efgh", "ij"]);
        assert!(found.iter().all(|sequence| sequence.first == 1));

        let passage = |prompt: &str, completion: &str| {
            let corpus = Corpus::Passages(vec![Passage {
                place: "u.jsonl, line 7".to_string(),
                prompt: prompt.to_string(),
                completion: completion.to_string(),
                profile: None,
                ends: true,
            }]);
            sequences(&corpus, &tokenizer, limits)
        };
        let found = passage("abc", " de").unwrap();
        // Three bytes, three bytes, the end.
        assert_eq!((found[0].tokens.len(), found[0].first), (7, 3));
        assert_eq!(found[0].tokens[6], tokenizer.end()[0]);
        assert_eq!(passage("", "ab").unwrap()[0].first, 1);
        let message = passage("abcd", " efg").unwrap_err().to_string();
        assert_eq!(
            message,
            "u.jsonl, line 7: it has 9 tokens, the model takes 8; shorten it"
        );
    }
}
