//! Regularised evolution: the best of a few parents is changed in one place, and the oldest dies.

use super::{Proposal, Proposer, proposed};
use crate::TrainingError;
use crate::search::{Draws, Space, Trial};

/// Regularised (aging) evolution.
///
/// The population is the last trials of the history, so that the oldest dies with every new one, however good it is. The parent is the best
/// of a random sample.
///
/// # Source
/// Real et al., "Regularized evolution for image classifier architecture search", AAAI 2019, algorithm 1. The population is smaller than there, as
/// budgets are.
#[derive(Clone, Debug)]
pub struct Evolution {
    draws: Draws,
    population: usize,
    sample: usize,
}

impl Evolution {
    /// A population of 20 and samples of 5.
    pub fn new(seed: u64) -> Self {
        Self {
            draws: Draws::new(seed, "evolution"),
            population: 20,
            sample: 5,
        }
    }
}

impl Proposer for Evolution {
    fn propose(&mut self, space: &Space, history: &[Trial]) -> Result<Proposal, TrainingError> {
        let alive = &history[history.len().saturating_sub(self.population)..];
        if alive.len() < self.population {
            return Ok(proposed(space.draw(&mut self.draws)));
        }
        let mut parent: Option<&Trial> = None;
        for _ in 0..self.sample {
            let other = &alive[self.draws.below(alive.len())];
            if parent.is_none_or(|parent| other.score > parent.score) {
                parent = Some(other);
            }
        }
        let child = match parent.and_then(|parent| parent.design.as_ref()) {
            Some(design) => space.neighbour(design, &mut self.draws),
            None => space.draw(&mut self.draws),
        };
        Ok(proposed(child))
    }
}
