//! False matches and false non-matches, from one end of the scores to the other.

use super::scores::Compared;

/// The false non-match rate at the smallest threshold at which no more than the share `fmr` of the pairs of two people match. `None` without pairs of
/// both kinds. `weights` says how often each pair counts.
///
/// ```
/// use crossburn_training::{Compared, fnmr_at_fmr};
///
/// let pair = |people, score| Compared { group: 0, people, score };
/// let pairs = [pair([0, 0], 0.9), pair([1, 1], 0.2), pair([0, 1], 0.3), pair([1, 2], 0.1)];
/// assert_eq!(fnmr_at_fmr(&pairs, &[1.0; 4], 0.0), Some(0.5));
/// assert_eq!(fnmr_at_fmr(&pairs, &[1.0; 4], 0.5), Some(0.0));
/// ```
pub fn fnmr_at_fmr(compared: &[Compared], weights: &[f64], fmr: f64) -> Option<f64> {
    Some(fnmr_on(&curve(compared, weights)?, fmr))
}

/// The false non-match rate of the last point of a [`curve`] whose false match rate is `fmr` or less; rounding of sums is forgiven.
pub(super) fn fnmr_on(curve: &[CurvePoint], fmr: f64) -> f64 {
    let allowed = curve.partition_point(|point| point.fmr <= fmr + 1e-12);
    let last = curve[..allowed].last();
    // The first point of a curve has no false match.
    last.map_or(1.0, |point| point.fnmr)
}

/// One threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CurvePoint {
    /// Scores from this on match.
    pub threshold: f64,
    /// The share of pairs of two people that match.
    pub fmr: f64,
    /// The share of pairs of one person that do not match.
    pub fnmr: f64,
}

/// The rates at every threshold that can be told apart, from the one above all scores down: the points of a detection error trade-off (DET), and
/// with `1 - fnmr` those of a receiver operating characteristic (ROC). `None` without pairs of both kinds.
pub fn curve(compared: &[Compared], weights: &[f64]) -> Option<Vec<CurvePoint>> {
    let mut order: Vec<(&Compared, f64)> = compared.iter().zip(weights.iter().copied()).collect();
    order.sort_by(|a, b| b.0.score.total_cmp(&a.0.score));
    let mut all = [0.0f64; 2];
    for (pair, weight) in &order {
        all[usize::from(pair.is_mated())] += weight;
    }
    let [others, mated] = all;
    if !(others > 0.0 && mated > 0.0) {
        return None;
    }
    let mut points = vec![CurvePoint {
        threshold: order.first()?.0.score.next_up(),
        fmr: 0.0,
        fnmr: 1.0,
    }];
    let mut matched = [0.0f64; 2];
    for (place, (pair, weight)) in order.iter().enumerate() {
        matched[usize::from(pair.is_mated())] += weight;
        let next = order.get(place + 1).map(|(next, _)| next.score);
        if next != Some(pair.score) {
            points.push(CurvePoint {
                threshold: pair.score,
                fmr: matched[0] / others,
                fnmr: (1.0 - matched[1] / mated).max(0.0),
            });
        }
    }
    Some(points)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::scores::tests::pairs;
    use super::*;

    #[test]
    fn points_are_those_counted_by_hand() {
        let compared = pairs(&[
            (0, true, 0.9),
            (0, false, 0.7),
            (1, true, 0.7),
            (1, true, 0.4),
            (0, false, 0.2),
            (0, true, 0.1),
        ]);
        let found = curve(&compared, &[1.0; 6]).unwrap();
        let rates: Vec<_> = found.iter().map(|p| (p.threshold, p.fmr, p.fnmr)).collect();
        let expected = [
            (0.9f64.next_up(), 0.0, 1.0),
            (0.9, 0.0, 0.75),
            // A pair of each kind with one score.
            (0.7, 0.5, 0.5),
            (0.4, 0.5, 0.25),
            (0.2, 1.0, 0.25),
            (0.1, 1.0, 0.0),
        ];
        assert_eq!(rates, expected);
        for (fmr, fnmr) in [(0.0, 0.75), (0.49, 0.75), (0.5, 0.25), (1.0, 0.0)] {
            assert_eq!(fnmr_at_fmr(&compared, &[1.0; 6], fmr), Some(fnmr), "{fmr}");
        }
        // The highest other pair counts three times: three quarters of these match at 0.7.
        let weights = [1.0, 3.0, 1.0, 1.0, 1.0, 1.0];
        assert_eq!(fnmr_at_fmr(&compared, &weights, 0.5), Some(0.75));
        assert_eq!(fnmr_at_fmr(&compared[..1], &[1.0], 0.5), None);
    }
}
