//! Which way to make a language model personal is best where.

mod compare;
mod document;
mod page;
mod plots;
mod table;

pub(crate) use compare::{interval, interval_of, mean};
pub use document::{EdgeStudy, RoundingErrors, StudyCell, StudyModel, StudyPoint, StudyTask};
