//! The results document: what one run measured, as `results.json`.
//!
//! `docs/results.md` describes every field. Values of the metric stand as they are, such as fractions in `0..=1`; the report
//! writes them in the metric's unit.
//! Unknown fields are refused, so that a document of another version is never half understood.

use std::collections::BTreeMap;

use crossburn_noise::{Metric, NoiseError, Population};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use super::figures::Figures;
use super::percentiles::Percentiles;
use super::{page, plots, summary, table};
use crate::report::check::{finite, fraction, invalid, possible};
use crate::report::document::origin;
use crate::report::draw::{ConfusionMatrix, Drawing, Page};
use crate::report::{Document, Origin, ReportError, Timing, last_version};

/// What one run measured, together with everything needed to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Results {
    /// Name and version of the format, [`Results::SCHEMA`](Document::SCHEMA).
    pub schema: String,
    /// The verb that made the run.
    pub command: RunCommand,
    /// Version of Crossburn.
    pub version: String,
    /// Commit of the source tree, where known.
    pub commit: Option<String>,
    /// Command line that repeats the run.
    pub reproduce: String,
    /// The resolved configuration, in the order of its fields.
    pub config: Value,
    /// The data that the run used.
    pub data: DataSummary,
    /// What networks and chips are judged by.
    pub metric: Metric,
    /// What training curves show, where that is another metric.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub training_metric: Option<Metric>,
    /// Variation under which the chips were evaluated: an object with a `kind` and, for a Gaussian one,
    /// `sigma_rel_wmax`. `None` if no chip was evaluated.
    pub deployment: Option<Value>,
    /// One entry per training method, in the order of the run.
    pub methods: Vec<MethodResults>,
    /// What test items are taken for without variation; left out of a task without labels, and where several trained networks
    /// are compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub confusion: Option<ConfusionMatrix>,
    /// Charts and pictures of the test items; left out where there are none.
    #[serde(default, skip_serializing_if = "Figures::is_empty")]
    pub figures: Figures,
    /// Durations, the only part that differs between two runs with one seed.
    pub timing: Timing,
}

/// The verb of the command line that made a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RunCommand {
    /// `crossburn demo`: train several methods and compare their chips.
    Demo,
    /// `crossburn train`: train one network.
    Train,
    /// `crossburn tune`: train an adapter of a language model.
    Tune,
    /// `crossburn evaluate`: evaluate a population of chips of one checkpoint.
    Evaluate,
    /// `crossburn compress`: quantize a trained network, and compare it with what it was.
    Compress,
    /// `crossburn import`: make a checkpoint of the weights of another program.
    Import,
}

impl RunCommand {
    /// The verb as typed.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Demo => "demo",
            Self::Train => "train",
            Self::Tune => "tune",
            Self::Evaluate => "evaluate",
            Self::Compress => "compress",
            Self::Import => "import",
        }
    }
}

/// Where the data came from and how many items each part has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DataSummary {
    /// Name of the data source.
    pub source: String,
    /// Items used for training.
    pub train: usize,
    /// Items used for choosing between epochs.
    pub validation: usize,
    /// Items used for what is reported.
    pub test: usize,
}

/// One training method: how it was trained, and how its chips perform.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MethodResults {
    /// Name, unique in the document. The method `plain` (training without noise) is the baseline of the summary.
    pub name: String,
    /// Noise injected in training; null for none.
    pub training_noise: Value,
    /// The noises that this one was chosen from, itself among them; left out where nothing was chosen.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tried: Vec<TriedNoise>,
    /// The metric of the test items without variation.
    pub clean: f64,
    /// Other numbers of the test items without variation; left out where there are none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<AlsoMeasured>,
    /// Training curve, one row per epoch; empty if the run did not train.
    pub curve: Vec<EpochRow>,
    /// The metric over a population of chips under the deployment variation.
    pub population: Option<PopulationSummary>,
    /// The metric against the strength of the variation, by increasing σ; empty if not measured.
    pub sweep: Vec<SweepPoint>,
    /// The network on a hardware; left out where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hardware: Option<OnHardware>,
    /// Percentiles by a race, to a width, or rare; left out where none was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub percentiles: Option<Percentiles>,
}

