//! Operations that Burn's CPU backend lacks or does slowly, as extensions of its backends.

mod conv;
mod flex;
mod norm;
mod pool;
#[cfg(test)]
mod testing;
mod workspace;

pub use conv::{conv1d, conv2d};
pub use norm::{batch_norm, layer_norm, rms_norm};
pub use pool::{avg_pool1d, avg_pool2d, max_pool1d, max_pool2d};
