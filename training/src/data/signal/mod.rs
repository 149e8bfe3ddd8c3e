//! Signals of the heart, from recordings to the segments that a detector classifies: filtering, resampling, windows.

mod band_pass;
mod filter;
mod resample;
mod segments;
mod windows;

pub use band_pass::{BandPass, BandPassStream};
pub use filter::SegmentFilter;

pub(super) use resample::resample;
pub(super) use segments::{SEGMENT_OPTIONS, SegmentPreparation, Segments};
pub(super) use windows::{LeftOut, Recording, Rhythm, windows};

/// Sampling rate of every signal that a detector sees, in Hz.
///
/// # Source
/// Qin et al., ASP-DAC 2025 (arXiv 2410.17395), and the TinyML contest at ICCAD 2022: one lead at 250 Hz.
pub const SEGMENT_RATE: f64 = 250.0;

/// Samples of a segment. It lasts five seconds.
pub const SEGMENT_POINTS: usize = 1250;

/// The pass band of a detector in Hz.
pub const SEGMENT_BAND: [f64; 2] = [15.0, 55.0];

/// The classes of a segment, in the order of their labels: anything else, and ventricular arrhythmia.
pub const SEGMENT_CLASSES: [&str; 2] = ["Other", "VA"];
