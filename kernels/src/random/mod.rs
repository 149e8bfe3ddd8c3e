//! Random numbers that are a function of key, stream and index alone.
mod normal;
mod philox;

pub use normal::normal_quantiles;
pub use philox::Philox;
