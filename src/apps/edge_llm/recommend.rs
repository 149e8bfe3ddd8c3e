//! Recommends a method for a device from the measurements of a study, and says how far the device is from what was measured.

use std::collections::BTreeSet;

use anyhow::{Result, bail};

use super::kind_of;
use crate::report::{EdgeStudy, StudyCell, StudyPoint, interval, mean};

/// A user's device and needs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Asked {
    /// Bytes of memory.
    pub(crate) ram: u64,
    /// Hours for learning.
    pub(crate) hours: f64,
    /// Number of the person's examples.
    pub(crate) history: u64,
    /// The task, by any of its names.
    pub(crate) task: String,
    /// Operations per second of the device; those of the study if absent.
    pub(crate) speed: Option<f64>,
}

/// A method that fits the device, and its measurements.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Choice {
    pub(crate) method: String,
    pub(crate) model: String,
    pub(crate) compression: String,
    /// Steps of learning.
    pub(crate) steps: u64,
    /// Mean quality over people, and its interval.
    pub(crate) quality: (f64, Option<[f64; 2]>),
    /// How much worse than the best it is, person by person; nothing for the best itself.
    pub(crate) behind: Option<(f64, Option<[f64; 2]>)>,
    /// Predicted bytes of memory.
    pub(crate) bytes: u64,
    /// Seconds of learning on the device.
    pub(crate) seconds: f64,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recommendation {
    /// The history of the cells that the answer is from.
    pub(crate) history: u64,
    /// Methods that fit; the best comes first.
    pub(crate) options: Vec<Choice>,
    /// How the question differs from what was measured.
    pub(crate) distances: Vec<String>,
}

/// Answers from `study`. A question outside of what was measured is an error.
///
/// # Errors
/// If the task or the history was not measured, or if no measured cell fits the device.
pub(crate) fn recommend(study: &EdgeStudy, asked: &Asked) -> Result<Recommendation> {
    let task = kind_of(&asked.task)?.name();
    if !study.tasks.iter().any(|other| other.name == task) {
        let names: Vec<&str> = study.tasks.iter().map(|task| task.name.as_str()).collect();
        bail!(
            "not measured: the task {task}; this study asked {}",
            names.join(", ")
        );
    }
    let of_task: Vec<&StudyCell> = study
        .cells
        .iter()
        .filter(|cell| cell.task == task && cell.chip == "ideal")
        .collect();
    let history = nearest_history(&of_task, asked.history)?;
    let speed = asked.speed.unwrap_or(study.operations_per_second);
    let operations = asked.hours * 3600.0 * speed;
    let at_hand = || {
        of_task
            .iter()
            .filter(|cell| [0, history].contains(&cell.history))
    };
    let fits = |cell: &&&StudyCell| cell.bytes() <= asked.ram;
    let last_point = |cell: &StudyCell| -> Option<usize> {
        let within = cell
            .points
            .iter()
            .filter(|point| point.operations <= operations);
        // The largest number of steps. Taking the best number would choose by the answers that it is judged by.
        within.count().checked_sub(1)
    };
    let mut found: Vec<(&StudyCell, &StudyPoint)> = at_hand()
        .filter(fits)
        .filter_map(|cell| Some((*cell, &cell.points[last_point(cell)?])))
        .collect();
    found.sort_by(|a, b| mean(&b.1.quality).total_cmp(&mean(&a.1.quality)));
    let Some((_, best)) = found.first().copied() else {
        let least = at_hand().map(|cell| cell.bytes()).min().unwrap_or(0);
        bail!(
            "not measured: no cell of {task} fits in {} bytes of memory and {} hours; the smallest takes {least} bytes",
            asked.ram,
            asked.hours
        );
    };
    let option = |(place, (cell, point)): (usize, &(&StudyCell, &StudyPoint))| {
        let pairs = best.quality.iter().zip(&point.quality);
        let behind: Vec<f64> = pairs.map(|(best, own)| best - own).collect();
        Choice {
            method: cell.method.clone(),
            model: cell.model.clone(),
            compression: cell.compression.clone(),
            steps: point.steps,
            quality: (mean(&point.quality), interval(&point.quality)),
            behind: (place > 0).then(|| (mean(&behind), interval(&behind))),
            bytes: cell.bytes(),
            seconds: point.operations / speed,
        }
    };
    let options = found.iter().enumerate().map(option).collect();
    Ok(Recommendation {
        history,
        options,
        distances: distances(&of_task, asked, (history, operations)),
    })
}

