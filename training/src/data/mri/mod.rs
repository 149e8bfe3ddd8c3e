//! Slices of brains, as magnetic resonance imaging gives them: a procedural set, slices and volumes in files, and what is done to intensities
//! before a network sees them.

mod anatomy;
mod chain;
mod cohort;
mod collection;
mod field;
mod intensity;
mod phantom;
mod slice_file;
mod slices;
mod stack;
#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests;
mod tissue_maps;
mod tissues;
mod volumes;

pub use chain::{Chain, Prepared};
pub use cohort::Cohort;
pub use field::smooth_field;
pub use intensity::{Means, Reverse, in_words};
pub(super) use phantom::KIND as PHANTOM;
pub use phantom::{Contrast, OF_PATIENT, PhantomConfig, phantom, phantom_without_lesions};
pub use slice_file::SliceFile;
pub(super) use slices::KIND as SLICES;
pub use stack::{Stack, VolumeFiles, in_file_order};
pub(super) use tissues::KIND as TISSUES;
pub(super) use volumes::KIND as VOLUMES;

/// The classes of slices, in the order of the labels.
const CLASSES: [&str; 2] = ["healthy", "lesion"];
