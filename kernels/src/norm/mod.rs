//! Normalisations.
mod batch;
mod group;
mod lanes;
mod layer;
mod rms;
mod rows;

pub use batch::batch_norm;
pub use group::group_norm;
pub use layer::{layer_norm, layer_normalize};
pub use rms::{rms_norm, rms_normalize};
