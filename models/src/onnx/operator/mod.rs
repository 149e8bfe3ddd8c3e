//! The operators that are known, a file for each family.

mod activation;
mod blocks;
mod condition;
mod convolution;
mod elementwise;
mod matrix;
mod normalization;
mod padding;
mod pooling;
mod recurrent;
mod reduction;
mod resize;
mod selection;
mod shape;
mod transposed;
mod window;

use std::fmt::Debug;

use super::OnnxError;
use super::node::{Failure, Node};
use super::proto::NodeProto;
use super::value::{Call, Value};

/// The computation of a node.
pub(crate) trait Operator: Debug + Send + Sync {
    /// The outputs in order; those at the end may be left out.
    ///
    /// # Errors
    /// Inputs that it cannot take.
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String>;

    /// Places of inputs that are settings, such as scales and limits: stored floats there do not learn.
    fn settings(&self) -> &'static [usize] {
        &[]
    }

    /// Places of inputs that no gradient passes to: stored floats there only learn where another node takes them, too.
    fn watched(&self) -> &'static [usize] {
        &[]
    }
}

/// An operator of a family, or `None` where the node is none of its kinds.
type Family = fn(&mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure>;

/// The families with the kinds of nodes that they know.
const FAMILIES: [(&[&str], Family); 15] = [
    (activation::KINDS, activation::build),
    (blocks::KINDS, blocks::build),
    (condition::KINDS, condition::build),
    (convolution::KINDS, convolution::build),
    (elementwise::KINDS, elementwise::build),
    (matrix::KINDS, matrix::build),
    (normalization::KINDS, normalization::build),
    (padding::KINDS, padding::build),
    (pooling::KINDS, pooling::build),
    (recurrent::KINDS, recurrent::build),
    (reduction::KINDS, reduction::build),
    (resize::KINDS, resize::build),
    (selection::KINDS, selection::build),
    (shape::KINDS, shape::build),
    (transposed::KINDS, transposed::build),
];

/// Kinds that the builder makes no operator of.
const PASSED: [&str; 3] = ["Constant", "Dropout", "Identity"];

/// Kinds that run other graphs.
const CONTROL_FLOW: [&str; 4] = ["If", "Loop", "Scan", "SequenceMap"];

/// Names of ONNX's own operators.
const STANDARD: [&str; 2] = ["", "ai.onnx"];

/// The kinds of nodes that are known, in alphabetical order.
pub(crate) fn known() -> Vec<&'static str> {
    let of_families = FAMILIES.iter().flat_map(|(kinds, _)| kinds.iter());
    let mut known: Vec<&str> = of_families.chain(&PASSED).copied().collect();
    known.sort_unstable();
    known
}

/// Refuses a node of a kind that is not known.
///
/// # Errors
/// The kind and the node.
pub(crate) fn require_known(node: &NodeProto, name: &str) -> Result<(), OnnxError> {
    let (kind, node_name) = (node.op_type.as_str(), name.to_string());
    let standard = STANDARD.contains(&node.domain.as_str());
    if standard && CONTROL_FLOW.contains(&kind) {
        return Err(OnnxError::ControlFlow {
            node: node_name,
            operator: kind.to_string(),
        });
    }
    let known = PASSED.contains(&kind) || FAMILIES.iter().any(|(kinds, _)| kinds.contains(&kind));
    match standard && known {
        true => Ok(()),
        false => Err(OnnxError::Operator {
            node: node_name,
            operator: match standard {
                true => kind.to_string(),
                false => format!("{}.{kind}", node.domain),
            },
        }),
    }
}

/// The operator of a node.
///
/// # Errors
/// Settings that are not known, and weights that do not fit.
pub(crate) fn build(node: &mut Node<'_, '_>) -> Result<Box<dyn Operator>, Failure> {
    let kind = node.proto.op_type.as_str();
    for (kinds, family) in FAMILIES {
        if kinds.contains(&kind)
            && let Some(operator) = family(node)?
        {
            return Ok(operator);
        }
    }
    Err(
        "its form is not known: export it with another opset_version, or file an issue that names it"
            .to_string()
            .into(),
    )
}

/// The only output of an operator.
fn one(value: Value) -> Result<Vec<Value>, String> {
    Ok(vec![value])
}
