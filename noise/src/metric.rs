//! What a network is judged by: a number with a name, a range, a unit, and a better end.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// Which end of a metric is the better one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Better {
    /// As of an accuracy.
    #[default]
    Higher,
    /// As of a loss or an error rate.
    Lower,
}

impl Better {
    /// `value`, or its negative where lower is better: of two oriented values, the larger one is the better one.
    ///
    /// Orienting twice gives the value back to the last bit.
    pub fn orient(self, value: f64) -> f64 {
        match self {
            Self::Higher => value,
            Self::Lower => -value,
        }
    }

    /// Whether `a` is worse than `b`.
    pub fn is_worse(self, a: f64, b: f64) -> bool {
        self.orient(a) < self.orient(b)
    }

    /// A value that is worse than every other.
    pub fn worst(self) -> f64 {
        self.orient(f64::NEG_INFINITY)
    }

    /// The ends of an interval, from the lower to the higher one, given the worse and the better one.
    pub fn ends<T>(self, worse: T, better: T) -> (T, T) {
        match self {
            Self::Higher => (worse, better),
            Self::Lower => (better, worse),
        }
    }
}

/// What a network is judged by.
///
/// Statistics of a population, searches for bad chips, tables and plots ask it which values are good, which are possible,
/// and how to write them. None of them knows what it measures.
///
/// ```
/// use crossburn_noise::Metric;
///
/// let accuracy = Metric::share("accuracy");
/// assert_eq!(accuracy.show(0.9712), "97.12 %");
/// assert!(accuracy.better.is_worse(0.2, 0.9));
///
/// let perplexity = Metric::from_zero("perplexity");
/// assert_eq!(perplexity.show(12.3456), "12.35");
/// assert!(perplexity.better.is_worse(12.0, 9.0));
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Metric {
    /// Its name, in the middle of a sentence: `accuracy`, `AUROC`.
    pub name: Cow<'static, str>,
    /// The unit that values are written in; empty for none. A percentage is written from a fraction.
    pub unit: Cow<'static, str>,
    /// The least possible value; `None` if there is no limit.
    pub low: Option<f64>,
    /// The largest possible value; `None` if there is no limit.
    pub high: Option<f64>,
    /// Which end is the better one.
    pub better: Better,
}

/// The unit of fractions.
const PERCENT: &str = "%";

