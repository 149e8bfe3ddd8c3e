//! The worst chip that searches find within bounds.

mod certify;
mod job;
mod room;
mod searched;
mod searches;

pub(crate) use job::WorstCaseJob;
pub(crate) use room::Room;
