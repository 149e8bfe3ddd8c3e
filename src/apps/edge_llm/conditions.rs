//! The measured conditions: all combinations of each grid, each once.

use std::collections::BTreeSet;
use std::fmt;

use crossburn_training::personalisation::LearningMethod;

use super::compression::Compression;
use super::law::Law;
use super::study_file::StudyFile;

/// Everything that a cell depends on, except the person.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Condition {
    pub(super) model: String,
    pub(super) compression: Compression,
    pub(super) law: Law,
    /// The name of the kind of examples.
    pub(super) task: String,
    pub(super) method: LearningMethod,
    /// Number of examples for the method; 0 if it uses none.
    pub(super) history: usize,
}

impl fmt::Display for Condition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            model,
            compression,
            law,
            task,
            method,
            history,
        } = self;
        write!(
            f,
            "{model}, {compression}, {law}, {task}, {method}, {history}"
        )
    }
}

impl Condition {
    /// The name of a finished cell: the condition, and the learning rate if it learns.
    pub(super) fn with_rate(&self, rate: Option<f64>) -> String {
        match rate {
            Some(rate) => format!("{self}, rate {rate}"),
            None => self.to_string(),
        }
    }
}

impl StudyFile {
    /// All conditions, in a fixed order.
    ///
    /// # Errors
    /// If a task does not exist.
    pub(super) fn conditions(&self) -> anyhow::Result<Vec<Condition>> {
        let mut all = BTreeSet::new();
        for grid in &self.grids {
            for (model, compression) in pairs(&grid.models, &grid.compressions) {
                for (law, task) in pairs(&grid.chips, &grid.tasks) {
                    let task = super::kind_of(task)?.name();
                    for (method, history) in pairs(&grid.methods, &grid.histories) {
                        all.insert(Condition {
                            model: model.clone(),
                            compression: *compression,
                            law: law.clone(),
                            task: task.to_string(),
                            method: *method,
                            history: match method {
                                LearningMethod::None => 0,
                                _ => *history,
                            },
                        });
                    }
                }
            }
        }
        Ok(all.into_iter().collect())
    }
}

/// All pairs of one of `left` and one of `right`.
fn pairs<'a, A, B>(left: &'a [A], right: &'a [B]) -> impl Iterator<Item = (&'a A, &'a B)> {
    left.iter()
        .flat_map(move |left| right.iter().map(move |right| (left, right)))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn every_combination_is_measured_once() {
        let tiny = StudyFile::open("tiny").unwrap();
        let found = tiny.conditions().unwrap();
        // Two tasks, each with three methods and two histories, and with one method without history.
        assert_eq!(found.len(), 2 * (3 * 2 + 1));
        assert_eq!(
            found[0].to_string(),
            "shipped, fp32, ideal, citation, none, 0"
        );
        let mut twice = tiny.clone();
        twice.grids.extend(tiny.grids.clone());
        assert_eq!(twice.conditions().unwrap(), found);
    }
}
