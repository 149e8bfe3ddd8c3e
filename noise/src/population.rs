//! The metric of many chips, and what it says about chips that were not drawn.

use serde::{Deserialize, Serialize};

use crate::{Better, NoiseError, PercentileRanks};

/// A metric of the chips `first..first + chips` of a population, in chip order. Higher is better, unless
/// [`judged_by`](Self::judged_by) says otherwise.
///
/// ```
/// use crossburn_noise::{Better, Population};
///
/// let accuracy = Population::new(7, 0, vec![0.9, 0.8, 1.0]);
/// assert_eq!((accuracy.kpp(0.0)?, accuracy.worst_of_n()), (0.8, 0.8));
/// // Of a loss, the bad tail is the upper one.
/// let loss = Population::new(7, 0, vec![0.3, 0.1, 0.2]).judged_by(Better::Lower);
/// assert_eq!((loss.kpp(0.0)?, loss.worst_of_n()), (0.3, 0.3));
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Population {
    /// Seed of the population.
    pub seed: u64,
    /// Number of its first chip here.
    pub first: u64,
    /// The metric per chip.
    pub metric: Vec<f64>,
    /// Which end of it is the better one.
    #[serde(default)]
    pub better: Better,
}

/// An interval for a percentile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// Lower end; `None` if no order statistic bounds that side.
    pub low: Option<f64>,
    /// Upper end; `None` if no order statistic bounds that side.
    pub high: Option<f64>,
    /// Its exact coverage for a continuous metric, at least the confidence asked for. With ties it covers at least that.
    pub coverage: f64,
}

impl Interval {
    /// Whether `value` lies in it. A side without an end is unlimited.
    pub fn contains(&self, value: f64) -> bool {
        self.low.is_none_or(|low| low <= value) && self.high.is_none_or(|high| value <= high)
    }

    /// Both ends. A side without an end has that of the `range` of the metric.
    pub fn bounds(&self, range: (f64, f64)) -> (f64, f64) {
        (self.low.unwrap_or(range.0), self.high.unwrap_or(range.1))
    }
}

impl Population {
    /// A population from the metric of consecutive chips.
    pub fn new(seed: u64, first: u64, metric: Vec<f64>) -> Self {
        Self {
            seed,
            first,
            metric,
            better: Better::Higher,
        }
    }

    /// The same chips, judged by a metric whose better end is `better`.
    #[must_use]
    pub fn judged_by(self, better: Better) -> Self {
        Self { better, ..self }
    }

    /// Number of chips.
    pub fn chips(&self) -> usize {
        self.metric.len()
    }

    /// The mean; NaN without chips.
    pub fn mean(&self) -> f64 {
        self.metric.iter().sum::<f64>() / self.chips() as f64
    }

    /// The sample standard deviation (n - 1); 0 for fewer than two chips.
    pub fn std(&self) -> f64 {
        if self.chips() < 2 {
            return 0.0;
        }
        let mean = self.mean();
        let sum: f64 = self.metric.iter().map(|value| (value - mean).powi(2)).sum();
        (sum / (self.chips() - 1) as f64).sqrt()
    }

    /// The worst of these random chips; infinite without chips. Not a worst-case search.
    pub fn worst_of_n(&self) -> f64 {
        let oriented = self.metric.iter().map(|value| self.better.orient(*value));
        self.better.orient(oriented.fold(f64::INFINITY, f64::min))
    }

    /// The empirical distribution function: sorted distinct values, each with the fraction of chips at or below it.
    pub fn ecdf(&self) -> Vec<(f64, f64)> {
        let mut sorted = self.metric.clone();
        sorted.sort_by(f64::total_cmp);
        let mut steps: Vec<(f64, f64)> = Vec::new();
        for (index, &value) in sorted.iter().enumerate() {
            let fraction = (index + 1) as f64 / sorted.len() as f64;
            match steps.last_mut() {
                Some(last) if last.0 == value => last.1 = fraction,
                _ => steps.push((value, fraction)),
            }
        }
        steps
    }

    /// KPP(k), the k-th percentile from the worse end: (100 - k) % of the chips reach this value, or do not exceed it if
    /// lower is better.
    ///
    /// Linear interpolation between order statistics at `h = (n - 1) k / 100` (type 7 of Hyndman and Fan 1996).
    ///
    /// # Errors
    /// [`NoiseError::Percentile`] for k outside 0..=100, [`NoiseError::Empty`] without chips.
    ///
    /// # Source
    /// Yan et al., ICCAD 2023 (arXiv 2307.15853).
    pub fn kpp(&self, k: f64) -> Result<f64, NoiseError> {
        let sorted = self.at(k)?;
        // The confidence only matters for the interval, which is not used here.
        let ranks = PercentileRanks::new(sorted.len(), k, 0.95);
        let (below, above) = (sorted[ranks.below - 1], sorted[ranks.above - 1]);
        let value = below + ranks.between * (above - below);
        Ok(self.better.orient(value))
    }

