//! The document of a worst-case search, as `results.json`.
//!
//! `docs/results.md` describes every field. Values of the metric stand as they are, such as fractions in `0..=1`.

use crossburn_noise::Metric;
use crossburn_noise::worst_case::{LayerSensitivity, PathPoint, Search};
use crossburn_training::AttackActivations;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::certificate::CertificateResults;
use super::{page, plots, summary, table};
use crate::report::check::{finite, fraction, invalid, possible};
use crate::report::document::origin;
use crate::report::draw::{Drawing, Page};
use crate::report::{Document, Origin, ReportError, Timing, last_version};

/// What a worst-case search found, together with everything needed to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorstCaseResults {
    /// Name and version of the format, [`WorstCaseResults::SCHEMA`](Document::SCHEMA).
    pub schema: String,
    /// Version of Crossburn.
    pub version: String,
    /// Commit of the source tree, where known.
    pub commit: Option<String>,
    /// Command line that repeats the run.
    pub reproduce: String,
    /// The resolved configuration, in the order of its fields.
    pub config: Value,
    /// Name of the data source.
    pub data: String,
    /// Test items that the search knew, and that values are of.
    pub items: usize,
    /// What chips are judged by.
    pub metric: Metric,
    /// How every search looked.
    pub search: Search,
    /// Largest deviation relative to the layer's max|W|; on a hardware that of a cell relative to its range.
    pub bound: f64,
    /// The hardware whose cells deviate; left out where weights do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<WorstCaseHardware>,
    /// The metric without deviation.
    pub clean: f64,
    /// The worst metric of an admissible deviation that any search or random chip had: the true worst case is at least as bad.
    pub worst: f64,
    /// What found it.
    pub found_by: FoundBy,
    /// Share of its entries at their bound.
    pub fraction_at_bound: f64,
    /// The part of every weight in it, by path; `first_order` is of the surrogate of the first search.
    pub layers: Vec<LayerSensitivity>,
    /// One search at this bound per surrogate loss, and per kind of activations that gradients went through.
    pub searches: Vec<SearchSummary>,
    /// The worst case against the bound, by increasing bound, that of the run among them.
    pub curve: Vec<BoundPoint>,
    /// Random chips within the same bound; left out where none were drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<RandomChips>,
    /// What no admissible deviation can do; left out where it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateResults>,
    /// The deviation on items that the search did not know.
    pub transfer: Transfer,
    /// Durations, the only part that differs between two runs with one seed.
    pub timing: Timing,
}

/// A hardware whose cells deviate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorstCaseHardware {
    /// Name of the hardware: a preset, or a file without its ending.
    pub name: String,
    /// Kind of its memory cell.
    pub device: String,
    /// The metric of the weights that cells with the found deviation hold.
    pub read_back: f64,
}

/// What found the worst deviation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "kebab-case", deny_unknown_fields)]
pub enum FoundBy {
    /// A search.
    Search {
        /// The bound that it searched within: that of the run, or a smaller one.
        bound: f64,
        /// Its method; of the automatic search that of the leg.
        method: String,
        /// The surrogate loss that it lowered.
        surrogate: String,
        /// What its gradients went through.
        activations: AttackActivations,
    },
    /// A random chip.
    RandomChip {
        /// Its number, from 0.
        chip: usize,
    },
}

/// One search at the bound of the run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchSummary {
    /// The surrogate loss that it lowered where it found the worst chip.
    pub surrogate: String,
    /// What its gradients went through; the metric is always that of the network itself.
    pub activations: AttackActivations,
    /// Worst metric that it found.
    pub worst: f64,
    /// The surrogate loss there, per item.
    pub loss: f64,
    /// Restart that found it, from 0; of the automatic search the leg.
    pub restart: usize,
    /// Iteration of the restart, from 0.
    pub iteration: usize,
    /// Evaluations of all items: the budget that was spent.
    pub evaluations: u64,
    /// How many of them took a gradient.
    pub gradients: u64,
    /// The legs of the automatic search in order; left out of any other.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<LegSummary>,
    /// Every evaluation, in order; the first is the clean network.
    pub path: Vec<PathPoint>,
}

