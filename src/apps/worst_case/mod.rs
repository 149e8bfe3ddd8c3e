//! Finds the worst chip within bounds.

mod certify;
mod job;
mod room;
mod searched;
mod searches;

pub(crate) use job::WorstCaseJob;
pub(crate) use room::Room;
