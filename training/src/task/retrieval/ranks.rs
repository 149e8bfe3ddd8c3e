//! Where a search ranks the document of a query.

use super::config::recall_at;
use crate::TrainingError;
use crate::task::{Tally, require_finite};
use crossburn_noise::Metric;

/// For each query, how many documents are found before its own.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ranks(Vec<u32>);

impl Tally for Ranks {
    fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Ranks {
    /// Ranks by `scores`, `[queries, documents]` row after row; the document of query i is `targets[i]`. Of equal scores the lower document
    /// comes first.
    ///
    /// ```
    /// use crossburn_training::Ranks;
    ///
    /// // The first query finds its document 0 first; the second has two documents before its document 2, one with an equal score.
    /// let ranks = Ranks::of(&[0.9, 0.1, 0.2, /* */ 0.5, 0.7, 0.5], &[0, 2])?;
    /// assert_eq!((ranks.recall(1), ranks.recall(2), ranks.recall(3)), (Some(0.5), Some(0.5), Some(1.0)));
    /// # Ok::<(), crossburn_training::TrainingError>(())
    /// ```
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`].
    ///
    /// # Panics
    /// When `targets` is empty where there are scores, or a target is no document.
    pub fn of(scores: &[f32], targets: &[usize]) -> Result<Self, TrainingError> {
        if targets.is_empty() {
            return Ok(Self::default());
        }
        let documents = scores.len() / targets.len();
        require_finite(scores, documents)?;
        let rank = |(scores, target): (&[f32], &usize)| {
            let own = scores[*target];
            let before =
                |(place, score): (usize, &f32)| *score > own || *score == own && place < *target;
            scores
                .iter()
                .enumerate()
                .filter(|found| before(*found))
                .count() as u32
        };
        Ok(Self(
            scores.chunks(documents).zip(targets).map(rank).collect(),
        ))
    }

    /// The share of queries whose document is among the first `k`; `None` of no query.
    pub fn recall(&self, k: usize) -> Option<f64> {
        let queries = self.0.len();
        (queries > 0).then(|| self.hits(k) as f64 / queries as f64)
    }

    /// Queries whose document is among the first `k`.
    pub fn hits(&self, k: usize) -> u64 {
        self.0.iter().filter(|rank| (**rank as usize) < k).count() as u64
    }

    /// The recall at `k` of another one than `but`.
    pub(super) fn also(&self, but: usize) -> Vec<(Metric, f64)> {
        let others = [1, 5].into_iter().filter(|k| *k != but);
        let found = others.filter_map(|k| Some((recall_at(k), self.recall(k)?)));
        found.collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn recalls_are_those_counted_by_hand() {
        // Three documents. Ranks: 0; 1 (document 1 is before 2); 1 (document 0 has an equal score and comes first); 2.
        let scores = [
            0.5, 0.1, 0.2, //
            0.1, 0.9, 0.5, //
            0.3, 0.3, 0.3, //
            -0.5, -0.1, -0.9,
        ];
        let ranks = Ranks::of(&scores, &[0, 2, 1, 2]).unwrap();
        assert_eq!(ranks, Ranks(vec![0, 1, 1, 2]));
        assert_eq!(
            [1, 2, 3].map(|k| ranks.recall(k).unwrap()),
            [0.25, 0.75, 1.0]
        );
        assert_eq!(ranks.hits(2), 3);
        let mut all = Ranks::of(&[1.0, 0.0], &[1]).unwrap();
        all.merge(ranks);
        assert_eq!(all.recall(1), Some(0.2));
        assert_eq!(Ranks::default().recall(1), None);
        assert_eq!(Ranks::of(&[], &[]).unwrap(), Ranks::default());
    }

    #[test]
    fn what_is_no_number_is_refused() {
        let message = Ranks::of(&[0.1, 0.2, 0.1, f32::NAN], &[0, 1])
            .unwrap_err()
            .to_string();
        assert!(message.starts_with("the network gives NaN"), "{message}");
    }
}