/// A training noise that was tried, and how its chips performed on the validation items.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriedNoise {
    /// Noise injected in training.
    pub training_noise: Value,
    /// Chips that were drawn to choose; none of them is among those of the population.
    pub chips: u64,
    /// KPP(5) of these chips on the validation items.
    pub kpp5: f64,
}

/// A network on a hardware: how its programmed chips perform and what they cost.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnHardware {
    /// Name of the hardware: a preset, or a file without its ending.
    pub name: String,
    /// Kind of its memory cell.
    pub device: String,
    /// `weight` or `array`.
    pub fidelity: String,
    /// The metric on ideal cells: what mapping and converters leave of the clean one.
    pub ideal: f64,
    /// The metric over programmed chips; left out where the population of the method is it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub population: Option<PopulationSummary>,
    /// What it costs; left out where the hardware does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostSummary>,
}

/// The cost of one network on one hardware. `crossburn map` has it by layer and component.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CostSummary {
    /// Whose figures of converters were used.
    pub adc_estimator: String,
    /// Arrays of the network.
    pub arrays: u64,
    /// Energy per inference in joules.
    pub energy: f64,
    /// Share of the converters in it, in `0..=1`.
    pub adc_share_of_energy: f64,
    /// Time of one item in seconds, layer after layer.
    pub latency: f64,
    /// Area in square millimetres.
    pub area: f64,
    /// Energy of programming once in joules.
    pub programming_energy: f64,
}

/// One epoch of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EpochRow {
    /// Epoch, counted from 1.
    pub epoch: usize,
    /// Learning rate at the end of the epoch.
    pub learning_rate: f64,
    /// Mean training loss. A loss that is not finite is written as null and read as NaN, so that a run that diverged
    /// still has a document.
    #[serde(deserialize_with = "null_as_nan")]
    pub train_loss: f64,
    /// The metric of the training items; null where it is not defined on them.
    pub train_metric: Option<f64>,
    /// The metric of the validation items without variation.
    pub validation: f64,
    /// The metric of the validation items under variation, if it was measured.
    pub validation_noisy: Option<f64>,
}

/// The metric over a population of chips. Chip `i` is the same chip on every machine: it follows from `seed` and
/// `first + i`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PopulationSummary {
    /// Seed of the population.
    pub seed: u64,
    /// Number of the first chip.
    pub first: u64,
    /// Number of chips.
    pub chips: usize,
    /// Test items evaluated on each chip.
    pub items: usize,
    /// Mean over the chips.
    pub mean: f64,
    /// Standard deviation over the chips.
    pub std: f64,
    /// The worst of these chips (worst of n random chips, not a worst-case search).
    pub worst: f64,
    /// KPP(k) by k in per cent, in numeric order.
    pub kpp: BTreeMap<u8, KppEntry>,
    /// The metric of each chip, in chip order.
    pub values: Vec<f64>,
}

/// k-th percentile performance, KPP(k): what (100 − k) % of chips reach or, where lower is better, do not exceed, by linear interpolation of the
/// order statistics (quantile rule of type 7), with a 95 % distribution-free interval from order statistics.
///
/// # Source
///
/// KPP: ICCAD 2023, arXiv 2307.15853.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KppEntry {
    /// The percentile.
    pub value: f64,
    /// Lower end of the interval; `None` where the population is too small to bound this side.
    pub low: Option<f64>,
    /// Upper end of the interval; `None` where the population is too small to bound this side.
    pub high: Option<f64>,
}

impl KppEntry {
    /// Whether the intervals share a point, so that the two values are not told apart.
    pub fn overlaps(&self, other: &Self) -> bool {
        let below = |low: Option<f64>, high: Option<f64>| match (low, high) {
            (Some(low), Some(high)) => low <= high,
            // A side without an end reaches everything.
            _ => true,
        };
        below(self.low, other.high) && below(other.low, self.high)
    }
}

