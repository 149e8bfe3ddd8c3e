//! The training sets of the verifiers, and how they are trained.

use crossburn_training::{Head, Sampling, VerificationConfig};
use serde::Serialize;

use super::super::Arm;

pub(super) const REAL: &str = "real only";
pub(super) const REAL_SAMPLED: &str = "real only, balanced sampling";
pub(super) const REAL_BALANCED: &str = "real only, balanced people";
pub(super) const SYNTHETIC: &str = "synthetic only";
pub(super) const MIXED: &str = "mixed";
pub(super) const SOFTMAX: &str = "mixed, softmax";
pub(super) const NO_MARGIN: &str = "mixed, no margin";
pub(super) const OCCLUDED: &str = "mixed, occlusions";

/// The share of images with an occlusion, in arms that have any.
const OCCLUSION: f64 = 0.2;

/// One training set, and one way of learning from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FrcsynArm {
    name: &'static str,
    /// Options that are added to the data source.
    pub(super) options: &'static str,
    /// Number of sets of people that it holds: one, or a real and a synthetic one.
    pub(super) sets: usize,
    pub(super) task: VerificationConfig,
    /// Whether it is judged on chips too.
    pub(super) on_chips: bool,
}

impl Arm for FrcsynArm {
    fn name(&self) -> &str {
        self.name
    }

    fn family(&self) -> &str {
        self.name
    }
}

/// All arms.
pub(super) fn arms() -> Vec<FrcsynArm> {
    let usual = VerificationConfig::default;
    let arm = |name, options, task| FrcsynArm {
        name,
        options,
        sets: 1,
        task,
        on_chips: false,
    };
    let on_chips = |arm: FrcsynArm| FrcsynArm {
        on_chips: true,
        ..arm
    };
    let mixed = |name, task| FrcsynArm {
        sets: 2,
        ..arm(name, "&style=mixed", task)
    };
    vec![
        on_chips(arm(REAL, "", usual())),
        arm(
            REAL_SAMPLED,
            "",
            VerificationConfig {
                sampling: Sampling::Balanced,
                ..usual()
            },
        ),
        on_chips(arm(REAL_BALANCED, "&balanced=yes", usual())),
        arm(SYNTHETIC, "&style=synthetic", usual()),
        on_chips(mixed(MIXED, usual())),
        mixed(
            SOFTMAX,
            VerificationConfig {
                head: Head::Softmax,
                ..usual()
            },
        ),
        mixed(
            NO_MARGIN,
            VerificationConfig {
                margin: Some(0.0),
                ..usual()
            },
        ),
        mixed(
            OCCLUDED,
            VerificationConfig {
                occlusion: OCCLUSION,
                ..usual()
            },
        ),
    ]
}
