//! Elements by their places: gathers, slices, and the place of the largest.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::module::Param;
use burn::nn::EmbeddingConfig;
use burn::tensor::TensorData;

use super::super::dense::Dense;
use super::super::host::{Elements, Host, elements_of};
use super::super::layer::{Layer, Part};
use super::super::node::{Failure, Node, Reuse};
use super::super::origin::Field;
use super::super::value::{Call, Value, axis_of};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &["ArgMax", "ArgMin", "Gather", "Slice", "Trilu"];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let attributes = &node.attributes;
    Ok(Some(match node.proto.op_type.as_str() {
        kind @ ("ArgMax" | "ArgMin") => {
            if attributes.int("select_last_index", 0)? != 0 {
                return Err("only the first of equal places is given".to_string().into());
            }
            Box::new(Extreme {
                largest: kind == "ArgMax",
                axis: attributes.int("axis", 0)?,
                keeps: attributes.flag("keepdims", true)?,
            })
        }
        "Gather" => {
            let axis = attributes.int("axis", 0)?;
            let table = match axis {
                0 => embedding(node)?,
                _ => None,
            };
            Box::new(Gather { axis, table })
        }
        "Slice" => Box::new(SliceOf {
            own: match (attributes.ints("starts")?, attributes.ints("ends")?) {
                (Some(starts), Some(ends)) => Some((starts, ends, attributes.ints("axes")?)),
                _ => None,
            },
        }),
        "Trilu" => Box::new(Triangle {
            upper: attributes.flag("upper", true)?,
        }),
        _ => return Ok(None),
    }))
}

/// The embedding whose rows a gather takes, where that is a stored table.
fn embedding(node: &mut Node<'_, '_>) -> Result<Option<usize>, Failure> {
    let Some(table) = node.free_table(0) else {
        return Ok(None);
    };
    let values = node.weight(0, "table")?;
    let [rows, columns] = table;
    let table = [Field::new("weight", 0)];
    let layer = node.layer(&table, "embedding", Reuse::Refused, |device| {
        let mut layer = EmbeddingConfig::new(rows, columns).init(device);
        let data = TensorData::new(values.floats(), [rows, columns]);
        layer.weight = Param::from_data(data, device);
        Layer::Embedding(layer)
    })?;
    Ok(Some(layer))
}

#[derive(Debug)]
struct Gather {
    axis: i64,
    /// The embedding that it takes rows of, in place of its first input.
    table: Option<usize>,
}

impl Operator for Gather {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let value = match self.table {
            Some(layer) => Value::Dense(
                call.layer(layer)
                    .value(Part::Weight)
                    .ok_or("its table is gone")?,
            ),
            None => call.value(0)?.clone(),
        };
        let rank = value.shape().len();
        let axis = axis_of(self.axis, rank)?;
        let size = value.shape()[axis];
        let index_shape = call.value(1)?.shape().to_vec();
        let place = |index: &i64| {
            let from_start = if *index < 0 {
                index + size as i64
            } else {
                *index
            };
            let place = usize::try_from(from_start)
                .ok()
                .filter(|place| *place < size);
            place.ok_or_else(|| {
                format!("index {index} is not among {size} elements: clip the indices before it")
            })
        };
        let places = call
            .integers(1)?
            .iter()
            .map(place)
            .collect::<Result<Vec<_>, _>>()?;
        let mut shape = value.shape()[..axis].to_vec();
        shape.extend(&index_shape);
        shape.extend(&value.shape()[axis + 1..]);
        elements_of(&shape)?;
        one(match &value {
            Value::Dense(dense) => {
                let picked = match places.as_slice() {
                    [only] => dense.clone().every(axis, *only, 1, 1)?,
                    places => dense.clone().selected(axis, places)?,
                };
                Value::Dense(picked.reshaped(shape)?)
            }
            Value::Host(host) => Value::host(host.picked(shape, |at| {
                let (before, rest) = at.split_at(axis);
                let (index, after) = rest.split_at(index_shape.len());
                let number = index.iter().zip(&index_shape);
                let number = number.fold(0, |number, (at, size)| number * size + at);
                let mut own = before.to_vec();
                own.push(places[number]);
                own.extend(after);
                host.offset(&own)
            })?),
        })
    }
}

#[derive(Debug)]
struct SliceOf {
    /// Starts, ends and axes of versions that have them as attributes.
    own: Option<Bounds>,
}

/// Starts, ends and axes.
type Bounds = (Vec<i64>, Vec<i64>, Option<Vec<i64>>);

