//! One value of many: sums, means and extremes along axes.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::tensor::Tensor;

use super::super::dense::Dense;
use super::super::host::{Elements, Host};
use super::super::node::{Failure, Node};
use super::super::value::{Call, Value, axis_of};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &[
    "ReduceL1",
    "ReduceL2",
    "ReduceLogSumExp",
    "ReduceMax",
    "ReduceMean",
    "ReduceMin",
    "ReduceProd",
    "ReduceSum",
    "ReduceSumSquare",
];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let kind = match node.proto.op_type.as_str() {
        "ReduceL1" => Kind::L1,
        "ReduceL2" => Kind::L2,
        "ReduceLogSumExp" => Kind::LogSumExp,
        "ReduceMax" => Kind::Max,
        "ReduceMean" => Kind::Mean,
        "ReduceMin" => Kind::Min,
        "ReduceProd" => Kind::Prod,
        "ReduceSum" => Kind::Sum,
        "ReduceSumSquare" => Kind::SumSquare,
        _ => return Ok(None),
    };
    let attributes = &node.attributes;
    Ok(Some(Box::new(Reduction {
        kind,
        axes: attributes.ints("axes")?,
        keeps: attributes.flag("keepdims", true)?,
        none_is_none: attributes.flag("noop_with_empty_axes", false)?,
    })))
}

/// One where an element is zero, zero elsewhere.
pub(super) fn is_zero(x: Tensor<1>) -> Tensor<1> {
    x.equal_elem(0.0).float()
}

#[derive(Clone, Copy, Debug)]
enum Kind {
    L1,
    L2,
    LogSumExp,
    Max,
    Mean,
    Min,
    Prod,
    Sum,
    SumSquare,
}

#[derive(Debug)]
struct Reduction {
    kind: Kind,
    /// Axes of versions that have them as an attribute.
    axes: Option<Vec<i64>>,
    /// Whether the axes stay, with one element.
    keeps: bool,
    /// Whether no axes mean none rather than all.
    none_is_none: bool,
}

impl Reduction {
    fn reduce(&self, x: Dense, axes: &[usize]) -> Result<Dense, String> {
        match self.kind {
            Kind::L1 => x.each(|x| x.abs()).reduced(axes, Dispatch::float_sum_dim),
            Kind::L2 => {
                let squares = x.each(|x| x.clone() * x);
                let sum = squares.reduced(axes, Dispatch::float_sum_dim)?;
                // The root has no slope at zero: the length of a vector of zeros has the gradient zero, as PyTorch's has.
                Ok(sum.each(|x| {
                    let none = is_zero(x.clone());
                    (x + none.clone()).sqrt() - none
                }))
            }
            Kind::LogSumExp => {
                // Shifted by the largest, so that no power is too large.
                let largest = x.clone().reduced(axes, Dispatch::float_max_dim)?;
                let shifted = x.with(largest.clone(), Dispatch::float_sub)?;
                let powers = shifted.each(crossburn_kernels::exp);
                let sum = powers.reduced(axes, Dispatch::float_sum_dim)?;
                sum.each(|x| x.log()).with(largest, Dispatch::float_add)
            }
            Kind::Max => x.reduced(axes, Dispatch::float_max_dim),
            Kind::Mean => x.reduced(axes, Dispatch::float_mean_dim),
            Kind::Min => x.reduced(axes, Dispatch::float_min_dim),
            Kind::Prod => x.reduced(axes, Dispatch::float_prod_dim),
            Kind::Sum => x.reduced(axes, Dispatch::float_sum_dim),
            Kind::SumSquare => {
                let squares = x.each(|x| x.clone() * x);
                squares.reduced(axes, Dispatch::float_sum_dim)
            }
        }
    }

    /// The same of all of a few whole numbers, such as the sizes of a shape.
    fn all_of(&self, values: &[i64]) -> Option<i64> {
        let mut each = values.iter().copied();
        match self.kind {
            Kind::Max => each.max(),
            Kind::Min => each.min(),
            Kind::Prod => each.try_fold(1i64, i64::checked_mul),
            Kind::Sum => each.try_fold(0i64, i64::checked_add),
            _ => None,
        }
    }
}

impl Operator for Reduction {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let value = call.value(0)?;
        let rank = value.shape().len();
        let given = match call.given(1) {
            Some(_) => Some(call.integers(1)?),
            None => self.axes.clone(),
        };
        let mut axes: Vec<usize> = match given.filter(|axes| !axes.is_empty()) {
            Some(axes) => {
                let axes = axes.iter().map(|axis| axis_of(*axis, rank));
                axes.collect::<Result<_, _>>()?
            }
            // Without axes, only the operation on each element remains.
            None if self.none_is_none => Vec::new(),
            None => (0..rank).collect(),
        };
        axes.sort_unstable();
        axes.dedup();
        if axes.is_empty() && !matches!(self.kind, Kind::L1 | Kind::L2 | Kind::SumSquare) {
            return one(value.clone());
        }
        let mut shape = value.shape().to_vec();
        for axis in axes.iter().rev() {
            match self.keeps {
                true => shape[*axis] = 1,
                false => {
                    shape.remove(*axis);
                }
            }
        }
        if let Value::Host(host) = value
            && !host.is_float()
        {
            let all = axes.len() == rank;
            let result = if all {
                self.all_of(&host.integers()?)
            } else {
                None
            };
            let result = result.ok_or("whole numbers are only reduced as a whole")?;
            return one(Value::host(Host::new(
                shape,
                Elements::Integers(vec![result]),
            )?));
        }
        let reduced = self.reduce(call.dense(0)?, &axes)?;
        one(Value::Dense(reduced.reshaped(shape)?))
    }
}
