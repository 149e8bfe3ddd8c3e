//! The pictures of a search: the highest score so far, and what is best by two measures.

use crossburn_training::search::pareto_set;

use super::document::{ProposerResults, SearchResults};
use super::layers::{self, LAYERS};
use super::summary::quantile;
use crate::report::draw::{Axis, Drawing, Layer, Plot};

/// The file stem of each picture that a page can have.
pub(super) const PLOTS: [&str; 5] = [PROGRESS, PARETO[0], PARETO[1], FAIR, LAYERS];
const PROGRESS: &str = "best-so-far";
/// The first measure with each of the two that follow it.
const PARETO: [&str; 2] = ["pareto-1", "pareto-2"];
const FAIR: &str = "pareto-fairness";
/// Points of a curve.
const MOST_STEPS: usize = 120;

/// The pictures that have data, in the order of the page.
pub(super) fn plots(results: &SearchResults) -> Vec<Drawing> {
    let mut plots = vec![progress(results).drawing()];
    if !results.points.is_empty() {
        let with = 1..results.measures.len().min(PARETO.len() + 1);
        plots.extend(with.map(|with| pareto(results, with).drawing()));
        plots.extend(fairness(results).map(|plot| plot.drawing()));
    }
    if !results.layers.is_empty() {
        plots.push(layers::picture(results));
    }
    plots
}

/// The evaluations at which curves are drawn.
fn steps(budget: usize) -> Vec<usize> {
    let stride = budget.div_ceil(MOST_STEPS).max(1);
    let mut steps: Vec<usize> = (1..=budget).step_by(stride).collect();
    if steps.last() != Some(&budget) {
        steps.push(budget);
    }
    steps
}

/// Lower quartile, median and upper quartile over seeds of the highest score, at each of `steps` that a search reached.
fn quartiles(proposer: &ProposerResults, steps: &[usize]) -> Vec<(f64, [f64; 3])> {
    let longest = proposer
        .runs
        .iter()
        .map(|run| run.evaluations)
        .max()
        .unwrap_or(0);
    let reached = steps.iter().filter(|step| **step <= longest);
    reached
        .filter_map(|step| {
            let best = proposer.runs.iter().filter_map(|run| run.best_after(*step));
            let mut best: Vec<f64> = best.collect();
            let mut part = |part| quantile(&mut best, part);
            Some((*step as f64, [part(0.25)?, part(0.5)?, part(0.75)?]))
        })
        .collect()
}

/// The highest score against evaluations.
fn progress(results: &SearchResults) -> Plot {
    let steps = steps(results.budget);
    let (mut bands, mut lines, mut legend) = (Vec::new(), Vec::new(), Vec::new());
    let mut values: Vec<f64> = results.optimum.into_iter().collect();
    for (series, proposer) in results.proposers.iter().enumerate() {
        let curve = quartiles(proposer, &steps);
        // The first few random scores would leave no room for the differences that matter.
        let late = curve
            .iter()
            .filter(|(step, _)| *step >= results.budget as f64 / 10.0);
        values.extend(late.flat_map(|(_, parts)| *parts));
        if proposer.runs.len() > 1 {
            bands.push(Layer::Band {
                series,
                points: curve
                    .iter()
                    .map(|(step, [low, _, high])| (*step, *low, *high))
                    .collect(),
            });
        }
        lines.push(Layer::Steps {
            series,
            points: curve
                .iter()
                .map(|(step, [_, middle, _])| (*step, *middle))
                .collect(),
        });
        legend.push((
            series,
            format!("{} ({})", proposer.name, proposer.runs.len()),
        ));
    }
    let y = Axis::covering("Highest score so far", values, (f64::MIN, f64::MAX), 0.0);
    let mut layers: Vec<Layer> = bands.into_iter().chain(lines).collect();
    layers.iter_mut().for_each(|layer| keep_above(layer, y.low));
    let mut note =
        "Median over seeds and the quartiles around it. In brackets: searches.".to_string();
    if let Some(optimum) = results.optimum {
        layers.insert(0, Layer::Rule { y: optimum });
        note.push_str(" The horizontal line is the best of the whole space.");
    }
    Plot {
        id: PROGRESS,
        title: "Score against evaluations".to_string(),
        note,
        description: format!(
            "The highest score so far of {} proposers over {} evaluations.",
            results.proposers.len(),
            results.budget
        ),
        meaning: "A line that rises early finds good designs with few evaluations. Where bands overlap, these seeds do not tell the proposers \
                  apart."
            .to_string(),
        x: Axis::covering(
            "Evaluations",
            [0.0, results.budget as f64],
            (0.0, results.budget as f64),
            1.0,
        ),
        y,
        layers,
        legend,
    }
}

