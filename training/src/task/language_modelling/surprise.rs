//! What language models are judged by, as it adds up.

use super::{LanguageMetric, Tally};

/// What tokens have cost so far, and how good texts are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Surprise {
    /// Sum of `-ln p`.
    pub(super) nats: f64,
    pub(super) tokens: u64,
    /// Tokens that the network found the most likely of all.
    pub(super) right: u64,
    pub(super) sequences: u64,
    /// Sequences of which every predicted token was: what the network would have written.
    pub(super) whole: u64,
    /// Sums of ROUGE-1 and of ROUGE-L over the prompts that the network has continued.
    pub(super) rouge: [f64; 2],
    /// Prompts that it has continued.
    pub(super) answers: u64,
}

impl Surprise {
    /// The mean of `-ln p`; 0 where it is below by rounding. What is not a number stays one.
    pub(super) fn mean(&self) -> f64 {
        let mean = self.nats / self.tokens.max(1) as f64;
        if mean < 0.0 { 0.0 } else { mean }
    }

    /// The mean of a ROUGE; `None` of another metric, and where no prompt was continued.
    pub(super) fn rouge(&self, metric: LanguageMetric) -> Option<f64> {
        let [one, longest] = self.rouge.map(|sum| sum / self.answers as f64);
        let mean = match metric {
            LanguageMetric::Perplexity => return None,
            LanguageMetric::Rouge1 => one,
            LanguageMetric::RougeL => longest,
        };
        (self.answers > 0).then_some(mean)
    }
}

impl Tally for Surprise {
    fn merge(&mut self, other: Self) {
        self.nats += other.nats;
        self.tokens += other.tokens;
        self.right += other.right;
        self.sequences += other.sequences;
        self.whole += other.whole;
        for (sum, other) in self.rouge.iter_mut().zip(other.rouge) {
            *sum += other;
        }
        self.answers += other.answers;
    }
}
