//! What the chips of an evaluation are made of.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, bail};
use clap::Args;
use crossburn_hardware::deploy::{Fidelity, Hardware, Operation};
use crossburn_hardware::device::MemoryDevice;
use crossburn_hardware::units::Second;
use crossburn_noise::Variation;
use serde_json::{Value, json};

use super::super::digital::DigitalArgument;
use super::super::noise::NoiseArguments;
use super::super::note;
use crate::apps::hardware::{CALIBRATION_ITEMS, NamedHardware, open_device, open_hardware};
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
    /// Memory cells in place of the hardware's own, comma-separated: devices by name, or files (TOML, or a table as CSV);
    /// or all
    #[arg(
        long,
        value_name = "NAME|FILE,...",
        value_delimiter = ',',
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
    /// Rescale the input channels of every layer with this exponent, from 0 to 1, so that channels with large inputs do not set the full
    /// scale of all others (docs/hardware.md); 0.5 is usual
    #[arg(long, value_name = "A", requires = "hardware", conflicts_with_all = NoiseArguments::FLAGS)]
    pub(super) rescale: Option<f64>,
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
        let described = hardware.config().operation;
        let operation = Operation {
            after: choice.after.unwrap_or(described.after),
            rescale: choice.rescale.or(described.rescale),
            ..described
        };
        let operation = Some(operation).filter(|operation| *operation != described);
        let cells: Vec<&str> = match choice.cell.iter().any(|cell| cell == "all") {
            true if choice.cell.len() > 1 => {
                bail!("--cell all names every cell: leave out the others, or `all`")
            }
            true => MemoryDevice::preset_names().collect(),
            false => choice.cell.iter().map(String::as_str).collect(),
        };
        let mut known = BTreeSet::new();
        let mut targets = Vec::new();
        for cell in cells {
            let cell = open_device(cell)?;
            if !known.insert(cell.name.clone()) {
                bail!(
                    "--cell names {} twice: name every cell once, and files differently",
                    cell.name
                );
            }
            targets.push(Target {
                cell: Some(cell.name),
                hardware: hardware.with(Some(cell.device), operation)?,
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
