//! The tokenizer that a GGUF file carries: byte-level BPE with its merges, or SentencePiece with the scores of its pieces.
//!
//! # Source
//!
//! The GGUF specification (`docs/gguf.md` of ggml), section "Tokenizer", for the keys; `src/llama-vocab.cpp` of llama.cpp for
//! what a file leaves unsaid.

mod byte_level;
mod sentence_piece;

use std::collections::BTreeSet;

use tokenizers::models::bpe::Vocab;
use tokenizers::processors::template::TemplateProcessing;
use tokenizers::{AddedToken, Tokenizer as Inner};

use super::container::GgufFile;
use super::error::GgufError;
use super::metadata::{Array, Metadata};
use super::texts::Texts;
use crate::{CheckpointError, Tokenizer};

const MODEL: &str = "tokenizer.ggml.model";
const TOKENS: &str = "tokenizer.ggml.tokens";
const KINDS: &str = "tokenizer.ggml.token_type";

/// Tokens that end a turn or a text in some model, by the names that llama.cpp looks for: a file names one of them alone.
const ENDS: [&str; 7] = [
    "<|eot_id|>",
    "<|eom_id|>",
    "<|im_end|>",
    "<|end|>",
    "<|endoftext|>",
    "<|end_of_text|>",
    "<end_of_turn>",
];

/// Kinds of tokens, by their number in files.
mod kind {
    /// A token that steers the model and is no text.
    pub(super) const CONTROL: i64 = 3;
    /// A token that is looked for in a text before all others.
    pub(super) const USER_DEFINED: i64 = 4;
    /// A byte of a character that is no token.
    pub(super) const BYTE: i64 = 6;
    /// The token for a text that cannot be spelled.
    pub(super) const UNKNOWN: i64 = 2;
}

/// The tokens of a file.
struct Vocabulary<'a> {
    metadata: &'a Metadata,
    tokens: &'a Texts,
    /// Their kinds; empty where the file does not say.
    kinds: Vec<i64>,
}

impl Vocabulary<'_> {
    fn token(&self, id: u32) -> Option<&str> {
        self.tokens.get(id as usize)
    }

    /// Numbers of tokens by their texts.
    fn numbers(&self) -> Vocab {
        let tokens = self.tokens.iter().zip(0u32..);
        tokens
            .map(|(token, number)| (token.to_string(), number))
            .collect()
    }

    /// Tokens of the kind `kind`.
    fn of_kind(&self, kind: i64) -> impl Iterator<Item = &str> {
        let tokens = self.tokens.iter().zip(&self.kinds);
        tokens.filter_map(move |(token, found)| (*found == kind).then_some(token))
    }

    /// The token with the name `tokenizer.ggml.NAME_token_id`.
    fn special(&self, name: &str) -> Result<Option<u32>, GgufError> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let Some(found) = self.metadata.count(&key)? else {
            return Ok(None);
        };
        let token = u32::try_from(found).ok();
        match token.filter(|token| self.token(*token).is_some()) {
            Some(token) => Ok(Some(token)),
            None => {
                let expected = format!("a number below the {} tokens", self.tokens.len());
                Err(self.metadata.unusable(&key, found.to_string(), expected))
            }
        }
    }

    /// Whether the file asks for a token around each text.
    fn flag(&self, name: &str) -> Result<Option<bool>, GgufError> {
        self.metadata.bool(&format!("tokenizer.ggml.{name}"))
    }
}

/// A tokenizer without the tokens that are looked for first and those around a text.
struct Built {
    inner: Inner,
    /// Whether texts begin with the token of their kind where the file does not say.
    begins: bool,
}

