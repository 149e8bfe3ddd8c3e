//! Small learned parts beside a frozen decoder: a prompt, a prefix, low-rank products, scales.
//!
//! An [`Adapter`] is a module of its own. A decoder takes it along in a pass ([`Decoder::hidden`](super::Decoder::hidden)), so
//! that the decoder's weights may vary, be quantized or lie on arrays while the adapter stays digital, and an optimizer that
//! steps the adapter leaves the decoder alone.

mod adapted;
mod config;
mod linear;
mod loss;
mod module;

pub use adapted::AdaptedDecoder;
pub use config::{AdapterConfig, AdapterKind, AdapterTarget};
pub use linear::LinearAdapter;
pub(super) use linear::project;
pub use loss::next_token_loss;
pub use module::{Adapter, LayerAdapter};