impl Operator for SliceOf {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let optional = |input: usize| match call.given(input) {
            Some(_) => call.integers(input).map(Some),
            None => Ok(None),
        };
        let (starts, ends, axes, steps) = match &self.own {
            Some((starts, ends, axes)) => (starts.clone(), ends.clone(), axes.clone(), None),
            None => (
                call.integers(1)?,
                call.integers(2)?,
                optional(3)?,
                optional(4)?,
            ),
        };
        let mut value = call.value(0)?.clone();
        let rank = value.shape().len();
        let axes = axes.unwrap_or_else(|| (0..starts.len() as i64).collect());
        let steps = steps.unwrap_or_else(|| vec![1; starts.len()]);
        if [ends.len(), axes.len(), steps.len()] != [starts.len(); 3] {
            return Err("starts, ends, axes and steps are not as many".to_string());
        }
        for (number, axis) in axes.iter().enumerate() {
            let axis = axis_of(*axis, rank)?;
            value = along(&value, axis, starts[number], ends[number], steps[number])?;
        }
        one(value)
    }
}

/// Elements from `start` on until before `end`, in steps, along an axis. Negative places count from the end.
fn along(value: &Value, axis: usize, start: i64, end: i64, step: i64) -> Result<Value, String> {
    let size = value.shape()[axis] as i64;
    let from_start = |place: i64| {
        if place < 0 {
            place.saturating_add(size)
        } else {
            place
        }
    };
    let (start, end) = match step {
        0 => return Err("a step of 0 reaches no end".to_string()),
        1.. => (
            from_start(start).clamp(0, size),
            from_start(end).clamp(0, size),
        ),
        _ => (
            from_start(start).min(size - 1).max(0),
            from_start(end).clamp(-1, (size - 1).max(-1)),
        ),
    };
    let span = match step > 0 {
        true => end - start,
        // An empty axis has no element to start from.
        false if size == 0 => 0,
        false => start - end,
    };
    let count = span.max(0) as u64;
    let count = count.div_ceil(step.unsigned_abs()) as usize;
    let place = |at: usize| (start + at as i64 * step) as usize;
    match value {
        Value::Dense(dense) if step > 0 => {
            let sliced = dense.clone().every(axis, place(0), count, step as usize);
            Ok(Value::Dense(sliced?))
        }
        Value::Dense(dense) => {
            let places: Vec<usize> = (0..count).map(place).collect();
            Ok(Value::Dense(dense.clone().selected(axis, &places)?))
        }
        Value::Host(host) => {
            let mut shape = host.shape().to_vec();
            shape[axis] = count;
            let picked = host.picked(shape, |at| {
                let mut own = at.to_vec();
                own[axis] = place(own[axis]);
                host.offset(&own)
            });
            picked.map(Value::host)
        }
    }
}

/// Keeps one side of a diagonal; the other becomes zeros.
#[derive(Debug)]
struct Triangle {
    upper: bool,
}

impl Operator for Triangle {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let value = call.value(0)?;
        let shape = value.shape().to_vec();
        let [.., rows, columns] = shape.as_slice() else {
            return Err(format!(
                "its input has the shape {shape:?}, not two axes or more"
            ));
        };
        let diagonal = match call.given(1) {
            Some(_) => call.integers(1)?.first().copied().unwrap_or_default(),
            None => 0,
        };
        let keeps = |row: usize, column: usize| {
            let offset = column as i64 - row as i64;
            if self.upper {
                offset >= diagonal
            } else {
                offset <= diagonal
            }
        };
        let places = (0..rows * columns).map(|at| keeps(at / columns, at % columns));
        let kept = Host::new(
            vec![*rows, *columns],
            Elements::Conditions(places.collect()),
        )?;
        let zero = Host::new(Vec::new(), Elements::Floats(vec![0.0]))?.to_device(call.device);
        let dense: Dense = value.dense(call.device);
        one(Value::Dense(dense.where_holds(&kept, zero)?))
    }
}

/// The place of the largest or the smallest along an axis.
#[derive(Debug)]
struct Extreme {
    largest: bool,
    axis: i64,
    keeps: bool,
}

impl Operator for Extreme {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = call.dense(0)?;
        let axis = axis_of(self.axis, x.rank())?;
        let mut shape = x.shape().to_vec();
        let size = shape[axis];
        if shape.contains(&0) {
            return Err(format!("its input of shape {shape:?} is empty"));
        }
        // The axis goes last, so that each row has one place.
        let mut order: Vec<usize> = (0..shape.len()).filter(|a| *a != axis).collect();
        order.push(axis);
        let signed = match self.largest {
            true => x,
            false => x.with(
                Host::new(Vec::new(), Elements::Floats(vec![-1.0]))?.to_device(call.device),
                Dispatch::float_mul,
            )?,
        };
        let values = signed.permuted(&order)?.values()?;
        if values.iter().any(|value| value.is_nan()) {
            return Err(
                "one of its values is no number, which has no place among the others: look for a division by zero before it"
                    .to_string(),
            );
        }
        let first = |row: &[f32]| {
            let place =
                (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best });
            place as i64
        };
        let places = values.chunks(size).map(first).collect();
        match self.keeps {
            true => shape[axis] = 1,
            false => {
                shape.remove(axis);
            }
        }
        one(Value::host(Host::new(shape, Elements::Integers(places))?))
    }
}
