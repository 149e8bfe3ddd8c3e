//! The document of a store of passages, as `results.json`.
//!
//! `docs/results.md` describes every field.

use crossburn_hardware::search::StoreCost;
use crossburn_hardware::units::{Joule, Second, SquareMillimetre};
use crossburn_noise::Metric;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{page, plots, table};
use crate::report::check::{finite, invalid};
use crate::report::document::origin;
use crate::report::draw::{Drawing, Page};
use crate::report::{Document, Origin, PopulationSummary, ReportError, Timing};

/// A store of passages after the last index.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreReport {
    /// Name and version of the format, [`StoreReport::SCHEMA`](Document::SCHEMA).
    pub schema: String,
    /// Version of Crossburn.
    pub version: String,
    /// Commit of the source tree, where known.
    pub commit: Option<String>,
    /// Command line of the last index.
    pub reproduce: String,
    /// The resolved settings: encoder, device, mapping, words of a passage.
    pub config: Value,
    /// The encoder.
    pub encoder: String,
    /// The memory cells.
    pub device: String,
    /// The hardware: arrays, mapping, cost.
    pub hardware: String,
    /// Numbers of a vector.
    pub dimension: usize,
    /// Bits of a number.
    pub bits: u8,
    /// Files that the passages come from.
    pub documents: usize,
    /// Passages in the store.
    pub passages: usize,
    /// What the last index changed.
    pub changes: StoreChanges,
    /// What the arrays cost; none for hardware without costs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<StoreCost>,
    /// What a search costs in stores of other sizes, by rising size; empty for hardware without costs. `timing` has the seconds of a scan of as
    /// many vectors on the processor, as far as it was measured.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sizes: Vec<StoreSize>,
    /// How often a question finds its passage; none where no question was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub questions: Option<StoreQuestions>,
    /// Wall time by stage.
    pub timing: Timing,
}

/// What a search costs in a store of some size, by the cost model.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreSize {
    /// Stored vectors.
    pub vectors: u64,
    /// Area of all arrays.
    pub area: SquareMillimetre,
    /// Energy of one search.
    pub query_energy: Joule,
    /// Time of one search.
    pub query_latency: Second,
}

/// The stage of [`Timing`] that one scan of `vectors` vectors on the processor is.
pub(crate) fn scan_of(vectors: u64) -> String {
    format!("scan of {vectors} vectors")
}

/// What an index changed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreChanges {
    /// Passages that are new in the store.
    pub added: usize,
    /// Passages that are no longer in the store.
    pub erased: usize,
    /// Passages of the documents that repeat another one, and are not stored again.
    pub duplicates: usize,
    /// Passages that are not stored, since the encoder finds no word in them.
    pub left_out: usize,
}

/// How often questions find the passages that they were taken from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StoreQuestions {
    /// How many questions.
    pub count: usize,
    /// The share of questions whose passage comes first in an ideal search.
    pub ideal: f64,
    /// That share on each chip; none without chips.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chips: Option<PopulationSummary>,
}

impl StoreQuestions {
    /// The share of questions whose passage comes first.
    pub fn metric() -> Metric {
        Metric::share("recall@1")
    }
}

impl Document for StoreReport {
    const SCHEMA: &'static str = "crossburn.store/1";
    const NOUN: &'static str = "a store of passages";
    const PLOTS: &'static [&'static str] = &plots::PLOTS;

    fn origin(&self) -> Origin<'_> {
        origin!(self)
    }

    fn check_fields(&self) -> Result<(), ReportError> {
        if self.passages == 0 {
            return Err(invalid("passages", "is 0".into()));
        }
        let rising = self.sizes.is_sorted_by(|a, b| a.vectors < b.vectors);
        if !rising || self.sizes.first().is_some_and(|first| first.vectors == 0) {
            return Err(invalid("sizes", "do not rise from above 0".into()));
        }
        for size in &self.sizes {
            let name = format!("sizes, {} vectors", size.vectors);
            for value in [
                size.area.get(),
                size.query_energy.get(),
                size.query_latency.get(),
            ] {
                finite(&name, value)?;
            }
        }
        let Some(questions) = &self.questions else {
            return Ok(());
        };
        let metric = StoreQuestions::metric();
        crate::report::check::possible(&metric, "questions.ideal", questions.ideal)?;
        match &questions.chips {
            Some(chips) => chips.check(&metric, "questions.chips"),
            None => Ok(()),
        }
    }

    fn verb(_: &Value) -> Option<String> {
        Some("rag index".into())
    }

    fn title(&self) -> String {
        format!("Crossburn store of passages on {}", self.device)
    }

    fn summary(&self) -> String {
        let held = format!(
            "{} passages of {} documents lie in the arrays",
            self.passages, self.documents
        );
        let metric = StoreQuestions::metric();
        match &self.questions {
            None => format!("{held}."),
            Some(StoreQuestions {
                ideal, chips: None, ..
            }) => format!(
                "{held}; {} of the questions find their passage first in an ideal search.",
                metric.show(*ideal)
            ),
            Some(StoreQuestions {
                ideal,
                chips: Some(chips),
                ..
            }) => format!(
                "{held}; {} of the questions find their passage first in an ideal search, {} on {} chips.",
                metric.show(*ideal),
                metric.show(chips.mean),
                chips.chips
            ),
        }
    }

    fn table(&self) -> Result<String, ReportError> {
        Ok(table::text(self))
    }

    fn plots(&self) -> Result<Vec<Drawing>, ReportError> {
        Ok(plots::plots(self))
    }

    fn page(&self, plots: &[Drawing]) -> Result<Page, ReportError> {
        Ok(page::page(self, plots))
    }
}
