//! What the chips of an evaluation are made of.

use std::collections::BTreeMap;
use std::path::{Component, Path};

use anyhow::{Result, anyhow, bail};
use clap::Args;
use crossburn_hardware::deploy::{Fidelity, Hardware, Operation};
use crossburn_hardware::device::MemoryDevice;
use crossburn_hardware::units::Second;
use crossburn_noise::Variation;
use serde_json::{Value, json};

use super::super::digital::DigitalArgument;
use super::super::noise::NoiseArguments;
use super::super::note;
use crate::apps::hardware::{
    CALIBRATION_ITEMS, NamedDevice, NamedHardware, open_device, open_hardware,
};
use crate::apps::study;

/// A variation of weights, or a hardware.
pub(super) enum ChipSource {
    Variation(Variation),
    Hardware(OnTargets),
}

/// One hardware with one or more cells.
pub(super) struct OnTargets {
    pub(super) name: String,
    pub(super) targets: Vec<Target>,
    pub(super) fidelity: Fidelity,
    /// Training items that ranges are set on.
    pub(super) calibration: usize,
}

/// A hardware with one cell.
pub(super) struct Target {
    /// Its name, where the cell is not the hardware's own.
    pub(super) cell: Option<String>,
    pub(super) hardware: Hardware,
}

/// What the command line says of a hardware, in place of a variation. Every flag refuses those of a variation by itself:
/// `requires` alone is waived where what is required conflicts with something else.
#[derive(Debug, Args)]
#[command(next_help_heading = "Hardware")]
pub(super) struct HardwareArguments {
    /// Program chips of this hardware, in place of a variation: an accelerator by name, or a TOML file
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) hardware: Option<String>,
    /// What is simulated: weight (the weights that cells hold) or array (every product, much slower)
    #[arg(long, value_name = "F", default_value_t = Fidelity::Weight, requires = "hardware", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) fidelity: Fidelity,
    /// Memory cells in place of the hardware's own: devices by name and files (TOML, or a table as CSV), comma-separated or with the
    /// option once for each; or all. A file may have commas in its name
    #[arg(
        long,
        value_name = "NAME|FILE,...",
        requires = "hardware",
        conflicts_with_all = NoiseArguments::FLAGS
    )]
    pub(super) cell: Vec<String>,
    #[command(flatten)]
    pub(super) digital: DigitalArgument,
    /// Training items that set the ranges of converters, and of inputs where training has not learned them
    #[arg(long, value_name = "N", default_value_t = CALIBRATION_ITEMS, requires = "hardware", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) calibration: usize,
    /// Time between programming and use, such as 1d
    #[arg(long, value_name = "TIME", requires = "hardware", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) after: Option<Second>,
}

/// The cells that the values of `--cell` name, one by one.
///
/// # Errors
/// `all` beside others.
fn cells(asked: &[String]) -> Result<Vec<&str>> {
    let parts = |value| -> Vec<&str> {
        match Path::new(value).is_file() {
            true => vec![value],
            false => value.split(',').collect(),
        }
    };
    let cells: Vec<&str> = asked.iter().flat_map(|value| parts(value)).collect();
    match cells.contains(&"all") {
        true if cells.len() > 1 => {
            bail!("--cell all names every cell: leave out the others, or `all`")
        }
        true => Ok(MemoryDevice::preset_names().collect()),
        false => Ok(cells),
    }
}

/// A name for each of `devices`, which `cells` name: its own, and where files of several folders have the same, one with the folders
/// that tell them apart.
///
/// # Errors
/// A cell that is named twice.
fn told_apart(cells: &[&str], devices: &[NamedDevice]) -> Result<Vec<String>> {
    let names: Vec<&str> = devices.iter().map(|device| device.name.as_str()).collect();
    let twice = |name: &str| {
        anyhow!("--cell names {name} twice: name every cell once, and files differently")
    };
    let mut found: Vec<String> = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let same = |other: &usize| *other != index && names[*other] == *name;
        let others: Vec<usize> = (0..names.len()).filter(same).collect();
        // The shortest end of the path that no other cell of this name has.
        let own = folders(cells[index]);
        let differs = |depth: &usize| {
            let end = own.len() - depth;
            others.iter().all(|other| {
                let theirs = folders(cells[*other]);
                let end_of_theirs = theirs.len().saturating_sub(*depth);
                theirs[end_of_theirs..] != own[end..]
            })
        };
        let depth = match others.is_empty() {
            true => Some(0),
            false => (1..=own.len()).find(differs),
        };
        let depth = depth.ok_or_else(|| twice(name))?;
        let parts = own[own.len() - depth..].iter().map(String::as_str);
        let parts: Vec<&str> = parts.chain([*name]).collect();
        found.push(parts.join("-"));
    }
    match found
        .iter()
        .enumerate()
        .find(|(at, name)| found[..*at].contains(name))
    {
        Some((_, name)) => Err(twice(name)),
        None => Ok(found),
    }
}

