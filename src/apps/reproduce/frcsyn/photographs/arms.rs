//! The training sets of verifiers of photographs.

use crossburn_training::VerificationConfig;
use serde::Serialize;

use super::super::super::Arm;

pub(super) const DRAWN: &str = "drawn only";
pub(super) const REAL: &str = "real only";
pub(super) const MIXED: &str = "mixed";
pub(super) const CLEANSED: &str = "mixed, recipe of CBSR";

/// The share of images with an occlusion. In the recipe of CBSR, occlusions are pasted with a small probability.
const OCCLUSION: f64 = 0.1;

/// The people from whom a verifier learns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Learns {
    /// Drawn people.
    Drawn,
    /// Real people.
    Real,
    /// Both.
    Both,
    /// Both, cleansed: an auxiliary network decides which images and people are left out, and real people are learned twice as often.
    Cleansed,
}

/// One training set, and one way of learning from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PhotographsArm {
    name: &'static str,
    pub(super) learns: Learns,
    pub(super) task: VerificationConfig,
}

impl Arm for PhotographsArm {
    fn name(&self) -> &str {
        self.name
    }

    fn family(&self) -> &str {
        self.name
    }
}

/// All arms. Budgets are relative to the first.
pub(super) fn arms() -> Vec<PhotographsArm> {
    let arm = |name, learns, occlusion| PhotographsArm {
        name,
        learns,
        task: VerificationConfig {
            occlusion,
            ..VerificationConfig::default()
        },
    };
    vec![
        arm(REAL, Learns::Real, 0.0),
        arm(DRAWN, Learns::Drawn, 0.0),
        arm(MIXED, Learns::Both, 0.0),
        arm(CLEANSED, Learns::Cleansed, OCCLUSION),
    ]
}
