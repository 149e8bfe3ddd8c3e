//! The plots of the report, each from the part of the results that it needs.

use crossburn_noise::Better;

use super::document::{EpochRow, MethodResults, PopulationSummary, Results};
use super::figures::CHARTS;
use super::summary::counts;
use crate::report::draw::{Axis, ConfusionMatrix, Drawing, Layer, PictureSheet, Plot, on_axis};

/// Methods that the line below the distribution tells at most.
const TOLD: usize = 4;
/// Height of a lane for an interval below the distribution, in per cent of chips.
const LANE: f64 = 7.0;

/// The file stem of each plot that a report can have.
pub(super) const PLOTS: [&str; 9] = [
    ECDF,
    SWEEP,
    TRAINING,
    CHARTS[0],
    CHARTS[1],
    CHARTS[2],
    CHARTS[3],
    PictureSheet::ID,
    ConfusionMatrix::ID,
];
const ECDF: &str = "chips";
const SWEEP: &str = "versus-sigma";
const TRAINING: &str = "training";

/// The plots that have data, in the order of the report.
pub(super) fn plots(results: &Results) -> Vec<Drawing> {
    let matrix = results.confusion.as_ref();
    let matrix = matrix.and_then(ConfusionMatrix::drawing);
    let plots = drawn(results);
    let pictures = results.figures.drawing();
    let plots = plots.iter().map(Plot::drawing);
    plots.chain(pictures).chain(matrix).collect()
}

fn drawn(results: &Results) -> Vec<Plot> {
    let own = [ecdf(results), sweep(results), training(results)];
    let own = own.into_iter().flatten();
    own.chain(results.figures.plots()).collect()
}

/// The distribution of the metric over chips per method, with KPP(1) on it and its interval in lanes below.
fn ecdf(results: &Results) -> Option<Plot> {
    let metric = &results.metric;
    let (scale, range) = on_axis(metric);
    let shown: Vec<(usize, &MethodResults, &PopulationSummary)> = results
        .methods
        .iter()
        .enumerate()
        .filter_map(|(index, method)| Some((index, method, method.population.as_ref()?)))
        .filter(|(_, _, population)| !population.values.is_empty())
        .collect();
    let (chips, items) = (
        counts(shown.iter().map(|row| row.2.chips)),
        counts(shown.iter().map(|row| row.2.items)),
    );
    let intervals = shown.iter().filter_map(|row| row.2.kpp.get(&1));
    let bounds = intervals
        .flat_map(|entry| [entry.low, entry.high])
        .flatten();
    let values = shown
        .iter()
        .flat_map(|row| row.2.values.iter().copied())
        .chain(bounds);
    let x = Axis::covering(
        &metric.heading_of("a chip"),
        values.map(|value| scale * value),
        range,
        0.0,
    );

    let lanes = shown
        .iter()
        .filter(|row| row.2.kpp.contains_key(&1))
        .count();
    let depth = if lanes == 0 {
        0.0
    } else {
        LANE * lanes as f64 + 2.0
    };
    let mut ticks: Vec<(f64, String)> = (0..=5)
        .map(|fifth| (f64::from(20 * fifth), (20 * fifth).to_string()))
        .collect();
    if lanes > 0 {
        ticks.push((-depth / 2.0, "KPP(1)".into()));
    }
    let y = Axis {
        label: "Chips at or below (%)".into(),
        low: -depth,
        high: 100.0,
        ticks,
    };

    // One chip in a hundred lies on the worse side of KPP(1).
    let (bad_tail, good) = match metric.better {
        Better::Higher => (1.0, "right"),
        Better::Lower => (99.0, "left"),
    };
    let mut layers = vec![Layer::Rule { y: 0.0 }];
    let mut lane = -LANE / 2.0 - 1.0;
    for &(series, _, population) in &shown {
        let rises = distribution(&population.values);
        let start = rises.first().map(|rise| (scale * rise.0, 0.0));
        let points = start
            .into_iter()
            .chain(
                rises
                    .into_iter()
                    .map(|(value, share)| (scale * value, share)),
            )
            .collect();
        layers.push(Layer::Steps { series, points });
        if let Some(entry) = population.kpp.get(&1) {
            let value = scale * entry.value;
            let [low, high] = [entry.low, entry.high].map(|bound| bound.map(|bound| scale * bound));
            layers.push(Layer::HorizontalBar {
                series,
                low,
                high,
                y: lane,
            });
            layers.push(Layer::Points {
                series,
                points: vec![(value, bad_tail), (value, lane)],
            });
            lane -= LANE;
        }
    }
    let first = shown.first()?;
    let name = &metric.name;
    let kind = if shown.len() == 1 {
        first.1.name.clone()
    } else {
        format!("{} methods", shown.len())
    };
    Some(Plot {
        id: ECDF,
        title: format!("{} over chips, n = {chips} chips", metric.title()),
        note: format!(
            "Empirical distribution on {items} test items per chip. Marks: KPP(1), with its 95 % interval below."
        ),
        description: format!(
            "Empirical cumulative distribution of the {name} of n = {chips} chips for {kind}; further {good} is better. \
             KPP(1) is marked on each curve and repeated with its 95 % interval below, open where so few chips do not bound it."
        ),
        meaning: what_chips_mean(results, &shown),
        x,
        y,
        layers,
        legend: legend(shown.iter().map(|row| (row.0, row.1))),
    })
}

