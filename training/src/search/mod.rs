//! Searches for designs: which network on which hardware?
//!
//! A [`Space`] says what can be designed, and a [`Design`] is one point of it. A [`Proposer`] proposes designs, a [`Judge`]
//! measures them, and a [`Score`] turns the measures into one number. [`Search`] is the loop. Nothing here reads a file,
//! prints, or knows the resulting network.
//!
//! | file | question |
//! |---|---|
//! | `space.rs`, `space/`, `axis.rs`, `constraint.rs` | what can be designed, and how is a design written? |
//! | `proposer/` | which design comes next? |
//! | `reply.rs`, `prompt.rs` | what does a proposer that reads text see, and how is its reply read? |
//! | `trial.rs`, `score.rs` | what is a design worth? |
//! | `pareto.rs` | which designs are best where several things count? |
//! | `fairness.rs` | how differently does a network serve groups of people? |
//! | `run.rs` | what is a search? |

mod axis;
mod constraint;
mod fairness;
mod pareto;
mod prompt;
mod proposer;
mod reply;
mod run;
mod score;
mod space;
mod trial;

pub use crate::draws::Draws;
pub use axis::{Axis, AxisConfig, Choice, SeveralConfig, Times};
pub use constraint::Constraint;
pub use fairness::{Equality, GroupCounts, ServedItem, equality, unfairness, unfairness_interval};
pub use pareto::{hypervolume, pareto_set};
pub use prompt::Goal;
pub use proposer::{
    BUILT_IN, Evolution, Exchange, HeuristicPrior, Message, Proposal, Proposer, RandomDesigns,
    Reinforce, ReinforceConfig, Role, Speaker, SpeakerProblem, Spoken, Tpe, built_in,
};
pub use reply::{MOST_REPLY, read_reply};
pub use run::{Search, Searched};
pub use score::{
    ENERGY_REFERENCE, Limit, Priority, RATE_REFERENCE, Score, ScoreConfig, best_by_priority, r_ae,
    r_al,
};
pub use space::{Design, Space, SpaceConfig};
pub use trial::{INVALID_SCORE, Judge, Judged, Measure, Trial, best, best_so_far};
