//! From the segments of many patients to training and test samples.

use super::super::options::Options;
use super::super::preparation::asked_normalization;
use super::super::samples::{Normalization, Samples};
use super::super::split::{self, Split};
use super::super::statistics::{Scale, normalization};
use super::super::{DataSplit, Origins, Values};
use super::{SEGMENT_CLASSES, SEGMENT_POINTS};
use crate::TrainingError;

/// Options of every source of segments.
pub(in super::super) const SEGMENT_OPTIONS: [&[&str]; 2] =
    [split::OPTIONS, &["mean", "std", "only"]];

/// Segments with their labels, patient by patient, in the order of their recording.
#[derive(Debug, Default)]
pub(in super::super) struct Segments {
    /// The values, [`SEGMENT_POINTS`] for each segment.
    pub(in super::super) values: Vec<f32>,
    /// The label of each segment: an index into [`SEGMENT_CLASSES`].
    pub(in super::super) labels: Vec<u16>,
    /// The patient of each segment.
    pub(in super::super) patients: Vec<String>,
    /// The episode of each segment. Adjacent segments of one patient with the same number belong to one episode; a patient may have several.
    pub(in super::super) episodes: Vec<u32>,
}

impl Segments {
    fn origins(&self) -> Origins {
        let patients = self.patients.iter().map(String::as_str);
        let episodes = self.labels.iter().zip(&self.episodes);
        Origins::in_order(patients.zip(episodes))
    }

    /// All segments as samples, before normalization.
    pub(in super::super) fn samples(self) -> Samples {
        Samples {
            shape: [1, 1, SEGMENT_POINTS],
            origins: Some(self.origins()),
            masks: None,
            values: Values::Floats(self.values),
            labels: self.labels,
            classes: SEGMENT_CLASSES.len(),
            class_names: SEGMENT_CLASSES.map(str::to_string).to_vec(),
            normalization: Normalization::none(1),
        }
    }
}

/// The options of a source of segments.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) struct SegmentPreparation {
    pub(in super::super) split: Split,
    normalization: Option<Normalization>,
    /// Whether all segments are test segments.
    pub(in super::super) only_test: bool,
}

impl SegmentPreparation {
    /// Reads the options.
    ///
    /// # Errors
    /// [`TrainingError::SourceOption`].
    pub(in super::super) fn new(options: &Options) -> Result<Self, TrainingError> {
        let normalization = asked_normalization(options)?;
        let only_test = options.only_test()?;
        match &normalization {
            Some(given) if given.mean.len() != 1 => Err(options.refuse(
                "a segment has one channel: give one number to mean and one to std".to_string(),
            )),
            _ => Ok(Self {
                split: Split::new(options)?,
                normalization,
                only_test,
            }),
        }
    }

    pub(in super::super) fn normalizes(&self) -> bool {
        self.normalization.is_some()
    }

    /// Training and test samples of one set. No patient is in both. The patients of each part are in random order, the segments of a patient in
    /// the order of their recording, so that the last training samples, which are used for validation, are of other patients than the first. With
    /// `only=test`, all samples are test samples.
    ///
    /// # Errors
    /// [`TrainingError::Data`] if there are too few patients.
    pub(in super::super) fn split(
        &self,
        place: &str,
        all: Segments,
    ) -> Result<DataSplit, TrainingError> {
        if self.only_test {
            return self.apart(place, Segments::default(), all);
        }
        let classes = SEGMENT_CLASSES.len();
        let origins = all.origins();
        let (train, test) =
            (self.split).by_patient(place, &all.labels, classes, &all.patients, &origins)?;
        let all = all.samples();
        self.scaled(all.gather(&train), all.gather(&test))
    }

    /// Training and test samples that the source keeps apart.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for a patient who is in both.
    pub(in super::super) fn apart(
        &self,
        place: &str,
        train: Segments,
        test: Segments,
    ) -> Result<DataSplit, TrainingError> {
        if let Some(patient) = test
            .patients
            .iter()
            .find(|name| train.patients.contains(name))
        {
            return Err(TrainingError::data(
                place,
                format!("patient {patient} has training and test segments"),
                "keep all segments of a patient in one part",
            ));
        }
        let mut order = split::order(train.labels.len(), self.split.seed);
        let train = train.samples();
        split::by_group(&mut order, train.origins.as_ref());
        self.scaled(train.gather(&order), test.samples())
    }

