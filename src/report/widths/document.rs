//! The document of a choice of widths, as `results.json`: what every width of every layer does to the loss, and what was chosen.
//!
//! `docs/results.md` describes every field.

use crossburn_noise::Metric;
use crossburn_training::{LayerWidths, WidthBudget, WidthOption};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{page, table};
use crate::report::check::{finite, invalid, possible};
use crate::report::document::origin;
use crate::report::draw::quantity::kib;
use crate::report::draw::{Drawing, Page};
use crate::report::{DataSummary, Document, Origin, ReportError, Timing};

/// Widths of the layers of one network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Widths {
    /// Name and version of the format, [`Widths::SCHEMA`](Document::SCHEMA).
    pub schema: String,
    /// Version of Crossburn.
    pub version: String,
    /// Commit of the source tree, where known.
    pub commit: Option<String>,
    /// Command line that repeats the run.
    pub reproduce: String,
    /// The resolved configuration.
    pub config: Value,
    /// Where the items come from; losses are those of the validation items.
    pub data: DataSummary,
    /// What the network is judged by.
    pub metric: Metric,
    /// What limited the choice; a size is that of the whole network.
    pub budget: WidthBudget,
    /// The layers in the order of the network.
    pub layers: Vec<WidthRow>,
    /// Bits of all other numbers, 32 each: biases, norms and scales.
    pub other: u64,
    /// The network with its weights in full precision.
    pub before: JudgedWidths,
    /// The same with the chosen widths, without training.
    pub after: JudgedWidths,
    /// Wall time by stage.
    pub timing: Timing,
}

/// A layer and the width that it got.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WidthRow {
    /// The layer with the widths that it could have.
    pub layer: LayerWidths,
    /// The position of the chosen one.
    pub chosen: usize,
}

impl WidthRow {
    /// The chosen width.
    pub fn option(&self) -> Option<&WidthOption> {
        self.layer.options.get(self.chosen)
    }
}

/// A network on the validation items.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JudgedWidths {
    /// The mean loss.
    pub loss: f64,
    /// The metric.
    pub metric: f64,
}

impl Widths {
    /// Bits of the network with the chosen widths.
    pub fn size(&self) -> u64 {
        let chosen = self.layers.iter().filter_map(WidthRow::option);
        self.other + chosen.map(|option| option.size).sum::<u64>()
    }

    /// The chosen bits per weight that remains, on average.
    pub fn mean_bits(&self) -> f64 {
        let kept: usize = self.layers.iter().map(|row| row.layer.kept).sum();
        let bits = self.layers.iter().filter_map(|row| {
            let option = row.option()?;
            Some(row.layer.kept * usize::from(option.bits.get()))
        });
        bits.sum::<usize>() as f64 / kept.max(1) as f64
    }
}

impl Document for Widths {
    const SCHEMA: &'static str = "crossburn.widths/1";
    const NOUN: &'static str = "a choice of widths";
    const PLOTS: &'static [&'static str] = &[];

    fn origin(&self) -> Origin<'_> {
        origin!(self)
    }

    /// Options where one was chosen, and finite numbers.
    fn check_fields(&self) -> Result<(), ReportError> {
        for row in &self.layers {
            let path = &row.layer.path;
            if row.option().is_none() {
                let problem = format!("chose option {} of {}", row.chosen, row.layer.options.len());
                return Err(invalid(&format!("layer `{path}`"), problem));
            }
            for option in &row.layer.options {
                finite(&format!("layer `{path}`: rise"), option.rise)?;
            }
        }
        if let WidthBudget::Rise(rise) = self.budget {
            finite("budget.rise", rise)?;
        }
        for (name, judged) in [("before", self.before), ("after", self.after)] {
            finite(&format!("{name}.loss"), judged.loss)?;
            possible(&self.metric, &format!("{name}.metric"), judged.metric)?;
        }
        Ok(())
    }

    fn verb(_: &Value) -> Option<String> {
        Some("compress".into())
    }

    fn title(&self) -> String {
        "Crossburn chooses bits per layer".to_string()
    }

    fn summary(&self) -> String {
        format!(
            "{:.2} bits per weight that remains and {} KiB in all; without training, {} goes from {} to {}.",
            self.mean_bits(),
            kib(self.size()),
            self.metric.name,
            self.metric.show(self.before.metric),
            self.metric.show(self.after.metric),
        )
    }

    fn table(&self) -> Result<String, ReportError> {
        Ok(format!(
            "{}\n\n{}",
            table::layers(self).text(),
            self.summary()
        ))
    }

    fn plots(&self) -> Result<Vec<Drawing>, ReportError> {
        Ok(Vec::new())
    }

    fn page(&self, _plots: &[Drawing]) -> Result<Page, ReportError> {
        Ok(page::page(self))
    }
}
