//! Shapes and what changes them without computing: reshapes, transposes, joins, splits.

use super::super::dense::Dense;
use super::super::host::{Elements, Host, common_shape, elements_of};
use super::super::node::{Failure, Node};
use super::super::value::{Call, Value, axis_of};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &[
    "Concat",
    "ConstantOfShape",
    "Expand",
    "Flatten",
    "Range",
    "Reshape",
    "Shape",
    "Size",
    "Split",
    "Squeeze",
    "Tile",
    "Transpose",
    "Unsqueeze",
];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let attributes = &node.attributes;
    Ok(Some(match node.proto.op_type.as_str() {
        "Concat" => Box::new(Concat {
            axis: attributes.int("axis", 1)?,
        }),
        "ConstantOfShape" => {
            let value = match attributes.tensor("value")? {
                Some(tensor) => node.stored(tensor)?,
                None => Host::new(vec![1], Elements::Floats(vec![0.0]))?,
            };
            match value.shape().iter().product::<usize>() {
                1 => Box::new(ConstantOfShape { value }),
                _ => return Err("its value is not a single one".to_string().into()),
            }
        }
        "Expand" => Box::new(Expand),
        "Flatten" => Box::new(Flatten {
            axis: attributes.int("axis", 1)?,
        }),
        "Range" => Box::new(Range),
        "Reshape" => Box::new(Reshape {
            shape: attributes.ints("shape")?,
            keeps_zero: attributes.flag("allowzero", false)?,
        }),
        "Shape" => Box::new(ShapeOf {
            start: attributes.int("start", 0)?,
            end: attributes.given_int("end")?,
        }),
        "Size" => Box::new(Size),
        "Split" => {
            // How many parts there are is said by the outputs, too.
            attributes.given_int("num_outputs")?;
            Box::new(Split {
                axis: attributes.int("axis", 0)?,
                sizes: attributes.ints("split")?,
                parts: node.proto.output.len(),
            })
        }
        "Squeeze" => Box::new(Squeeze {
            axes: attributes.ints("axes")?,
        }),
        "Tile" => Box::new(Tile),
        "Transpose" => Box::new(Transpose {
            axes: attributes.ints("perm")?,
        }),
        "Unsqueeze" => Box::new(Unsqueeze {
            axes: attributes.ints("axes")?,
        }),
        _ => return Ok(None),
    }))
}

/// The value in another shape.
///
/// # Errors
/// Another number of elements.
pub(super) fn reshaped(value: &Value, shape: Vec<usize>) -> Result<Value, String> {
    Ok(match value {
        Value::Dense(dense) => Value::Dense(dense.clone().reshaped(shape)?),
        Value::Host(host) => Value::host(host.reshaped(shape)?),
    })
}

/// Whole numbers as sizes.
fn sizes(values: &[i64]) -> Result<Vec<usize>, String> {
    let sizes = values.iter().map(|value| usize::try_from(*value).ok());
    let sizes: Option<Vec<usize>> = sizes.collect();
    let sizes = sizes.ok_or_else(|| format!("{values:?} are not sizes"))?;
    elements_of(&sizes)?;
    Ok(sizes)
}

#[derive(Debug)]
struct ShapeOf {
    start: i64,
    end: Option<i64>,
}

impl Operator for ShapeOf {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let shape = call.value(0)?.shape();
        let rank = shape.len() as i64;
        let place = |axis: i64| {
            let axis = if axis < 0 {
                axis.saturating_add(rank)
            } else {
                axis
            };
            axis.clamp(0, rank) as usize
        };
        let (start, end) = (place(self.start), self.end.map_or(shape.len(), place));
        let asked = shape.get(start..end).unwrap_or_default();
        one(Value::host(Host::list(
            asked.iter().map(|x| *x as i64).collect(),
        )))
    }
}

#[derive(Debug)]
struct Size;

impl Operator for Size {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let count = call.value(0)?.shape().iter().product::<usize>();
        let count = Elements::Integers(vec![count as i64]);
        one(Value::host(Host::new(Vec::new(), count)?))
    }
}

#[derive(Debug)]
struct Reshape {
    /// The shape of versions that have it as an attribute.
    shape: Option<Vec<i64>>,
    /// Whether a zero is a size, rather than that of the input.
    keeps_zero: bool,
}

