//! What every kind of data source provides.

use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use super::mri::Chain;
use super::signal::SegmentFilter;
use super::{Amount, Corpus, DataSplit, Samples};
use crate::TrainingError;

/// One of the two parts of a data set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Train,
    Test,
}

impl Part {
    /// The name of its samples in messages.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Train => "training",
            Self::Test => "test",
        }
    }
}

/// A kind of data source: one line of the registry in `source.rs`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Kind {
    /// The text before the colon, or the whole text if nothing follows.
    pub(super) name: &'static str,
    /// How users write it, such as `mnist:DIR`.
    pub(super) usage: &'static str,
    /// Opens the source from the text after the colon, or after the question mark if there is no colon. Reads no file.
    pub(super) open: fn(&str) -> Result<Arc<dyn Reader>, TrainingError>,
}

impl Kind {
    /// Whether a file or folder follows its name.
    pub(super) fn takes_argument(&self) -> bool {
        self.usage.contains(':')
    }

    /// Whether options may follow its name directly, without a file.
    pub(super) fn takes_options(&self) -> bool {
        self.usage.ends_with("?OPTIONS")
    }
}

/// A data source.
///
/// A source that draws its samples needs the wanted numbers and the seed. A source that reads files may return all samples of the files, and
/// [`DataSource`](super::DataSource) drops those that are not wanted.
pub(super) trait Reader: Debug + Send + Sync {
    /// Number of classes. Reads no more than labels.
    fn classes(&self) -> Result<usize, TrainingError>;

    /// The files that `part` is read from, in order.
    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError>;

    /// The names of the values of a sample, such as the columns of a table; empty if values have no names. Reads no more than these.
    fn columns(&self) -> Result<Vec<String>, TrainingError> {
        Ok(Vec::new())
    }

    /// Whether its options set the normalization.
    fn normalizes(&self) -> bool {
        false
    }

    /// Training and test samples.
    fn both(&self, seed: u64, train: Amount, test: Amount) -> Result<DataSplit, TrainingError>;

    /// The samples of one part. If parts are independent, only that part is read.
    fn part(&self, part: Part, seed: u64, amount: Amount) -> Result<Samples, TrainingError> {
        let (train, test) = match part {
            Part::Train => (amount, Amount::ALL),
            Part::Test => (Amount::ALL, amount),
        };
        Ok(self.both(seed, train, test)?.into_part(part))
    }

    /// How many samples of its files were left out when they were last read, and why, as one line; `None` if none were.
    fn left_out(&self) -> Option<String> {
        None
    }

    /// How the images that were read last were prepared, step by step, as one line; for procedural images, how those of `seed` are. `None` if the
    /// values of a file are used unchanged, and before files are read.
    fn steps(&self, seed: u64) -> Option<String> {
        let _ = seed;
        None
    }

    /// How the signals that its samples are cut from were filtered; `None` for other samples, and if that is unknown.
    fn filter(&self) -> Option<SegmentFilter> {
        None
    }

    /// How its slices of brains are prepared, and whether their intensities are reversed. If `reversed` is not given, this may read the training
    /// samples of `seed`. `None` for other samples.
    fn slices(
        &self,
        seed: u64,
        reversed: Option<bool>,
    ) -> Option<(Chain, Result<bool, TrainingError>)> {
        let _ = (seed, reversed);
        None
    }

    /// Whether it has texts instead of samples. Reads the texts of files, and refuses them if they cannot be used.
    fn check_corpus(&self) -> Result<bool, TrainingError> {
        Ok(false)
    }

    /// The texts of `part`; `None` for a source of samples.
    fn corpus(&self, part: Part, seed: u64) -> Result<Option<Corpus>, TrainingError> {
        let _ = (part, seed);
        Ok(None)
    }
}
