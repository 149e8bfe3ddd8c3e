//! Exact ranks for distribution-free intervals of a quantile.

use statrs::distribution::{Binomial, DiscreteCDF};

/// Ranks, from 1, of the order statistics that bound a quantile.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranks {
    /// Rank of the lower bound; none where no order statistic is low enough.
    pub low: Option<usize>,
    /// Rank of the upper bound; none where no order statistic is high enough.
    pub high: Option<usize>,
    /// Probability that the quantile lies between them, for a continuous distribution.
    pub coverage: f64,
}

/// The innermost order statistics of `n` draws that bound the `p`-quantile with at most `(1 - confidence) / 2` outside
/// on either side.
///
/// ```text
/// B ~ Binomial(n, p) draws lie below the quantile:
/// P(X_(l) > q) = P(B < l) = P(B <= l - 1)        P(X_(u) < q) = P(B >= u) = 1 - P(B <= u - 1)
/// ```
///
/// `n` above zero, `p` in 0..=1, `confidence` in 0..1: callers check.
///
/// # Source
/// David and Nagaraja, Order Statistics, third edition, section 7.1.
pub fn order_statistic_ranks(n: usize, p: f64, confidence: f64) -> Ranks {
    let tail = 0.5 * (1.0 - confidence);
    let Ok(below) = Binomial::new(p, n as u64) else {
        return Ranks {
            low: None,
            high: None,
            coverage: 1.0,
        };
    };
    let outside_low = |rank: usize| below.cdf(rank as u64 - 1);
    let outside_high = |rank: usize| 1.0 - below.cdf(rank as u64 - 1);
    // Both are monotone in the rank: the last that is still safe below, the first that is safe above.
    let safe_low = partition(n, |rank| outside_low(rank) <= tail);
    let unsafe_high = partition(n, |rank| outside_high(rank) > tail);
    let low = (safe_low > 0).then_some(safe_low);
    let high = (unsafe_high < n).then_some(unsafe_high + 1);
    let coverage = 1.0 - low.map_or(0.0, outside_low) - high.map_or(0.0, outside_high);
    Ranks {
        low,
        high,
        coverage,
    }
}

/// How many of the ranks 1..=n fulfil `holds`, which holds for a prefix of them.
fn partition(n: usize, holds: impl Fn(usize) -> bool) -> usize {
    let (mut low, mut high) = (0, n);
    while low < high {
        let middle = (low + high).div_ceil(2);
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

    #[test]
    fn ranks_are_those_known() {
        // Median of ten: ranks 2 and 9, coverage 1 - 2 * 11 / 1024 (David and Nagaraja's example).
        let ranks = order_statistic_ranks(10, 0.5, 0.95);
        assert_eq!((ranks.low, ranks.high), (Some(2), Some(9)));
        assert!((ranks.coverage - (1.0 - 22.0 / 1024.0)).abs() < 1e-12);
        // First percentile of 1,000 chips: P(B <= 3) = 0.0101, P(B <= 4) = 0.0287; P(B >= 17) = 0.0264, P(B >= 18) = 0.0139.
        let ranks = order_statistic_ranks(1000, 0.01, 0.95);
        assert_eq!((ranks.low, ranks.high), (Some(4), Some(18)));
        // First percentile of 100 chips: 0.99^100 = 37 % of populations have no chip below it, so nothing bounds it.
        let ranks = order_statistic_ranks(100, 0.01, 0.95);
        assert_eq!(ranks.low, None);
        assert!(order_statistic_ranks(1, 0.5, 0.95).high.is_none());
    }
}
