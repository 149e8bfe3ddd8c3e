//! The document of a worst-case search, as `results.json`.
//!
//! `docs/results.md` describes every field. All accuracies are fractions in `0..=1`.

use crossburn_noise::worst_case::{LayerSensitivity, PathPoint, Search};
use crossburn_training::{AttackActivations, AttackLoss};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ReportError;
use super::document::Document;
use super::results::{Timing, accuracy, finite, invalid};
use super::worst_case_certificate::CertificateResults;

/// The schema of worst-case searches that this version writes and the only one it reads.
pub const WORST_CASE_SCHEMA: &str = "crossburn.worst-case/3";

/// What a worst-case search found, together with everything needed to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WorstCaseResults {
    /// Name and version of the format, [`WORST_CASE_SCHEMA`].
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
    /// Test images that the search knew, and that accuracies are of.
    pub images: usize,
    /// How every search looked.
    pub search: Search,
    /// Largest deviation relative to the layer's max|W|; on a hardware that of a cell relative to its range.
    pub bound: f64,
    /// The hardware whose cells deviate; left out where weights do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<WorstCaseHardware>,
    /// Accuracy without deviation.
    pub clean: f64,
    /// The lowest accuracy of an admissible deviation that any search or random chip had: an upper bound on the worst case.
    pub accuracy: f64,
    /// What found it.
    pub found_by: FoundBy,
    /// Share of its entries at their bound.
    pub fraction_at_bound: f64,
    /// The part of every weight in it, by path; `first_order` is of the surrogate of the first search.
    pub layers: Vec<LayerSensitivity>,
    /// One search at this bound per surrogate loss, and per kind of activations that gradients went through.
    pub searches: Vec<SearchSummary>,
    /// Accuracy against the bound, by increasing bound, that of the run among them.
    pub curve: Vec<BoundPoint>,
    /// Random chips within the same bound; left out where none were drawn.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<RandomChips>,
    /// What no admissible deviation can do; left out where it was not asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateResults>,
    /// The deviation on images that the search did not know.
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
    /// Accuracy of the weights that cells with the found deviation hold.
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
        surrogate: AttackLoss,
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
    /// The surrogate loss that it lowered where it found the lowest accuracy.
    pub surrogate: AttackLoss,
    /// What its gradients went through; accuracy is always that of the network itself.
    pub activations: AttackActivations,
    /// Lowest accuracy that it found.
    pub accuracy: f64,
    /// The surrogate loss there, per image.
    pub loss: f64,
    /// Restart that found it, from 0; of the automatic search the leg.
    pub restart: usize,
    /// Iteration of the restart, from 0.
    pub iteration: usize,
    /// Evaluations of all images: the budget that was spent.
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
    pub surrogate: AttackLoss,
    /// The leg from whose lowest point it began; the clean network where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<usize>,
    /// Lowest accuracy of an admissible deviation that it met; left out where it met none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accuracy: Option<f64>,
    /// Its evaluations.
    pub evaluations: u64,
}

/// The worst case within one bound.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BoundPoint {
    /// The bound.
    pub bound: f64,
    /// Lowest accuracy of a deviation within it, those found within smaller bounds and random chips among them.
    pub accuracy: f64,
    /// Lowest accuracy that the searches in this very bound found.
    pub searched: f64,
    /// Evaluations of these searches.
    pub evaluations: u64,
}

/// Accuracy of random chips within the bound.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RandomChips {
    /// Number of chips.
    pub chips: usize,
    /// Mean accuracy.
    pub mean: f64,
    /// Standard deviation of the accuracy.
    pub std: f64,
    /// Lowest accuracy of these chips.
    pub worst: f64,
    /// Accuracy of each chip, in chip order.
    pub accuracy: Vec<f64>,
}

/// The deviation on other images.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Transfer {
    /// Where they are from.
    pub from: TransferFrom,
    /// Their number.
    pub images: usize,
    /// Accuracy of the clean network on them.
    pub clean: f64,
    /// Accuracy with the deviation.
    pub accuracy: f64,
}

/// Images that a search did not know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TransferFrom {
    /// Test images behind those of the search.
    Test,
    /// Training images, where no test images are left.
    Training,
}

impl Document for WorstCaseResults {
    const SCHEMA: &'static str = WORST_CASE_SCHEMA;

    fn schema(&self) -> &str {
        &self.schema
    }

    fn timing(&self) -> &Timing {
        &self.timing
    }

