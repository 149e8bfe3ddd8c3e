//! The texts of one seed as tokens, in the shape of prompts, and as questions.

use anyhow::{Result, bail};
use crossburn_models::decoder::Decoder;
use crossburn_noise::{Philox, path_hash};
use crossburn_training::data::Passage;
use crossburn_training::stored_prompts::{EmbeddedTexts, Prompts, representative};
use crossburn_training::{LanguageModelling, Sequence};

use super::super::scene::means_of_groups;
use super::GivenModelPaper;

/// What all methods share for one seed.
#[derive(Debug)]
pub(super) struct Scene {
    pub(super) seed: u64,
    /// On a device with autodiff.
    pub(super) network: Decoder,
    /// The texts that prompts are tuned on; their completions are learned.
    pub(super) texts: LanguageModelling,
    /// The profile of each.
    pub(super) of_text: Vec<usize>,
    /// What is given of them, in the shape of a prompt.
    pub(super) in_shape: Prompts,
    /// The text that is most like the mean of each profile, and the one most like the mean of all: where prompts start.
    representatives: Vec<usize>,
    representative_of_all: usize,
    /// The mean text of each profile in the shape of a prompt.
    pub(super) keys: Prompts,
    pub(super) questions: LanguageModelling,
    /// The profile of each question.
    pub(super) of_question: Vec<usize>,
    /// What is given of the questions, in the shape of a prompt.
    pub(super) queries: Prompts,
    /// What people wrote as answers.
    pub(super) references: Vec<String>,
}

/// A text as tokens.
struct Text {
    sequence: Sequence,
    /// What is given of it, without what opens every text.
    given: Vec<u32>,
    completion: String,
}

impl Scene {
    /// # Errors
    /// A profile with too few texts that are short enough.
    pub(super) fn new(paper: &GivenModelPaper, network: Decoder, seed: u64) -> Result<Self> {
        let (mut texts, mut questions) = (Vec::new(), Vec::new());
        let (mut of_text, mut of_question) = (Vec::new(), Vec::new());
        for (number, profile) in paper.texts.iter().enumerate() {
            let draw = |passages: &[Passage], count: usize, of: &str| {
                let order = Philox::new(seed ^ path_hash(of), path_hash(profile.name()));
                let order = order.permutation(passages.len());
                let found = paper.first_short(order.into_iter().map(|at| &passages[at]), count)?;
                if found.len() < count {
                    bail!(
                        "the profile {:?} has {} texts with a prompt and at most {} tokens, the experiment takes {count}; hint: give more or shorter texts",
                        profile.name(),
                        found.len(),
                        paper.longest
                    );
                }
                Ok(found)
            };
            texts.extend(draw(&profile.learn, paper.learn, "texts of prompts")?);
            questions.extend(draw(
                &profile.test,
                paper.questions,
                "questions to prompts",
            )?);
            of_text.extend(std::iter::repeat_n(number, paper.learn));
            of_question.extend(std::iter::repeat_n(number, paper.questions));
        }
        let width = network.config().width;
        let shape = |texts: &[Text]| -> Result<(Vec<Vec<f64>>, Prompts)> {
            let given: Vec<&[u32]> = texts.iter().map(|text| text.given.as_slice()).collect();
            let embedded = EmbeddedTexts::new(&network, &given)?;
            let shape = [texts.len(), paper.tokens, width];
            let prompts = Prompts::new(embedded.in_shape(paper.tokens), shape);
            Ok((embedded.means(), prompts))
        };
        let (means, in_shape) = shape(&texts)?;
        let of_profile = means
            .chunks(paper.learn)
            .enumerate()
            .filter_map(|(own, means)| Some(own * paper.learn + representative(means)?));
        Ok(Self {
            seed,
            representatives: of_profile.collect(),
            representative_of_all: representative(&means).unwrap_or(0),
            keys: means_of_groups(&in_shape, &of_text, paper.profiles.len()),
            in_shape,
            queries: shape(&questions)?.1,
            texts: task(&texts)?,
            references: questions
                .iter()
                .map(|text| text.completion.clone())
                .collect(),
            questions: task(&questions)?,
            of_text,
            of_question,
            network,
        })
    }

    /// Prompts as they start: the texts that stand for the profiles, or the one that stands for all.
    pub(super) fn start(&self, one: bool) -> Prompts {
        let texts = match one {
            true => std::slice::from_ref(&self.representative_of_all),
            false => &self.representatives,
        };
        let [_, tokens, width] = self.in_shape.shape();
        let of_text =
            |text: &usize| &self.in_shape.values()[text * tokens * width..][..tokens * width];
        let values = texts.iter().flat_map(of_text).copied();
        Prompts::new(values.collect(), [texts.len(), tokens, width])
    }

    /// The prompt that every text is learned with.
    pub(super) fn prompt_of_text(&self, one: bool) -> Vec<usize> {
        match one {
            true => vec![0; self.of_text.len()],
            false => self.of_text.clone(),
        }
    }
}

impl GivenModelPaper {
    /// The first `count` of `passages` with a prompt and a completion that are not blank, and with no more tokens than a text may have.
    fn first_short<'a>(
        &self,
        passages: impl Iterator<Item = &'a Passage>,
        count: usize,
    ) -> Result<Vec<Text>> {
        let opening = self.tokenizer().opening()?;
        let mut found = Vec::with_capacity(count);
        for passage in passages {
            if found.len() == count {
                break;
            }
            // A line each, so that an answer ends with its line.
            let line = |text: &str| format!("{}\n", text.trim().replace('\n', " "));
            let given = self.tokenizer().encode(&line(&passage.prompt), false)?;
            let completion = self.tokenizer().encode(&line(&passage.completion), false)?;
            let first = opening.len() + given.len();
            let mut parts = [&passage.prompt, &passage.completion].into_iter();
            let is_blank = parts.any(|text| text.trim().is_empty());
            if is_blank || first + completion.len() > self.longest {
                continue;
            }
            found.push(Text {
                sequence: Sequence {
                    tokens: [&opening[..], &given, &completion].concat(),
                    first,
                },
                given,
                completion: passage.completion.trim().to_string(),
            });
        }
        Ok(found)
    }
}

fn task(texts: &[Text]) -> Result<LanguageModelling> {
    let sequences = texts.iter().map(|text| text.sequence.clone()).collect();
    Ok(LanguageModelling::new(sequences)?)
}
