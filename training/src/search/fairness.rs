//! How differently a network serves groups of people, from what their items are taken for.
//!
//! [`CandidateTrials`](crate::CandidateTrials) counts by group where it is asked to.

use crossburn_noise::{Bootstrap, MeanInterval};

use crate::TrainingError;

/// What the items of one group are taken for: `counts[right][taken]`, as many rows as columns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupCounts {
    counts: Vec<Vec<u64>>,
}

/// How the rates of two groups differ, each a sum over the labels, one against the rest. Lower is fairer; none where a group has no item
/// that a rate needs.
///
/// ```text
/// eopp0         sum_c |TNR1 - TNR0|
/// eopp1         sum_c |TPR1 - TPR0|
/// eodd          sum_c |TPR1 - TPR0 + FPR1 - FPR0|      as published; its two differences can cancel
/// eodd_apart    sum_c (|TPR1 - TPR0| + |FPR1 - FPR0|)  cannot
/// ```
///
/// # Source
/// Public code on the fairness of skin lesion networks. FL-NAS (arXiv 2402.06696) names EODD, EOPP1 and EOPP2 without formulas: its EOPP1 is
/// taken for `eopp1` and its EOPP2 for `eopp0`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Equality {
    /// Difference of true negative rates.
    pub eopp0: f64,
    /// Difference of true positive rates.
    pub eopp1: f64,
    /// Difference of both rates, as published.
    pub eodd: f64,
    /// Difference of both rates, without cancelling.
    pub eodd_apart: f64,
}

impl GroupCounts {
    /// The counts of a group.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for counts that are not square, or of no label.
    pub fn new(counts: Vec<Vec<u64>>) -> Result<Self, TrainingError> {
        let labels = counts.len();
        if labels == 0 || counts.iter().any(|row| row.len() != labels) {
            return Err(TrainingError::data(
                "counts of a group",
                "they are not one row and one column for each label",
                "count every pair of labels",
            ));
        }
        Ok(Self { counts })
    }

    /// Items of the group.
    pub fn items(&self) -> u64 {
        self.counts.iter().flatten().sum()
    }

    /// Items that are taken for what they are.
    pub fn right(&self) -> u64 {
        let rows = self.counts.iter().enumerate();
        rows.map(|(label, row)| row[label]).sum()
    }

    /// True and false positive rate of a label against the rest.
    fn rates(&self, label: usize) -> Option<[f64; 2]> {
        let positives: u64 = self.counts[label].iter().sum();
        let taken: u64 = self.counts.iter().map(|row| row[label]).sum();
        let found = self.counts[label][label];
        let share = |part: u64, all: u64| (all > 0).then(|| part as f64 / all as f64);
        let negatives = self.items() - positives;
        Some([share(found, positives)?, share(taken - found, negatives)?])
    }
}

/// `U = sum_g |A_g - A|`: how far the share of right items of every group is from that of all items. None where a group is empty.
///
/// # Source
/// FaHaNa (Sheng et al., DAC 2022), which FL-NAS follows.
pub fn unfairness(groups: &[GroupCounts]) -> Option<f64> {
    let counted: Vec<[u64; 2]> = groups
        .iter()
        .map(|group| [group.right(), group.items()])
        .collect();
    unfairness_of(&counted)
}

/// The same of the right items and all items of every group.
fn unfairness_of(groups: &[[u64; 2]]) -> Option<f64> {
    let sum = |of: usize| groups.iter().map(|group| group[of]).sum::<u64>() as f64;
    let all = sum(0) / sum(1);
    let distance = |[right, items]: &[u64; 2]| {
        (*items > 0).then(|| (*right as f64 / *items as f64 - all).abs())
    };
    match groups.is_empty() {
        true => None,
        false => groups.iter().map(distance).sum(),
    }
}

/// What chips do with one item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ServedItem {
    /// The number of its group, from 0.
    pub group: usize,
    /// Chips that are right on it.
    pub right: u64,
}

/// An interval for [`unfairness`] from drawing the items anew, over groups that are numbered from 0 without gaps. It covers the choice of the
/// items. The `chips` that judged every item stay as they are. `None` where no sample of the items has every group.
///
/// # Errors
/// [`TrainingError::Noise`] for fewer than two items.
pub fn unfairness_interval(
    items: &[ServedItem],
    chips: u64,
    bootstrap: &Bootstrap,
) -> Result<Option<MeanInterval>, TrainingError> {
    let groups = items.iter().map(|item| item.group + 1).max().unwrap_or(0);
    let of_sample = |sample: &[usize]| {
        let mut counted = vec![[0; 2]; groups];
        for number in sample {
            let item = items[*number];
            counted[item.group][0] += item.right;
            counted[item.group][1] += chips;
        }
        unfairness_of(&counted)
    };
    Ok(bootstrap.interval(items.len(), &of_sample)?)
}

