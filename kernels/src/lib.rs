//! Operations that Burn's CPU backend lacks or does slowly, as extensions of its backends.

mod conv;
mod flex;
mod linear;
mod matrix;
mod quantize;
#[cfg(test)]
mod testing;
mod workspace;

pub use conv::{conv1d, conv2d, convolve1d, convolve2d};
pub use linear::{linear, multiply};
pub use quantize::quantize_clipped;
