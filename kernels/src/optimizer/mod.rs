//! Optimizer steps in one pass over memory: Adam, AdamW, and SGD with momentum.
//!
//! Each is a Burn `Optimizer` with the arithmetic of Burn's own. Burn's own optimizer can read its saved state, and the reverse.
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
