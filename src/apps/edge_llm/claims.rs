//! The claims of the guidelines, A1 to A6, measured on the cells of a study.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use crossburn_noise::spearman;

use crate::apps::reproduce::claim::Expected;
use crate::report::{Claim, EdgeStudy, StudyCell, StudyTask, interval, interval_of, mean};

/// Longest history that counts as short.
const SHORT: u64 = 32;
/// The shortest history of a claim.
const COLD: u64 = 8;
/// Differences of quality up to this count as none: one hundredth.
const SAME: f64 = 0.01;

/// One number for each person, under one condition.
type People = Vec<f64>;

/// The claims, and the names of those for which the study has no cells.
///
/// # Errors
/// If a number is not finite.
pub(super) fn claims(study: &EdgeStudy) -> Result<(Vec<Claim>, Vec<String>)> {
    let all = [
        (
            "A1",
            "the better of LoRA and retrieval changes with the task",
            crossover(study)?,
        ),
        (
            "A2",
            "quality is highest before the last budget",
            early_best(study)?,
        ),
        (
            "A3",
            "LoRA on 4 bits is as good as on 32, at equal model",
            compressed(study)?,
        ),
        (
            "A3",
            "LoRA on 4 bits is as good as on a smaller model of 32 bits, at equal memory",
            equal_memory(study)?,
        ),
        (
            "A4",
            "with a history of 8 retrieval gains more than LoRA",
            cold_start(study)?,
        ),
        (
            "A4",
            "the gain of LoRA rises with the history",
            rising_gain(study)?,
        ),
        (
            "A5",
            "LoRA is at least as good as prompt tuning at equal steps",
            over_prompt(study)?,
        ),
        (
            "A6",
            "GPTQ against rounding to the nearest, 4 bits",
            rounding(study, 4)?,
        ),
        (
            "A6",
            "GPTQ against rounding to the nearest, 3 bits",
            rounding(study, 3)?,
        ),
    ];
    let (mut claims, mut missing) = (Vec::new(), Vec::new());
    for (label, name, claim) in all {
        match claim {
            Some(claim) => claims.push(Claim {
                label: Some(label.to_string()),
                what: format!("{name}: {}", claim.what),
                ..claim
            }),
            None => missing.push(format!("{label}: {name}")),
        }
    }
    Ok((claims, missing))
}

/// A claim on `statistic` of all people, with its bootstrap interval. `measured` is shown in the document for each person.
fn judged(
    what: &str,
    expected: (Expected, &str),
    measured: Vec<f64>,
    people: usize,
    statistic: &dyn Fn(&[usize]) -> f64,
) -> Result<Option<Claim>> {
    let all: Vec<usize> = (0..people).collect();
    let found = statistic(&all);
    if !found.is_finite() {
        bail!("no number for the claim `{what}`");
    }
    let interval = interval_of(people, statistic);
    Ok(Some(Claim {
        label: None,
        what: what.to_string(),
        expected: expected.1.to_string(),
        verdict: expected.0.verdict(found, interval),
        measured,
        mean: found,
        interval,
    }))
}

/// A claim on the mean over people.
fn of_mean(what: &str, expected: (Expected, &str), measured: People) -> Result<Option<Claim>> {
    let values = measured.clone();
    judged(what, expected, measured, values.len(), &|sample| {
        at(&values, sample)
    })
}

/// The mean over a sample of people.
fn at(values: &[f64], sample: &[usize]) -> f64 {
    sample.iter().map(|person| values[*person]).sum::<f64>() / sample.len().max(1) as f64
}

/// `left` minus `right`, person by person.
fn less(left: &[f64], right: &[f64]) -> People {
    left.iter().zip(right).map(|(a, b)| a - b).collect()
}

/// For each person the mean of several numbers; `None` without numbers.
fn mean_of(all: &[People]) -> Option<People> {
    let first = all.first()?;
    let person =
        |person: usize| all.iter().map(|values| values[person]).sum::<f64>() / all.len() as f64;
    Some((0..first.len()).map(person).collect())
}

/// The cell of the main model without compression and variation.
fn plain<'a>(
    study: &'a EdgeStudy,
    task: &str,
    method: &str,
    history: u64,
) -> Option<&'a StudyCell> {
    let mut cells = study.plain(study.main_model());
    cells.find(|cell| cell.task == task && cell.method == method && cell.history == history)
}

/// The lengths of history with which LoRA is measured on the main model, from the shortest.
fn histories(study: &EdgeStudy) -> Vec<u64> {
    let cells = study.plain(study.main_model());
    let lora = cells.filter(|cell| cell.method == "lora");
    lora.map(|cell| cell.history)
        .collect::<BTreeSet<_>>()
        .into_iter()
        .collect()
}

