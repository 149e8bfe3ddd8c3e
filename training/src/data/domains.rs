//! Procedural texts of several domains: a key means something else in each domain, and a user moves from one domain to the next.
//!
//! | words | meaning |
//! |---|---|
//! | topic | in a lesson: the domain by which keys are answered |
//! | subject | what a text is about. In a question this is the domain by which it is answered; in a lesson it is any domain |
//! | common | none |
//! | key, label | a key is followed by its label, as the permutation of the domain says |
//!
//! A network that has learned the [lessons](Domains::lesson) knows all permutations, but must be told which one to use. The
//! [questions](Domains::question) of a user do not tell it, because subject words meant nothing in the lessons. A tuned prompt can tell it, and
//! the subject words show which prompt to take.

use std::collections::BTreeSet;

use crossburn_noise::{Philox, path_hash};
use serde::{Deserialize, Serialize};

use crate::draws::Draws;

/// Sizes of [`Domains`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DomainsConfig {
    /// Number of domains; at least 2.
    pub domains: usize,
    /// Number of keys. There are as many labels.
    pub keys: usize,
    /// Number of topic words of each domain.
    pub topic_words: usize,
    /// Number of subject words of each domain.
    pub subject_words: usize,
    /// Number of common words.
    pub common_words: usize,
    /// Words of a text before its first key. A lesson has as many more in front, which include its topic words.
    pub words: usize,
    /// Share of subject words among the words of a text. The others are common words.
    pub on_subject: f64,
    /// Keys of a lesson. Each is followed by its label.
    pub pairs: usize,
}

impl Default for DomainsConfig {
    fn default() -> Self {
        Self {
            domains: 6,
            keys: 20,
            topic_words: 4,
            subject_words: 16,
            common_words: 32,
            words: 8,
            on_subject: 0.6,
            pairs: 4,
        }
    }
}

/// A question of a user, with the label that its domain gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainQuestion {
    /// The domain that gives the label.
    pub domain: usize,
    /// The words, followed by the key.
    pub tokens: Vec<u32>,
    /// The label of the key.
    pub label: u32,
}

/// The domains of a seed. Every draw depends on (seed, purpose, number).
///
/// ```
/// use crossburn_training::data::{Domains, DomainsConfig};
///
/// let domains = Domains::new(1, DomainsConfig::default());
/// let question = domains.question(3, "test", 7);
/// assert_eq!((question.domain, question.tokens.len()), (3, 9));
/// assert_eq!(question, domains.question(3, "test", 7));
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Domains {
    seed: u64,
    config: DomainsConfig,
    /// The label of each key, for each domain.
    labels: Vec<Vec<usize>>,
}

impl Domains {
    /// The domains of `seed`.
    pub fn new(seed: u64, config: DomainsConfig) -> Self {
        let permutation = |domain: usize| {
            let stream = Philox::new(seed ^ path_hash("labels of domains"), domain as u64);
            stream.permutation(config.keys)
        };
        Self {
            seed,
            config,
            labels: (0..config.domains).map(permutation).collect(),
        }
    }

    /// The sizes.
    pub fn config(&self) -> &DomainsConfig {
        &self.config
    }

    /// Number of different tokens.
    pub fn vocabulary(&self) -> usize {
        let DomainsConfig {
            domains,
            keys,
            topic_words,
            subject_words,
            common_words,
            ..
        } = self.config;
        common_words + 2 * keys + domains * (topic_words + subject_words)
    }

    fn key(&self, key: usize) -> u32 {
        (self.config.common_words + key) as u32
    }

    fn label(&self, domain: usize, key: usize) -> u32 {
        (self.config.common_words + self.config.keys + self.labels[domain][key]) as u32
    }

    /// A topic word of `domain`. Topic words come after labels, domain by domain; subject words come after topic words.
    fn topic_word(&self, domain: usize, draws: &mut Draws) -> u32 {
        let first = self.config.common_words + 2 * self.config.keys;
        let own = domain * self.config.topic_words;
        (first + own + draws.below(self.config.topic_words)) as u32
    }

    fn subject_word(&self, domain: usize, draws: &mut Draws) -> u32 {
        let topics = self.config.domains * self.config.topic_words;
        let first = self.config.common_words + 2 * self.config.keys + topics;
        let own = domain * self.config.subject_words;
        (first + own + draws.below(self.config.subject_words)) as u32
    }

    /// The words of a text about `domain`.
    fn words(&self, domain: usize, draws: &mut Draws) -> Vec<u32> {
        let mut word = |_| match draws.happens(self.config.on_subject) {
            true => self.subject_word(domain, draws),
            false => draws.below(self.config.common_words) as u32,
        };
        (0..self.config.words).map(&mut word).collect()
    }

    /// A text that a network learns from before it meets a user: at least two topic words of a domain among common words, a text about any
    /// domain, and keys with the labels of the domain that the topic words name.
    pub fn lesson(&self, number: u64) -> Vec<u32> {
        let mut draws = Draws::of_item(self.seed, "lessons of domains", number);
        let (domain, subject) = (
            draws.below(self.config.domains),
            draws.below(self.config.domains),
        );
        let topics = 2 + draws.below(self.config.words.saturating_sub(1));
        let first = draws.below(self.config.words);
        let places = 0..self.config.words;
        let mut tokens: Vec<u32> = places
            .map(|place| match (place + first) % self.config.words < topics {
                true => self.topic_word(domain, &mut draws),
                false => draws.below(self.config.common_words) as u32,
            })
            .collect();
        tokens.extend(self.words(subject, &mut draws));
        for _ in 0..self.config.pairs {
            let key = draws.below(self.config.keys);
            tokens.extend([self.key(key), self.label(domain, key)]);
        }
        tokens
    }

