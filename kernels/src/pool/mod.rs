//! Pooling.
mod average;
mod geometry;
mod max;

pub use average::{avg_pool1d, avg_pool2d};
pub use max::{max_pool1d, max_pool2d};