/// What 99 of 100 chips of each method do, and how to read the curves.
fn what_chips_mean(
    results: &Results,
    shown: &[(usize, &MethodResults, &PopulationSummary)],
) -> String {
    let metric = &results.metric;
    let (end, side) = match metric.better {
        Better::Higher => ("or more", "right"),
        Better::Lower => ("or less", "left"),
    };
    let reached: Vec<String> = shown
        .iter()
        .filter_map(|(_, method, population)| {
            let entry = population.kpp.get(&1)?;
            Some(format!("{} ({})", metric.show(entry.value), method.name))
        })
        .take(TOLD)
        .collect();
    let reached = match reached.is_empty() {
        true => String::new(),
        false => format!(
            "99 of 100 chips have {} {} of {} {end}. ",
            article(&metric.name),
            metric.name,
            reached.join(", ")
        ),
    };
    format!(
        "{reached}The further to the {side} a curve lies, the better are the chips; the steeper it is, the more they are alike."
    )
}

/// The article before `name`.
fn article(name: &str) -> &'static str {
    // Abbreviations are spelled: an F2, an AUROC.
    match name.starts_with(|first: char| "aeioAEFHILMNORSX".contains(first)) {
        true => "an",
        false => "a",
    }
}

/// The points where an empirical distribution rises: each distinct value, and the share in per cent at or below it.
fn distribution(values: &[f64]) -> Vec<(f64, f64)> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let mut points: Vec<(f64, f64)> = Vec::new();
    for (index, &value) in sorted.iter().enumerate() {
        let share = 100.0 * (index + 1) as f64 / sorted.len() as f64;
        match points.last_mut() {
            Some(last) if last.0 == value => last.1 = share,
            _ => points.push((value, share)),
        }
    }
    points
}

/// The metric against the strength of the variation: mean over chips and the band of 90 % of chips.
fn sweep(results: &Results) -> Option<Plot> {
    let metric = &results.metric;
    let (scale, range) = on_axis(metric);
    let shown: Vec<(usize, &MethodResults)> = results
        .methods
        .iter()
        .enumerate()
        .filter(|(_, method)| !method.sweep.is_empty())
        .collect();
    let points = || shown.iter().flat_map(|row| &row.1.sweep);
    points().next()?;
    let deployed = results
        .deployment
        .as_ref()
        .and_then(|setting| setting.get("sigma_rel_wmax")?.as_f64());
    let sigmas = points().map(|point| point.sigma).chain(deployed);
    let x = Axis::covering(
        "σ of the weights relative to max|W|",
        sigmas,
        (0.0, f64::MAX),
        0.0,
    );
    let values = points()
        .flat_map(|point| [point.mean, point.low, point.high])
        .map(|value| scale * value);
    let y = Axis::covering(&metric.heading(), values, range, 0.0);
    let mut layers: Vec<Layer> = deployed
        .map(|x| Layer::VerticalMark {
            x,
            label: format!("deployment σ = {x}"),
        })
        .into_iter()
        .collect();
    for &(series, method) in &shown {
        let points = method
            .sweep
            .iter()
            .map(|p| (p.sigma, scale * p.low, scale * p.high))
            .collect();
        layers.push(Layer::Band { series, points });
    }
    for &(series, method) in &shown {
        let points: Vec<(f64, f64)> = method
            .sweep
            .iter()
            .map(|p| (p.sigma, scale * p.mean))
            .collect();
        layers.push(Layer::Line {
            series,
            points: points.clone(),
        });
        layers.push(Layer::Points { series, points });
    }
    let chips = counts(points().map(|point| point.chips));
    let items = results.data.test;
    Some(Plot {
        id: SWEEP,
        title: format!("{} versus σ, n = {chips} chips each", metric.title()),
        note: format!(
            "Line: mean over chips; band: 5th to 95th percentile. {items} test items per chip."
        ),
        description: format!(
            "Mean {} over n = {chips} chips against the standard deviation of the weight variation relative to the \
             layer's max|W|, with a band from the 5th to the 95th percentile of the chips.",
            metric.name
        ),
        meaning: format!(
            "A method stands as much variation as its line stays {}. Where its band is wide, chips of the same σ differ much, and the mean \
             says little about a single chip.",
            match metric.better {
                Better::Higher => "high",
                Better::Lower => "low",
            }
        ),
        x,
        y,
        layers,
        legend: legend(shown.iter().copied()),
    })
}

