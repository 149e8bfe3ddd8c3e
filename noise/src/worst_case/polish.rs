//! Moves entries to the other end of their box while the score falls.

use serde::{Deserialize, Serialize};

use super::state::bits;
use super::{DeviationBounds, Deviations, EntryBounds};

/// The last part of a search. It judges by the score, not by a surrogate. Entries are ordered by the first-order fall of the
/// loss when they move to the end of their box that the gradient points to. The first eighth of them moves together. If the
/// score falls, the move stays. Otherwise it is taken back, and half as many entries are tried, down to a single entry. The
/// polish then goes on with the next entries, until none is left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Polish {
    /// The deviation with all moves that stayed.
    #[serde(with = "bits")]
    kept: Deviations,
    score: f64,
    loss: f64,
    /// The entries that could move, the most promising first: number of the weight by path, index, whether to the upper end.
    moves: Vec<(u32, u32, bool)>,
    /// Moves before this one are decided.
    decided: usize,
    /// Number of entries that move together.
    together: usize,
}

impl Polish {
    /// Begins at `start`, which has `score` and `loss`.
    pub(super) fn new(
        bounds: &DeviationBounds,
        start: &Deviations,
        (score, loss): (f64, f64),
        gradient: &Deviations,
    ) -> Self {
        let mut moves = Vec::new();
        for (weight, (path, entries)) in bounds.weights().iter().enumerate() {
            let values = start[path].iter().zip(&gradient[path]);
            for (index, (d, g)) in values.enumerate() {
                let up = *g < 0.0;
                let gain = (d - entries.end(index, up)) * g;
                if gain > 0.0 {
                    moves.push((gain, (weight as u32, index as u32, up)));
                }
            }
        }
        // Equal gains keep the order of paths and entries.
        moves.sort_by(|a, b| b.0.total_cmp(&a.0));
        Self {
            kept: start.clone(),
            score,
            loss,
            together: moves.len().div_ceil(8),
            moves: moves.into_iter().map(|(_, place)| place).collect(),
            decided: 0,
        }
    }

    pub(super) fn fits(&self, bounds: &DeviationBounds) -> bool {
        let boxes: Vec<&EntryBounds> = bounds.weights().values().collect();
        let fits = |(weight, index, _): &(u32, u32, bool)| {
            let entries = boxes.get(*weight as usize);
            entries.is_some_and(|entries| (*index as usize) < entries.low.len())
        };
        bounds.fit(&self.kept) && self.moves.iter().all(fits)
    }

    /// The next deviation to judge; `None` if no move is left.
    pub(super) fn propose(&self, bounds: &DeviationBounds) -> Option<Deviations> {
        let moves = self.moves.get(self.decided..)?;
        if moves.is_empty() {
            return None;
        }
        let mut deviations = self.kept.clone();
        let boxes: Vec<&EntryBounds> = bounds.weights().values().collect();
        let mut values: Vec<&mut Vec<f32>> = deviations.values_mut().collect();
        for &(weight, index, up) in moves.iter().take(self.together) {
            let (weight, index) = (weight as usize, index as usize);
            values[weight][index] = boxes[weight].end(index, up);
        }
        Some(deviations)
    }

    /// Keeps the proposed move or takes it back.
    pub(super) fn decide(&mut self, proposed: &Deviations, score: f64, loss: f64) {
        let moved = self.together;
        if (score, loss) < (self.score, self.loss) {
            self.kept.clone_from(proposed);
            (self.score, self.loss) = (score, loss);
            self.decided += moved;
        } else if moved > 1 {
            self.together = moved.div_ceil(2);
        } else {
            self.decided += 1;
        }
    }
}
