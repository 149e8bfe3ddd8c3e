//! What a language model says of texts after prompts that were read.

use burn::tensor::Device;
use crossburn_models::CausalLanguageModel;
use crossburn_models::decoder::Decoder;

use super::super::{LanguageModelling, surprise};
use super::Prompts;
use super::tuning::{check_prompts, predictions};
use crate::TrainingError;
use crate::task::{Task, require_finite};
use crate::weight_gradients::values;

/// What a network says of the labelled tokens of one text.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct TextScore {
    /// `-ln p` of all labelled tokens.
    pub nats: f64,
    /// Labelled tokens that the network takes for the likeliest.
    pub right: usize,
    /// Labelled tokens.
    pub tokens: usize,
}

/// What the network says of each text, text `i` after the prompt `of_text[i]` of `prompts`, or after none; `batch` texts at a time.
///
/// # Errors
/// [`TrainingError::Data`] for texts without a prompt, [`TrainingError::NotFinite`] for outputs that are no numbers.
pub fn scored(
    (network, device): (&Decoder, &Device),
    prompts: Option<&Prompts>,
    (texts, of_text): (&LanguageModelling, &[usize]),
    batch: usize,
) -> Result<Vec<TextScore>, TrainingError> {
    if let Some(prompts) = prompts {
        check_prompts(texts, of_text, prompts.count())?;
    }
    let mut scores = vec![TextScore::default(); texts.items()];
    let all: Vec<usize> = (0..texts.items()).collect();
    for items in all.chunks(batch.max(1)) {
        let rows = texts.batch(items, device)?;
        let found = match prompts {
            Some(prompts) => {
                let of_rows: Vec<usize> = items.iter().map(|item| of_text[*item]).collect();
                predictions(network, prompts.tensor(device), &rows, &of_rows)
            }
            None => network.predict(&rows.tokens, rows.places, &rows.labels),
        };
        let vocabulary = found.logits.dims()[1];
        let logits = values(found.logits)?;
        let labelled = rows.labelled_items().zip(&found.targets);
        for (row, (item, target)) in logits.chunks(vocabulary).zip(labelled) {
            let item = items[item];
            require_finite(row, vocabulary).map_err(|error| error.at_item(item))?;
            let (nats, right) = surprise(row, *target as usize);
            let score = &mut scores[item];
            score.nats += nats;
            score.right += usize::from(right);
            score.tokens += 1;
        }
    }
    Ok(scores)
}

/// Whether the network says all labelled tokens of each text right, text `i` after the prompt `of_text[i]` of `prompts`.
///
/// # Errors
/// Those of [`scored`].
pub fn answered(
    network: (&Decoder, &Device),
    prompts: &Prompts,
    texts: &LanguageModelling,
    of_text: &[usize],
) -> Result<Vec<bool>, TrainingError> {
    let scores = scored(network, Some(prompts), (texts, of_text), texts.items())?;
    let all_right = |score: TextScore| score.right == score.tokens;
    Ok(scores.into_iter().map(all_right).collect())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_models::decoder::DecoderSizes;
    use crossburn_models::initialize;

    use super::*;
    use crate::{Batches, Sequence, evaluate};

    /// Without prompts, perplexity is that of the evaluation of all tasks; a prompt alone changes it, and batches do not.
    #[test]
    fn scores_add_up_to_the_perplexity_of_an_evaluation() {
        let device = Device::flex();
        let sizes = r#"{"vocabulary": 12, "width": 16, "heads": 2, "layers": 1, "context": 16}"#;
        let sizes: DecoderSizes = serde_json::from_str(sizes).unwrap();
        let network = initialize(sizes.init(&device).unwrap(), 1);
        let text = |i: u32| Sequence {
            tokens: (0..4 + i).map(|j| (i * 5 + j * j) % 12).collect(),
            first: 1 + i as usize % 2,
        };
        let texts = LanguageModelling::new((0..5).map(text).collect()).unwrap();
        let sums = |scores: &[TextScore]| {
            let tokens: usize = scores.iter().map(|score| score.tokens).sum();
            (scores.iter().map(|score| score.nats).sum::<f64>() / tokens as f64).exp()
        };
        let bare = |batch| scored((&network, &device), None, (&texts, &[]), batch).unwrap();
        let expected = evaluate(&network, &Batches::new(&texts, 5, &device).unwrap()).unwrap();
        for batch in [1, 2, 5] {
            // Sums of 32-bit products in another order.
            assert!((sums(&bare(batch)) - expected).abs() < 1e-4 * expected);
        }
        let tokens: Vec<usize> = bare(5).iter().map(|score| score.tokens).collect();
        assert_eq!(tokens, [3, 3, 5, 5, 7]);
        let prompts = Prompts::new(
            (0..2 * 2 * 16).map(|i| (i as f32).sin()).collect(),
            [2, 2, 16],
        );
        let of_text = [0, 1, 0, 1, 1];
        let after =
            |of: &[usize]| scored((&network, &device), Some(&prompts), (&texts, of), 2).unwrap();
        let (own, first) = (after(&of_text), after(&[0; 5]));
        assert_eq!((own[0], own[2]), (first[0], first[2]));
        assert_ne!(own[1], first[1]);
        assert_ne!(own[0], bare(2)[0]);
        let wrong = scored((&network, &device), Some(&prompts), (&texts, &[2; 5]), 2);
        assert!(wrong.unwrap_err().to_string().contains("no prompt 2"));
    }
}
