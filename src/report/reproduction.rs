//! The document of a reproduction, as `results.json`: what a paper says, what was measured, and whether it holds.
//!
//! `docs/results.md` describes every field. All accuracies are fractions in `0..=1`.

use std::path::Path;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ReportError;
use super::atomic::write_file;
use super::results::{Timing, accuracy, finite, invalid, read_text, require_schema, schema};

/// The schema of reproductions that this version writes and the only one it reads.
pub const REPRODUCTION_SCHEMA: &str = "crossburn.reproduction/1";

/// The acceptance experiment of one paper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reproduction {
    /// Name and version of the format, [`REPRODUCTION_SCHEMA`].
    pub schema: String,
    /// Version of Crossburn.
    pub version: String,
    /// Commit of the source tree, where known.
    pub commit: Option<String>,
    /// Command line that repeats the run.
    pub reproduce: String,
    /// The resolved configuration.
    pub config: Value,
    /// Which paper.
    pub paper: String,
    /// Where the images come from.
    pub data: String,
    /// Seeds of trainings: every row was trained once with each.
    pub seeds: Vec<u64>,
    /// What the columns of the rows are.
    pub columns: Vec<String>,
    /// One row per way of training.
    pub rows: Vec<ReproductionRow>,
    /// The paper's claims.
    pub claims: Vec<Claim>,
    /// Wall time by stage.
    pub timing: Timing,
}

/// One way of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReproductionRow {
    /// Its name.
    pub name: String,
    /// Images that went forward and backward, relative to a training without noise.
    pub budget: f64,
    /// One accuracy per column and seed.
    pub accuracy: Vec<Vec<f64>>,
}

/// What a paper says of a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// What is measured, in words.
    pub what: String,
    /// What was expected of it, in words, with its origin.
    pub expected: String,
    /// The measured value, one per seed: points, or what `what` says.
    pub measured: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// A 95 % interval for the mean over trainings, where there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// Whether the mean is what was expected.
    pub holds: bool,
}

impl Reproduction {
    /// Whether the document at `path` is that of a reproduction.
    ///
    /// # Errors
    /// [`ReportError::Read`] naming the path, and [`ReportError::Parse`].
    pub fn is_at(path: &Path) -> Result<bool, ReportError> {
        let (file, text) = read_text(path)?;
        Ok(schema(&text, &file)? == REPRODUCTION_SCHEMA)
    }

    /// Checks what the types cannot say.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] names the first field that is wrong.
    pub fn check(&self) -> Result<(), ReportError> {
        if self.schema != REPRODUCTION_SCHEMA {
            return Err(invalid(
                "schema",
                format!("is `{}`, not `{REPRODUCTION_SCHEMA}`", self.schema),
            ));
        }
        for row in &self.rows {
            let name = &row.name;
            finite(&format!("row `{name}`: budget"), row.budget)?;
            if row.accuracy.len() != self.columns.len() {
                return Err(invalid(
                    &format!("row `{name}`"),
                    format!("has not {} columns", self.columns.len()),
                ));
            }
            for value in row.accuracy.iter().flatten() {
                accuracy(&format!("row `{name}`"), *value)?;
            }
        }
        for claim in &self.claims {
            for value in claim.measured.iter().chain([&claim.mean]) {
                finite(&format!("claim `{}`", claim.what), *value)?;
            }
        }
        Ok(())
    }

    /// The document as pretty JSON with a final newline.
    ///
    /// # Errors
    /// [`ReportError::Invalid`] if [`Reproduction::check`] fails.
    pub fn to_json(&self) -> Result<String, ReportError> {
        self.check()?;
        let mut text =
            serde_json::to_string_pretty(self).map_err(|source| ReportError::Encode { source })?;
        text.push('\n');
        Ok(text)
    }

    /// Reads the document at `path`, a `results.json` or the run folder that holds one.
    ///
    /// # Errors
    /// [`ReportError::Read`] naming the path, [`ReportError::Schema`] for another schema, [`ReportError::Parse`] and
    /// [`ReportError::Invalid`].
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let (file, text) = read_text(path)?;
        require_schema(&text, &file, REPRODUCTION_SCHEMA)?;
        let results: Self = serde_json::from_str(&text).map_err(|source| ReportError::Parse {
            path: file.clone(),
            source,
        })?;
        results.check()?;
        Ok(results)
    }

    /// Writes the document to `path`, whole or not at all.
    ///
    /// # Errors
    /// As [`Reproduction::to_json`], and [`ReportError::Write`] naming the path.
    pub fn write(&self, path: &Path) -> Result<(), ReportError> {
        write_file(path, &self.to_json()?)
    }
}
