//! The document of a detector on a simulated accelerator, as `results.json`: what its layers hold and take, and what it decides.
//!
//! `docs/results.md` describes every field. Quantities are texts with their unit, as in configuration files.

use crossburn_hardware::accelerator::{AcceleratorConfig, AcceleratorCost, LayerCounts, Sparsity};
use crossburn_noise::Metric;
use crossburn_training::{Diagnosis, Vote};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::work::Work;
use super::{page, plots, summary, table};
use crate::report::check::{finite, fraction, invalid, possible};
use crate::report::document::origin;
use crate::report::draw::{ConfusionMatrix, Drawing, Page};
use crate::report::{AlsoMeasured, Document, Origin, ReportError, Timing};

/// Sequences that a page shows.
pub(crate) const MOST_SEQUENCES: usize = 4;
/// Segments of each of them: half a minute.
pub(crate) const MOST_SEGMENTS: usize = 6;

/// What inferences of a detector take on a simulated accelerator, and what it decides.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Simulation {
    /// Name and version of the format, [`Simulation::SCHEMA`](Document::SCHEMA).
    pub schema: String,
    /// Version of Crossburn.
    pub version: String,
    /// Commit of the source tree, where known.
    pub commit: Option<String>,
    /// Command line that repeats the run.
    pub reproduce: String,
    /// The resolved configuration: the detector and the segments.
    pub config: Value,
    /// Name of the data source.
    pub data: String,
    /// Test segments that were simulated.
    pub segments: usize,
    /// Those of them whose results are to the bit those of the network in integers.
    pub equal: usize,
    /// What the detector is judged by.
    pub metric: Metric,
    /// The metric on the accelerator; none where these segments have none.
    pub value: Option<f64>,
    /// Other numbers of the same segments.
    pub also: Vec<AlsoMeasured>,
    /// What the segments of each label are taken for: everything else first, ventricular arrhythmia second.
    pub confusion: ConfusionMatrix,
    /// Name of the accelerator: a preset, or a file without its ending.
    pub accelerator: String,
    /// Its whole description.
    pub hardware: AcceleratorConfig,
    /// The layers in the order of the network.
    pub layers: Vec<SimulatedLayer>,
    /// What one inference costs, and one inference for each segment.
    pub cost: AcceleratorCost,
    /// How segments vote for a diagnosis.
    pub vote: Vote,
    /// A few sequences with their signal, for the page.
    pub sequences: Vec<ShownSequence>,
    /// Wall time by stage.
    pub timing: Timing,
}

/// A layer on the accelerator.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SimulatedLayer {
    /// Outputs, inputs, taps.
    pub shape: [usize; 3],
    /// Which weights are kept.
    pub sparsity: Sparsity,
    /// How many of them.
    pub kept: usize,
    /// What happens during one inference.
    pub counts: LayerCounts,
    /// Cycles of the layer on the same array without an index, which multiplies by the zeros of absent weights.
    pub dense_cycles: u64,
}

/// Neighbouring segments of one patient and one label.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownSequence {
    /// Whose they are.
    pub patient: String,
    /// Whether they are ventricular arrhythmia.
    pub positive: bool,
    /// The place of the first one in its sequence, from 0.
    pub first: usize,
    /// The segments in the order of their recording.
    pub segments: Vec<ShownSegment>,
}

/// A segment with its signal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ShownSegment {
    /// Whether the detector gave an alarm.
    pub alarm: bool,
    /// The diagnosis that is due after the segment, if any.
    pub diagnosis: Option<Diagnosis>,
    /// The first channel as the accelerator takes it: the smallest and the largest code of equal stretches of time, in the order in which
    /// they come.
    pub trace: Vec<i8>,
}

impl SimulatedLayer {
    /// All weights, absent ones too.
    pub fn weights(&self) -> usize {
        let sizes = self.shape.iter();
        sizes.fold(1, |product, size| product.saturating_mul(*size))
    }

    /// Their number and their width.
    pub(crate) fn widths(&self) -> (usize, u8) {
        (self.weights(), self.counts.weight_bits)
    }

    /// Bits in memory: weights with their index, biases and factors of rescaling.
    pub fn stored_bits(&self) -> u64 {
        let counts = &self.counts;
        counts
            .weight_bits_stored
            .saturating_add(counts.parameter_bits)
    }

