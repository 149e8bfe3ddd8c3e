//! The best of many scores.

use std::cmp::Ordering;

use super::entry::{EntryId, Slot};

/// The `k` best of the scores that were offered: larger ones first, of equal ones the lower entry first.
#[derive(Clone, Debug)]
pub(super) struct Best<T> {
    most: usize,
    /// The best first once there are `most`, in any order before: a search for all entries sorts once.
    held: Vec<(T, EntryId)>,
}

/// Scores that are looked at together: mostly none of them is among the best.
const TOGETHER: usize = 32;

impl<T: Copy + PartialOrd> Best<T> {
    /// The best `most`, of which there are none yet; `most` is not 0.
    pub(super) fn new(most: usize) -> Self {
        Self {
            most,
            held: Vec::new(),
        }
    }

    /// Offers the score of every slot of `slots`; free ones are passed over. A NaN is never among the best.
    pub(super) fn offer(&mut self, scores: &[T], slots: &[Slot]) {
        for (scores, slots) in scores.chunks(TOGETHER).zip(slots.chunks(TOGETHER)) {
            if let Some(worst) = self.worst()
                && !scores
                    .iter()
                    .fold(false, |any, score| any | (*score >= worst))
            {
                continue;
            }
            for (score, slot) in scores.iter().zip(slots) {
                if let Some(entry) = slot.entry
                    && self.worst().is_none_or(|worst| *score >= worst)
                {
                    self.insert(*score, entry);
                }
            }
        }
    }

    /// The best of both.
    pub(super) fn merge(mut self, other: Self) -> Self {
        for (score, entry) in other.held {
            self.insert(score, entry);
        }
        self
    }

    /// Scores and entries, the best first.
    pub(super) fn into_sorted(mut self) -> Vec<(T, EntryId)> {
        self.sort();
        self.held
    }

    /// The score that others have to reach; none while there is room.
    fn worst(&self) -> Option<T> {
        match self.held.len() == self.most {
            true => self.held.last().map(|(score, _)| *score),
            false => None,
        }
    }

    fn insert(&mut self, score: T, entry: EntryId) {
        if score.partial_cmp(&score).is_none() {
            return;
        }
        if self.held.len() < self.most {
            self.held.push((score, entry));
            if self.held.len() == self.most {
                self.sort();
            }
            return;
        }
        let before = |held: &(T, EntryId)| held.0 > score || (held.0 == score && held.1 < entry);
        let place = self.held.partition_point(before);
        if place < self.most {
            self.held.truncate(self.most - 1);
            self.held.insert(place, (score, entry));
        }
    }

    /// Sorts what is held. No score is a NaN, so that all compare.
    fn sort(&mut self) {
        self.held.sort_unstable_by(|one, other| {
            let by_score = other.0.partial_cmp(&one.0).unwrap_or(Ordering::Equal);
            by_score.then(one.1.cmp(&other.1))
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_best_are_those_of_a_sort(
            scores in prop::collection::vec(-3i32..3, 1..200), k in 1usize..20, cut in 0usize..200, live in 0u64..4,
        ) {
            let slot = |place: usize| Slot {
                // Entries in another order than slots, and some slots free.
                entry: (place as u64 % 4 != live).then(|| EntryId::new((place as u64 * 77) % 211)),
                writes: 1,
            };
            let slots: Vec<Slot> = (0..scores.len()).map(slot).collect();
            let mut expected: Vec<(i32, u64)> = scores.iter().zip(&slots)
                .filter_map(|(score, slot)| Some((-score, slot.entry?.get()))).collect();
            expected.sort_unstable();
            expected.truncate(k);
            let cut = cut.min(scores.len());
            let [mut head, mut tail] = [Best::new(k), Best::new(k)];
            head.offer(&scores[..cut], &slots[..cut]);
            tail.offer(&scores[cut..], &slots[cut..]);
            let found: Vec<(i32, u64)> = head.merge(tail).into_sorted().into_iter()
                .map(|(score, entry)| (-score, entry.get())).collect();
            prop_assert_eq!(found, expected);
        }
    }

    #[test]
    fn what_is_no_number_is_not_among_the_best() {
        let slots = [1, 2].map(|number| Slot {
            entry: Some(EntryId::new(number)),
            writes: 1,
        });
        let mut best = Best::new(2);
        best.offer(&[f32::NAN, -1.0], &slots);
        assert_eq!(best.into_sorted(), [(-1.0, EntryId::new(2))]);
    }
}
