//! How many samples are wanted.

use super::reader::Part;
use crate::TrainingError;

/// How many samples are wanted, the first of those that there are.
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

    /// `count` samples: a source that has fewer is refused.
    pub fn exactly(count: usize) -> Self {
        Self::between(count, count)
    }

    /// `count` samples, or all that there are where these are fewer: for a number that nobody asked for.
    pub fn up_to(count: usize) -> Self {
        Self::between(1, count)
    }

    /// `most` samples, or all that there are where these are fewer, but not fewer than `least`.
    pub fn between(least: usize, most: usize) -> Self {
        Self {
            least,
            most: Some(most.max(least)),
        }
    }

    /// How many samples of the part `part` of `source` this is: `usual` where no number is wanted, at most `available`.
    ///
    /// # Errors
    /// [`TrainingError::TooMany`] where there are fewer than the least that is wanted, or none is wanted.
    pub(super) fn count(
        self,
        part: Part,
        source: &str,
        usual: usize,
        available: usize,
    ) -> Result<usize, TrainingError> {
        self.of(part.name(), source, usual, available)
    }

    /// The same for what has another name than samples of a part.
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