impl Operator for Reshape {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let value = call.value(0)?;
        let asked = match &self.shape {
            Some(shape) => shape.clone(),
            None => call.integers(1)?,
        };
        let own = value.shape();
        let count: usize = own.iter().product();
        let mut shape = Vec::with_capacity(asked.len());
        let mut open = None;
        for (axis, size) in asked.iter().enumerate() {
            shape.push(match size {
                -1 if open.replace(axis).is_none() => 1,
                0 if !self.keeps_zero => *own
                    .get(axis)
                    .ok_or_else(|| format!("its input of shape {own:?} has no axis {axis}"))?,
                size => usize::try_from(*size).map_err(|_| format!("{asked:?} is not a shape"))?,
            });
        }
        if let Some(open) = open {
            let rest = elements_of(&shape)?;
            let size = count.checked_div(rest).filter(|size| size * rest == count);
            shape[open] = size.ok_or_else(|| format!("{own:?} does not reshape to {asked:?}"))?;
        }
        one(reshaped(value, shape)?)
    }
}

#[derive(Debug)]
struct Flatten {
    axis: i64,
}

impl Operator for Flatten {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let value = call.value(0)?;
        let shape = value.shape();
        let axis = match self.axis == shape.len() as i64 {
            true => shape.len(),
            false => axis_of(self.axis, shape.len())?,
        };
        let rows = shape[..axis].iter().product();
        let columns = shape[axis..].iter().product();
        one(reshaped(value, vec![rows, columns])?)
    }
}

#[derive(Debug)]
struct Transpose {
    axes: Option<Vec<i64>>,
}

impl Operator for Transpose {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let value = call.value(0)?;
        let rank = value.shape().len();
        let axes: Vec<usize> = match &self.axes {
            Some(axes) => {
                let axes = axes.iter().map(|axis| axis_of(*axis, rank));
                axes.collect::<Result<_, _>>()?
            }
            None => (0..rank).rev().collect(),
        };
        let mut sorted = axes.clone();
        sorted.sort_unstable();
        if sorted.iter().copied().ne(0..rank) {
            return Err(format!("perm = {axes:?} is no order of {rank} axes"));
        }
        let host = match value {
            Value::Dense(dense) => return one(Value::Dense(dense.clone().permuted(&axes)?)),
            Value::Host(host) => host,
        };
        let shape = axes.iter().map(|axis| host.shape()[*axis]).collect();
        one(Value::host(host.picked(shape, |place| {
            let mut own = vec![0; rank];
            for (axis, at) in axes.iter().zip(place) {
                own[*axis] = *at;
            }
            host.offset(&own)
        })?))
    }
}

#[derive(Debug)]
struct Squeeze {
    axes: Option<Vec<i64>>,
}

impl Operator for Squeeze {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let value = call.value(0)?;
        let mut shape = value.shape().to_vec();
        let given = match call.given(1) {
            Some(_) => Some(call.integers(1)?),
            None => self.axes.clone(),
        };
        let Some(given) = given else {
            shape.retain(|size| *size != 1);
            return one(reshaped(value, shape)?);
        };
        let axes = given.iter().map(|axis| axis_of(*axis, shape.len()));
        let mut axes = axes.collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        for axis in axes.into_iter().rev() {
            if shape.remove(axis) != 1 {
                return Err(format!(
                    "axis {axis} of {:?} has not the size 1",
                    value.shape()
                ));
            }
        }
        one(reshaped(value, shape)?)
    }
}

#[derive(Debug)]
struct Unsqueeze {
    axes: Option<Vec<i64>>,
}

impl Operator for Unsqueeze {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let value = call.value(0)?;
        let given = match &self.axes {
            Some(axes) => axes.clone(),
            None => call.integers(1)?,
        };
        let rank = value.shape().len() + given.len();
        let axes = given.iter().map(|axis| axis_of(*axis, rank));
        let mut axes = axes.collect::<Result<Vec<_>, _>>()?;
        axes.sort_unstable();
        axes.dedup();
        if axes.len() != given.len() {
            return Err(format!("axes = {given:?} name one twice"));
        }
        let mut shape = value.shape().to_vec();
        for axis in axes {
            shape.insert(axis, 1);
        }
        one(reshaped(value, shape)?)
    }
}

#[derive(Debug)]
struct Concat {
    axis: i64,
}

impl Operator for Concat {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let rank = call.value(0)?.shape().len();
        let axis = axis_of(self.axis, rank)?;
        let hosts: Option<Vec<&Host>> = (0..call.inputs.len())
            .map(|input| match call.given(input) {
                Some(Value::Host(host)) if !host.is_float() => Some(host.as_ref()),
                _ => None,
            })
            .collect();
        let Some(hosts) = hosts else {
            let parts = (0..call.inputs.len()).map(|input| call.dense(input));
            let parts = parts.collect::<Result<Vec<_>, _>>()?;
            return one(Value::Dense(Dense::joined(parts, axis)?));
        };
        if rank != 1 || hosts.iter().any(|host| host.shape().len() != 1) {
            return Err("whole numbers are only joined as lists".to_string());
        }
        let mut all = Vec::new();
        for host in hosts {
            all.extend(host.integers()?);
        }
        one(Value::host(Host::list(all)))
    }
}

