//! What a language model answers.

use crossburn_checkpoints::Tokenizer;
use crossburn_models::decoder::{Adapter, Decoder, Generation, Sampling, Stop};

use super::super::answers::line_ends;
use crate::TrainingError;

/// Lets a model answer questions, by greedy decoding until a line ends.
#[derive(Clone, Debug)]
pub struct Writer<'a> {
    tokenizer: &'a Tokenizer,
    generation: Generation,
}

impl<'a> Writer<'a> {
    /// Answers of at most `most` tokens of `tokenizer`.
    ///
    /// # Errors
    /// Those of the tokenizer.
    pub fn new(tokenizer: &'a Tokenizer, most: usize) -> Result<Self, TrainingError> {
        Ok(Self {
            generation: Generation {
                max_new_tokens: most,
                sampling: Sampling::greedy(),
                stop: Stop {
                    tokens: tokenizer.end().to_vec(),
                    sequences: line_ends(tokenizer)?,
                },
            },
            tokenizer,
        })
    }

    /// Tokens of an answer at most.
    pub fn most(&self) -> usize {
        self.generation.max_new_tokens
    }

    /// What `network`, without autodiff, writes after each of `prompts`: its first line.
    ///
    /// # Errors
    /// [`TrainingError::Failed`] for prompts that are too long, and outputs that are not finite.
    pub fn answers(
        &self,
        network: &Decoder,
        adapter: Option<&Adapter>,
        prompts: &[Vec<u32>],
    ) -> Result<Vec<String>, TrainingError> {
        let written = network.generate_batch(prompts, adapter, &self.generation);
        let written = written.map_err(|cause| TrainingError::Failed {
            what: "the language model".to_string(),
            place: "what comes after its questions".to_string(),
            cause: cause.to_string(),
        })?;
        let text = |tokens: &Vec<u32>| Ok(answer_of(&self.tokenizer.decode(tokens)?).to_string());
        written.iter().map(text).collect()
    }
}

/// The answer in a text: its first line, without blanks around it.
pub fn answer_of(text: &str) -> &str {
    text.split('\n').next().unwrap_or_default().trim()
}
