//! How many samples are wanted.

use super::reader::Part;
use crate::TrainingError;

/// How many of the first samples of a source are wanted.
///
/// ```
/// use crossburn_training::data::{Amount, DataSource};
///
/// let digits = "digits".parse::<DataSource>()?;
/// assert_eq!(digits.test_samples(1, Amount::exactly(10))?.len(), 10);
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amount {
    /// A source with fewer is refused.
    least: usize,
    /// Samples after these are left out.
    most: Option<usize>,
}

impl Amount {
    /// All samples of a source; the digits, which have no end, give a few thousand.
    pub const ALL: Self = Self {
        least: 1,
        most: None,
    };

    /// `count` samples: a source that has fewer is refused.
    pub fn exactly(count: usize) -> Self {
        Self::between(count, count)
    }

    /// `count` samples, or all where the source has fewer. For a number that the user did not ask for.
    pub fn up_to(count: usize) -> Self {
        Self::between(1, count)
    }

    /// At most `most` samples. A source with fewer than `least` is refused.
    pub fn between(least: usize, most: usize) -> Self {
        Self {
            least,
            most: Some(most.max(least)),
        }
    }

    /// The number of samples to take from the part `part` of `source`, at most `available`; `usual` where no number is wanted.
    ///
    /// # Errors
    /// [`TrainingError::TooMany`] where the source has fewer than the least, or no sample is wanted.
    pub(super) fn count(
        self,
        part: Part,
        source: &str,
        usual: usize,
        available: usize,
    ) -> Result<usize, TrainingError> {
        self.of(part.name(), source, usual, available)
    }

    /// The same for things that are not samples of a part; `what` names them in the error.
    pub(crate) fn of(
        self,
        what: &'static str,
        source: &str,
        usual: usize,
        available: usize,
    ) -> Result<usize, TrainingError> {
        let most = self.most.unwrap_or(usual);
        if most == 0 || self.least > available {
            return Err(TrainingError::TooMany {
                wanted: self.least,
                what,
                source_name: source.to_string(),
                available,
            });
        }
        Ok(most.min(available))
    }
}

impl From<Option<usize>> for Amount {
    fn from(count: Option<usize>) -> Self {
        count.map_or(Self::ALL, Self::exactly)
    }
}