/// One leg of an automatic search.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LegSummary {
    /// What it did.
    pub method: String,
    /// The surrogate loss that it lowered.
    pub surrogate: String,
    /// The leg from whose lowest point it began; the clean network where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<usize>,
    /// Worst metric of an admissible deviation that it met; left out where it met none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst: Option<f64>,
    /// Its evaluations.
    pub evaluations: u64,
}

/// The worst case within one bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundPoint {
    /// The bound.
    pub bound: f64,
    /// Worst metric of a deviation within it, those found within smaller bounds and random chips among them.
    pub worst: f64,
    /// Worst metric that the searches in this very bound found.
    pub searched: f64,
    /// Evaluations of these searches.
    pub evaluations: u64,
}

/// Random chips within the bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomChips {
    /// Number of chips.
    pub chips: usize,
    /// Mean of the metric.
    pub mean: f64,
    /// Standard deviation of the metric.
    pub std: f64,
    /// The worst of these chips.
    pub worst: f64,
    /// The metric of each chip, in chip order.
    pub values: Vec<f64>,
}

/// The deviation on other items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Where they are from.
    pub from: TransferFrom,
    /// Their number.
    pub items: usize,
    /// The metric of the clean network on them.
    pub clean: f64,
    /// The metric with the deviation.
    pub deviated: f64,
}

/// Items that a search did not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferFrom {
    /// Test items after those of the search.
    Test,
    /// Training items, where no test items are left.
    Training,
}