/// The measured history whose ratio to `asked` is closest to one.
fn nearest_history(cells: &[&StudyCell], asked: u64) -> Result<u64> {
    let all: BTreeSet<u64> = cells
        .iter()
        .map(|cell| cell.history)
        .filter(|n| *n > 0)
        .collect();
    let (Some(low), Some(high)) = (all.first(), all.last()) else {
        bail!("not measured: this study has no history of that task");
    };
    if asked < *low || asked > *high {
        bail!("not measured: a history of {asked}; this study has {low} to {high} examples");
    }
    let ratio = |history: &u64| (*history as f64 / asked as f64).ln().abs();
    let nearest = all.iter().min_by(|a, b| ratio(a).total_cmp(&ratio(b)));
    Ok(nearest.copied().unwrap_or(*low))
}

/// The respects in which the question differs from what was measured.
fn distances(
    cells: &[&StudyCell],
    asked: &Asked,
    (history, operations): (u64, f64),
) -> Vec<String> {
    let mut found = Vec::new();
    if asked.history != history {
        let ratio = asked.history as f64 / history as f64;
        found.push(format!(
            "history: {} was asked, the nearest that was measured is {history} ({ratio:.2} times)",
            asked.history
        ));
    }
    let largest = cells.iter().map(|cell| cell.bytes()).max().unwrap_or(0);
    if asked.ram > largest {
        found.push(format!(
            "memory: the largest cell takes {:.1} MB, {:.0} times less than asked; larger models are not measured",
            largest as f64 / 1e6,
            asked.ram as f64 / largest.max(1) as f64
        ));
    }
    let points = cells.iter().flat_map(|cell| &cell.points);
    let longest = points.map(|point| point.operations).fold(0.0, f64::max);
    if operations > longest {
        found.push(format!(
            "time: the longest learning is {:.2} % of the time that was asked; longer learning is not measured",
            100.0 * longest / operations
        ));
    }
    found
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::report::example;

    fn asked() -> Asked {
        Asked {
            ram: 1 << 31,
            hours: 1.0,
            history: 8,
            task: "choice".to_string(),
            speed: None,
        }
    }

    #[test]
    fn the_best_that_fits_comes_first_with_how_far_the_others_are_behind() {
        let study = example::edge_study();
        let found = recommend(&study, &asked()).unwrap();
        let names: Vec<&str> = found
            .options
            .iter()
            .map(|option| option.method.as_str())
            .collect();
        assert_eq!(names, ["rag", "lora", "none"]);
        let behind = found.options[1].behind.unwrap();
        assert!((behind.0 - 0.2).abs() < 1e-9 && behind.1.unwrap()[0] > 0.0);
        // Two gigabytes and an hour are much more than was measured.
        assert_eq!(found.distances.len(), 2, "{:?}", found.distances);
        // Too little time for a single step, and too little memory for learning.
        for other in [
            Asked {
                hours: 0.0,
                ..asked()
            },
            Asked {
                ram: 2_000,
                ..asked()
            },
        ] {
            let found = recommend(&study, &other).unwrap();
            let learns = found.options.iter().any(|option| option.method == "lora");
            assert!(!learns, "{found:?}");
        }
    }

    #[test]
    fn what_was_not_measured_is_said() {
        let study = example::edge_study();
        for (other, part) in [
            (
                Asked {
                    history: 64,
                    ..asked()
                },
                "not measured: a history of 64; this study has 8 to 8 examples",
            ),
            (
                Asked {
                    task: "rating".to_string(),
                    ..asked()
                },
                "not measured: the task stars; this study asked citation, title",
            ),
            (
                Asked { ram: 10, ..asked() },
                "not measured: no cell of citation fits in 10 bytes",
            ),
            (
                Asked {
                    task: "poem".to_string(),
                    ..asked()
                },
                "there is no task `poem`",
            ),
        ] {
            let message = recommend(&study, &other).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
