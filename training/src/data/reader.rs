//! What every kind of data source can do.

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
    /// What its samples are called.
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
    /// What stands before the colon, or alone where nothing follows.
    pub(super) name: &'static str,
    /// How it is written, such as `mnist:DIR`.
    pub(super) usage: &'static str,
    /// The source that the text after the colon names, or after the question mark where no colon follows the name. Reads no file.
    pub(super) open: fn(&str) -> Result<Arc<dyn Reader>, TrainingError>,
}

impl Kind {
    /// Whether something follows its name.
    pub(super) fn takes_argument(&self) -> bool {
        self.usage.contains(':')
    }

    /// Whether options follow its name with no file between.
    pub(super) fn takes_options(&self) -> bool {
        self.usage.ends_with("?OPTIONS")
    }
}

/// A data source.
///
/// Numbers of samples and the seed are for sources that draw what they give; those that read files may give all that the files
/// hold, and [`DataSource`](super::DataSource) leaves out what is not wanted.
pub(super) trait Reader: Debug + Send + Sync {
    /// Number of classes. Reads labels at most.
    fn classes(&self) -> Result<usize, TrainingError>;

    /// The files that `part` is read from, in order.
    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError>;

    /// The names of the values of a sample, of a table its columns of features; none where values have no names. Reads no more
    /// than these.
    fn columns(&self) -> Result<Vec<String>, TrainingError> {
        Ok(Vec::new())
    }

    /// Whether its options say how values are normalized.
    fn normalizes(&self) -> bool {
        false
    }

    /// Training and test samples.
    fn both(&self, seed: u64, train: Amount, test: Amount) -> Result<DataSplit, TrainingError>;

    /// The samples of one part. A source whose parts do not depend on each other reads that part alone.
    fn part(&self, part: Part, seed: u64, amount: Amount) -> Result<Samples, TrainingError> {
        let (train, test) = match part {
            Part::Train => (amount, Amount::ALL),
            Part::Test => (Amount::ALL, amount),
        };
        Ok(self.both(seed, train, test)?.into_part(part))
    }

    /// What of its files was left out of the samples that were read last, and why, in one line; `None` where nothing was.
    fn left_out(&self) -> Option<String> {
        None
    }

    /// How the images were prepared that were read last, one step after the other, in one line; of procedural images how those of `seed` are.
    /// `None` where a file's values are taken as they are, and before files were read.
    fn steps(&self, seed: u64) -> Option<String> {
        let _ = seed;
        None
    }

    /// How the signals were filtered that its samples are segments of; `None` of other samples, and where nobody knows.
    fn filter(&self) -> Option<SegmentFilter> {
        None
    }

    /// How the slices of brains are prepared that its samples are, and whether their intensities are reversed, which may take reading the training
    /// samples of `seed` where `reversed` is not known from elsewhere; `None` of other samples.
    fn slices(
        &self,
        seed: u64,
        reversed: Option<bool>,
    ) -> Option<(Chain, Result<bool, TrainingError>)> {
        let _ = (seed, reversed);
        None
    }

    /// Whether it has texts in place of samples. Texts of files are read, and refused where they cannot be used.
    fn check_corpus(&self) -> Result<bool, TrainingError> {
        Ok(false)
    }

    /// The texts of `part`; none of a source of samples.
    fn corpus(&self, part: Part, seed: u64) -> Result<Option<Corpus>, TrainingError> {
        let _ = (part, seed);
        Ok(None)
    }
}
