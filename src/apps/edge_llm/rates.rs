//! Chooses the learning rate of every method, on people who are not measured.

use std::collections::{BTreeMap, BTreeSet};

use crossburn_training::personalisation::LearningMethod;

use super::cells::CellStore;
use super::compression::Compression;
use super::conditions::Condition;
use super::study_file::StudyFile;

/// The first person for choosing rates. The numbers come after those of all measured people.
pub(super) const OTHER_PEOPLE: u64 = 1 << 30;

/// One rate, tried on one person.
#[derive(Clone, Debug)]
pub(super) struct Trial {
    pub(super) condition: Condition,
    pub(super) person: u64,
    pub(super) rate: f64,
}

impl Trial {
    /// Its name in the file of finished cells.
    pub(super) fn name(&self) -> String {
        format!("{}, rate {}", self.condition, self.rate)
    }
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

/// For every task and learning method, the rate with the best final answers, averaged over people. Of equal rates, the first.
pub(super) fn chosen(
    study: &StudyFile,
    trials: &[Trial],
    store: &CellStore,
) -> BTreeMap<(String, LearningMethod), f64> {
    let mut best: BTreeMap<(String, LearningMethod), (f64, f64)> = BTreeMap::new();
    for of_rate in trials.chunks(study.rates.people.max(1) as usize) {
        let last = |trial: &Trial| {
            store
                .get(&trial.name(), trial.person)?
                .quality
                .last()
                .copied()
        };
        let values: Vec<f64> = of_rate.iter().filter_map(last).collect();
        let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
        let key = (
            of_rate[0].condition.task.clone(),
            of_rate[0].condition.method,
        );
        let held = best
            .entry(key)
            .or_insert((f64::NEG_INFINITY, of_rate[0].rate));
        if mean > held.0 {
            *held = (mean, of_rate[0].rate);
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
