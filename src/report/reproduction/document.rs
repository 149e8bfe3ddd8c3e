//! The document of a reproduction, as `results.json`: what a paper says, what was measured, and whether it holds.
//!
//! `docs/results.md` describes every field. Values of the metric stand as they are, such as fractions in `0..=1`.

use crossburn_noise::Metric;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::curve::{self, ReproductionCurve};
use super::{page, table};
use crate::report::check::{finite, invalid, possible};
use crate::report::document::origin;
use crate::report::draw::{ConfusionMatrix, Drawing, Page};
use crate::report::{Document, Origin, ReportError, Timing, last_version};

/// Name of the tables in Markdown.
const TABLE_FILE: &str = "table.md";

/// The acceptance experiment of one paper.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reproduction {
    /// Name and version of the format, [`Reproduction::SCHEMA`](Document::SCHEMA).
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
    /// Where the items come from.
    pub data: String,
    /// Seeds of trainings: every row was trained once with each.
    pub seeds: Vec<u64>,
    /// What the columns of the rows are.
    pub columns: Vec<ReproductionColumn>,
    /// One row per way of training.
    pub rows: Vec<ReproductionRow>,
    /// The paper's claims.
    pub claims: Vec<Claim>,
    /// Numbers of some rows over a quantity.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub curves: Vec<ReproductionCurve>,
    /// What was taken for what, of one row.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<ReproductionConfusion>,
    /// Wall time by stage.
    pub timing: Timing,
}

/// What was taken for what, of one way of training.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReproductionConfusion {
    /// Heading.
    pub title: String,
    /// Counts over all seeds.
    pub matrix: ConfusionMatrix,
}

/// A number that every way of training has, or some have.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReproductionColumn {
    /// Its name.
    pub name: String,
    /// What it measures.
    pub metric: Metric,
}

impl ReproductionColumn {
    /// A column with the name of its metric.
    pub fn of(metric: Metric) -> Self {
        Self {
            name: metric.name.to_string(),
            metric,
        }
    }
}

/// One way of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ReproductionRow {
    /// Its name.
    pub name: String,
    /// Items that went forward and backward, relative to the first row.
    pub budget: f64,
    /// One value per column and seed; none in a column that this training has no number for.
    pub values: Vec<Vec<f64>>,
}

/// The rank correlations of claims, as their `what` names them.
pub(crate) const RANK_CORRELATIONS: [&str; 2] = ["Kendall's τ", "Spearman's ρ"];

/// What a paper says of a number.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Claim {
    /// Its number in the experiment's list of expected results, such as `A3`; several claims may share one.
    /// `None` for a claim beyond that list, where the list has no numbers, and in earlier documents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// What is measured, in words.
    pub what: String,
    /// What was expected of it, in words, with its origin.
    pub expected: String,
    /// The measured value, one per seed: points, or what `what` says.
    pub measured: Vec<f64>,
    /// Their mean.
    pub mean: f64,
    /// A 95 % interval for the mean: over trainings, where there are several, or over what `what` says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interval: Option<[f64; 2]>,
    /// Whether what was expected holds.
    pub verdict: Verdict,
}

impl Claim {
    /// What is measured, after its label.
    pub(in crate::report) fn heading(&self) -> String {
        match &self.label {
            Some(label) => format!("{label}: {}", self.what),
            None => self.what.clone(),
        }
    }

    /// A label that is not blank, and finite numbers.
    pub(in crate::report) fn check(&self) -> Result<(), ReportError> {
        let name = format!("claim `{}`", self.what);
        if self.label.as_ref().is_some_and(|of| of.trim().is_empty()) {
            return Err(invalid(&name, "has a blank label".to_string()));
        }
        for value in self.measured.iter().chain([&self.mean]) {
            finite(&name, *value)?;
        }
        Ok(())
    }
}

/// Whether a claim holds, by the interval of the mean over trainings: a mean on the right side is not enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// The whole interval is what was expected; without an interval, the value is.
    Holds,
    /// None of the interval is.
    Fails,
    /// A part of the interval is: more trainings may tell.
    Unresolved,
}

impl Verdict {
    /// The word in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Holds => "holds",
            Self::Fails => "fails",
            Self::Unresolved => "unresolved",
        }
    }
}

impl Document for Reproduction {
    const SCHEMA: &'static str = "crossburn.reproduction/4";
    const LAST: Option<&'static str> = Some("crossburn.reproduction/3");
    const NOUN: &'static str = "a reproduction";
    const PLOTS: &'static [&'static str] = &curve::PLOTS;

    fn bring_up(last: &mut Value) {
        last_version::reproduction(last);
    }

    fn origin(&self) -> Origin<'_> {
        origin!(self)
    }

    /// Possible values for every column, of each seed or of none, and finite numbers.
    fn check_fields(&self) -> Result<(), ReportError> {
        for row in &self.rows {
            let name = &row.name;
            finite(&format!("row `{name}`: budget"), row.budget)?;
            if row.values.len() != self.columns.len() {
                return Err(invalid(
                    &format!("row `{name}`"),
                    format!("has not {} columns", self.columns.len()),
                ));
            }
            for (column, values) in self.columns.iter().zip(&row.values) {
                if !values.is_empty() && values.len() != self.seeds.len() {
                    return Err(invalid(
                        &format!("row `{name}`, column `{}`", column.name),
                        format!("has {} values for {} seeds", values.len(), self.seeds.len()),
                    ));
                }
                for value in values {
                    possible(&column.metric, &format!("row `{name}`"), *value)?;
                }
            }
        }
        if self.curves.len() > curve::PLOTS.len() {
            return Err(invalid(
                "curves",
                format!(
                    "are {}, of at most {}",
                    self.curves.len(),
                    curve::PLOTS.len()
                ),
            ));
        }
        for curve in &self.curves {
            curve.check(self.seeds.len())?;
        }
        if let Some(confusion) = &self.confusion {
            confusion.matrix.check()?;
        }
        self.claims.iter().try_for_each(Claim::check)
    }

    fn verb(_: &Value) -> Option<String> {
        Some("reproduce".into())
    }

    fn title(&self) -> String {
        format!("Crossburn reproduces {}", self.paper)
    }

    fn summary(&self) -> String {
        let count = |verdict| {
            let claims = self.claims.iter();
            claims.filter(|claim| claim.verdict == verdict).count()
        };
        format!(
            "Of {} claims {} hold over {} {}, {} fail, {} are unresolved.",
            self.claims.len(),
            count(Verdict::Holds),
            self.seeds.len(),
            if self.seeds.len() == 1 {
                "seed"
            } else {
                "seeds"
            },
            count(Verdict::Fails),
            count(Verdict::Unresolved),
        )
    }

    fn table(&self) -> Result<String, ReportError> {
        let (trainings, claims) = (table::trainings(self), table::claims(self));
        Ok(format!("{}\n\n{}", trainings.text(), claims.text()))
    }

    fn plots(&self) -> Result<Vec<Drawing>, ReportError> {
        let curves = self.curves.iter().zip(curve::PLOTS);
        Ok(curves.map(|(curve, id)| curve.drawing(id)).collect())
    }

    fn page(&self, plots: &[Drawing]) -> Result<Page, ReportError> {
        Ok(page::page(self, plots))
    }

    /// The tables in Markdown, for documents.
    fn other_files(&self) -> Vec<(&'static str, String)> {
        let (trainings, claims) = (table::trainings(self), table::claims(self));
        let tables = format!("{}\n\n{}\n", trainings.markdown(), claims.markdown());
        vec![(TABLE_FILE, tables)]
    }
}
