//! Which weights of a layer are kept.

use std::ops::Range;

use serde::{Deserialize, Serialize};

use crate::HardwareError;

/// Which weights of a layer are kept; the others are absent, and a sparse array spends no cycle on them.
///
/// Groups lie along the reduction axis of one output channel, (input channel, tap) with the tap running fastest. They are
/// `group` consecutive weights; the last group of a channel may be shorter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Sparsity {
    /// Every weight is kept.
    #[default]
    Dense,
    /// N:M sparsity: each group of M weights keeps exactly N, and a last group of L < M weights keeps `ceil(L N / M)`.
    Balanced {
        /// N, from 1 to M.
        kept: usize,
        /// M, from 2 to 256.
        group: usize,
    },
    /// Any weights may be absent.
    Unstructured,
}

impl Sparsity {
    /// The most weights of a group.
    pub const LARGEST_GROUP: usize = 256;

    /// The groups of a reduction axis of `reduction` weights: the whole axis where nothing is balanced.
    pub(super) fn groups(self, reduction: usize) -> impl Iterator<Item = Range<usize>> {
        let group = self.group().unwrap_or(reduction).max(1);
        (0..reduction)
            .step_by(group)
            .map(move |start| start..(start + group).min(reduction))
    }

    /// Weights that a group of `length` keeps; `None` where the sparsity does not say.
    pub(super) fn kept_of(self, length: usize) -> Option<usize> {
        match self {
            Self::Dense => Some(length),
            Self::Balanced { kept, group } => Some(kept_of_group(kept, group, length)),
            Self::Unstructured => None,
        }
    }

    /// Keeps further weights of one output channel where a group keeps too few, the first ones of the group. Pruning by magnitude leaves
    /// such groups where weights are exactly zero. A group that keeps too many is left alone.
    pub fn complete(self, kept: &mut [bool]) {
        for group in self.groups(kept.len()) {
            let expected = self.kept_of(group.len()).unwrap_or(0);
            let found = kept[group.clone()].iter().filter(|kept| **kept).count();
            let absent = kept[group].iter_mut().filter(|kept| !**kept);
            let missing = expected.saturating_sub(found);
            absent.take(missing).for_each(|kept| *kept = true);
        }
    }

    /// This sparsity, or [`Self::Unstructured`] where a group of one of `rows`, one for each output channel, keeps another number of weights.
    #[must_use]
    pub fn fitting(self, rows: &[Vec<bool>]) -> Self {
        let mut rows = rows.iter().enumerate();
        match rows.all(|(output, row)| self.check_row(output, row).is_ok()) {
            true => self,
            false => Self::Unstructured,
        }
    }

    /// M of balanced sparsity.
    pub(super) fn group(self) -> Option<usize> {
        match self {
            Self::Balanced { group, .. } => Some(group),
            Self::Dense | Self::Unstructured => None,
        }
    }

    /// # Errors
    /// [`HardwareError::Limit`] for a group or a number of kept weights that cannot be.
    pub(super) fn check(self) -> Result<(), HardwareError> {
        let Self::Balanced { kept, group } = self else {
            return Ok(());
        };
        if !(2..=Self::LARGEST_GROUP).contains(&group) {
            return Err(HardwareError::limit(
                "sparsity.group",
                group,
                format!("2..={}", Self::LARGEST_GROUP),
                "use 4 (2:4) or 16 (8:16)",
            ));
        }
        if !(1..=group).contains(&kept) {
            return Err(HardwareError::limit(
                "sparsity.kept",
                kept,
                format!("1..={group}"),
                "keep at least one weight and at most all of a group",
            ));
        }
        Ok(())
    }

    /// Whether the row `kept` of one output channel is what the sparsity says.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for a group with another number of kept weights.
    pub(super) fn check_row(self, output: usize, kept: &[bool]) -> Result<(), HardwareError> {
        for (number, group) in self.groups(kept.len()).enumerate() {
            let found = kept[group.clone()].iter().filter(|kept| **kept).count();
            let Some(expected) = self.kept_of(group.len()) else {
                continue;
            };
            if found != expected {
                return Err(HardwareError::conflict(
                    format!(
                        "output {output} keeps {found} weights of group {number} ({} weights), its sparsity says {expected}",
                        group.len()
                    ),
                    "prune each group to that number, or call the sparsity unstructured",
                ));
            }
        }
        Ok(())
    }
}

/// Weights that a group of `length` keeps of `kept` in each `group`: of a shorter one the same share, rounded up.
pub(crate) fn kept_of_group(kept: usize, group: usize, length: usize) -> usize {
    (length * kept).div_ceil(group)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    const TWO_OF_FOUR: Sparsity = Sparsity::Balanced { kept: 2, group: 4 };

    #[test]
    fn the_last_group_is_shorter_and_keeps_its_part_rounded_up() {
        let groups: Vec<_> = TWO_OF_FOUR.groups(15).collect();
        assert_eq!(groups, [0..4, 4..8, 8..12, 12..15]);
        assert_eq!(TWO_OF_FOUR.kept_of(3), Some(2));
        let eight = Sparsity::Balanced { kept: 8, group: 16 };
        assert_eq!(eight.kept_of(6), Some(3));
        let whole: Vec<_> = Sparsity::Dense.groups(5).flatten().collect();
        assert_eq!(whole, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn rows_with_another_number_of_kept_weights_are_refused() {
        let row = [true, false, true, false, true, false];
        TWO_OF_FOUR.check_row(0, &row).unwrap();
        Sparsity::Unstructured.check_row(0, &row).unwrap();
        let message = Sparsity::Dense.check_row(3, &row).unwrap_err().to_string();
        assert!(
            message.starts_with("output 3 keeps 3 weights of group 0"),
            "{message}"
        );
        let row = [true, true, true, false, true, false];
        let message = TWO_OF_FOUR.check_row(1, &row).unwrap_err().to_string();
        assert!(
            message.contains("keeps 3 weights of group 0 (4 weights), its sparsity says 2"),
            "{message}"
        );
    }

    #[test]
    fn groups_that_keep_too_few_are_completed() {
        let mut row = [false, true, false, false, true, true, false, false, false];
        TWO_OF_FOUR.complete(&mut row);
        assert_eq!(
            row,
            [true, true, false, false, true, true, false, false, true]
        );
        TWO_OF_FOUR.check_row(0, &row).unwrap();
        let short = vec![false, true, false, false];
        assert_eq!(TWO_OF_FOUR.fitting(&[row.to_vec()]), TWO_OF_FOUR);
        assert_eq!(
            TWO_OF_FOUR.fitting(&[row.to_vec(), short]),
            Sparsity::Unstructured
        );
    }

    #[test]
    fn groups_that_cannot_be_are_refused() {
        for (kept, group, part) in [
            (1, 1, "sparsity.group = 1"),
            (1, 512, "sparsity.group = 512"),
            (0, 4, "sparsity.kept = 0"),
            (5, 4, "sparsity.kept = 5"),
        ] {
            let message = Sparsity::Balanced { kept, group }
                .check()
                .unwrap_err()
                .to_string();
            assert!(message.starts_with(part), "{message}");
        }
    }
}
