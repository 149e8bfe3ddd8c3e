//! Splits one set into training and test samples.

use std::collections::BTreeMap;

use crossburn_noise::{Philox, path_hash};

use super::Origins;
use super::options::Options;
use crate::TrainingError;

/// Options of the split.
pub(super) const OPTIONS: &[&str] = &["test_share", "split_seed", "folds", "fold"];

/// How a set is split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    /// Which samples are test samples.
    pub(super) tests: Tests,
    /// Seed of the choice of test samples, and of the order of all samples.
    pub(super) seed: u64,
}

/// Which samples of a set are its test samples.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tests {
    /// This share of the samples, above 0 and below 1.
    Share(f64),
    /// One of several folds. Each fold has about as many samples of every class.
    Fold { number: usize, of: usize },
}

impl Split {
    /// Reads the options.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] for a value that cannot be used.
    pub(super) fn new(options: &Options) -> Result<Self, TrainingError> {
        let share = options.number("test_share", "a number above 0 and below 1", |share| {
            *share > 0.0 && *share < 1.0
        })?;
        let seed = options.number("split_seed", "a whole number from 0", |_| true)?;
        let folds = options.number("folds", "a whole number from 2", |folds| *folds >= 2)?;
        let tests = match folds {
            None if options.get("fold").is_some() => {
                return Err(options.refuse("folds and fold go together: give both".to_string()));
            }
            None => Tests::Share(share.unwrap_or(0.2)),
            Some(of) => {
                options.exclude(&["test_share"], "folds")?;
                let what = format!("0 to {}", of - 1);
                let number = options.number("fold", &what, |number| *number < of)?;
                let number = number.ok_or_else(|| {
                    options.refuse(format!("folds and fold go together: add fold={what}"))
                })?;
                Tests::Fold { number, of }
            }
        };
        Ok(Self {
            tests,
            seed: seed.unwrap_or(0),
        })
    }

    /// The indices of training and of test samples, each in random order.
    ///
    /// Every class has the same share of test samples, as closely as whole samples allow. If a share is asked for, every class keeps at least one
    /// training sample. All samples of a group are on one side.
    pub(super) fn parts(
        &self,
        labels: &[u16],
        classes: usize,
        groups: Option<&[String]>,
    ) -> (Vec<usize>, Vec<usize>) {
        let order = order(labels.len(), self.seed);
        let mut counts = vec![0usize; classes];
        for label in labels {
            counts[usize::from(*label)] += 1;
        }
        let tested = match (self.tests, groups) {
            (Tests::Share(share), Some(groups)) => {
                of_groups(share, &order, labels, &counts, groups)
            }
            (Tests::Share(share), None) => of_singles(share, &order, labels, &counts),
            (Tests::Fold { number, of }, groups) => {
                let folds = match groups {
                    Some(groups) => folds_of_groups(of, &order, labels, &counts, groups),
                    None => folds_of_singles(of, &order, labels, classes),
                };
                folds.into_iter().map(|fold| fold == number).collect()
            }
        };
        order.into_iter().partition(|index| !tested[*index])
    }
}

impl Split {
    /// The indices of training and of test samples, where no group, such as a patient, is on both sides. The groups of each side are in random
    /// order, the samples of a group in the order of their recording. The last training samples, which are used for validation, are therefore of
    /// other groups than the first.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names `place`, if there are too few patients.
    pub(super) fn by_patient(
        &self,
        place: &str,
        labels: &[u16],
        classes: usize,
        patients: &[String],
        origins: &Origins,
    ) -> Result<(Vec<usize>, Vec<usize>), TrainingError> {
        let (mut train, mut test) = self.parts(labels, classes, Some(patients));
        if train.is_empty() || test.is_empty() {
            return Err(TrainingError::data(
                place,
                "its patients are too few to split off test samples",
                "use another test_share or fewer folds, or add patients",
            ));
        }
        for part in [&mut train, &mut test] {
            by_group(part, Some(origins));
        }
        Ok((train, test))
    }
}

/// Whether each sample is a test sample, class by class.
fn of_singles(share: f64, order: &[usize], labels: &[u16], counts: &[usize]) -> Vec<bool> {
    // The error of rounding is carried over to the next class.
    let (mut seen, mut taken) = (0, 0);
    let mut left: Vec<usize> = Vec::with_capacity(counts.len());
    for count in counts {
        seen += count;
        let due = (share * seen as f64).round() as usize;
        let take = due.saturating_sub(taken).min(count.saturating_sub(1));
        taken += take;
        left.push(take);
    }
    let mut tested = vec![false; labels.len()];
    for index in order {
        let left = &mut left[usize::from(labels[*index])];
        if *left > 0 {
            *left -= 1;
            tested[*index] = true;
        }
    }
    tested
}

