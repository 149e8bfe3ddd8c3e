//! Images: readers for the real formats, and a procedural set that needs no file.

mod augmentation;
mod cifar10;
mod digits;
mod folder;
mod idx;
mod samples;
mod source;

pub use augmentation::Augmentation;
pub use cifar10::cifar10;
pub use digits::digits;
pub use idx::mnist;
pub use samples::{Normalization, Samples};
pub use source::{Amount, DataSource, DataSplit};
