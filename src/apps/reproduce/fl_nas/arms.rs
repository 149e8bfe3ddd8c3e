//! The searches that are compared, and the networks of the literature that stand beside what they choose.

use serde::Serialize;

use super::super::Arm;
use super::material::Material;

pub(super) const RANDOM: &str = "random";
const EVOLUTION: &str = "evolution";
pub(super) const REINFORCE: &str = "reinforce";
pub(super) const HEURISTIC: &str = "heuristic";

/// What the score of a search counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// Accuracy, unfairness and size, with the limits of the device.
    All,
    /// The same without unfairness.
    WithoutFairness,
    /// The same without size and limits.
    WithoutHardware,
}

impl Goal {
    /// The name of an arm of this goal.
    pub(super) fn of(self, proposer: &str) -> String {
        match self {
            Self::All => proposer.to_string(),
            Self::WithoutFairness => format!("{proposer}, no fairness"),
            Self::WithoutHardware => format!("{proposer}, no hardware"),
        }
    }
}

/// Where the network of an arm comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Origin {
    /// A search chooses it.
    Search { proposer: &'static str, goal: Goal },
    /// The literature: the number of a baseline of the material.
    Baseline(usize),
}

/// One search with the network that it chooses, or one network of the literature.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct FlNasArm {
    pub(super) name: String,
    pub(super) origin: Origin,
}

impl Arm for FlNasArm {
    fn name(&self) -> &str {
        &self.name
    }

    fn family(&self) -> &str {
        &self.name
    }
}

/// All arms; budgets are relative to a search.
pub(super) fn arms(material: &Material) -> Vec<FlNasArm> {
    let search = |(proposer, goal): (&'static str, Goal)| FlNasArm {
        name: goal.of(proposer),
        origin: Origin::Search { proposer, goal },
    };
    let searches = [
        (RANDOM, Goal::All),
        (EVOLUTION, Goal::All),
        (REINFORCE, Goal::All),
        (HEURISTIC, Goal::All),
        (HEURISTIC, Goal::WithoutFairness),
        (HEURISTIC, Goal::WithoutHardware),
    ];
    let baselines = material.baselines().iter().enumerate();
    let baselines = baselines.map(|(number, baseline)| FlNasArm {
        name: baseline.name.to_string(),
        origin: Origin::Baseline(number),
    });
    searches.map(search).into_iter().chain(baselines).collect()
}
