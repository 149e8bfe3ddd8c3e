//! What every network has, whatever it computes.

use burn::module::{Module, ModuleDisplay};

use crate::{
    Activation, Autoencoder, CausalLanguageModel, Classifier, Embedder, Family, Recognizer,
};

/// A network that is trained, evaluated and searched: any Burn module. What it computes is said by a trait of its kind, such
/// as [`Classifier`], [`Autoencoder`], [`CausalLanguageModel`], [`Embedder`] or [`Recognizer`].
///
/// ```
/// use burn::module::Module;
/// use burn::nn::Linear;
/// use crossburn_models::Network;
///
/// #[derive(Module, Debug)]
/// struct Mine {
///     layer: Linear,
/// }
///
/// impl Network for Mine {}
/// ```
pub trait Network: Module + ModuleDisplay + Send + Sync + 'static {
    /// Whether a pass through several chips in one module gives the outputs of all: what
    /// [`stack`](crossburn_hardware::layer::stack) asks of layers holds.
    const STACKS: bool = false;

    /// Paths of weights that it proposes to leave digital, as patterns of a [`PathPattern`](crossburn_noise::PathPattern),
    /// beside biases, norms and embeddings: what never leaves the host, such as a head that is an embedding once more.
    const DIGITAL: &'static [&'static str] = &[];

    /// Paths of weights that rest while the others learn, as patterns: they come from elsewhere, and checkpoints leave them out.
    const RESTS: &'static [&'static str] = &[];

    /// Parts of paths by other names that PyTorch users give them, and what they are called here: `("downsample.0",
    /// "downsample.conv")`. What other programs wrote is found by either.
    const ALIASES: &'static [(&'static str, &'static str)] = &[];

    /// The same network with every activation as `change` makes it; by default a network that has no [`Activation`].
    #[must_use]
    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let _ = change;
        self
    }

    /// The same network with every activation in full precision: what a gradient through rounding and clipping is compared
    /// with. A network that does not quantize activations is that already.
    #[must_use]
    fn unquantized_activations(self) -> Self {
        self.with_activations(&Activation::unquantized)
    }
}

/// Work that is done with a network whose type is only known from its configuration.
///
/// [`ModelConfig::build`](crate::ModelConfig::build) calls the method of the network's kind. The work has a method of its own for every kind that it
/// takes, and gives [`other`](Self::other) for the rest.
pub trait WithNetwork: Sized {
    /// What the work gives back.
    type Output;

    /// What the work gives for a network of a kind that it does not take.
    fn other(self, family: Family) -> Self::Output;

    /// Does the work with a classifier.
    fn classifier<C: Classifier>(self, _network: C) -> Self::Output {
        self.other(Family::Classifier)
    }

    /// Does the work with a classifier of signals: as with any classifier, unless the work tells them apart.
    fn signal_classifier<C: Classifier>(self, network: C) -> Self::Output {
        self.classifier(network)
    }

    /// Does the work with an autoencoder.
    fn autoencoder<A: Autoencoder>(self, _network: A) -> Self::Output {
        self.other(Family::Autoencoder)
    }

    /// Does the work with a language model.
    fn language_model<L: CausalLanguageModel>(self, _network: L) -> Self::Output {
        self.other(Family::LanguageModel)
    }

    /// Does the work with a head on an encoder.
    fn embedder<E: Embedder>(self, _network: E) -> Self::Output {
        self.other(Family::Embedder)
    }

    /// Does the work with a recognizer.
    fn recognizer<R: Recognizer>(self, _network: R) -> Self::Output {
        self.other(Family::Recognizer)
    }
}