/// The metric over chips at one strength of Gaussian variation.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SweepPoint {
    /// Standard deviation of the variation relative to the layer's max|W|.
    pub sigma: f64,
    /// Number of chips.
    pub chips: usize,
    /// Mean over the chips.
    pub mean: f64,
    /// Standard deviation over the chips.
    pub std: f64,
    /// 5th percentile of the metric.
    pub low: f64,
    /// 95th percentile of the metric.
    pub high: f64,
}

impl Document for Results {
    const SCHEMA: &'static str = "crossburn.results/3";
    const LAST: Option<&'static str> = Some("crossburn.results/2");
    const NOUN: &'static str = "a population";
    const PLOTS: &'static [&'static str] = &plots::PLOTS;

    fn bring_up(last: &mut Value) {
        last_version::results(last);
    }

    fn origin(&self) -> Origin<'_> {
        origin!(self)
    }

    /// Unique names, finite numbers, values in the range of the metric, one of them per chip.
    fn check_fields(&self) -> Result<(), ReportError> {
        for (index, method) in self.methods.iter().enumerate() {
            if self.methods[..index]
                .iter()
                .any(|earlier| earlier.name == method.name)
            {
                return Err(invalid("methods", format!("names `{}` twice", method.name)));
            }
            method.check(&self.metric, self.training_metric())?;
        }
        if let Some(matrix) = &self.confusion {
            matrix.check()?;
        }
        self.figures.check()
    }

    /// The verb is a field: three of them make such documents.
    fn verb(document: &Value) -> Option<String> {
        document["command"].as_str().map(str::to_string)
    }

    fn title(&self) -> String {
        format!("Crossburn {}: {}", self.command.as_str(), self.data.source)
    }

    fn summary(&self) -> String {
        summary::headline(self)
    }

    fn table(&self) -> Result<String, ReportError> {
        Ok(table::summary(self).text())
    }

    fn plots(&self) -> Result<Vec<Drawing>, ReportError> {
        Ok(plots::plots(self))
    }

    fn page(&self, plots: &[Drawing]) -> Result<Page, ReportError> {
        Ok(page::page(self, plots))
    }
}

impl Results {
    /// What training curves show.
    pub fn training_metric(&self) -> &Metric {
        self.training_metric.as_ref().unwrap_or(&self.metric)
    }
}

/// Another number of a network than its metric.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlsoMeasured {
    /// What it is.
    pub metric: Metric,
    /// Its value.
    pub value: f64,
}

impl MethodResults {
    fn check(&self, metric: &Metric, trained: &Metric) -> Result<(), ReportError> {
        let at = |field: &str| format!("method `{}`: {field}", self.name);
        possible(metric, &at("clean"), self.clean)?;
        for tried in &self.tried {
            possible(metric, &at("tried: kpp5"), tried.kpp5)?;
        }
        for also in &self.also {
            possible(&also.metric, &at(&also.metric.name), also.value)?;
        }
        for row in &self.curve {
            let at = |field: &str| at(&format!("epoch {}: {field}", row.epoch));
            finite(&at("learning_rate"), row.learning_rate)?;
            for (field, value) in [
                ("train_metric", row.train_metric),
                ("validation", Some(row.validation)),
                ("validation_noisy", row.validation_noisy),
            ] {
                value.map_or(Ok(()), |value| possible(trained, &at(field), value))?;
            }
        }
        for point in &self.sweep {
            let at = |field: &str| at(&format!("sweep: {field}"));
            finite(&at("sigma"), point.sigma)?;
            finite(&at("std"), point.std)?;
            for (field, value) in [
                ("mean", point.mean),
                ("low", point.low),
                ("high", point.high),
            ] {
                possible(metric, &at(field), value)?;
            }
        }
        if let Some(hardware) = &self.hardware {
            let at = |field: &str| at(&format!("hardware: {field}"));
            possible(metric, &at("ideal"), hardware.ideal)?;
            if let Some(cost) = &hardware.cost {
                fraction(&at("adc_share_of_energy"), cost.adc_share_of_energy)?;
                for (field, value) in [
                    ("energy", cost.energy),
                    ("latency", cost.latency),
                    ("area", cost.area),
                    ("programming_energy", cost.programming_energy),
                ] {
                    finite(&at(field), value)?;
                }
            }
        }
        if let Some(percentiles) = &self.percentiles {
            percentiles.check(metric, &at("percentiles"))?;
        }
        if !self.sweep.is_sorted_by(|a, b| a.sigma < b.sigma) {
            return Err(invalid(
                &at("sweep"),
                "is not ordered by increasing sigma".into(),
            ));
        }
        self.population.as_ref().map_or(Ok(()), |population| {
            population.check(metric, &at("population"))
        })
    }
}