    /// Question `number` about `domain`, for `purpose`.
    pub fn question(&self, domain: usize, purpose: &str, number: u64) -> DomainQuestion {
        let purpose = format!("questions of domains: {purpose}, {domain}");
        let mut draws = Draws::of_item(self.seed, &purpose, number);
        let mut tokens = self.words(domain, &mut draws);
        let key = draws.below(self.config.keys);
        tokens.push(self.key(key));
        DomainQuestion {
            domain,
            tokens,
            label: self.label(domain, key),
        }
    }

    /// What a user asks: `count` buffers of `size` questions. In a buffer, three neighbouring domains take turns; the next buffer starts one
    /// domain later.
    pub fn buffers(&self, count: usize, size: usize) -> Vec<Vec<DomainQuestion>> {
        let order = Philox::new(self.seed ^ path_hash("order of domains"), 0);
        let order = order.permutation(self.config.domains);
        let of = |buffer: usize, place: usize| {
            let domain = order[(buffer + place % 3) % order.len()];
            self.question(domain, "user", (buffer * size + place) as u64)
        };
        let buffer = |buffer: usize| (0..size).map(|place| of(buffer, place)).collect();
        (0..count).map(buffer).collect()
    }

    /// `each` questions about every domain. None has the same text as one in `known`.
    pub fn other_questions(
        &self,
        each: usize,
        known: &[Vec<DomainQuestion>],
    ) -> Vec<DomainQuestion> {
        let known: BTreeSet<&[u32]> = known
            .iter()
            .flatten()
            .map(|question| question.tokens.as_slice())
            .collect();
        let of = |domain| {
            let all = (0..).map(move |number| self.question(domain, "test", number));
            let others = all.filter(|question| !known.contains(question.tokens.as_slice()));
            others.take(each).collect::<Vec<_>>()
        };
        (0..self.config.domains).flat_map(of).collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_lesson_tells_its_domain_and_a_question_does_not() {
        let domains = Domains::new(3, DomainsConfig::default());
        // 32 common words, 20 keys, 20 labels, 24 topic words, 96 subject words.
        assert_eq!(domains.vocabulary(), 192);
        let topic = |token: u32| (72..96).contains(&token).then(|| (token as usize - 72) / 4);
        let subject = |token: u32| {
            (96..192)
                .contains(&token)
                .then(|| (token as usize - 96) / 16)
        };
        let mut answered = BTreeSet::new();
        for number in 0..400 {
            let lesson = domains.lesson(number);
            assert_eq!(lesson.len(), 24);
            let told: Vec<usize> = lesson.iter().copied().filter_map(topic).collect();
            assert!((2..=8).contains(&told.len()), "{lesson:?}");
            let domain = told[0];
            assert!(told.iter().all(|other| *other == domain), "{lesson:?}");
            for pair in lesson[16..].chunks(2) {
                let key = pair[0] as usize - 32;
                assert_eq!(pair[1] as usize, 52 + domains.labels[domain][key]);
            }
            answered.insert((domain, lesson[8..16].iter().copied().find_map(subject)));

            let question = domains.question(number as usize % 6, "test", number);
            assert!(question.tokens.iter().all(|token| topic(*token).is_none()));
            let about = question.tokens.iter().copied().filter_map(subject);
            assert!(about.into_iter().all(|domain| domain == question.domain));
            let key = question.tokens[8] as usize - 32;
            let label = 52 + domains.labels[question.domain][key];
            assert_eq!(question.label as usize, label);
        }
        // Subject words of lessons tell nothing: every domain was answered under every subject.
        assert!(answered.len() >= 36, "{}", answered.len());
        for labels in &domains.labels {
            let all: BTreeSet<usize> = labels.iter().copied().collect();
            assert_eq!(all.len(), 20);
        }
    }

    #[test]
    fn a_user_meets_every_domain_and_no_test_question_before() {
        // So few words that the same text comes up again.
        let few = DomainsConfig {
            words: 1,
            common_words: 2,
            subject_words: 2,
            keys: 3,
            ..DomainsConfig::default()
        };
        for config in [few, DomainsConfig::default()] {
            let domains = Domains::new(5, config);
            let buffers = domains.buffers(5, if config == few { 3 } else { 25 });
            let met: BTreeSet<usize> = buffers.iter().flatten().map(|q| q.domain).collect();
            assert_eq!(met.len(), 6);
            for buffer in &buffers {
                let met: BTreeSet<usize> = buffer.iter().map(|q| q.domain).collect();
                assert_eq!(met.len(), 3);
            }
            let test = domains.other_questions(20, &buffers);
            assert_eq!(test.len(), 120);
            let known: Vec<&[u32]> = buffers.iter().flatten().map(|q| &q.tokens[..]).collect();
            assert!(test.iter().all(|q| !known.contains(&q.tokens.as_slice())));
        }
        // Without the rule, the first draws would have repeated a known question: the test above can fail.
        let domains = Domains::new(5, few);
        let buffers = domains.buffers(5, 3);
        let plain: Vec<_> = (0..20)
            .map(|n| domains.question(0, "test", n).tokens)
            .collect();
        let known = buffers.iter().flatten();
        assert!(known.into_iter().any(|q| plain.contains(&q.tokens)));
    }
}
