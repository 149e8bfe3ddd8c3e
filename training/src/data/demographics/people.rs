//! From rows about people to training and test samples.

use std::path::Path;

use crossburn_noise::{Philox, path_hash};

use crate::TrainingError;
use crate::data::statistics::{Scale, normalization};
use crate::data::{DataSplit, Normalization, Origins, Samples, Values};

/// The share of the test set.
const TEST: f64 = 0.2;

/// One row.
pub(super) struct Person {
    /// The unit of the split, such as a lesion: all its rows are on the same side.
    pub(super) unit: String,
    /// The group, between which fairness is measured.
    pub(super) group: String,
    pub(super) label: u16,
}

/// The rows of one file, with the values that networks see.
pub(super) struct People {
    /// `[channels, height, width]` of a row.
    pub(super) shape: [usize; 3],
    pub(super) values: Values,
    pub(super) rows: Vec<Person>,
    pub(super) classes: Vec<String>,
}

impl People {
    /// Splits the units: four fifths for training, a fifth for testing, both in random order, with the rows of a unit side by side. The draw
    /// depends only on the names of the units, not on the seed of a run. The normalization is that of the training rows.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names `file`, if one of the parts is empty.
    pub(super) fn split(self, file: &Path) -> Result<DataSplit, TrainingError> {
        let draw = |person: &Person| {
            Philox::new(path_hash("split of people"), path_hash(&person.unit)).uniform(0)
        };
        let mut order: Vec<(f64, usize)> = self.rows.iter().map(draw).zip(0..).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let tested = order.partition_point(|(draw, _)| *draw < TEST);
        let places: Vec<usize> = order.into_iter().map(|(_, place)| place).collect();
        let (test, train) = places.split_at(tested);
        if test.is_empty() || train.is_empty() {
            return Err(TrainingError::data(
                file.display().to_string(),
                format!(
                    "its {} rows are too few for training and test",
                    places.len()
                ),
                "give the whole file",
            ));
        }
        let groups = self.rows.iter().map(|row| (row.group.as_str(), row.label));
        let all = Samples {
            shape: self.shape,
            values: self.values,
            labels: self.rows.iter().map(|row| row.label).collect(),
            classes: self.classes.len(),
            class_names: self.classes,
            normalization: Normalization::none(self.shape[0]),
            origins: Some(Origins::in_order(groups)),
            masks: None,
        };
        let mut split = DataSplit {
            train: all.gather(train),
            test: all.gather(test),
        };
        let normalization = normalization(&split.train.values, all.shape, Scale::PerChannel);
        split.test.normalization = normalization.clone();
        split.train.normalization = normalization;
        Ok(split)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn people(rows: usize) -> People {
        let row = |number: usize| Person {
            unit: format!("unit {}", number / 3),
            group: ["young", "old"][number % 2].to_string(),
            label: (number % 2) as u16,
        };
        People {
            shape: [1, 1, 1],
            values: Values::Floats((0..rows).map(|number| number as f32).collect()),
            rows: (0..rows).map(row).collect(),
            classes: vec!["no".to_string(), "yes".to_string()],
        }
    }

    #[test]
    fn units_stay_together_and_rows_keep_label_and_group() {
        let split = people(600).split(Path::new("a")).unwrap();
        let units = |samples: &Samples| -> Vec<usize> {
            samples
                .floats()
                .iter()
                .map(|value| *value as usize / 3)
                .collect()
        };
        let (train, test) = (units(&split.train), units(&split.test));
        assert_eq!(train.len() + test.len(), 600);
        // Each of 200 units is tested with probability 1/5: 40 on average, within four standard deviations of 5.7.
        assert!((test.len() / 3).abs_diff(40) < 23, "{}", test.len());
        assert!(test.iter().all(|unit| !train.contains(unit)));
        // The three rows of a unit are side by side.
        assert!(
            train
                .chunks(3)
                .all(|rows| rows.iter().all(|unit| *unit == rows[0]))
        );
        assert!(!train.is_sorted());
        for samples in [&split.train, &split.test] {
            let groups = samples.origins.as_ref().unwrap().names();
            let rows = samples.floats().iter().zip(&samples.labels);
            for ((value, label), group) in rows.zip(groups) {
                let number = *value as usize;
                assert_eq!(usize::from(*label), number % 2);
                assert_eq!(group, ["young", "old"][number % 2]);
            }
        }
        let mean = split.train.floats().iter().sum::<f32>() / train.len() as f32;
        // Sums of whole numbers below 2^24 are exact.
        assert!((split.test.normalization.mean[0] - mean).abs() < 1e-3);
        assert!(people(1).split(Path::new("a")).is_err());
    }
}
