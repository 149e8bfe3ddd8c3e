//! Networks that tell classes apart.

use burn::tensor::Tensor;
use crossburn_hardware::enclosure::Interval;

use crate::{IntegerStage, Network};

/// A classifier of images, signals or rows of features.
pub trait Classifier: Network {
    /// # Shapes
    /// `[batch, channels, height, width] → [batch, classes]` (logits). A signal has the height 1, a row of features one
    /// channel as well.
    fn forward(&self, inputs: Tensor<4>) -> Tensor<2>;

    /// Why a pass gave NaN in place of its outputs, where the computation of the network depends on values and met one that it cannot
    /// compute with, such as an index beyond the end of a table. Copies of the network, such as its chips, tell of each other's passes.
    fn failure(&self) -> Option<String> {
        None
    }

    /// Its layers for signals of `length` points, each with what follows it, for [`to_integers`](crate::to_integers); `None` for a network
    /// that has no form in integers, by default.
    fn integer_stages(&self, length: usize) -> Option<Vec<IntegerStage>> {
        let _ = length;
        None
    }

    /// The outputs that [`forward`](Self::forward) can give while the weights are anywhere in their boxes, see
    /// [`enclosure`](crossburn_hardware::enclosure); `None` for a network that does not declare its computation over any
    /// [`Arithmetic`](crossburn_hardware::enclosure::Arithmetic).
    ///
    /// # Shapes
    /// `[batch, channels, height, width] → [batch, classes]` (logits).
    fn enclose(&self, inputs: Interval<4>) -> Option<Interval<2>> {
        let _ = inputs;
        None
    }
}
