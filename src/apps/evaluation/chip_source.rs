//! What the chips of an evaluation are made of.

use std::collections::BTreeMap;

use anyhow::Result;
use crossburn_hardware::deploy::{Fidelity, Hardware};
use crossburn_hardware::device::DriftCompensation;
use crossburn_noise::Variation;
use serde_json::{Value, json};

use crate::apps::study;

/// What chips are made from: a variation of weights, or a hardware.
#[derive(Debug)]
pub(crate) enum ChipSource {
    Variation(Variation),
    Hardware(OnTargets),
}

/// One hardware, with one or more types of memory cells.
#[derive(Debug)]
pub(crate) struct OnTargets {
    pub(crate) name: String,
    pub(crate) targets: Vec<Target>,
    pub(crate) fidelity: Fidelity,
    /// Number of training items on which ranges are set.
    pub(crate) calibration: usize,
}

/// A hardware with one cell.
#[derive(Debug)]
pub(crate) struct Target {
    /// The name of the cell, if it is not the hardware's own.
    pub(crate) cell: Option<String>,
    pub(crate) hardware: Hardware,
}

impl ChipSource {
    /// The same, but the inputs of layers have the full scales `learned` in training, by path, instead of calibrated ones.
    ///
    /// # Errors
    /// An invalid full scale.
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

    /// Whether the inputs of layers have full scales, which is so if arrays are simulated.
    pub(crate) fn has_input_scales(&self) -> bool {
        matches!(self, Self::Hardware(on) if on.fidelity == Fidelity::Array)
    }

    /// All settings that a chip depends on.
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

    /// The entry for the report.
    pub(crate) fn summary(&self) -> Result<Value> {
        match self {
            Self::Variation(variation) => study::json(variation),
            Self::Hardware(on) => {
                let target = on.targets.first();
                let operation = target.map(|target| target.hardware.config().operation);
                let after = operation.map(|operation| operation.after);
                let mut summary =
                    json!({ "kind": on.name, "fidelity": on.fidelity, "after": after });
                let compensation = operation.map(|operation| operation.drift_compensation);
                if let Some(compensation) =
                    compensation.filter(|kind| *kind != DriftCompensation::None)
                {
                    summary["drift_compensation"] = json!(compensation);
                }
                Ok(summary)
            }
        }
    }
}
