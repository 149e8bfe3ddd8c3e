//! The document of a mapping: what one network costs on one hardware, as `results.json`.
//!
//! `docs/results.md` describes every field. Quantities are texts with their unit, as in configuration files.

use crossburn_hardware::cost::{CostReport, FloorPlan, LayerShape};
use crossburn_hardware::deploy::{Hardware, HardwareConfig};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{page, plots, summary, table};
use crate::report::check::invalid;
use crate::report::document::origin;
use crate::report::draw::{Drawing, Page};
use crate::report::{Document, Origin, ReportError, Timing, last_version};

/// What one network costs on one hardware, together with everything needed to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Name and version of the format, [`Mapping::SCHEMA`](Document::SCHEMA).
    pub schema: String,
    /// Version of Crossburn.
    pub version: String,
    /// Commit of the source tree, where known.
    pub commit: Option<String>,
    /// Command line that repeats the run.
    pub reproduce: String,
    /// The resolved configuration: network, weights, items.
    pub config: Value,
    /// The items that showed how layers are used.
    pub data: MappingData,
    /// Name of the accelerator: a preset, or a file without its ending.
    pub accelerator: String,
    /// Its whole description.
    pub hardware: HardwareConfig,
    /// How an item uses the layers on arrays, in the order of their first use.
    pub layers: Vec<LayerShape>,
    /// Paths of the weights that stay digital; nothing of them is counted.
    pub digital: Vec<String>,
    /// What it costs.
    pub cost: CostReport,
    /// Durations, the only part that differs between two runs.
    pub timing: Timing,
}

/// The items of a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingData {
    /// Name of the data source.
    pub source: String,
    /// Training items that passed the network.
    pub items: usize,
}

impl Mapping {
    /// The arrays, which follow from the hardware and the layers.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] for a hardware or layers that cannot be.
    pub fn floor_plan(&self) -> Result<FloorPlan, ReportError> {
        let problem = |field: &'static str| {
            move |error: crossburn_hardware::HardwareError| {
                invalid(field, format!("is refused: {error}"))
            }
        };
        Hardware::try_from(self.hardware.clone())
            .and_then(|hardware| hardware.accelerator())
            .map_err(problem("hardware"))?
            .floor_plan(&self.layers)
            .map_err(problem("layers"))
    }
}

impl Document for Mapping {
    const SCHEMA: &'static str = "crossburn.mapping/2";
    const LAST: Option<&'static str> = Some("crossburn.mapping/1");
    const NOUN: &'static str = "a mapping";
    const PLOTS: &'static [&'static str] = &plots::PLOTS;

    fn bring_up(last: &mut Value) {
        last_version::mapping(last);
    }

    fn origin(&self) -> Origin<'_> {
        origin!(self)
    }

    /// Costs, layers and hardware belong together.
    fn check_fields(&self) -> Result<(), ReportError> {
        let costed = self.cost.layers.iter().map(|layer| &layer.path);
        if !costed.eq(self.layers.iter().map(|layer| &layer.path)) {
            return Err(invalid(
                "cost.layers",
                "are not the layers of `layers`".into(),
            ));
        }
        let arrays = self.floor_plan()?.placements.len() as u64;
        if arrays != self.cost.total.arrays {
            let found = self.cost.total.arrays;
            return Err(invalid(
                "cost.total.arrays",
                format!("is {found} where the layers take {arrays}"),
            ));
        }
        Ok(())
    }

    fn verb(_: &Value) -> Option<String> {
        Some("map".into())
    }

    fn title(&self) -> String {
        format!("Crossburn map: {}", self.accelerator)
    }

    fn summary(&self) -> String {
        summary::headline(self)
    }

    fn table(&self) -> Result<String, ReportError> {
        Ok(table::tables(self, &self.floor_plan()?))
    }

    fn plots(&self) -> Result<Vec<Drawing>, ReportError> {
        Ok(plots::plots(self, &self.floor_plan()?))
    }

    fn page(&self, plots: &[Drawing]) -> Result<Page, ReportError> {
        Ok(page::page(self, &self.floor_plan()?, plots))
    }

    /// The network, and the whole hardware.
    fn configuration(&self) -> String {
        let configuration = json!({ "network": self.config, "hardware": self.hardware });
        format!("{configuration:#}")
    }
}
