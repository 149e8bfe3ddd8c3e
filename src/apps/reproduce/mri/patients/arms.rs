//! The ways of giving slices of patients back.

use serde::Serialize;

use super::super::super::Arm;
use super::super::arms::reversed;
use super::super::maps::{ALPHA, MAPS};

/// What budgets are relative to, and what others are compared with.
pub(super) const L1: &str = MAPS[0].0;
pub(super) const FQ: &str = MAPS[2].0;
pub(super) const SPREAD: &str = "FQ, draws and their spread";
pub(super) const VARIATIONAL: &str = "variational autoencoder";
pub(super) const INTENSITY: &str = "intensity alone";

/// What gives slices back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Given {
    /// A U-Net that learned patches with this share of structural similarity.
    Patches { alpha: f64 },
    /// The same network as [`FQ`], which is shown several draws of the noise.
    Draws,
    /// A variational autoencoder.
    Variational,
    /// Nothing: a map of the absolute difference is the intensity itself.
    Black,
}

/// One way of giving slices of patients back.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PatientsArm {
    pub(super) name: String,
    pub(super) reversed: bool,
    pub(super) given: Given,
}

impl PatientsArm {
    /// The share of structural similarity in its own map.
    pub(super) fn own(&self) -> f64 {
        match self.given {
            Given::Patches { alpha } => alpha,
            Given::Draws | Given::Variational => ALPHA,
            Given::Black => 0.0,
        }
    }
}

impl Arm for PatientsArm {
    fn name(&self) -> &str {
        &self.name
    }

    fn family(&self) -> &str {
        &self.name
    }

    fn starts_from_another(&self) -> bool {
        self.given == Given::Draws
    }
}

/// All arms; the first is what budgets are relative to.
pub(super) fn arms() -> Vec<PatientsArm> {
    let arm = |name: &str, is_reversed, given| PatientsArm {
        name: match is_reversed {
            true => reversed(name),
            false => name.to_string(),
        },
        reversed: is_reversed,
        given,
    };
    let mut arms = Vec::new();
    for is_reversed in [false, true] {
        arms.extend(MAPS.map(|(map, alpha)| arm(map, is_reversed, Given::Patches { alpha })));
    }
    arms.extend([
        arm(SPREAD, false, Given::Draws),
        arm(VARIATIONAL, false, Given::Variational),
        arm(INTENSITY, false, Given::Black),
    ]);
    arms
}
