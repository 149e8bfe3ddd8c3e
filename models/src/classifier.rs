//! What training and evaluation need from a network.

use burn::module::{Module, ModuleDisplay};
use burn::tensor::Tensor;
use crossburn_hardware::enclosure::Interval;

/// An image classifier.
pub trait Classifier: Module + ModuleDisplay + Send + Sync + 'static {
    /// Whether [`forward`](Self::forward) of several chips in one module gives the logits of all: what
    /// [`stack`](crossburn_hardware::layer::stack) asks of layers holds.
    const STACKS: bool = false;

    /// # Shapes
    /// `[batch, channels, height, width] → [batch, classes]` (logits).
    fn forward(&self, images: Tensor<4>) -> Tensor<2>;

    /// What [`forward`](Self::forward) can give while the weights are anywhere in their boxes, see
    /// [`enclosure`](crossburn_hardware::enclosure); `None` for a network that does not declare its computation over any
    /// [`Arithmetic`](crossburn_hardware::enclosure::Arithmetic).
    ///
    /// # Shapes
    /// `[batch, channels, height, width] → [batch, classes]` (logits).
    fn enclose(&self, images: Interval<4>) -> Option<Interval<2>> {
        let _ = images;
        None
    }

    /// The same network with every activation in full precision: what a gradient through rounding and clipping is compared
    /// with. A network that does not quantize activations is that already.
    #[must_use]
    fn unquantized_activations(self) -> Self {
        self
    }
}

/// Work that is done with a network whose type is only known from its configuration.
///
/// [`ModelConfig::build`](crate::ModelConfig::build) calls [`run`](Self::run) with the network it built.
pub trait WithClassifier {
    /// What the work gives back.
    type Output;

    /// Does the work.
    fn run<C: Classifier>(self, network: C) -> Self::Output;
}