/// Scores below the axis are drawn at its end.
fn keep_above(layer: &mut Layer, low: f64) {
    match layer {
        Layer::Steps { points, .. } => points.iter_mut().for_each(|(_, y)| *y = y.max(low)),
        Layer::Band { points, .. } => points.iter_mut().for_each(|(_, bottom, top)| {
            (*bottom, *top) = (bottom.max(low), top.max(low));
        }),
        _ => {}
    }
}

/// The first measure against the one at `with`.
fn pareto(results: &SearchResults, with: usize) -> Plot {
    let [first, other] = [&results.measures[0], &results.measures[with]];
    // A measure of costs covers decades.
    let values = || results.points.iter().map(|point| point.values[with]);
    let decades = values().all(|value| value > 0.0);
    let x = |value: f64| match decades {
        true => value.log10(),
        false => value,
    };
    let place = |values: &[f64]| (x(values[with]), values[0]);
    let pairs: Vec<[f64; 2]> = results
        .points
        .iter()
        .map(|point| [point.values[0], point.values[with]])
        .collect();
    let pairs: Vec<&[f64]> = pairs.iter().map(|pair| &pair[..]).collect();
    let front = pareto_set(&pairs, &[first.better, other.better]);
    let mut best: Vec<(f64, f64)> = front
        .iter()
        .map(|number| place(&results.points[*number].values))
        .collect();
    best.sort_by(|a, b| a.0.total_cmp(&b.0));
    let rest = results
        .points
        .iter()
        .enumerate()
        .filter(|(number, _)| !front.contains(number));
    let rest: Vec<(f64, f64)> = rest.map(|(_, point)| place(&point.values)).collect();
    let mut layers = vec![
        Layer::Points {
            series: 5,
            points: rest,
        },
        Layer::Line {
            series: 0,
            points: best.clone(),
        },
        Layer::Points {
            series: 0,
            points: best.clone(),
        },
    ];
    let mut legend = vec![
        (0, format!("not dominated ({})", best.len())),
        (5, "other designs".to_string()),
    ];
    if let Some(winner) = &results.winner {
        layers.push(Layer::Points {
            series: 3,
            points: vec![place(&winner.values)],
        });
        legend.push((3, "highest score".to_string()));
    }
    let heading = other.heading();
    let all = results.points.iter().chain(&results.winner);
    Plot {
        id: PARETO[with - 1],
        title: format!("{} against {}", first.name, other.name),
        note: "Valid designs of all searches; a sample of those that are dominated.".to_string(),
        description: format!(
            "{} designs by {} and {}, {} of them not dominated.",
            results.points.len(),
            first.name,
            other.name,
            best.len()
        ),
        meaning: format!(
            "Choose from the line: a design on it is better in {} only at a price in {}. Every other design is beaten by one on the line.",
            first.name, other.name
        ),
        x: match decades {
            true => Axis::decades(&heading, values(), |power| format!("1e{power}")),
            false => Axis::covering(&heading, values(), (f64::MIN, f64::MAX), 0.0),
        },
        y: Axis::covering(
            &first.heading(),
            all.map(|point| point.values[0]),
            (f64::MIN, f64::MAX),
            0.0,
        ),
        layers,
        legend,
    }
}

