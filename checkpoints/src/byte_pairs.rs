//! A tokenizer of one's own: byte pairs, learned from a text.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};
use tokenizers::models::bpe::{BPE, BpeTrainer};
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::{AddedToken, Tokenizer as Inner, TokenizerImpl};

use crate::tokenizer::{FILE, SPECIAL};
use crate::{CheckpointError, Tokenizer, write_bytes};

/// The token that ends a text, as in files of texts such as TinyStories.
const END: &str = "<|endoftext|>";

/// Tokens of the smallest vocabulary: every byte, and the end of a text.
const LEAST: usize = 257;

impl Tokenizer {
    /// Learns at most `vocabulary` tokens from the parts of a text: every byte, and the pairs that are most frequent. The same
    /// text gives the same tokens. A text with fewer pairs gives fewer tokens.
    ///
    /// # Errors
    /// [`CheckpointError::Vocabulary`] for fewer tokens than there are bytes.
    ///
    /// # Source
    /// Sennrich et al. 2016 (arXiv 1508.07909); on bytes, as Radford et al. 2019 (GPT-2) do.
    ///
    /// ```
    /// use crossburn_checkpoints::Tokenizer;
    ///
    /// let tokenizer = Tokenizer::byte_pairs(["the cat, the hat, the mat"], 260)?;
    /// let tokens = tokenizer.encode("the bat: 蝙蝠", false)?;
    /// assert_eq!(tokenizer.decode(&tokens)?, "the bat: 蝙蝠");
    /// assert!(tokens.len() < "the bat: 蝙蝠".len());
    /// # Ok::<(), crossburn_checkpoints::CheckpointError>(())
    /// ```
    pub fn byte_pairs<'a>(
        parts: impl IntoIterator<Item = &'a str>,
        vocabulary: usize,
    ) -> Result<Self, CheckpointError> {
        if vocabulary < LEAST {
            return Err(CheckpointError::Vocabulary {
                asked: vocabulary,
                least: LEAST,
            });
        }
        let failed = |cause: tokenizers::Error| CheckpointError::Tokenizer {
            path: PathBuf::from(FILE),
            cause: cause.to_string(),
        };
        let mut trainer = BpeTrainer::builder()
            .vocab_size(vocabulary)
            .show_progress(false)
            .special_tokens(vec![AddedToken::from(END, true)])
            .initial_alphabet(ByteLevel::alphabet().into_iter().collect())
            .build();
        // No space is put before a text, so that what is decoded is what was encoded.
        let bytes = ByteLevel::new(false, true, true);
        let mut inner: TokenizerImpl<
            BPE,
            tokenizers::NormalizerWrapper,
            ByteLevel,
            tokenizers::PostProcessorWrapper,
            ByteLevel,
        > = TokenizerImpl::new(BPE::default());
        inner.with_pre_tokenizer(Some(bytes));
        inner.with_decoder(Some(bytes));
        let parts: Vec<&str> = parts.into_iter().collect();
        inner
            .train(&mut trainer, parts.into_iter())
            .map_err(failed)?;
        // Through its file, so that it is the one that will be read.
        let text = inner.to_string(false).map_err(failed)?;
        let inner = Inner::from_bytes(text).map_err(failed)?;
        let end = inner.token_to_id(END).into_iter().collect();
        Self::new(inner, Path::new(FILE), vocabulary, None, end)
    }

    /// Writes the tokenizer into `folder`, where [`open`](Self::open) reads it.
    ///
    /// # Errors
    /// [`CheckpointError::Tokenizer`], [`CheckpointError::Write`].
    pub fn save(&self, folder: &Path) -> Result<(), CheckpointError> {
        let path = folder.join(FILE);
        let refuse = |cause: tokenizers::Error| CheckpointError::Tokenizer {
            path: path.clone(),
            cause: cause.to_string(),
        };
        let text = self.inner.to_string(false).map_err(refuse)?;
        let mut special = Map::new();
        let mut named = |name: &str, token: Option<u32>| {
            if let Some(spelling) = token.and_then(|token| self.spelling(token)) {
                special.insert(name.to_string(), Value::String(spelling));
            }
        };
        named("bos_token", self.begin());
        named("eos_token", self.end().first().copied());
        std::fs::create_dir_all(folder).map_err(CheckpointError::writing(folder))?;
        write_bytes(&path, text.as_bytes())?;
        let special = format!("{:#}\n", Value::Object(special));
        write_bytes(&folder.join(SPECIAL), special.as_bytes())
    }

    /// The tokens before a text that the tokenizer puts there, such as one that begins it.
    ///
    /// # Errors
    /// [`CheckpointError::Tokenizer`].
    pub fn opening(&self) -> Result<Vec<u32>, CheckpointError> {
        // The tokens around an empty text; a token that ends a text comes last.
        let around = self.encode("", true)?;
        let ends = |token: &u32| self.end.contains(token) && Some(*token) != self.begin;
        Ok(around
            .into_iter()
            .take_while(|token| !ends(token))
            .collect())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_merged_by_their_number_and_a_file_gives_the_same_tokens() {
        // "ab" comes six times, " ab" five times, "cd" twice, " cd" once.
        let text = "ab ab ab ab ab ab cdcd cd";
        let tokenizer = Tokenizer::byte_pairs([text], 259).unwrap();
        assert_eq!(tokenizer.tokens(), 259);
        // Byte 'Ġ' is the space: merges are a+b, then Ġ+ab.
        let tokens = tokenizer.encode("ab ab", false).unwrap();
        let spelled: Vec<_> = tokens
            .iter()
            .map(|token| tokenizer.spelling(*token).unwrap())
            .collect();
        assert_eq!(spelled, ["ab", "Ġab"]);
        assert_eq!(tokenizer.encode("cd", false).unwrap().len(), 2);

        let folder = tempfile::tempdir().unwrap();
        tokenizer.save(folder.path()).unwrap();
        let again = Tokenizer::open(folder.path(), 259).unwrap();
        assert_eq!(
            again.encode(text, false).unwrap(),
            tokenizer.encode(text, false).unwrap()
        );
        assert_eq!((again.begin(), again.end()), (None, tokenizer.end()));
        assert_eq!(again.end().len(), 1);
        assert!(again.opening().unwrap().is_empty());
        let end = again.encode("ab<|endoftext|>ab", false).unwrap();
        assert_eq!(end.len(), 3);
        assert_eq!(end[1], again.end()[0]);
        // A smaller network does not have all tokens.
        assert!(Tokenizer::open(folder.path(), 258).is_err());
        assert!(Tokenizer::byte_pairs([text], 256).is_err());
    }

    #[test]
    fn the_same_text_gives_the_same_file() {
        let words = ["noise", "chip", "array", "weight", "cell", "pulse"];
        let text: Vec<String> = (0..2000)
            .map(|i| format!("{} {} ", words[i % 6], words[i * 7 % 5]))
            .collect();
        let file = || {
            let folder = tempfile::tempdir().unwrap();
            let tokenizer = Tokenizer::byte_pairs(text.iter().map(String::as_str), 400).unwrap();
            tokenizer.save(folder.path()).unwrap();
            std::fs::read(folder.path().join(FILE)).unwrap()
        };
        assert_eq!(file(), file());
    }
}
