//! Texts in batches, in another order for every pass.

use crossburn_noise::{Philox, path_hash};

/// The texts of one step after the other.
pub(super) struct ShuffledTexts {
    seed: u64,
    texts: usize,
    pass: u64,
    /// What the current pass has left.
    left: Vec<usize>,
}

impl ShuffledTexts {
    /// Of `texts` texts, in orders that `seed` draws.
    pub(super) fn new(seed: u64, texts: usize) -> Self {
        Self {
            seed,
            texts,
            pass: 0,
            left: Vec::new(),
        }
    }

    /// The next `batch` texts; fewer at the end of a pass.
    pub(super) fn next(&mut self, batch: usize) -> Vec<usize> {
        if self.left.is_empty() {
            let order = Philox::new(self.seed ^ path_hash("order of personal texts"), self.pass);
            self.left = order.permutation(self.texts);
            self.pass += 1;
        }
        self.left.split_off(self.left.len().saturating_sub(batch))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pass_takes_every_text_once_and_the_next_one_in_another_order() {
        let mut texts = ShuffledTexts::new(3, 10);
        let mut pass = || {
            let batches: Vec<Vec<usize>> = (0..3).map(|_| texts.next(4)).collect();
            let sizes: Vec<usize> = batches.iter().map(Vec::len).collect();
            assert_eq!(sizes, [4, 4, 2]);
            batches.concat()
        };
        let (first, second) = (pass(), pass());
        assert_ne!(first, second);
        for mut order in [first, second] {
            order.sort_unstable();
            assert_eq!(order, (0..10).collect::<Vec<_>>());
        }
    }
}
