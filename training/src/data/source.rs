//! A data set by its name.

use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use super::idx::{self, Part};
use super::{Samples, cifar10, digits};
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

/// How many images are wanted, the first of those that there are.
///
/// ```
/// use crossburn_training::data::{Amount, DataSource};
///
/// let digits = "digits".parse::<DataSource>()?;
/// assert_eq!(digits.test_images(1, Amount::exactly(10))?.len(), 10);
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// Fewer are refused.
    least: usize,
    /// More are left out.
    most: Option<usize>,
}

impl Amount {
    /// All that there are; of the digits, which have no end, a few thousand.
    pub const ALL: Self = Self {
        least: 1,
        most: None,
    };

    /// `count` images: a source that has fewer is refused.
    pub fn exactly(count: usize) -> Self {
        Self::between(count, count)
    }

    /// `count` images, or all that there are where these are fewer: for a number that nobody asked for.
    pub fn up_to(count: usize) -> Self {
        Self::between(1, count)
    }

    /// `most` images, or all that there are where these are fewer, but not fewer than `least`.
    pub fn between(least: usize, most: usize) -> Self {
        Self {
            least,
            most: Some(most.max(least)),
        }
    }
}

impl From<Option<usize>> for Amount {
    fn from(count: Option<usize>) -> Self {
        count.map_or(Self::ALL, Self::exactly)
    }
}

/// Images to learn from and images to judge by.
#[derive(Clone, Debug)]
pub struct DataSplit {
    /// Training images, validation included.
    pub train: Samples,
    /// Test images.
    pub test: Samples,
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
    /// Number of classes of its images.
    pub fn classes(&self) -> usize {
        match self {
            Self::Digits | Self::Mnist(_) | Self::Cifar10(_) => 10,
        }
    }

    /// The files that its training images are read from, in order; none for the procedural set.
    ///
    /// # Errors
    /// A file that is not there.
    pub fn training_files(&self) -> Result<Vec<PathBuf>, TrainingError> {
        match self {
            Self::Digits => Ok(Vec::new()),
            Self::Mnist(folder) => Ok(Part::Train.files(folder)?.to_vec()),
            Self::Cifar10(folder) => cifar10::train_files(folder),
        }
    }

    /// The files that its test images are read from, in order; none for the procedural set.
    ///
    /// # Errors
    /// A file that is not there.
    pub fn test_files(&self) -> Result<Vec<PathBuf>, TrainingError> {
        match self {
            Self::Digits => Ok(Vec::new()),
            Self::Mnist(folder) => Ok(Part::Test.files(folder)?.to_vec()),
            Self::Cifar10(folder) => cifar10::test_files(folder),
        }
    }

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
        if let Self::Mnist(folder) = self {
            // Images of two sizes are no data set.
            let (train_set, test_set) = idx::mnist(folder)?;
            return Ok(DataSplit {
                train: self.first("training", train_set, train.into())?,
                test: self.first("test", test_set, test.into())?,
            });
        }
        Ok(DataSplit {
            train: self.training_images(seed, train.into())?,
            test: self.test_images(seed, test.into())?,
        })
    }

    /// The first training images, validation included. Test images are not read.
    ///
    /// # Errors
    /// Fewer images than the least that is wanted, none, or a file that cannot be used.
    pub fn training_images(&self, seed: u64, amount: Amount) -> Result<Samples, TrainingError> {
        let set = match self {
            Self::Digits => {
                let count = self.count("training", amount, DIGITS.0, MOST_DIGITS)?;
                return Ok(digits(seed, 0, count));
            }
            Self::Mnist(folder) => idx::part(folder, Part::Train)?,
            Self::Cifar10(_) => cifar10::images(&self.training_files()?)?,
        };
        self.first("training", set, amount)
    }

    /// The first test images. Training images are not read.
    ///
    /// # Errors
    /// Fewer images than the least that is wanted, none, or a file that cannot be used.
    pub fn test_images(&self, seed: u64, amount: Amount) -> Result<Samples, TrainingError> {
        let set = match self {
            Self::Digits => {
                let count = self.count("test", amount, DIGITS.1, MOST_DIGITS)?;
                return Ok(digits(seed, FIRST_TEST_DIGIT, count));
            }
            Self::Mnist(folder) => idx::part(folder, Part::Test)?,
            Self::Cifar10(_) => cifar10::images(&self.test_files()?)?,
        };
        self.first("test", set, amount)
    }

    /// The first images of `set`, as many as are wanted.
    fn first(
        &self,
        what: &'static str,
        set: Samples,
        amount: Amount,
    ) -> Result<Samples, TrainingError> {
        let available = set.len();
        match self.count(what, amount, available, available)? {
            count if count == available => Ok(set),
            count => Ok(set.split_at(count).0),
        }
    }

    fn count(
        &self,
        what: &'static str,
        amount: Amount,
        default: usize,
        available: usize,
    ) -> Result<usize, TrainingError> {
        let most = amount.most.unwrap_or(default);
        if most == 0 || amount.least > available {
            return Err(TrainingError::TooMany {
                wanted: amount.least,
                what,
                source_name: self.to_string(),
                available,
            });
        }
        Ok(most.min(available))
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
    fn each_part_is_read_alone_and_a_number_that_nobody_asked_for_is_no_bound() {
        let folder = tempfile::tempdir().unwrap();
        let record = |label: u8| [vec![label], vec![label; 3072]].concat();
        let source = DataSource::Cifar10(folder.path().to_path_buf());
        std::fs::write(
            folder.path().join("test_batch.bin"),
            [record(4), record(5), record(6)].concat(),
        )
        .unwrap();
        // There are no training images.
        let test = |amount| source.test_images(1, amount).map(|set| set.labels);
        assert_eq!(test(Amount::ALL).unwrap(), [4, 5, 6]);
        assert_eq!(test(Amount::up_to(2)).unwrap(), [4, 5]);
        assert_eq!(test(Amount::up_to(3000)).unwrap(), [4, 5, 6]);
        assert_eq!(test(Amount::between(3, 3000)).unwrap(), [4, 5, 6]);
        assert_eq!(test(Amount::exactly(1)).unwrap(), [4]);
        for amount in [
            Amount::exactly(4),
            Amount::between(4, 3000),
            Amount::exactly(0),
        ] {
            let message = test(amount).unwrap_err().to_string();
            assert!(message.contains("has 3: use a number from 1 to 3"));
        }
        assert!(source.training_images(1, Amount::ALL).is_err());
        assert!(source.training_files().is_err());
        let batch = folder.path().join("data_batch_3.bin");
        std::fs::write(&batch, record(1)).unwrap();
        let test_batch = folder.path().join("test_batch.bin");
        assert_eq!(source.training_files().unwrap(), [batch]);
        assert_eq!(source.test_files().unwrap(), [test_batch]);
        assert!(DataSource::Digits.test_files().unwrap().is_empty());
    }

    #[test]
    fn a_part_of_the_digits_is_that_of_both() {
        let split = DataSource::Digits.load(5, Some(7), Some(6)).unwrap();
        let train = DataSource::Digits.training_images(5, Amount::exactly(7));
        let test = DataSource::Digits.test_images(5, Amount::up_to(6));
        assert!(train.unwrap() == split.train && test.unwrap() == split.test);
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