impl Metric {
    /// A fraction in 0..=1, written in per cent. Higher is better.
    pub fn share(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            unit: Cow::Borrowed(PERCENT),
            low: Some(0.0),
            high: Some(1.0),
            better: Better::Higher,
        }
    }

    /// A number from 0 on without an upper limit, such as a loss. Lower is better.
    pub fn from_zero(name: impl Into<Cow<'static, str>>) -> Self {
        Self {
            name: name.into(),
            unit: Cow::Borrowed(""),
            low: Some(0.0),
            high: None,
            better: Better::Lower,
        }
    }

    /// Whether `value` is possible: finite, and in the range.
    pub fn contains(&self, value: f64) -> bool {
        value.is_finite()
            && self.low.is_none_or(|low| low <= value)
            && self.high.is_none_or(|high| value <= high)
    }

    /// The range of values; an end without a limit is infinite.
    pub fn range(&self) -> (f64, f64) {
        (
            self.low.unwrap_or(f64::NEG_INFINITY),
            self.high.unwrap_or(f64::INFINITY),
        )
    }

    /// The factor of values when they are written.
    pub fn scale(&self) -> f64 {
        match self.is_share() {
            true => 100.0,
            false => 1.0,
        }
    }

    /// Whether values are fractions, written in per cent.
    pub fn is_share(&self) -> bool {
        self.unit == PERCENT
    }

    /// The name of one step of the unit: points of a percentage, the unit itself otherwise.
    pub fn step(&self) -> &str {
        match self.is_share() {
            true => "points",
            false => &self.unit,
        }
    }

    /// The name as it begins a heading: `Accuracy`.
    pub fn title(&self) -> String {
        let mut letters = self.name.chars();
        let first = letters.next().map(char::to_uppercase);
        first.into_iter().flatten().chain(letters).collect()
    }

    /// The title with the unit: `Accuracy (%)`.
    pub fn heading(&self) -> String {
        match self.unit.is_empty() {
            true => self.title(),
            false => format!("{} ({})", self.title(), self.unit),
        }
    }

    /// The heading with the owner of the value: `Accuracy of a chip (%)`.
    pub fn heading_of(&self, whose: &str) -> String {
        match self.unit.is_empty() {
            true => format!("{} of {whose}", self.title()),
            false => format!("{} of {whose} ({})", self.title(), self.unit),
        }
    }

    /// `value` for a table, without the unit: two decimals, or more for numbers below 10 that are no percentage, and none for counts of a thousand and more.
    pub fn digits(&self, value: f64) -> String {
        let shown = self.scale() * value;
        if self.is_share() || shown == 0.0 || !shown.is_finite() {
            return format!("{shown:.2}");
        }
        let decimals = match shown.abs() {
            // Three significant digits.
            small if small < 1.0 => (2.0 - small.log10().floor()).min(12.0) as usize,
            // A perplexity is often near 1.
            units if units < 10.0 => 3,
            count if count >= 1000.0 && count.fract() == 0.0 => 0,
            _ => 2,
        };
        format!("{shown:.decimals$}")
    }

    /// `value` with its unit.
    pub fn show(&self, value: f64) -> String {
        match self.unit.is_empty() {
            true => self.digits(value),
            false => format!("{} {}", self.digits(value), self.unit),
        }
    }

    /// How good `value` is, from 0 for the worst: the number that a worst-case search lowers. If the worst end of the metric
    /// is finite, the score is the distance from it, so a fraction is its own score. Otherwise the score is `1 / (1 + v)`,
    /// where `v` is the distance from the better end.
    pub fn score(&self, value: f64) -> f64 {
        match (self.better, self.low, self.high) {
            (Better::Higher, Some(0.0), _) => value,
            (Better::Higher, Some(low), _) => value - low,
            (Better::Lower, _, Some(high)) => high - value,
            (Better::Higher, None, high) => 1.0 / (1.0 + (high.unwrap_or(0.0) - value)),
            (Better::Lower, low, None) => 1.0 / (1.0 + (value - low.unwrap_or(0.0))),
        }
    }

    /// The value that has this [`score`](Self::score), to within rounding; exact for a fraction.
    pub fn of_score(&self, score: f64) -> f64 {
        match (self.better, self.low, self.high) {
            (Better::Higher, Some(0.0), _) => score,
            (Better::Higher, Some(low), _) => score + low,
            (Better::Lower, _, Some(high)) => high - score,
            (Better::Higher, None, high) => high.unwrap_or(0.0) - (1.0 / score - 1.0),
            (Better::Lower, low, None) => low.unwrap_or(0.0) + (1.0 / score - 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics() -> [Metric; 4] {
        [
            Metric::share("accuracy"),
            Metric::from_zero("perplexity"),
            Metric {
                low: Some(-1.0),
                unit: "".into(),
                ..Metric::share("correlation")
            },
            Metric {
                better: Better::Lower,
                ..Metric::share("error rate")
            },
        ]
    }

    #[test]
    fn a_score_falls_to_zero_with_the_value_and_gives_it_back() {
        for metric in metrics() {
            let steps = (0..=50).map(|step| f64::from(step) / 50.0);
            let mut last = f64::INFINITY;
            for step in steps {
                // From the better end to the worse one.
                let value = match metric.better {
                    Better::Higher => 1.0 - step,
                    Better::Lower => step,
                };
                let score = metric.score(value);
                assert!(score < last && score >= 0.0, "{} {value}", metric.name);
                assert!((metric.of_score(score) - value).abs() < 1e-12);
                last = score;
            }
        }
        let accuracy = Metric::share("accuracy");
        assert_eq!(accuracy.score(0.1 + 0.2), 0.1 + 0.2);
        assert_eq!(accuracy.of_score(0.1 + 0.2), 0.1 + 0.2);
        let rate = &metrics()[3];
        assert_eq!((rate.score(1.0), rate.score(0.0)), (0.0, 1.0));
        let perplexity = Metric::from_zero("perplexity");
        assert_eq!(
            (perplexity.score(0.0), perplexity.score(f64::INFINITY)),
            (1.0, 0.0)
        );
    }

    #[test]
    fn values_are_written_with_their_unit() {
        let accuracy = Metric::share("accuracy");
        assert_eq!(accuracy.show(0.5), "50.00 %");
        assert_eq!(
            (accuracy.digits(0.00012), accuracy.step()),
            ("0.01".into(), "points")
        );
        let loss = Metric::from_zero("loss");
        for (value, shown) in [
            (0.0, "0.00"),
            (1234.5, "1234.50"),
            (7200.0, "7200"),
            (10.0, "10.00"),
            (1.1316, "1.132"),
            (0.5, "0.500"),
            (0.004321, "0.00432"),
            (1.5e-9, "0.00000000150"),
            (-0.25, "-0.250"),
            (f64::INFINITY, "inf"),
        ] {
            assert_eq!(loss.show(value), shown);
        }
    }

    #[test]
    fn headings_begin_with_a_capital_and_name_the_unit() {
        assert_eq!(Metric::share("accuracy").heading(), "Accuracy (%)");
        assert_eq!(
            Metric::from_zero("reconstruction error").heading(),
            "Reconstruction error"
        );
    }

    #[test]
    fn what_is_possible_follows_the_range() {
        let [accuracy, perplexity, ..] = metrics();
        assert!(accuracy.contains(1.0) && !accuracy.contains(1.0 + 1e-12));
        assert!(perplexity.contains(1e300) && !perplexity.contains(f64::INFINITY));
        assert!(!perplexity.contains(-1.0) && !accuracy.contains(f64::NAN));
        assert_eq!(perplexity.range(), (0.0, f64::INFINITY));
    }
}