/// Whether each sample is a test sample. A group is tested if that brings the numbers of test samples per class closer to their shares, by the
/// sum of squared distances.
fn of_groups(
    share: f64,
    order: &[usize],
    labels: &[u16],
    counts: &[usize],
    groups: &[String],
) -> Vec<bool> {
    let mut in_test = vec![0usize; counts.len()];
    let mut tested = vec![false; labels.len()];
    for members in members(order, groups) {
        let of_class = of_class(&members, labels);
        let nearer: f64 = of_class
            .iter()
            .map(|(&class, &more)| {
                let due = share * counts[class] as f64;
                let distance = |count: usize| (count as f64 - due).powi(2);
                distance(in_test[class]) - distance(in_test[class] + more)
            })
            .sum();
        let leaves_some = of_class
            .iter()
            .all(|(&class, &more)| in_test[class] + more < counts[class]);
        if nearer > 0.0 && leaves_some {
            for (class, more) in of_class {
                in_test[class] += more;
            }
            for index in members {
                tested[index] = true;
            }
        }
    }
    tested
}

/// The fold of each sample. Within a class, samples go to the folds in turn.
fn folds_of_singles(folds: usize, order: &[usize], labels: &[u16], classes: usize) -> Vec<usize> {
    let mut by_class = vec![Vec::new(); classes];
    for index in order {
        by_class[usize::from(labels[*index])].push(*index);
    }
    let mut fold = vec![0; labels.len()];
    for (turn, index) in by_class.into_iter().flatten().enumerate() {
        fold[index] = turn % folds;
    }
    fold
}

/// The fold of each sample. The largest groups go first. Each goes to the fold that it brings closest to its share of every class, by the sum of
/// squared distances.
fn folds_of_groups(
    folds: usize,
    order: &[usize],
    labels: &[u16],
    counts: &[usize],
    groups: &[String],
) -> Vec<usize> {
    let mut groups = members(order, groups);
    groups.sort_by_key(|members| std::cmp::Reverse(members.len()));
    let mut held = vec![vec![0usize; counts.len()]; folds];
    let mut fold = vec![0; labels.len()];
    for members in groups {
        let of_class = of_class(&members, labels);
        let gap = |held: &[usize]| -> f64 {
            let gaps = of_class.iter().map(|(&class, &more)| {
                let due = counts[class] as f64 / folds as f64;
                let distance = |count: usize| (count as f64 - due).powi(2);
                distance(held[class] + more) - distance(held[class])
            });
            gaps.sum()
        };
        let gaps: Vec<f64> = held.iter().map(|held| gap(held)).collect();
        let nearest = (0..folds).min_by(|a, b| gaps[*a].total_cmp(&gaps[*b]));
        let nearest = nearest.unwrap_or_default();
        for (class, more) in of_class {
            held[nearest][class] += more;
        }
        for index in members {
            fold[index] = nearest;
        }
    }
    fold
}

/// The samples of each group. Groups and samples are in the order in which they occur in `order`.
fn members(order: &[usize], groups: &[String]) -> Vec<Vec<usize>> {
    let mut turns: BTreeMap<&str, usize> = BTreeMap::new();
    let mut members: Vec<Vec<usize>> = Vec::new();
    for index in order {
        let turn = *turns.entry(groups[*index].as_str()).or_insert_with(|| {
            members.push(Vec::new());
            members.len() - 1
        });
        members[turn].push(*index);
    }
    members
}

/// The number of samples of each class among `members`.
fn of_class(members: &[usize], labels: &[u16]) -> BTreeMap<usize, usize> {
    let mut of_class = BTreeMap::new();
    for index in members {
        *of_class.entry(usize::from(labels[*index])).or_default() += 1;
    }
    of_class
}

/// Puts the samples of each group together. Groups are in the order in which they occur in `indices`, samples of a group in the order of their
/// recording. Without origins nothing changes.
pub(super) fn by_group(indices: &mut [usize], origins: Option<&Origins>) {
    let Some(origins) = origins else {
        return;
    };
    let group = |index: &usize| origins.samples[*index].group as usize;
    let mut turns = vec![usize::MAX; origins.groups.len()];
    for (turn, index) in indices.iter().enumerate() {
        let first = &mut turns[group(index)];
        *first = turn.min(*first);
    }
    indices.sort_by_key(|index| (turns[group(index)], *index));
}

