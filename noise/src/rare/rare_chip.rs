//! A chip at the end of a walk, as a short list of seeds.

use serde::{Deserialize, Serialize};

use super::normal_draws::{uniform, weighted_normals};
use crate::{ChipDraws, ChipSeed, ParameterDraws, Philox};

/// A chip that is reached by moves from the chip of a seed, in the space of standard normal draws.
///
/// ```text
/// x <- x of the chip `first`            u = Φ(x) is what its distribution sees
/// x <- rho x + sqrt(1 - rho²) xi        once per move, xi the draws of the chip `index`
/// ```
///
/// Every move leaves the law of x standard normal. These few numbers give the same chip to the byte, and their number
/// does not grow with that of the weights. Without a move it is the chip of its seed.
///
/// ```
/// use crossburn_noise::{ChipSeed, Distribution, Move, RareChip, Variation};
///
/// let variation = Variation::from(Distribution::gaussian(0.1));
/// let draw = |chip: &RareChip| variation.draw(chip, "fc.weight", &[1.0, 0.5], &[2, 1]);
/// let start = RareChip::new(ChipSeed::new(7, 17));
/// assert_eq!(draw(&start), variation.draw(ChipSeed::new(7, 17), "fc.weight", &[1.0, 0.5], &[2, 1]));
/// let moved = start.moved(Move { index: 18, rho: 0.8 });
/// assert_ne!(draw(&start), draw(&moved));
/// assert_eq!(draw(&moved), draw(&moved.clone()));
/// ```
///
/// # Source
/// The moves are those of the preconditioned Crank-Nicolson proposal: Cotter, Roberts, Stuart and White, "MCMC methods for
/// functions", Statistical Science 28 (2013).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RareChip {
    /// Seed of the population that all draws are from.
    pub seed: u64,
    /// The chip that the walk started from.
    pub first: u64,
    /// The moves, in order.
    pub moves: Vec<Move>,
}

/// One move of a walk.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Move {
    /// Number of the chip whose draws are mixed in.
    pub index: u64,
    /// Correlation with the chip before, in `0..1`.
    pub rho: f64,
}

impl RareChip {
    /// The chip of a seed, before any move.
    pub const fn new(chip: ChipSeed) -> Self {
        Self {
            seed: chip.population(),
            first: chip.index(),
            moves: Vec::new(),
        }
    }

    /// The chip after one more move.
    pub fn moved(&self, by: Move) -> Self {
        let mut moves = Vec::with_capacity(self.moves.len() + 1);
        moves.extend_from_slice(&self.moves);
        moves.push(by);
        Self { moves, ..*self }
    }

    /// Number of the draws of the last move. In a [`SubsetSimulation`](super::SubsetSimulation), no two evaluated chips
    /// share it.
    pub fn last_index(&self) -> u64 {
        self.moves.last().map_or(self.first, |last| last.index)
    }

    /// All chips whose draws are in the sum, with their weights.
    fn terms(&self) -> Vec<(f64, ChipSeed)> {
        let mut terms = vec![(1.0, ChipSeed::new(self.seed, self.first))];
        for Move { index, rho } in &self.moves {
            terms.iter_mut().for_each(|(weight, _)| *weight *= rho);
            terms.push(((1.0 - rho * rho).sqrt(), ChipSeed::new(self.seed, *index)));
        }
        terms
    }
}

impl ChipDraws for RareChip {
    fn parameter(&self, path: &str) -> Box<dyn ParameterDraws + '_> {
        let terms = self.terms();
        match terms.as_slice() {
            [(_, chip)] => Box::new(chip.generator(path)),
            terms => Box::new(Mixed {
                terms: terms
                    .iter()
                    .map(|(weight, chip)| (*weight, chip.generator(path)))
                    .collect(),
            }),
        }
    }

    fn stream(&self, path: &str) -> Philox {
        ChipSeed::new(self.seed, self.last_index()).generator(path)
    }
}

/// The draws of one parameter after at least one move.
struct Mixed {
    terms: Vec<(f64, Philox)>,
}

impl ParameterDraws for Mixed {
    fn fill(&self, first: usize, out: &mut [f64]) {
        weighted_normals(&self.terms, first, out.len(), |start, sum| {
            for (out, x) in out[start..].iter_mut().zip(sum) {
                *out = uniform(*x);
            }
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::{Distribution, Variation};
    use proptest::prelude::*;

    fn walked(moves: u64, rho: f64) -> RareChip {
        (1..=moves).fold(RareChip::new(ChipSeed::new(5, 0)), |chip, index| {
            chip.moved(Move { index, rho })
        })
    }

    #[test]
    fn a_walked_chip_is_a_chip_like_any_other_and_correlated_with_its_start() {
        let n = 200_000;
        let ones = vec![1.0; n];
        let variation = Variation::from(Distribution::gaussian(1.0));
        let start = variation.draw(ChipSeed::new(5, 0), "w", &ones, &[n]);
        for (moves, rho) in [(1, 0.8f64), (3, 0.9), (10, 0.5)] {
            let drawn = variation.draw(walked(moves, rho), "w", &ones, &[n]);
            let mean = |value: &dyn Fn(usize) -> f64| (0..n).map(value).sum::<f64>() / n as f64;
            let x = |i: usize| f64::from(drawn[i]);
            // Four standard errors of the moments of standard normals, and of a product of correlated ones.
            let error = 4.0 / (n as f64).sqrt();
            assert!(mean(&|i| x(i)).abs() < error);
            assert!((mean(&|i| x(i).powi(2)) - 1.0).abs() < 2f64.sqrt() * error);
            assert!((mean(&|i| x(i).powi(4)) - 3.0).abs() < 96f64.sqrt() * error);
            let correlation = mean(&|i| x(i) * f64::from(start[i]));
            let expected = rho.powi(moves as i32);
            assert!(
                (correlation - expected).abs() < 2f64.sqrt() * error,
                "{correlation}"
            );
        }
    }

    #[test]
    fn draws_do_not_depend_on_where_they_are_cut() {
        let chip = walked(3, 0.7);
        let draws = chip.parameter("w");
        let mut whole = vec![0.0; 3000];
        draws.fill(0, &mut whole);
        for (first, count) in [(0, 5), (4, 1100), (1024, 1024), (2996, 4)] {
            let mut part = vec![0.0; count];
            draws.fill(first, &mut part);
            assert_eq!(part, whole[first..first + count]);
        }
        assert!(whole.iter().all(|u| *u > 0.0 && *u < 1.0));
    }

    proptest! {
        #[test]
        fn a_chip_written_down_is_the_same_chip(seed in 0u64..1 << 53, moves in 0u64..9, rho in 0.0f64..1.0) {
            let chip = RareChip { seed, ..walked(moves, rho) };
            let text = serde_json::to_string(&chip).unwrap();
            let again: RareChip = serde_json::from_str(&text).unwrap();
            let variation = Variation::from(Distribution::right_censored(0.2, 1.0));
            let draw = |chip: &RareChip| variation.draw(chip, "w", &[0.5; 70], &[7, 10]);
            prop_assert_eq!(draw(&again), draw(&chip));
            prop_assert_eq!(chip.last_index(), moves);
        }
    }
}
