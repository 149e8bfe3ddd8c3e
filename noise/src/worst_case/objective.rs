//! What a search asks.

use super::Deviations;
use crate::NoiseError;

/// What a network with a deviation is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The surrogate loss, per image. A search makes it small.
    pub loss: f64,
    /// The accuracy, in 0..=1: what is reported.
    pub accuracy: f64,
}

/// A network with its data, asked at deviations of its weights. One deviation holds for the whole set: it is a chip.
///
/// The same deviation must always get the same answer, whatever the number of threads.
pub trait Objective {
    /// What can go wrong when it is asked.
    type Error: From<NoiseError>;

    /// Loss and accuracy at `deviations`.
    ///
    /// # Errors
    /// Those of the network.
    fn judge(&self, deviations: &Deviations) -> Result<Judged, Self::Error>;

    /// The same, and the gradient of the loss by every deviation.
    ///
    /// # Errors
    /// Those of the network.
    fn gradient(&self, deviations: &Deviations) -> Result<(Judged, Deviations), Self::Error>;
}
