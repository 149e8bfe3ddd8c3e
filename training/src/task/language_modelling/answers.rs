//! What networks write after prompts, beside the completions that the prompts have.

use std::collections::BTreeMap;
use std::ops::Range;

use crossburn_checkpoints::Tokenizer;
use crossburn_hardware::layer::about_items;
use crossburn_models::CausalLanguageModel;
use crossburn_models::decoder::{Generation, Sampling, Stop};

use super::rouge::{rouge_1, rouge_l, words};
use super::{LanguageModellingConfig, Sequence, Surprise};
use crate::TrainingError;
use crate::data::{Corpus, Passage};

/// The completions of prompts, and how far a network continues these to be judged by them.
#[derive(Debug)]
pub(super) struct Answers {
    pub(super) config: LanguageModellingConfig,
    tokenizer: Tokenizer,
    /// Places that the network has.
    positions: usize,
    references: Vec<Reference>,
    /// What ends a text that ends with its line: tokens in which a line ends.
    line_ends: Vec<Vec<u32>>,
}

/// The completion of one prompt.
#[derive(Debug)]
struct Reference {
    words: Vec<String>,
    /// Whether a token ends it; otherwise its line does.
    ends: bool,
}

impl Answers {
    /// Those of the passages of `corpus`, of which `source` is the name.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for a running text, and by its place for a passage without a prompt or without a word in its completion.
    pub(super) fn new(
        corpus: &Corpus,
        source: &str,
        tokenizer: &Tokenizer,
        config: &LanguageModellingConfig,
        positions: usize,
    ) -> Result<Self, TrainingError> {
        let metric = config.metric;
        let refuse = |place: &str, problem: &str| {
            Err(TrainingError::data(
                place,
                format!("{problem}, and {metric} judges what a network writes after a prompt"),
                "give prompts with completions, or use task.metric = perplexity",
            ))
        };
        let passages = match corpus {
            Corpus::Running(_) => return refuse(source, "it is a running text"),
            Corpus::Passages(passages) => passages,
        };
        let bare = |passage: &&Passage| passage.prompt.is_empty();
        if let Some(bare) = passages.iter().find(bare) {
            return refuse(&bare.place, "it has no prompt");
        }
        let reference = |passage: &Passage| Reference {
            words: words(&passage.completion),
            ends: passage.ends,
        };
        let references: Vec<Reference> = passages.iter().map(reference).collect();
        let mut both = passages.iter().zip(&references);
        if let Some((wordless, _)) = both.find(|(_, reference)| reference.words.is_empty()) {
            return Err(TrainingError::data(
                &wordless.place,
                format!("its completion has no word (a to z, 0 to 9), and {metric} compares words"),
                "give completions with words, or use task.metric = perplexity",
            ));
        }
        let by_line = passages.iter().any(|passage| !passage.ends);
        Ok(Self {
            config: *config,
            line_ends: match by_line {
                true => line_ends(tokenizer)?,
                false => Vec::new(),
            },
            tokenizer: tokenizer.clone(),
            positions,
            references,
        })
    }

    /// The words of the completions of the sequences `range`.
    pub(super) fn words(&self, range: Range<usize>) -> impl Iterator<Item = &str> {
        let references = self.references.iter().skip(range.start).take(range.len());
        references.flat_map(|reference| reference.words.iter().map(String::as_str))
    }