impl<B: AsRef<[u8]>> GgufFile<B> {
    /// The tokenizer of the file, for a network of `vocabulary` tokens.
    ///
    /// # Errors
    /// [`CheckpointError::Gguf`] for a file without a tokenizer or with one of another kind than byte-level BPE and
    /// SentencePiece, [`CheckpointError::Tokenizer`] for one that contradicts itself or the network.
    pub fn tokenizer(&self, vocabulary: usize) -> Result<Tokenizer, CheckpointError> {
        let metadata = self.metadata();
        let tokens = metadata.needed(TOKENS, metadata.texts(TOKENS)?)?;
        let kinds = match metadata.array(KINDS)?.map(Array::integers) {
            Some(Some(kinds)) if kinds.len() == tokens.len() => kinds,
            Some(_) => {
                let expected = format!("a whole number for each of the {} tokens", tokens.len());
                return Err(metadata
                    .unusable(KINDS, "another list".to_string(), expected)
                    .into());
            }
            None => Vec::new(),
        };
        let held = Vocabulary {
            metadata,
            tokens,
            kinds,
        };
        let refuse = |cause: String| CheckpointError::Tokenizer {
            path: self.path().into(),
            cause: format!("its tokenizer cannot be built ({cause}); convert the model again"),
        };
        let built = match metadata.needed(MODEL, metadata.text(MODEL)?)? {
            "gpt2" => byte_level::build(&held)?,
            "llama" => sentence_piece::build(&held)?,
            other => {
                let known = "gpt2 (byte-level BPE) and llama (SentencePiece)";
                return Err(metadata.unsupported("tokenizer", other, known).into());
            }
        };
        let Built { mut inner, begins } = built.map_err(|cause| refuse(cause.to_string()))?;
        let control = held
            .of_kind(kind::CONTROL)
            .chain(held.of_kind(kind::UNKNOWN))
            .map(|token| AddedToken::from(token, true).normalized(false));
        let control: Vec<AddedToken> = control.collect();
        let defined = held
            .of_kind(kind::USER_DEFINED)
            .map(|token| AddedToken::from(token, false).normalized(false));
        let defined: Vec<AddedToken> = defined.collect();
        let added = inner.add_special_tokens(control);
        let added = added.and_then(|_| inner.add_tokens(defined));
        added.map_err(|cause| refuse(cause.to_string()))?;

        let (begin, end) = (held.special("bos")?, held.special("eos")?);
        let begins = held.flag("add_bos_token")?.unwrap_or(begins);
        let ends = held.flag("add_eos_token")?.unwrap_or(false);
        let around = [begin.filter(|_| begins), end.filter(|_| ends)];
        if around.iter().any(Option::is_some) {
            let template = template(&held, around).map_err(refuse)?;
            inner.with_post_processor(Some(template));
        }
        let mut stops: Vec<u32> = end.into_iter().collect();
        for name in ["eot", "eom"] {
            stops.extend(held.special(name)?);
        }
        let control = |token: &u32| {
            let kind = held.kinds.get(*token as usize);
            kind.is_some_and(|kind| [kind::CONTROL, kind::USER_DEFINED].contains(kind))
        };
        let named = ENDS.iter().filter_map(|name| inner.token_to_id(name));
        stops.extend(named.filter(control));
        // The one that the file names first: it is what a model writes after a text of its own.
        let mut seen = BTreeSet::new();
        stops.retain(|token| seen.insert(*token));
        Tokenizer::new(inner, self.path(), vocabulary, begin, stops)
    }
}

/// Puts tokens before and after a text.
fn template(
    vocabulary: &Vocabulary,
    [begin, end]: [Option<u32>; 2],
) -> Result<TemplateProcessing, String> {
    let named = |token: Option<u32>| {
        let token = token?;
        Some((vocabulary.token(token)?.to_string(), token))
    };
    let (begin, end) = (named(begin), named(end));
    let mut pieces = vec!["$A".to_string()];
    pieces.splice(0..0, begin.iter().map(|(name, _)| name.clone()));
    pieces.extend(end.iter().map(|(name, _)| name.clone()));
    let special: Vec<(String, u32)> = begin.into_iter().chain(end).collect();
    let mut builder = TemplateProcessing::builder();
    builder.try_single(pieces)?.special_tokens(special);
    builder.build().map_err(|cause| cause.to_string())
}