impl Results {
    /// The document of one network whose chips a program has judged: a table, a page and plots follow from it.
    ///
    /// # Errors
    /// [`NoiseError::Empty`] without chips.
    pub fn of_chips(
        name: &str,
        data: DataSummary,
        metric: Metric,
        clean: f64,
        chips: &Population,
    ) -> Result<Self, NoiseError> {
        let population = PopulationSummary::of(chips, data.test)?;
        Ok(Self {
            schema: Self::SCHEMA.to_string(),
            command: RunCommand::Evaluate,
            version: env!("CARGO_PKG_VERSION").to_string(),
            commit: None,
            reproduce: String::new(),
            config: Value::Null,
            data,
            metric,
            training_metric: None,
            deployment: None,
            methods: vec![MethodResults {
                name: name.to_string(),
                training_noise: Value::Null,
                tried: Vec::new(),
                clean,
                also: Vec::new(),
                curve: Vec::new(),
                population: Some(population),
                sweep: Vec::new(),
                hardware: None,
                percentiles: None,
            }],
            confusion: None,
            figures: Figures::default(),
            timing: Timing::default(),
        })
    }
}

/// The percentiles that every table shows.
const PERCENTILES: [u8; 4] = [1, 5, 10, 50];
/// Confidence of every interval.
pub(crate) const CONFIDENCE: f64 = 0.95;

impl PopulationSummary {
    /// The numbers of `population`, which was judged on `items`.
    ///
    /// # Errors
    /// [`NoiseError::Empty`] without chips.
    pub fn of(population: &Population, items: usize) -> Result<Self, NoiseError> {
        let entry = |k: u8| {
            let interval = population.kpp_interval(f64::from(k), CONFIDENCE)?;
            let entry = KppEntry {
                value: population.kpp(f64::from(k))?,
                low: interval.low,
                high: interval.high,
            };
            Ok((k, entry))
        };
        Ok(Self {
            seed: population.seed,
            first: population.first,
            chips: population.chips(),
            items,
            mean: population.mean(),
            std: population.std(),
            worst: population.worst_of_n(),
            kpp: PERCENTILES
                .into_iter()
                .map(entry)
                .collect::<Result<_, NoiseError>>()?,
            values: population.metric.clone(),
        })
    }

    pub(crate) fn check(&self, metric: &Metric, at: &str) -> Result<(), ReportError> {
        if self.values.len() != self.chips {
            let found = self.values.len();
            return Err(invalid(
                at,
                format!("has {found} values for {} chips", self.chips),
            ));
        }
        finite(&format!("{at}.std"), self.std)?;
        possible(metric, &format!("{at}.mean"), self.mean)?;
        possible(metric, &format!("{at}.worst"), self.worst)?;
        for (chip, &value) in self.values.iter().enumerate() {
            possible(metric, &format!("{at}.values[{chip}]"), value)?;
        }
        for (k, entry) in &self.kpp {
            if *k > 100 {
                return Err(invalid(
                    &format!("{at}.kpp"),
                    format!("has k = {k}, above 100 %"),
                ));
            }
            for (field, value) in [
                ("value", Some(entry.value)),
                ("low", entry.low),
                ("high", entry.high),
            ] {
                let field = format!("{at}.kpp.{k}.{field}");
                value.map_or(Ok(()), |value| possible(metric, &field, value))?;
            }
        }
        Ok(())
    }
}

