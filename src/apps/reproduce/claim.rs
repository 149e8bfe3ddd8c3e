//! The claims of a paper, measured.

use anyhow::{Result, bail};
use crossburn_noise::mean_interval;

use crate::apps::study::CONFIDENCE;
use crate::report::{Claim, Verdict};

/// The value that a claim expects of a mean.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Expected {
    AtLeast(f64),
    AtMost(f64),
    Between(f64, f64),
}

impl Expected {
    /// More than zero.
    pub(crate) const ABOVE_ZERO: Self = Self::AtLeast(f64::MIN_POSITIVE);

    /// The verdict. The whole interval of the mean decides; with a single training, which has no interval, the mean decides.
    pub(crate) fn verdict(self, mean: f64, interval: Option<[f64; 2]>) -> Verdict {
        let [low, high] = interval.unwrap_or([mean, mean]);
        let (least, most) = match self {
            Self::AtLeast(least) => (least, f64::INFINITY),
            Self::AtMost(most) => (f64::NEG_INFINITY, most),
            Self::Between(least, most) => (least, most),
        };
        if least <= low && high <= most {
            Verdict::Holds
        } else if high < least || low > most {
            Verdict::Fails
        } else {
            // This also covers a mean that is NaN.
            Verdict::Unresolved
        }
    }
}

/// What a claim measures.
pub(super) struct Statement {
    /// Its number in the experiment's list of expected results, such as `A3`; `None` for a claim that is not in that list.
    label: Option<&'static str>,
    /// In words.
    what: String,
}

impl From<&str> for Statement {
    fn from(what: &str) -> Self {
        what.to_string().into()
    }
}

impl From<String> for Statement {
    fn from(what: String) -> Self {
        Self { label: None, what }
    }
}

impl<W: Into<String>> From<(&'static str, W)> for Statement {
    fn from((label, what): (&'static str, W)) -> Self {
        Self {
            label: Some(label),
            what: what.into(),
        }
    }
}

/// A claim on the mean of `measured`, one value per seed. If the values are differences between two trainings of the same seed, the interval is the paired
/// one.
///
/// # Errors
/// If a training lacks the number.
pub(super) fn claim(
    statement: impl Into<Statement>,
    expected: (Expected, impl Into<String>),
    measured: Vec<f64>,
) -> Result<Claim> {
    let Statement { label, what } = statement.into();
    if measured.is_empty() || measured.iter().any(|value| !value.is_finite()) {
        bail!("no number for the claim `{what}`: {measured:?}");
    }
    let mean = measured.iter().sum::<f64>() / measured.len().max(1) as f64;
    let interval = match measured.len() {
        0 | 1 => None,
        _ => {
            let interval = mean_interval(&measured, CONFIDENCE)?;
            Some([interval.low, interval.high])
        }
    };
    Ok(Claim {
        label: label.map(str::to_string),
        what,
        expected: expected.1.into(),
        verdict: expected.0.verdict(mean, interval),
        measured,
        mean,
        interval,
    })
}

/// `left` minus `right`, seed by seed.
pub(super) fn differences(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(a, b)| a - b).collect()
}

/// The mean of several rows, seed by seed.
pub(super) fn mean(rows: &[Vec<f64>]) -> Vec<f64> {
    let seeds = rows.first().map_or(0, Vec::len);
    let of = |seed: usize| rows.iter().map(|row| row[seed]).sum::<f64>() / rows.len() as f64;
    (0..seeds).map(of).collect()
}

/// The first number of evaluations after which a search has reached `wanted`, seed by seed; `budget` where it has not. `best` gives the best scores
/// after each number of `looks`, which rise.
pub(super) fn evaluations_until(
    looks: impl DoubleEndedIterator<Item = usize>,
    best: impl Fn(usize) -> Vec<f64>,
    wanted: &[f64],
    budget: usize,
) -> Vec<f64> {
    let mut found = vec![budget as f64; wanted.len()];
    // A best score never falls. Going backwards, the last number that meets the condition is therefore the first one that does.
    for evaluations in looks.rev() {
        for ((best, wanted), found) in best(evaluations).iter().zip(wanted).zip(&mut found) {
            if best >= wanted {
                *found = evaluations as f64;
            }
        }
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_needs_the_whole_interval() {
        let verdict = |expected, measured: &[f64]| {
            claim("", (expected, ""), measured.to_vec())
                .unwrap()
                .verdict
        };
        // Mean 5, standard error 1 / sqrt(3), t with two degrees of freedom 4.303: 5 ± 2.484.
        let values = [4.0, 5.0, 6.0];
        for (least, expected) in [
            (2.5, Verdict::Holds),
            (2.6, Verdict::Unresolved),
            (5.0, Verdict::Unresolved),
            (7.4, Verdict::Unresolved),
            (7.5, Verdict::Fails),
        ] {
            assert_eq!(
                verdict(Expected::AtLeast(least), &values),
                expected,
                "{least}"
            );
        }
        assert_eq!(verdict(Expected::AtMost(7.5), &values), Verdict::Holds);
        assert_eq!(verdict(Expected::AtMost(7.4), &values), Verdict::Unresolved);
        assert_eq!(verdict(Expected::AtMost(2.5), &values), Verdict::Fails);
        for (expected, verdict_of) in [
            (Expected::Between(2.5, 7.5), Verdict::Holds),
            (Expected::Between(2.6, 7.5), Verdict::Unresolved),
            (Expected::Between(0.0, 2.5), Verdict::Fails),
            (Expected::Between(7.5, 9.0), Verdict::Fails),
        ] {
            assert_eq!(verdict(expected, &values), verdict_of, "{expected:?}");
        }
        assert_eq!(verdict(Expected::AtLeast(3.0), &[3.0]), Verdict::Holds);
        assert_eq!(verdict(Expected::AtMost(2.0), &[3.0]), Verdict::Fails);
        for missing in [&[][..], &[1.0, f64::NAN]] {
            let claim = claim("points", (Expected::AtMost(2.0), ""), missing.to_vec());
            let message = claim.unwrap_err().to_string();
            assert!(message.contains("the claim `points`"), "{message}");
        }
    }

    #[test]
    fn a_claim_has_the_label_of_its_statement() {
        let of = |statement: Statement| {
            let claim = claim(statement, (Expected::ABOVE_ZERO, "> 0"), vec![1.0]).unwrap();
            (claim.label, claim.what)
        };
        let what = || "points".to_string();
        assert_eq!(of("points".into()), (None, what()));
        assert_eq!(of(what().into()), (None, what()));
        let label = || Some("A2".to_string());
        assert_eq!(of(("A2", "points").into()), (label(), what()));
        assert_eq!(of(("A2", what()).into()), (label(), what()));
    }
}
