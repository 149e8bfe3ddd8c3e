//! Finished measurements in a file, with which an interrupted study continues.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::apps::kept_file::{KeptFile, Work};

/// One person under one condition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Measured {
    /// Quality of the answers after each number of steps; one value if the method does not learn.
    pub(super) quality: Vec<f64>,
    /// Mean loss up to each number of steps; empty if the method does not learn.
    pub(super) loss: Vec<f64>,
}

/// Name of the file in a run folder.
const CELLS_FILE: &str = "cells.json";

const CELLS: Work = Work {
    key: "cells",
    is: "a file of finished cells",
    holds: "cells",
};

/// Finished cells, kept in a file.
pub(super) struct CellStore {
    file: KeptFile,
    /// Condition with its learning rate → person → cell.
    cells: BTreeMap<String, BTreeMap<u64, Measured>>,
}

impl CellStore {
    /// The cells in `folder`, which must have the settings `of`; none without `resume`.
    ///
    /// # Errors
    /// Those of [`KeptFile::read`].
    pub(super) fn open(folder: &Path, of: Value, resume: bool) -> Result<Self> {
        let file = KeptFile::new(folder.join(CELLS_FILE), of, CELLS);
        Ok(Self {
            cells: file.read(resume)?.unwrap_or_default(),
            file,
        })
    }

    pub(super) fn get(&self, condition: &str, person: u64) -> Option<&Measured> {
        self.cells.get(condition)?.get(&person)
    }

    /// Keeps the cells of one person.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn keep(&mut self, person: u64, found: Vec<(String, Measured)>) -> Result<()> {
        for (condition, measured) in found {
            let of_condition = self.cells.entry(condition).or_default();
            of_condition.insert(person, measured);
        }
        self.file.write(&self.cells)
    }
}
