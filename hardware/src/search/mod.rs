//! Vectors that are stored and searched in arrays.
//!
//! A [`VectorStore`] holds vectors as integers, one entry per output line of the arrays. A [`ProgrammedStore`] is a chip of
//! the store. It holds the numbers of its programmed cells; one draw serves all queries. A search applies a query to all
//! arrays at once and takes the best scores digitally:
//!
//! ```text
//! code    W = round(v L / full scale),  L = 2^(bits-1) - 1                              of every stored number
//! query   X = round(q M / max|q|),      M = 2^(input bits - 1) - 1                      of every number of a query
//! score   s = Σ_p w_p u_p Σ_i (W_i + δ_i) X_i / Σ_p w_p           δ: what cells and converters add; u_p: units of W and X
//! ```
//!
//! The sum over `p` is that of scaled search: every [`SearchScale`] stores a copy of each vector, averaged along the vector,
//! in arrays of its own. By default there is one scale, the vector itself. Equal scores are ordered by entry, the
//! lower entry first. Without noise and without output converters, a chip finds what [`VectorStore::exact`] finds by integers.
//!
//! ```
//! use crossburn_hardware::MemoryDevice;
//! use crossburn_hardware::search::{QuantizedQueries, SearchConfig, VectorStore};
//! use crossburn_noise::ChipSeed;
//!
//! let config = SearchConfig::new(MemoryDevice::preset("ideal")?);
//! let vectors = [1.0, 0.0, 0.0, /* entry 0 */ 0.6, 0.8, 0.0 /* entry 1 */];
//! let store = VectorStore::of(&vectors, 3, &config)?;
//! let queries = QuantizedQueries::new(&[0.9, 0.1, 0.0], 3, &config)?;
//! let ideal = store.exact(&queries, 1)?;
//! let chip = store.program(ChipSeed::new(7, 17))?.search(&queries, 1)?;
//! assert_eq!(ideal[0][0].entry, chip[0][0].entry);
//! # Ok::<(), crossburn_hardware::HardwareError>(())
//! ```
//!
//! # Source
//! Qin et al., "Robust implementation of retrieval-augmented generation on edge-based computing-in-memory architectures"
//! (RoCR), ICCAD 2024; Qin et al., "NVCiM-PT: an NVCiM-assisted prompt tuning framework for edge LLMs", DATE 2025 (scaled
//! search: averages over 1, 2 and 4 numbers with weights 1, 0.8 and 0.6).

mod arrays;
mod config;
mod cost;
mod entry;
mod integers;
mod product;
mod programmed_store;
mod programming;
mod queries;
mod stored_state;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
mod top;
mod vector_store;

pub use config::{SearchConfig, SearchScale};
pub use cost::StoreCost;
pub use entry::{EntryId, Hit};
pub use programmed_store::ProgrammedStore;
pub use queries::QuantizedQueries;
pub use stored_state::StoredState;
pub use vector_store::VectorStore;