/// The gain of `method` over the unchanged model in one task; `None` if the study lacks one of them.
fn gain(study: &EdgeStudy, task: &str, method: &str, history: u64) -> Option<People> {
    let with = plain(study, task, method, history)?;
    let without = plain(study, task, "none", 0)?;
    Some(less(with.last(), without.last()))
}

/// A1. The smaller of two numbers: how far LoRA is ahead where it is furthest ahead, and how far it is behind where it is furthest behind. Above 0, each wins
/// somewhere. The history is the longest one with which two tasks have both methods.
fn crossover(study: &EdgeStudy) -> Result<Option<Claim>> {
    let with = |history: u64| -> Vec<People> {
        let tasks = study.tasks.iter();
        tasks
            .filter_map(|task| {
                let lora = plain(study, &task.name, "lora", history)?;
                let rag = plain(study, &task.name, "rag", history)?;
                Some(less(lora.last(), rag.last()))
            })
            .collect()
    };
    let longest_first = histories(study).into_iter().rev().map(with);
    let Some(ahead) = longest_first.into_iter().find(|ahead| ahead.len() > 1) else {
        return Ok(None);
    };
    let statistic = |sample: &[usize]| {
        let means = ahead.iter().map(|people| at(people, sample));
        let (low, high) = means.fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), mean| {
            (low.min(mean), high.max(mean))
        });
        // Not -0.
        100.0 * high.min(-low) + 0.0
    };
    judged(
        "hundredths that each wins by where it wins most, the smaller of both",
        (Expected::ABOVE_ZERO, "above 0: both win somewhere"),
        ahead.iter().map(|people| 100.0 * mean(people)).collect(),
        study.people as usize,
        &statistic,
    )
}

/// A2. The share of learning methods, tasks and short histories for which the mean quality is highest before the last budget.
fn early_best(study: &EdgeStudy) -> Result<Option<Claim>> {
    let curves: Vec<&StudyCell> = study
        .plain(study.main_model())
        .filter(|cell| cell.rate.is_some() && cell.history <= SHORT && cell.points.len() > 1)
        .collect();
    if curves.is_empty() {
        return Ok(None);
    }
    let early = |cell: &StudyCell, sample: &[usize]| {
        let means: Vec<f64> = cell
            .points
            .iter()
            .map(|point| at(&point.quality, sample))
            .collect();
        let (last, before) = match means.split_last() {
            Some((last, before)) => (*last, before),
            None => return 0.0,
        };
        f64::from(u8::from(before.iter().any(|mean| *mean > last)))
    };
    let share = |sample: &[usize]| {
        curves.iter().map(|cell| early(cell, sample)).sum::<f64>() / curves.len() as f64
    };
    let everybody: Vec<usize> = (0..study.people as usize).collect();
    judged(
        &format!(
            "share of {} cells with a history up to {SHORT}",
            curves.len()
        ),
        (Expected::AtLeast(0.5), "≥ 0.5: in most cells"),
        curves.iter().map(|cell| early(cell, &everybody)).collect(),
        study.people as usize,
        &share,
    )
}

/// The share of `pairs` in which the mean of the first is at most [`SAME`] below that of the second.
fn as_good(
    study: &EdgeStudy,
    what: &str,
    expected: (Expected, &str),
    pairs: &[(&StudyCell, &StudyCell)],
) -> Result<Option<Claim>> {
    if pairs.is_empty() {
        return Ok(None);
    }
    let ahead: Vec<People> = pairs
        .iter()
        .map(|(a, b)| less(a.last(), b.last()))
        .collect();
    let share = |sample: &[usize]| {
        let good = ahead.iter().filter(|people| at(people, sample) >= -SAME);
        good.count() as f64 / ahead.len() as f64
    };
    judged(
        &format!("share of {} cells, {what}", pairs.len()),
        expected,
        ahead.iter().map(|people| mean(people)).collect(),
        study.people as usize,
        &share,
    )
}

fn tuned<'a>(study: &'a EdgeStudy, compression: &'a str) -> impl Iterator<Item = &'a StudyCell> {
    study.cells.iter().filter(move |cell| {
        cell.method == "lora"
            && cell.chip == "ideal"
            && cell.compression == compression
            && cell.history <= SHORT
    })
}

fn same_question(left: &StudyCell, right: &StudyCell) -> bool {
    left.task == right.task && left.history == right.history
}

/// A3 with the same model.
fn compressed(study: &EdgeStudy) -> Result<Option<Claim>> {
    let of_whole = |small: &StudyCell| {
        tuned(study, "fp32").find(|whole| whole.model == small.model && same_question(whole, small))
    };
    let pairs: Vec<_> = tuned(study, "gptq-4")
        .filter_map(|small| Some((small, of_whole(small)?)))
        .collect();
    as_good(
        study,
        "within a hundredth or better",
        (Expected::AtLeast(1.0 / 3.0), "≥ 1/3"),
        &pairs,
    )
}

