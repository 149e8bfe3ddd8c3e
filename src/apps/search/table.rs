//! Designs that were measured before: rows of a table.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::{Result, bail};
use crossburn_hardware::cost::{Accelerator, CostReport};
use crossburn_hardware::deploy::Hardware;
use crossburn_models::nas::{CellCandidate, CellOperation, NasCell};
use crossburn_noise::Better;
use crossburn_training::TrainingError;
use crossburn_training::search::{Choice, Design, Judge, Judged, Measure, Space};
use serde::{Deserialize, Serialize};

use super::axes::PICO;
use super::layers::{Measures, layers_of};
use super::table_rows::TableRows;
use crate::report::DesignLayer;

/// A table of measured designs. The key of a row consists of the numbers of the choices of an axis, joined by `-`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct TableConfig {
    /// The table, as CSV with a header.
    pub(super) file: PathBuf,
    /// The column with the keys of rows.
    key: String,
    /// The axis whose choices form the key.
    axis: String,
    /// The columns with measures.
    #[serde(rename = "column")]
    columns: Vec<TableColumn>,
    /// An accelerator for which the energy and latency of NAS-Bench-201 cells are computed.
    #[serde(default)]
    accelerator: Option<String>,
}

/// A column with a measure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TableColumn {
    column: String,
    /// The name of the measure; that of the column if absent.
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    unit: String,
    better: Better,
    /// Factor of the values.
    #[serde(default = "one")]
    scale: f64,
}

fn one() -> f64 {
    1.0
}

/// A table in memory.
pub(super) struct Table {
    config: TableConfig,
    measures: Vec<Measure>,
    rows: BTreeMap<String, Vec<f64>>,
    digest: u64,
    accelerator: Option<Accelerator>,
}

impl Table {
    /// Reads the table of `config` for the designs of `space`.
    ///
    /// # Errors
    /// If the file cannot be read or lacks a column, a value is not finite, or the space lacks the axis.
    pub(super) fn open(config: &TableConfig, space: &Space) -> Result<Self> {
        let Some(axis) = space.axis(&config.axis) else {
            bail!(
                "evaluation.axis = {}: the space has no such axis",
                config.axis
            );
        };
        let other = space.axes().iter().find(|axis| axis.name != config.axis);
        if let Some(other) = other {
            bail!(
                "axis `{}` has no meaning: the rows of the table are found by `{}` alone",
                other.name,
                config.axis
            );
        }
        if let Some(column) = config
            .columns
            .iter()
            .find(|column| !column.scale.is_finite())
        {
            bail!(
                "evaluation.column {}: scale = {}, which is no finite number",
                column.column,
                column.scale
            );
        }
        if config.columns.is_empty() {
            bail!(
                "evaluation.column is empty: name a column of {}",
                config.file.display()
            );
        }
        let columns: Vec<&str> = config
            .columns
            .iter()
            .map(|column| column.column.as_str())
            .collect();
        let mut read = TableRows::read(&config.file, &config.key, &columns)?;
        for values in read.rows.values_mut() {
            for (value, column) in values.iter_mut().zip(&config.columns) {
                *value *= column.scale;
            }
        }
        let accelerator = match &config.accelerator {
            None => None,
            Some(name) => {
                let known = axis
                    .choices
                    .iter()
                    .all(|choice| operation(choice).is_some());
                if axis.positions != 6 || !known {
                    bail!(
                        "evaluation.accelerator counts cells of NAS-Bench-201, which `{}` does not describe: leave it out",
                        config.axis
                    );
                }
                Some(Hardware::preset(name)?.accelerator()?)
            }
        };
        let measured = config.columns.iter().map(|column| {
            let name = column.name.as_ref().unwrap_or(&column.column);
            Measure::new(name, &column.unit, column.better)
        });
        let mut measures: Vec<Measure> = measured.collect();
        if accelerator.is_some() {
            measures.push(Measure::new("energy", "pJ", Better::Lower));
            measures.push(Measure::new("latency", "s", Better::Lower));
        }
        for (number, measure) in measures.iter().enumerate() {
            let name = &measure.name;
            if measures[..number].iter().any(|other| other.name == *name) {
                bail!("two measures are called `{name}`: give a column another name");
            }
        }
        Ok(Self {
            config: config.clone(),
            measures,
            rows: read.rows,
            digest: read.digest,
            accelerator,
        })
    }

    /// A digest of the table.
    pub(super) fn digest(&self) -> u64 {
        self.digest
    }

    /// How designs are measured, in words.
    pub(super) fn words(&self) -> String {
        let columns: Vec<&str> = self
            .config
            .columns
            .iter()
            .map(|column| column.column.as_str())
            .collect();
        let name = self
            .config
            .file
            .file_name()
            .unwrap_or_default()
            .to_string_lossy();
        let cost = self
            .config
            .accelerator
            .as_ref()
            .map_or_else(String::new, |name| {
                format!(", cost by the cost model of {name}")
            });
        format!(
            "table: {} of {} rows of {name}, no training{cost}",
            columns.join(", "),
            self.rows.len()
        )
    }

    /// The cell of a design.
    ///
    /// # Errors
    /// If the design is no cell, in words.
    fn cell(&self, space: &Space, design: &Design) -> Result<CellCandidate, String> {
        let chosen = space.chosen(design, &self.config.axis).unwrap_or_default();
        let edges: Vec<CellOperation> = chosen.into_iter().filter_map(operation).collect();
        let edges = edges.try_into();
        let edges = edges.map_err(|_| "the design is no cell".to_string())?;
        Ok(CellCandidate::new(NasCell { edges }))
    }
}

