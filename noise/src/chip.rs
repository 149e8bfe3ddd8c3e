//! A chip is a seed.

use crate::Philox;
use crate::path_hash::{mix, path_hash};

/// Names every draw of one manufactured chip.
///
/// A draw is a pure function of (population seed, chip index, parameter path, element index): chip 17 of population 7
/// is the same to the bit on every backend, thread count and shard, and can be replayed alone.
///
/// ```
/// use crossburn_noise::ChipSeed;
///
/// let chip = ChipSeed::new(7, 17);
/// assert_eq!(chip.generator("fc1.weight"), ChipSeed::new(7, 17).generator("fc1.weight"));
/// assert_ne!(chip.generator("fc1.weight"), chip.generator("fc2.weight"));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ChipSeed {
    population: u64,
    index: u64,
}

impl ChipSeed {
    /// Chip `index` of the population `population`.
    pub const fn new(population: u64, index: u64) -> Self {
        Self { population, index }
    }

    /// Seed of the population.
    pub const fn population(&self) -> u64 {
        self.population
    }

    /// Number of the chip in its population.
    pub const fn index(&self) -> u64 {
        self.index
    }

    /// The generator of the parameter at `path`: keyed by population and path, one stream per chip.
    pub fn generator(&self, path: &str) -> Philox {
        Philox::new(
            mix(self.population).wrapping_add(path_hash(path)),
            self.index,
        )
    }
}
