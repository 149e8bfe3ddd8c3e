//! What deviates in a search, and how far.

use anyhow::Result;
use crossburn_hardware::deploy::{Hardware, MappedNetwork};
use crossburn_models::Network;
use crossburn_noise::worst_case::DeviationBounds;
use crossburn_training::{Learn, WeightAttack};
use serde_json::{Value, json};

use crate::apps::study;

/// What deviates, and how far.
#[derive(Debug)]
pub(crate) enum Room {
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
    pub(crate) fn describe(&self) -> Result<Value> {
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
