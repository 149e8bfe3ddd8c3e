//! What the chips of an evaluation are made of.

use std::collections::BTreeMap;

use anyhow::Result;
use crossburn_hardware::deploy::{Fidelity, Hardware};
use crossburn_noise::Variation;
use serde_json::{Value, json};

use crate::apps::study;

/// A variation of weights, or a hardware.
#[derive(Debug)]
pub(crate) enum ChipSource {
    Variation(Variation),
    Hardware(OnTargets),
}

/// One hardware with one or more cells.
#[derive(Debug)]
pub(crate) struct OnTargets {
    pub(crate) name: String,
    pub(crate) targets: Vec<Target>,
    pub(crate) fidelity: Fidelity,
    /// Training items that ranges are set on.
    pub(crate) calibration: usize,
}

/// A hardware with one cell.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its name, where the cell is not the hardware's own.
    pub(crate) cell: Option<String>,
    pub(crate) hardware: Hardware,
}

impl ChipSource {
    /// The same, where the inputs of layers have the full scales `learned` in training, by path, in place of calibration.
    ///
    /// # Errors
    /// A full scale that is none.
    pub(crate) fn with_input_scales(mut self, learned: &BTreeMap<String, f32>) -> Result<Self> {
        if let Self::Hardware(on) = &mut self
            && on.fidelity == Fidelity::Array
        {
            for target in &mut on.targets {
                let scales = learned.iter().map(|(path, scale)| (path, *scale));
                target.hardware = target.hardware.with_input_scales(scales)?;
            }
        }
        Ok(self)
    }

    /// Whether inputs of layers have full scales: where arrays are simulated.
    pub(crate) fn has_input_scales(&self) -> bool {
        matches!(self, Self::Hardware(on) if on.fidelity == Fidelity::Array)
    }

    /// Everything that a chip depends on.
    pub(crate) fn describe(&self) -> Result<Value> {
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
    pub(crate) fn summary(&self) -> Result<Value> {
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
