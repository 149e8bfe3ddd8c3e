//! What a search asks.

use super::Deviations;
use crate::NoiseError;

/// What a network with a deviation is worth.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The surrogate loss, per item. A search makes it small.
    pub loss: f64,
    /// How good the network is, from 0, the worst there is: an accuracy, or what [`Metric::score`](crate::Metric::score) makes
    /// of another metric.
    pub score: f64,
}

/// How many surrogate losses an [`Objective`] has. They are numbered: the general ones first, the most useful before the
/// others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surrogates {
    /// Losses that lower the score from any point. At least one.
    pub general: usize,
    /// Losses that push all items one way, such as to one answer: good to begin with, spent after a few steps.
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

    /// The score at `deviations`, and the loss of number `surrogate`.
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
