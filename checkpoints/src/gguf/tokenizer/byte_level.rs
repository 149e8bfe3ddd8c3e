//! Byte-level BPE: bytes as printable characters, merged pair by pair within the words that a pre-tokenizer cuts.

use tokenizers::SplitDelimiterBehavior;
use tokenizers::Tokenizer as Inner;
use tokenizers::models::bpe::BPE;
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::byte_level::ByteLevel;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};

use super::super::error::GgufError;
use super::{Built, Vocabulary};

const PRE: &str = "tokenizer.ggml.pre";
const MERGES: &str = "tokenizer.ggml.merges";

/// Words of Llama 3: at most three digits stay together.
const LLAMA_3: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// Words of Qwen 2: every digit is one.
const QWEN_2: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*",
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// How words are cut, by the names in files.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Words {
    /// GPT-2.
    Gpt2,
    /// SmolLM, StarCoder: digits one by one, the rest as in GPT-2.
    Digits,
    /// Llama 3.
    Llama3,
    /// Qwen 2, whose texts are normalised first.
    Qwen2,
}

impl Words {
    const KNOWN: &str = "gpt-2, smollm, starcoder, llama-bpe and qwen2";

    fn named(name: &str) -> Option<Self> {
        match name {
            "gpt-2" => Some(Self::Gpt2),
            "smollm" | "starcoder" => Some(Self::Digits),
            "llama-bpe" | "llama3" | "llama-v3" => Some(Self::Llama3),
            "qwen2" => Some(Self::Qwen2),
            _ => None,
        }
    }

    fn pre_tokenizer(self) -> tokenizers::Result<PreTokenizerWrapper> {
        let bytes = |regex| ByteLevel::new(false, true, regex);
        let split = |pattern: &str| {
            let pattern = SplitPattern::Regex(pattern.to_string());
            let split = Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?;
            let parts = vec![split.into(), bytes(false).into()];
            Ok(Sequence::new(parts).into())
        };
        match self {
            Self::Gpt2 => Ok(bytes(true).into()),
            Self::Digits => {
                let parts = vec![Digits::new(true).into(), bytes(true).into()];
                Ok(Sequence::new(parts).into())
            }
            Self::Llama3 => split(LLAMA_3),
            Self::Qwen2 => split(QWEN_2),
        }
    }
}

/// The tokenizer of a file of the kind `gpt2`.
pub(super) fn build(vocabulary: &Vocabulary) -> Result<tokenizers::Result<Built>, GgufError> {
    let metadata = vocabulary.metadata;
    let name = metadata.needed(PRE, metadata.text(PRE)?)?;
    let words = Words::named(name);
    let words = words.ok_or_else(|| metadata.unsupported("pre-tokenizer", name, Words::KNOWN))?;
    let merges = metadata.needed(MERGES, metadata.texts(MERGES)?)?;
    let mut pairs = Vec::with_capacity(merges.len());
    for merge in merges.iter() {
        let Some((first, second)) = merge.split_once(' ') else {
            let found = format!("the merge {merge:?}");
            let expected = "two parts with a space between".to_string();
            return Err(metadata.unusable(MERGES, found, expected));
        };
        pairs.push((first.to_string(), second.to_string()));
    }
    let bpe = BPE::builder()
        .vocab_and_merges(vocabulary.numbers(), pairs)
        // Llama 3 takes a word that is a token whole, whatever its merges.
        .ignore_merges(words == Words::Llama3)
        .build();
    Ok(bpe.and_then(|bpe| {
        let mut inner = Inner::new(bpe);
        if words == Words::Qwen2 {
            inner.with_normalizer(Some(NFC))?;
        }
        inner.with_pre_tokenizer(Some(words.pre_tokenizer()?));
        inner.with_decoder(Some(ByteLevel::default()));
        Ok(Built {
            inner,
            begins: words == Words::Llama3,
        })
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    use super::*;

    /// Worked by hand from the regular expressions of each model.
    #[test]
    fn words_are_cut_as_in_their_models() {
        const TEXT: &str = "I'll pay 12345 now!!\n\n  ok";
        for (name, words) in [
            ("gpt-2", "I|'ll| pay| 12345| now|!!|\n\n | ok"),
            ("smollm", "I|'ll| pay| |1|2|3|4|5| now|!!|\n\n | ok"),
            ("llama-bpe", "I|'ll| pay| |123|45| now|!!\n\n| | ok"),
            ("qwen2", "I|'ll| pay| |1|2|3|4|5| now|!!\n\n| | ok"),
        ] {
            let mut text = PreTokenizedString::from(TEXT);
            let words_of = Words::named(name).unwrap().pre_tokenizer().unwrap();
            words_of.pre_tokenize(&mut text).unwrap();
            let splits = text.get_splits(OffsetReferential::Original, OffsetType::Byte);
            let found: Vec<String> = splits
                .iter()
                .map(|(word, _, _)| word.replace('Ġ', " ").replace('Ċ', "\n"))
                .collect();
            assert_eq!(found.join("|"), words, "{name}");
        }
        assert!(Words::named("default").is_none());
    }
}
