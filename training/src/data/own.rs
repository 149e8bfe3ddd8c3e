//! Data of another program, as a name only, so that a recipe about them can be written and read.

use std::path::PathBuf;
use std::sync::Arc;

use super::reader::{Kind, Part, Reader};
use super::{Amount, DataSplit};
use crate::TrainingError;

pub(super) const KIND: Kind = Kind {
    name: "own",
    // Empty: users are not offered a source that cannot be read.
    usage: "",
    open: |_| Ok(Arc::new(Own)),
};

/// The data source.
#[derive(Debug)]
pub(super) struct Own;

impl Reader for Own {
    fn classes(&self) -> Result<usize, TrainingError> {
        Err(TrainingError::OwnData)
    }

    fn files(&self, _: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(Vec::new())
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        Err(TrainingError::OwnData)
    }
}