    /// An exact, distribution-free interval for KPP(k) between two order statistics. It contains [`kpp`](Self::kpp); see
    /// [`PercentileRanks`].
    ///
    /// A side that no order statistic can bound at this confidence (few chips, extreme k) has no end.
    ///
    /// # Errors
    /// As [`kpp`](Self::kpp), and [`NoiseError::Confidence`].
    pub fn kpp_interval(&self, k: f64, confidence: f64) -> Result<Interval, NoiseError> {
        let sorted = self.at(k)?;
        if !(confidence > 0.0 && confidence < 1.0) {
            return Err(NoiseError::Confidence { confidence });
        }
        let ranks = PercentileRanks::new(sorted.len(), k, confidence);
        let at = |rank: Option<usize>| rank.map(|rank| self.better.orient(sorted[rank - 1]));
        let (low, high) = self.better.ends(at(ranks.low), at(ranks.high));
        Ok(Interval {
            low,
            high,
            coverage: ranks.coverage,
        })
    }

    /// One population from its shards, in any order.
    ///
    /// # Errors
    /// [`NoiseError::Seeds`] for different populations, [`NoiseError::Join`] for missing or doubled chips,
    /// [`NoiseError::Empty`] without shards.
    pub fn merge(mut parts: Vec<Self>) -> Result<Self, NoiseError> {
        parts.sort_by_key(|part| part.first);
        let mut parts = parts.into_iter();
        let mut merged = parts.next().ok_or(NoiseError::Empty)?;
        for part in parts {
            if part.seed != merged.seed {
                return Err(NoiseError::Seeds {
                    first: merged.seed,
                    second: part.seed,
                });
            }
            let end = merged.first.saturating_add(merged.chips() as u64);
            if part.first != end {
                let what = if part.first > end {
                    "a shard between them is missing"
                } else {
                    "they overlap"
                };
                return Err(NoiseError::Join {
                    end,
                    start: part.first,
                    what,
                });
            }
            merged.metric.extend(part.metric);
        }
        Ok(merged)
    }

