//! From the content of a source to training and test samples: classes, split, order and normalization.

use std::collections::HashSet;

use super::class_list::{ClassList, Labels};
use super::options::Options;
use super::samples::{Normalization, Samples};
use super::split::{Split, by_group, order};
use super::statistics::{Scale, normalization};
use super::streamed::Streamed;
use super::{DataSplit, Origins, Values, layout::Arranged};
use crate::TrainingError;

/// Options of every source that is prepared here.
pub(super) const OPTIONS: &[&str] = &["test_share", "split_seed", "folds", "fold", "mean", "std"];

/// Options that set the normalization.
pub(super) const NORMALIZATION: &[&str] = &["mean", "std"];

/// The normalization that the options set.
///
/// # Errors
/// [`TrainingError::SourceOption`] for unusable numbers, and if only one of the two options is given.
pub(super) fn asked_normalization(
    options: &Options,
) -> Result<Option<Normalization>, TrainingError> {
    let what = "one number for each channel, with commas";
    let mean = options.numbers("mean", what, |_| true)?;
    let std = options.numbers("std", &format!("{what}, all above 0"), |std| *std > 0.0)?;
    match (mean, std) {
        (Some(mean), Some(std)) if mean.len() == std.len() => Ok(Some(Normalization { mean, std })),
        (None, None) => Ok(None),
        _ => {
            let problem = "mean and std go together: give as many numbers to each";
            Err(options.refuse(problem.to_string()))
        }
    }
}

/// Samples as they were read from a source.
#[derive(Debug)]
pub(super) struct Collection {
    pub(super) samples: Arranged,
    pub(super) labels: Labels,
    /// The group of every sample, such as a patient. No group may be on both sides of a split.
    pub(super) groups: Option<Vec<String>>,
    /// Where they were read, for messages.
    pub(super) place: String,
}

impl Collection {
    /// Refuses a number of labels that differs from the number of samples.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names `labels_place`, where the labels were read.
    pub(super) fn check(self, labels_place: &str) -> Result<Self, TrainingError> {
        let (labels, samples) = (self.labels.len(), self.samples.count);
        match labels == samples {
            true => Ok(self),
            false => Err(TrainingError::data(
                labels_place,
                format!(
                    "it has {labels} labels for the {samples} samples of {}",
                    self.place
                ),
                "give one label to every sample",
            )),
        }
    }

    /// These samples, followed by `other`.
    ///
    /// # Errors
    /// If samples have other shapes or types, or labels are of another kind.
    pub(super) fn append(self, other: Self) -> Result<Self, TrainingError> {
        same_shape(&self, &other)?;
        let len = self.samples.shape.iter().product();
        let values = match (self.samples.values, other.samples.values) {
            (Values::Bytes(mut values), Values::Bytes(more)) => {
                values.extend(more);
                Values::Bytes(values)
            }
            (Values::Floats(mut values), Values::Floats(more)) => {
                values.extend(more);
                Values::Floats(values)
            }
            (values, more) => {
                Values::Streamed(Streamed::of(values, len).append(Streamed::of(more, len)))
            }
        };
        Ok(Self {
            samples: Arranged {
                values,
                count: self.samples.count + other.samples.count,
                ..self.samples
            },
            labels: self.labels.append(other.labels, &other.place)?,
            groups: None,
            place: self.place,
        })
    }
}

/// The samples of a source, before preparation.
#[derive(Debug)]
pub(super) enum Parts {
    /// Training samples, and test samples.
    Apart(Collection, Collection),
    /// All samples. They are split here.
    Together(Collection),
}

/// The settings from the options.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Preparation {
    split: Split,
    normalization: Option<Normalization>,
}

impl Preparation {
    /// Reads the options.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`] for a value that cannot be used.
    pub(super) fn new(options: &Options) -> Result<Self, TrainingError> {
        Ok(Self {
            split: Split::new(options)?,
            normalization: asked_normalization(options)?,
        })
    }

