//! What became of one proposal, and who judges designs.

use crossburn_noise::Better;
use serde::{Deserialize, Serialize};

use super::space::{Design, Space};
use crate::TrainingError;

/// The score of a proposal that is no design, or of one that a limit refuses (LCDA, section 4).
pub const INVALID_SCORE: f64 = -1.0;

/// One number that a design is measured by.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Measure {
    /// Its name, such as `energy`.
    pub name: String,
    /// The unit of its values, such as `pJ`; empty for none.
    pub unit: String,
    /// Which end is the better one.
    pub better: Better,
}

impl Measure {
    /// A measure of this name and unit.
    pub fn new(name: &str, unit: &str, better: Better) -> Self {
        Self {
            name: name.to_string(),
            unit: unit.to_string(),
            better,
        }
    }

    /// Its name with its unit.
    pub fn heading(&self) -> String {
        match self.unit.as_str() {
            "" => self.name.clone(),
            unit => format!("{} ({unit})", self.name),
        }
    }
}

/// What a judge finds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Judged {
    /// One value for every measure of the judge.
    Measured(Vec<f64>),
    /// The design cannot be built, in words.
    Refused(String),
}

/// Who measures designs.
pub trait Judge: Sync {
    /// What it measures.
    fn measures(&self) -> &[Measure];

    /// Measures a design that keeps the constraints of its space. The same design always gives the same values.
    ///
    /// # Errors
    /// What keeps all designs from being measured, such as a file that cannot be read.
    fn judge(&self, space: &Space, design: &Design) -> Result<Judged, TrainingError>;

    /// What a judge that takes long knows of a design beforehand: one entry for each measure, or none where the design cannot be built. A design that is
    /// known to break a limit is not judged. By default `None`: judging is quick.
    ///
    /// # Errors
    /// Those of [`judge`](Self::judge).
    fn foresee(
        &self,
        space: &Space,
        design: &Design,
    ) -> Result<Option<Vec<Option<f64>>>, TrainingError> {
        let _ = (space, design);
        Ok(None)
    }
}

/// What became of one proposal.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// The design; none where the proposal was none.
    pub design: Option<Design>,
    /// Its measures, in the order of the judge; empty where there are none.
    pub values: Vec<f64>,
    /// Why it has no values, in words.
    pub refused: Option<String>,
    /// Its score; [`INVALID_SCORE`] without values.
    pub score: f64,
    /// Whether an earlier proposal of the same search was the same design, so that nothing was measured.
    pub repeated: bool,
}

impl Trial {
    /// Whether it was measured.
    pub fn is_valid(&self) -> bool {
        self.refused.is_none()
    }
}

/// The trial of the highest score that was measured; the first of equals.
pub fn best(trials: &[Trial]) -> Option<&Trial> {
    let valid = trials.iter().filter(|trial| trial.is_valid());
    valid.reduce(|best, trial| match trial.score > best.score {
        true => trial,
        false => best,
    })
}

/// The highest score after every evaluation at which it rose, counted from 1; [`INVALID_SCORE`] before any design was valid.
pub fn best_so_far(trials: &[Trial]) -> Vec<(usize, f64)> {
    let mut rises: Vec<(usize, f64)> = Vec::new();
    for (number, trial) in trials.iter().enumerate() {
        if rises.last().is_none_or(|(_, best)| trial.score > *best) {
            rises.push((number + 1, trial.score));
        }
    }
    rises
}