fn counted(accelerator: &Accelerator, cell: &CellCandidate) -> Result<CostReport, String> {
    let counted = accelerator.cost(&cell.shapes());
    counted.map_err(|error| error.to_string())
}

fn operation(choice: &Choice) -> Option<CellOperation> {
    CellOperation::of(&choice.to_string())
}

impl Judge for Table {
    fn measures(&self) -> &[Measure] {
        &self.measures
    }

    fn judge(&self, space: &Space, design: &Design) -> Result<Judged, TrainingError> {
        let Some(axis) = space.axis(&self.config.axis) else {
            return Ok(Judged::Refused(
                "the axis of the table is missing".to_string(),
            ));
        };
        let numbers = &design.numbers()[axis.first..axis.first + axis.positions];
        let names: Vec<String> = numbers.iter().map(ToString::to_string).collect();
        let name = names.join("-");
        let Some(values) = self.rows.get(&name) else {
            return Ok(Judged::Refused(format!("the table has no row `{name}`")));
        };
        let mut values = values.clone();
        if let Some(accelerator) = &self.accelerator {
            let counted = self
                .cell(space, design)
                .and_then(|cell| counted(accelerator, &cell));
            match counted {
                Ok(cost) => values.extend([
                    cost.total.energy_total.get() * PICO,
                    cost.total.latency_sequential.get(),
                ]),
                Err(reason) => return Ok(Judged::Refused(reason)),
            }
        }
        Ok(Judged::Measured(values))
    }
}

impl Measures for Table {
    fn layers(&self, space: &Space, design: &Design) -> Result<Vec<DesignLayer>, String> {
        let Some(accelerator) = &self.accelerator else {
            return Ok(Vec::new());
        };
        let cell = self.cell(space, design)?;
        Ok(layers_of(&cell.shapes(), &counted(accelerator, &cell)?))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_training::search::SpaceConfig;

    use super::*;

    const SPACE: &str = "name = \"a\"\nnetwork.edge = { times = 2, of = [\"x\", \"y\"] }";
    const CONFIG: &str = "file = \"t.csv\"\nkey = \"cell\"\naxis = \"edge\"\n\
                          [[column]]\ncolumn = \"good\"\nscale = 0.01\nbetter = \"higher\"";

    fn open(csv: &str, config: &str) -> Result<(Space, Table)> {
        open_of(SPACE, csv, config)
    }

    fn open_of(space: &str, csv: &str, config: &str) -> Result<(Space, Table)> {
        let folder = tempfile::tempdir().unwrap();
        let mut config: TableConfig = toml::from_str(config).unwrap();
        config.file = folder.path().join("t.csv");
        std::fs::write(&config.file, csv).unwrap();
        let space = Space::new(toml::from_str::<SpaceConfig>(space).unwrap()).unwrap();
        let table = Table::open(&config, &space)?;
        Ok((space, table))
    }

    #[test]
    fn rows_are_found_by_the_numbers_of_choices() {
        let (space, table) = open("cell,bad,good\n0-0,1,50\n1-0,1,75.5\n", CONFIG).unwrap();
        let judge = |text: &str| {
            let design = space.parse(text).unwrap();
            table.judge(&space, &design).unwrap()
        };
        assert_eq!(judge("edge=y,x"), Judged::Measured(vec![0.755]));
        let refused = Judged::Refused("the table has no row `0-1`".to_string());
        assert_eq!(judge("edge=x,y"), refused);
    }

    #[test]
    fn tables_that_cannot_be_used_are_refused_by_line() {
        for (csv, part) in [
            ("", "has no column `cell`"),
            (
                "cell,bad\n",
                "has no column `good`: its columns are cell, bad",
            ),
            ("cell,good\n0-0,1\n0-1\n", "line 3: 1 values, not 2"),
            (
                "cell,good\n0-0,x\n",
                "line 2, column good: `x` is no finite number",
            ),
            ("cell,good\n0-0,inf\n", "is no finite number"),
            (
                "cell,good\n0-0,1\n0-0,2\n",
                "line 3: the row `0-0` comes twice",
            ),
        ] {
            let message = open(csv, CONFIG).err().unwrap().to_string();
            assert!(message.contains(part), "{part}: {message}");
        }
        for (config, part) in [
            (CONFIG.replace("0.01", "nan"), "scale = NaN"),
            (
                format!(
                    "{CONFIG}\n[[column]]\ncolumn = \"bad\"\nname = \"good\"\nbetter = \"lower\""
                ),
                "two measures are called `good`",
            ),
        ] {
            let message = open("cell,bad,good\n", &config).err().unwrap().to_string();
            assert!(message.contains(part), "{part}: {message}");
        }
        let more = format!("{SPACE}\nhardware.array = [64]");
        let message = open_of(&more, "cell,good\n", CONFIG).err().unwrap();
        let part = "axis `array` has no meaning";
        assert!(message.to_string().contains(part), "{message}");
        let cells = format!("accelerator = \"isaac\"\n{CONFIG}");
        let message = open("cell,good\n", &cells).err().unwrap().to_string();
        assert!(
            message.contains("counts cells of NAS-Bench-201"),
            "{message}"
        );
    }
}
