//! Samples with labels: images, signals and feature rows from files, and procedural digits that need no file.

mod amount;
mod archive;
mod array;
mod augmentation;
mod cifar10;
mod class_list;
mod conventions;
mod csv_rows;
mod csv_table;
mod digits;
mod folder;
mod idx;
mod image_folder;
mod layout;
mod npy;
mod npz;
mod options;
mod own;
mod preparation;
mod reader;
mod samples;
mod source;
mod split;
mod statistics;
mod streamed;
mod waveforms;

pub use amount::Amount;
pub use augmentation::Augmentation;
pub use cifar10::cifar10;
pub use conventions::Conventions;
pub use digits::digits;
pub use idx::mnist;
pub use samples::{Normalization, Sample, Samples, Values};
pub use source::{DataSource, DataSplit};
pub use streamed::Streamed;
pub use waveforms::waveforms;
