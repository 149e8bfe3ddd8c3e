//! Bootstrap intervals: for any number that is computed from repetitions, by resampling them.

use crate::mean_interval::MeanInterval;
use crate::{NoiseError, Philox, path_hash};

/// How repetitions are resampled.
///
/// ```
/// use crossburn_noise::Bootstrap;
///
/// let differences = [0.1, 0.3, 0.2, 0.4];
/// let mean = |sample: &[usize]| {
///     Some(sample.iter().map(|number| differences[*number]).sum::<f64>() / sample.len() as f64)
/// };
/// let interval = Bootstrap::default().interval(4, &mean)?.expect("every sample has a mean");
/// assert!(0.1 <= interval.low && interval.low < 0.25 && 0.25 < interval.high && interval.high <= 0.4);
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
///
/// # Source
/// Efron, "Bootstrap methods: another look at the jackknife", Ann. Statist. 7, 1979: the percentile method.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// Samples of the repetitions that are drawn.
    pub samples: u64,
    /// The share of samples inside the interval.
    pub confidence: f64,
    /// Seed of the draws. Numbers that are compared need the same seed, so that they see the same samples.
    pub seed: u64,
}

impl Default for Bootstrap {
    /// 2,000 samples, 95 %.
    fn default() -> Self {
        Self {
            samples: 2000,
            confidence: 0.95,
            seed: 1,
        }
    }
}

impl Bootstrap {
    /// An interval for the value of `statistic` on `repetitions` repetitions: the middle of its values on samples of them,
    /// drawn with replacement. `statistic` receives the numbers of the repetitions in a sample. Samples for which it gives
    /// `None` are left out; the result is `None` if it never gives a value.
    ///
    /// For paired comparisons, a repetition holds all numbers that are compared, such as those of one person, so that they
    /// are drawn together.
    ///
    /// # Errors
    /// [`NoiseError::Empty`] for fewer than two repetitions, [`NoiseError::Confidence`].
    pub fn interval(
        &self,
        repetitions: usize,
        statistic: &dyn Fn(&[usize]) -> Option<f64>,
    ) -> Result<Option<MeanInterval>, NoiseError> {
        let one = |sample: &[usize]| statistic(sample).map(|value| vec![value]);
        let found = self.intervals(repetitions, &one)?;
        Ok(found.and_then(|intervals| intervals.first().copied()))
    }

    /// The same for several numbers, of which `statistic` gives equally many of every sample: an interval for each, by itself.
    ///
    /// # Errors
    /// Those of [`interval`](Self::interval).
    pub fn intervals(
        &self,
        repetitions: usize,
        statistic: &dyn Fn(&[usize]) -> Option<Vec<f64>>,
    ) -> Result<Option<Vec<MeanInterval>>, NoiseError> {
        let confidence = self.confidence;
        if repetitions < 2 {
            return Err(NoiseError::Empty);
        }
        if !(confidence > 0.0 && confidence < 1.0) {
            return Err(NoiseError::Confidence { confidence });
        }
        let count = u32::try_from(repetitions).unwrap_or(u32::MAX);
        let sample = |number| -> Option<Vec<f64>> {
            let draws = Philox::new(self.seed ^ path_hash("bootstrap"), number);
            let sample: Vec<usize> = (0..u64::from(count))
                .map(|place| draws.below(place, count) as usize)
                .collect();
            statistic(&sample)
        };
        let rows: Vec<Vec<f64>> = (0..self.samples).filter_map(sample).collect();
        let Some(last) = rows.len().checked_sub(1) else {
            return Ok(None);
        };
        let numbers = rows.iter().map(Vec::len).min().unwrap_or(0);
        let interval = |number: usize| {
            let mut values: Vec<f64> = rows.iter().map(|row| row[number]).collect();
            values.sort_by(f64::total_cmp);
            // The same number of samples is left out at both ends.
            let out = (0.5 * (1.0 - confidence) * values.len() as f64) as usize;
            MeanInterval {
                low: values[out.min(last)],
                high: values[last.saturating_sub(out)],
                coverage: confidence,
            }
        };
        Ok(Some((0..numbers).map(interval).collect()))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn bootstrap(confidence: f64) -> Bootstrap {
        Bootstrap {
            confidence,
            seed: 7,
            ..Bootstrap::default()
        }
    }

    fn of(values: &[f64], confidence: f64) -> [f64; 2] {
        let mean = |sample: &[usize]| {
            let sum: f64 = sample.iter().map(|number| values[*number]).sum();
            Some(sum / sample.len() as f64)
        };
        let found = bootstrap(confidence).interval(values.len(), &mean);
        let found = found.unwrap().unwrap();
        [found.low, found.high]
    }

    #[test]
    fn two_values_give_the_quarters_of_their_samples() {
        // Means of two draws of 0 and 1: 0 and 1 each with probability 1/4, 1/2 with probability 1/2.
        assert_eq!(of(&[0.0, 1.0], 0.95), [0.0, 1.0]);
        assert_eq!(of(&[0.0, 1.0], 0.4), [0.5, 0.5]);
        assert_eq!(of(&[0.3, 0.3, 0.3], 0.95), [0.3, 0.3]);
    }

    #[test]
    fn intervals_of_a_mean_are_those_of_its_standard_error() {
        let draws = Philox::new(5, 0);
        let values: Vec<f64> = (0..400).map(|index| draws.uniform(index)).collect();
        let mean = values.iter().sum::<f64>() / 400.0;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 400.0;
        let half = 1.96 * (variance / 400.0).sqrt();
        let [low, high] = of(&values, 0.95);
        // A quantile of 2,000 samples at 2.5 % has a standard deviation of 0.06 of that of the mean: 0.03 of half the interval. Four of them.
        let tolerance = 0.12 * half;
        assert!((low - (mean - half)).abs() < tolerance, "{low}");
        assert!((high - (mean + half)).abs() < tolerance, "{high}");
    }

    #[test]
    fn several_numbers_have_the_intervals_of_each() {
        let values = [0.1, 0.7, 0.2, 0.9, 0.4];
        let mean = |sample: &[usize]| {
            sample.iter().map(|number| values[*number]).sum::<f64>() / sample.len() as f64
        };
        let first = |sample: &[usize]| values[sample[0]];
        let both = bootstrap(0.9)
            .intervals(5, &|sample| Some(vec![mean(sample), first(sample)]))
            .unwrap()
            .unwrap();
        let alone = |one: &dyn Fn(&[usize]) -> f64| {
            let found = bootstrap(0.9).interval(5, &|sample| Some(one(sample)));
            found.unwrap().unwrap()
        };
        assert_eq!(both, [alone(&mean), alone(&first)]);
        assert!(both[0].high < both[1].high);
    }

    #[test]
    fn one_repetition_and_no_confidence_are_refused() {
        let nothing = |_: &[usize]| None;
        let error = bootstrap(0.95).interval(1, &nothing).unwrap_err();
        assert!(matches!(error, NoiseError::Empty));
        let error = bootstrap(1.0).interval(5, &nothing).unwrap_err();
        assert!(matches!(error, NoiseError::Confidence { .. }));
        assert_eq!(bootstrap(0.95).interval(5, &nothing).unwrap(), None);
    }
}
