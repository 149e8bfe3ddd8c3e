//! The pictures of a study: quality over budgets, task by task, and under variation.

use super::document::{EdgeStudy, StudyCell};
use super::{interval, mean};
use crate::report::draw::{Axis, Drawing, Layer, Plot};

/// The file stem of each picture that a page can have.
pub(super) const PLOTS: [&str; 6] = [
    "budget-1",
    "budget-2",
    "budget-3",
    "budget-4",
    "budget-5",
    "variation",
];
/// Chips that have a place on the axis of σ.
const GAUSSIAN: &str = "gaussian-";

/// The pictures that have data.
pub(super) fn plots(study: &EdgeStudy) -> Vec<Drawing> {
    let ids = PLOTS.iter().take(PLOTS.len() - 1);
    let tasks = ids.zip(&study.tasks);
    let budgets = tasks.filter_map(|(id, task)| budget(study, id, &task.name));
    budgets.chain(variation(study)).collect()
}

fn hundredths(values: &[f64]) -> f64 {
    100.0 * mean(values)
}

/// Quality against the operations of learning, for the shortest history.
fn budget(study: &EdgeStudy, id: &'static str, task: &str) -> Option<Drawing> {
    let history = *study.histories().first()?;
    let of_task = study
        .plain(study.main_model())
        .filter(|cell| cell.task == task);
    let (learning, resting): (Vec<&StudyCell>, Vec<&StudyCell>) = of_task
        .filter(|cell| cell.history == history || cell.history == 0)
        .partition(|cell| cell.rate.is_some());
    let operations = || {
        learning
            .iter()
            .flat_map(|cell| &cell.points)
            .map(|point| point.operations)
    };
    operations().next()?;
    let x = Axis::decades("Operations of learning", operations(), |power| {
        format!("1e{power}")
    });
    let (mut layers, mut legend, mut heights) = (Vec::new(), Vec::new(), Vec::new());
    for (series, cell) in resting.iter().chain(&learning).enumerate() {
        let points: Vec<(f64, f64)> = match cell.rate {
            Some(_) => cell
                .points
                .iter()
                .map(|point| (point.operations.log10(), hundredths(&point.quality)))
                .collect(),
            // Without steps: the same after any.
            None => [x.low, x.high]
                .map(|x| (x, hundredths(cell.last())))
                .to_vec(),
        };
        heights.extend(points.iter().map(|(_, y)| *y));
        layers.push(Layer::Line {
            series,
            points: points.clone(),
        });
        if cell.rate.is_some() {
            layers.push(Layer::Points { series, points });
        }
        legend.push((series, cell.method.clone()));
    }
    let plot = Plot {
        id,
        title: format!("{task}: quality over the budget of learning"),
        note: format!(
            "History of {history}, mean over {} people. A method without steps is a level line.",
            study.people
        ),
        description: format!(
            "Quality of {} methods over operations of learning.",
            legend.len()
        ),
        meaning: "Learning is worth its operations where its line lies above the level lines. Where it is level itself, more learning does not \
                  help."
            .to_string(),
        y: Axis::covering("Quality (hundredths)", heights, (0.0, 100.0), 1.0),
        x,
        layers,
        legend,
    };
    Some(plot.drawing())
}

/// σ of the chips of a cell; `None` of another law.
fn sigma(cell: &StudyCell) -> Option<f64> {
    match cell.chip.as_str() {
        "ideal" => Some(0.0),
        chip => chip.strip_prefix(GAUSSIAN)?.parse().ok(),
    }
}

/// Quality against σ for each method, mean over tasks, with the longest history that was measured on chips.
fn variation(study: &EdgeStudy) -> Option<Drawing> {
    let model = study.main_model();
    let noisy = |cell: &&StudyCell| sigma(cell).is_some_and(|sigma| sigma > 0.0);
    let of_model = |cell: &&StudyCell| {
        cell.model == model && cell.compression == "fp32" && sigma(cell).is_some()
    };
    let all = || study.cells.iter().filter(of_model);
    let history = all().filter(noisy).map(|cell| cell.history).max()?;
    let mut methods: Vec<&str> = all()
        .filter(noisy)
        .map(|cell| cell.method.as_str())
        .collect();
    methods.sort_unstable();
    methods.dedup();
    let (mut layers, mut legend, mut heights, mut sigmas) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for (series, method) in methods.into_iter().enumerate() {
        // Tasks without a chip would count at σ = 0 alone.
        let with_chip = |cell: &&StudyCell| {
            let mut noisy = all().filter(noisy);
            noisy.any(|other| other.method == method && other.task == cell.task)
        };
        let cells: Vec<&StudyCell> = all()
            .filter(|cell| cell.method == method && (cell.history == history || cell.history == 0))
            .filter(with_chip)
            .collect();
        let mut at: Vec<f64> = cells.iter().filter_map(|cell| sigma(cell)).collect();
        at.sort_by(f64::total_cmp);
        at.dedup();
        let (mut line, mut band) = (Vec::new(), Vec::new());
        for s in at {
            let of_sigma: Vec<&[f64]> = cells
                .iter()
                .filter(|cell| sigma(cell) == Some(s))
                .map(|cell| cell.last())
                .collect();
            let person = |person: usize| {
                of_sigma.iter().map(|values| values[person]).sum::<f64>() / of_sigma.len() as f64
            };
            let people: Vec<f64> = (0..study.people as usize).map(person).collect();
            line.push((s, hundredths(&people)));
            if let Some([low, high]) = interval(&people) {
                band.push((s, 100.0 * low, 100.0 * high));
                heights.extend([100.0 * low, 100.0 * high]);
            }
            heights.push(hundredths(&people));
            sigmas.push(s);
        }
        layers.push(Layer::Band {
            series,
            points: band,
        });
        layers.push(Layer::Line {
            series,
            points: line,
        });
        legend.push((series, method.to_string()));
    }
    let plot = Plot {
        id: PLOTS[PLOTS.len() - 1],
        title: "Weights on cells that deviate".to_string(),
        note: format!(
            "Mean over tasks and {} people, each with a chip; history of {history}. Bands are 95 % intervals.",
            study.people
        ),
        description: format!("Quality of {} methods over σ.", legend.len()),
        meaning: "How much of its quality each method keeps on cells that deviate. Where bands overlap, these people do not tell the methods \
                  apart."
            .to_string(),
        x: Axis::covering("σ, relative to the largest weight", sigmas, (0.0, 1.0), 0.0),
        y: Axis::covering("Quality (hundredths)", heights, (0.0, 100.0), 1.0),
        layers,
        legend,
    };
    Some(plot.drawing())
}
