//! The learning parts of a graph: its layers and single parameters, each under the path that its tensors give it.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::nn::conv::{Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d};
use burn::nn::{BatchNorm, Embedding, LayerNorm, Linear};
use burn::tensor::{Device, Tensor, TensorData};

use super::dense::Dense;
use super::host::Host;

/// Container of the parts of a path that are no layer of Burn.
const CONTAINER: &str = "Struct:OnnxNetwork";

/// A layer of Burn, or a tensor that an operator takes as it is.
#[derive(Clone, Debug)]
pub(crate) enum Layer {
    Linear(Linear),
    Conv1d(Conv1d),
    Conv2d(Conv2d),
    Conv3d(Conv3d),
    ConvTranspose1d(ConvTranspose1d),
    ConvTranspose2d(ConvTranspose2d),
    ConvTranspose3d(ConvTranspose3d),
    BatchNorm(BatchNorm),
    LayerNorm(LayerNorm),
    Embedding(Embedding),
    Parameter1(Param<Tensor<1>>),
    Parameter2(Param<Tensor<2>>),
    Parameter3(Param<Tensor<3>>),
    Parameter4(Param<Tensor<4>>),
    Parameter5(Param<Tensor<5>>),
}

/// `$body` of what a layer holds.
macro_rules! of_layer {
    ($layer:expr, $inner:ident => $body:expr) => {
        match $layer {
            Layer::Linear($inner) => $body,
            Layer::Conv1d($inner) => $body,
            Layer::Conv2d($inner) => $body,
            Layer::Conv3d($inner) => $body,
            Layer::ConvTranspose1d($inner) => $body,
            Layer::ConvTranspose2d($inner) => $body,
            Layer::ConvTranspose3d($inner) => $body,
            Layer::BatchNorm($inner) => $body,
            Layer::LayerNorm($inner) => $body,
            Layer::Embedding($inner) => $body,
            Layer::Parameter1($inner) => $body,
            Layer::Parameter2($inner) => $body,
            Layer::Parameter3($inner) => $body,
            Layer::Parameter4($inner) => $body,
            Layer::Parameter5($inner) => $body,
        }
    };
}

/// The layer of the same kind that holds `$body`.
macro_rules! map_layer {
    ($layer:expr, $inner:ident => $body:expr) => {
        match $layer {
            Layer::Linear($inner) => Layer::Linear($body),
            Layer::Conv1d($inner) => Layer::Conv1d($body),
            Layer::Conv2d($inner) => Layer::Conv2d($body),
            Layer::Conv3d($inner) => Layer::Conv3d($body),
            Layer::ConvTranspose1d($inner) => Layer::ConvTranspose1d($body),
            Layer::ConvTranspose2d($inner) => Layer::ConvTranspose2d($body),
            Layer::ConvTranspose3d($inner) => Layer::ConvTranspose3d($body),
            Layer::BatchNorm($inner) => Layer::BatchNorm($body),
            Layer::LayerNorm($inner) => Layer::LayerNorm($body),
            Layer::Embedding($inner) => Layer::Embedding($body),
            Layer::Parameter1($inner) => Layer::Parameter1($body),
            Layer::Parameter2($inner) => Layer::Parameter2($body),
            Layer::Parameter3($inner) => Layer::Parameter3($body),
            Layer::Parameter4($inner) => Layer::Parameter4($body),
            Layer::Parameter5($inner) => Layer::Parameter5($body),
        }
    };
}

impl Layer {
    /// The values of `tensor` as a parameter of `name`.
    ///
    /// # Errors
    /// More axes than parameters have here.
    pub(crate) fn parameter(name: &str, tensor: &Host, device: &Device) -> Result<Self, String> {
        // A tensor named `weight` with several axes counts as the matrix of a layer, which lies on an array. This one is none,
        // such as the slopes of a PReLU: it is kept in a row.
        let shape = match tensor.shape() {
            shape if name == "weight" && shape.len() > 1 => vec![shape.iter().product()],
            [] => vec![1],
            shape => shape.to_vec(),
        };
        let data = TensorData::new(tensor.floats(), shape.clone());
        Ok(match shape.len() {
            1 => Self::Parameter1(Param::from_data(data, device)),
            2 => Self::Parameter2(Param::from_data(data, device)),
            3 => Self::Parameter3(Param::from_data(data, device)),
            4 => Self::Parameter4(Param::from_data(data, device)),
            5 => Self::Parameter5(Param::from_data(data, device)),
            axes => return Err(format!("a parameter has 5 axes at most, this one {axes}")),
        })
    }