/// The first measure against unfairness, by size; none where one of them was not measured.
fn fairness(results: &SearchResults) -> Option<Plot> {
    let place = |name: &str| {
        let mut measures = results.measures.iter();
        measures.position(|measure| measure.name == name)
    };
    let (unfair, weights) = (place("unfairness")?, place("weights")?);
    let first = &results.measures[0];
    let triples: Vec<[f64; 3]> = results
        .points
        .iter()
        .map(|point| [point.values[0], point.values[unfair], point.values[weights]])
        .collect();
    let rows: Vec<&[f64]> = triples.iter().map(|triple| &triple[..]).collect();
    let better = [0, unfair, weights].map(|place| results.measures[place].better);
    let front = pareto_set(&rows, &better);
    let mut sizes: Vec<f64> = triples.iter().map(|triple| triple[2]).collect();
    let ends = [1.0 / 3.0, 2.0 / 3.0, 1.0].map(|part| quantile(&mut sizes, part).unwrap_or(0.0));
    let (mut layers, mut legend) = (Vec::new(), Vec::new());
    let of = |inside: &dyn Fn(usize) -> bool| -> Vec<(f64, f64)> {
        let numbered = triples.iter().enumerate();
        let kept = numbered.filter(|(number, _)| inside(*number));
        kept.map(|(_, [quality, unfair, _])| (*unfair, *quality))
            .collect()
    };
    layers.push(Layer::Points {
        series: 5,
        points: of(&|number| !front.contains(&number)),
    });
    let mut low = f64::NEG_INFINITY;
    for (series, high) in ends.into_iter().enumerate() {
        let points = of(&|number| {
            front.contains(&number) && triples[number][2] > low && triples[number][2] <= high
        });
        if !points.is_empty() {
            legend.push((
                series,
                format!("at most {high:.0} weights ({})", points.len()),
            ));
            layers.push(Layer::Points { series, points });
        }
        low = high;
    }
    legend.push((5, "dominated".to_string()));
    let column = |place: usize| results.points.iter().map(move |point| point.values[place]);
    Some(Plot {
        id: FAIR,
        title: format!("{} against unfairness and size", first.name),
        note: "In colour, by thirds of the sizes: designs than which no other is at least as good in all three and better in one."
            .to_string(),
        description: format!(
            "{} designs by {}, unfairness and weights, {} of them not dominated.",
            results.points.len(),
            first.name,
            front.len()
        ),
        meaning: "Good designs are in the upper left: right often, and equally often in every group. Among them, choose the smallest."
            .to_string(),
        x: Axis::covering("unfairness", column(unfair), (0.0, f64::MAX), 0.0),
        y: Axis::covering(&first.heading(), column(0), (f64::MIN, f64::MAX), 0.0),
        layers,
        legend,
    })
}

#[cfg(test)]
mod tests {
    use crossburn_noise::Better;
    use crossburn_training::search::Measure;

    use super::*;
    use crate::report::example;

    #[test]
    fn curves_are_quartiles_of_the_seeds_that_got_there() {
        let results = example::search();
        let curve = quartiles(&results.proposers[0], &[1, 10, 40]);
        assert_eq!(
            curve,
            [
                (1.0, [0.1, 0.1, 0.2]),
                (10.0, [0.4, 0.4, 0.5]),
                (40.0, [0.5, 0.5, 0.6]),
            ]
        );
        assert_eq!(steps(5), [1, 2, 3, 4, 5]);
        let long = steps(500);
        assert!(long.len() <= 121 && long.first() == Some(&1) && long.last() == Some(&500));
    }

    #[test]
    fn fairness_is_drawn_with_size_where_both_were_measured() {
        let mut results = example::search();
        assert!(fairness(&results).is_none());
        for name in ["unfairness", "weights"] {
            let measure = Measure::new(name, "", Better::Lower);
            results.measures.push(measure);
        }
        for (number, point) in results.points.iter_mut().enumerate() {
            point
                .values
                .extend([0.1 * number as f64, 100.0 * (number + 1) as f64]);
        }
        // The first point beats both others in everything: they have a lower quality, and are more unfair and larger.
        let plot = fairness(&results).map(|plot| (plot.legend, plot.layers.len()));
        let (legend, layers) = plot.unwrap_or_default();
        let words: Vec<&str> = legend.iter().map(|(_, words)| words.as_str()).collect();
        assert_eq!(
            (words, layers),
            (vec!["at most 100 weights (1)", "dominated"], 2)
        );
    }

    #[test]
    fn a_search_with_one_measure_has_no_pareto_plot() {
        let mut results = example::search();
        assert_eq!(plots(&results).len(), 3);
        results.layers.clear();
        results.measures.pop();
        for point in results.points.iter_mut().chain(&mut results.winner) {
            point.values.pop();
        }
        let plots = plots(&results);
        assert_eq!(
            plots.iter().map(Drawing::id).collect::<Vec<_>>(),
            ["best-so-far"]
        );
    }
}
