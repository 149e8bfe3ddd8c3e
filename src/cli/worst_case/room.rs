//! What deviates in a search, and how far.

use anyhow::{Result, bail};
use crossburn_hardware::deploy::{Hardware, MappedNetwork};
use crossburn_models::Network;
use crossburn_noise::worst_case::DeviationBounds;
use crossburn_training::{Learn, WeightAttack};
use serde_json::{Value, json};

use super::FindWorstCase;
use crate::apps::hardware::{NamedHardware, open_hardware};
use crate::apps::study;

/// What deviates, and how far.
pub(super) enum Room {
    /// Weights, within bounds in increasing order, of which one is that of the run.
    Weights { bounds: Vec<f64>, own: f64 },
    /// Cells.
    Cells {
        name: String,
        hardware: Box<Hardware>,
        tolerance: f64,
    },
}

impl Room {
    /// The room that `arguments` ask for.
    ///
    /// # Errors
    /// A bound or tolerance that is no fraction, and a hardware that cannot be opened.
    pub(super) fn new(arguments: &FindWorstCase) -> Result<Self> {
        let Some(hardware) = &arguments.hardware else {
            let mut bounds = arguments.bounds.clone();
            bounds.push(arguments.bound);
            if let Some(bound) = bounds.iter().find(|b| !(**b > 0.0 && **b <= 1.0)) {
                bail!(
                    "--bound {bound} is not allowed: use a fraction of the largest weight of a layer above 0, up to 1"
                );
            }
            bounds.sort_by(f64::total_cmp);
            bounds.dedup();
            return Ok(Self::Weights {
                bounds,
                own: arguments.bound,
            });
        };
        let NamedHardware { name, hardware } = open_hardware(hardware)?;
        let verified = hardware.config().programming.as_ref();
        let Some(tolerance) = arguments
            .tolerance
            .or_else(|| verified.map(|verify| verify.tolerance()))
        else {
            bail!("{name} has no [programming] with a tolerance: give --tolerance, such as 0.03");
        };
        if !(tolerance > 0.0 && tolerance <= 1.0) {
            bail!(
                "--tolerance {tolerance} is not allowed: use a fraction of the conductance range above 0, up to 1"
            );
        }
        Ok(Self::Cells {
            name,
            hardware: Box::new(hardware),
            tolerance,
        })
    }

    /// The bounds in increasing order.
    pub(super) fn bounds(&self) -> &[f64] {
        match self {
            Self::Weights { bounds, .. } => bounds,
            Self::Cells { tolerance, .. } => std::slice::from_ref(tolerance),
        }
    }

    /// The one among them that the run is about.
    pub(super) fn own(&self) -> f64 {
        match *self {
            Self::Weights { own, .. } => own,
            Self::Cells { tolerance, .. } => tolerance,
        }
    }

    /// The boxes of `bound`: those of the cells of `mapped`, where there is one.
    pub(super) fn boxes<N: Network, T: Learn<N>>(
        attack: &WeightAttack<N, T>,
        mapped: Option<&MappedNetwork<N>>,
        bound: f64,
    ) -> Result<DeviationBounds> {
        match mapped {
            Some(mapped) => Ok(mapped.deviation_bounds(bound)?),
            None => Ok(attack.bounds(bound)?),
        }
    }

    /// Everything that the boxes depend on beside the network.
    pub(super) fn describe(&self) -> Result<Value> {
        match self {
            Self::Weights { bounds, .. } => Ok(json!({ "kind": "weights", "bounds": bounds })),
            Self::Cells {
                name,
                hardware,
                tolerance,
            } => Ok(json!({
                "kind": "cells",
                "name": name,
                "tolerance": tolerance,
                "hardware": study::json(hardware.config())?,
            })),
        }
    }
}
