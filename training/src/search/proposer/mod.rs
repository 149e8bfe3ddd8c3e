//! Who proposes designs. A new proposer is one file here, a line in [`built_in`] or a [`Speaker`], and a row in the tests.

mod evolution;
mod heuristic;
mod random;
mod reinforce;
mod spoken;
mod tpe;

pub use evolution::Evolution;
pub use heuristic::HeuristicPrior;
pub use random::RandomDesigns;
pub use reinforce::{Reinforce, ReinforceConfig};
pub use spoken::{Exchange, Message, Role, Speaker, SpeakerProblem, Spoken};
pub use tpe::Tpe;

use super::space::{Design, Space};
use super::trial::Trial;
use crate::TrainingError;

/// What a proposer says.
#[derive(Clone, Debug, PartialEq)]
pub enum Proposal {
    /// A design.
    Design(Design),
    /// Something that is no design, in words. It counts as an evaluation.
    Invalid(String),
    /// Nothing more, with the reason.
    End(String),
}

/// Who proposes designs, one after the other.
pub trait Proposer {
    /// The next proposal after `history`, all trials of this search in their order. A proposer is asked once for every trial.
    ///
    /// # Errors
    /// What keeps it from proposing anything more.
    fn propose(&mut self, space: &Space, history: &[Trial]) -> Result<Proposal, TrainingError>;
}

/// The names of the proposers that need nothing but a seed.
pub const BUILT_IN: [&str; 5] = ["random", "evolution", "reinforce", "tpe", "heuristic"];

/// The proposer of a name of [`BUILT_IN`] with its defaults; none for another name.
pub fn built_in(name: &str, seed: u64) -> Option<Box<dyn Proposer + Send>> {
    Some(match name {
        "random" => Box::new(RandomDesigns::new(seed)),
        "evolution" => Box::new(Evolution::new(seed)),
        "reinforce" => Box::new(Reinforce::new(seed, ReinforceConfig::default())),
        "tpe" => Box::new(Tpe::new(seed)),
        "heuristic" => Box::new(HeuristicPrior::new(seed)),
        _ => return None,
    })
}

/// A proposal of `design`, or the end of a space in which none is left.
fn proposed(design: Option<Design>) -> Proposal {
    match design {
        Some(design) => Proposal::Design(design),
        None => Proposal::End("no other valid design was found".to_string()),
    }
}