/// The folders of a path, from the root on where it is there.
fn folders(path: &str) -> Vec<String> {
    let path = Path::new(path);
    let whole = path.canonicalize().unwrap_or_else(|_| path.to_path_buf());
    let Some(folder) = whole.parent() else {
        return Vec::new();
    };
    let names = folder.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
        _ => None,
    });
    names.collect()
}

impl ChipSource {
    /// The hardware that is named, or the variation where none is.
    ///
    /// # Errors
    /// Names and files that are not there, a cell that is named twice, and what does not fit together.
    pub(super) fn new(choice: &HardwareArguments, noise: &NoiseArguments) -> Result<Self> {
        let Some(hardware) = &choice.hardware else {
            return Ok(Self::Variation(noise.variation()?));
        };
        let NamedHardware { name, hardware } = open_hardware(hardware)?;
        let operation = choice.after.map(|after| Operation {
            after,
            ..hardware.config().operation
        });
        let cells = cells(&choice.cell)?;
        let devices = cells.iter().map(|cell| open_device(cell));
        let devices: Vec<NamedDevice> = devices.collect::<Result<_>>()?;
        let names = told_apart(&cells, &devices)?;
        let mut targets = Vec::new();
        for (name, NamedDevice { device, .. }) in names.into_iter().zip(devices) {
            targets.push(Target {
                cell: Some(name),
                hardware: hardware.with(Some(device), operation)?,
            });
        }
        if targets.is_empty() {
            targets.push(Target {
                cell: None,
                hardware: hardware.with(None, operation)?,
            });
        }
        Ok(Self::Hardware(OnTargets {
            name,
            targets,
            fidelity: choice.fidelity,
            calibration: choice.calibration,
        }))
    }

    /// The same, where the inputs of layers have the full scales `learned` in training, by path, in place of calibration.
    ///
    /// # Errors
    /// A full scale that is none.
    pub(super) fn with_input_scales(mut self, learned: &BTreeMap<String, f32>) -> Result<Self> {
        if let Self::Hardware(on) = &mut self
            && on.fidelity == Fidelity::Array
        {
            for target in &mut on.targets {
                let scales = learned.iter().map(|(path, scale)| (path, *scale));
                target.hardware = target.hardware.with_input_scales(scales)?;
            }
            if !learned.is_empty() {
                note(
                    "inputs have the full scales that training has learned, unless the hardware says others",
                );
            }
        }
        Ok(self)
    }

    /// Everything that a chip depends on.
    pub(super) fn describe(&self) -> Result<Value> {
        let OnTargets {
            name,
            targets,
            fidelity,
            calibration,
        } = match self {
            Self::Variation(variation) => return study::json(variation),
            Self::Hardware(on) => on,
        };
        let targets = targets
            .iter()
            .map(|target| study::json(target.hardware.config()));
        Ok(json!({
            "kind": "hardware",
            "name": name,
            "fidelity": fidelity,
            "calibration": calibration,
            "targets": targets.collect::<Result<Vec<_>>>()?,
        }))
    }

    /// What the report shows of it.
    pub(super) fn summary(&self) -> Result<Value> {
        match self {
            Self::Variation(variation) => study::json(variation),
            Self::Hardware(on) => {
                let target = on.targets.first();
                let after = target.map(|target| target.hardware.config().operation.after);
                Ok(json!({ "kind": on.name, "fidelity": on.fidelity, "after": after }))
            }
        }
    }
}
