//! The axis of a plot, with round numbers.

use crossburn_noise::Metric;

/// One axis: its range and where it has numbers.
pub struct Axis {
    /// What it shows, with the unit.
    pub label: String,
    /// The left or lower end.
    pub low: f64,
    /// The right or upper end.
    pub high: f64,
    /// Positions with their text.
    pub ticks: Vec<(f64, String)>,
}

impl Axis {
    /// An axis over `values` with round ends and about six ticks, kept within `bounds`. `min_step` is the smallest
    /// distance of ticks, 1 for counts.
    pub fn covering(
        label: &str,
        values: impl IntoIterator<Item = f64>,
        bounds: (f64, f64),
        min_step: f64,
    ) -> Self {
        let finite = values.into_iter().filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
            (a.min(v), b.max(v))
        });
        let (low, high) = if low <= high {
            (low.max(bounds.0), high.min(bounds.1))
        } else {
            bounds
        };
        let step = nice_step((high - low) / 6.0).max(min_step);
        let mut low = ((low / step + 1e-9).floor() * step).max(bounds.0);
        let mut high = ((high / step - 1e-9).ceil() * step).min(bounds.1);
        if high - low < step / 2.0 {
            low = (low - step).max(bounds.0);
            high = (high + step).min(bounds.1).max(low + step);
        }
        Self {
            label: label.into(),
            low,
            high,
            ticks: ticks(low, high, step),
        }
    }

    /// An axis over positive `values` in decades: positions are common logarithms, `name` writes the power of ten of a tick.
    pub fn decades(
        label: &str,
        values: impl IntoIterator<Item = f64>,
        name: impl Fn(i32) -> String,
    ) -> Self {
        let logs = values.into_iter().map(f64::log10);
        let (low, high) = logs
            .filter(|log| log.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| {
                (a.min(v), b.max(v))
            });
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let low = (low + 1e-9).floor();
        let high = (high - 1e-9).ceil().max(low + 1.0);
        Self {
            label: label.into(),
            low,
            high,
            ticks: (low as i32..=high as i32)
                .map(|power| (f64::from(power), name(power)))
                .collect(),
        }
    }
}

/// The factor from values of a metric to what an axis shows, and the ends of the axis.
pub fn on_axis(metric: &Metric) -> (f64, (f64, f64)) {
    let scale = metric.scale();
    let (low, high) = metric.range();
    // An axis computes with its ends.
    let end = |end: f64| (scale * end).clamp(f64::MIN, f64::MAX);
    (scale, (end(low), end(high)))
}

/// The smallest of 1, 2 and 5 times a power of ten that is at least `step`; 1 if `step` is not positive.
fn nice_step(step: f64) -> f64 {
    if !(step.is_finite() && step > f64::MIN_POSITIVE) {
        return 1.0;
    }
    let power = 10_f64.powf(step.log10().floor());
    let multiple = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|multiple| multiple * power >= step * (1.0 - 1e-9));
    multiple.unwrap_or(10.0) * power
}

/// The multiples of `step` in `low..=high`, each with as many decimals as the step has.
fn ticks(low: f64, high: f64, step: f64) -> Vec<(f64, String)> {
    let decimals = (-step.log10().floor()).clamp(0.0, 9.0) as usize;
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last)
        .map(|multiple| {
            let at = multiple as f64 * step;
            (at, format!("{at:.decimals$}").replace('-', "−"))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.1.as_str()).collect()
    }

    #[test]
    fn steps_are_one_two_or_five() {
        for (rough, nice) in [
            (0.03, 0.05),
            (0.2, 0.2),
            (0.21, 0.5),
            (1.0, 1.0),
            (3.0, 5.0),
            (7.0, 10.0),
            (180.0, 200.0),
        ] {
            assert!(
                (nice_step(rough) - nice).abs() < 1e-12 * nice,
                "{rough} gave {}",
                nice_step(rough)
            );
        }
        for rough in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            assert_eq!(nice_step(rough), 1.0);
        }
    }

    #[test]
    fn axes_have_round_ends_that_cover_the_values() {
        let axis = Axis::covering("", [71.3, 96.2], (0.0, 100.0), 0.0);
        assert_eq!(labels(&axis), ["70", "75", "80", "85", "90", "95", "100"]);
        let axis = Axis::covering("", [0.0, 0.3], (0.0, 10.0), 0.0);
        assert_eq!(
            labels(&axis),
            ["0.00", "0.05", "0.10", "0.15", "0.20", "0.25", "0.30"]
        );
        let axis = Axis::covering("", [1.0, 3.0], (1.0, 3.0), 1.0);
        assert_eq!(labels(&axis), ["1", "2", "3"]);
        let axis = Axis::covering("", [-0.5, 0.5], (-1.0, 1.0), 0.0);
        assert_eq!(
            labels(&axis),
            ["−0.6", "−0.4", "−0.2", "0.0", "0.2", "0.4", "0.6"]
        );
    }

    #[test]
    fn degenerate_values_still_have_an_axis() {
        for values in [
            vec![],
            vec![97.0],
            vec![100.0, 100.0],
            vec![0.0],
            vec![f64::NAN],
            vec![97.0, 97.0 + 1e-13],
        ] {
            let axis = Axis::covering("", values.clone(), (0.0, 100.0), 0.0);
            assert!(
                axis.low < axis.high && !axis.ticks.is_empty() && axis.ticks.len() < 12,
                "{values:?}"
            );
            assert!(axis.low >= 0.0 && axis.high <= 100.0, "{values:?}");
        }
    }
}