/// The numbers below `count` in random order.
pub(super) fn order(count: usize, seed: u64) -> Vec<usize> {
    let draws = Philox::new(seed, path_hash("order of samples"));
    let mut order: Vec<usize> = (0..count).collect();
    for last in (1..count).rev() {
        let other = draws.below(last as u64, (last + 1).min(u32::MAX as usize) as u32) as usize;
        order.swap(last, other);
    }
    order
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIFTH: Split = Split {
        tests: Tests::Share(0.2),
        seed: 0,
    };

    /// The number of samples of each class among `indices`.
    fn counts(indices: &[usize], labels: &[u16], classes: usize) -> Vec<usize> {
        let of = |class| {
            indices
                .iter()
                .filter(|i| usize::from(labels[**i]) == class)
                .count()
        };
        (0..classes).map(of).collect()
    }

    #[test]
    fn every_sample_is_on_one_side_and_every_class_has_its_share() {
        // 50, 30 and 20 samples, sorted by class.
        let labels: Vec<u16> = [vec![0; 50], vec![1; 30], vec![2; 20]].concat();
        let (train, test) = FIFTH.parts(&labels, 3, None);
        assert_eq!(counts(&test, &labels, 3), [10, 6, 4]);
        let mut all = [train.clone(), test].concat();
        all.sort_unstable();
        assert_eq!(all, (0..100).collect::<Vec<_>>());
        // The last training samples, which are used for validation, are of several classes.
        assert!(
            counts(&train[60..], &labels, 3)
                .iter()
                .all(|count| *count > 0)
        );
    }

    #[test]
    fn small_classes_share_what_rounding_leaves() {
        // A thousand classes of two samples: 400 of 2,000 samples are tested, and every class keeps a training sample.
        let labels: Vec<u16> = (0..2000).map(|i| i / 2).collect();
        let (train, test) = FIFTH.parts(&labels, 1000, None);
        assert_eq!(test.len(), 400);
        assert!(counts(&train, &labels, 1000).iter().all(|count| *count > 0));
        // The class with one sample is not tested.
        let (train, test) = FIFTH.parts(&[0, 0, 0, 0, 1], 2, None);
        assert_eq!((test.len(), train.contains(&4)), (1, true));
    }

    #[test]
    fn another_seed_takes_other_samples_and_the_same_seed_the_same() {
        let labels = vec![0; 100];
        let with = |seed| Split { seed, ..FIFTH }.parts(&labels, 1, None);
        assert_eq!(with(0), with(0));
        assert_ne!(with(0), with(1));
    }

    #[test]
    fn no_group_is_on_both_sides_and_classes_have_about_their_share() {
        // Forty patients of 5 to 14 samples; odd patients have class 1 in every third sample.
        let (mut labels, mut groups) = (Vec::new(), Vec::new());
        for patient in 0..40usize {
            for sample in 0..5 + patient * 7 % 10 {
                labels.push(u16::from(patient % 2 == 1 && sample % 3 == 0));
                groups.push(format!("p{patient}"));
            }
        }
        let (train, test) = FIFTH.parts(&labels, 2, Some(&groups));
        assert!(
            train
                .iter()
                .all(|i| test.iter().all(|j| groups[*i] != groups[*j]))
        );
        assert_eq!(train.len() + test.len(), labels.len());
        let all: Vec<usize> = (0..labels.len()).collect();
        let (all, test) = (counts(&all, &labels, 2), counts(&test, &labels, 2));
        for class in 0..2 {
            // A group of at most 14 samples may be too many or too few for a fifth.
            let share = all[class] as f64 / 5.0;
            assert!(
                (test[class] as f64 - share).abs() < 14.0,
                "{all:?} {test:?}"
            );
        }
    }

    #[test]
    fn a_class_of_one_group_trains() {
        let labels = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 1];
        let groups = ["a", "b", "c", "d", "e", "f", "g", "h", "i", "j", "k", "k"].map(String::from);
        for seed in 0..20 {
            let split = Split { seed, ..FIFTH };
            let (train, test) = split.parts(&labels, 2, Some(&groups));
            assert_eq!(
                (test.len(), train.contains(&10), train.contains(&11)),
                (2, true, true)
            );
        }
    }

    #[test]
    fn folds_hold_every_sample_once_and_every_class_alike() {
        let labels: Vec<u16> = [vec![0; 50], vec![1; 31], vec![2; 20]].concat();
        let mut tested = Vec::new();
        for number in 0..5 {
            let tests = Tests::Fold { number, of: 5 };
            let (train, test) = Split { tests, seed: 3 }.parts(&labels, 3, None);
            assert_eq!(train.len() + test.len(), 101);
            let found = counts(&test, &labels, 3);
            for (class, due) in [(0, 10), (1, 6), (2, 4)] {
                assert!(found[class].abs_diff(due) <= 1, "{found:?}");
            }
            tested.extend(test);
        }
        tested.sort_unstable();
        assert_eq!(tested, (0..101).collect::<Vec<_>>());
    }

    #[test]
    fn orders_are_permutations_that_the_seed_draws() {
        let mut first = order(1000, 1);
        assert_ne!(first, order(1000, 2));
        assert_eq!(first, order(1000, 1));
        first.sort_unstable();
        assert_eq!(first, (0..1000).collect::<Vec<_>>());
        assert!(order(0, 1).is_empty());
    }
}
