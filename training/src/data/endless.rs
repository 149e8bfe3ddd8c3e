//! Procedural sets without an end, as data sources.

use std::fmt::Debug;
use std::path::PathBuf;

use super::mri::Chain;
use super::reader::{Part, Reader};
use super::signal::SegmentFilter;
use super::{Amount, DataSplit, Samples};
use crate::TrainingError;

/// A set whose samples are drawn from (seed, number). It needs no file and has as many samples as are asked for. `C` holds its options.
#[derive(Clone, Copy, Debug)]
pub(super) struct Endless<C = ()> {
    /// Its name in error messages.
    pub(super) name: &'static str,
    /// Number of classes.
    pub(super) classes: usize,
    /// Numbers of training and test samples, if none are asked for.
    pub(super) usual: (usize, usize),
    /// Most samples that are drawn at once.
    pub(super) most: usize,
    /// The number of the first test sample: larger than any number of training samples.
    pub(super) first_test: u64,
    /// Its options.
    pub(super) config: C,
    /// Draws the samples `first..first + count` of the set `seed`, from (options, seed, first, count).
    pub(super) draw: fn(&C, u64, u64, usize) -> Samples,
    /// How its samples were filtered, if they are segments of a signal.
    pub(super) filter: Option<SegmentFilter>,
    /// How the samples of a seed are prepared, as one line, from (options, seed).
    pub(super) steps: fn(&C, u64) -> Option<String>,
    /// How the slices of a seed are prepared and whether their intensities are reversed, from (options, seed); `None` if samples are not slices of
    /// brains.
    pub(super) slices: fn(&C, u64) -> Option<(Chain, bool)>,
}

impl<C: Debug + Send + Sync> Reader for Endless<C> {
    fn classes(&self) -> Result<usize, TrainingError> {
        Ok(self.classes)
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(Vec::new())
    }

    fn both(&self, seed: u64, train: Amount, test: Amount) -> Result<DataSplit, TrainingError> {
        Ok(DataSplit {
            train: self.part(Part::Train, seed, train)?,
            test: self.part(Part::Test, seed, test)?,
        })
    }

    fn part(&self, part: Part, seed: u64, amount: Amount) -> Result<Samples, TrainingError> {
        let (first, usual) = match part {
            Part::Train => (0, self.usual.0),
            Part::Test => (self.first_test, self.usual.1),
        };
        let count = amount.count(part, self.name, usual, self.most)?;
        Ok((self.draw)(&self.config, seed, first, count))
    }

    fn filter(&self) -> Option<SegmentFilter> {
        self.filter
    }

    fn steps(&self, seed: u64) -> Option<String> {
        (self.steps)(&self.config, seed)
    }

    fn slices(
        &self,
        seed: u64,
        known: Option<bool>,
    ) -> Option<(Chain, Result<bool, TrainingError>)> {
        let (chain, reversed) = (self.slices)(&self.config, seed)?;
        Some((chain, Ok(known.unwrap_or(reversed))))
    }
}
