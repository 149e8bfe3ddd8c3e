//! A network on a hardware: from a name or a file to the entries of the results document.

use std::path::Path;

use anyhow::{Context, Result};
use crossburn_hardware::MemoryDevice;
use crossburn_hardware::cost::accelerators;
use crossburn_hardware::deploy::{Hardware, MappedNetwork};
use crossburn_models::Network;
use crossburn_training::{Batches, Task};
use toml::{Table, Value};

use crate::report::CostSummary;

/// Default number of training items on which ranges are set.
pub(crate) const CALIBRATION_ITEMS: usize = 128;

/// A hardware, and its name in reports.
#[derive(Clone, Debug)]
pub(crate) struct NamedHardware {
    pub(crate) name: String,
    pub(crate) hardware: Hardware,
}

/// A memory cell, its name in reports, and the TOML that describes it.
#[derive(Clone, Debug)]
pub(crate) struct NamedDevice {
    pub(crate) name: String,
    pub(crate) device: MemoryDevice,
    pub(crate) description: String,
}

/// The keys of a table of measurements: as text, and as the file that holds it.
const CSV: &str = "csv";
const CSV_FILE: &str = "csv_file";

/// The hardware that `text` names: a preset, or a file.
///
/// # Errors
/// For a text that is neither, a file that cannot be read, or a file that describes no hardware.
pub(crate) fn open_hardware(text: &str) -> Result<NamedHardware> {
    if accelerators().any(|name| name == text) {
        return Ok(NamedHardware {
            name: text.to_string(),
            hardware: Hardware::preset(text)?,
        });
    }
    let path = Path::new(text);
    if !path.exists() {
        let known: Vec<&str> = accelerators().collect();
        anyhow::bail!(
            "`{text}` is neither a file nor one of the accelerators {}",
            known.join(", ")
        );
    }
    let content = read_description(path)?;
    let hardware = Hardware::from_toml(&content).with_context(|| path.display().to_string())?;
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    Ok(NamedHardware {
        name: stem.to_string_lossy().into_owned(),
        hardware,
    })
}

/// The memory cell that `text` names (a preset, a TOML file or a table as CSV), its name and its description.
///
/// # Errors
/// For a text that is none of them, a file that cannot be read, or a file that describes no device.
pub(crate) fn open_device(text: &str) -> Result<NamedDevice> {
    if let Ok(description) = MemoryDevice::preset_text(text) {
        return Ok(NamedDevice {
            name: text.to_string(),
            device: MemoryDevice::from_toml(description)?,
            description: description.to_string(),
        });
    }
    let path = Path::new(text);
    if !path.exists() {
        let known: Vec<&str> = MemoryDevice::preset_names().collect();
        anyhow::bail!(
            "`{text}` is neither a file nor one of the devices {}",
            known.join(", ")
        );
    }
    let is_csv = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("csv"));
    let description = match is_csv {
        true => {
            let kind = ("kind".to_string(), Value::from("table"));
            let csv = (
                "csv".to_string(),
                Value::from(fs_err::read_to_string(path)?),
            );
            Table::from_iter([kind, csv]).to_string()
        }
        false => read_description(path)?,
    };
    let device = MemoryDevice::from_toml(&description).with_context(|| text.to_string())?;
    // A file must not be confused with the preset of the same name.
    let mut name = path.file_stem().unwrap_or(path.as_os_str());
    if MemoryDevice::preset_names().any(|preset| preset == name) {
        name = path.file_name().unwrap_or(name);
    }
    Ok(NamedDevice {
        name: name.to_string_lossy().into_owned(),
        device,
        description,
    })
}

/// The text of the TOML file at `path`. If it names a file with measurements, as in `csv_file = "cells.csv"`, that entry is replaced by `csv` with the
/// lines of the file. The path is relative to the folder of `path`. The settings of a run thus contain everything that the run depends on.
fn read_description(path: &Path) -> Result<String> {
    let text = fs_err::read_to_string(path)?;
    // If the text is no TOML, the later reading of the device or hardware reports the error.
    let Ok(mut table) = text.parse::<Table>() else {
        return Ok(text);
    };
    let folder = path.parent().unwrap_or(Path::new(""));
    let found = inline(&mut table, folder).with_context(|| path.display().to_string())?;
    Ok(if found { table.to_string() } else { text })
}

/// Replaces every `csv_file` by the lines of the file, and says whether there was one.
fn inline(table: &mut Table, folder: &Path) -> Result<bool> {
    let mut found = false;
    if let Some(file) = table.get(CSV_FILE).cloned() {
        let Value::String(file) = file else {
            anyhow::bail!("csv_file = {file} is not the name of a file: write it in quotes");
        };
        if table.contains_key(CSV) {
            anyhow::bail!("`csv` and `csv_file` both hold a table: give exactly one of them");
        }
        table.remove(CSV_FILE);
        let lines = fs_err::read_to_string(folder.join(file))?;
        table.insert(CSV.to_string(), Value::String(lines));
        found = true;
    }
    for (_, value) in table.iter_mut() {
        match value {
            Value::Table(inner) => found |= inline(inner, folder)?,
            Value::Array(values) => {
                for inner in values.iter_mut().filter_map(Value::as_table_mut) {
                    found |= inline(inner, folder)?;
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// The first `items` items of `training`, on which ranges are set.
///
/// # Errors
/// Those of [`Task::batch`].
pub(crate) fn calibration<T: Task>(
    training: &T,
    items: usize,
    device: &burn::tensor::Device,
) -> Result<Batches<T>> {
    let (items, _) = training.split_at(items);
    Ok(Batches::new(&items, CALIBRATION_ITEMS, device)?)
}

/// The cost of `mapped`, if its hardware describes costs and at least one layer lies on arrays. A fully digital network uses no array.
///
/// # Errors
/// Errors of the cost model.
pub(crate) fn cost<N: Network>(mapped: &MappedNetwork<N>) -> Result<Option<CostSummary>> {
    let hardware = mapped.hardware();
    let layers = mapped.shapes();
    if hardware.config().cost.is_none() || layers.is_empty() {
        return Ok(None);
    }
    let report = hardware.accelerator()?.cost(&layers)?;
    let total = report.total;
    Ok(Some(CostSummary {
        adc_estimator: report.adc_estimator.name().to_string(),
        arrays: total.arrays,
        energy: total.energy_total.get(),
        adc_share_of_energy: total.adc_share_of_energy,
        latency: total.latency_sequential.get(),
        area: total.area_total.get(),
        programming_energy: total.programming.energy.get(),
    }))
}
