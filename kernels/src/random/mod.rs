//! Random numbers that depend on key, stream and index alone.
mod normal;
mod philox;

pub use normal::normal_quantiles;
pub use philox::Philox;