/// The metric of the validation items by epoch.
fn training(results: &Results) -> Option<Plot> {
    let metric = results.training_metric();
    let (scale, range) = on_axis(metric);
    let shown: Vec<(usize, &MethodResults)> = results
        .methods
        .iter()
        .enumerate()
        .filter(|(_, method)| !method.curve.is_empty())
        .collect();
    let rows = || shown.iter().flat_map(|row| &row.1.curve);
    rows().next()?;
    let epoch = |row: &EpochRow| row.epoch as f64;
    let (first, last) = rows().fold((f64::MAX, 0.0_f64), |(a, b), row| {
        (a.min(epoch(row)), b.max(epoch(row)))
    });
    let x = Axis::covering("Epoch", [first, last], (first, last.max(first + 1.0)), 1.0);
    let y = Axis::covering(
        &metric.heading(),
        rows().map(|row| scale * row.validation),
        range,
        0.0,
    );
    let mut layers = Vec::new();
    for &(series, method) in &shown {
        let points: Vec<(f64, f64)> = method
            .curve
            .iter()
            .map(|row| (epoch(row), scale * row.validation))
            .collect();
        layers.push(Layer::Line {
            series,
            points: points.clone(),
        });
        // A few markers tell the lines apart; one for each of many epochs would hide them.
        let every = points.len().div_ceil(12);
        let points = points
            .iter()
            .copied()
            .skip(points.len().saturating_sub(1) % every)
            .step_by(every)
            .collect();
        layers.push(Layer::Points { series, points });
    }
    let items = results.data.validation;
    Some(Plot {
        id: TRAINING,
        title: format!("Validation {}, n = {items} items", metric.name),
        note: "Without variation, after each epoch of training.".into(),
        description: format!(
            "{} on {items} validation items after each epoch, one line per method.",
            metric.title()
        ),
        meaning: "How fast and how far each training learns. A line that still moves at the end asks for more epochs. The plot says nothing about \
                  chips: what is best here can be worst on them."
            .into(),
        x,
        y,
        layers,
        legend: legend(shown.iter().copied()),
    })
}

fn legend<'a>(methods: impl Iterator<Item = (usize, &'a MethodResults)>) -> Vec<(usize, String)> {
    methods
        .map(|(series, method)| (series, method.name.clone()))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::report::example;

    #[test]
    fn the_distribution_rises_at_distinct_values() {
        assert_eq!(
            distribution(&[0.5, 0.25, 0.5, 0.75]),
            [(0.25, 25.0), (0.5, 75.0), (0.75, 100.0)]
        );
        assert!(distribution(&[]).is_empty());
    }

    #[test]
    fn only_plots_with_data_are_drawn() {
        let ids = |results: &Results| {
            drawn(results)
                .iter()
                .map(|plot| plot.id)
                .collect::<Vec<_>>()
        };
        let mut results = example::results();
        assert_eq!(ids(&results), PLOTS[..3]);
        for method in &mut results.methods {
            method.population = None;
            method.sweep.clear();
        }
        assert_eq!(ids(&results), [TRAINING]);
        results.methods.clear();
        assert!(ids(&results).is_empty());
    }

    #[test]
    fn titles_state_n() {
        let titles: Vec<String> = drawn(&example::results())
            .into_iter()
            .map(|plot| plot.title)
            .collect();
        assert!(
            titles[0].contains("n = 50 chips") && titles[1].contains("n = 100 chips"),
            "{titles:?}"
        );
        assert!(titles[2].contains("n = 1000 items"), "{titles:?}");
    }

    #[test]
    fn an_unbounded_interval_does_not_stretch_the_axis() {
        let mut results = example::results();
        for method in &mut results.methods {
            method
                .population
                .as_mut()
                .unwrap()
                .kpp
                .get_mut(&1)
                .unwrap()
                .low = None;
        }
        assert_eq!(ecdf(&results).unwrap().x.low, 70.0);
    }
}
