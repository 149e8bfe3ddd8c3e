//! A data set by its name.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::{ImageSet, cifar10, digits, mnist};
use crate::TrainingError;

/// Where images come from, written `digits`, `mnist:DIR` or `cifar10:DIR`.
///
/// ```
/// use crossburn_training::data::DataSource;
///
/// let split = "digits".parse::<DataSource>()?.load(1, Some(50), Some(10))?;
/// assert_eq!((split.train.len(), split.test.len()), (50, 10));
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum DataSource {
    /// The procedural handwritten digits.
    Digits,
    /// A folder with MNIST's four IDX files.
    Mnist(PathBuf),
    /// A folder with CIFAR-10's binary files.
    Cifar10(PathBuf),
}

/// Images to learn from and images to judge by.
#[derive(Clone, Debug)]
pub struct DataSplit {
    /// Training images, validation included.
    pub train: ImageSet,
    /// Test images.
    pub test: ImageSet,
}

/// Where the test digits start: far behind any number of training digits.
const FIRST_TEST_DIGIT: u64 = 1 << 40;
/// The procedural set has no end; these are its numbers where none are given.
const DIGITS: (usize, usize) = (6000, 2000);
/// A bound on what is drawn at once: 3 GB of pixels.
const MOST_DIGITS: usize = 4_000_000;

impl FromStr for DataSource {
    type Err = TrainingError;

    fn from_str(text: &str) -> Result<Self, TrainingError> {
        match text.split_once(':') {
            None if text == "digits" => Ok(Self::Digits),
            Some(("mnist", folder)) if !folder.is_empty() => Ok(Self::Mnist(folder.into())),
            Some(("cifar10", folder)) if !folder.is_empty() => Ok(Self::Cifar10(folder.into())),
            _ => Err(TrainingError::Source {
                text: text.to_string(),
            }),
        }
    }
}

impl TryFrom<String> for DataSource {
    type Error = TrainingError;

    fn try_from(text: String) -> Result<Self, TrainingError> {
        text.parse()
    }
}

impl From<DataSource> for String {
    fn from(source: DataSource) -> Self {
        source.to_string()
    }
}

impl std::fmt::Display for DataSource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Digits => f.write_str("digits"),
            Self::Mnist(folder) => write!(f, "mnist:{}", folder.display()),
            Self::Cifar10(folder) => write!(f, "cifar10:{}", folder.display()),
        }
    }
}

impl DataSource {
    /// The first `train` training and `test` test images; all that there are (of the digits 6,000 and 2,000) where absent.
    /// `seed` draws the procedural set; files do not depend on it.
    ///
    /// # Errors
    /// More images than there are, none, or a file that cannot be used.
    pub fn load(
        &self,
        seed: u64,
        train: Option<usize>,
        test: Option<usize>,
    ) -> Result<DataSplit, TrainingError> {
        let (train_set, test_set) = match self {
            Self::Digits => {
                let train = self.count("training", train, DIGITS.0, MOST_DIGITS)?;
                let test = self.count("test", test, DIGITS.1, MOST_DIGITS)?;
                return Ok(DataSplit {
                    train: digits(seed, 0, train),
                    test: digits(seed, FIRST_TEST_DIGIT, test),
                });
            }
            Self::Mnist(folder) => mnist(folder)?,
            Self::Cifar10(folder) => cifar10(folder)?,
        };
        let train = self.count("training", train, train_set.len(), train_set.len())?;
        let test = self.count("test", test, test_set.len(), test_set.len())?;
        Ok(DataSplit {
            train: train_set.split_at(train).0,
            test: test_set.split_at(test).0,
        })
    }

    fn count(
        &self,
        what: &'static str,
        wanted: Option<usize>,
        default: usize,
        available: usize,
    ) -> Result<usize, TrainingError> {
        let wanted = wanted.unwrap_or(default);
        if wanted == 0 || wanted > available {
            return Err(TrainingError::TooMany {
                wanted,
                what,
                source_name: self.to_string(),
                available,
            });
        }
        Ok(wanted)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_written_the_same() {
        for text in ["digits", "mnist:a/b", "cifar10:c:d"] {
            assert_eq!(text.parse::<DataSource>().unwrap().to_string(), text);
        }
        for text in ["", "mnist", "mnist:", "imagenet:x"] {
            assert!(
                text.parse::<DataSource>()
                    .unwrap_err()
                    .to_string()
                    .contains("use digits, mnist:DIR or cifar10:DIR")
            );
        }
    }

    #[test]
    fn impossible_numbers_name_the_possible_ones() {
        let message = DataSource::Digits
            .load(1, Some(0), None)
            .unwrap_err()
            .to_string();
        assert_eq!(
            message,
            "0 training images were asked for, digits has 4000000: use a number from 1 to 4000000"
        );
    }

    #[test]
    fn names_are_plain_strings_in_recipes() {
        let source: DataSource = serde_json::from_str(r#""mnist:a/b""#).unwrap();
        assert_eq!(source, DataSource::Mnist("a/b".into()));
        assert_eq!(serde_json::to_string(&source).unwrap(), r#""mnist:a/b""#);
        let message = serde_json::from_str::<DataSource>(r#""mnits:a""#)
            .unwrap_err()
            .to_string();
        assert!(message.contains("`mnits:a` is no data source"), "{message}");
    }

    #[test]
    fn files_give_what_they_hold_and_no_more() {
        let folder = tempfile::tempdir().unwrap();
        let record = |label: u8| [vec![label], vec![label; 3072]].concat();
        std::fs::write(
            folder.path().join("data_batch_1.bin"),
            [record(1), record(2), record(3)].concat(),
        )
        .unwrap();
        std::fs::write(folder.path().join("test_batch.bin"), record(4)).unwrap();
        let source = DataSource::Cifar10(folder.path().to_path_buf());
        assert_eq!(source.load(1, None, None).unwrap().train.len(), 3);
        let split = source.load(1, Some(2), Some(1)).unwrap();
        assert_eq!(
            (split.train.labels, split.test.labels),
            (vec![1, 2], vec![4])
        );
        let message = source.load(1, Some(4), None).unwrap_err().to_string();
        assert!(
            message.starts_with("4 training images were asked for") && message.contains("has 3:"),
            "{message}"
        );
        let message = source.load(1, None, Some(2)).unwrap_err().to_string();
        assert!(
            message.starts_with("2 test images were asked for") && message.contains("has 1:"),
            "{message}"
        );
    }

    #[test]
    fn training_and_test_digits_differ() {
        let split = DataSource::Digits.load(1, None, None).unwrap();
        assert_eq!((split.train.len(), split.test.len()), DIGITS);
        let train: std::collections::HashSet<&[u8]> = split.train.pixels.chunks(784).collect();
        assert_eq!(train.len(), DIGITS.0);
        assert!(
            split
                .test
                .pixels
                .chunks(784)
                .all(|image| !train.contains(image))
        );
    }
}
