//! Where a job works, and who follows it.

use std::path::Path;
use std::sync::atomic::AtomicBool;

use burn::tensor::Device;

/// Where a job works, and who follows it.
#[derive(Clone, Copy)]
pub(crate) struct Workplace<'a> {
    /// The run folder, which exists and belongs to the job.
    pub(crate) out: &'a Path,
    /// The device, without autodiff.
    pub(crate) device: &'a Device,
    /// Chips of a population that compute side by side there.
    pub(crate) side_by_side: usize,
    /// Go on from what an earlier run of the same settings has left in the folder.
    pub(crate) resume: bool,
    /// Ends the job early.
    pub(crate) stop: &'a AtomicBool,
    pub(crate) observer: &'a dyn JobObserver,
}

/// Who follows a job.
pub(crate) trait JobObserver {
    /// A stage of `total` pieces of work begins, each of which is a `unit`. It ends when what is given back is dropped.
    fn stage(&self, name: &str, total: u64, unit: &str) -> Box<dyn Stage>;

    /// Hears a line that the user should know.
    fn note(&self, line: &str);
}

/// How far a stage is.
pub(crate) trait Stage: Sync {
    /// `pieces` more are done.
    fn advance(&self, pieces: u64);

    /// `pieces` are done in all.
    fn advance_to(&self, pieces: u64);

    /// The stage has `pieces` more than was known.
    fn lengthen(&self, pieces: u64);

    /// `pieces` are left.
    fn leave(&self, pieces: u64);

    /// Shows `text` beside the progress.
    fn say(&self, text: String);
}