    /// Whether the options set a normalization.
    pub(super) fn normalizes(&self) -> bool {
        self.normalization.is_some()
    }

    /// Training and test samples from the content of the source at `place`.
    ///
    /// If a part is sorted by its labels, it is put in random order; otherwise its first or last samples would be of one class. Other parts that
    /// the source separates keep their order. If samples have groups, the samples of a group stand together, so that the last training samples,
    /// which are used for validation, can be of other groups than the first.
    ///
    /// # Errors
    /// [`TrainingError::Data`] if the parts have different shapes, labels make no classes, a class has no training sample, there are too few samples
    /// to split, or the number of means is not that of channels.
    pub(super) fn prepare(&self, place: &str, parts: Parts) -> Result<DataSplit, TrainingError> {
        let (train, test) = match parts {
            Parts::Apart(train, test) => {
                same_shape(&train, &test)?;
                no_shared_group(&train, &test)?;
                let classes = ClassList::new(&[&train.labels, &test.labels], place)?;
                let (train, test) = (labelled(train, &classes), labelled(test, &classes));
                (self.mixed(train), self.mixed(test))
            }
            Parts::Together(all) => {
                let classes = ClassList::new(&[&all.labels], place)?;
                let groups = all.groups.clone();
                let all = labelled(all, &classes);
                let (mut train, mut test) =
                    self.split
                        .parts(&all.set.labels, classes.classes, groups.as_deref());
                if test.is_empty() || train.is_empty() {
                    let what = match groups {
                        Some(_) => "groups",
                        None => "samples",
                    };
                    return Err(TrainingError::data(
                        place,
                        format!("its {what} are too few to split off test samples"),
                        "use another test_share, or give test samples of their own",
                    ));
                }
                for part in [&mut train, &mut test] {
                    by_group(part, all.set.origins.as_ref());
                }
                (all.gather(&train), all.gather(&test))
            }
        };
        let (mut train_set, mut test_set) = (train.set, test.set);
        let mut trained = vec![false; train_set.classes];
        train_set
            .labels
            .iter()
            .for_each(|label| trained[usize::from(*label)] = true);
        if let Some(class) = trained.iter().position(|trained| !*trained) {
            return Err(TrainingError::data(
                place,
                format!(
                    "class {} has no training sample",
                    train_set.class_name(class)
                ),
                "add some, or leave the class out",
            ));
        }
        let normalization = match &self.normalization {
            Some(given) if given.mean.len() != train_set.shape[0] => {
                return Err(TrainingError::data(
                    place,
                    format!(
                        "mean and std have {} numbers for {} channels",
                        given.mean.len(),
                        train_set.shape[0]
                    ),
                    "give one number for each channel",
                ));
            }
            Some(given) => given.clone(),
            None => normalization(&train_set.values, train_set.shape, train.scale),
        };
        train_set.normalization = normalization.clone();
        test_set.normalization = normalization;
        Ok(DataSplit {
            train: train_set,
            test: test_set,
        })
    }

    fn mixed(&self, part: Labelled) -> Labelled {
        let labels = &part.set.labels;
        let mut indices = match labels.is_sorted() && labels.first() != labels.last() {
            true => order(labels.len(), self.split.seed),
            false => (0..labels.len()).collect(),
        };
        by_group(&mut indices, part.set.origins.as_ref());
        match indices.is_sorted() {
            true => part,
            false => part.gather(&indices),
        }
    }
}

/// Samples before normalization.
struct Labelled {
    set: Samples,
    scale: Scale,
}

impl Labelled {
    fn gather(&self, indices: &[usize]) -> Self {
        let set = self.set.gather(indices);
        Self {
            set,
            scale: self.scale,
        }
    }
}