    /// Lets `network` continue the prompts of `items` and adds its scores to `tally`. `items` are numbers among `sequences`, whose
    /// completions begin with that of number `first`; those beyond `task.answers` are left out.
    ///
    /// Each prompt is continued by greedy decoding until the text ends, up to `task.answer_tokens` tokens, or as many as the network has
    /// places for.
    pub(super) fn judge<L: CausalLanguageModel>(
        &self,
        network: &L,
        sequences: &[Sequence],
        first: usize,
        items: &[u64],
        tally: &mut Surprise,
    ) -> Result<(), TrainingError> {
        let learned = network
            .adapter()
            .map_or(0, |adapter| adapter.virtual_tokens());
        let asked = |item: &usize| *item < self.config.answers();
        // Items that may write as much, and end in the same way, are continued together.
        let mut alike: BTreeMap<(usize, bool), Vec<usize>> = BTreeMap::new();
        for item in items.iter().map(|item| *item as usize).filter(asked) {
            let taken = sequences[item].first + learned;
            let most = self.positions.saturating_sub(taken);
            let most = most.min(self.config.answer_tokens());
            let ends = self.references[first + item].ends;
            alike.entry((most, ends)).or_default().push(item);
        }
        for ((most, ends), items) in alike {
            let prompts: Vec<Vec<u32>> = items
                .iter()
                .map(|item| sequences[*item].prompt().to_vec())
                .collect();
            let generation = Generation {
                max_new_tokens: most,
                sampling: Sampling::greedy(),
                stop: Stop {
                    tokens: self.tokenizer.end().to_vec(),
                    sequences: match ends {
                        true => Vec::new(),
                        false => self.line_ends.clone(),
                    },
                },
            };
            let numbers: Vec<u64> = items.iter().map(|item| *item as u64).collect();
            let written = match most {
                0 => Ok(vec![Vec::new(); prompts.len()]),
                _ => about_items(&numbers, || network.continued(&prompts, &generation)),
            };
            let written = written.map_err(|cause| TrainingError::Failed {
                what: "the network".to_string(),
                place: "what comes after its prompts".to_string(),
                cause: cause.to_string(),
            })?;
            for (item, tokens) in items.iter().zip(&written) {
                let text = self.tokenizer.decode(tokens)?;
                let text = match ends {
                    true => text.as_str(),
                    false => text.split('\n').next().unwrap_or_default(),
                };
                let (text, reference) = (words(text), &self.references[first + item].words);
                tally.rouge[0] += rouge_1(&text, reference);
                tally.rouge[1] += rouge_l(&text, reference);
                tally.answers += 1;
            }
        }
        Ok(())
    }
}

