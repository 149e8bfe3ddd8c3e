//! Which samples of one set are its test samples.

use std::collections::BTreeMap;

use crossburn_noise::{Philox, path_hash};

/// How a set is split.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Split {
    /// The share of test samples, above 0 and below 1.
    pub(super) test_share: f64,
    /// Which samples they are, and in which order all samples stand.
    pub(super) seed: u64,
}

impl Split {
    /// The numbers of training and of test samples of a set, each in random order.
    ///
    /// Every class has the same share of test samples, as nearly as whole samples allow, and keeps a training sample. All
    /// samples of a group are on one side.
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
        let tested = match groups {
            Some(groups) => self.groups(&order, labels, &counts, groups),
            None => self.singles(&order, labels, &counts),
        };
        order.into_iter().partition(|index| !tested[*index])
    }

    /// Whether each sample is a test sample, class by class.
    fn singles(&self, order: &[usize], labels: &[u16], counts: &[usize]) -> Vec<bool> {
        // What rounding gives or takes passes on to the next class.
        let (mut seen, mut taken) = (0, 0);
        let mut left: Vec<usize> = Vec::with_capacity(counts.len());
        for count in counts {
            seen += count;
            let due = (self.test_share * seen as f64).round() as usize;
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

    /// Whether each sample is a test sample: a group is, where that brings the numbers of test samples per class nearer to
    /// their shares, by the sum of squared distances.
    fn groups(
        &self,
        order: &[usize],
        labels: &[u16],
        counts: &[usize],
        groups: &[String],
    ) -> Vec<bool> {
        let mut members: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        let mut names = Vec::new();
        for index in order {
            let group = groups[*index].as_str();
            let members = members.entry(group).or_default();
            if members.is_empty() {
                names.push(group);
            }
            members.push(*index);
        }
        let mut in_test = vec![0usize; counts.len()];
        let mut tested = vec![false; labels.len()];
        for name in names {
            let mut of_class: BTreeMap<usize, usize> = BTreeMap::new();
            for index in &members[name] {
                *of_class.entry(usize::from(labels[*index])).or_default() += 1;
            }
            let nearer: f64 = of_class
                .iter()
                .map(|(&class, &more)| {
                    let share = self.test_share * counts[class] as f64;
                    let distance = |count: usize| (count as f64 - share).powi(2);
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
                for index in &members[name] {
                    tested[*index] = true;
                }
            }
        }
        tested
    }
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
        test_share: 0.2,
        seed: 0,
    };

    /// Numbers of samples of each class.
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
        // The last training samples, which validate, are of several classes.
        assert!(
            counts(&train[60..], &labels, 3)
                .iter()
                .all(|count| *count > 0)
        );
    }

    #[test]
    fn small_classes_share_what_rounding_leaves() {
        // A thousand classes of two samples: 400 of the 2,000 samples are test samples, none empties a class.
        let labels: Vec<u16> = (0..2000).map(|i| i / 2).collect();
        let (train, test) = FIFTH.parts(&labels, 1000, None);
        assert_eq!(test.len(), 400);
        assert!(counts(&train, &labels, 1000).iter().all(|count| *count > 0));
        // A class of one sample trains.
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
            // At most a group of 14 samples away from a fifth.
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
    fn orders_are_permutations_that_the_seed_draws() {
        let mut first = order(1000, 1);
        assert_ne!(first, order(1000, 2));
        assert_eq!(first, order(1000, 1));
        first.sort_unstable();
        assert_eq!(first, (0..1000).collect::<Vec<_>>());
        assert!(order(0, 1).is_empty());
    }
}
