//! Means over people and their intervals.

use crossburn_noise::Bootstrap;

use crate::report::CONFIDENCE;

/// The mean of the values of some people.
pub(crate) fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len().max(1) as f64
}

/// A 95 % bootstrap interval for the mean over people; `None` of a single one.
pub(crate) fn interval(values: &[f64]) -> Option<[f64; 2]> {
    interval_of(values.len(), &|sample| {
        sample.iter().map(|person| values[*person]).sum::<f64>() / sample.len() as f64
    })
}

/// A 95 % bootstrap interval for what `statistic` says of a sample of `people` people; `None` of a single one.
pub(crate) fn interval_of(people: usize, statistic: &dyn Fn(&[usize]) -> f64) -> Option<[f64; 2]> {
    // The same samples of people for all numbers, so that differences are paired.
    let bootstrap = Bootstrap {
        confidence: CONFIDENCE,
        ..Bootstrap::default()
    };
    let found = bootstrap.interval(people, &|sample| Some(statistic(sample)));
    let found = found.ok()??;
    Some([found.low, found.high])
}

/// The median of `values`; NaN if there are none.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    match (values.len(), values.len() / 2) {
        (0, _) => f64::NAN,
        (count, middle) if count % 2 == 1 => values[middle],
        (_, middle) => (values[middle - 1] + values[middle]) / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_by_hand() {
        assert_eq!(median(vec![3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(vec![4.0, 1.0, 2.0, 9.0]), 3.0);
        assert!(median(Vec::new()).is_nan());
    }
}
