//! The classes of a data set, and the number of each label among them.

use std::collections::{BTreeSet, HashMap};

use crate::TrainingError;

/// The largest number of classes: labels have 16 bits, and the number of classes has 16 bits too.
pub(super) const MOST_CLASSES: usize = u16::MAX as usize;

/// Labels as they were read.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Labels {
    /// Numbers of classes, below [`MOST_CLASSES`].
    Numbers(Vec<u16>),
    /// Names of classes.
    Names(Vec<String>),
}

impl Labels {
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Numbers(labels) => labels.len(),
            Self::Names(labels) => labels.len(),
        }
    }

    /// These labels, followed by `other`.
    ///
    /// # Errors
    /// If one has names and the other has numbers.
    pub(super) fn append(self, other: Self, place: &str) -> Result<Self, TrainingError> {
        match (self, other) {
            (Self::Numbers(mut labels), Self::Numbers(other)) => {
                labels.extend(other);
                Ok(Self::Numbers(labels))
            }
            (Self::Names(mut labels), Self::Names(other)) => {
                labels.extend(other);
                Ok(Self::Names(labels))
            }
            _ => Err(mixed(place)),
        }
    }
}

fn mixed(place: &str) -> TrainingError {
    TrainingError::data(
        place,
        "some labels are numbers and others are names",
        "use one of both in all parts",
    )
}

/// The classes of a data set.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ClassList {
    /// Number of classes.
    pub(super) classes: usize,
    /// Their names in the order of their numbers; empty if classes have no names besides their numbers.
    pub(super) names: Vec<String>,
}

impl ClassList {
    /// The classes of a set that consists of `parts` and was read from `place`.
    ///
    /// Numbers must count from 0 without gaps. Names are sorted, by value if all are whole numbers. Names that are the whole numbers from 0 on,
    /// without gaps, count as numbers.
    ///
    /// # Errors
    /// No labels, numbers with gaps, numbers beside names, or too many classes.
    pub(super) fn new(parts: &[&Labels], place: &str) -> Result<Self, TrainingError> {
        let numbers = parts.iter().map(|labels| match labels {
            Labels::Numbers(labels) => Some(labels.as_slice()),
            Labels::Names(_) => None,
        });
        let names = parts.iter().map(|labels| match labels {
            Labels::Numbers(_) => None,
            Labels::Names(labels) => Some(labels.as_slice()),
        });
        if let Some(numbers) = numbers.collect::<Option<Vec<_>>>() {
            return Self::of_numbers(&numbers, place);
        }
        match names.collect::<Option<Vec<_>>>() {
            Some(names) => Self::of_names(&names, place),
            None => Err(mixed(place)),
        }
    }

    fn of_numbers(parts: &[&[u16]], place: &str) -> Result<Self, TrainingError> {
        let mut seen = vec![false; MOST_CLASSES];
        for label in parts.iter().copied().flatten() {
            seen[usize::from(*label)] = true;
        }
        let Some(last) = seen.iter().rposition(|seen| *seen) else {
            return Err(TrainingError::data(
                place,
                "it holds no labels",
                "name another file",
            ));
        };
        if let Some(empty) = seen[..last].iter().position(|seen| !*seen) {
            return Err(TrainingError::data(
                place,
                format!("no sample has label {empty}, but there are labels up to {last}"),
                "number the classes from 0 without gaps",
            ));
        }
        Ok(Self {
            classes: last + 1,
            names: Vec::new(),
        })
    }

    fn of_names(parts: &[&[String]], place: &str) -> Result<Self, TrainingError> {
        let distinct: BTreeSet<&str> = parts
            .iter()
            .copied()
            .flatten()
            .map(String::as_str)
            .collect();
        if distinct.is_empty() {
            return Err(TrainingError::data(
                place,
                "it holds no labels",
                "name another file",
            ));
        }
        if distinct.len() > MOST_CLASSES {
            return Err(TrainingError::data(
                place,
                format!("it has {} different labels", distinct.len()),
                format!("use at most {MOST_CLASSES} classes"),
            ));
        }
        let names = sorted(distinct.into_iter().map(String::from).collect());
        let counts = names
            .iter()
            .enumerate()
            .all(|(number, name)| *name == number.to_string());
        Ok(Self {
            classes: names.len(),
            names: if counts { Vec::new() } else { names },
        })
    }

