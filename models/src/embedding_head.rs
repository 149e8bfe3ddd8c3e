//! A head on the vectors of a sentence encoder: what is stored for a text, and what a query is.

use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_hardware::WeightBits;
use crossburn_hardware::enclosure::Tensors;
use crossburn_hardware::layer::linear;
use serde::{Deserialize, Serialize};

use crate::{Activation, ModelError, Network, initialize};

/// A network that gives the vectors of an encoder another form.
pub trait Embedder: Network {
    /// # Shapes
    /// `[batch, inputs] → [batch, outputs]`.
    fn embed(&self, vectors: Tensor<2>) -> Tensor<2>;
}

/// How the outputs of a head get the size of what is stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Shaping {
    /// The first numbers are taken, the others are left out.
    #[default]
    Cut,
    /// A linear layer without bias, which is learned.
    Projection,
}

/// The function of an untrained head.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HeadStart {
    /// The first numbers of its input, unchanged: retrieval begins as it is without a head.
    #[default]
    Cut,
    /// Something random.
    Random,
}

/// Configuration of [`EmbeddingHead`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct EmbeddingHeadConfig {
    /// Numbers of a vector of the encoder.
    pub inputs: usize,
    /// Width of the hidden layer; 0 for a head that is one linear layer.
    pub hidden: usize,
    /// Outputs of the layer after it, before they are shaped. A linear head has none of these.
    pub wide: usize,
    /// Numbers of a stored vector.
    pub outputs: usize,
    /// How the outputs get that size.
    pub shaping: Shaping,
    /// The function of the untrained head.
    pub start: HeadStart,
    /// Width of weights and activations; full precision where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bits: Option<WeightBits>,
}

impl Default for EmbeddingHeadConfig {
    fn default() -> Self {
        Self {
            inputs: 384,
            hidden: 256,
            wide: 384,
            outputs: 64,
            shaping: Shaping::Cut,
            start: HeadStart::Cut,
            bits: None,
        }
    }
}

/// `inputs → hidden, ReLU → wide → outputs`; without a hidden layer one linear layer `inputs → outputs`.
///
/// # Source
/// Qin et al., "Robust implementation of retrieval-augmented generation on edge-based computing-in-memory architectures" (RoCR), ICCAD
/// 2024, in the authors' code: 384 → 256 → ReLU → 384, cut to 64. That it begins as the plain cut is our own choice.
#[derive(Module, Debug)]
pub struct EmbeddingHead {
    hidden: Option<Linear>,
    output: Linear,
    projection: Option<Linear>,
    activation: Activation,
    #[module(skip)]
    outputs: usize,
}

impl EmbeddingHeadConfig {
    /// One linear layer.
    pub fn linear(inputs: usize, outputs: usize) -> Self {
        Self {
            inputs,
            hidden: 0,
            outputs,
            ..Self::default()
        }
    }

    /// Checks every size.
    ///
    /// # Errors
    /// [`ModelError::Zero`] and [`ModelError::Sizes`].
    pub fn check(&self) -> Result<(), ModelError> {
        for (key, value) in [
            ("inputs", self.inputs),
            ("wide", self.wide),
            ("outputs", self.outputs),
        ] {
            if value == 0 {
                return Err(ModelError::Zero { key });
            }
        }
        let refuse = |problem: String, remedy| Err(ModelError::Sizes { problem, remedy });
        if self.hidden > 0 && self.shaping == Shaping::Cut && self.outputs > self.wide {
            return refuse(
                format!("outputs = {} of wide = {}", self.outputs, self.wide),
                "use outputs up to wide, or shaping = \"projection\"",
            );
        }
        if self.start == HeadStart::Cut && self.outputs > self.passed() {
            return refuse(
                format!(
                    "start = \"cut\" passes {} numbers on, outputs = {}",
                    self.passed(),
                    self.outputs
                ),
                "use fewer outputs or a wider hidden layer, or start = \"random\"",
            );
        }
        Ok(())
    }

    /// Numbers of the input that the layers can pass on unchanged: each takes two of the hidden layer, one for either sign.
    fn passed(&self) -> usize {
        match self.hidden {
            0 => self.inputs,
            hidden => self.inputs.min(self.wide).min(hidden / 2),
        }
    }

    /// The head before it has learned, on `device`, with what is random in it from `seed`.
    pub fn init(&self, seed: u64, device: &Device) -> EmbeddingHead {
        let layer = |from: usize, to: usize| LinearConfig::new(from, to).init(device);
        let (hidden, output, projection) = match (self.hidden, self.shaping) {
            (0, _) => (None, layer(self.inputs, self.outputs), None),
            (hidden, shaping) => (
                Some(layer(self.inputs, hidden)),
                layer(hidden, self.wide),
                (shaping == Shaping::Projection).then(|| {
                    LinearConfig::new(self.wide, self.outputs)
                        .with_bias(false)
                        .init(device)
                }),
            ),
        };
        let head = EmbeddingHead {
            hidden,
            output,
            projection,
            activation: Activation::new(self.bits, device),
            outputs: self.outputs,
        };
        let head = initialize(head, seed);
        match self.start {
            HeadStart::Random => head,
            HeadStart::Cut => self.passing(head),
        }
    }

