//! Sentence embeddings: an encoder of the BERT family.
//!
//! An [`Encoder`] reads a text in both directions; [`Encoder::embed`] makes one vector of length 1 of it, as
//! sentence-transformers does with mean pooling.

mod block;
mod config;
mod names;
mod network;

pub use block::EncoderBlock;
pub use config::{EncoderConfig, read};
pub use names::EncoderNames;
pub use network::Encoder;
