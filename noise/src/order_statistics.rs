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
/// The result is the rank of the lower and of the upper bound, from 1, and the probability that the quantile lies
/// between them if the distribution is continuous; with ties it is at least that. A side is `None` where no order
/// statistic is far enough out. Outside `p` in 0..=1 and `confidence` in 0..1 nothing bounds the quantile.
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
    // Both are monotone in the rank: the last that is still safe below, the first that is safe above.
    let safe_low = partition(n, |rank| outside_low(rank) <= tail);
    let unsafe_high = partition(n, |rank| outside_high(rank) > tail);
    let low = (safe_low > 0).then_some(safe_low);
    let high = (unsafe_high < n).then_some(unsafe_high + 1);
    let coverage = 1.0 - low.map_or(0.0, outside_low) - high.map_or(0.0, outside_high);
    (low, high, coverage)
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
