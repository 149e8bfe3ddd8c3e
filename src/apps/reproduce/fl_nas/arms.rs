//! The compared searches, and networks from the literature for comparison.

use serde::Serialize;

use super::super::Arm;
use super::material::Material;

pub(super) const RANDOM: &str = "random";
const EVOLUTION: &str = "evolution";
pub(super) const REINFORCE: &str = "reinforce";
pub(super) const HEURISTIC: &str = "heuristic";

/// What the score of a search contains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Goal {
    /// Accuracy, unfairness and size, with the limits of the device.
    All,
    /// The same, without unfairness.
    WithoutFairness,
    /// The same, without size and limits.
    WithoutHardware,
}

impl Goal {
    /// The name of the arm of `proposer` with this goal.
    pub(super) fn of(self, proposer: &str) -> String {
        match self {
            Self::All => proposer.to_string(),
            Self::WithoutFairness => format!("{proposer}, no fairness"),
            Self::WithoutHardware => format!("{proposer}, no hardware"),
        }
    }
}

/// The origin of an arm's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Origin {
    /// The network that a search chooses.
    Search { proposer: &'static str, goal: Goal },
    /// A network from the literature: the index of a baseline of the material.
    Baseline(usize),
}

/// One search and the network that it chooses, or one network from the literature.
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

/// All arms. Budgets are relative to a search.
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