    /// The tensor of a parameter, or a part of a layer as the layer holds it.
    pub(crate) fn value(&self, part: Part) -> Option<Dense> {
        let weight = match self {
            Self::Parameter1(value) => Dense::new(value.val()),
            Self::Parameter2(value) => Dense::new(value.val()),
            Self::Parameter3(value) => Dense::new(value.val()),
            Self::Parameter4(value) => Dense::new(value.val()),
            Self::Parameter5(value) => Dense::new(value.val()),
            Self::Embedding(layer) => Dense::new(layer.weight.val()),
            Self::Linear(layer) if part == Part::Weight => Dense::new(layer.weight.val()),
            _ => return self.bias().filter(|_| part == Part::Bias),
        };
        Some(weight)
    }

    /// The bias of a layer that has one.
    fn bias(&self) -> Option<Dense> {
        let bias = match self {
            Self::Linear(layer) => layer.bias.as_ref(),
            Self::Conv1d(layer) => layer.bias.as_ref(),
            Self::Conv2d(layer) => layer.bias.as_ref(),
            Self::Conv3d(layer) => layer.bias.as_ref(),
            Self::ConvTranspose1d(layer) => layer.bias.as_ref(),
            Self::ConvTranspose2d(layer) => layer.bias.as_ref(),
            Self::ConvTranspose3d(layer) => layer.bias.as_ref(),
            Self::BatchNorm(layer) => Some(&layer.beta),
            Self::LayerNorm(layer) => layer.beta.as_ref(),
            _ => None,
        };
        bias.map(|bias| Dense::new(bias.val()))
    }
}

/// Which tensor of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Part {
    Weight,
    Bias,
}

/// A layer with its path.
#[derive(Clone, Debug)]
pub(crate) struct NamedLayer {
    path: Vec<String>,
    pub(crate) layer: Layer,
}

impl NamedLayer {
    pub(crate) fn new(path: Vec<String>, layer: Layer) -> Self {
        Self { path, layer }
    }

    fn with(self, layer: Layer) -> Self {
        Self { layer, ..self }
    }

    /// The path of its tensor `field`.
    pub(super) fn path_of(&self, field: &str) -> String {
        format!("{}.{field}", self.path.join("."))
    }

    pub(super) fn visit<V: ModuleVisitor>(&self, visitor: &mut V) {
        for part in &self.path {
            visitor.enter_module(part, CONTAINER);
        }
        of_layer!(&self.layer, inner => inner.visit(visitor));
        for part in self.path.iter().rev() {
            visitor.exit_module(part, CONTAINER);
        }
    }

    pub(super) fn map<M: ModuleMapper>(self, mapper: &mut M) -> Self {
        for part in &self.path {
            mapper.enter_module(part, CONTAINER);
        }
        let layer = map_layer!(self.layer, inner => Module::map(inner, mapper));
        for part in self.path.iter().rev() {
            mapper.exit_module(part, CONTAINER);
        }
        Self {
            path: self.path,
            layer,
        }
    }

    pub(super) fn collect_devices(&self, devices: Vec<Device>) -> Vec<Device> {
        of_layer!(&self.layer, inner => inner.collect_devices(devices))
    }

    pub(super) fn fork(self, device: &Device) -> Self {
        let layer = map_layer!(self.layer.clone(), inner => inner.fork(device));
        self.with(layer)
    }

    pub(super) fn moved(self, device: &Device) -> Self {
        let layer = map_layer!(self.layer.clone(), inner => inner.to_device(device));
        self.with(layer)
    }

    pub(super) fn valid(&self) -> Self {
        let layer = map_layer!(&self.layer, inner => inner.valid());
        self.clone().with(layer)
    }

    pub(super) fn train(self) -> Self {
        let layer = map_layer!(self.layer.clone(), inner => inner.train());
        self.with(layer)
    }

    pub(super) fn materialize(self) -> Self {
        let layer = map_layer!(self.layer.clone(), inner => inner.materialize());
        self.with(layer)
    }

    /// The path, and what kind of layer it is.
    pub(super) fn describe(&self) -> (String, &'static str) {
        let kind = match &self.layer {
            Layer::Linear(_) => "Linear",
            Layer::Conv1d(_) => "Conv1d",
            Layer::Conv2d(_) => "Conv2d",
            Layer::Conv3d(_) => "Conv3d",
            Layer::ConvTranspose1d(_) => "ConvTranspose1d",
            Layer::ConvTranspose2d(_) => "ConvTranspose2d",
            Layer::ConvTranspose3d(_) => "ConvTranspose3d",
            Layer::BatchNorm(_) => "BatchNorm",
            Layer::LayerNorm(_) => "LayerNorm",
            Layer::Embedding(_) => "Embedding",
            _ => "Parameter",
        };
        (self.path.join("."), kind)
    }
}
