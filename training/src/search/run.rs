//! The loop of a search: propose, judge, score, until the budget is spent.

use std::collections::BTreeMap;
use std::ops::ControlFlow;

use super::proposer::{Proposal, Proposer};
use super::score::{Limit, Score};
use super::space::{Design, Space};
use super::trial::{INVALID_SCORE, Judge, Judged, Trial};
use crate::TrainingError;

/// What a search is judged by, and for how long.
#[derive(Clone, Copy, Debug)]
pub struct Search<'a> {
    /// The designs.
    pub space: &'a Space,
    /// What proposers see of the space: itself, or [`Space::anonymous`].
    pub view: &'a Space,
    /// How measures become a score.
    pub score: &'a Score,
    /// What designs are refused for.
    pub limits: &'a [Limit],
    /// Evaluations, those of repeated and of invalid proposals included.
    pub budget: usize,
}

/// What a search leaves.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Searched {
    /// All trials in their order.
    pub trials: Vec<Trial>,
    /// Why there are fewer than the budget, in words.
    pub ended: Option<String>,
}

impl Search<'_> {
    /// Searches with `proposer`. Designs in `cache` are not judged again, and every design that is judged is put there: with the cache and the
    /// replies of an earlier run, a search goes the same way again and then on. `watch` sees all trials after each one, and ends the search.
    ///
    /// # Errors
    /// Those of `judge` and `proposer`. What was judged before is in `cache`.
    pub fn run(
        &self,
        judge: &dyn Judge,
        proposer: &mut dyn Proposer,
        cache: &mut BTreeMap<Design, Judged>,
        watch: &mut dyn FnMut(&[Trial]) -> ControlFlow<()>,
    ) -> Result<Searched, TrainingError> {
        let mut searched = Searched::default();
        while searched.trials.len() < self.budget {
            let trial = match proposer.propose(self.view, &searched.trials)? {
                Proposal::Design(design) => {
                    let mut earlier = searched.trials.iter();
                    let repeated = earlier.any(|trial| trial.design.as_ref() == Some(&design));
                    self.trial(judge, design, repeated, cache)?
                }
                Proposal::Invalid(reason) => Trial {
                    design: None,
                    values: Vec::new(),
                    refused: Some(reason),
                    score: INVALID_SCORE,
                    repeated: false,
                },
                Proposal::End(reason) => {
                    searched.ended = Some(reason);
                    break;
                }
            };
            searched.trials.push(trial);
            if watch(&searched.trials).is_break() {
                break;
            }
        }
        Ok(searched)
    }

    fn trial(
        &self,
        judge: &dyn Judge,
        design: Design,
        repeated: bool,
        cache: &mut BTreeMap<Design, Judged>,
    ) -> Result<Trial, TrainingError> {
        let judged = match (cache.get(&design), self.space.check(&design)) {
            (Some(judged), _) => judged.clone(),
            (None, Err(reason)) => Judged::Refused(reason),
            (None, Ok(())) => {
                let judged = judge.judge(self.space, &design)?;
                cache.insert(design.clone(), judged.clone());
                judged
            }
        };
        let refused = |values: Vec<f64>, reason: String| (values, Some(reason), INVALID_SCORE);
        let (values, refused, score) = match judged {
            Judged::Refused(reason) => refused(Vec::new(), reason),
            Judged::Measured(values) if values.len() != judge.measures().len() => {
                let (found, measures) = (values.len(), judge.measures().len());
                refused(
                    Vec::new(),
                    format!("it was given {found} values, not {measures}"),
                )
            }
            Judged::Measured(values) => {
                let odd = values.iter().position(|value| !value.is_finite());
                let above = self.limits.iter().find_map(|limit| limit.refuses(&values));
                match (odd, above) {
                    (Some(place), _) => {
                        let name = &judge.measures()[place].name;
                        refused(Vec::new(), format!("{name} is {}", values[place]))
                    }
                    (None, Some(reason)) => refused(values, reason),
                    (None, None) => match self.score.of(&values) {
                        score if score.is_finite() => (values, None, score),
                        score => refused(values, format!("its score is {score}")),
                    },
                }
            }
        };
        Ok(Trial {
            design: Some(design),
            values,
            refused,
            score,
            repeated,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