    /// The number of the class of every sample. `labels` must be one of the parts that this was made from.
    pub(super) fn numbers(&self, labels: Labels) -> Vec<u16> {
        match labels {
            Labels::Numbers(labels) => labels,
            Labels::Names(labels) => {
                let counted: Vec<String>;
                let names = match self.names.is_empty() {
                    true => {
                        counted = (0..self.classes).map(|class| class.to_string()).collect();
                        &counted
                    }
                    false => &self.names,
                };
                let number = |(number, name): (usize, &String)| (name.clone(), number as u16);
                let numbers: HashMap<String, u16> = names.iter().enumerate().map(number).collect();
                labels.iter().map(|name| numbers[name]).collect()
            }
        }
    }
}

/// Sorts `names`: by value if all are whole numbers, otherwise by letters.
pub(super) fn sorted(mut names: Vec<String>) -> Vec<String> {
    let value = |name: &String| name.parse::<i64>().ok();
    match names.iter().all(|name| value(name).is_some()) {
        true => names.sort_by_key(|name| (value(name), name.clone())),
        false => names.sort(),
    }
    names
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Labels {
        Labels::Names(names.iter().map(ToString::to_string).collect())
    }

    fn list(parts: &[&Labels]) -> Result<ClassList, TrainingError> {
        ClassList::new(parts, "set.npz")
    }

    #[test]
    fn names_are_sorted_over_all_parts_and_numbers_keep_their_value() {
        for (train, test, expected, numbers) in [
            // By letters.
            (
                &["b", "a", "b"][..],
                &["c"][..],
                &["a", "b", "c"][..],
                &[1, 0, 1][..],
            ),
            // By value: by letters, "10" would come before "9".
            (&["10", "9"], &["-1"], &["-1", "9", "10"], &[2, 1]),
            // Numbers from 0 without gaps have no other names.
            (&["2", "0"], &["1"], &[], &[2, 0]),
            (&["2", "1"], &["3"], &["1", "2", "3"], &[1, 0]),
            // `00` is a name.
            (&["00", "1"], &["1"], &["00", "1"], &[0, 1]),
        ] {
            let (train, test) = (names(train), names(test));
            let list = list(&[&train, &test]).unwrap();
            assert_eq!(list.names, expected);
            assert_eq!(list.numbers(train), numbers);
        }
        let numbers = Labels::Numbers(vec![1, 0, 2]);
        let all = list(&[&numbers]).unwrap();
        assert_eq!((all.classes, all.names.len()), (3, 0));
        assert_eq!(all.numbers(numbers), [1, 0, 2]);
    }

    #[test]
    fn labels_that_make_no_classes_are_refused() {
        for (parts, part) in [
            (
                vec![Labels::Numbers(vec![0, 1, 3])],
                "set.npz: no sample has label 2, but there are labels up to 3; number the classes from 0 without gaps",
            ),
            (vec![Labels::Numbers(vec![1, 2])], "no sample has label 0"),
            (vec![Labels::Numbers(vec![])], "it holds no labels"),
            (vec![names(&[])], "it holds no labels"),
            (
                vec![names(&["a"]), Labels::Numbers(vec![0])],
                "some labels are numbers and others are names",
            ),
        ] {
            let parts: Vec<&Labels> = parts.iter().collect();
            let message = list(&parts).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn there_may_be_65535_classes_and_no_more() {
        let all = |count: usize| Labels::Names((0..count).map(|i| format!("c{i}")).collect());
        assert_eq!(list(&[&all(65_535)]).unwrap().classes, 65_535);
        let message = list(&[&all(65_536)]).unwrap_err().to_string();
        assert!(
            message.contains("65536 different labels; use at most 65535 classes"),
            "{message}"
        );
        let numbers = Labels::Numbers((0..65_535).collect());
        assert_eq!(list(&[&numbers]).unwrap().classes, 65_535);
    }

    #[test]
    fn parts_of_labels_join_where_they_are_of_one_kind() {
        let joined = names(&["a"]).append(names(&["b"]), "x").unwrap();
        assert_eq!(joined, names(&["a", "b"]));
        let joined = Labels::Numbers(vec![1])
            .append(Labels::Numbers(vec![0]), "x")
            .unwrap();
        assert_eq!((joined.len(), joined), (2, Labels::Numbers(vec![1, 0])));
        assert!(names(&["a"]).append(Labels::Numbers(vec![0]), "x").is_err());
    }
}
