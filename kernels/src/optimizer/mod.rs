//! Optimizer steps as one pass over memory: Adam, AdamW, and SGD with momentum.
//!
//! Each is a Burn `Optimizer` with the arithmetic of Burn's own, and its saved state is read by Burn's own and the other
//! way round.
mod adam;
mod adamw;
mod backend;
mod pass;
mod sgd;

pub use adam::Adam;
pub use adamw::AdamW;
pub use sgd::{Sgd, SgdState};

#[cfg(test)]
mod tests;
