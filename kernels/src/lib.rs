//! Operations that Burn's CPU backend lacks or does slowly, as extensions of its backends.

mod conv;
mod flex;
mod optimizer;
mod random;
#[cfg(test)]
mod testing;
mod workspace;

pub use conv::{conv1d, conv2d};
pub use optimizer::{Adam, AdamW, Sgd, SgdState};
pub use random::{Philox, normal_quantiles};