    /// The oriented metric from the worst chip to the best, if `k` and the population allow a percentile.
    fn at(&self, k: f64) -> Result<Vec<f64>, NoiseError> {
        if !(0.0..=100.0).contains(&k) {
            return Err(NoiseError::Percentile { k });
        }
        if self.metric.is_empty() {
            return Err(NoiseError::Empty);
        }
        let oriented = self.metric.iter().map(|value| self.better.orient(*value));
        let mut sorted: Vec<f64> = oriented.collect();
        sorted.sort_by(f64::total_cmp);
        Ok(sorted)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::Philox;
    use proptest::prelude::*;

    #[test]
    fn statistics_are_those_computed_by_hand() {
        let population = Population::new(1, 0, vec![0.4, 0.1, 0.2, 0.2]);
        assert!((population.mean() - 0.225).abs() < 1e-15);
        // Squared distances 0.030625 + 0.015625 + 2 * 0.000625 = 0.0475, over three.
        assert!((population.std() - (0.0475f64 / 3.0).sqrt()).abs() < 1e-15);
        assert_eq!(
            population.ecdf(),
            vec![(0.1, 0.25), (0.2, 0.75), (0.4, 1.0)]
        );
        // h = 3 * 0.9 = 2.7, between 0.2 and 0.4.
        assert!((population.kpp(90.0).unwrap() - 0.34).abs() < 1e-12);
        assert_eq!(
            (population.kpp(0.0).unwrap(), population.kpp(100.0).unwrap()),
            (0.1, 0.4)
        );
    }

    #[test]
    fn requests_without_an_answer_are_refused() {
        let population = Population::new(1, 0, vec![0.4]);
        for k in [-1.0, 100.5, f64::NAN] {
            assert!(matches!(
                population.kpp(k),
                Err(NoiseError::Percentile { .. })
            ));
        }
        assert_eq!(
            Population::new(1, 0, vec![]).kpp(1.0),
            Err(NoiseError::Empty)
        );
        assert!(matches!(
            population.kpp_interval(1.0, 1.0),
            Err(NoiseError::Confidence { .. })
        ));
    }

    #[test]
    fn few_chips_have_their_percentile_inside_its_interval() {
        // The first percentile of two chips is interpolated a hundredth of the way up from the worse one.
        let two = Population::new(1, 0, vec![0.7, 0.2]);
        let (value, interval) = (two.kpp(1.0).unwrap(), two.kpp_interval(1.0, 0.95).unwrap());
        assert!((value - 0.205).abs() < 1e-12);
        assert_eq!((interval.low, interval.high), (None, Some(0.7)));
        // An end that is there is told from one that is not, also at the ends of the metric.
        for end in [0.0, 1.0] {
            let all = Population::new(1, 0, vec![end; 400]);
            let interval = all.kpp_interval(50.0, 0.95).unwrap();
            assert_eq!((interval.low, interval.high), (Some(end), Some(end)));
        }
    }

    #[test]
    fn shards_merge_into_the_population() {
        let whole = Population::new(3, 10, (0..9).map(|i| f64::from(i) / 10.0).collect());
        let part = |from: usize, to: usize| {
            Population::new(3, 10 + from as u64, whole.metric[from..to].to_vec())
        };
        assert_eq!(
            Population::merge(vec![part(4, 9), part(0, 1), part(1, 4)]).unwrap(),
            whole
        );
        let gap = Population::merge(vec![part(0, 2), part(3, 9)])
            .unwrap_err()
            .to_string();
        assert!(
            gap.contains("missing") && gap.contains("12") && gap.contains("13"),
            "{gap}"
        );
        assert!(
            Population::merge(vec![part(0, 5), part(3, 9)])
                .unwrap_err()
                .to_string()
                .contains("overlap")
        );
        let other = Population {
            seed: 4,
            ..part(4, 9)
        };
        assert!(matches!(
            Population::merge(vec![part(0, 4), other]),
            Err(NoiseError::Seeds { .. })
        ));
    }

    #[test]
    fn intervals_cover_as_often_as_they_say() {
        // Uniform metric: KPP(k) of the population is k / 100. 4,000 simulated populations per row.
        let (trials, confidence) = (4000, 0.95);
        for (row, (n, k)) in [(100, 1.0), (500, 1.0), (100, 5.0), (300, 5.0), (101, 50.0)]
            .into_iter()
            .enumerate()
        {
            let mut covered = 0;
            let mut stated = 0.0;
            for trial in 0..trials {
                let generator = Philox::new(100 + row as u64, trial);
                let population =
                    Population::new(0, 0, (0..n).map(|i| generator.uniform(i)).collect());
                let interval = population.kpp_interval(k, confidence).unwrap();
                covered += u64::from(interval.contains(k / 100.0));
                stated = interval.coverage;
            }
            assert!(stated >= confidence, "n {n}, k {k}: {stated}");
            let error = (stated * (1.0 - stated) / trials as f64).sqrt();
            let found = covered as f64 / trials as f64;
            assert!(
                (found - stated).abs() < 3.0 * error,
                "n {n}, k {k}: covered {found}, stated {stated}"
            );
        }
    }

    proptest! {
        #[test]
        fn a_metric_and_its_mirror_agree(
            metric in prop::collection::vec(-3.0f64..3.0, 1..300), k in 0.0f64..=100.0, confidence in 0.5f64..0.99,
        ) {
            let negative = |metric: &[f64]| metric.iter().map(|value| -value).collect();
            let looks = crate::Looks::new(k, confidence, metric.len()).unwrap();
            for &chips in looks.chips() {
                let plain = Population::new(0, 0, metric[..chips].to_vec());
                let mirror = Population::new(0, 0, negative(&plain.metric)).judged_by(Better::Lower);
                prop_assert_eq!(mirror.kpp(k).unwrap(), -plain.kpp(k).unwrap());
                prop_assert_eq!(mirror.worst_of_n(), -plain.worst_of_n());
                prop_assert_eq!((mirror.mean(), mirror.std()), (-plain.mean(), plain.std()));
                let (a, b) = (
                    plain.kpp_interval(k, looks.each()).unwrap(),
                    mirror.kpp_interval(k, looks.each()).unwrap(),
                );
                let swapped = |end: Option<f64>| end.map(|end| -end);
                prop_assert_eq!((b.low, b.high, b.coverage), (swapped(a.high), swapped(a.low), a.coverage));
            }
        }

        #[test]
        fn percentiles_are_ordered_and_inside_their_intervals(
            metric in prop::collection::vec(0.0f64..1.0, 1..200), a in 0.0f64..100.0, b in 0.0f64..100.0,
            confidence in 0.01f64..0.999,
        ) {
            let population = Population::new(0, 0, metric);
            let (low, high) = (a.min(b), a.max(b));
            prop_assert!(population.worst_of_n() <= population.kpp(low).unwrap());
            prop_assert!(population.kpp(low).unwrap() <= population.kpp(high).unwrap());
            for k in [low, high] {
                let interval = population.kpp_interval(k, confidence).unwrap();
                prop_assert!(interval.contains(population.kpp(k).unwrap()), "{interval:?}");
                prop_assert!(interval.coverage >= confidence);
            }
        }
    }
}
