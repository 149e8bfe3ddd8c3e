//! What the chips of an evaluation are made of.

use std::collections::BTreeSet;

use anyhow::{Result, bail};
use crossburn_hardware::deploy::{Fidelity, Hardware, Operation};
use crossburn_hardware::device::Device;
use crossburn_hardware::units::Second;
use crossburn_noise::Variation;
use serde_json::{Value, json};

use crate::apps::hardware::{NamedHardware, open_hardware};
use crate::apps::study;

/// A variation of weights, or a hardware.
pub(super) enum Deployment {
    Variation(Variation),
    Hardware(OnTargets),
}

/// One hardware with one or more cells.
pub(super) struct OnTargets {
    pub(super) name: String,
    pub(super) targets: Vec<Target>,
    pub(super) fidelity: Fidelity,
    /// Training images that ranges are set on.
    pub(super) calibration: usize,
}

/// A hardware with one cell.
pub(super) struct Target {
    /// Its name, where the cell is not the hardware's own.
    pub(super) cell: Option<String>,
    pub(super) hardware: Hardware,
}

/// What the command line says of a hardware.
pub(super) struct HardwareChoice<'a> {
    /// A name or a file.
    pub(super) hardware: &'a str,
    pub(super) fidelity: Fidelity,
    /// Names of devices, or `all`.
    pub(super) cells: &'a [String],
    /// Paths of weights that stay digital.
    pub(super) digital: &'a [String],
    pub(super) after: Option<Second>,
    /// Training images that ranges are set on.
    pub(super) calibration: usize,
}

impl Deployment {
    /// The hardware of `choice`.
    ///
    /// # Errors
    /// Names and files that are not there, a cell that is named twice, and what does not fit together.
    pub(super) fn on_hardware(choice: &HardwareChoice<'_>) -> Result<Self> {
        let NamedHardware { name, hardware } = open_hardware(choice.hardware)?;
        let hardware = hardware.with_digital(choice.digital)?;
        let operation = choice.after.map(|after| Operation {
            after,
            ..hardware.config().operation
        });
        let cells: Vec<&str> = match choice.cells.iter().any(|cell| cell == "all") {
            true => Device::preset_names().collect(),
            false => choice.cells.iter().map(String::as_str).collect(),
        };
        let mut known = BTreeSet::new();
        let mut targets = Vec::new();
        for cell in cells {
            if !known.insert(cell) {
                bail!("--cell names {cell} twice: name every cell once");
            }
            targets.push(Target {
                cell: Some(cell.to_string()),
                hardware: hardware.with(Some(Device::preset(cell)?), operation)?,
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
