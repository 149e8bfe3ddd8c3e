//! How texts are taken, and what networks are judged by on them.

use std::fmt::{Display, Formatter};
use std::str::FromStr;

use crossburn_noise::{Better, Metric};
use serde::{Deserialize, Serialize};

use crate::TrainingError;

/// How texts are taken. In recipes the table `[task]` with `kind = "language-modelling"`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LanguageModellingConfig {
    /// Tokens of a window of running text; as many as the network takes, but at most 256, where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<usize>,
    /// What networks are judged by. They learn, and an epoch is chosen, by perplexity in any case.
    #[serde(default, skip_serializing_if = "LanguageMetric::is_usual")]
    pub metric: LanguageMetric,
    /// Prompts that a network continues to be judged by ROUGE, at most: the first ones; 100 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answers: Option<usize>,
    /// Tokens of a continuation that ROUGE judges, at most; 64 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_tokens: Option<usize>,
}

/// What language models are judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LanguageMetric {
    /// `exp` of the mean of `-ln p` of all predicted tokens.
    #[default]
    Perplexity,
    /// The F1 of words between what a network writes after a prompt and its completion, the mean over prompts.
    #[serde(rename = "rouge-1")]
    Rouge1,
    /// The same of the longest sequence of words that both have in the same order.
    RougeL,
}

impl LanguageMetric {
    /// Every metric, with its name.
    const NAMES: [(Self, &'static str); 3] = [
        (Self::Perplexity, "perplexity"),
        (Self::Rouge1, "rouge-1"),
        (Self::RougeL, "rouge-l"),
    ];

    /// Whether it is the one of a recipe that names none.
    fn is_usual(&self) -> bool {
        *self == Self::default()
    }

    /// Whether networks write for it.
    pub(super) fn is_rouge(self) -> bool {
        self != Self::Perplexity
    }

    /// Its name, range and better end.
    pub fn metric(self) -> Metric {
        match self {
            Self::Perplexity => Metric {
                name: "perplexity".into(),
                unit: "".into(),
                low: Some(1.0),
                high: None,
                better: Better::Lower,
            },
            Self::Rouge1 => Metric::share("ROUGE-1"),
            Self::RougeL => Metric::share("ROUGE-L"),
        }
    }
}

impl Display for LanguageMetric {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        let name = Self::NAMES.iter().find(|(metric, _)| metric == self);
        f.write_str(name.map_or("", |(_, name)| name))
    }
}

impl FromStr for LanguageMetric {
    type Err = String;

    /// `perplexity`, `rouge-1` or `rouge-l`.
    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::NAMES.iter().find(|(_, name)| *name == text);
        found
            .map(|(metric, _)| *metric)
            .ok_or_else(|| "use perplexity, rouge-1 or rouge-l".to_string())
    }
}

impl LanguageModellingConfig {
    /// Prompts that are continued, where nothing else is said.
    const ANSWERS: usize = 100;
    /// Tokens of a continuation, where nothing else is said.
    const ANSWER_TOKENS: usize = 64;

    /// The same with `metric`, without bounds that it does not have.
    pub(crate) fn judged_by(self, metric: LanguageMetric) -> Self {
        match metric.is_rouge() {
            true => Self { metric, ..self },
            false => Self {
                window: self.window,
                ..Self::default()
            },
        }
    }

    /// Prompts that are continued, at most.
    pub(super) fn answers(&self) -> usize {
        self.answers.unwrap_or(Self::ANSWERS)
    }

    /// Tokens of a continuation, at most.
    pub(super) fn answer_tokens(&self) -> usize {
        self.answer_tokens.unwrap_or(Self::ANSWER_TOKENS)
    }

    /// Refuses bounds that leave nothing to judge, and those that the metric does not have.
    ///
    /// # Errors
    /// [`TrainingError::Setting`].
    pub(crate) fn check(&self) -> Result<(), TrainingError> {
        let bounds = [
            ("task.answers", self.answers),
            ("task.answer_tokens", self.answer_tokens),
        ];
        for (key, bound) in bounds {
            let Some(bound) = bound else { continue };
            if !self.metric.is_rouge() {
                let remedy = "it with task.metric = rouge-1 or rouge-l, or leave it out";
                return Err(TrainingError::setting(key, bound, remedy));
            }
            if bound == 0 {
                return Err(TrainingError::setting(key, bound, "a number above 0"));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_recipes() {
        for (metric, name) in LanguageMetric::NAMES {
            assert_eq!(name.parse(), Ok(metric));
            assert_eq!(metric.to_string(), name);
            assert_eq!(serde_json::to_value(metric).unwrap(), name);
        }
        assert!("bleu".parse::<LanguageMetric>().is_err());
        // A recipe of an earlier version reads and writes the same.
        let usual: LanguageModellingConfig = serde_json::from_str("{}").unwrap();
        assert_eq!(serde_json::to_string(&usual).unwrap(), "{}");
    }

    #[test]
    fn bounds_go_with_rouge_alone_and_leave_something() {
        let check = |metric, answers| {
            let config = LanguageModellingConfig {
                metric,
                answers,
                ..Default::default()
            };
            config.check().map_err(|error| error.to_string())
        };
        assert_eq!(check(LanguageMetric::Perplexity, None), Ok(()));
        assert_eq!(check(LanguageMetric::RougeL, Some(5)), Ok(()));
        assert_eq!(
            check(LanguageMetric::Perplexity, Some(5)).unwrap_err(),
            "task.answers = 5 is not allowed: use it with task.metric = rouge-1 or rouge-l, or leave it out"
        );
        assert_eq!(
            check(LanguageMetric::Rouge1, Some(0)).unwrap_err(),
            "task.answers = 0 is not allowed: use a number above 0"
        );
    }
}