fn labelled(collection: Collection, classes: &ClassList) -> Labelled {
    let Arranged {
        values,
        shape,
        scale,
        ..
    } = collection.samples;
    let labels = classes.numbers(collection.labels);
    let groups = collection.groups.as_ref().map(|groups| {
        // Adjacent rows of one group and one label count as recorded one after the other.
        let groups = groups.iter().map(String::as_str);
        Origins::in_order(groups.zip(&labels))
    });
    Labelled {
        set: Samples {
            shape,
            values,
            origins: groups,
            masks: None,
            labels,
            classes: classes.classes,
            class_names: classes.names.clone(),
            normalization: Normalization {
                mean: Vec::new(),
                std: Vec::new(),
            },
        },
        scale,
    }
}

fn same_shape(first: &Collection, second: &Collection) -> Result<(), TrainingError> {
    let bytes = |part: &Collection| part.samples.values.are_bytes();
    if bytes(first) != bytes(second) {
        return Err(other_type(&second.place, &first.place));
    }
    let ([c, h, w], [c2, h2, w2]) = (first.samples.shape, second.samples.shape);
    match (c, h, w) == (c2, h2, w2) {
        true => Ok(()),
        false => Err(TrainingError::data(
            &second.place,
            format!(
                "its samples are {c2} x {h2} x {w2} (channels, height, width), those of {} {c} x {h} x {w}",
                first.place
            ),
            "give all samples one shape",
        )),
    }
}

/// Refuses a group that has both training and test samples.
fn no_shared_group(train: &Collection, test: &Collection) -> Result<(), TrainingError> {
    let (Some(trained), Some(tested)) = (&train.groups, &test.groups) else {
        return Ok(());
    };
    let trained: HashSet<&String> = trained.iter().collect();
    match tested.iter().find(|group| trained.contains(group)) {
        Some(group) => Err(TrainingError::data(
            &test.place,
            format!("group {group} has samples here and in {}", train.place),
            "keep all samples of a group in one part",
        )),
        None => Ok(()),
    }
}

