//! The loop of a search: propose, judge, score, until the budget is spent.

use std::collections::{BTreeMap, BTreeSet};
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
        let mut proposed = BTreeSet::new();
        while searched.trials.len() < self.budget {
            let trial = match proposer.propose(self.view, &searched.trials)? {
                Proposal::Design(design) => {
                    let repeated = !proposed.insert(design.clone());
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

    /// The score of a design with these values, which are finite.
    ///
    /// # Errors
    /// Why it is refused, in words: a limit, or a score that is not finite.
    fn worth(&self, values: &[f64]) -> Result<f64, String> {
        if let Some(reason) = self.limits.iter().find_map(|limit| limit.refuses(values)) {
            return Err(reason);
        }
        match self.score.of(values) {
            score if score.is_finite() => Ok(score),
            score => Err(format!("its score is {score}")),
        }
    }

    /// Why a design is refused before it is judged, in words: a limit that it is known to break.
    fn foreseen(
        &self,
        judge: &dyn Judge,
        design: &Design,
    ) -> Result<Option<String>, TrainingError> {
        if self.limits.is_empty() {
            return Ok(None);
        }
        let known = judge.foresee(self.space, design)?.unwrap_or_default();
        let mut limits = self.limits.iter();
        Ok(limits.find_map(|limit| limit.refuses_foreseen(&known)))
    }

    /// The score of a design that is not proposed; none for one that is refused.
    ///
    /// # Errors
    /// Those of `judge`.
    pub fn score_of(
        &self,
        judge: &dyn Judge,
        design: &Design,
    ) -> Result<Option<f64>, TrainingError> {
        if self.space.check(design).is_err() {
            return Ok(None);
        }
        Ok(match sound(judge, judge.judge(self.space, design)?)? {
            Judged::Refused(_) => None,
            Judged::Measured(values) => self.worth(&values).ok(),
        })
    }

    fn trial(
        &self,
        judge: &dyn Judge,
        design: Design,
        repeated: bool,
        cache: &mut BTreeMap<Design, Judged>,
    ) -> Result<Trial, TrainingError> {
        let judged = match (cache.get(&design), self.space.check(&design)) {
            (Some(judged), _) => sound(judge, judged.clone())?,
            (None, Err(reason)) => Judged::Refused(reason),
            (None, Ok(())) => match self.foreseen(judge, &design)? {
                // It depends on the limits, so it is nothing for the cache.
                Some(reason) => Judged::Refused(reason),
                None => {
                    let judged = sound(judge, judge.judge(self.space, &design)?)?;
                    cache.insert(design.clone(), judged.clone());
                    judged
                }
            },
        };
        let (values, found) = match judged {
            Judged::Refused(reason) => (Vec::new(), Err(reason)),
            Judged::Measured(values) => {
                let found = self.worth(&values);
                (values, found)
            }
        };
        let (score, refused) = match found {
            Ok(score) => (score, None),
            Err(reason) => (INVALID_SCORE, Some(reason)),
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

/// What `judge` found, with one finite value for each of its measures; a design with another value is refused.
fn sound(judge: &dyn Judge, judged: Judged) -> Result<Judged, TrainingError> {
    let Judged::Measured(values) = &judged else {
        return Ok(judged);
    };
    let measures = judge.measures();
    if values.len() != measures.len() {
        let (found, wanted) = (values.len(), measures.len());
        return Err(TrainingError::data(
            "the judge of designs",
            format!("it gives {found} values for {wanted} measures"),
            "give one value for each measure",
        ));
    }
    let mut named = measures.iter().zip(values);
    let odd = named.find(|(_, value)| !value.is_finite());
    Ok(
        match odd.map(|(measure, value)| format!("{} is {value}", measure.name)) {
            Some(reason) => Judged::Refused(reason),
            None => judged,
        },
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