    fn check(&self) -> Result<(), ReportError> {
        let counts = &self.counts;
        let refuse = |field: &str, problem: String| {
            Err(invalid(
                &format!("layer `{}`: {field}", counts.name),
                problem,
            ))
        };
        if self.kept > self.weights() {
            return refuse("kept", format!("is {} of {}", self.kept, self.weights()));
        }
        if counts.cycles.checked_add(counts.pool_cycles).is_none() {
            return refuse("counts.cycles", format!("is {}", counts.cycles));
        }
        if counts.stall_cycles > counts.cycles {
            let (stalls, all) = (counts.stall_cycles, counts.cycles);
            return refuse("counts.stall_cycles", format!("is {stalls} of {all}"));
        }
        Ok(())
    }
}

impl ShownSequence {
    /// Whether a segment was decided wrong.
    pub fn has_wrong(&self) -> bool {
        let mut segments = self.segments.iter();
        segments.any(|segment| segment.alarm != self.positive)
    }

    fn check(&self, field: &str, vote: Vote) -> Result<(), ReportError> {
        if self.first.checked_add(MOST_SEGMENTS).is_none() {
            return Err(invalid(
                &format!("{field}.first"),
                format!("is {}", self.first),
            ));
        }
        let (least, most) = (1, MOST_SEGMENTS);
        let found = self.segments.len();
        if !(least..=most).contains(&found) {
            let problem = format!("has {found} segments, not {least} to {most}");
            return Err(invalid(field, problem));
        }
        for (number, segment) in self.segments.iter().enumerate() {
            let at = |name: &str| format!("{field}.segments[{number}].{name}");
            if segment.trace.is_empty() {
                return Err(invalid(&at("trace"), "is empty".into()));
            }
            if let Some(found) = segment.diagnosis
                && found.alarms > vote.size
            {
                let problem = format!("is {} of {} votes", found.alarms, vote.size);
                return Err(invalid(&at("diagnosis.alarms"), problem));
            }
        }
        Ok(())
    }
}

impl Simulation {
    /// What all layers take together.
    pub(super) fn work(&self) -> Work {
        Work::of(&self.layers)
    }

    /// What a label is called, by whether it is an arrhythmia.
    pub(super) fn label(&self, positive: bool) -> &str {
        let names = &self.confusion.names;
        names.get(usize::from(positive)).map_or("", String::as_str)
    }

    /// Finite costs of as many layers as there are.
    fn check_cost(&self) -> Result<(), ReportError> {
        let cost = &self.cost;
        if cost.layers.len() != self.layers.len() {
            let problem = format!("are {}, there are {}", cost.layers.len(), self.layers.len());
            return Err(invalid("cost.layers", problem));
        }
        for (layer, energy) in self.layers.iter().zip(&cost.layers) {
            for (cause, energy) in energy.parts() {
                let field = format!("layer `{}`: energy of {cause}", layer.counts.name);
                finite(&field, energy.get())?;
            }
        }
        for (name, value) in [
            ("latency", cost.latency.get()),
            ("period", cost.period.get()),
            ("switching_energy", cost.switching_energy.get()),
            ("leakage_power", cost.leakage_power.get()),
            ("average_power", cost.average_power.get()),
            ("area", cost.area.get()),
            (
                "peak_operations_per_second",
                cost.peak_operations_per_second,
            ),
        ] {
            finite(&format!("cost.{name}"), value)?;
        }
        if cost.period.get() <= 0.0 {
            return Err(invalid("cost.period", format!("is {}", cost.period)));
        }
        fraction("cost.duty", cost.duty)
    }

    /// Two labels, and counts of all segments.
    fn check_confusion(&self) -> Result<(), ReportError> {
        self.confusion.check()?;
        let labels = self.confusion.names.len();
        if labels != 2 {
            return Err(invalid("confusion.names", format!("are {labels}, not 2")));
        }
        let counts = self.confusion.counts.iter();
        let all: u128 = counts.map(|(_, _, items)| u128::from(*items)).sum();
        if all != self.segments as u128 {
            let problem = format!("are of {all} segments, there are {}", self.segments);
            return Err(invalid("confusion.counts", problem));
        }
        Ok(())
    }
}

