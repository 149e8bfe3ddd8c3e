//! Random draws that follow one another in one stream.

use crossburn_noise::{Philox, path_hash};

/// The draws of one stream, each used once: the same stream gives the same draws.
#[derive(Clone, Debug)]
pub struct Draws {
    generator: Philox,
    next: u64,
}

impl From<Philox> for Draws {
    fn from(generator: Philox) -> Self {
        Self { generator, next: 0 }
    }
}

impl Draws {
    /// The stream of one `purpose` of the search with this seed.
    pub fn new(seed: u64, purpose: &str) -> Self {
        Philox::new(seed, path_hash(&format!("search.{purpose}"))).into()
    }

    /// The stream of item `number` of procedural data under `seed`.
    pub(crate) fn of_item(seed: u64, purpose: &str, number: u64) -> Self {
        Philox::new(seed ^ path_hash(purpose), number).into()
    }

    fn index(&mut self) -> u64 {
        let index = self.next;
        self.next += 1;
        index
    }

    /// A whole number below `n`; 0 where `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        let n = u32::try_from(n).unwrap_or(u32::MAX);
        let index = self.index();
        self.generator.below(index, n) as usize
    }

    /// A number in the open interval (0, 1).
    pub fn uniform(&mut self) -> f64 {
        let index = self.index();
        self.generator.uniform(index)
    }

    /// Whether something happens that happens with probability `share`.
    pub(crate) fn happens(&mut self, share: f64) -> bool {
        self.uniform() < share
    }

    /// One of `all`, which are not empty.
    pub(crate) fn one_of<T: Copy>(&mut self, all: &[T]) -> T {
        all[self.below(all.len())]
    }

    /// The number of one of `weights`, each as likely as it is large; the last one where rounding leaves none.
    pub fn weighted(&mut self, weights: &[f64]) -> usize {
        let mut left = self.uniform() * weights.iter().sum::<f64>();
        for (number, weight) in weights.iter().enumerate() {
            left -= weight;
            if left < 0.0 {
                return number;
            }
        }
        weights.len().saturating_sub(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_decide_how_often_a_number_is_drawn() {
        let mut draws = Draws::new(3, "test");
        let mut counts = [0usize; 3];
        for _ in 0..4000 {
            counts[draws.weighted(&[1.0, 0.0, 3.0])] += 1;
        }
        // 3000 ± 4 · sqrt(4000 · 0.25 · 0.75) = 3000 ± 110.
        assert!(
            counts[1] == 0 && (2890..3110).contains(&counts[2]),
            "{counts:?}"
        );
        assert_eq!(draws.weighted(&[]), 0);
        assert!((0..100).all(|_| draws.below(3) < 3));
    }

    #[test]
    fn streams_repeat_and_differ_by_purpose() {
        let first = |seed, purpose| Draws::new(seed, purpose).uniform();
        assert_eq!(first(1, "a"), first(1, "a"));
        assert_ne!(first(1, "a"), first(1, "b"));
        assert_ne!(first(1, "a"), first(2, "a"));
    }
}
