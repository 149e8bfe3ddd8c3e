//! Products of matrices. With a stored matrix they are linear layers, which may lie on arrays.

use crossburn_hardware::layer::linear;

use super::super::builder::{Failure, Node};
use super::super::dense::Dense;
use super::super::layer::Layer;
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
    let Some(matrix) = node.matrix(1) else {
        return Ok(Box::new(Product));
    };
    let outputs = matrix.outputs(false);
    let bias = node.merges_bias(outputs);
    let layer = node.linear(1, &matrix, false, bias.as_deref())?;
    Ok(Box::new(LinearLayer { layer }))
}

fn gemm(node: &mut Node<'_, '_>) -> Result<Box<dyn Operator>, Failure> {
    let attributes = &node.attributes;
    let gemm = Gemm {
        alpha: attributes.float("alpha", 1.0)?,
        beta: attributes.float("beta", 1.0)?,
        left: attributes.flag("transA", false)?,
        right: attributes.flag("transB", false)?,
    };
    let plain = gemm.alpha == 1.0 && gemm.beta == 1.0 && !gemm.left;
    let Some(matrix) = node.matrix(1).filter(|_| plain) else {
        return Ok(Box::new(gemm));
    };
    let bias = match node.has(2) {
        true => {
            let Some(bias) = node.constant(2) else {
                return Ok(Box::new(gemm));
            };
            // A single number is added to every output.
            if bias.shape() != [matrix.outputs(gemm.right)] {
                return Ok(Box::new(gemm));
            }
            node.weight(2, "bias")?;
            Some(node.resolved_input(2))
        }
        false => None,
    };
    let layer = node.linear(1, &matrix, gemm.right, bias.as_deref())?;
    Ok(Box::new(LinearLayer { layer }))
}

/// A product with a stored matrix, on the last axis.
#[derive(Debug)]
struct LinearLayer {
    layer: usize,
}

impl Operator for LinearLayer {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let Layer::Linear(layer) = call.layer(self.layer) else {
            return Err("its layer is not linear".to_string());
        };
        one(Value::Dense(apply_linear(layer, call.dense(0)?)?))
    }
}

/// The layer on the last axis of `x`.
///
/// # Errors
/// Another size of that axis.
pub(super) fn apply_linear(layer: &burn::nn::Linear, x: Dense) -> Result<Dense, String> {
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
    alpha: f32,
    beta: f32,
    left: bool,
    right: bool,
}

impl Operator for Gemm {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let turned = |x: Dense, turn: bool| match turn {
            true => x.permuted(&[1, 0]),
            false => Ok(x),
        };
        let left = turned(call.dense(0)?, self.left)?;
        let right = turned(call.dense(1)?, self.right)?;
        let alpha = self.alpha;
        let mut y = left.matmul(right)?.each(|x| x * alpha);
        if call.given(2).is_some() {
            let beta = self.beta;
            let bias = call.dense(2)?.each(|x| x * beta);
            let bias = bias.spread(y.shape())?;
            let shape = y.shape().to_vec();
            y = Dense::flat(y.flattened() + bias.flattened(), shape);
        }
        one(Value::Dense(y))
    }
}
