//! Random corners of the box.

use serde::{Deserialize, Serialize};

use super::search::Next;
use super::{DeviationBounds, Deviations, SearchState};
use crate::ChipSeed;

/// Each entry is at the lower or the upper end of its box, with equal probability: a baseline that uses no gradient.
///
/// A draw is a function of (seed, draw, path, entry).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Corners {
    /// Corners.
    pub draws: usize,
}

impl Corners {
    pub(super) fn advance(
        &self,
        state: &mut SearchState,
        bounds: &DeviationBounds,
        seed: u64,
    ) -> Next {
        if state.iteration >= self.draws {
            return Next::End;
        }
        state.current = Self::draw(bounds, ChipSeed::new(seed, state.iteration as u64));
        Next::Evaluate
    }

    /// The corner of `chip`.
    pub(super) fn draw(bounds: &DeviationBounds, chip: ChipSeed) -> Deviations {
        bounds.fill(|path, entries| {
            let coins = chip.generator(&format!("{path}/corner"));
            let side = |index: usize| (coins.word((index / 32) as u64) >> (index % 32)) & 1;
            let ends = entries.low.iter().zip(&entries.high).enumerate();
            ends.map(|(index, (low, high))| if side(index) == 0 { *low } else { *high })
                .collect()
        })
    }
}
