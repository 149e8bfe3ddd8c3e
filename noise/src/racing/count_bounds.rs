//! Exact bounds on a count, from a part of what is counted.

/// Relative rounding of a tail probability. It is far above the rounding of logarithms of factorials, so bounds err on the
/// safe side.
const ROUNDING: f64 = 1e-6;

/// Bounds on the number of correct items among all items, when only some of them have been seen.
///
/// The items come in random order, so the number of correct ones among `seen` items is hypergeometric:
///
/// ```text
/// P(X = x | A) = C(A, x) C(M - A, m - x) / C(M, m)      M items, A of them correct, m seen
/// lower bound    the smallest A with P(X >= x | A) > error
/// upper bound    the largest A with P(X <= x | A) > error
/// ```
///
/// Whatever A is, it lies below its lower bound with probability at most `error`, and above its upper bound with probability
/// at most `error`.
///
/// # Source
/// Inversion of the test, Clopper and Pearson, Biometrika 26 (1934), here for a finite population.
#[derive(Debug)]
pub(super) struct CountBounds {
    /// `ln(n!)` for n in `0..=items`.
    ln_factorial: Vec<f64>,
}

impl CountBounds {
    /// Bounds for counts among `items`.
    pub(super) fn new(items: usize) -> Self {
        let ln_factorial = (0..=items).map(|n| libm::lgamma(n as f64 + 1.0)).collect();
        Self { ln_factorial }
    }

    /// The lower bound if `correct` of `seen` items are correct.
    pub(super) fn lower(&self, seen: usize, correct: usize, error: f64) -> usize {
        // Certain limits: the correct items seen, and the wrong items seen.
        let (mut low, mut high) = (correct, self.items() - (seen - correct));
        // P(X >= correct | A) grows with A. Search for the first A where it is above the error.
        while low < high {
            let middle = low + (high - low) / 2;
            if self.at_least(middle, seen, correct) > error * (1.0 - ROUNDING) {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// The upper bound if `correct` of `seen` items are correct, from the lower bound on the wrong ones.
    pub(super) fn upper(&self, seen: usize, correct: usize, error: f64) -> usize {
        self.items() - self.lower(seen, seen - correct, error)
    }

    fn items(&self) -> usize {
        self.ln_factorial.len() - 1
    }

    /// P(X >= x), where X is the number of correct items among `seen`, and `all` of all items are correct.
    fn at_least(&self, all: usize, seen: usize, x: usize) -> f64 {
        let items = self.items();
        let (least, most) = ((seen + all).saturating_sub(items), seen.min(all));
        if x > most {
            return 0.0;
        }
        let from = x.max(least);
        // The sum starts at its largest term, so that only negligible terms underflow.
        let mode = (seen + 1) * (all + 1) / (items + 2);
        let start = mode.clamp(from, most);
        let first = libm::exp(
            self.ln_choose(all, start) + self.ln_choose(items - all, seen - start)
                - self.ln_choose(items, seen),
        );
        // P(x + 1) / P(x).
        let ratio = |x: usize| {
            ((all - x) as f64 * (seen - x) as f64)
                / ((x + 1) as f64 * (items + x + 1 - all - seen) as f64)
        };
        let mut sum = first;
        let mut term = first;
        for x in start..most {
            term *= ratio(x);
            sum += term;
            if term < sum * f64::EPSILON {
                break;
            }
        }
        term = first;
        for x in (from..start).rev() {
            term /= ratio(x);
            sum += term;
            if term < sum * f64::EPSILON {
                break;
            }
        }
        sum
    }

    fn ln_choose(&self, n: usize, k: usize) -> f64 {
        self.ln_factorial[n] - self.ln_factorial[k] - self.ln_factorial[n - k]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use statrs::distribution::{Discrete, DiscreteCDF, Hypergeometric};

    fn probability(items: usize, all: usize, seen: usize, x: usize) -> f64 {
        let law = Hypergeometric::new(items as u64, all as u64, seen as u64);
        law.map_or(0.0, |law| law.pmf(x as u64))
    }

    #[test]
    fn tails_are_those_of_an_independent_implementation() {
        for (items, all, seen) in [(60, 20, 12), (500, 410, 100), (10_000, 8_200, 1_000)] {
            let bounds = CountBounds::new(items);
            let Ok(law) = Hypergeometric::new(items as u64, all as u64, seen as u64) else {
                panic!("a hypergeometric law");
            };
            for x in (1..seen).step_by(seen / 12) {
                let (found, expected) =
                    (bounds.at_least(all, seen, x), 1.0 - law.cdf(x as u64 - 1));
                assert!(
                    (found - expected).abs() < 1e-9,
                    "{items} {x}: {found} {expected}"
                );
            }
        }
    }

    #[test]
    fn bounds_fail_as_rarely_as_they_say_and_not_much_more_rarely() {
        // Every possible truth, by enumeration.
        let (items, seen, error) = (200, 60, 0.01);
        let bounds = CountBounds::new(items);
        let mut most = [0.0f64; 2];
        for all in 0..=items {
            let mut fails = [0.0; 2];
            for x in (seen + all).saturating_sub(items)..=seen.min(all) {
                let mass = probability(items, all, seen, x);
                if bounds.lower(seen, x, error) > all {
                    fails[0] += mass;
                }
                if bounds.upper(seen, x, error) < all {
                    fails[1] += mass;
                }
            }
            for (most, fails) in most.iter_mut().zip(fails) {
                assert!(fails <= error, "{all}: {fails}");
                *most = most.max(fails);
            }
        }
        // A bound of whole numbers cannot spend all of the error, but somewhere nearly all.
        assert!(most.iter().all(|most| *most > 0.9 * error), "{most:?}");
    }

    #[test]
    fn nothing_seen_says_nothing_and_everything_seen_says_all() {
        let bounds = CountBounds::new(30);
        assert_eq!(
            (bounds.lower(0, 0, 0.01), bounds.upper(0, 0, 0.01)),
            (0, 30)
        );
        for correct in 0..=30 {
            let both = (
                bounds.lower(30, correct, 0.01),
                bounds.upper(30, correct, 0.01),
            );
            assert_eq!(both, (correct, correct));
        }
        // What is certain holds at any error.
        assert_eq!(
            (bounds.lower(10, 4, 0.0), bounds.upper(10, 4, 0.0)),
            (4, 24)
        );
    }

    proptest! {
        #[test]
        fn bounds_are_ordered_monotone_and_narrower_with_more_error(
            items in 1usize..400, part in 0.0f64..=1.0, share in 0.0f64..=1.0, error in 1e-9f64..0.4,
        ) {
            let bounds = CountBounds::new(items);
            let seen = (part * items as f64) as usize;
            let correct = (share * seen as f64) as usize;
            let (low, high) = (bounds.lower(seen, correct, error), bounds.upper(seen, correct, error));
            prop_assert!(correct <= low && low <= high && high <= items - (seen - correct));
            prop_assert!(bounds.lower(seen, correct, error / 10.0) <= low);
            prop_assert!(bounds.upper(seen, correct, error / 10.0) >= high);
            if correct < seen {
                prop_assert!(bounds.lower(seen, correct + 1, error) >= low);
                prop_assert!(bounds.upper(seen, correct + 1, error) >= high);
            }
        }
    }
}
