//! Evaluates a network on a population of chips.

mod array_weights;
mod chip_source;
mod job;
mod judge;
mod record;
mod worst_chip;

pub(crate) use array_weights::{ArrayWeight, FindArrayWeights};
pub(crate) use chip_source::{ChipSource, OnTargets, Target};
pub(crate) use job::{Asked, EvaluationJob, Sweep};
pub(crate) use worst_chip::WorstChip;