impl Document for Simulation {
    const SCHEMA: &'static str = "crossburn.simulation/1";
    const NOUN: &'static str = "a simulation of an accelerator";
    const PLOTS: &'static [&'static str] = &plots::PLOTS;

    fn origin(&self) -> Origin<'_> {
        origin!(self)
    }

    /// Numbers that are finite and belong together.
    fn check_fields(&self) -> Result<(), ReportError> {
        if self.equal > self.segments {
            let problem = format!("is {} of {}", self.equal, self.segments);
            return Err(invalid("equal", problem));
        }
        if let Some(value) = self.value {
            possible(&self.metric, "value", value)?;
        }
        for also in &self.also {
            possible(&also.metric, &also.metric.name, also.value)?;
        }
        self.check_confusion()?;
        if let Err(error) = self.hardware.check() {
            return Err(invalid("hardware", format!("is refused: {error}")));
        }
        self.layers.iter().try_for_each(SimulatedLayer::check)?;
        self.check_cost()?;
        if self.vote.size == 0 || self.vote.hop == 0 {
            return Err(invalid("vote", "has a size or a hop of 0".into()));
        }
        if self.sequences.len() > MOST_SEQUENCES {
            let problem = format!("are {}, above {MOST_SEQUENCES}", self.sequences.len());
            return Err(invalid("sequences", problem));
        }
        let mut sequences = self.sequences.iter().enumerate();
        sequences.try_for_each(|(number, sequence)| {
            sequence.check(&format!("sequences[{number}]"), self.vote)
        })
    }

    fn verb(_: &Value) -> Option<String> {
        Some("ecg simulate".into())
    }

    fn title(&self) -> String {
        format!("Crossburn ecg simulate: {}", self.accelerator)
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

    /// The detector, and the whole accelerator.
    fn configuration(&self) -> String {
        let configuration = json!({ "run": self.config, "accelerator": self.hardware });
        format!("{configuration:#}")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_hardware::units::{Joule, Second, Watt};

    use super::*;
    use crate::report::example;

    #[test]
    fn what_no_run_can_have_is_refused_by_name() {
        type Change = fn(&mut Simulation);
        let changes: [(&str, Change); 17] = [
            ("equal is 13 of 12", |found| found.equal = 13),
            ("value is NaN", |found| found.value = Some(f64::NAN)),
            ("BAC is 1.5", |found| found.also[0].value = 1.5),
            ("confusion.counts are of 11 segments", |found| {
                found.confusion.counts[0].2 -= 1;
            }),
            ("confusion.names are 3", |found| {
                found.confusion.names.push("more".into());
            }),
            ("hardware is refused", |found| {
                found.hardware.array.spes = 0;
            }),
            ("layer `conv`: kept is 65 of 64", |found| {
                found.layers[0].kept = 65;
            }),
            ("layer `fc`: counts.cycles", |found| {
                found.layers[1].counts.cycles = u64::MAX;
            }),
            ("layer `fc`: counts.stall_cycles is 27 of 26", |found| {
                found.layers[1].counts.stall_cycles = 27;
            }),
            ("cost.layers are 1, there are 2", |found| {
                found.cost.layers.pop();
            }),
            ("layer `conv`: energy of leakage is NaN", |found| {
                found.cost.layers[0].leakage = Joule::new(f64::NAN);
            }),
            ("cost.leakage_power is inf", |found| {
                found.cost.leakage_power = Watt::new(f64::INFINITY);
            }),
            ("cost.period is 0", |found| {
                found.cost.period = Second::new(0.0);
            }),
            ("cost.duty is NaN", |found| found.cost.duty = f64::NAN),
            ("vote has a size", |found| found.vote.hop = 0),
            ("sequences[0] has 0 segments", |found| {
                found.sequences[0].segments.clear();
            }),
            ("sequences[1].segments[0].trace is empty", |found| {
                found.sequences[1].segments[0].trace.clear();
            }),
        ];
        example::simulation().check().unwrap();
        for (part, change) in changes {
            let mut found = example::simulation();
            change(&mut found);
            let message = found.check().unwrap_err().to_string();
            assert!(message.contains(part), "{part}: {message}");
        }
    }
}