impl Document for WorstCaseResults {
    const SCHEMA: &'static str = "crossburn.worst-case/4";
    const LAST: Option<&'static str> = Some("crossburn.worst-case/3");
    const NOUN: &'static str = "a worst-case search";
    const PLOTS: &'static [&'static str] = &plots::PLOTS;

    fn bring_up(last: &mut Value) {
        last_version::worst_case(last);
    }

    fn origin(&self) -> Origin<'_> {
        origin!(self)
    }

    /// Finite numbers, and values of the metric that belong together.
    fn check_fields(&self) -> Result<(), ReportError> {
        let better = |a: f64, b: f64| self.metric.better.is_worse(b, a);
        let possible = |field: &str, value: f64| possible(&self.metric, field, value);
        possible("clean", self.clean)?;
        possible("worst", self.worst)?;
        fraction("fraction_at_bound", self.fraction_at_bound)?;
        if better(self.worst, self.clean) {
            return Err(invalid(
                "worst",
                format!("is better than clean = {}", self.clean),
            ));
        }
        for layer in &self.layers {
            finite(
                &format!("layer `{}`: first_order", layer.path),
                layer.first_order,
            )?;
            fraction(
                &format!("layer `{}`: fraction_at_bound", layer.path),
                layer.fraction_at_bound,
            )?;
        }
        if self.searches.is_empty() {
            return Err(invalid("searches", "is empty".into()));
        }
        for search in &self.searches {
            possible("searches: worst", search.worst)?;
            if better(self.worst, search.worst) {
                let worse = search.worst;
                return Err(invalid(
                    "worst",
                    format!("is better than that of a search, {worse}"),
                ));
            }
            for worst in search.legs.iter().filter_map(|leg| leg.worst) {
                possible("searches: legs: worst", worst)?;
            }
            for point in &search.path {
                finite("searches: path: score", point.score)?;
                finite("searches: path: loss", point.loss)?;
            }
        }
        for point in &self.curve {
            finite("curve: bound", point.bound)?;
            possible("curve: worst", point.worst)?;
            possible("curve: searched", point.searched)?;
        }
        let falls = |a: &BoundPoint, b: &BoundPoint| a.bound < b.bound && !better(b.worst, a.worst);
        if !self.curve.is_sorted_by(falls) {
            return Err(invalid(
                "curve",
                "is not ordered by increasing bound with a metric that gets no better".into(),
            ));
        }
        if let Some(random) = &self.random {
            if random.values.len() != random.chips {
                let found = random.values.len();
                return Err(invalid(
                    "random",
                    format!("has {found} values for {} chips", random.chips),
                ));
            }
            possible("random.mean", random.mean)?;
            possible("random.worst", random.worst)?;
            if better(self.worst, random.worst) {
                let worst = random.worst;
                return Err(invalid(
                    "worst",
                    format!("is better than random.worst = {worst}"),
                ));
            }
            finite("random.std", random.std)?;
        }
        if let Some(hardware) = &self.hardware {
            possible("hardware.read_back", hardware.read_back)?;
        }
        if let Some(certificate) = &self.certificate {
            certificate.check(self.worst)?;
        }
        possible("transfer.clean", self.transfer.clean)?;
        possible("transfer.deviated", self.transfer.deviated)?;
        Ok(())
    }

    fn verb(_: &Value) -> Option<String> {
        Some("worst-case".into())
    }

    fn title(&self) -> String {
        format!("Crossburn worst case: {}", self.data)
    }

    fn summary(&self) -> String {
        summary::headline(self)
    }

    fn table(&self) -> Result<String, ReportError> {
        Ok(table::tables(self))
    }

    fn plots(&self) -> Result<Vec<Drawing>, ReportError> {
        Ok(plots::plots(self))
    }

    fn page(&self, plots: &[Drawing]) -> Result<Page, ReportError> {
        Ok(page::page(self, plots))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::report::registry::Kind;
    use crate::report::{Results, example};

    #[test]
    fn a_document_is_read_as_it_was_written_and_known_by_its_schema() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let results = example::worst_case();
        results.write(&path).unwrap();
        assert_eq!(WorstCaseResults::read(folder.path()).unwrap(), results);
        assert!(Kind::at(&path).unwrap().is::<WorstCaseResults>());
        example::results().write(&path).unwrap();
        assert!(Kind::at(&path).unwrap().is::<Results>());
        let message = WorstCaseResults::read(&path).unwrap_err().to_string();
        assert!(message.contains(WorstCaseResults::SCHEMA), "{message}");
        let text = results.to_json().unwrap();
        let text = text.replacen("\"bound\"", "\"colour\": 1, \"bound\"", 1);
        fs_err::write(&path, text).unwrap();
        let message = WorstCaseResults::read(&path).unwrap_err().to_string();
        assert!(message.contains("unknown field `colour`"), "{message}");
    }

    #[test]
    fn values_that_no_search_has_are_refused() {
        let message = |change: fn(&mut WorstCaseResults)| {
            let mut results = example::worst_case();
            change(&mut results);
            results.to_json().unwrap_err().to_string()
        };
        assert!(message(|r| r.worst = 0.98).contains("worst is better than clean = 0.97"));
        assert!(message(|r| r.worst = 0.2).contains("worst is better than that of a search, 0.15"));
        let message_ = message(|r| r.random.as_mut().unwrap().worst = 0.1);
        assert!(message_.contains("worst is better than random.worst = 0.1"));
        assert!(message(|r| r.clean = 97.0).contains("clean is 97, outside 0..=1"));
        assert!(message(|r| r.curve.reverse()).contains("not ordered by increasing bound"));
        assert!(message(|r| r.curve[1].worst = 0.9).contains("a metric that gets no better"));
        assert!(message(|r| r.searches.clear()).contains("searches is empty"));
        assert!(message(|r| r.searches[0].path[1].loss = f64::NAN).contains("path: loss is NaN"));
        assert!(
            message(|r| r.random.as_mut().unwrap().chips = 3).contains("20 values for 3 chips")
        );
    }
}
