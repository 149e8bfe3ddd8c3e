//! The pictures of a worst-case search: the metric along the path, sensitivity of the layers, the metric against the bound.

use super::document::WorstCaseResults;
use super::summary::{bound, name};
use crate::report::draw::{Axis, Drawing, Layer, Mark, Plot, Row, RowChart, on_axis};

/// The file stem of each picture that a page can have.
pub(super) const PLOTS: [&str; 3] = [PATH, LAYERS, BOUNDS];
const PATH: &str = "search-path";
const LAYERS: &str = "layer-sensitivity";
const BOUNDS: &str = "versus-bound";

/// Series of random chips, after those of up to four searches.
const RANDOM: usize = 4;

/// The pictures that have data, in the order of the page.
pub(super) fn plots(results: &WorstCaseResults) -> Vec<Drawing> {
    let mut plots = vec![path(results).drawing(), layers(results).drawing()];
    if results.curve.len() > 1 {
        plots.push(bounds(results).drawing());
    }
    plots
}

/// The metric of every evaluation, and the worst random chip.
fn path(results: &WorstCaseResults) -> Plot {
    let metric = &results.metric;
    let (scale, range) = on_axis(metric);
    let mut layers = Vec::new();
    let mut legend = Vec::new();
    let longest = results.searches.iter().map(|search| search.path.len());
    let last = longest.max().unwrap_or(1).saturating_sub(1).max(1) as f64;
    for (series, search) in results.searches.iter().enumerate() {
        let points: Vec<(f64, f64)> = search
            .path
            .iter()
            .enumerate()
            .map(|(index, point)| (index as f64, scale * metric.of_score(point.score)))
            .collect();
        let every = points.len().div_ceil(16).max(1);
        let marks = points.iter().copied().step_by(every).collect();
        layers.push(Layer::Line { series, points });
        layers.push(Layer::Points {
            series,
            points: marks,
        });
        legend.push((series, name(search)));
    }
    if let Some(random) = &results.random {
        let y = scale * random.worst;
        layers.push(Layer::Line {
            series: RANDOM,
            points: vec![(0.0, y), (last, y)],
        });
        legend.push((RANDOM, format!("worst of {} random chips", random.chips)));
    }
    let values = layers.iter().flat_map(|layer| match layer {
        Layer::Line { points, .. } => points.iter().map(|point| point.1).collect(),
        _ => Vec::new(),
    });
    Plot {
        id: PATH,
        title: format!(
            "{} along each search, n = {} items",
            metric.title(),
            results.items
        ),
        note: format!("{}. Restarts follow one another.", bound(results)),
        description: format!(
            "{} at every evaluation of {} searches, from {} of the clean network to {}.",
            metric.title(),
            results.searches.len(),
            metric.show(results.clean),
            metric.show(results.worst)
        ),
        meaning: match &results.random {
            Some(random) => format!(
                "The worst of {} random chips within the bound has {}, the worst chip found {}. A line that still moves at the end asks for a \
                 larger budget.",
                random.chips,
                metric.show(random.worst),
                metric.show(results.worst)
            ),
            None => format!(
                "The worst chip found has {}. A line that still moves at the end asks for a larger budget.",
                metric.show(results.worst)
            ),
        },
        y: Axis::covering(&metric.heading(), values.collect::<Vec<f64>>(), range, 0.0),
        x: Axis::covering("Evaluation", [0.0, last], (0.0, last), 1.0),
        layers,
        legend,
    }
}

/// The first-order fall of the loss by layer.
fn layers(results: &WorstCaseResults) -> RowChart {
    let falls = results.layers.iter().map(|layer| layer.first_order);
    let largest = falls.fold(0.0, f64::max);
    let rows = results
        .layers
        .iter()
        .map(|layer| Row {
            name: layer
                .path
                .strip_suffix(".weight")
                .unwrap_or(&layer.path)
                .to_string(),
            marks: vec![Mark::Segment {
                series: 0,
                from: 0.0,
                to: layer.first_order,
            }],
            text: format!("{:.0} % at the bound", 100.0 * layer.fraction_at_bound),
        })
        .collect();
    RowChart {
        id: LAYERS,
        title: "Sensitivity of the layers".to_string(),
        note: "By how much the loss per item falls to first order when all weights of a layer go to their worse bound."
            .to_string(),
        description: "First-order fall of the loss of every layer as a bar, with the share of its weights that the found \
                      deviation has at the bound."
            .to_string(),
        meaning: "The longest bars are the layers to protect first, for instance by verified writes. The fall is that of small deviations; \
                  it is no forecast of the worst chip."
            .to_string(),
        // Room for the words after the longest bar.
        x: Axis::covering(
            "First-order fall of the loss",
            [0.0, 1.5 * largest],
            (0.0, f64::MAX),
            0.0,
        ),
        rows,
        legend: Vec::new(),
    }
}

/// The worst case against the bound.
fn bounds(results: &WorstCaseResults) -> Plot {
    let metric = &results.metric;
    let (scale, range) = on_axis(metric);
    let clean = (0.0, scale * results.clean);
    let points: Vec<(f64, f64)> = std::iter::once(clean)
        .chain(
            results
                .curve
                .iter()
                .map(|point| (point.bound, scale * point.worst)),
        )
        .collect();
    Plot {
        id: BOUNDS,
        title: format!("Worst case versus bound, n = {} items", results.items),
        note: "A deviation within a smaller bound counts in every larger one.".to_string(),
        description: format!(
            "Worst {} that was found against the bound of the deviation, beginning with the clean network.",
            metric.name
        ),
        meaning: "How exact cells have to be. The true worst chip is at least as bad as the line at every bound.".to_string(),
        x: Axis::covering(
            "Bound relative to max|W|",
            points.iter().map(|point| point.0),
            (0.0, 1.0),
            0.0,
        ),
        y: Axis::covering(
            &metric.heading(),
            points.iter().map(|point| point.1),
            range,
            0.0,
        ),
        layers: vec![
            Layer::VerticalMark {
                x: results.bound,
                label: format!("bound = {}", results.bound),
            },
            Layer::Line {
                series: 0,
                points: points.clone(),
            },
            Layer::Points { series: 0, points },
        ],
        legend: vec![(0, "worst case found".to_string())],
    }
}
