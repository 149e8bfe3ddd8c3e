//! Recommends a method for a device from the measurements of a study, and says how far the device is from what was measured.

use std::collections::BTreeSet;

use anyhow::{Error, Result, bail};
use crossburn_hardware::units::Joule;

use super::kind_of;
use super::law::Law;
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
    /// The cells that hold the model's weights: `ideal`, or a law of deviation.
    pub(crate) chip: String,
    /// Joules for one answer at most; no limit if absent.
    pub(crate) energy: Option<f64>,
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
    /// Estimated joules that arrays take for one answer; none where no arrays hold the weights, or where the study has no accelerator.
    pub(crate) joules: Option<f64>,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Recommendation {
    /// The history of the cells that the answer is from.
    pub(crate) history: u64,
    /// The law of deviation of the cells that hold the weights; none if they are ideal.
    pub(crate) chip: Option<String>,
    /// Methods that fit; the best comes first.
    pub(crate) options: Vec<Choice>,
    /// How the question differs from what was measured.
    pub(crate) distances: Vec<String>,
}

/// Answers from `study`. A question outside of what was measured is an error.
///
/// # Errors
/// If the study is a part of one, if the task, the history, the cells or the energy was not measured, or if no measured cell fits the device.
pub(crate) fn recommend(study: &EdgeStudy, asked: &Asked) -> Result<Recommendation> {
    if study.part.is_some() {
        bail!(
            "this is one part of a study; hint: merge all parts with `crossburn report`, and name the merged run with --study"
        );
    }
    asked.chip.parse::<Law>().map_err(Error::msg)?;
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
        .filter(|cell| cell.task == task && cell.chip == asked.chip)
        .collect();
    if of_task.is_empty() {
        let chips: BTreeSet<&str> = study.cells.iter().map(|cell| cell.chip.as_str()).collect();
        let chips: Vec<&str> = chips.into_iter().collect();
        bail!(
            "not measured: {task} on cells `{}`; this study has cells {}",
            asked.chip,
            chips.join(", ")
        );
    }
    require_energy(&of_task, asked)?;
    let history = nearest_history(&of_task, asked.history)?;
    let speed = asked.speed.unwrap_or(study.operations_per_second);
    let operations = asked.hours * 3600.0 * speed;
    let at_hand = || {
        of_task
            .iter()
            .filter(|cell| [0, history].contains(&cell.history))
    };
    let saves = |cell: &StudyCell| match (asked.energy, cell.answer_joules) {
        (None, _) => true,
        (Some(limit), Some(joules)) => joules <= limit,
        (Some(_), None) => false,
    };
    let fits = |cell: &&&StudyCell| cell.bytes() <= asked.ram && saves(cell);
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
    // Of equally good ones, the one that needs the least memory comes first, then the one that learns the fastest.
    found.sort_by(|(a_cell, a), (b_cell, b)| {
        let better = mean(&b.quality).total_cmp(&mean(&a.quality));
        let smaller = a_cell.bytes().cmp(&b_cell.bytes());
        let faster = a.operations.total_cmp(&b.operations);
        better.then(smaller).then(faster)
    });
    let Some((_, best)) = found.first().copied() else {
        let least = at_hand().map(|cell| cell.bytes()).min().unwrap_or(0);
        let energies = at_hand().filter_map(|cell| cell.answer_joules);
        let energy = asked.energy.map(|limit| {
            let least = Joule::new(energies.fold(f64::INFINITY, f64::min));
            let limit = Joule::new(limit);
            format!(" and {limit} for an answer, of which the least is {least}")
        });
        bail!(
            "not measured: no cell of {task} fits in {} bytes of memory, {} h of time{}; the smallest memory is {least} bytes",
            asked.ram,
            asked.hours,
            energy.unwrap_or_default()
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
            joules: cell.answer_joules,
        }
    };
    let options = found.iter().enumerate().map(option).collect();
    Ok(Recommendation {
        history,
        chip: (asked.chip != Law::IDEAL).then(|| asked.chip.clone()),
        options,
        distances: distances(&of_task, asked, (history, operations)),
    })
}

/// Refuses a limit of energy where no cell has an energy.
fn require_energy(cells: &[&StudyCell], asked: &Asked) -> Result<()> {
    let known = cells.iter().any(|cell| cell.answer_joules.is_some());
    match (asked.energy, asked.chip == Law::IDEAL) {
        (Some(_), _) if known => Ok(()),
        (None, _) => Ok(()),
        (Some(_), true) => bail!(
            "not measured: the energy of an answer is estimated for weights on cells that deviate; hint: name such cells of the study with --chip, such as gaussian-0.1"
        ),
        (Some(_), false) => bail!(
            "not measured: the energy of an answer; hint: name an accelerator in the study, such as `accelerator = \"isaac\"` in [device], and run it again with --resume"
        ),
    }
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
    if asked.energy.is_some() {
        found.push(
            "energy: that of arrays for an answer is estimated; attention, norms, adapters, the search for examples, writing the cells and learning are not counted"
                .to_string(),
        );
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
    use crate::report::{StudyPart, example};

    fn asked() -> Asked {
        Asked {
            ram: 1 << 31,
            hours: 1.0,
            history: 8,
            task: "choice".to_string(),
            speed: None,
            chip: "ideal".to_string(),
            energy: None,
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
    fn a_limit_of_energy_is_kept_where_it_is_known() {
        let mut study = example::edge_study();
        let limited = |chip: &str, energy| Asked {
            chip: chip.to_string(),
            energy: Some(energy),
            ..asked()
        };
        let message = |study: &EdgeStudy, asked: Asked| {
            let error = recommend(study, &asked).unwrap_err();
            error.to_string()
        };
        // The one noisy cell takes 2 mJ for an answer.
        let noisy = study.cells.iter_mut().find(|c| c.chip == "gaussian-0.1");
        noisy.unwrap().answer_joules = Some(2e-3);
        let found = recommend(&study, &limited("gaussian-0.1", 3e-3)).unwrap();
        assert_eq!(found.options.len(), 1);
        assert_eq!(found.options[0].joules, Some(2e-3));
        assert!(
            found
                .distances
                .iter()
                .any(|line| line.starts_with("energy: "))
        );
        let refused = message(&study, limited("gaussian-0.1", 1e-3));
        assert!(
            refused.contains("and 1 mJ for an answer, of which the least is 2 mJ"),
            "{refused}"
        );
        let refused = message(&study, limited("ideal", 1.0));
        assert!(refused.contains("with --chip, such as"), "{refused}");
        for cell in &mut study.cells {
            cell.answer_joules = None;
        }
        let refused = message(&study, limited("gaussian-0.1", 1.0));
        assert!(
            refused.contains("name an accelerator in the study"),
            "{refused}"
        );
        // Without a limit, the same cells answer.
        let free = Asked {
            chip: "gaussian-0.1".to_string(),
            ..asked()
        };
        assert_eq!(recommend(&study, &free).unwrap().options.len(), 1);
    }

    #[test]
    fn a_part_of_a_study_recommends_nothing() {
        let mut study = example::edge_study();
        study.part = Some(StudyPart { first: 0, of: 4 });
        let message = recommend(&study, &asked()).unwrap_err().to_string();
        assert!(message.contains("merge all parts"), "{message}");
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
                    chip: "rram4-0.2".to_string(),
                    ..asked()
                },
                "not measured: citation on cells `rram4-0.2`; this study has cells gaussian-0.1, ideal",
            ),
            (
                Asked {
                    chip: "pcm".to_string(),
                    ..asked()
                },
                "there are no cells `pcm`",
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
