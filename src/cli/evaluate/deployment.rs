//! What the command line says the chips of an evaluation are made of.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use clap::Args;
use crossburn_hardware::deploy::{Fidelity, Operation};
use crossburn_hardware::device::MemoryDevice;
use crossburn_hardware::units::Second;

use super::super::digital::DigitalArgument;
use super::super::noise::NoiseArguments;
use crate::apps::evaluation::{ChipSource, OnTargets, Target};
use crate::apps::hardware::{CALIBRATION_ITEMS, NamedHardware, open_device, open_hardware};

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
            rescale: self.rescale.or(described.rescale),
            ..described
        };
        let operation = Some(operation).filter(|operation| *operation != described);
        let cells: Vec<&str> = match self.cell.iter().any(|cell| cell == "all") {
            true if self.cell.len() > 1 => {
                bail!("--cell all names every cell: leave out the others, or `all`")
            }
            true => MemoryDevice::preset_names().collect(),
            false => self.cell.iter().map(String::as_str).collect(),
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
        Ok(ChipSource::Hardware(OnTargets {
            name,
            targets,
            fidelity: self.fidelity,
            calibration: self.calibration,
        }))
    }
}
