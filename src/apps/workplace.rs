//! The folder and device of a job, and its observer.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;

/// The folder, device and limits of a job.
#[derive(Clone, Copy)]
pub(crate) struct Workplace<'a> {
    /// The run folder. It exists and is used by this job alone.
    pub(crate) out: &'a Path,
    /// The device, without autodiff.
    pub(crate) device: &'a Device,
    /// Number of chips of a population that compute side by side on the device.
    pub(crate) side_by_side: usize,
    /// Whether to continue from what an earlier run with the same settings has left in the folder.
    pub(crate) resume: bool,
    /// Ends the job early.
    pub(crate) stop: &'a AtomicBool,
    pub(crate) observer: &'a dyn JobObserver,
}

/// Follows a job.
pub(crate) trait JobObserver {
    /// Called when a stage of `total` pieces of work begins; `unit` names a piece. The stage ends when the returned value is dropped.
    fn stage(&self, name: &str, total: u64, unit: &str) -> Box<dyn Stage>;

    /// Called with a line for the user.
    fn note(&self, line: &str);
}

/// The progress of a stage.
pub(crate) trait Stage: Sync {
    /// `pieces` more pieces are finished.
    fn advance(&self, pieces: u64);

    /// `pieces` pieces are finished in total.
    fn advance_to(&self, pieces: u64);

    /// The stage has `pieces` more pieces than it was known to have.
    fn lengthen(&self, pieces: u64);

    /// `pieces` pieces remain.
    fn leave(&self, pieces: u64);

    /// Shows `text` beside the progress.
    fn say(&self, text: String);
}