fn other_type(place: &str, first: &str) -> TrainingError {
    TrainingError::data(
        place,
        format!("only one of it and {first} holds bytes (uint8)"),
        "save both with one dtype",
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::Sample;

    fn rows(values: &[f32], labels: &[&str]) -> Collection {
        Collection {
            samples: Arranged {
                values: Values::Floats(values.to_vec()),
                shape: [1, 1, values.len() / labels.len()],
                count: labels.len(),
                scale: Scale::PerValue,
            },
            labels: Labels::Names(labels.iter().map(ToString::to_string).collect()),
            groups: None,
            place: format!("part of {}", labels.len()),
        }
    }

    fn pixels(shape: [usize; 3], labels: &[u16]) -> Collection {
        let len: usize = shape.iter().product();
        let values = (0..len * labels.len()).map(|i| i as u8).collect();
        Collection {
            samples: Arranged {
                values: Values::Bytes(values),
                shape,
                count: labels.len(),
                scale: Scale::PerChannel,
            },
            labels: Labels::Numbers(labels.to_vec()),
            groups: None,
            place: format!("part of {}", labels.len()),
        }
    }

    fn preparation(options: &str) -> Result<Preparation, TrainingError> {
        Preparation::new(&Options::parse("csv", &format!("x{options}"), &[OPTIONS]).unwrap())
    }

    fn prepared(parts: Parts) -> Result<DataSplit, TrainingError> {
        preparation("").unwrap().prepare("x", parts)
    }

    #[test]
    fn statistics_of_training_rows_scale_test_rows() {
        let train = rows(&[1.0, 5.0, 3.0, 5.0], &["b", "a"]);
        let test = rows(&[100.0, 7.0], &["a"]);
        let split = prepared(Parts::Apart(train, test)).unwrap();
        assert_eq!(split.train.normalization, split.test.normalization);
        assert_eq!(split.train.normalization.mean, [2.0, 5.0]);
        assert_eq!(split.train.normalization.std, [1.0, 1.0]);
        assert_eq!(
            (split.train.labels, split.test.labels),
            (vec![1, 0], vec![0])
        );
        assert_eq!(split.test.class_names, ["a", "b"]);
    }

    #[test]
    fn given_means_replace_measured_ones() {
        let given = preparation("?mean=0.5,0.25&std=1,2").unwrap();
        let parts = || Parts::Apart(pixels([2, 1, 1], &[0, 1, 0]), pixels([2, 1, 1], &[0]));
        let split = given.prepare("x", parts()).unwrap();
        assert_eq!(split.test.normalization.mean, [0.5, 0.25]);
        assert_eq!(split.train.normalization.std, [1.0, 2.0]);
        let one = preparation("?mean=0.5&std=1").unwrap();
        let message = one.prepare("x", parts()).unwrap_err().to_string();
        assert!(
            message.contains("mean and std have 1 numbers for 2 channels"),
            "{message}"
        );
    }

    #[test]
    fn a_part_that_is_sorted_by_label_is_mixed_and_any_other_stays() {
        let sorted: Vec<u16> = (0..100).map(|i| i / 50).collect();
        let mut other = sorted.clone();
        other.swap(0, 99);
        let split = prepared(Parts::Apart(
            pixels([1, 1, 1], &sorted),
            pixels([1, 1, 1], &other),
        ));
        let split = split.unwrap();
        assert_eq!((&split.test.labels, split.test.bytes()[7]), (&other, 7));
        assert!(split.train.labels[50..].contains(&0));
        // Every sample keeps its label: pixel i has label i / 50.
        let pairs = split.train.bytes().iter().zip(&split.train.labels);
        assert!(
            pairs
                .clone()
                .all(|(pixel, label)| u16::from(*pixel) / 50 == *label)
        );
        let mut pixels: Vec<u8> = split.train.bytes().to_vec();
        pixels.sort_unstable();
        assert_eq!(pixels, (0..100).collect::<Vec<u8>>());
    }

    #[test]
    fn one_set_is_split_with_its_groups() {
        let labels: Vec<u16> = (0..60).map(|i| i % 3).collect();
        let grouped = |groups: Option<Vec<String>>| {
            let mut all = pixels([1, 1, 1], &labels);
            all.groups = groups;
            prepared(Parts::Together(all))
        };
        let split = grouped(None).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (48, 12));
        let groups = (0..60).map(|i| (i / 6).to_string()).collect();
        let split = grouped(Some(groups)).unwrap();
        let group = |pixel: &u8| pixel / 6;
        let train: Vec<u8> = split.train.bytes().iter().map(group).collect();
        assert!(
            split
                .test
                .bytes()
                .iter()
                .all(|pixel| !train.contains(&group(pixel)))
        );
        assert_eq!(split.test.len(), 12);
        let message = grouped(Some(vec!["one".to_string(); 60]))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("its groups are too few to split off test samples"),
            "{message}"
        );
    }

    #[test]
    fn given_parts_share_no_group() {
        let part = |group: &str| {
            let mut part = pixels([1, 1, 1], &[0, 0]);
            part.groups = Some(vec!["a".to_string(), group.to_string()]);
            part
        };
        let mut other = part("c");
        other.groups = Some(vec!["b".to_string(), "c".to_string()]);
        assert!(prepared(Parts::Apart(part("d"), other)).is_ok());
        let message = prepared(Parts::Apart(part("b"), part("c")))
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("group a has samples here and in part of 2"),
            "{message}"
        );
    }

    #[test]
    fn samples_of_a_group_stand_together_in_given_parts() {
        let part = |groups: [&str; 5]| {
            let mut part = pixels([1, 1, 1], &[0, 1, 1, 0, 1]);
            part.groups = Some(groups.map(str::to_string).to_vec());
            part
        };
        let parts = Parts::Apart(
            part(["a", "b", "a", "c", "b"]),
            part(["d", "d", "e", "e", "e"]),
        );
        let split = prepared(parts).unwrap();
        assert_eq!(split.train.bytes(), [0, 2, 1, 4, 3]);
        assert_eq!(split.train.labels, [0, 1, 1, 1, 0]);
        assert_eq!(split.test.bytes(), [0, 1, 2, 3, 4]);
    }

    #[test]
    fn collections_join_in_order() {
        let joined = pixels([1, 1, 2], &[0, 1])
            .append(pixels([1, 1, 2], &[1]))
            .unwrap();
        assert_eq!(joined.samples.values, Values::Bytes(vec![0, 1, 2, 3, 0, 1]));
        assert_eq!((joined.labels.len(), joined.samples.count), (3, 3));
        // If some are streamed, the others stay where they are.
        let part = |streams: bool| {
            let mut part = pixels([1, 1, 2], &[1, 0]);
            if streams {
                part.samples.values = Values::Streamed(Streamed::of(part.samples.values, 2));
            }
            part
        };
        for [first, second] in [[true, false], [false, true], [true, true]] {
            let joined = part(first).append(part(second)).unwrap().samples.values;
            let samples = joined.samples(&[3, 0, 2, 1], 2);
            let expected = [[2, 3], [0, 1], [0, 1], [2, 3]];
            assert_eq!(
                samples,
                expected.map(|sample| Sample::Bytes(sample.to_vec().into()))
            );
            assert!(matches!(&joined, Values::Streamed(all) if all.held_bytes() == 8));
        }
        let floats = rows(&[1.0, 2.0], &["a", "b"])
            .append(rows(&[3.0], &["c"]))
            .unwrap();
        assert_eq!(floats.samples.values, Values::Floats(vec![1.0, 2.0, 3.0]));
    }

    #[test]
    fn what_makes_no_set_is_refused() {
        let cases: [(Parts, &str); 6] = [
            (
                Parts::Apart(pixels([1, 2, 3], &[0, 1]), pixels([1, 3, 2], &[0])),
                "part of 1: its samples are 1 x 3 x 2 (channels, height, width), those of part of 2 1 x 2 x 3",
            ),
            (
                Parts::Apart(pixels([1, 1, 1], &[0, 1]), rows(&[1.0], &["0"])),
                "only one of it and part of 2 holds bytes",
            ),
            (
                Parts::Apart(pixels([1, 1, 1], &[0]), pixels([1, 1, 1], &[1])),
                "x: class 1 has no training sample; add some",
            ),
            (
                Parts::Apart(rows(&[1.0], &["cat"]), rows(&[1.0], &["dog"])),
                "class dog has no training sample",
            ),
            (
                Parts::Together(pixels([1, 1, 1], &[0, 1])),
                "its samples are too few to split",
            ),
            (
                Parts::Together(pixels([1, 1, 1], &[0, 2])),
                "no sample has label 1",
            ),
        ];
        for (parts, part) in cases {
            let message = prepared(parts).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        let mut short = pixels([1, 1, 1], &[0, 1]);
        short.labels = Labels::Numbers(vec![0]);
        let message = short.check("y.npy").unwrap_err().to_string();
        assert!(
            message.starts_with("y.npy: it has 1 labels for the 2 samples of part of 2"),
            "{message}"
        );
    }

    #[test]
    fn options_are_checked() {
        for (options, part) in [
            (
                "?test_share=1",
                "test_share=1 is not allowed: use a number above 0 and below 1",
            ),
            ("?test_share=0", "test_share=0 is not allowed"),
            ("?test_share=nan", "test_share=nan is not allowed"),
            (
                "?split_seed=-1",
                "split_seed=-1 is not allowed: use a whole number from 0",
            ),
            ("?mean=1", "mean and std go together"),
            ("?mean=1&std=1,2", "mean and std go together"),
            ("?mean=1&std=0", "std=0 is not allowed"),
        ] {
            let message = preparation(options).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(
            preparation("").unwrap().split.tests,
            super::super::split::Tests::Share(0.2)
        );
    }
}
