//! Designs drawn at random.

use std::collections::BTreeSet;

use super::{Proposal, Proposer, proposed};
use crate::TrainingError;
use crate::search::{Design, Draws, Space, Trial};

/// Draws for a design that was not proposed before, until one is repeated.
const TRIES: usize = 100;

/// Designs drawn uniformly at random, without those that it proposed before as far as a few draws find others.
#[derive(Clone, Debug)]
pub struct RandomDesigns {
    draws: Draws,
    seen: BTreeSet<Design>,
}

impl RandomDesigns {
    /// The designs of `seed`.
    pub fn new(seed: u64) -> Self {
        Self {
            draws: Draws::new(seed, "random"),
            seen: BTreeSet::new(),
        }
    }
}

impl Proposer for RandomDesigns {
    fn propose(&mut self, space: &Space, _: &[Trial]) -> Result<Proposal, TrainingError> {
        let mut design = space.draw(&mut self.draws);
        for _ in 0..TRIES {
            if design
                .as_ref()
                .is_none_or(|design| !self.seen.contains(design))
            {
                break;
            }
            design = space.draw(&mut self.draws);
        }
        self.seen.extend(design.clone());
        Ok(proposed(design))
    }
}
