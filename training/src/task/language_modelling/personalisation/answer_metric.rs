//! How good answers are, beside those that a person gave.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::super::rouge::{rouge_1, rouge_l, words};
use crate::data::personal::ExampleKind;

/// Stars of a review: from the first to the last.
pub const STARS: [f64; 2] = [1.0, 5.0];

/// How answers are judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnswerMetric {
    /// The share of answers that are those of the person.
    Accuracy,
    /// The mean over labels of the F1 of each: every label counts the same, however rare. Labels are those that the person or the model gave.
    MacroF1,
    /// The mean distance of numbers. An answer that is no number from [`STARS`] is as far away as a number can be.
    MeanAbsoluteError,
    /// Mean ROUGE-1, the F1 of the words in common.
    Rouge1,
    /// Mean ROUGE-L, the F1 of the longest sequence of words in common.
    RougeL,
}

impl AnswerMetric {
    /// The metric of one kind of example, as LaMP has it.
    pub fn of(kind: ExampleKind) -> Self {
        match kind {
            ExampleKind::Citation => Self::Accuracy,
            ExampleKind::Tag => Self::MacroF1,
            ExampleKind::Stars => Self::MeanAbsoluteError,
            ExampleKind::Title | ExampleKind::Tweet => Self::RougeL,
        }
    }

    /// Its name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::MacroF1 => "macro-F1",
            Self::MeanAbsoluteError => "mean absolute error",
            Self::Rouge1 => "ROUGE-1",
            Self::RougeL => "ROUGE-L",
        }
    }

    /// The metric of `pairs` of an answer and what the person said; `None` of no pair.
    ///
    /// ```
    /// use crossburn_training::personalisation::AnswerMetric;
    ///
    /// let pairs = [("4", "5"), ("2", "2")];
    /// assert_eq!(AnswerMetric::Accuracy.value(&pairs), Some(0.5));
    /// assert_eq!(AnswerMetric::MeanAbsoluteError.value(&pairs), Some(0.5));
    /// assert_eq!(AnswerMetric::Accuracy.value(&[]), None);
    /// ```
    pub fn value(self, pairs: &[(&str, &str)]) -> Option<f64> {
        if pairs.is_empty() {
            return None;
        }
        let mean = |score: &dyn Fn(&str, &str) -> f64| {
            let scores = pairs.iter().map(|(answer, said)| score(answer, said));
            scores.sum::<f64>() / pairs.len() as f64
        };
        Some(match self {
            Self::Accuracy => mean(&|answer, said| f64::from(u8::from(same(answer, said)))),
            Self::MacroF1 => macro_f1(pairs),
            Self::MeanAbsoluteError => mean(&distance),
            Self::Rouge1 => mean(&|answer, said| rouge_1(&words(answer), &words(said))),
            Self::RougeL => mean(&|answer, said| rouge_l(&words(answer), &words(said))),
        })
    }

    /// `value` between 0, the worst, and 1, the best.
    pub fn quality(self, value: f64) -> f64 {
        match self {
            Self::MeanAbsoluteError => 1.0 - value / (STARS[1] - STARS[0]),
            _ => value,
        }
    }
}

fn same(answer: &str, said: &str) -> bool {
    answer.trim() == said.trim()
}

fn distance(answer: &str, said: &str) -> f64 {
    let stars = |text: &str| {
        let number = text.trim().parse::<f64>().ok();
        number.filter(|number| (STARS[0]..=STARS[1]).contains(number))
    };
    match (stars(answer), stars(said)) {
        (Some(answer), Some(said)) => (answer - said).abs(),
        _ => STARS[1] - STARS[0],
    }
}

/// ```text
/// F1 of a label = 2 right / (said + answered)
/// ```
fn macro_f1(pairs: &[(&str, &str)]) -> f64 {
    let mut labels: BTreeMap<&str, [u32; 2]> = BTreeMap::new();
    for (answer, said) in pairs.iter().map(|(a, b)| (a.trim(), b.trim())) {
        labels.entry(answer).or_default()[1] += 1;
        labels.entry(said).or_default()[1] += 1;
        if answer == said {
            labels.entry(said).or_default()[0] += 1;
        }
    }
    let count = labels.len() as f64;
    let f1 = |[right, all]: &[u32; 2]| 2.0 * f64::from(*right) / f64::from(*all);
    labels.values().map(f1).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_those_worked_by_hand() {
        let pairs = [
            ("sea ", "sea"),
            ("sea", "city"),
            ("city", "city"),
            ("moon", "sea"),
        ];
        assert_eq!(AnswerMetric::Accuracy.value(&pairs), Some(0.5));
        // sea: said 2, answered 2, right 1: 1/2. city: said 2, answered 1, right 1: 2/3. moon: never said: 0.
        let expected = (0.5 + 2.0 / 3.0) / 3.0;
        let found = AnswerMetric::MacroF1.value(&pairs);
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-15));
        // 2, 0, no number, a number beyond the stars.
        let stars = [("3", "5"), (" 4", "4"), ("four", "4"), ("9", "1")];
        let error = AnswerMetric::MeanAbsoluteError;
        assert_eq!(error.value(&stars), Some(10.0 / 4.0));
        assert_eq!(error.quality(2.5), 0.375);
        // Two words of two and four in order, and none.
        let titles = [("on comets", "on the old comets"), ("", "on comets")];
        let expected = 2.0 * 2.0 / 6.0 / 2.0;
        let found = AnswerMetric::RougeL.value(&titles);
        assert!(found.is_some_and(|found| (found - expected).abs() < 1e-15));
        assert_eq!(AnswerMetric::RougeL.value(&[]), None);
    }

    #[test]
    fn the_best_answers_have_quality_one() {
        for kind in ExampleKind::ALL {
            let metric = AnswerMetric::of(kind);
            let best = metric.value(&[("4", "4"), ("1", "1")]);
            assert_eq!(best.map(|best| metric.quality(best)), Some(1.0), "{kind:?}");
        }
    }
}
