//! Activations.

use burn::tensor::Tensor;
use burn::tensor::activation;

use super::super::dense::Dense;
use super::super::node::{Failure, Node};
use super::super::value::{Call, Value, axis_of};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &[
    "Celu",
    "Elu",
    "Gelu",
    "HardSigmoid",
    "HardSwish",
    "LeakyRelu",
    "LogSoftmax",
    "Mish",
    "PRelu",
    "Relu",
    "Selu",
    "Sigmoid",
    "Softmax",
    "Softplus",
    "Softsign",
    "Swish",
    "Tanh",
];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let attributes = &node.attributes;
    Ok(Some(match node.proto.op_type.as_str() {
        "Celu" => Box::new(Activation::Celu(attributes.float("alpha", 1.0)?)),
        "Elu" => Box::new(Activation::Elu(attributes.float("alpha", 1.0)?)),
        "Gelu" => match attributes.text("approximate", "none")?.as_str() {
            "none" => Box::new(Activation::Gelu),
            "tanh" => Box::new(Activation::GeluTanh),
            other => return Err(format!("approximate = {other:?} is not known").into()),
        },
        "HardSigmoid" => Box::new(Activation::HardSigmoid {
            alpha: attributes.float("alpha", 0.2)?,
            beta: attributes.float("beta", 0.5)?,
        }),
        "HardSwish" => Box::new(Activation::HardSwish),
        "LeakyRelu" => Box::new(Activation::LeakyRelu(attributes.float("alpha", 0.01)?)),
        "Mish" => Box::new(Activation::Mish),
        "PRelu" => Box::new(PRelu),
        "Relu" => Box::new(Activation::Relu),
        "Selu" => Box::new(Activation::Selu {
            // The defaults of the standard.
            alpha: attributes.float("alpha", 1.673_263_2)?,
            gamma: attributes.float("gamma", 1.050_701)?,
        }),
        "Sigmoid" => Box::new(Activation::Sigmoid),
        "Softplus" => Box::new(Activation::Softplus),
        "Softsign" => Box::new(Activation::Softsign),
        "Swish" => Box::new(Activation::Swish(attributes.float("alpha", 1.0)?)),
        "Tanh" => Box::new(Activation::Tanh),
        kind @ ("Softmax" | "LogSoftmax") => {
            let last = if node.opset() < 13 { 1 } else { -1 };
            Box::new(Softmax {
                axis: attributes.int("axis", last)?,
                // Before version 13, all axes from this one on counted as one.
                joins: node.opset() < 13,
                logarithm: kind == "LogSoftmax",
            })
        }
        _ => return Ok(None),
    }))
}

/// A function of one element.
#[derive(Clone, Copy, Debug)]
pub(super) enum Activation {
    Celu(f32),
    Elu(f32),
    Gelu,
    GeluTanh,
    HardSigmoid { alpha: f32, beta: f32 },
    HardSwish,
    LeakyRelu(f32),
    Mish,
    Relu,
    Selu { alpha: f32, gamma: f32 },
    Sigmoid,
    Softplus,
    Softsign,
    Swish(f32),
    Tanh,
}

impl Activation {
    fn of(self, x: Tensor<1>) -> Tensor<1> {
        match self {
            Self::Celu(alpha) => elu(x, alpha, alpha),
            Self::Elu(alpha) => elu(x, alpha, 1.0),
            Self::Gelu => crossburn_kernels::gelu(x),
            Self::GeluTanh => crossburn_kernels::gelu_tanh(x),
            Self::HardSigmoid { alpha, beta } => (x * alpha + beta).clamp(0.0, 1.0),
            Self::HardSwish => x.clone() * (x / 6.0 + 0.5).clamp(0.0, 1.0),
            Self::LeakyRelu(slope) => {
                crossburn_kernels::relu(x.clone()) - crossburn_kernels::relu(x.neg()) * slope
            }
            Self::Mish => x.clone() * crossburn_kernels::tanh(activation::softplus(x, 1.0)),
            Self::Relu => crossburn_kernels::relu(x),
            Self::Selu { alpha, gamma } => elu(x, alpha, 1.0) * gamma,
            Self::Sigmoid => crossburn_kernels::sigmoid(x),
            Self::Softplus => activation::softplus(x, 1.0),
            Self::Softsign => x.clone() / (x.abs() + 1.0),
            Self::Swish(alpha) => x.clone() * crossburn_kernels::sigmoid(x * alpha),
            Self::Tanh => crossburn_kernels::tanh(x),
        }
    }
}

/// `x` where it is positive, `alpha · (e^(x / scale) - 1)` elsewhere.
fn elu(x: Tensor<1>, alpha: f32, scale: f32) -> Tensor<1> {
    let low = x.clone().clamp_max(0.0) / scale;
    crossburn_kernels::relu(x) + (crossburn_kernels::exp(low) - 1.0) * alpha
}

impl Operator for Activation {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        one(Value::Dense(call.dense(0)?.each(|x| self.of(x))))
    }
}

/// A relu whose slope below zero is learned.
#[derive(Debug)]
struct PRelu;

impl Operator for PRelu {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = call.dense(0)?;
        let slope = call.dense(1)?.spread(x.shape())?.flattened();
        let shape = x.shape().to_vec();
        let x = x.flattened();
        let y = crossburn_kernels::relu(x.clone()) - crossburn_kernels::relu(x.neg()) * slope;
        one(Value::Dense(Dense::flat(y, shape)))
    }
}

/// Shares that sum to one, or their logarithms.
#[derive(Debug)]
struct Softmax {
    axis: i64,
    joins: bool,
    logarithm: bool,
}

impl Operator for Softmax {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = call.dense(0)?;
        let shape = x.shape().to_vec();
        let axis = axis_of(self.axis, shape.len())?;
        let share = |x: Tensor<2>| match self.logarithm {
            true => crossburn_kernels::log_softmax(x),
            false => crossburn_kernels::softmax(x),
        };
        let rows = |x: Dense, rows: usize| -> Result<Dense, String> {
            let all: usize = x.shape().iter().product();
            let columns = all.checked_div(rows).unwrap_or_default();
            if columns == 0 {
                return Err("its input is empty".to_string());
            }
            Ok(Dense::new(share(
                x.reshaped(vec![rows, columns])?.with_axes()?,
            )))
        };
        if self.joins || axis + 1 == shape.len() {
            let count = shape[..axis].iter().product();
            return one(Value::Dense(rows(x, count)?.reshaped(shape)?));
        }
        // The axis goes last and comes back.
        let mut order: Vec<usize> = (0..shape.len()).collect();
        order.swap(axis, shape.len() - 1);
        let turned = x.permuted(&order)?;
        let turned_shape = turned.shape().to_vec();
        let count = turned_shape[..shape.len() - 1].iter().product();
        let y = rows(turned, count)?.reshaped(turned_shape)?;
        one(Value::Dense(y.permuted(&order)?))
    }
}
