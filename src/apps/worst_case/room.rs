//! What may deviate in a search, and how far.

use anyhow::Result;
use crossburn_hardware::deploy::{Hardware, MappedNetwork};
use crossburn_models::Network;
use crossburn_noise::worst_case::DeviationBounds;
use crossburn_training::{Learn, WeightAttack};
use serde_json::{Value, json};

use crate::apps::study;

/// What may deviate, and how far.
#[derive(Debug)]
pub(crate) enum Room {
    /// Weights, within bounds in increasing order. One of the bounds is that of the run.
    Weights { bounds: Vec<f64>, own: f64 },
    /// The cells of a hardware.
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

    /// The bound of the run.
    pub(super) fn own(&self) -> f64 {
        match *self {
            Self::Weights { own, .. } => own,
            Self::Cells { tolerance, .. } => tolerance,
        }
    }

    /// The boxes for `bound`: those of the cells of `mapped`, if it is given.
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

    /// All settings that the boxes depend on, besides the network.
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
