//! The document of a study of language models on edge devices, as `results.json`.
//!
//! `docs/results.md` describes every field.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{page, plots, table};
use crate::report::check::{finite, fraction, invalid};
use crate::report::document::origin;
use crate::report::draw::{Drawing, Page};
use crate::report::{Claim, Document, Origin, ReportError, Timing};

/// What methods, models, compressions, chips and histories came to, person by person.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EdgeStudy {
    /// Name and version of the format, [`EdgeStudy::SCHEMA`](Document::SCHEMA).
    pub schema: String,
    /// Version of Crossburn.
    pub version: String,
    /// Commit of the source tree, where known.
    pub commit: Option<String>,
    /// Command line that repeats the run.
    pub reproduce: String,
    /// The study as its file describes it.
    pub config: Value,
    /// The verb that made it: `study edge-llm` or `reproduce`.
    pub made_by: String,
    /// People: every cell has one value for each.
    pub people: u64,
    /// Which people of a whole study these are; none if they are all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<StudyPart>,
    /// Questions to each person.
    pub questions: u64,
    /// What turns operations into seconds.
    pub operations_per_second: f64,
    /// The tasks, from the easiest.
    pub tasks: Vec<StudyTask>,
    /// The models in their forms.
    pub models: Vec<StudyModel>,
    /// What was measured.
    pub cells: Vec<StudyCell>,
    /// Conditions that are predicted to take more memory than the device has, each with its bytes.
    pub left_out: Vec<String>,
    /// What rounding does to the outputs of layers.
    pub rounding: Vec<RoundingErrors>,
    /// The claims of the guidelines.
    pub claims: Vec<Claim>,
    /// Claims that this study has no cells for, each with what is missing.
    pub not_measured: Vec<String>,
    /// Wall time by stage.
    pub timing: Timing,
}

/// The people of a part of a study, such as a shard: those from `first` on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyPart {
    /// The first person, counted from 0.
    pub first: u64,
    /// People of the whole study.
    pub of: u64,
}

/// What people are asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyTask {
    /// Its name.
    pub name: String,
    /// What quality is made of: the metric, or how far it is from its worst.
    pub metric: String,
}

/// A model in one form.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyModel {
    /// Its name.
    pub name: String,
    /// How it is compressed.
    pub compression: String,
    /// Numbers of its weights.
    pub parameters: u64,
    /// Bytes of its weights.
    pub bytes: u64,
    /// Joules that arrays take for one token to pass through all matrices, estimated; none in a study without an accelerator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token_joules: Option<f64>,
    /// The model that it was distilled from; none if it learned from texts alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub teacher: Option<String>,
    /// A digest of its weights before compression; none for the model that comes with the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
}

/// One condition.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyCell {
    /// The model.
    pub model: String,
    /// How it is compressed.
    pub compression: String,
    /// How its weights deviate: each person has a chip.
    pub chip: String,
    /// What is asked.
    pub task: String,
    /// How the model becomes personal.
    pub method: String,
    /// Examples of a person; 0 where none is used.
    pub history: u64,
    /// Learning rate; none where nothing learns.
    pub rate: Option<f64>,
    /// Bytes that learning takes, predicted; those of answering where nothing learns.
    pub learning_bytes: u64,
    /// Bytes that answering takes, predicted.
    pub answering_bytes: u64,
    /// Operations of one answer.
    pub answer_operations: f64,
    /// Joules that arrays take for one answer, estimated; none where the weights lie on no arrays, or in a study without an accelerator.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer_joules: Option<f64>,
    /// Memory and time as measured; none where they were not.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<StudyCost>,
    /// After each budget of steps; one without steps where nothing learns.
    pub points: Vec<StudyPoint>,
}

/// What a condition took on the machine of the study, on one thread. It differs from run to run.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyCost {
    /// Bytes of learning at the peak: the weights in their format, and what was taken beside them. None where nothing learns.
    pub learning_bytes: Option<u64>,
    /// Bytes of one answer at the peak.
    pub answering_bytes: u64,
    /// Seconds of a step of learning; none where nothing learns.
    pub step_seconds: Option<f64>,
    /// Seconds of one answer.
    pub answer_seconds: f64,
}

/// A condition after some steps.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct StudyPoint {
    /// Steps of learning.
    pub steps: u64,
    /// Their operations.
    pub operations: f64,
    /// Mean loss of the steps since the point before, over people; none where nothing learns.
    pub loss: Option<f64>,
    /// In a part of a study, that loss for each person; empty in a whole study, and where nothing learns.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<f64>,
    /// Quality from 0 to 1, one value per person.
    pub quality: Vec<f64>,
}

