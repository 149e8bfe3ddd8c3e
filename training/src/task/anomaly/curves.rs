//! How well errors tell anomalies from normal samples: areas under two curves.

use super::Judged;

/// The area under the curve of true against false alarms: the chance that the error of an anomaly is above that of a normal
/// sample, equal errors counting half.
///
/// `None` without anomalies or without normal samples.
///
/// ```
/// use crossburn_training::auroc;
///
/// // Of four pairs, the anomaly has the larger error in three, and the same in one.
/// assert_eq!(auroc(&[(1.0, false), (2.0, false), (2.0, true), (3.0, true)]), Some(0.875));
/// ```
///
/// # Source
/// The statistic of Mann and Whitney, 1947.
pub fn auroc(judged: &[Judged]) -> Option<f64> {
    let (mut normal, mut anomalies, mut pairs) = (0u64, 0u64, 0.0);
    for Step {
        normal: same,
        anomalies: here,
    } in steps(judged).into_iter().rev()
    {
        pairs += here as f64 * (normal as f64 + 0.5 * same as f64);
        normal += same;
        anomalies += here;
    }
    (normal > 0 && anomalies > 0).then(|| pairs / (normal as f64 * anomalies as f64))
}

/// The area under the curve of precision against recall, as the average precision: every threshold adds its precision times
/// the recall that it gains. Equal errors are one threshold. A network that tells nothing has the prevalence.
///
/// `None` without anomalies or without normal samples.
///
/// ```
/// use crossburn_training::auprc;
///
/// // Thresholds 3 (1 of 1 is an anomaly) and 2 (2 of 3 are): 0.5 · 1 + 0.5 · 2/3.
/// let found = auprc(&[(1.0, false), (2.0, false), (2.0, true), (3.0, true)]);
/// assert!((found.unwrap() - 5.0 / 6.0).abs() < 1e-12);
/// ```
pub fn auprc(judged: &[Judged]) -> Option<f64> {
    let all = judged.iter().filter(|(_, anomalous)| *anomalous).count() as u64;
    if all == 0 || all == judged.len() as u64 {
        return None;
    }
    let (mut found, mut alarms, mut area) = (0u64, 0u64, 0.0);
    for step in steps(judged) {
        found += step.anomalies;
        alarms += step.normal + step.anomalies;
        let precision = found as f64 / alarms as f64;
        area += precision * step.anomalies as f64 / all as f64;
    }
    Some(area)
}

/// Samples of one error.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Step {
    pub(crate) normal: u64,
    pub(crate) anomalies: u64,
}

/// Distinct errors, from the largest to the smallest.
pub(crate) fn steps(judged: &[Judged]) -> Vec<Step> {
    let mut sorted = judged.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut steps: Vec<Step> = Vec::new();
    let mut last = None;
    for (error, anomalous) in sorted {
        if last != Some(error) {
            steps.push(Step::default());
            last = Some(error);
        }
        if let Some(step) = steps.last_mut() {
            match anomalous {
                true => step.anomalies += 1,
                false => step.normal += 1,
            }
        }
    }
    steps
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn areas_are_those_worked_by_hand() {
        let rows: [(&[Judged], f64, f64); 5] = [
            // Told apart without a fault.
            (&[(1.0, false), (2.0, true), (3.0, true)], 1.0, 1.0),
            // The wrong way round: precision 0, 0, 1/3.
            (&[(3.0, false), (2.0, false), (1.0, true)], 0.0, 1.0 / 3.0),
            // All the same: one step.
            (
                &[(1.0, false), (1.0, true), (1.0, false), (1.0, false)],
                0.5,
                0.25,
            ),
            // Anomalies at 4 and at 2 beside a normal one; normal at 3 and 1. Pairs: 3 of the first, 1 + 0.5 of the second.
            (
                &[
                    (4.0, true),
                    (3.0, false),
                    (2.0, true),
                    (2.0, false),
                    (1.0, false),
                ],
                4.5 / 6.0,
                0.5 + 0.5 * 0.5,
            ),
            // Steps of three and of two.
            (
                &[
                    (5.0, true),
                    (5.0, true),
                    (5.0, false),
                    (1.0, true),
                    (1.0, false),
                ],
                (2.0 * 1.5 + 0.5) / 6.0,
                2.0 / 3.0 * (2.0 / 3.0) + 1.0 / 3.0 * (3.0 / 5.0),
            ),
        ];
        for (judged, roc, prc) in rows {
            assert!((auroc(judged).unwrap() - roc).abs() < 1e-12, "{judged:?}");
            assert!((auprc(judged).unwrap() - prc).abs() < 1e-12, "{judged:?}");
        }
        for judged in [&[][..], &[(1.0, true)], &[(1.0, false), (2.0, false)]] {
            assert_eq!((auroc(judged), auprc(judged)), (None, None));
        }
    }

    proptest! {
        #[test]
        fn areas_do_not_depend_on_order_or_scale(
            judged in prop::collection::vec((0u8..6, any::<bool>()), 1..60), turn in 0usize..60,
        ) {
            let judged: Vec<Judged> = judged.into_iter().map(|(e, a)| (f64::from(e), a)).collect();
            let mut other: Vec<Judged> = judged.iter().map(|(e, a)| (e.exp(), *a)).collect();
            let turn = turn % other.len();
            other.rotate_left(turn);
            prop_assert_eq!(auroc(&judged), auroc(&other));
            prop_assert_eq!(auprc(&judged), auprc(&other));
            // The pairs, one by one.
            let of = |wanted: bool| judged.iter().filter(move |j| j.1 == wanted).map(|j| j.0);
            let pairs: Vec<f64> = of(true)
                .flat_map(|a| of(false).map(move |n| if a > n { 1.0 } else if a == n { 0.5 } else { 0.0 }))
                .collect();
            if let Some(area) = auroc(&judged) {
                prop_assert!((area - pairs.iter().sum::<f64>() / pairs.len() as f64).abs() < 1e-12);
            }
        }
    }
}
