//! Operations that Burn's CPU backend lacks or does slowly, as extensions of its backends.

mod conv;
mod flex;
mod norm;
#[cfg(test)]
mod testing;
mod workspace;

pub use conv::{conv1d, conv2d};
pub use norm::{batch_norm, layer_norm, rms_norm};
