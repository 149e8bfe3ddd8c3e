//! How many chips a percentile needs, found by looking at its interval several times.

use crate::{NoiseError, order_statistic_ranks};

/// Numbers of chips at which one looks at the interval of KPP(k), until it is narrow enough.
///
/// Stopping at the first interval that is narrow enough covers less often than each single interval does. The looks
/// therefore share the error: with J looks, each interval has the confidence `1 - (1 - confidence) / J`. All J intervals
/// together then cover at least as often as `confidence`, wherever one stops. The number of chips doubles from look to look,
/// because a look is only worth its share if the interval has become much narrower. If the ranks of some number of chips
/// cannot bound both sides, there is no look at this number.
///
/// Shares are equal. If each look took half of the remaining error, hardly anything would remain for the late looks, which
/// matter most.
///
/// ```
/// use crossburn_noise::Looks;
///
/// let looks = Looks::new(1.0, 0.95, 4000)?;
/// assert_eq!(looks.chips(), [1000, 2000, 4000]);
/// assert!((looks.each() - (1.0 - 0.05 / 3.0)).abs() < 1e-12);
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Looks {
    chips: Vec<usize>,
    confidence: f64,
}

impl Looks {
    /// The looks for KPP(k) at a confidence over all of them, with at most `chips` chips. If so few chips bound nothing,
    /// there is one look, at all of them.
    ///
    /// # Errors
    /// [`NoiseError::Percentile`], [`NoiseError::Confidence`], [`NoiseError::Empty`].
    pub fn new(k: f64, confidence: f64, chips: usize) -> Result<Self, NoiseError> {
        if !(0.0..=100.0).contains(&k) {
            return Err(NoiseError::Percentile { k });
        }
        if !(confidence > 0.0 && confidence < 1.0) {
            return Err(NoiseError::Confidence { confidence });
        }
        if chips == 0 {
            return Err(NoiseError::Empty);
        }
        let bounds = |chips: usize, looks: usize| {
            let each = 1.0 - (1.0 - confidence) / looks as f64;
            let (low, high, _) = order_statistic_ranks(chips, k / 100.0, each);
            low.is_some() && high.is_some()
        };
        // The largest number of looks for which the smallest number of chips still bounds both sides at its share of the
        // error.
        let halved = |look: usize| chips >> look;
        let mut looks = 1;
        while halved(looks) > 0 && bounds(halved(looks), looks + 1) {
            looks += 1;
        }
        Ok(Self {
            chips: (0..looks).rev().map(halved).collect(),
            confidence,
        })
    }

    /// Numbers of chips, ascending.
    pub fn chips(&self) -> &[usize] {
        &self.chips
    }

    /// Confidence over all looks.
    pub fn confidence(&self) -> f64 {
        self.confidence
    }

    /// Confidence of the interval at each look.
    pub fn each(&self) -> f64 {
        1.0 - (1.0 - self.confidence) / self.chips.len() as f64
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{Philox, Population};

    #[test]
    fn looks_double_up_to_all_chips_and_every_one_bounds_both_sides() {
        for (k, chips) in [(1.0, 10_000), (5.0, 700), (50.0, 64), (99.0, 1001)] {
            let looks = Looks::new(k, 0.95, chips).unwrap();
            assert_eq!(looks.chips().last(), Some(&chips));
            assert!(looks.chips().windows(2).all(|pair| pair[1] / 2 == pair[0]));
            for &n in looks.chips() {
                let (low, high, coverage) = order_statistic_ranks(n, k / 100.0, looks.each());
                assert!(
                    low.is_some() && high.is_some() && coverage >= looks.each(),
                    "{k} {n}"
                );
            }
        }
        // A hundred chips bound no first percentile.
        let looks = Looks::new(1.0, 0.95, 100).unwrap();
        assert_eq!((looks.chips(), looks.each()), ([100].as_slice(), 0.95));
    }

    #[test]
    fn stopping_at_the_first_narrow_interval_covers_as_often_as_it_says() {
        // Uniform metric, where KPP(k) is k / 100. One interval at 95 % per look would fail this.
        let (trials, confidence) = (3000, 0.95);
        for (row, (k, chips, half_width)) in
            [(1.0, 4000, 0.0045), (5.0, 2000, 0.014), (50.0, 800, 0.05)]
                .into_iter()
                .enumerate()
        {
            let looks = Looks::new(k, confidence, chips).unwrap();
            assert!(looks.chips().len() > 2);
            let covers = |each: f64, trial: u64| {
                let generator = Philox::new(500 + row as u64, trial);
                let metric: Vec<f64> = (0..chips as u64).map(|i| generator.uniform(i)).collect();
                let mut intervals = looks.chips().iter().map(|&n| {
                    let population = Population::new(0, 0, metric[..n].to_vec());
                    population.kpp_interval(k, each).unwrap()
                });
                let narrow = |interval: &crate::Interval| {
                    let (low, high) = interval.bounds((0.0, 1.0));
                    high - low <= 2.0 * half_width
                };
                let last = intervals.clone().next_back().unwrap();
                let interval = intervals.find(narrow).unwrap_or(last);
                interval.contains(k / 100.0)
            };
            let covered = |each| (0..trials).filter(|&trial| covers(each, trial)).count();
            let found = covered(looks.each()) as f64 / trials as f64;
            // Three standard errors.
            let error = 3.0 * (confidence * (1.0 - confidence) / trials as f64).sqrt();
            assert!(found >= confidence - error, "k {k}: {found}");
            // Shares of the error are needed, and not all of them are wasted.
            let naive = covered(confidence) as f64 / trials as f64;
            assert!(naive < found && found < 0.995, "k {k}: {naive} {found}");
        }
    }

    #[test]
    fn looks_that_make_no_sense_are_refused() {
        assert!(matches!(
            Looks::new(-1.0, 0.95, 9),
            Err(NoiseError::Percentile { .. })
        ));
        assert!(matches!(
            Looks::new(1.0, 0.0, 9),
            Err(NoiseError::Confidence { .. })
        ));
        assert_eq!(Looks::new(1.0, 0.95, 0), Err(NoiseError::Empty));
    }
}