/// A3 with the same memory: a compressed model that needs no more memory for answering than a model of fewer weights in full precision.
/// Distilled models are left out: the paper compares with models that learned from texts alone.
fn equal_memory(study: &EdgeStudy) -> Result<Option<Claim>> {
    let own = |cell: &&StudyCell| !study.is_distilled(&cell.model);
    let parameters = |name: &str| {
        let mut models = study.models.iter();
        let model = models.find(|model| model.name == name);
        model.map(|model| model.parameters)
    };
    let is_smaller = |one: &str, other: &str| {
        let both = parameters(one).zip(parameters(other));
        both.is_some_and(|(one, other)| one < other)
    };
    let pairs = tuned(study, "gptq-4").filter(own).flat_map(|small| {
        let others = tuned(study, "fp32").filter(own).filter(move |whole| {
            is_smaller(&whole.model, &small.model)
                && same_question(whole, small)
                && small.answering_bytes <= whole.answering_bytes
        });
        others.map(move |whole| (small, whole))
    });
    as_good(
        study,
        "that take no more memory for answering",
        (Expected::AtLeast(0.5), "≥ 0.5: in most cells"),
        &pairs.collect::<Vec<_>>(),
    )
}

/// A4 for a user with few texts.
fn cold_start(study: &EdgeStudy) -> Result<Option<Claim>> {
    let ahead: Vec<People> = study
        .tasks
        .iter()
        .filter_map(|task| {
            let rag = gain(study, &task.name, "rag", COLD)?;
            let lora = gain(study, &task.name, "lora", COLD)?;
            Some(less(&rag, &lora))
        })
        .collect();
    let Some(people) = mean_of(&ahead) else {
        return Ok(None);
    };
    of_mean(
        "hundredths, mean over tasks",
        (Expected::ABOVE_ZERO, "above 0"),
        people.iter().map(|ahead| 100.0 * ahead).collect(),
    )
}

/// A4 for growing histories. Every mean is over the same tasks: those that are measured with each history.
fn rising_gain(study: &EdgeStudy) -> Result<Option<Claim>> {
    let histories = histories(study);
    let of_task = |task: &StudyTask| -> Option<Vec<People>> {
        let of = |history: &u64| gain(study, &task.name, "lora", *history);
        histories.iter().map(of).collect()
    };
    let tasks: Vec<Vec<People>> = study.tasks.iter().filter_map(of_task).collect();
    let with = |place: usize| -> Option<People> {
        let all: Vec<People> = tasks.iter().map(|gains| gains[place].clone()).collect();
        mean_of(&all)
    };
    let gains: Vec<People> = (0..histories.len()).filter_map(with).collect();
    // Two numbers are always in some order, so at least three are needed.
    let (Some(first), true) = (gains.first(), gains.len() > 2) else {
        return Ok(None);
    };
    judged(
        "rank correlation of history and gain, mean over tasks",
        (Expected::AtLeast(0.7), "> 0.7"),
        gains.iter().map(|people| mean(people)).collect(),
        first.len(),
        &|sample| {
            let means: Vec<f64> = gains.iter().map(|people| at(people, sample)).collect();
            spearman_with_order(&means)
        },
    )
}

/// Spearman's correlation of `values` with their indices; 0 for equal values, which follow no order.
fn spearman_with_order(values: &[f64]) -> f64 {
    let places: Vec<f64> = (0..values.len()).map(|place| place as f64).collect();
    spearman(&places, values).unwrap_or(0.0)
}

/// A5.
fn over_prompt(study: &EdgeStudy) -> Result<Option<Claim>> {
    let mut ahead = Vec::new();
    for task in &study.tasks {
        for history in study.histories() {
            let (Some(lora), Some(prompt)) = (
                plain(study, &task.name, "lora", history),
                plain(study, &task.name, "prompt", history),
            ) else {
                continue;
            };
            let points = lora.points.iter().zip(&prompt.points);
            ahead.extend(points.map(|(lora, prompt)| less(&lora.quality, &prompt.quality)));
        }
    }
    let Some(people) = mean_of(&ahead) else {
        return Ok(None);
    };
    of_mean(
        "hundredths, mean over tasks, histories and budgets",
        (Expected::AtLeast(0.0), "≥ 0"),
        people.iter().map(|ahead| 100.0 * ahead).collect(),
    )
}

