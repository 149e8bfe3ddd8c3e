//! SentencePiece: pieces with scores. Of two neighbours those are merged first whose piece has the highest score.
//!
//! Merges of BPE with that order do the same, and that is how Hugging Face reads such a vocabulary.
//!
//! # Source
//!
//! `SentencePieceExtractor` and `generate_merges` of transformers (`convert_slow_tokenizer.py`).

use tokenizers::Tokenizer as Inner;
use tokenizers::decoders::DecoderWrapper;
use tokenizers::decoders::byte_fallback::ByteFallback;
use tokenizers::decoders::fuse::Fuse;
use tokenizers::decoders::sequence::Sequence as Decoders;
use tokenizers::decoders::strip::Strip;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::NormalizerWrapper;
use tokenizers::normalizers::prepend::Prepend;
use tokenizers::normalizers::replace::Replace;
use tokenizers::normalizers::utils::Sequence as Normalizers;

use super::super::error::GgufError;
use super::super::metadata::Array;
use super::{Built, Vocabulary, kind};

const SCORES: &str = "tokenizer.ggml.scores";

/// The character for a space in pieces.
const SPACE: &str = "▁";

/// The tokenizer of a file of the kind `llama`.
pub(super) fn build(vocabulary: &Vocabulary) -> Result<tokenizers::Result<Built>, GgufError> {
    let metadata = vocabulary.metadata;
    let scores = match metadata.needed(SCORES, metadata.array(SCORES)?)? {
        Array::F32(scores) if scores.len() == vocabulary.tokens.len() => scores,
        _ => {
            let expected = format!(
                "a number for each of the {} tokens",
                vocabulary.tokens.len()
            );
            return Err(metadata.unusable(SCORES, "another list".to_string(), expected));
        }
    };
    let prefix = vocabulary.flag("add_space_prefix")?.unwrap_or(true);
    let numbers = vocabulary.numbers();
    let merges = merges(vocabulary, scores, &numbers);
    let mut bpe = BPE::builder()
        .vocab_and_merges(numbers, merges)
        .fuse_unk(true)
        .byte_fallback(vocabulary.of_kind(kind::BYTE).next().is_some());
    let unknown = vocabulary.special("unknown")?.unwrap_or(0);
    if let Some(unknown) = vocabulary.token(unknown) {
        bpe = bpe.unk_token(unknown.to_string());
    }
    Ok(bpe.build().and_then(|bpe| {
        let mut normalizers: Vec<NormalizerWrapper> = Vec::new();
        let mut decoders: Vec<DecoderWrapper> = vec![
            Replace::new(SPACE, " ")?.into(),
            ByteFallback::new().into(),
            Fuse::new().into(),
        ];
        if prefix {
            normalizers.push(Prepend::new(SPACE.to_string()).into());
            decoders.push(Strip::new(' ', 1, 0).into());
        }
        normalizers.push(Replace::new(" ", SPACE)?.into());
        let mut inner = Inner::new(bpe);
        inner.with_normalizer(Some(Normalizers::new(normalizers)))?;
        inner.with_decoder(Some(Decoders::new(decoders)));
        Ok(Built {
            inner,
            begins: true,
        })
    }))
}

/// Every way to put a piece together from two others, the piece with the highest score first.
fn merges(vocabulary: &Vocabulary, scores: &[f32], numbers: &Vocab) -> Vec<(String, String)> {
    let mut found = Vec::new();
    for (piece, score) in vocabulary.tokens.iter().zip(scores) {
        let cuts = piece.char_indices().skip(1);
        let pairs = cuts.filter_map(|(at, _)| {
            let (first, second) = piece.split_at(at);
            Some((*numbers.get(first)?, *numbers.get(second)?, first, second))
        });
        let mut pairs: Vec<_> = pairs.collect();
        pairs.sort_unstable();
        found.extend(pairs.into_iter().map(|pair| (*score, pair)));
    }
    // A stable order: of equal scores the piece with the lower number first.
    found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let merges = found.into_iter();
    merges
        .map(|(_, (_, _, first, second))| (first.to_string(), second.to_string()))
        .collect()
}
