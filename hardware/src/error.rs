//! What can be wrong with a request to this crate.

/// An error of the hardware crate: one line that names the value and the remedy.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum HardwareError {
    /// The number of bits is outside what the symmetric quantizer can represent in `f32`.
    #[error(
        "bits = {bits} is outside 2..=16: use a width in that range, or leave `bits` out for full precision"
    )]
    Bits {
        /// The refused width.
        bits: u8,
    },
}