/// A6. Layers are the repetitions.
fn rounding(study: &EdgeStudy, bits: u8) -> Result<Option<Claim>> {
    let rows = study.rounding.iter().filter(|row| row.bits == bits);
    let ratios: Vec<f64> = rows.flat_map(|row| row.ratios.iter().copied()).collect();
    if ratios.is_empty() {
        return Ok(None);
    }
    let found = mean(&ratios);
    let interval = interval(&ratios);
    Ok(Some(Claim {
        label: None,
        what: format!("ratio of squared errors, mean over {} layers", ratios.len()),
        expected: "≤ 0.7".to_string(),
        verdict: Expected::AtMost(0.7).verdict(found, interval),
        measured: ratios,
        mean: found,
        interval,
    }))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::report::{StudyModel, Verdict, example};

    #[test]
    fn ranks_are_correlated_as_by_hand() {
        assert_eq!(spearman_with_order(&[0.1, 0.2, 0.4]), 1.0);
        assert_eq!(spearman_with_order(&[0.4, 0.2, 0.1]), -1.0);
        // Indices -1, 0, 1 with ranks 1, -1, 0: -1 / 2.
        assert_eq!(spearman_with_order(&[0.4, 0.1, 0.2]), -0.5);
        assert_eq!(spearman_with_order(&[0.3, 0.3, 0.3]), 0.0);
    }

    #[test]
    fn a_study_is_judged_by_the_cells_that_it_has() {
        let study = example::edge_study();
        let (claims, missing) = claims(&study).unwrap();
        let found = |label: &str| {
            let of = |claim: &&Claim| claim.label.as_deref() == Some(label);
            claims.iter().find(of).unwrap()
        };
        // In the example, retrieval is 20 hundredths ahead of LoRA in one task and 20 behind in the other.
        let first = found("A1");
        assert!((first.mean - 20.0).abs() < 1e-9, "{first:?}");
        assert_eq!(first.verdict, Verdict::Holds);
        // LoRA is best after the first of two budgets, in one of two tasks.
        assert!((found("A2").mean - 0.5).abs() < 1e-9);
        assert!((found("A6").mean - 0.5).abs() < 1e-9);
        let missing_a5 = missing.iter().any(|claim| claim.starts_with("A5"));
        assert!(missing_a5, "{missing:?}");
    }

    #[test]
    fn gains_of_growing_histories_are_means_over_the_same_tasks() {
        let mut study = example::edge_study();
        let of = |task: &str| {
            let is_lora = |cell: &&StudyCell| cell.task == task && cell.method == "lora";
            study.cells.iter().find(is_lora).unwrap().clone()
        };
        let [citation, title] = ["citation", "title"].map(of);
        let with = |cell: &StudyCell, history: u64, quality: f64| {
            let mut cell = StudyCell {
                history,
                ..cell.clone()
            };
            for point in &mut cell.points {
                point.quality = vec![quality; 2];
            }
            cell
        };
        // Citation falls from 0.6 to 0.5 and 0.45. Titles have no longest history. If the means took every task that a history has, the gains would be 0.3,
        // -0.2 and 0.05, and the correlation -0.5.
        let longer = [
            with(&citation, 32, 0.5),
            with(&citation, 128, 0.45),
            with(&title, 32, -0.3),
        ];
        study.cells.extend(longer);
        let rising = rising_gain(&study).unwrap().unwrap();
        assert_eq!(rising.mean, -1.0, "{rising:?}");
        // A history that only another model has changes nothing.
        study.cells.push(StudyCell {
            model: "large".into(),
            ..with(&citation, 512, 0.9)
        });
        assert_eq!(rising_gain(&study).unwrap().unwrap().mean, -1.0);
        // Two tasks have both methods with a history of 8 alone.
        let crossover = crossover(&study).unwrap().unwrap();
        assert!((crossover.mean - 20.0).abs() < 1e-9, "{crossover:?}");
    }

    #[test]
    fn a_distilled_model_is_no_smaller_model_to_compare_with() {
        let mut study = example::edge_study();
        let name =
            "A3: LoRA on 4 bits is as good as on a smaller model of 32 bits, at equal memory";
        let is_measured = |study: &EdgeStudy| {
            let (_, missing) = claims(study).unwrap();
            !missing.iter().any(|claim| claim == name)
        };
        // The cells of `small` in full precision again, as those of a larger model with 4 bits.
        let compressed = study.cells.iter().filter(|cell| cell.method == "lora");
        let compressed: Vec<StudyCell> = compressed
            .map(|cell| StudyCell {
                model: "large".into(),
                compression: "gptq-4".into(),
                ..cell.clone()
            })
            .collect();
        study.cells.extend(compressed);
        let of_size = |parameters| StudyModel {
            name: "large".into(),
            parameters,
            ..example::edge_study().models[0].clone()
        };
        study.models.push(of_size(1_000));
        assert!(is_measured(&study));
        study.models[1] = of_size(100);
        assert!(!is_measured(&study), "the other model is the larger one");
        study.models[1] = of_size(1_000);
        study.models[0].teacher = Some("large".into());
        assert!(!is_measured(&study));
    }
}