fn null_as_nan<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    Ok(Option::deserialize(deserializer)?.unwrap_or(f64::NAN))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::report::example;
    use std::path::Path;

    fn read(text: &str) -> Result<Results, ReportError> {
        Results::from_json(text, Path::new("run/results.json"))
    }

    #[test]
    fn round_trip_is_byte_identical() {
        let text = example::results().to_json().unwrap();
        let again = read(&text).unwrap();
        assert_eq!(again, example::results());
        assert_eq!(again.to_json().unwrap(), text);
    }

    #[test]
    fn an_end_at_0_or_1_is_told_from_a_missing_one() {
        for (low, high) in [(Some(0.0), Some(1.0)), (None, None), (Some(1.0), None)] {
            let mut results = example::results();
            let kpp = &mut results.methods[0].population.as_mut().unwrap().kpp;
            let entry = kpp.get_mut(&1).unwrap();
            (entry.low, entry.high) = (low, high);
            let text = results.to_json().unwrap();
            assert_eq!(read(&text).unwrap(), results);
            assert_eq!(text.contains("\"low\": null"), low.is_none());
        }
    }

    #[test]
    fn kpp_is_in_numeric_order() {
        let text = example::results().to_json().unwrap();
        let at = |k: &str| text.find(&format!("\"{k}\": {{")).unwrap();
        assert!(at("1") < at("5") && at("5") < at("10") && at("10") < at("50"));
    }

    #[test]
    fn unknown_keys_are_refused() {
        let text = example::results().to_json().unwrap();
        for (old, new) in [
            ("\"command\"", "\"colour\": 1, \"command\""),
            ("\"clean\"", "\"colour\": 1, \"clean\""),
            ("\"sigma\"", "\"colour\": 1, \"sigma\""),
            ("\"source\"", "\"colour\": 1, \"source\""),
        ] {
            let message = read(&text.replacen(old, new, 1)).unwrap_err().to_string();
            assert!(message.contains("unknown field `colour`"), "{message}");
            assert!(
                message.contains("run/results.json") && !message.contains('\n'),
                "{message}"
            );
        }
    }

    #[test]
    fn other_schemas_are_refused_by_name() {
        for (text, found) in [
            (
                r#"{"schema": "crossburn.results/0", "colour": 1}"#,
                "crossburn.results/0",
            ),
            (r#"{"schema": 3}"#, "3"),
            (r#"{"methods": []}"#, "none"),
        ] {
            let message = read(text).unwrap_err().to_string();
            assert!(
                message.contains(&format!("`{found}`")) && message.contains(Results::SCHEMA),
                "{message}"
            );
        }
    }

    #[test]
    fn values_out_of_range_are_refused() {
        let message = |change: fn(&mut Results)| {
            let mut results = example::results();
            change(&mut results);
            results.to_json().unwrap_err().to_string()
        };
        assert!(
            message(|r| r.methods[0].clean = 97.0)
                .contains("method `plain`: clean is 97, outside 0..=1")
        );
        assert!(message(|r| r.methods[1].clean = f64::NAN).contains("clean is NaN"));
        assert!(message(|r| r.methods[1].name = "plain".into()).contains("names `plain` twice"));
        assert!(
            message(|r| r.methods[0].population.as_mut().unwrap().chips += 1)
                .contains("values for")
        );
        assert!(message(|r| r.methods[0].sweep.reverse()).contains("increasing sigma"));
    }

    #[test]
    fn a_diverged_loss_survives() {
        let mut results = example::results();
        results.methods[0].curve[0].train_loss = f64::INFINITY;
        let text = results.to_json().unwrap();
        assert!(text.contains("\"train_loss\": null"));
        assert!(read(&text).unwrap().methods[0].curve[0].train_loss.is_nan());
    }

    #[test]
    fn a_missing_document_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let message = Results::read(folder.path()).unwrap_err().to_string();
        assert!(
            message.contains("results.json") && !message.contains('\n'),
            "{message}"
        );
    }

    #[test]
    fn an_unbounded_side_overlaps_everything_on_it() {
        let entry = |low, high| KppEntry {
            value: 0.5,
            low,
            high,
        };
        assert!(entry(None, Some(0.6)).overlaps(&entry(Some(0.1), Some(0.2))));
        assert!(!entry(Some(0.5), None).overlaps(&entry(Some(0.1), Some(0.2))));
        assert!(entry(Some(0.1), Some(0.2)).overlaps(&entry(Some(0.2), Some(0.3))));
    }
}