#[derive(Debug)]
struct Split {
    axis: i64,
    sizes: Option<Vec<i64>>,
    parts: usize,
}

impl Operator for Split {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let value = call.value(0)?;
        let shape = value.shape().to_vec();
        let axis = axis_of(self.axis, shape.len())?;
        let given = match call.given(1) {
            Some(_) => Some(call.integers(1)?),
            None => self.sizes.clone(),
        };
        let sizes = match given {
            Some(given) => sizes(&given)?,
            None => {
                // The last part may be smaller.
                let each = shape[axis].div_ceil(self.parts.max(1));
                let part = |part: usize| each.min(shape[axis].saturating_sub(part * each));
                (0..self.parts).map(part).collect()
            }
        };
        if sizes.iter().sum::<usize>() != shape[axis] || sizes.len() != self.parts {
            return Err(format!(
                "{} elements are not split into {} parts of {sizes:?}",
                shape[axis], self.parts
            ));
        }
        let mut start = 0;
        let mut parts = Vec::with_capacity(sizes.len());
        for size in sizes {
            parts.push(match value {
                Value::Dense(dense) => Value::Dense(dense.clone().every(axis, start, size, 1)?),
                Value::Host(host) => {
                    let mut shape = shape.clone();
                    shape[axis] = size;
                    Value::host(host.picked(shape, |place| {
                        let mut own = place.to_vec();
                        own[axis] += start;
                        host.offset(&own)
                    })?)
                }
            });
            start += size;
        }
        Ok(parts)
    }
}

#[derive(Debug)]
struct Expand;

impl Operator for Expand {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let value = call.value(0)?;
        let asked = sizes(&call.integers(1)?)?;
        let shape = common_shape(value.shape(), &asked)?;
        one(match value {
            Value::Dense(dense) => Value::Dense(dense.clone().spread(&shape)?),
            Value::Host(host) => Value::host(host.spread(&shape)?),
        })
    }
}

#[derive(Debug)]
struct Tile;

impl Operator for Tile {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let value = call.value(0)?;
        let times = sizes(&call.integers(1)?)?;
        if times.len() != value.shape().len() || times.contains(&0) {
            return Err(format!(
                "{:?} is not repeated {times:?} times",
                value.shape()
            ));
        }
        let shape: Vec<usize> = value
            .shape()
            .iter()
            .zip(&times)
            .map(|(a, b)| a * b)
            .collect();
        elements_of(&shape)?;
        one(match value {
            Value::Dense(dense) => {
                let axes = times.iter().enumerate().filter(|(_, times)| **times > 1);
                let tiled = axes
                    .into_iter()
                    .try_fold(dense.clone(), |x, (axis, times)| {
                        Dense::joined(vec![x; *times], axis)
                    });
                Value::Dense(tiled?)
            }
            Value::Host(host) => Value::host(host.picked(shape, |place| {
                let own = place.iter().zip(host.shape());
                let own: Vec<usize> = own.map(|(at, size)| at % size).collect();
                host.offset(&own)
            })?),
        })
    }
}

#[derive(Debug)]
struct ConstantOfShape {
    value: Host,
}

impl Operator for ConstantOfShape {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let shape = sizes(&call.integers(0)?)?;
        one(Value::host(self.value.picked(shape, |_| 0)?))
    }
}

#[derive(Debug)]
struct Range;

impl Operator for Range {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let scalar = |input: usize| -> Result<i64, String> {
            match call.integers(input)?.as_slice() {
                [value] => Ok(*value),
                _ => Err("its limits are not single numbers".to_string()),
            }
        };
        let (start, end, step) = (scalar(0)?, scalar(1)?, scalar(2)?);
        if step == 0 {
            return Err("a step of 0 reaches no end".to_string());
        }
        // The quotient of the span and the step, rounded up.
        let (span, step_size) = (i128::from(end) - i128::from(start), i128::from(step));
        let (quotient, rest) = (span / step_size, span % step_size);
        let over = rest != 0 && (rest > 0) == (step > 0);
        let count = quotient + i128::from(over);
        let count = usize::try_from(count.max(0)).unwrap_or(usize::MAX);
        elements_of(&[count])?;
        let value = |at: usize| start.checked_add((at as i64).checked_mul(step)?);
        let values: Option<Vec<i64>> = (0..count).map(value).collect();
        one(Value::host(Host::list(
            values.ok_or("its numbers are too large")?,
        )))
    }
}
