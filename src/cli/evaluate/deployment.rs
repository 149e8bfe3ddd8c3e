//! The variation or the hardware of the chips of an evaluation, from the command line.

use std::path::{Component, Path};

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, ValueEnum};
use crossburn_hardware::WeightBits;
use crossburn_hardware::deploy::{Fidelity, Operation};
use crossburn_hardware::device::{DriftCompensation, MemoryDevice};
use crossburn_hardware::units::Second;
use serde::Deserialize;
use serde::de::IntoDeserializer;

use super::super::digital::DigitalArgument;
use super::super::noise::NoiseArguments;
use crate::apps::evaluation::{ArrayWeight, ChipSource, OnTargets, Target};
use crate::apps::hardware::{
    CALIBRATION_ITEMS, NamedDevice, NamedHardware, open_device, open_hardware,
};

/// The arguments for a hardware instead of a variation. Each of them refuses the flags of a variation itself, because clap
/// waives `requires` if the required option conflicts with another one.
#[derive(Debug, Args)]
#[command(next_help_heading = "Hardware")]
pub(super) struct HardwareArguments {
    /// Program chips of this hardware instead of varying weights: an accelerator by name, or a TOML file
    #[arg(long, value_name = "NAME|FILE", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) hardware: Option<String>,
    /// What to simulate: weight (the weights that programmed cells hold) or array (every product on arrays, much slower)
    #[arg(long, value_name = "F", default_value_t = Fidelity::Weight, requires = "hardware", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) fidelity: Fidelity,
    /// Use these memory cells instead of the hardware's own: devices by name and files (TOML, or a table as CSV), comma-separated, or
    /// repeat the option; `all` takes every device. The name of a file may contain commas
    #[arg(
        long,
        value_name = "NAME|FILE,...",
        requires = "hardware",
        conflicts_with_all = NoiseArguments::FLAGS
    )]
    pub(super) cell: Vec<String>,
    #[command(flatten)]
    pub(super) digital: DigitalArgument,
    /// Training items to set the ranges of converters on, and those of inputs unless training has learned them
    #[arg(long, value_name = "N", default_value_t = CALIBRATION_ITEMS, requires = "hardware", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) calibration: usize,
    /// Time from programming to use, such as 1d. Drift is not compensated unless the hardware or --drift-compensation says so
    #[arg(long, value_name = "TIME", requires = "hardware", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) after: Option<Second>,
    /// Scale currents back to what they were before drift, by factors that are measured on the chip: global (one for each array),
    /// per-column (one for each output line), or none [default: that of the hardware]
    #[arg(long, value_name = "KIND", value_parser = drift_compensation, requires = "hardware", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) drift_compensation: Option<DriftCompensation>,
    /// Rescale the input channels of each layer with this exponent, from 0 to 1 (usually 0.5), so that a few large channels do not set
    /// the full scale of all (docs/hardware.md)
    #[arg(long, value_name = "A", requires = "hardware", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) rescale: Option<f64>,
    /// Store the weights of each layer in as many bits as in training, instead of the hardware's weight_bits. Weights of one bit take two
    #[arg(long, requires = "hardware", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) trained_bits: bool,
    /// Show which parts cost most: evaluate once for each layer, or each slice of each layer, with errors in its cells alone. All other
    /// cells hold their targets. Slices are counted from the lowest, 0
    #[arg(long, value_name = "layer|slice", value_enum, requires = "hardware", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) errors_by: Option<ErrorsBy>,
}

/// The part of the network whose cells alone have errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum ErrorsBy {
    /// All cells of one layer.
    Layer,
    /// The cells of one slice of one layer.
    Slice,
}

/// The drift compensation of this name, as hardware files write it.
///
/// # Errors
/// Another name.
fn drift_compensation(name: &str) -> Result<DriftCompensation, serde::de::value::Error> {
    DriftCompensation::deserialize(name.into_deserializer())
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

impl HardwareArguments {
    /// The hardware that is named, or the variation `noise` where none is.
    ///
    /// # Errors
    /// Names and files that are not there, a cell that is named twice, and what does not fit together.
    pub(super) fn chip_source(&self, noise: &NoiseArguments) -> Result<ChipSource> {
        let Some(hardware) = &self.hardware else {
            return Ok(ChipSource::Variation(noise.variation()?));
        };
        let NamedHardware { name, hardware } = open_hardware(hardware)?;
        let described = hardware.config().operation;
        let operation = Operation {
            after: self.after.unwrap_or(described.after),
            drift_compensation: (self.drift_compensation).unwrap_or(described.drift_compensation),
            rescale: self.rescale.or(described.rescale),
            ..described
        };
        if self
            .drift_compensation
            .is_some_and(|kind| kind != DriftCompensation::None)
            && operation.after == Second::default()
        {
            bail!("--drift-compensation without a time: nothing has drifted; hint: add --after 1d");
        }
        let operation = Some(operation).filter(|operation| *operation != described);
        let cells = cells(&self.cell)?;
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
        Ok(ChipSource::Hardware(OnTargets {
            name,
            targets,
            fidelity: self.fidelity,
            calibration: self.calibration,
        }))
    }

    /// `source` with what these options take from the network: with `--trained-bits` the widths of its weights, and with `--errors-by` one hardware
    /// for each layer or slice. `find` gives the weights of the network on arrays.
    ///
    /// # Errors
    /// `--trained-bits` for a weight in full precision, `--errors-by` for several cells or for a hardware that names slices with errors itself,
    /// and what `find` refuses.
    pub(super) fn for_network(
        &self,
        source: ChipSource,
        find: impl FnOnce() -> Result<Vec<ArrayWeight>>,
    ) -> Result<ChipSource> {
        let ChipSource::Hardware(mut on) = source else {
            return Ok(source);
        };
        if !self.trained_bits && self.errors_by.is_none() {
            return Ok(ChipSource::Hardware(on));
        }
        let weights = find()?;
        if self.trained_bits {
            let widths = weights.iter().map(|weight| {
                let bits = weight.bits.with_context(|| {
                    format!(
                        "--trained-bits: `{}` was trained in full precision: leave the option out, or train with model.bits or arrays.bits",
                        weight.path
                    )
                })?;
                Ok((weight.path.clone(), bits))
            });
            let widths: Vec<(String, WeightBits)> = widths.collect::<Result<_>>()?;
            for target in &mut on.targets {
                target.hardware = target.hardware.with_weight_bits(widths.clone())?;
            }
        }
        let Some(by) = self.errors_by else {
            return Ok(ChipSource::Hardware(on));
        };
        let [target] = on.targets.as_slice() else {
            bail!("--errors-by takes one memory cell: name it with --cell");
        };
        let paths: Vec<String> = weights.into_iter().map(|weight| weight.path).collect();
        let parts = (target.hardware).with_errors_in_one(&paths, by == ErrorsBy::Slice)?;
        if parts.is_empty() {
            bail!("--errors-by: no layer is on arrays, every layer is digital");
        }
        let targets = parts.into_iter().map(|(path, slice, hardware)| Target {
            cell: Some(match slice {
                Some(slice) => format!("{path} slice {slice}"),
                None => path,
            }),
            hardware,
        });
        on.targets = targets.collect();
        Ok(ChipSource::Hardware(on))
    }
}
