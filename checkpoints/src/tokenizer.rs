//! From text to token numbers and back.

use std::path::{Path, PathBuf};

use serde_json::Value;
use tokenizers::Tokenizer as Inner;

use crate::CheckpointError;
use crate::hugging_face::read_json;

pub(crate) const FILE: &str = "tokenizer.json";

/// The file that names the tokens at the beginning and the end of a text.
pub(crate) const SPECIAL: &str = "tokenizer_config.json";

/// The tokenizer of a model folder, with the tokens that begin and end a text.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    pub(crate) inner: Inner,
    path: PathBuf,
    pub(crate) begin: Option<u32>,
    pub(crate) end: Vec<u32>,
}

impl Tokenizer {
    /// The tokenizer in the folder `folder`, for a network of `vocabulary` tokens.
    ///
    /// What begins and ends a text is read from `generation_config.json`, `config.json` and `tokenizer_config.json`, the first
    /// that says so.
    ///
    /// # Errors
    /// [`CheckpointError::Tokenizer`] for a folder without `tokenizer.json`, for one that cannot be read, and for tokens that
    /// the network does not have.
    pub fn open(folder: &Path, vocabulary: usize) -> Result<Self, CheckpointError> {
        let path = folder.join(FILE);
        let refuse = |cause: String| CheckpointError::Tokenizer {
            path: path.clone(),
            cause,
        };
        if !path.is_file() {
            return Err(refuse(
                "there is no such file; download the tokenizer of the model into its folder"
                    .to_string(),
            ));
        }
        let bytes = std::fs::read(&path).map_err(CheckpointError::reading(&path))?;
        let inner = Inner::from_bytes(bytes).map_err(|cause| {
            refuse(format!(
                "it is not a readable tokenizer ({cause}); download it again"
            ))
        })?;
        let documents = ["generation_config.json", "config.json", SPECIAL]
            .map(|name| folder.join(name))
            .into_iter()
            .filter(|path| path.is_file())
            .map(|path| read_json(&path))
            .collect::<Result<Vec<Value>, _>>()?;
        let special = |name: &str| {
            let found = documents
                .iter()
                .map(|document| numbers(&inner, document, name));
            found.into_iter().find(|tokens| !tokens.is_empty())
        };
        let (begin, end) = (special("bos"), special("eos"));
        let begin = begin.and_then(|tokens| tokens.first().copied());
        Self::new(inner, &path, vocabulary, begin, end.unwrap_or_default())
    }

    /// A tokenizer of the file `path`, for a network of `vocabulary` tokens.
    ///
    /// # Errors
    /// [`CheckpointError::Tokenizer`] for tokens that the network does not have.
    pub(crate) fn new(
        mut inner: Inner,
        path: &Path,
        vocabulary: usize,
        begin: Option<u32>,
        end: Vec<u32>,
    ) -> Result<Self, CheckpointError> {
        let refuse = |cause: String| CheckpointError::Tokenizer {
            path: path.into(),
            cause,
        };
        // Lengths are the business of whoever makes batches, not of the file.
        inner.with_padding(None);
        let untruncated = inner.with_truncation(None).map(|_| ());
        untruncated.map_err(|cause| refuse(cause.to_string()))?;
        let highest = inner.get_vocab(true).into_values().max().unwrap_or(0);
        if highest as usize >= vocabulary {
            return Err(refuse(format!(
                "it has a token {highest}, the model has {vocabulary} tokens; take the tokenizer that belongs to the model"
            )));
        }
        Ok(Self {
            inner,
            path: path.into(),
            begin,
            end,
        })
    }

    /// The token that begins a text, where the model has one.
    pub fn begin(&self) -> Option<u32> {
        self.begin
    }

    /// The tokens that end a text, first the one that is written after a text.
    pub fn end(&self) -> &[u32] {
        &self.end
    }

    /// How `token` is spelled in the vocabulary, such as `<s>`.
    pub fn spelling(&self, token: u32) -> Option<String> {
        self.inner.id_to_token(token)
    }

    /// Number of tokens.
    pub fn tokens(&self) -> usize {
        self.inner.get_vocab_size(true)
    }

    fn refused(&self) -> impl Fn(tokenizers::Error) -> CheckpointError {
        |cause| CheckpointError::Tokenizer {
            path: self.path.clone(),
            cause: format!("{cause}; take the tokenizer that belongs to the model"),
        }
    }

    /// The tokens of `text`, with those that the tokenizer puts around a text where `around` says so.
    ///
    /// # Errors
    /// [`CheckpointError::Tokenizer`] for a text that the tokenizer cannot spell.
    pub fn encode(&self, text: &str, around: bool) -> Result<Vec<u32>, CheckpointError> {
        let encoded = self.inner.encode(text, around).map_err(self.refused())?;
        Ok(encoded.get_ids().to_vec())
    }

    /// The text of `tokens`, without those that begin and end a text or steer the model.
    ///
    /// # Errors
    /// [`CheckpointError::Tokenizer`].
    pub fn decode(&self, tokens: &[u32]) -> Result<String, CheckpointError> {
        self.inner.decode(tokens, true).map_err(self.refused())
    }

    /// A text that grows token by token.
    pub fn stream<'a>(&'a self, before: &[u32]) -> TextStream<'a> {
        TextStream {
            tokenizer: self,
            tokens: before.to_vec(),
            first: 0,
            shown: None,
        }
    }
}

/// A text that grows token by token. A character whose bytes come in several tokens is given when it is whole.
#[derive(Clone, Debug)]
pub struct TextStream<'a> {
    tokenizer: &'a Tokenizer,
    /// The last tokens of the text, from a place where a character begins.
    tokens: Vec<u32>,
    /// The first token that was not given out.
    first: usize,
    /// Text of the tokens before; not known at the start.
    shown: Option<String>,
}

impl TextStream<'_> {
    /// The text that `token` adds; empty if a character is not complete yet.
    ///
    /// # Errors
    /// [`CheckpointError::Tokenizer`].
    pub fn push(&mut self, token: u32) -> Result<String, CheckpointError> {
        let shown = match self.shown.take() {
            Some(shown) => shown,
            None => {
                self.first = self.tokens.len();
                self.tokenizer.decode(&self.tokens)?
            }
        };
        self.tokens.push(token);
        let text = self.tokenizer.decode(&self.tokens)?;
        let new = text.strip_prefix(shown.as_str()).unwrap_or("").to_string();
        if new.is_empty() || new.ends_with('\u{fffd}') {
            self.shown = Some(shown);
            return Ok(String::new());
        }
        // The last given tokens stay as context, because a following space may depend on them.
        self.tokens.drain(..self.first);
        self.first = self.tokens.len();
        self.shown = Some(self.tokenizer.decode(&self.tokens)?);
        Ok(new)
    }
}

/// The tokens `NAME_token_id` (a number or a list) or `NAME_token` (a text, or an object with one) of a document.
fn numbers(tokenizer: &Inner, document: &Value, name: &str) -> Vec<u32> {
    let number = |value: &Value| value.as_u64().and_then(|token| u32::try_from(token).ok());
    let by_number = match document.get(format!("{name}_token_id")) {
        Some(Value::Array(values)) => values.iter().filter_map(number).collect(),
        Some(value) => number(value).into_iter().collect(),
        None => Vec::new(),
    };
    if !by_number.is_empty() {
        return by_number;
    }
    let text = document.get(format!("{name}_token")).and_then(|value| {
        let content = value.get("content").unwrap_or(value);
        content.as_str()
    });
    let token = text.and_then(|text| tokenizer.token_to_id(text));
    token.into_iter().collect()
}
