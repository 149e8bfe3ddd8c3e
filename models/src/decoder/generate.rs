//! Texts that a decoder continues.

use std::ops::ControlFlow;

use burn::tensor::{Tensor, TensorData};

use super::{Adapter, Cache, Decoder, DecoderError, Sampling};

/// How a text is continued.
#[derive(Clone, Debug, Default)]
pub struct Generation {
    /// Tokens to add at most.
    pub max_new_tokens: usize,
    /// How each is chosen.
    pub sampling: Sampling,
    /// Texts or tokens that end the text earlier.
    pub stop: Stop,
}

/// Texts and tokens that end a text.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stop {
    /// Tokens that end it, and are not part of it.
    pub tokens: Vec<u32>,
    /// Sequences of tokens that end it, and are part of it.
    pub sequences: Vec<Vec<u32>>,
}

impl Stop {
    /// Whether what was generated ends with a sequence that ends a text.
    fn ends(&self, generated: &[u32]) -> bool {
        let sequences = self.sequences.iter();
        sequences
            .filter(|sequence| !sequence.is_empty())
            .any(|sequence| generated.ends_with(sequence))
    }
}

impl Generation {
    /// The tokens that follow the first `prompt` of text number `text`, each handed to `each` as it comes; `each` may end the text.
    /// `logits` gives the logits after those that were written so far.
    ///
    /// # Errors
    /// Those of [`Sampling`].
    pub(crate) fn after<const D: usize>(
        &self,
        text: u64,
        prompt: usize,
        mut logits: impl FnMut(&[u32]) -> Tensor<D>,
        mut each: impl FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Vec<u32>, DecoderError> {
        self.sampling.check()?;
        let mut written = Vec::new();
        while written.len() < self.max_new_tokens {
            let position = prompt + written.len();
            let logits = read_back(logits(&written), position)?;
            let token = self.sampling.choose(&logits, text, position)?;
            if self.stop.tokens.contains(&token) {
                break;
            }
            written.push(token);
            if each(token).is_break() || self.stop.ends(&written) {
                break;
            }
        }
        Ok(written)
    }
}

impl Decoder {
    /// The tokens that follow `prompt`, each handed to `each` as it comes; `each` may end the text.
    ///
    /// Call it on a decoder without gradients ([`valid`](burn::module::Module::valid)): a tape would grow with every token.
    ///
    /// # Errors
    /// Those of [`check_tokens`](Self::check_tokens) and [`Sampling`].
    pub fn generate(
        &self,
        prompt: &[u32],
        adapter: Option<&Adapter>,
        generation: &Generation,
        each: impl FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Vec<u32>, DecoderError> {
        self.generate_after(&mut Cache::new(), 0, prompt, adapter, generation, each)
    }

    /// The same, where `cache` has seen the first `seen` tokens of `prompt` already, with the same adapter: a conversation
    /// reads only what is new. Afterwards `cache` has seen all tokens but the last that was generated.
    ///
    /// # Errors
    /// As [`generate`](Self::generate), and [`DecoderError::Empty`] where the cache has seen the whole prompt.
    pub fn generate_after(
        &self,
        cache: &mut Cache,
        seen: usize,
        prompt: &[u32],
        adapter: Option<&Adapter>,
        generation: &Generation,
        each: impl FnMut(u32) -> ControlFlow<()>,
    ) -> Result<Vec<u32>, DecoderError> {
        generation.sampling.check()?;
        let further = generation.max_new_tokens + adapter.map_or(0, Adapter::virtual_tokens);
        self.check_tokens(prompt, further)?;
        let mut next = prompt.get(seen..).unwrap_or_default().to_vec();
        if next.is_empty() {
            return Err(DecoderError::Empty);
        }
        let logits = |written: &[u32]| {
            if let Some(last) = written.last() {
                next = vec![*last];
            }
            self.last_logits(self.hidden(self.tokens(&next), adapter, cache))
        };
        generation.after(0, prompt.len(), logits, each)
    }

    /// The tokens that follow each of `prompts`, all texts at once. Shorter prompts are filled up in front with tokens that
    /// nothing sees.
    ///
    /// # Errors
    /// As [`generate`](Self::generate).
    pub fn generate_batch(
        &self,
        prompts: &[Vec<u32>],
        adapter: Option<&Adapter>,
        generation: &Generation,
    ) -> Result<Vec<Vec<u32>>, DecoderError> {
        generation.sampling.check()?;
        let further = generation.max_new_tokens + adapter.map_or(0, Adapter::virtual_tokens);
        for prompt in prompts {
            self.check_tokens(prompt, further)?;
        }
        let longest = prompts.iter().map(Vec::len).max().unwrap_or(0);
        let padding: Vec<usize> = prompts
            .iter()
            .map(|prompt| longest - prompt.len())
            .collect();
        let filled = prompts.iter().zip(&padding).flat_map(|(prompt, padding)| {
            std::iter::repeat_n(0, *padding).chain(prompt.iter().map(|token| i64::from(*token)))
        });
        let mut next: Vec<i64> = filled.collect();
        let mut width = longest;
        let mut cache = Cache::padded(padding);
        let mut texts = vec![Vec::new(); prompts.len()];
        let mut ended = vec![generation.max_new_tokens == 0; prompts.len()];
        while ended.contains(&false) {
            let tokens = TensorData::new(next, [prompts.len(), width]);
            let tokens = Tensor::from_data(tokens, &self.device());
            let logits = self.last_logits(self.hidden(tokens, adapter, &mut cache));
            let written = texts.iter().map(Vec::len).max().unwrap_or(0);
            let logits = read_back(logits, longest + written)?;
            width = 1;
            next = Vec::with_capacity(prompts.len());
            for (text, logits) in logits.chunks(self.config().vocabulary).enumerate() {
                let position = prompts[text].len() + texts[text].len();
                let mut token = 0;
                if !ended[text] {
                    token = generation.sampling.choose(logits, text as u64, position)?;
                    let stops = generation.stop.tokens.contains(&token);
                    if !stops {
                        texts[text].push(token);
                    }
                    ended[text] = stops
                        || texts[text].len() == generation.max_new_tokens
                        || generation.stop.ends(&texts[text]);
                }
                next.push(i64::from(token));
            }
        }
        Ok(texts)
    }

    /// Logits after the last place of every text.
    fn last_logits(&self, hidden: Tensor<3>) -> Tensor<3> {
        let [_, places, _] = hidden.dims();
        self.logits(hidden.narrow(1, places - 1, 1))
    }
}

/// The values of `logits` of the token at place `position`.
fn read_back<const D: usize>(logits: Tensor<D>, position: usize) -> Result<Vec<f32>, DecoderError> {
    let values = logits.into_data().try_into_vec_as::<f32>();
    values.map_err(|_| DecoderError::NotFinite { position })
}
