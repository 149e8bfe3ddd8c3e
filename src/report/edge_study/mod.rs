//! Which way to make a language model personal is best where.

mod compare;
mod costs;
mod document;
mod page;
mod plots;
mod table;

pub(crate) use compare::{interval, interval_of, mean, median};
pub use document::{
    EdgeStudy, RoundingErrors, StudyCell, StudyCost, StudyModel, StudyPart, StudyPoint, StudyTask,
};
