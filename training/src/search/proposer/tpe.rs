//! A tree-structured Parzen estimator on choices.

use std::cmp::Ordering;
use std::collections::BTreeSet;

use super::{Proposal, Proposer, proposed};
use crate::TrainingError;
use crate::search::{Design, Draws, Space, Trial};

/// Designs that are drawn at random before the first model.
const START: usize = 10;
/// The best share of the trials is what good designs are like, at most as many as [`MOST_GOOD`].
const GOOD_SHARE: f64 = 0.25;
const MOST_GOOD: usize = 25;
/// Candidates of a proposal.
const CANDIDATES: usize = 24;
/// Draws of a candidate that keeps the constraints and is new.
const TRIES: usize = 50;

/// A tree-structured Parzen estimator with one weight per choice and position.
///
/// Trials are parted into the good ones and the others. Candidates are drawn as the good ones are distributed. Proposed is the candidate with the
/// largest ratio of its probability among the good ones to that among the others.
///
/// # Source
/// Bergstra et al., "Algorithms for hyper-parameter optimization", NeurIPS 2011, section 4, on categorical variables; numbers of trials and
/// candidates as the public implementations of it have them.
#[derive(Clone, Debug)]
pub struct Tpe {
    draws: Draws,
    seen: BTreeSet<Design>,
}

impl Tpe {
    /// The estimator of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            draws: Draws::new(seed, "tpe"),
            seen: BTreeSet::new(),
        }
    }

    fn model(&mut self, space: &Space, history: &[Trial]) -> Option<Design> {
        let mut known: Vec<(&Design, f64)> = history
            .iter()
            .filter_map(|trial| Some((trial.design.as_ref()?, trial.score)))
            .collect();
        known.sort_by(|a, b| b.1.total_cmp(&a.1));
        let good = ((known.len() as f64 * GOOD_SHARE).ceil() as usize).min(MOST_GOOD);
        let (good, others) = known.split_at(good);
        let (good, others) = (weights(space, good), weights(space, others));
        let mut best: Option<(f64, Design)> = None;
        for _ in 0..CANDIDATES {
            let drawn = (0..TRIES).find_map(|_| {
                let numbers = good
                    .iter()
                    .map(|weights| self.draws.weighted(weights) as u16);
                let design = space.design(numbers.collect())?;
                let fits = space.check(&design).is_ok() && !self.seen.contains(&design);
                fits.then_some(design)
            });
            let Some(design) = drawn else { continue };
            let used = (0..space.positions()).filter(|at| space.uses(&design, *at));
            let gain: f64 = used
                .map(|at| {
                    let number = usize::from(design.numbers()[at]);
                    (good[at][number] / others[at][number]).ln()
                })
                .sum();
            let ahead = best
                .as_ref()
                .map_or(Ordering::Greater, |best| gain.total_cmp(&best.0));
            if ahead == Ordering::Greater {
                best = Some((gain, design));
            }
        }
        best.map(|(_, design)| design)
    }
}

/// The share of every choice at every position among `trials`, each choice counted once more than it was made.
fn weights(space: &Space, trials: &[(&Design, f64)]) -> Vec<Vec<f64>> {
    let position = |at: usize| {
        let mut counts = vec![1.0; space.axis_at(at).choices.len()];
        for (design, _) in trials.iter().filter(|(design, _)| space.uses(design, at)) {
            counts[usize::from(design.numbers()[at])] += 1.0;
        }
        let sum: f64 = counts.iter().sum();
        counts.into_iter().map(|count| count / sum).collect()
    };
    (0..space.positions()).map(position).collect()
}

impl Proposer for Tpe {
    fn propose(&mut self, space: &Space, history: &[Trial]) -> Result<Proposal, TrainingError> {
        let modelled = match history.len() < START {
            true => None,
            false => self.model(space, history),
        };
        let design = modelled.or_else(|| space.draw(&mut self.draws));
        self.seen.extend(design.clone());
        Ok(proposed(design))
    }
}
