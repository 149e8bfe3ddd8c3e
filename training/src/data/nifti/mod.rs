//! Volumes in NIfTI-1 files, `.nii` and `.nii.gz`: values, sizes of voxels, and the orientation of the grid in the head.
//!
//! ```text
//! header of 348 bytes, 4 bytes that say whether extensions follow, extensions, from `vox_offset` on the voxels, first axis fastest
//! ```
//!
//! # Source
//! Cox et al., "A (sort of) new image data format standard: NIfTI-1", 2004, and its header file nifti1.h.

mod header;
mod orientation;
mod read;
mod write;

pub use orientation::Orientation;
pub use read::Nifti;
pub use write::write_map;

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
