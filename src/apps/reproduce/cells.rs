//! Finished trainings, and their numbers.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::apps::kept_file::{KeptFile, Work};
use crate::report::ReproductionLine;

/// The name of a way of training, and its family.
pub(super) struct ArmName {
    pub(super) name: String,
    pub(super) family: String,
}

/// The results of one training: numbers by name.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Cell {
    /// Items forward and backward, including those of the training that it started from.
    pub(super) backward: u64,
    pub(super) numbers: BTreeMap<String, f64>,
}

/// All cells of an experiment: for each arm, one per seed.
pub(crate) struct Cells {
    pub(super) arms: Vec<ArmName>,
    cells: BTreeMap<String, Vec<Cell>>,
}

impl Cells {
    /// One number of `arm` per seed, as it is; empty if this arm has no such number.
    pub(super) fn values(&self, arm: &str, number: &str) -> Vec<f64> {
        let cells = self.cells.get(arm).map(Vec::as_slice).unwrap_or_default();
        let values = cells.iter().filter_map(|cell| cell.numbers.get(number));
        values.copied().collect()
    }

    /// One fraction of `arm` per seed, in per cent; NaN where it is missing, which no claim accepts.
    pub(super) fn of(&self, arm: &str, number: &str) -> Vec<f64> {
        let cells = self.cells.get(arm).map(Vec::as_slice).unwrap_or_default();
        let value = |cell: &Cell| 100.0 * cell.numbers.get(number).copied().unwrap_or(f64::NAN);
        cells.iter().map(value).collect()
    }

    /// For each seed, the fraction `number` of the arm of `family` with the highest `chosen_by`, in per cent. The arm's name does not appear.
    pub(super) fn tuned(&self, family: &str, chosen_by: &str, number: &str) -> Vec<f64> {
        let arms = self.arms.iter().filter(|arm| arm.family == family);
        let rows: Vec<(Vec<f64>, Vec<f64>)> = arms
            .map(|arm| (self.of(&arm.name, chosen_by), self.of(&arm.name, number)))
            .collect();
        let seeds = rows.first().map_or(0, |(chosen, _)| chosen.len());
        (0..seeds)
            .map(|seed| {
                let mut best = (f64::NEG_INFINITY, f64::NAN);
                for (chosen, number) in &rows {
                    if chosen[seed] > best.0 {
                        best = (chosen[seed], number[seed]);
                    }
                }
                best.1
            })
            .collect()
    }

    /// The numbers `names` of `arm`, each with one value per seed, as a line to draw; `None` if this arm lacks one of them.
    pub(super) fn line(
        &self,
        arm: &str,
        names: impl IntoIterator<Item = String>,
    ) -> Option<ReproductionLine> {
        let values = names.into_iter().map(|name| self.of_every_seed(arm, &name));
        Some(ReproductionLine {
            name: arm.to_string(),
            values: values.collect::<Option<_>>()?,
        })
    }

    /// One number of `arm` for each seed; `None` if a seed lacks it, for example because it was finished by an earlier version.
    pub(super) fn of_every_seed(&self, arm: &str, number: &str) -> Option<Vec<f64>> {
        let cells = self.cells.get(arm)?.iter();
        let values = cells.map(|cell| cell.numbers.get(number).copied());
        let values: Vec<f64> = values.collect::<Option<_>>()?;
        (!values.is_empty()).then_some(values)
    }

    /// Items forward and backward of `arm` relative to the first arm, as the mean over seeds.
    pub(super) fn budget(&self, arm: &str) -> f64 {
        let sum = |arm: &str| -> f64 {
            let cells = self.cells.get(arm).map(Vec::as_slice).unwrap_or_default();
            cells.iter().map(|cell| cell.backward as f64).sum()
        };
        sum(arm) / self.arms.first().map_or(f64::NAN, |first| sum(&first.name))
    }
}

/// Name of the file in a run folder.
const CELLS_FILE: &str = "cells.json";

const CELLS: Work = Work {
    key: "cells",
    is: "a file of finished cells",
    holds: "cells",
};

/// Finished cells, kept in a file.
pub(super) struct Store {
    file: KeptFile,
    /// For each seed, cells by arm.
    cells: BTreeMap<u64, BTreeMap<String, Cell>>,
}

impl Store {
    /// The cells in `folder`, which must have the settings `of`; none without `resume`.
    pub(super) fn open(folder: &Path, of: Value, resume: bool) -> Result<Self> {
        let file = KeptFile::new(folder.join(CELLS_FILE), of, CELLS);
        Ok(Self {
            cells: file.read(resume)?.unwrap_or_default(),
            file,
        })
    }

    pub(super) fn has(&self, seed: u64, arm: &str) -> bool {
        let of_seed = self.cells.get(&seed);
        of_seed.is_some_and(|cells| cells.contains_key(arm))
    }

    pub(super) fn keep(&mut self, seed: u64, arm: &str, cell: Cell) -> Result<()> {
        let of_seed = self.cells.entry(seed).or_default();
        of_seed.insert(arm.to_string(), cell);
        self.file.write(&self.cells)
    }

    /// All cells of `arms`; `None` if one is missing.
    pub(super) fn all(&self, seeds: u64, arms: Vec<ArmName>) -> Option<Cells> {
        let of_arm = |arm: &ArmName| {
            let of_seed = |seed| self.cells.get(&seed)?.get(&arm.name).cloned();
            let cells: Option<Vec<Cell>> = (1..=seeds).map(of_seed).collect();
            Some((arm.name.clone(), cells?))
        };
        let cells = arms.iter().map(of_arm).collect::<Option<_>>()?;
        Some(Cells { arms, cells })
    }
}