    /// Finite numbers, accuracies in `0..=1` that belong together.
    fn check_fields(&self) -> Result<(), ReportError> {
        accuracy("clean", self.clean)?;
        accuracy("accuracy", self.accuracy)?;
        accuracy("fraction_at_bound", self.fraction_at_bound)?;
        if self.accuracy > self.clean {
            return Err(invalid(
                "accuracy",
                format!("is above clean = {}", self.clean),
            ));
        }
        for layer in &self.layers {
            finite(
                &format!("layer `{}`: first_order", layer.path),
                layer.first_order,
            )?;
            accuracy(
                &format!("layer `{}`: fraction_at_bound", layer.path),
                layer.fraction_at_bound,
            )?;
        }
        if self.searches.is_empty() {
            return Err(invalid("searches", "is empty".into()));
        }
        for search in &self.searches {
            accuracy("searches: accuracy", search.accuracy)?;
            if self.accuracy > search.accuracy {
                let lower = search.accuracy;
                return Err(invalid(
                    "accuracy",
                    format!("is above that of a search, {lower}"),
                ));
            }
            for lowest in search.legs.iter().filter_map(|leg| leg.accuracy) {
                accuracy("searches: legs: accuracy", lowest)?;
            }
            for point in &search.path {
                accuracy("searches: path: accuracy", point.accuracy)?;
                finite("searches: path: loss", point.loss)?;
            }
        }
        for point in &self.curve {
            finite("curve: bound", point.bound)?;
            accuracy("curve: accuracy", point.accuracy)?;
            accuracy("curve: searched", point.searched)?;
        }
        let falls = |a: &BoundPoint, b: &BoundPoint| a.bound < b.bound && a.accuracy >= b.accuracy;
        if !self.curve.is_sorted_by(falls) {
            return Err(invalid(
                "curve",
                "is not ordered by increasing bound with accuracies that do not rise".into(),
            ));
        }
        if let Some(random) = &self.random {
            if random.accuracy.len() != random.chips {
                let found = random.accuracy.len();
                return Err(invalid(
                    "random",
                    format!("has {found} accuracies for {} chips", random.chips),
                ));
            }
            accuracy("random.mean", random.mean)?;
            accuracy("random.worst", random.worst)?;
            if self.accuracy > random.worst {
                let worst = random.worst;
                return Err(invalid(
                    "accuracy",
                    format!("is above random.worst = {worst}"),
                ));
            }
            finite("random.std", random.std)?;
        }
        if let Some(hardware) = &self.hardware {
            accuracy("hardware.read_back", hardware.read_back)?;
        }
        if let Some(certificate) = &self.certificate {
            certificate.check(self.accuracy)?;
        }
        accuracy("transfer.clean", self.transfer.clean)?;
        accuracy("transfer.accuracy", self.transfer.accuracy)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::super::example;
    use super::*;

    #[test]
    fn a_document_is_read_as_it_was_written_and_known_by_its_schema() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("results.json");
        let results = example::worst_case();
        results.write(&path).unwrap();
        assert_eq!(WorstCaseResults::read(folder.path()).unwrap(), results);
        assert!(WorstCaseResults::is_at(&path).unwrap());
        example::results().write(&path).unwrap();
        assert!(!WorstCaseResults::is_at(&path).unwrap());
        let message = WorstCaseResults::read(&path).unwrap_err().to_string();
        assert!(message.contains(WORST_CASE_SCHEMA), "{message}");
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
        assert!(message(|r| r.accuracy = 0.98).contains("accuracy is above clean = 0.97"));
        assert!(message(|r| r.accuracy = 0.2).contains("accuracy is above that of a search, 0.15"));
        let message_ = message(|r| r.random.as_mut().unwrap().worst = 0.1);
        assert!(message_.contains("accuracy is above random.worst = 0.1"));
        assert!(message(|r| r.clean = 97.0).contains("clean is 97, outside 0..=1"));
        assert!(message(|r| r.curve.reverse()).contains("not ordered by increasing bound"));
        assert!(message(|r| r.curve[1].accuracy = 0.9).contains("accuracies that do not rise"));
        assert!(message(|r| r.searches.clear()).contains("searches is empty"));
        assert!(message(|r| r.searches[0].path[1].loss = f64::NAN).contains("path: loss is NaN"));
        assert!(
            message(|r| r.random.as_mut().unwrap().chips = 3).contains("20 accuracies for 3 chips")
        );
    }
}
