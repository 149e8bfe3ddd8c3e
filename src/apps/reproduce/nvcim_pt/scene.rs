//! One user: texts, the groups that they fall into, and questions.

use anyhow::Result;
use crossburn_models::decoder::Decoder;
use crossburn_training::data::{DomainQuestion, Domains};
use crossburn_training::stored_prompts::{EmbeddedTexts, Prompts, representatives};
use crossburn_training::{LanguageModelling, Sequence};

use super::PromptPaper;

/// Texts that output compensation is set with.
const PROBES: usize = 16;

/// What all methods share for one seed.
pub(super) struct Scene {
    pub(super) seed: u64,
    /// On a device with autodiff.
    pub(super) network: Decoder,
    /// The texts of the user, with their labels.
    pub(super) texts: LanguageModelling,
    /// The same in the shape of a prompt.
    pub(super) in_shape: Prompts,
    /// The group of every text.
    group: Vec<usize>,
    /// The text that stands for each group.
    representative: Vec<usize>,
    /// The domain that most texts of each group are of.
    domain_of_group: Vec<usize>,
    /// The mean text of each group in the shape of a prompt.
    pub(super) keys: Prompts,
    pub(super) questions: LanguageModelling,
    /// The domain of every question.
    pub(super) domains: Vec<usize>,
    /// The questions in the shape of a prompt.
    pub(super) queries: Prompts,
    /// Some texts of the user in the shape of a prompt.
    pub(super) probes: Prompts,
}

impl Scene {
    pub(super) fn new(
        paper: &PromptPaper,
        domains: &Domains,
        network: Decoder,
        seed: u64,
    ) -> Result<Self> {
        let [count, size] = paper.buffers;
        let buffers = domains.buffers(count, size);
        let asked = domains.other_questions(paper.questions, &buffers);
        let shape = |texts: &[DomainQuestion]| -> Result<(EmbeddedTexts, Prompts)> {
            let tokens: Vec<&[u32]> = texts.iter().map(|text| text.tokens.as_slice()).collect();
            let embedded = EmbeddedTexts::new(&network, &tokens)?;
            let values = embedded.in_shape(paper.tokens);
            let shape = [texts.len(), paper.tokens, paper.model.width];
            Ok((embedded, Prompts::new(values, shape)))
        };
        let all: Vec<DomainQuestion> = buffers.concat();
        let (embedded, in_shape) = shape(&all)?;
        let means = embedded.means();
        let mut group = vec![0; all.len()];
        let (mut representative, mut domain_of_group) = (Vec::new(), Vec::new());
        for (buffer, means) in means.chunks(size).enumerate() {
            for found in representatives(means, seed)? {
                let mut votes = vec![0; paper.domains.domains];
                for member in found.members {
                    group[buffer * size + member] = representative.len();
                    votes[all[buffer * size + member].domain] += 1;
                }
                let most = votes.iter().max().copied().unwrap_or(0);
                let domain = votes.iter().position(|count| *count == most);
                domain_of_group.push(domain.unwrap_or(0));
                representative.push(buffer * size + found.text);
            }
        }
        let queries = shape(&asked)?.1;
        Ok(Self {
            seed,
            texts: texts(&all)?,
            keys: means_of_groups(&in_shape, &group, representative.len()),
            probes: shape(&all[..PROBES.min(all.len())])?.1,
            in_shape,
            group,
            representative,
            domain_of_group,
            questions: texts(&asked)?,
            domains: asked.iter().map(|question| question.domain).collect(),
            queries,
            network,
        })
    }

    /// The prompt that every text is learned with.
    pub(super) fn prompt_of_text(&self, one: bool) -> Vec<usize> {
        match one {
            true => vec![0; self.group.len()],
            false => self.group.clone(),
        }
    }

    /// Prompts as they start: the texts that stand for the groups, or the mean of all texts.
    pub(super) fn start(&self, one: bool) -> Prompts {
        if one {
            return means_of_groups(&self.in_shape, &vec![0; self.group.len()], 1);
        }
        let [_, tokens, width] = self.in_shape.shape();
        let of_text =
            |text: &usize| &self.in_shape.values()[text * tokens * width..][..tokens * width];
        let values = self.representative.iter().flat_map(of_text).copied();
        Prompts::new(values.collect(), [self.representative.len(), tokens, width])
    }

    /// Counts for which questions which prompts were fetched: `counts[asked][fetched]`, by domain.
    pub(super) fn count(&self, fetched: &[usize], counts: &mut [Vec<u64>]) {
        for (prompt, asked) in fetched.iter().zip(&self.domains) {
            counts[*asked][self.domain_of_group[*prompt]] += 1;
        }
    }

    /// Questions whose prompt was learned on texts of their domain. One prompt for all counts as fetched.
    pub(super) fn hits(&self, fetched: &[usize], one: bool) -> usize {
        let pairs = fetched.iter().zip(&self.domains);
        let right =
            |(prompt, domain): &(&usize, &usize)| one || self.domain_of_group[**prompt] == **domain;
        pairs.filter(right).count()
    }
}

/// Questions with their labels, which alone are predicted.
fn texts(questions: &[DomainQuestion]) -> Result<LanguageModelling> {
    let text = |question: &DomainQuestion| Sequence {
        tokens: [&question.tokens[..], &[question.label]].concat(),
        first: question.tokens.len(),
    };
    Ok(LanguageModelling::new(
        questions.iter().map(text).collect(),
    )?)
}

/// The mean of each of `count` groups.
pub(super) fn means_of_groups(texts: &Prompts, group: &[usize], count: usize) -> Prompts {
    let [_, tokens, width] = texts.shape();
    let mut sums = vec![0.0f32; count * tokens * width];
    let mut members = vec![0.0f32; count];
    for (text, group) in texts.values().chunks(tokens * width).zip(group) {
        members[*group] += 1.0;
        let own = &mut sums[group * tokens * width..][..tokens * width];
        own.iter_mut()
            .zip(text)
            .for_each(|(sum, value)| *sum += value);
    }
    for (sum, members) in sums.chunks_mut(tokens * width).zip(members) {
        sum.iter_mut().for_each(|sum| *sum /= members.max(1.0));
    }
    Prompts::new(sums, [count, tokens, width])
}
