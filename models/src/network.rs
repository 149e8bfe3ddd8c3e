//! The part that all networks have in common.

use burn::module::{Module, ModuleDisplay};

use crate::{
    Activation, Autoencoder, CausalLanguageModel, Classifier, Embedder, Family, Recognizer,
};

/// A network that is trained, evaluated and searched: any Burn module. A trait for its kind says what it computes, such as
/// [`Classifier`], [`Autoencoder`], [`CausalLanguageModel`], [`Embedder`] or [`Recognizer`].
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
    /// Whether a pass through several chips in one module gives the outputs of all chips. This needs layers that
    /// [`stack`](crossburn_hardware::layer::stack) can handle.
    const STACKS: bool = false;

    /// Paths of further weights that should stay digital, beside biases, norms and embeddings, as patterns of a
    /// [`PathPattern`](crossburn_noise::PathPattern). An example is a head that shares its weight with an embedding.
    const DIGITAL: &'static [&'static str] = &[];

    /// Paths of frozen weights, as patterns. They come from elsewhere, and checkpoints leave them out.
    const RESTS: &'static [&'static str] = &[];

    /// Other names that PyTorch users give to parts of paths, with the name here: `("downsample.0", "downsample.conv")`.
    /// Files of other programs may use either name.
    const ALIASES: &'static [(&'static str, &'static str)] = &[];

    /// The same network after `change` has changed every activation. The default is for networks without an [`Activation`].
    #[must_use]
    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        let _ = change;
        self
    }

    /// The same network with every activation in full precision, to compare with gradients through rounding and clipping. A
    /// network that does not quantize activations stays the same.
    #[must_use]
    fn unquantized_activations(self) -> Self {
        self.with_activations(&Activation::unquantized)
    }
}

/// Work that is done with a network whose type is only known from its configuration.
///
/// [`ModelConfig::build`](crate::ModelConfig::build) calls the method of the network's kind. The work implements the method
/// of every kind that it takes; [`other`](Self::other) is its result for all other kinds.
pub trait WithNetwork: Sized {
    /// The result of the work.
    type Output;

    /// The result for a kind of network that the work does not take.
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
