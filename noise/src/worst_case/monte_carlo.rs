//! Random chips inside the box.

use serde::{Deserialize, Serialize};

use super::search::Next;
use super::{DeviationBounds, Deviations, SearchState};
use crate::ChipSeed;

/// Gaussian deviations whose three standard deviations equal the bound, clipped to it. This is what random manufacturing
/// would meet; it misses the worst case.
///
/// ```text
/// d = clip(z b / 3),  z ~ N(0, 1)          b: the end of the box on the side of z
/// ```
///
/// A draw is a function of (seed, draw, path, entry).
///
/// # Source
/// Yan, Hu and Shi, ICCAD 2022 (arXiv 2207.07626): Monte Carlo simulation as the baseline of the search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MonteCarlo {
    /// Chips.
    pub draws: usize,
}

impl MonteCarlo {
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

    /// The deviation of `chip`.
    pub(super) fn draw(bounds: &DeviationBounds, chip: ChipSeed) -> Deviations {
        bounds.fill(|path, entries| {
            let mut draws = vec![0.0; entries.low.len()];
            chip.generator(&format!("{path}/inside"))
                .fill_normal(&mut draws);
            let ends = entries.low.iter().zip(&entries.high);
            draws
                .into_iter()
                .zip(ends)
                .map(|(z, (low, high))| {
                    let end = if z < 0.0 { -low } else { *high };
                    (z / 3.0 * end).clamp(*low, *high)
                })
                .collect()
        })
    }
}