    /// `head` with the weights that pass the first numbers of a vector on: `x = relu(x) - relu(-x)`.
    fn passing(&self, head: EmbeddingHead) -> EmbeddingHead {
        let passed = self.passed();
        let one = |row: usize, column: usize| if row == column { 1.0 } else { 0.0 };
        let EmbeddingHead {
            hidden,
            output,
            projection,
            ..
        } = head;
        let half = move |place: usize| match place {
            first if first < passed => Some((first, 1.0)),
            second if second < 2 * passed => Some((second - passed, -1.0)),
            _ => None,
        };
        let of_half = |place: usize, other: usize| match half(place) {
            Some((number, sign)) if number == other => sign,
            _ => 0.0,
        };
        let output = match &hidden {
            Some(_) => with_weights(output, of_half),
            None => with_weights(output, one),
        };
        EmbeddingHead {
            hidden: hidden.map(|layer| with_weights(layer, |row, column| of_half(column, row))),
            output,
            projection: projection.map(|layer| with_weights(layer, one)),
            ..head
        }
    }
}

/// `layer` with the weights `weight(input, output)` and a bias of zeros.
fn with_weights(layer: Linear, weight: impl Fn(usize, usize) -> f32) -> Linear {
    let [inputs, outputs] = layer.weight.dims();
    let values = (0..inputs * outputs).map(|place| weight(place / outputs, place % outputs));
    let values = TensorData::new(values.collect::<Vec<f32>>(), [inputs, outputs]);
    let set = |param: Param<Tensor<2>>| {
        param.map(|old| {
            Tensor::from_data(values, &old.device()).set_require_grad(old.is_require_grad())
        })
    };
    Linear {
        weight: set(layer.weight),
        bias: layer
            .bias
            .map(|bias| bias.map(|old| old.zeros_like().set_require_grad(old.is_require_grad()))),
    }
}

impl Network for EmbeddingHead {
    fn with_activations(self, change: &dyn Fn(Activation) -> Activation) -> Self {
        Self {
            activation: change(self.activation),
            ..self
        }
    }
}

impl Embedder for EmbeddingHead {
    fn embed(&self, vectors: Tensor<2>) -> Tensor<2> {
        let x = match &self.hidden {
            Some(hidden) => self.activation.apply::<Tensors, 2>(linear(hidden, vectors)),
            None => vectors,
        };
        let x = linear(&self.output, x);
        match &self.projection {
            Some(projection) => linear(projection, x),
            None => x.narrow(1, 0, self.outputs),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn embedded(config: &EmbeddingHeadConfig, vectors: &[f32]) -> Vec<f32> {
        config.check().unwrap();
        let device = Device::flex();
        let rows = vectors.len() / config.inputs;
        let vectors = TensorData::new(vectors.to_vec(), [rows, config.inputs]);
        let head = config.init(3, &device);
        let found = head.embed(Tensor::from_data(vectors, &device));
        assert_eq!(found.dims(), [rows, config.outputs]);
        found.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn a_head_begins_as_the_plain_cut() {
        let vectors = [0.5, -0.25, 3.0, -7.0, 0.0, 1.0, -1.0, 0.125];
        let cut = EmbeddingHeadConfig {
            inputs: 4,
            hidden: 5,
            wide: 3,
            outputs: 2,
            ..EmbeddingHeadConfig::default()
        };
        let projected = EmbeddingHeadConfig {
            shaping: Shaping::Projection,
            ..cut
        };
        for config in [cut, projected, EmbeddingHeadConfig::linear(4, 2)] {
            assert_eq!(embedded(&config, &vectors), [0.5, -0.25, 0.0, 1.0]);
        }
        let random = EmbeddingHeadConfig {
            start: HeadStart::Random,
            ..cut
        };
        assert_ne!(embedded(&random, &vectors), [0.5, -0.25, 0.0, 1.0]);
    }

    #[test]
    fn sizes_are_those_of_the_paper() {
        let head = EmbeddingHeadConfig::default().init(1, &Device::flex());
        assert_eq!(head.num_params(), 384 * 256 + 256 + 256 * 384 + 384);
    }

    #[test]
    fn sizes_that_do_not_fit_are_refused() {
        let refused = |change: fn(&mut EmbeddingHeadConfig)| {
            let mut config = EmbeddingHeadConfig::default();
            change(&mut config);
            config.check().unwrap_err().to_string()
        };
        assert_eq!(
            refused(|config| config.outputs = 0),
            "model.outputs = 0 must be above zero"
        );
        assert!(refused(|config| config.outputs = 385).contains("outputs up to wide"));
        let narrow = refused(|config| config.hidden = 100);
        assert!(narrow.contains("passes 50 numbers on"), "{narrow}");
    }
}
