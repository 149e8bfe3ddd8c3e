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

/// How many surrogate losses an [`Objective`] has. They are numbered: the general ones first, the most useful before the
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surrogates {
    /// Losses that lower the accuracy from any point. At least one.
    pub general: usize,
    /// Losses that push all images one way, such as to one class: good to begin with, spent after a few steps.
    pub directed: usize,
}

impl Surrogates {
    /// One general loss.
    pub const ONE: Self = Self {
        general: 1,
        directed: 0,
    };

    /// Their number.
    pub fn count(self) -> usize {
        self.general + self.directed
    }
}

/// A network with its data, asked at deviations of its weights. One deviation holds for the whole set: it is a chip.
///
/// The same deviation must always get the same answer, whatever the number of threads.
pub trait Objective {
    /// What can go wrong when it is asked.
    type Error: From<NoiseError>;

    /// Its surrogate losses.
    fn surrogates(&self) -> Surrogates {
        Surrogates::ONE
    }

    /// Accuracy at `deviations`, and the loss of number `surrogate`.
    ///
    /// # Errors
    /// Those of the network.
    fn judge(&self, deviations: &Deviations, surrogate: usize) -> Result<Judged, Self::Error>;

    /// The same, and the gradient of the loss by every deviation.
    ///
    /// # Errors
    /// Those of the network.
    fn gradient(
        &self,
        deviations: &Deviations,
        surrogate: usize,
    ) -> Result<(Judged, Deviations), Self::Error>;
}
