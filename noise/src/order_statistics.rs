//! Exact ranks for distribution-free intervals of a quantile.

use statrs::distribution::{Binomial, DiscreteCDF};

/// The innermost order statistics of `n` draws that bound the `p`-quantile with at most `(1 - confidence) / 2` outside
/// on either side.
///
/// ```text
/// B ~ Binomial(n, p) draws lie below the quantile:
/// P(X_(l) > q) = P(B < l) = P(B <= l - 1)        P(X_(u) < q) = P(B >= u) = 1 - P(B <= u - 1)
/// ```
///
/// The result is the rank of the lower and of the upper bound, from 1, and the probability that the quantile lies between
/// them if the distribution is continuous; with ties it is at least that. A side is `None` if no order statistic is far
/// enough out, and both sides are if `p` is outside 0..=1 or `confidence` outside 0..1.
///
/// ```
/// use crossburn_noise::order_statistic_ranks;
///
/// // The first percentile of 1,000 chips lies between the 4th and the 18th worst chip.
/// assert!(matches!(order_statistic_ranks(1000, 0.01, 0.95), (Some(4), Some(18), _)));
/// ```
///
/// # Source
/// David and Nagaraja, Order Statistics, third edition, section 7.1.
pub fn order_statistic_ranks(
    n: usize,
    p: f64,
    confidence: f64,
) -> (Option<usize>, Option<usize>, f64) {
    let tail = 0.5 * (1.0 - confidence);
    let below = match Binomial::new(p, n as u64) {
        Ok(below) if confidence > 0.0 && confidence < 1.0 => below,
        _ => return (None, None, 1.0),
    };
    let outside_low = |rank: usize| below.cdf(rank as u64 - 1);
    let outside_high = |rank: usize| below.sf(rank as u64 - 1);
    // Both probabilities are monotone in the rank, so the last safe rank below and the first safe rank above can be
    // searched.
    let safe_low = partition(n, |rank| outside_low(rank) <= tail);
    let unsafe_high = partition(n, |rank| outside_high(rank) > tail);
    let low = (safe_low > 0).then_some(safe_low);
    let high = (unsafe_high < n).then_some(unsafe_high + 1);
    let coverage = 1.0 - low.map_or(0.0, outside_low) - high.map_or(0.0, outside_high);
    (low, high, coverage)
}

/// The order statistics that KPP(k) of `n` chips and its interval are made of; ranks are from 1.
///
/// The point is interpolated between two neighbours. The interval lies between the order statistics that
/// [`order_statistic_ranks`] finds. With few chips and an extreme k, both may lie on one side of the point. For example, the
/// worse of two chips is above the first percentile with a probability of 98 %, and the point is interpolated above that
/// chip. The interval is then widened to the neighbours of the point, so that it contains the point, and `coverage` is that
/// of the wider interval.
///
/// ```
/// use crossburn_noise::PercentileRanks;
///
/// let ranks = PercentileRanks::new(1000, 1.0, 0.95);
/// assert_eq!((ranks.low, ranks.below, ranks.above, ranks.high), (Some(4), 10, 11, Some(18)));
/// let ranks = PercentileRanks::new(2, 1.0, 0.95);
/// assert_eq!((ranks.low, ranks.below, ranks.above, ranks.high), (None, 1, 2, Some(2)));
/// ```
///
/// # Source
/// The point: type 7 of Hyndman and Fan, "Sample quantiles in statistical packages", The American Statistician 50 (1996).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PercentileRanks {
    /// Rank of the lower end of the interval; `None` if no order statistic bounds that side.
    pub low: Option<usize>,
    /// Rank of the upper end.
    pub high: Option<usize>,
    /// Probability that the interval holds the percentile of a continuous metric; with ties it is at least that.
    pub coverage: f64,
    /// Rank of the neighbour below the point.
    pub below: usize,
    /// Rank of the neighbour above the point; the same rank if the point is an order statistic.
    pub above: usize,
    /// Weight of the neighbour above, in 0..1.
    pub between: f64,
}

impl PercentileRanks {
    /// The ranks of `n` chips, at least one, for `k` in 0..=100.
    pub fn new(n: usize, k: f64, confidence: f64) -> Self {
        let h = (n.max(1) - 1) as f64 * k / 100.0;
        let (below, above) = (h.floor() as usize + 1, h.ceil() as usize + 1);
        let (low, high, coverage) = order_statistic_ranks(n, k / 100.0, confidence);
        let wide = (
            low.map(|rank| rank.min(below)),
            high.map(|rank| rank.max(above)),
        );
        Self {
            low: wide.0,
            high: wide.1,
            coverage: match wide == (low, high) {
                true => coverage,
                false => probability_between(n, k / 100.0, wide.0, wide.1),
            },
            below,
            above,
            between: h - h.floor(),
        }
    }
}

/// Probability that the `p`-quantile lies between order statistics of `n` draws.
fn probability_between(n: usize, p: f64, low: Option<usize>, high: Option<usize>) -> f64 {
    let Ok(below) = Binomial::new(p, n as u64) else {
        return 1.0;
    };
    1.0 - low.map_or(0.0, |rank| below.cdf(rank as u64 - 1))
        - high.map_or(0.0, |rank| below.sf(rank as u64 - 1))
}

