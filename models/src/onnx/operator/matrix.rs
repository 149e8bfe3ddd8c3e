//! Products of matrices. With a stored matrix they are linear layers, which may lie on arrays.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::nn::Linear;
use crossburn_hardware::layer::linear;

use super::super::dense::Dense;
use super::super::host::Host;
use super::super::layer::Layer;
use super::super::node::{Failure, Node};
use super::super::value::{Call, Value};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &["Gemm", "MatMul"];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    match node.proto.op_type.as_str() {
        "MatMul" => mat_mul(node).map(Some),
        "Gemm" => gemm(node).map(Some),
        _ => Ok(None),
    }
}

fn mat_mul(node: &mut Node<'_, '_>) -> Result<Box<dyn Operator>, Failure> {
    if let Some(matrix) = node.matrix(1) {
        let bias = node.next_bias(matrix.outputs(false));
        let layer = node.linear(1, &matrix, false, bias.as_ref())?;
        return Ok(match layer {
            Some(layer) => {
                bias.iter().for_each(|bias| node.merges_bias(bias));
                Box::new(LinearLayer { layer, left: false })
            }
            None => Box::new(Product),
        });
    }
    if let Some(matrix) = node.matrix(0)
        && let Some(layer) = node.linear(0, &matrix, true, None)?
    {
        return Ok(Box::new(LinearLayer { layer, left: true }));
    }
    Ok(Box::new(Product))
}

fn gemm(node: &mut Node<'_, '_>) -> Result<Box<dyn Operator>, Failure> {
    let attributes = &node.attributes;
    let mut gemm = Gemm {
        layer: None,
        alpha: attributes.float("alpha", 1.0)?,
        beta: attributes.float("beta", 1.0)?,
        left: attributes.flag("transA", false)?,
        right: attributes.flag("transB", false)?,
    };
    let Some(matrix) = node.matrix(1) else {
        return Ok(Box::new(gemm));
    };
    let outputs = matrix.outputs(gemm.right);
    // A layer adds a number to each output. Another bias, and one beside a factor, is added after it.
    let adds =
        |bias: &Host| bias.is_float() && matches!(bias.shape(), [n] | [1, n] if *n == outputs);
    let plain = gemm.alpha == 1.0 && gemm.beta == 1.0 && node.has(2);
    let bias = plain && node.constant(2).is_some_and(|bias| adds(&bias));
    let bias = bias.then(|| node.bias(2));
    gemm.layer = node.linear(1, &matrix, gemm.right, bias.as_ref())?;
    if bias.is_some() && gemm.layer.is_some() {
        node.weight(2, "bias")?;
    }
    Ok(Box::new(gemm))
}

/// A product with a stored matrix.
#[derive(Debug)]
struct LinearLayer {
    layer: usize,
    /// Whether the matrix stands on the left: then it multiplies the last axis but one.
    left: bool,
}

impl Operator for LinearLayer {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let layer = linear_of(call, self.layer)?;
        let y = match self.left {
            false => apply_linear(layer, call.dense(0)?)?,
            true => {
                let x = call.dense(1)?;
                // The product of a matrix and a single vector is that of the layer.
                let mut order: Vec<usize> = (0..x.rank()).collect();
                if let [.., a, b] = order.as_mut_slice() {
                    std::mem::swap(a, b);
                }
                apply_linear(layer, x.permuted(&order)?)?.permuted(&order)?
            }
        };
        one(Value::Dense(y))
    }
}

fn linear_of<'a>(call: &'a Call<'_>, layer: usize) -> Result<&'a Linear, String> {
    match call.layer(layer) {
        Layer::Linear(layer) => Ok(layer),
        _ => Err("its layer is not linear".to_string()),
    }
}

/// The layer on the last axis of `x`.
///
/// # Errors
/// Another size of that axis.
pub(super) fn apply_linear(layer: &Linear, x: Dense) -> Result<Dense, String> {
    let [inputs, outputs] = layer.weight.lazy_shape().dims();
    let mut shape = x.shape().to_vec();
    if shape.last() != Some(&inputs) {
        return Err(format!(
            "its weight takes {inputs} values, the input is {shape:?}"
        ));
    }
    let rows = shape[..shape.len() - 1].iter().product();
    let y = Dense::new(linear::<2>(
        layer,
        x.reshaped(vec![rows, inputs])?.with_axes()?,
    ));
    if let Some(last) = shape.last_mut() {
        *last = outputs;
    }
    y.reshaped(shape)
}

/// A product of two computed tensors.
#[derive(Debug)]
struct Product;

impl Operator for Product {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let (mut left, mut right) = (call.dense(0)?, call.dense(1)?);
        // A tensor with one axis is a row on the left, a column on the right, and the axis goes again.
        let (row, column) = (left.rank() == 1, right.rank() == 1);
        if row {
            left = left.with_rank(2);
        }
        if column {
            let size = right.shape()[0];
            right = right.reshaped(vec![size, 1])?;
        }
        let product = left.matmul(right)?;
        let mut shape = product.shape().to_vec();
        if column {
            shape.pop();
        }
        if row {
            shape.remove(shape.len() - usize::from(!column) - 1);
        }
        one(Value::Dense(product.reshaped(shape)?))
    }
}

/// `alpha · A · B + beta · C`.
#[derive(Debug)]
struct Gemm {
    /// The layer that multiplies with a stored B, and adds a C that is its bias.
    layer: Option<usize>,
    alpha: f32,
    beta: f32,
    /// Whether A is transposed.
    left: bool,
    /// Whether B is.
    right: bool,
}

impl Operator for Gemm {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let turned = |x: Dense, turn: bool| match turn {
            true => x.permuted(&[1, 0]),
            false => Ok(x),
        };
        let scaled = |x: Dense, factor: f32| match factor == 1.0 {
            true => x,
            false => x.each(|x| x * factor),
        };
        let left = turned(call.dense(0)?, self.left)?;
        let y = match self.layer {
            Some(layer) => apply_linear(linear_of(call, layer)?, left)?,
            None => left.matmul(turned(call.dense(1)?, self.right)?)?,
        };
        let y = scaled(y, self.alpha);
        if call.given(2).is_none() {
            return one(Value::Dense(y));
        }
        let bias = scaled(call.dense(2)?, self.beta).spread(y.shape())?;
        one(Value::Dense(y.with(bias, Dispatch::float_add)?))
    }
}
