//! The compared searches.

use serde::Serialize;

use super::super::Arm;
use super::Form;

pub(super) const HEURISTIC: &str = "heuristic";
pub(super) const REINFORCE: &str = "reinforce";
pub(super) const RANDOM: &str = "random";
const EVOLUTION: &str = "evolution";
const TPE: &str = "tpe";

/// The goal of a search.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// Quality and energy.
    Energy,
    /// The same, but proposers see neither names nor values of the space.
    HiddenEnergy,
    /// Quality and latency.
    Rate,
}

impl Goal {
    /// The name of the score in tables.
    pub(super) fn score(self) -> &'static str {
        match self {
            Self::Energy | Self::HiddenEnergy => "R_ae",
            Self::Rate => "R_al",
        }
    }

    /// The name of the arm of `proposer` with this goal.
    pub(super) fn of(self, proposer: &str) -> String {
        match self {
            Self::Energy => proposer.to_string(),
            Self::HiddenEnergy => format!("{proposer}, names hidden"),
            Self::Rate => format!("{proposer}, R_al"),
        }
    }
}

/// One proposer with one goal.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct LcdaArm {
    pub(super) name: String,
    pub(super) proposer: &'static str,
    pub(super) goal: Goal,
}

impl Arm for LcdaArm {
    fn name(&self) -> &str {
        &self.name
    }

    fn family(&self) -> &str {
        &self.name
    }
}

/// All arms.
pub(super) fn arms(form: Form) -> Vec<LcdaArm> {
    let of = |goal: Goal, proposers: &[&'static str]| -> Vec<LcdaArm> {
        let arm = |proposer: &&'static str| LcdaArm {
            name: goal.of(proposer),
            proposer,
            goal,
        };
        proposers.iter().map(arm).collect()
    };
    match form {
        Form::Surrogate => [
            of(
                Goal::Energy,
                &[RANDOM, REINFORCE, EVOLUTION, TPE, HEURISTIC],
            ),
            of(Goal::HiddenEnergy, &[HEURISTIC]),
            of(Goal::Rate, &[RANDOM, REINFORCE, HEURISTIC]),
        ]
        .concat(),
        Form::Trained => of(Goal::Energy, &[RANDOM, REINFORCE, TPE, HEURISTIC]),
    }
}
