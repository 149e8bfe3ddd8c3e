//! Operations that Burn's CPU backend lacks or does slowly, as extensions of its backends.

mod activation;
mod attention;
mod conv;
mod exp;
mod flex;
mod softmax;
#[cfg(test)]
mod testing;
mod workspace;

pub use activation::{erf, exp, gelu, relu, sigmoid, silu, tanh};
pub use attention::{AttentionOptions, attention};
pub use conv::{conv1d, conv2d};
pub use softmax::{cross_entropy, log_softmax, softmax};