    fn scaled(&self, mut train: Samples, mut test: Samples) -> Result<DataSplit, TrainingError> {
        let scale = match &self.normalization {
            Some(given) => given.clone(),
            None if train.is_empty() => Normalization::none(1),
            None => normalization(&train.values, train.shape, Scale::PerChannel),
        };
        train.normalization = scale.clone();
        test.normalization = scale;
        Ok(DataSplit { train, test })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// Ten patients of 6 to 15 segments; the value of a segment is its number.
    fn some() -> Segments {
        let mut all = Segments::default();
        for patient in 0..10u32 {
            for segment in 0..6 + patient {
                let number = all.labels.len() as f32;
                all.values.extend([number; SEGMENT_POINTS]);
                all.labels.push(u16::from(segment > 3));
                all.patients.push(format!("p{patient}"));
                all.episodes.push(u32::from(segment > 8));
            }
        }
        all
    }

    fn preparation(options: &str) -> Result<SegmentPreparation, TrainingError> {
        let known = SEGMENT_OPTIONS;
        SegmentPreparation::new(&Options::parse("iegm", &format!("x{options}"), &known).unwrap())
    }

    fn patients(samples: &Samples) -> Vec<u32> {
        let origins = samples.origins.as_ref().unwrap();
        let mut groups: Vec<u32> = origins.samples.iter().map(|origin| origin.group).collect();
        groups.dedup();
        groups
    }

    #[test]
    fn patients_stay_together_in_their_order_and_on_one_side() {
        let split = preparation("").unwrap().split("x", some()).unwrap();
        let (train, test) = (patients(&split.train), patients(&split.test));
        // Every patient occurs once, so none is split.
        let mut all = [train.clone(), test].concat();
        assert_ne!(all, (0..10).collect::<Vec<u32>>());
        all.sort_unstable();
        assert_eq!(all, (0..10).collect::<Vec<u32>>());
        let origins = split.train.origins.as_ref().unwrap();
        for (before, after) in origins.samples.iter().zip(&origins.samples[1..]) {
            let follows = after.sequence == before.sequence && after.place == before.place + 1;
            assert!(follows || after.place == 0);
        }
        // Labels and values moved together: the first four segments of a patient are of class 0.
        for (index, value) in split.train.floats().chunks(SEGMENT_POINTS).enumerate() {
            assert_eq!(split.train.labels[index], some().labels[value[0] as usize]);
        }
        assert_eq!(split.train.class_names, SEGMENT_CLASSES);
    }

    #[test]
    fn folds_test_every_patient_once() {
        let mut tested = Vec::new();
        for fold in 0..5 {
            let options = format!("?folds=5&fold={fold}");
            let split = preparation(&options).unwrap().split("x", some()).unwrap();
            tested.extend(patients(&split.test));
            assert_eq!(split.train.len() + split.test.len(), some().labels.len());
            // There are 105 segments, so five folds of 21. The greedy choice is less than one patient off.
            assert!(
                (13..=29).contains(&split.test.len()),
                "{}",
                split.test.len()
            );
        }
        tested.sort_unstable();
        assert_eq!(tested, (0..10).collect::<Vec<u32>>());
        let many = preparation("?folds=11&fold=10").unwrap().split("x", some());
        let message = many.unwrap_err().to_string();
        assert!(message.contains("its patients are too few"), "{message}");
        for (options, part) in [
            ("?folds=5", "folds and fold go together"),
            ("?folds=5&fold=5", "fold=5 is not allowed: use 0 to 4"),
            ("?folds=1&fold=0", "folds=1 is not allowed"),
            (
                "?folds=5&fold=0&test_share=0.5",
                "test_share says nothing beside folds",
            ),
            ("?mean=1,2&std=1,2", "a segment has one channel"),
        ] {
            let message = preparation(options).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn given_parts_share_no_patient() {
        let preparation = preparation("").unwrap();
        let message = preparation
            .apart("x", some(), some())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("patient p0 has training and test segments"),
            "{message}"
        );
        // A source of test segments only.
        let split = preparation.apart("x", Segments::default(), some()).unwrap();
        assert_eq!((split.train.len(), split.test.len()), (0, 105));
        // The same for a set that would otherwise be split; it keeps the order of the recording.
        let only = self::preparation("?only=test").unwrap();
        let of_all = only.split("x", some()).unwrap();
        assert_eq!((of_all.train, of_all.test), (split.train, split.test));
        for (options, part) in [
            (
                "?only=train",
                "only=train is not allowed: use only=test, which judges by all patients",
            ),
            (
                "?only=test&folds=5&fold=0",
                "folds says nothing beside only=test",
            ),
            (
                "?only=test&split_seed=1",
                "split_seed says nothing beside only=test",
            ),
        ] {
            let message = self::preparation(options).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