/// What two ways of rounding do to the outputs of layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RoundingErrors {
    /// The model.
    pub model: String,
    /// Bits of a weight.
    pub bits: u8,
    /// Mean squared error of the outputs after GPTQ over that after rounding to the nearest, layer by layer.
    pub ratios: Vec<f64>,
}

impl StudyCell {
    /// Quality of every person after the most steps.
    pub fn last(&self) -> &[f64] {
        self.points.last().map_or(&[], |point| &point.quality)
    }

    /// The condition, as conditions are named everywhere.
    pub fn name(&self) -> String {
        format!(
            "{}, {}, {}, {}, {}, {}",
            self.model, self.compression, self.chip, self.task, self.method, self.history
        )
    }

    /// Bytes of the most that it takes.
    pub fn bytes(&self) -> u64 {
        self.learning_bytes.max(self.answering_bytes)
    }
}

impl EdgeStudy {
    /// The model with the most cells; the first of equal ones.
    pub fn main_model(&self) -> &str {
        let count = |name: &str| self.cells.iter().filter(|cell| cell.model == name).count();
        let mut best = ("", 0);
        for model in &self.models {
            let cells = count(&model.name);
            if cells > best.1 {
                best = (&model.name, cells);
            }
        }
        best.0
    }

    /// The cells of one model, in full precision and on ideal cells.
    pub fn plain(&self, model: &str) -> impl Iterator<Item = &StudyCell> {
        let is = move |cell: &&StudyCell| {
            cell.model == model && cell.compression == "fp32" && cell.chip == "ideal"
        };
        self.cells.iter().filter(is)
    }

    /// Whether a model was distilled from another one.
    pub fn is_distilled(&self, model: &str) -> bool {
        let mut forms = self.models.iter().filter(|form| form.name == model);
        forms.any(|form| form.teacher.is_some())
    }

    /// Histories of the cells of methods that use one, the shortest first.
    pub fn histories(&self) -> Vec<u64> {
        let mut all: Vec<u64> = self.cells.iter().map(|cell| cell.history).collect();
        all.retain(|history| *history > 0);
        all.sort_unstable();
        all.dedup();
        all
    }
}

impl Document for EdgeStudy {
    const SCHEMA: &'static str = "crossburn.edge-study/1";
    const NOUN: &'static str = "a study of language models on edge devices";
    const PLOTS: &'static [&'static str] = &plots::PLOTS;

    fn verb(document: &Value) -> Option<String> {
        Some(document["made_by"].as_str()?.to_string())
    }

    fn origin(&self) -> Origin<'_> {
        origin!(self)
    }

    fn check_fields(&self) -> Result<(), ReportError> {
        for cell in &self.cells {
            let name = format!("cell `{}`", cell.name());
            finite(&name, cell.answer_operations)?;
            finite(&name, cell.answer_joules.unwrap_or(0.0))?;
            if let Some(cost) = &cell.cost {
                finite(&name, cost.step_seconds.unwrap_or(0.0))?;
                finite(&name, cost.answer_seconds)?;
            }
            if cell.points.is_empty() {
                return Err(invalid(&name, "has no point".into()));
            }
            for point in &cell.points {
                finite(&name, point.operations)?;
                for loss in point.loss.iter().chain(&point.losses) {
                    finite(&name, *loss)?;
                }
                if point.quality.len() as u64 != self.people {
                    let found = point.quality.len();
                    let problem = format!("has {found} values for {} people", self.people);
                    return Err(invalid(&name, problem));
                }
                for value in &point.quality {
                    fraction(&name, *value)?;
                }
            }
        }
        if let Some(StudyPart { first, of }) = self.part
            && first.checked_add(self.people).is_none_or(|end| end > of)
        {
            let problem = format!("has {} people from {first} on, of {of}", self.people);
            return Err(invalid("part", problem));
        }
        for row in &self.rounding {
            for ratio in &row.ratios {
                finite(&format!("rounding of `{}`", row.model), *ratio)?;
            }
        }
        self.claims.iter().try_for_each(Claim::check)?;
        let rate = self.operations_per_second;
        match rate.is_finite() && rate > 0.0 {
            true => Ok(()),
            false => Err(invalid("operations_per_second", format!("is {rate}"))),
        }
    }

    fn title(&self) -> String {
        "Crossburn study of personal language models on edge devices".to_string()
    }

    fn summary(&self) -> String {
        table::summary(self)
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
