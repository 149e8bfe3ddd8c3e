//! The document of a mapping: what one network costs on one hardware, as `results.json`.
//!
//! `docs/results.md` describes every field. Quantities are texts with their unit, as in configuration files.

use std::path::Path;

use crossburn_hardware::cost::{CostReport, FloorPlan, LayerShape};
use crossburn_hardware::deploy::{Hardware, HardwareConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::ReportError;
use super::results::Timing;
use super::results::{finite, invalid, read_text, require_schema, schema};

/// The schema of mappings that this version writes and the only one it reads.
pub const MAPPING_SCHEMA: &str = "crossburn.mapping/1";

/// What one network costs on one hardware, together with everything needed to repeat it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mapping {
    /// Name and version of the format, [`MAPPING_SCHEMA`].
    pub schema: String,
    /// Version of Crossburn.
    pub version: String,
    /// Commit of the source tree, where known.
    pub commit: Option<String>,
    /// Command line that repeats the run.
    pub reproduce: String,
    /// The resolved configuration: network, weights, images.
    pub config: Value,
    /// The images that showed how layers are used.
    pub data: MappingData,
    /// Name of the accelerator: a preset, or a file without its ending.
    pub accelerator: String,
    /// Its whole description.
    pub hardware: HardwareConfig,
    /// How an image uses the layers on arrays, in the order of their first use.
    pub layers: Vec<LayerShape>,
    /// Paths of the weights that stay digital; nothing of them is counted.
    pub digital: Vec<String>,
    /// What it costs.
    pub cost: CostReport,
    /// Durations, the only part that differs between two runs.
    pub timing: Timing,
}

/// The images of a mapping.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingData {
    /// Name of the data source.
    pub source: String,
    /// Training images that passed the network.
    pub images: usize,
}

impl Mapping {
    /// Whether the document at `path`, a `results.json` or the run folder that holds one, is a mapping.
    ///
    /// # Errors
    ///
    /// [`ReportError::Read`] naming the path, and [`ReportError::Parse`].
    pub fn is_at(path: &Path) -> Result<bool, ReportError> {
        let (file, text) = read_text(path)?;
        Ok(schema(&text, &file)? == MAPPING_SCHEMA)
    }

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

    /// Checks what the types cannot say: the schema, and that costs, layers and hardware belong together.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] names the first field that is wrong.
    pub fn check(&self) -> Result<(), ReportError> {
        if self.schema != MAPPING_SCHEMA {
            return Err(invalid(
                "schema",
                format!("is `{}`, not `{MAPPING_SCHEMA}`", self.schema),
            ));
        }
        let costed = self.cost.layers.iter().map(|layer| &layer.path);
        if !costed.eq(self.layers.iter().map(|layer| &layer.path)) {
            return Err(invalid(
                "cost.layers",
                "are not the layers of `layers`".into(),
            ));
        }
        for (stage, &seconds) in &self.timing.seconds {
            finite(&format!("timing.seconds.{stage}"), seconds)?;
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

    /// The document as pretty JSON with a final newline.
    ///
    /// # Errors
    ///
    /// [`ReportError::Invalid`] if [`Mapping::check`] fails.
    pub fn to_json(&self) -> Result<String, ReportError> {
        self.check()?;
        let mut text =
            serde_json::to_string_pretty(self).map_err(|source| ReportError::Encode { source })?;
        text.push('\n');
        Ok(text)
    }

    /// Reads a document; `path` only names it in errors.
    ///
    /// # Errors
    ///
    /// [`ReportError::Schema`] for another schema, [`ReportError::Parse`] for text that does not follow it and
    /// [`ReportError::Invalid`] for values that do not belong together.
    pub fn from_json(text: &str, path: &Path) -> Result<Self, ReportError> {
        require_schema(text, path, MAPPING_SCHEMA)?;
        let mapping: Self = serde_json::from_str(text).map_err(|source| ReportError::Parse {
            path: path.into(),
            source,
        })?;
        mapping.check()?;
        Ok(mapping)
    }

    /// Reads the document at `path`, a `results.json` or the run folder that holds one.
    ///
    /// # Errors
    ///
    /// [`ReportError::Read`] naming the path, and as [`Mapping::from_json`].
    pub fn read(path: &Path) -> Result<Self, ReportError> {
        let (file, text) = read_text(path)?;
        Self::from_json(&text, &file)
    }
}
