//! Arrhythmia detectors in integers, and on a simulated accelerator.

mod compile;
mod integer_detector;
mod shown_sequences;
mod simulate;
mod simulation;
mod stored_detector;

pub(crate) use compile::{Compilation, CompileJob};
pub(crate) use integer_detector::{IntegerDetector, signal_format};
pub(crate) use simulate::{open_accelerator, simulate};
pub(crate) use simulation::SimulationJob;
pub(crate) use stored_detector::StoredDetector;

/// Segments that pass at a time.
pub(crate) const BATCH: usize = 128;