/// Every token of `tokenizer` in whose text a line ends.
pub(super) fn line_ends(tokenizer: &Tokenizer) -> Result<Vec<Vec<u32>>, TrainingError> {
    let mut found = Vec::new();
    for token in 0..tokenizer.tokens() as u32 {
        if tokenizer.decode(&[token])?.contains('\n') {
            found.push(vec![token]);
        }
    }
    Ok(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use burn::tensor::Device;

    use super::*;
    use crate::task::language_modelling::{LanguageMetric, Limits, sequences};
    use crate::testing::Bigrams;
    use crate::{Batches, Evaluation, LanguageModelling, Task, WeightAttack};

    const POSITIONS: usize = 20;

    fn tokenizer() -> Tokenizer {
        Tokenizer::byte_pairs(["none"], 257).unwrap()
    }

    fn passage(prompt: &str, completion: &str, ends: bool) -> Passage {
        Passage {
            place: "u.jsonl, line 7".to_string(),
            prompt: prompt.to_string(),
            completion: completion.to_string(),
            profile: None,
            ends,
        }
    }

    fn rouge(metric: LanguageMetric) -> LanguageModellingConfig {
        LanguageModellingConfig {
            metric,
            ..Default::default()
        }
    }

    fn task(
        passages: &[Passage],
        config: &LanguageModellingConfig,
    ) -> Result<LanguageModelling, TrainingError> {
        let (corpus, tokenizer) = (Corpus::Passages(passages.to_vec()), tokenizer());
        let answers = Answers::new(&corpus, "u", &tokenizer, config, POSITIONS)?;
        let limits = Limits::new(&LanguageModellingConfig::default(), POSITIONS)?;
        let sequences = sequences(&corpus, &tokenizer, limits)?;
        Ok(LanguageModelling::new(sequences)?.judged_by(answers))
    }

    /// After each byte of a text comes the next one, and after "y" the end.
    fn network() -> Bigrams {
        let tokenizer = tokenizer();
        let mut logits = vec![0.0; 257 * 257];
        let mut follow =
            |before: u32, token: u32| logits[before as usize * 257 + token as usize] = 9.0;
        for text in ["qua-bc\nq", "zy"] {
            let tokens = tokenizer.encode(text, false).unwrap();
            for pair in tokens.windows(2) {
                follow(pair[0], pair[1]);
            }
        }
        follow(tokenizer.encode("y", false).unwrap()[0], tokenizer.end()[0]);
        Bigrams::new(logits)
    }

    fn judged(passages: &[Passage], config: &LanguageModellingConfig) -> Vec<(String, f64)> {
        let (network, device) = (network(), Device::flex());
        let task = task(passages, config).unwrap();
        let found = [1, 3].map(|batch| {
            let evaluation =
                Evaluation::new(&network, None, Batches::new(&task, batch, &device).unwrap());
            let found = evaluation.clean_in_detail().unwrap();
            assert_eq!(evaluation.clean().unwrap(), found.metric);
            let name = evaluation.metric().name;
            let also = found.also.into_iter();
            let also = also.map(|(metric, value)| (metric.name.into_owned(), value));
            let all: Vec<(String, f64)> = [(name.into_owned(), found.metric)]
                .into_iter()
                .chain(also)
                .collect();
            all
        });
        for (one, three) in found[0].iter().zip(&found[1]) {
            // Sums in another order.
            assert!((one.1 - three.1).abs() < 1e-12 && one.0 == three.0);
        }
        found[0].clone()
    }

    #[test]
    fn what_a_network_writes_is_judged_by_its_words() {
        // It writes "ua-bc" after a "q", and then a line ends; "y" after "z", and then the text.
        let passages = [
            passage("zq", "UA bc\n", false),
            passage("q", "bc ua x\n", false),
            passage("z", "y", true),
        ];
        let longest = judged(&passages, &rouge(LanguageMetric::RougeL));
        let names: Vec<&str> = longest.iter().map(|(name, _)| name.as_str()).collect();
        let expected = [
            "ROUGE-L",
            "ROUGE-1",
            "perplexity",
            "next-token accuracy",
            "completion accuracy",
        ];
        assert_eq!(names, expected);
        // One word of two and three is in order, both are there.
        assert!((longest[0].1 - (1.0 + 0.4 + 1.0) / 3.0).abs() < 1e-12);
        assert!((longest[1].1 - (1.0 + 0.8 + 1.0) / 3.0).abs() < 1e-12);
        let one = judged(&passages, &rouge(LanguageMetric::Rouge1));
        assert_eq!(one[0], longest[1]);
        // Only the first; and "ua" alone, one of two words.
        let bounded = LanguageModellingConfig {
            answers: Some(1),
            ..rouge(LanguageMetric::Rouge1)
        };
        assert_eq!(judged(&passages, &bounded)[0].1, 1.0);
        let short = LanguageModellingConfig {
            answer_tokens: Some(2),
            ..bounded
        };
        assert!((judged(&passages, &short)[0].1 - 2.0 / 3.0).abs() < 1e-12);
        // A part has the completions of its own sequences.
        let network = network();
        let (_, rest) = task(&passages, &rouge(LanguageMetric::RougeL))
            .unwrap()
            .split_at(1);
        let found = crate::evaluate(&network, &Batches::new(&rest, 2, &Device::flex()).unwrap());
        assert!((found.unwrap() - 1.4 / 2.0).abs() < 1e-12);
    }

    #[test]
    fn texts_without_prompts_and_searches_are_refused_in_a_line() {
        let config = rouge(LanguageMetric::RougeL);
        let running = Corpus::Running("a text".to_string());
        let error = Answers::new(&running, "text:book.txt", &tokenizer(), &config, POSITIONS);
        assert_eq!(
            error.unwrap_err().to_string(),
            "text:book.txt: it is a running text, and rouge-l judges what a network writes after a prompt; \
             give prompts with completions, or use task.metric = perplexity"
        );
        let error = task(&[passage("q", "a", true), passage("", "ab", true)], &config);
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("u.jsonl, line 7: it has no prompt, and rouge-l judges"),
            "{error}"
        );
        let error = task(
            &[passage("q", "a", true), passage("q", " é…\n", true)],
            &config,
        );
        assert_eq!(
            error.unwrap_err().to_string(),
            "u.jsonl, line 7: its completion has no word (a to z, 0 to 9), and rouge-l compares words; \
             give completions with words, or use task.metric = perplexity"
        );
        let task = task(&[passage("q", "ua", true)], &config).unwrap();
        let batches = Batches::new(&task, 1, &Device::flex()).unwrap();
        let error = WeightAttack::new(&network(), None, batches).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("a worst-case search needs a metric that follows a gradient"),
            "{error}"
        );
    }
}
