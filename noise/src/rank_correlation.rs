//! How far two lists order the same things alike.

use std::cmp::Ordering;

/// Kendall's τ-b, the rank correlation of two lists: `a[i]` and `b[i]` are two numbers of thing i. From -1 (opposite orders) to 1 (the same order);
/// `None` where lengths differ, a number is NaN, or all numbers of one list are equal, so that there is no order.
///
/// ```text
/// τ-b = (C - D) / sqrt((P - T_a) (P - T_b))      over the P = n (n - 1) / 2 pairs of things
/// ```
///
/// C pairs are in the same order in both lists, D in opposite orders; T_a pairs are equal in the first list, T_b in the second.
///
/// ```
/// use crossburn_noise::kendall;
///
/// // One of three pairs is the other way round: (2 - 1) / 3.
/// let tau = kendall(&[1.0, 2.0, 3.0], &[10.0, 30.0, 20.0]).expect("both lists have an order");
/// assert!((tau - 1.0 / 3.0).abs() < 1e-15);
/// assert_eq!(kendall(&[1.0, 2.0], &[5.0, 5.0]), None);
/// ```
///
/// # Source
/// Kendall, "The treatment of ties in ranking problems", Biometrika 33, 1945.
pub fn kendall(a: &[f64], b: &[f64]) -> Option<f64> {
    require_pairs(a, b)?;
    let (mut agree, mut of_a, mut of_b) = (0i64, 0i64, 0i64);
    for first in 0..a.len() {
        for second in 0..first {
            let (in_a, in_b) = (
                direction(a[first], a[second]),
                direction(b[first], b[second]),
            );
            agree += in_a * in_b;
            of_a += in_a.abs();
            of_b += in_b.abs();
        }
    }
    let both = (of_a as f64) * (of_b as f64);
    (both > 0.0).then(|| agree as f64 / both.sqrt())
}

/// Spearman's ρ of two lists, as for [`kendall`]: the correlation of their ranks, where equal numbers share the mean of their ranks. From -1 to 1; `None` as
/// there.
///
/// ```
/// use crossburn_noise::spearman;
///
/// // Without equal numbers ρ = 1 - 6 Σ d² / (n (n² - 1)); the ranks differ by 0, 1 and 1.
/// let rho = spearman(&[1.0, 2.0, 3.0], &[10.0, 30.0, 20.0]).expect("both lists have an order");
/// assert!((rho - (1.0 - 6.0 * 2.0 / 24.0)).abs() < 1e-15);
/// ```
///
/// # Source
/// Spearman, "The proof and measurement of association between two things", American Journal of Psychology 15, 1904.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    require_pairs(a, b)?;
    let (a, b) = (centred_ranks(a), centred_ranks(b));
    let product = |x: &[f64], y: &[f64]| -> f64 { x.iter().zip(y).map(|(x, y)| x * y).sum() };
    let both = product(&a, &a) * product(&b, &b);
    (both > 0.0).then(|| product(&a, &b) / both.sqrt())
}

/// `None` if the lengths differ or a number is NaN.
fn require_pairs(a: &[f64], b: &[f64]) -> Option<()> {
    let numbers = a.iter().chain(b).all(|value| !value.is_nan());
    (a.len() == b.len() && numbers).then_some(())
}

/// 1 where `a` is larger, -1 where it is smaller, 0 where both are equal.
fn direction(a: f64, b: f64) -> i64 {
    match a.partial_cmp(&b) {
        Some(Ordering::Greater) => 1,
        Some(Ordering::Less) => -1,
        _ => 0,
    }
}

/// The ranks less their mean. They are multiples of one half, so that their sums are exact.
fn centred_ranks(values: &[f64]) -> Vec<f64> {
    let of = |value: &f64| {
        let others = values.iter();
        let above: i64 = others.map(|other| direction(*value, *other)).sum();
        0.5 * above as f64
    };
    values.iter().map(of).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn both(a: &[f64], b: &[f64]) -> [f64; 2] {
        [kendall(a, b).unwrap(), spearman(a, b).unwrap()]
    }

    #[test]
    fn the_same_and_the_opposite_order() {
        let a = [0.1, 0.2, 0.4, 7.0];
        assert_eq!(both(&a, &[1.0, 2.0, 3.0, 4.0]), [1.0, 1.0]);
        assert_eq!(both(&a, &[-1.0, -2.0, -3.0, -4.0]), [-1.0, -1.0]);
    }

    #[test]
    fn lists_without_ties_by_hand() {
        // Pairs in opposite orders: (2, 1), (4, 3): 8 of 10 agree, (8 - 2) / 10. Ranks differ by 1, 1, 1, 1, 0: 1 - 6 · 4 / 120.
        let [tau, rho] = both(&[1.0, 2.0, 3.0, 4.0, 5.0], &[2.0, 1.0, 4.0, 3.0, 5.0]);
        assert!((tau - 0.6).abs() < 1e-15 && (rho - 0.8).abs() < 1e-15);
    }

    #[test]
    fn lists_with_ties_by_hand() {
        // Of six pairs, (1, 1) is a tie of a and (3, 3) one of b, with 2, 3 in a. The other four agree: 4 / sqrt(5 · 5).
        // Ranks 1.5, 1.5, 3, 4 and 1, 2, 3.5, 3.5; less 2.5: -1, -1, 0.5, 1.5 and -1.5, -0.5, 1, 1. Products 1.5 + 0.5 + 0.5 + 1.5 = 4, squares 4.5 each.
        let [tau, rho] = both(&[1.0, 1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 3.0]);
        assert!((tau - 0.8).abs() < 1e-15, "{tau}");
        assert!((rho - 4.0 / 4.5).abs() < 1e-15, "{rho}");
        // a: 1, 1, 1, 2: three pairs have an order, b has all six. Last is above the first and the third, below the second: (2 - 1) / sqrt(3 · 6).
        // Ranks less the mean -0.5, -0.5, -0.5, 1.5 and -1.5, 1.5, -0.5, 0.5: products 0.75 - 0.75 + 0.25 + 0.75 = 1, squares 3 and 5.
        let [tau, rho] = both(&[1.0, 1.0, 1.0, 2.0], &[1.0, 9.0, 3.0, 4.0]);
        assert!((tau - 1.0 / 18f64.sqrt()).abs() < 1e-15, "{tau}");
        assert!((rho - 1.0 / 15f64.sqrt()).abs() < 1e-15, "{rho}");
    }

    #[test]
    fn lists_without_an_order_have_no_correlation() {
        for (a, b) in [
            (&[1.0, 1.0][..], &[1.0, 2.0][..]),
            (&[1.0], &[2.0]),
            (&[], &[]),
            (&[1.0, 2.0], &[1.0, f64::NAN]),
            (&[1.0, 2.0], &[1.0, 2.0, 3.0]),
        ] {
            assert_eq!((kendall(a, b), spearman(a, b)), (None, None), "{a:?} {b:?}");
        }
    }
}