/// Number of ranks in 1..=n that fulfil `holds`, which is true up to some rank and false after it.
fn partition(n: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if holds(middle) {
            low = middle
        } else {
            high = middle - 1
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn ranks_are_those_known() {
        // Median of ten: ranks 2 and 9, coverage 1 - 2 * 11 / 1024 (David and Nagaraja's example).
        let (low, high, coverage) = order_statistic_ranks(10, 0.5, 0.95);
        assert_eq!((low, high), (Some(2), Some(9)));
        assert!((coverage - (1.0 - 22.0 / 1024.0)).abs() < 1e-12);
        // First percentile of 1,000 chips: P(B <= 3) = 0.0101, P(B <= 4) = 0.0287; P(B >= 17) = 0.0264, P(B >= 18) = 0.0139.
        let (low, high, _) = order_statistic_ranks(1000, 0.01, 0.95);
        assert_eq!((low, high), (Some(4), Some(18)));
        // First percentile of 100 chips: 0.99^100 = 37 % of populations have no chip below it, so nothing bounds it.
        assert_eq!(order_statistic_ranks(100, 0.01, 0.95).0, None);
        assert_eq!(order_statistic_ranks(1, 0.5, 0.95), (None, None, 1.0));
    }

    #[test]
    fn the_coverage_is_the_sum_of_the_binomial_probabilities() {
        for (n, p, confidence) in [
            (10, 0.5, 0.95),
            (40, 0.05, 0.9),
            (60, 0.3, 0.99),
            (25, 0.97, 0.5),
        ] {
            let mut probability = (1.0f64 - p).powi(n);
            let mut mass = vec![probability];
            for k in 1..=n {
                probability *= f64::from(n - k + 1) / f64::from(k) * p / (1.0 - p);
                mass.push(probability);
            }
            let (low, high, coverage) = order_statistic_ranks(n as usize, p, confidence);
            // low <= B < high draws lie below the quantile.
            let (from, to) = (low.unwrap_or(0), high.unwrap_or(mass.len()));
            let sum: f64 = mass[from..to].iter().sum();
            assert!((coverage - sum).abs() < 1e-10, "{n} {p}: {coverage} {sum}");
            let tail = 0.5 * (1.0 - confidence);
            assert!(
                mass[..from].iter().sum::<f64>() <= tail && mass[to..].iter().sum::<f64>() <= tail
            );
            // The next rank inwards on either side would leave too much outside.
            assert!(
                mass[..=from].iter().sum::<f64>() > tail
                    && mass[to - 1..].iter().sum::<f64>() > tail
            );
        }
    }

    #[test]
    fn few_chips_have_an_interval_around_their_point_with_the_coverage_of_its_ranks() {
        // Of two chips, the second is below the first percentile with a probability of 0.01².
        let ranks = PercentileRanks::new(2, 1.0, 0.95);
        assert_eq!((ranks.low, ranks.high, ranks.above), (None, Some(2), 2));
        assert!((ranks.coverage - (1.0 - 1e-4)).abs() < 1e-12);
        // The same seen from above.
        let ranks = PercentileRanks::new(2, 99.0, 0.95);
        assert_eq!((ranks.low, ranks.high, ranks.below), (Some(1), None, 1));
        assert!((ranks.coverage - (1.0 - 1e-4)).abs() < 1e-12);
        // 0.1 % of 25 chips: one of them is below with a probability of 1 - 0.999^25 = 2.47 %, two with 0.029 %.
        let ranks = PercentileRanks::new(25, 0.1, 0.95);
        assert_eq!((ranks.below, ranks.above, ranks.high), (1, 2, Some(2)));
        let both = 1.0 - 0.999f64.powi(25) - 25.0 * 0.001 * 0.999f64.powi(24);
        assert!((ranks.coverage - (1.0 - both)).abs() < 1e-12);
    }

    proptest! {
        #[test]
        fn an_interval_holds_its_point_for_any_chips_percentile_and_confidence(
            n in 1usize..400, k in 0.0f64..=100.0, confidence in 0.01f64..0.999,
        ) {
            let ranks = PercentileRanks::new(n, k, confidence);
            prop_assert!(1 <= ranks.below && ranks.below <= ranks.above && ranks.above <= n);
            prop_assert!(ranks.above - ranks.below <= 1 && (0.0..1.0).contains(&ranks.between));
            prop_assert!(ranks.low.is_none_or(|low| 1 <= low && low <= ranks.below));
            prop_assert!(ranks.high.is_none_or(|high| ranks.above <= high && high <= n));
            prop_assert!(ranks.coverage >= confidence && ranks.coverage <= 1.0);
        }
    }

    #[test]
    fn requests_without_meaning_bound_nothing() {
        for (n, p, confidence) in [
            (0, 0.5, 0.9),
            (9, -0.1, 0.9),
            (9, f64::NAN, 0.9),
            (9, 0.5, f64::NAN),
            (9, 0.5, 1.0),
        ] {
            assert_eq!(order_statistic_ranks(n, p, confidence), (None, None, 1.0));
        }
    }
}