/// How the rates of two groups differ; none where a rate is not defined, or the groups have other labels.
pub fn equality(groups: [&GroupCounts; 2]) -> Option<Equality> {
    let labels = groups[0].counts.len();
    if labels != groups[1].counts.len() {
        return None;
    }
    let mut found = Equality {
        eopp0: 0.0,
        eopp1: 0.0,
        eodd: 0.0,
        eodd_apart: 0.0,
    };
    for label in 0..labels {
        let ([tpr0, fpr0], [tpr1, fpr1]) = (groups[0].rates(label)?, groups[1].rates(label)?);
        let (tpr, fpr) = (tpr1 - tpr0, fpr1 - fpr0);
        // TNR = 1 - FPR.
        found.eopp0 += fpr.abs();
        found.eopp1 += tpr.abs();
        found.eodd += (tpr + fpr).abs();
        found.eodd_apart += tpr.abs() + fpr.abs();
    }
    Some(found)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn counts<const N: usize>(rows: [[u64; N]; N]) -> GroupCounts {
        GroupCounts::new(rows.iter().map(|row| row.to_vec()).collect()).unwrap()
    }

    fn close(a: f64, b: f64) {
        assert!((a - b).abs() < 1e-12, "{a} {b}");
    }

    #[test]
    fn two_labels_by_hand() {
        // Group 0: 8 of 10 and 6 of 10 right. Group 1: 5 of 10 and 9 of 10.
        let (a, b) = (counts([[8, 2], [4, 6]]), counts([[5, 5], [1, 9]]));
        // Both groups have 14 of 20 right, as all have: a fair network by U, and none by the rates.
        close(unfairness(&[a.clone(), b.clone()]).unwrap(), 0.0);
        let found = equality([&a, &b]).unwrap();
        // Label 0: TPR 0.8 and 0.5, FPR 0.4 and 0.1. Label 1: TPR 0.6 and 0.9, FPR 0.2 and 0.5.
        close(found.eopp1, 0.3 + 0.3);
        close(found.eopp0, 0.3 + 0.3);
        close(found.eodd, 0.6 + 0.6);
        close(found.eodd_apart, 1.2);
    }

    #[test]
    fn the_published_odds_cancel_and_the_others_do_not() {
        // For either label, TPR rises by 0.2 and FPR falls by 0.2.
        let (a, b) = (counts([[6, 4], [4, 6]]), counts([[8, 2], [2, 8]]));
        let found = equality([&a, &b]).unwrap();
        close(found.eodd, 0.0);
        close(found.eodd_apart, 0.8);
        // 12 and 16 of 20 right, 28 of 40 in all.
        close(unfairness(&[a, b]).unwrap(), 0.1 + 0.1);
    }

    #[test]
    fn three_labels_and_three_groups_by_hand() {
        let a = counts([[2, 1, 1], [0, 4, 0], [1, 1, 2]]);
        let b = counts([[4, 0, 0], [2, 2, 0], [0, 0, 4]]);
        let found = equality([&a, &b]).unwrap();
        // TPR: 0.5, 1, 0.5 and 1, 0.5, 1. FPR of 8 others: 1/8, 2/8, 1/8 and 2/8, 0, 0.
        close(found.eopp1, 1.5);
        close(found.eopp0, 0.125 + 0.25 + 0.125);
        close(found.eodd, (0.5 + 0.125) + (0.5 + 0.25) + (0.5 - 0.125));
        close(found.eodd_apart, 2.0);
        let c = counts([[0, 4, 0], [0, 4, 0], [0, 4, 0]]);
        // 8, 10 and 4 of 12 right; 22 of 36 in all.
        let all = 22.0 / 36.0;
        let expected = (8.0 / 12.0 - all) + (10.0 / 12.0 - all) + (all - 4.0 / 12.0);
        close(unfairness(&[a, b, c]).unwrap(), expected);
    }

    #[test]
    fn the_interval_is_that_of_a_difference_of_two_shares() {
        // 400 items of group 0, 80 % of them right on both chips, and 400 of group 1, 60 %. Between two groups U is the difference of their shares.
        let items: Vec<ServedItem> = (0..800)
            .map(|item| ServedItem {
                group: item % 2,
                right: 2 * u64::from(item / 2 % 10 < [8, 6][item % 2]),
            })
            .collect();
        let found = unfairness_interval(&items, 2, &Bootstrap::default());
        let found = found.unwrap().unwrap();
        let half = 1.96 * ((0.8 * 0.2 + 0.6 * 0.4) / 400.0f64).sqrt();
        // A quantile of 2,000 samples at 2.5 % has a standard deviation of 3 % of half the interval. Four of them.
        assert!((found.low - (0.2 - half)).abs() < 0.12 * half, "{found:?}");
        assert!((found.high - (0.2 + half)).abs() < 0.12 * half, "{found:?}");
        unfairness_interval(&items[..1], 2, &Bootstrap::default()).unwrap_err();
    }

    #[test]
    fn what_is_not_defined_is_no_number() {
        let empty = counts([[0, 0], [0, 0]]);
        let one_label = counts([[3, 1], [0, 0]]);
        let whole = counts([[3, 1], [1, 3]]);
        assert_eq!(unfairness(&[whole.clone(), empty]), None);
        assert_eq!(unfairness(&[]), None);
        assert_eq!(equality([&whole, &one_label]), None);
        assert_eq!(equality([&whole, &counts([[1]])]), None);
        GroupCounts::new(vec![vec![1, 2], vec![3]]).unwrap_err();
        GroupCounts::new(Vec::new()).unwrap_err();
    }
}
