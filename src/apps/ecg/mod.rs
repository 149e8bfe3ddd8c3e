//! Detectors of arrhythmia in integers, and on a simulated accelerator.

mod compile;
mod integer_detector;
mod simulate;

pub(crate) use compile::{Compilation, CompileJob};
pub(crate) use integer_detector::IntegerDetector;
pub(crate) use simulate::{Simulation, open_accelerator, simulate};
