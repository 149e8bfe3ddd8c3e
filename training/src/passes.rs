//! What a training run has computed.

use serde::{Deserialize, Serialize};

/// Items that went through a network during training, so that methods are compared at equal budgets.
///
/// A method that passes every item three times per step counts it three times; so does one that trains three copies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Passes {
    /// Items that passed forward and backward, for weights or adversaries.
    pub backward: u64,
    /// Items that passed forward only: to judge an epoch, to refresh running statistics, or to teach.
    pub forward: u64,
}
