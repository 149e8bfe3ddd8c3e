//! What is shown of compared pairs beside the metric: groups, curves, and how sure they are.

use crossburn_noise::{Better, Bootstrap, Metric, path_hash};

use super::config::FMR;
use super::curve::fnmr_on;
use super::{
    Bias, Compared, FaceVectors, Verification, VerificationMetric, accuracy_by_folds,
    best_threshold, curve, fnmr_at_fmr, group_accuracies, interval_over_people,
    intervals_over_people,
};
use crate::task::{Chart, Shape, Trace};

/// Draws of people for an interval.
const DRAWS: u64 = 200;
/// Folds of the protocol that needs no threshold.
const FOLDS: usize = 10;
/// Points of a curve that a chart shows at most.
const POINTS: usize = 200;

/// A share of which less is better.
fn error(name: impl Into<std::borrow::Cow<'static, str>>) -> Metric {
    Metric {
        better: Better::Lower,
        ..Metric::share(name)
    }
}

/// A number without a better end.
fn plain(name: &'static str) -> Metric {
    Metric {
        low: None,
        better: Better::Higher,
        ..Metric::from_zero(name)
    }
}

impl Verification {
    pub(super) fn figures(&self, tally: &FaceVectors) -> Vec<(Metric, f64)> {
        let compared = self.compared(tally);
        let own = self.config.metric;
        let all = [
            VerificationMetric::To,
            VerificationMetric::Avg,
            VerificationMetric::WorstGroup,
            VerificationMetric::Fnmr,
        ];
        let others = all.into_iter().filter(|metric| *metric != own);
        let mut found: Vec<(Metric, f64)> = others
            .filter_map(|metric| Some((metric.metric(), self.measured(metric, &compared).ok()?)))
            .collect();
        let weights = vec![1.0; compared.len()];
        let folds = accuracy_by_folds(&compared, FOLDS);
        found.extend(folds.map(|value| (Metric::share("accuracy, ten folds"), value)));
        let strict = fnmr_at_fmr(&compared, &weights, FMR / 10.0);
        found.extend(strict.map(|value| (error("FNMR at FMR 0.1 %"), value)));
        found.push((plain("pairs"), compared.len() as f64));
        if let Some(threshold) = self.threshold(&compared) {
            found.extend(self.at_threshold(&compared, threshold));
        }
        // What these pairs themselves would choose: a bound, never used.
        if let Some(oracle) = best_threshold(&compared)
            && let Some((_, bias)) = self.bias(&compared, oracle)
        {
            found.push((plain("oracle threshold (not used)"), oracle));
            found.push((
                Metric::share("AVG at the oracle threshold (not used)"),
                bias.avg,
            ));
            let to = VerificationMetric::To.metric();
            let name = "TO at the oracle threshold (not used)".into();
            found.push((Metric { name, ..to }, bias.to()));
        }
        found
    }

    /// The groups at a threshold.
    fn at_threshold(&self, compared: &[Compared], threshold: f64) -> Vec<(Metric, f64)> {
        let Some((accuracies, bias)) = self.bias(compared, threshold) else {
            return Vec::new();
        };
        let mut found = vec![
            (plain("threshold"), threshold),
            (error("SD of all groups"), bias.sd),
            (error("SD of groups as a sample"), bias.sample_sd),
        ];
        let groups = self.samples.classes;
        for (group, accuracy) in self.groups().into_iter().zip(accuracies) {
            found
                .extend(accuracy.map(|value| (Metric::share(format!("accuracy, {group}")), value)));
        }
        let bootstrap = self.people_drawn_again();
        let ends = |name: &str, metric: Metric, number: &dyn Fn(&Bias) -> f64| {
            let of = |weights: &[f64]| {
                let accuracies = group_accuracies(compared, weights, threshold, groups);
                let known: Vec<f64> = accuracies.into_iter().flatten().collect();
                Bias::of(&known).map(|bias| number(&bias))
            };
            let interval = interval_over_people(compared, &bootstrap, &of);
            let ends = interval.map(|ends| ["lower", "upper"].into_iter().zip(ends));
            let row = |(end, value): (&str, f64)| {
                let name = format!("{name}, {end} end of 95 % over people").into();
                (
                    Metric {
                        name,
                        ..metric.clone()
                    },
                    value,
                )
            };
            ends.into_iter().flatten().map(row).collect::<Vec<_>>()
        };
        found.extend(ends("TO", VerificationMetric::To.metric(), &Bias::to));
        found.extend(ends("AVG", Metric::share("AVG"), &|bias| bias.avg));
        found
    }

