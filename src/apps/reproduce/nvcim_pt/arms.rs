//! The methods that are compared.

use crossburn_training::stored_prompts::{Compensation, KeyForm};
use serde::Serialize;

use super::super::Arm;

/// The full method.
pub(super) const FULL: &str = "full: noise-aware, scaled search";
/// Noise-aware tuning with plain search.
pub(super) const NOISE_AWARE: &str = "noise-aware, plain search";
/// Nothing against errors.
pub(super) const UNMITIGATED: &str = "no mitigation, plain search";
/// One prompt for all texts.
pub(super) const ONE: &str = "one prompt for all";
/// The full method with prompts that are their own keys, as published.
pub(super) const AS_KEY: &str = "full, prompts as keys";
/// Methods that the paper compares with, each with the storage of the full method.
pub(super) const OTHERS: [&str; 3] = [
    "selective write-verify",
    "output compensation (CxDNN)",
    "penalty and gain (CorrectNet)",
];

/// The fraction of stored numbers that selective write-verify verifies.
const VERIFIED: f64 = 0.1;
/// β of the penalty, the larger of the two that are published.
const PENALTY: f64 = 5e-4;

/// What is done about errors where tuning and search do nothing.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mitigation {
    None,
    /// This fraction of the numbers of codes is verified.
    Verify(f64),
    /// Scores and reads are corrected.
    Correct(Compensation),
}

/// One method.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct PromptArm {
    name: &'static str,
    /// Whether there is one prompt for all texts.
    pub(super) one: bool,
    /// Whether prompts and coder are trained under the noise of the cells that they are stored on.
    pub(super) noise: bool,
    /// Whether averages are searched as well.
    pub(super) scaled: bool,
    pub(super) keys: KeyForm,
    /// β of the penalty in tuning.
    pub(super) penalty: f64,
    pub(super) mitigation: Mitigation,
}

impl Arm for PromptArm {
    fn name(&self) -> &str {
        self.name
    }

    fn family(&self) -> &str {
        self.name
    }

    /// The first one trains the language model of all.
    fn starts_from_another(&self) -> bool {
        self.name != FULL
    }
}

/// All methods, the full one first.
pub(super) fn arms() -> Vec<PromptArm> {
    let plain = PromptArm {
        name: UNMITIGATED,
        one: false,
        noise: false,
        scaled: false,
        keys: KeyForm::Beside,
        penalty: 0.0,
        mitigation: Mitigation::None,
    };
    let noise_aware = PromptArm {
        name: NOISE_AWARE,
        noise: true,
        ..plain.clone()
    };
    let full = PromptArm {
        name: FULL,
        scaled: true,
        ..noise_aware.clone()
    };
    let [verify, compensate, correct] = OTHERS.map(|name| PromptArm {
        name,
        ..plain.clone()
    });
    vec![
        full.clone(),
        noise_aware,
        plain.clone(),
        PromptArm {
            name: ONE,
            one: true,
            ..plain
        },
        PromptArm {
            mitigation: Mitigation::Verify(VERIFIED),
            ..verify
        },
        PromptArm {
            mitigation: Mitigation::Correct(Compensation::GainAndOffset),
            ..compensate
        },
        PromptArm {
            mitigation: Mitigation::Correct(Compensation::Gain),
            penalty: PENALTY,
            ..correct
        },
        PromptArm {
            name: AS_KEY,
            keys: KeyForm::Prompt,
            ..full
        },
    ]
}
