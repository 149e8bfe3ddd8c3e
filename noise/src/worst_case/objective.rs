//! The question that a search asks about a deviation.

use super::Deviations;
use crate::NoiseError;

/// The value of a network with a deviation.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged {
    /// The surrogate loss, per item. A search makes it small.
    pub loss: f64,
    /// How good the network is, from 0 for the worst: an accuracy, or the [`Metric::score`](crate::Metric::score) of another
    /// metric.
    pub score: f64,
}

/// How many surrogate losses an [`Objective`] has. They are numbered, the general ones first, in order of usefulness.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Surrogates {
    /// Losses that lower the score from any point. At least one.
    pub general: usize,
    /// Losses that push all items one way, such as to one answer. They are good at the beginning, and exhausted after a few
    /// steps.
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

/// A network with its data, which can be judged at deviations of its weights. One deviation holds for the whole data set: it
/// is a chip.
///
/// The same deviation must always give the same result, whatever the number of threads.
pub trait Objective {
    /// The error of a judgement.
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
