//! Chooses the learning rate of every method, on people who are not measured.

use std::collections::{BTreeMap, BTreeSet};

use crossburn_training::personalisation::LearningMethod;

use super::cells::CellStore;
use super::compression::Compression;
use super::conditions::Condition;
use super::study_file::StudyFile;
use crate::report::mean;

/// The first person for choosing rates. The numbers come after those of all measured people.
pub(super) const OTHER_PEOPLE: u64 = 1 << 30;

/// One rate, tried on one person.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) condition: Condition,
    pub(super) person: u64,
    pub(super) rate: f64,
}

/// The trials of a study: each rate of each method and task, on one model in full precision on ideal cells. A method with a single rate needs no trial.
pub(super) fn trials(study: &StudyFile, conditions: &[Condition]) -> Vec<Trial> {
    let Some(first) = study.grids.first().and_then(|grid| grid.models.first()) else {
        return Vec::new();
    };
    let Ok(ideal) = "ideal".parse::<super::law::Law>() else {
        return Vec::new();
    };
    let learns: BTreeSet<(&String, LearningMethod)> = conditions
        .iter()
        .filter(|condition| condition.method.learns())
        .map(|condition| (&condition.task, condition.method))
        .collect();
    let mut all = Vec::new();
    for (task, method) in learns {
        let rates = study.rates.of.get(&method).map_or(&[][..], Vec::as_slice);
        if rates.len() < 2 {
            continue;
        }
        for rate in rates {
            all.extend((0..study.rates.people).map(|number| Trial {
                condition: Condition {
                    model: first.clone(),
                    compression: Compression::None,
                    law: ideal.clone(),
                    task: task.clone(),
                    method,
                    history: study.rates.history,
                },
                person: OTHER_PEOPLE + number,
                rate: *rate,
            }));
        }
    }
    all
}

/// For every task and learning method, the rate with the best final answers, averaged over people. Of rates with equally good ones, that with the best
/// answers on average over all numbers of steps: it learns faster. Of rates that are equal in this too, the first.
pub(super) fn chosen(
    study: &StudyFile,
    trials: &[Trial],
    store: &CellStore,
) -> BTreeMap<(String, LearningMethod), f64> {
    let mut best: BTreeMap<(String, LearningMethod), ([f64; 2], f64)> = BTreeMap::new();
    for of_rate in trials.chunks(study.rates.people.max(1) as usize) {
        let Trial {
            condition, rate, ..
        } = &of_rate[0];
        let name = condition.with_rate(Some(*rate));
        let answers = of_rate.iter().filter_map(|trial| {
            let quality = &store.get(&name, trial.person)?.quality;
            Some((*quality.last()?, mean(quality)))
        });
        let (last, all): (Vec<f64>, Vec<f64>) = answers.unzip();
        let quality = [mean(&last), mean(&all)];
        let key = (condition.task.clone(), condition.method);
        let held = best.entry(key).or_insert((quality, *rate));
        if quality > held.0 {
            *held = (quality, *rate);
        }
    }
    best.into_iter()
        .map(|(key, (_, rate))| (key, rate))
        .collect()
}

/// The rate for `condition`; `None` if the method does not learn.
pub(super) fn rate_of(
    study: &StudyFile,
    chosen: &BTreeMap<(String, LearningMethod), f64>,
    condition: &Condition,
) -> Option<f64> {
    let only = || study.rates.of.get(&condition.method)?.first().copied();
    match condition.method.learns() {
        true => chosen
            .get(&(condition.task.clone(), condition.method))
            .copied()
            .or_else(only),
        false => None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::apps::edge_llm::cells::Measured;

    /// The rate that is chosen of three, when two people answer with these qualities after each of two numbers of steps.
    fn chosen_of(answers: [[[f64; 2]; 2]; 3]) -> f64 {
        let text = include_str!("../../../configs/studies/tiny.toml")
            .replace("lora = [3e-3]", "lora = [1e-3, 2e-3, 3e-3]")
            .replace("tasks = [\"citation\", \"title\"]", "tasks = [\"title\"]")
            .replace("people = 1", "people = 2");
        let study: StudyFile = toml::from_str(&text).unwrap();
        let trials = trials(&study, &study.conditions().unwrap());
        assert_eq!(trials.len(), 6);
        let folder = tempfile::tempdir().unwrap();
        let mut store = CellStore::open(folder.path(), serde_json::Value::Null, false).unwrap();
        for (trial, quality) in trials.iter().zip(answers.as_flattened()) {
            let measured = Measured {
                quality: quality.to_vec(),
                loss: Vec::new(),
            };
            let name = trial.condition.with_rate(Some(trial.rate));
            store.keep(trial.person, vec![(name, measured)]).unwrap();
        }
        let chosen = chosen(&study, &trials, &store);
        chosen[&("title".to_string(), LearningMethod::Lora)]
    }

    #[test]
    fn the_best_last_answers_count_then_the_best_earlier_ones_then_the_order() {
        let low = [[0.1, 0.5], [0.1, 0.6]];
        let early = [[0.4, 0.5], [0.4, 0.6]];
        let late = [[0.0, 0.8], [0.0, 0.4]];
        assert!((chosen_of([low, early, late]) - 3e-3).abs() < 1e-12);
        assert!((chosen_of([low, early, low]) - 2e-3).abs() < 1e-12);
        assert!((chosen_of([low, low, low]) - 1e-3).abs() < 1e-12);
    }
}