    /// The band over people of the detection error trade-off of all pairs: at each false match rate, the interval of the false non-match rate.
    pub(super) fn trade_off_band(&self, tally: &FaceVectors) -> Option<Trace> {
        let compared = self.compared(tally);
        let points = curve(&compared, &vec![1.0; compared.len()])?;
        let first = points.iter().find(|point| point.fmr > 0.0)?;
        let rates: Vec<f64> = decades(first.fmr);
        let of_draw = |weights: &[f64]| {
            let drawn = curve(&compared, weights)?;
            Some(rates.iter().map(|rate| fnmr_on(&drawn, *rate)).collect())
        };
        let ends = intervals_over_people(&compared, &self.people_drawn_again(), &of_draw)?;
        let points = rates.iter().zip(ends);
        let points = points.flat_map(|(rate, ends)| ends.map(|end| (*rate, end)));
        Some(trace(Shape::Band, points.collect()))
    }

    /// The detection error trade-off of all pairs, and the threshold that is used. `None` without a false match.
    pub(super) fn error_trade_off(&self, tally: &FaceVectors) -> Option<Chart> {
        let compared = self.compared(tally);
        let points = curve(&compared, &vec![1.0; compared.len()])?;
        let shown: Vec<(f64, f64)> = points
            .iter()
            .filter(|point| point.fmr > 0.0)
            .map(|point| (point.fmr, point.fnmr))
            .collect();
        // The last point of every step of the ends, and no more than can be told apart.
        let every = shown.len().div_ceil(POINTS).max(1);
        let last = shown.len().saturating_sub(1);
        let line = shown.iter().enumerate();
        let line = line.filter(|(place, _)| place % every == 0 || *place == last);
        let line: Vec<(f64, f64)> = line.map(|(_, point)| *point).collect();
        if line.is_empty() {
            return None;
        }
        let mut traces = vec![trace(Shape::Line, line)];
        let used = self.threshold(&compared).and_then(|threshold| {
            let at = points.iter().rfind(|point| point.threshold >= threshold);
            at.filter(|point| point.fmr > 0.0)
        });
        traces.extend(used.map(|point| trace(Shape::Points, vec![(point.fmr, point.fnmr)])));
        let mated = compared.iter().filter(|pair| pair.is_mated()).count();
        Some(Chart {
            title: "Detection error trade-off".to_string(),
            note: format!(
                "{mated} pairs of one person and {} of two people, all groups together. Marker: the threshold of training. Band: 95 % over people \
                 drawn again, without variation.",
                compared.len() - mated
            ),
            x: error("false match rate"),
            decades: true,
            y: error("false non-match rate"),
            traces,
        })
    }

    /// The accuracies of groups at the threshold that is used, where there are several groups.
    pub(super) fn by_group(&self, tally: &FaceVectors) -> Option<Chart> {
        let compared = self.compared(tally);
        let (accuracies, _) = self.bias(&compared, self.threshold(&compared)?)?;
        let known = accuracies.iter().zip(1..);
        let points: Vec<(f64, f64)> = known
            .filter_map(|(accuracy, number)| Some((f64::from(number), (*accuracy)?)))
            .collect();
        if points.len() < 2 {
            return None;
        }
        let names = self.groups().into_iter().zip(1..);
        let names: Vec<String> = names.map(|(name, at)| format!("{at} {name}")).collect();
        Some(Chart {
            title: "Accuracy by group".to_string(),
            note: format!("Groups: {}.", names.join(", ")),
            x: plain("number of the group"),
            decades: false,
            y: Metric::share("accuracy"),
            traces: vec![trace(Shape::Marked, points)],
        })
    }

    /// Draws of people for intervals.
    fn people_drawn_again(&self) -> Bootstrap {
        Bootstrap {
            samples: DRAWS,
            seed: self.seed ^ path_hash("intervals of faces"),
            ..Bootstrap::default()
        }
    }
}

fn trace(shape: Shape, points: Vec<(f64, f64)>) -> Trace {
    Trace {
        of: String::new(),
        shape,
        points,
    }
}

/// Rates from `least` to 1, ten in every decade and the ends.
fn decades(least: f64) -> Vec<f64> {
    let steps = (-10.0 * least.log10()).ceil() as usize;
    let mut rates: Vec<f64> = (0..steps)
        .map(|step| 10f64.powf(-(step as f64) / 10.0))
        .collect();
    rates.push(least);
    rates.reverse();
    rates
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_go_up_to_one_in_tenths_of_decades() {
        let rates = decades(0.004);
        // Twenty of two decades, three more down to 0.005, the least one, and 1.
        assert_eq!(rates.len(), 25);
        assert_eq!((rates[0], rates[24]), (0.004, 1.0));
        assert!((rates[4] - 0.01).abs() < 1e-12, "{rates:?}");
        assert!(rates.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(decades(1.0), [1.0]);
    }
}
