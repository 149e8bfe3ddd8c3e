//! Normalizations, over batches, layers and single channels.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;
use burn::module::RunningState;
use burn::nn::{BatchNormConfig, LayerNormConfig};
use burn::tensor::Tensor;
use crossburn_kernels::{batch_norm, layer_norm};

use super::super::dense::Dense;
use super::super::layer::Layer;
use super::super::node::{Failure, Node, Reuse, vector};
use super::super::origin::Field;
use super::super::value::{Call, Value, axis_of};
use super::reduction::is_zero;
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &[
    "BatchNormalization",
    "GroupNormalization",
    "InstanceNormalization",
    "LayerNormalization",
    "LpNormalization",
];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    match node.proto.op_type.as_str() {
        "BatchNormalization" => batch(node).map(Some),
        "LayerNormalization" => layer(node).map(Some),
        "InstanceNormalization" => Ok(Some(Box::new(Channels {
            epsilon: epsilon(node)?,
            groups: None,
        }))),
        "GroupNormalization" => {
            // Of a full-precision computation inside, which is what it is here.
            node.attributes.int("stash_type", 1)?;
            let groups = usize::try_from(node.attributes.int("num_groups", 0)?);
            Ok(Some(Box::new(Channels {
                epsilon: epsilon(node)?,
                groups: Some(groups.unwrap_or_default()),
            })))
        }
        "LpNormalization" => {
            if node.attributes.int("p", 2)? != 2 {
                return Err("only p = 2 is known".to_string().into());
            }
            let axis = node.attributes.int("axis", -1)?;
            Ok(Some(Box::new(UnitLength { axis })))
        }
        _ => Ok(None),
    }
}

/// The number that a norm adds to a variance.
///
/// # Errors
/// A number that does not keep the variance above zero.
fn epsilon(node: &Node<'_, '_>) -> Result<f32, String> {
    let epsilon = node.attributes.float("epsilon", 1e-5)?;
    match epsilon > 0.0 && epsilon.is_finite() {
        true => Ok(epsilon),
        false => Err(format!(
            "its epsilon is {epsilon}: export it with a small number above zero, such as 1e-5"
        )),
    }
}

fn batch(node: &mut Node<'_, '_>) -> Result<Box<dyn Operator>, Failure> {
    let attributes = &node.attributes;
    let epsilon = f64::from(epsilon(node)?);
    // ONNX counts what stays of a statistic, Burn what changes.
    let kept = attributes.float("momentum", 0.9)?;
    if !(0.0..=1.0).contains(&kept) {
        return Err(format!("its momentum is {kept}: export it with one from 0 to 1").into());
    }
    let momentum = 1.0 - f64::from(kept);
    // Before version 14, a norm that trained had outputs for its statistics.
    let outputs = node.proto.output.iter().filter(|name| !name.is_empty());
    let trains = attributes.flag("training_mode", false)? || outputs.count() > 1;
    if attributes.int("spatial", 1)? != 1 || trains {
        return Err("it is exported for training: call eval() before the export"
            .to_string()
            .into());
    }
    let scale = node.weight(1, "scale")?;
    let channels = scale.shape().iter().product();
    let missing = || Failure::Here("a tensor of it is missing".to_string());
    let gamma = node.vector(1, "scale", channels)?.ok_or_else(missing)?;
    let beta = node.vector(2, "bias", channels)?.ok_or_else(missing)?;
    let mean = node.vector(3, "mean", channels)?.ok_or_else(missing)?;
    let variance = node.vector(4, "variance", channels)?.ok_or_else(missing)?;
    if variance.floats().iter().any(|x| *x < 0.0) {
        return Err("its variance is below zero".to_string().into());
    }
    let fields = [
        Field::new("gamma", 1),
        Field::new("beta", 2),
        Field::new("running_mean", 3),
        Field::new("running_var", 4),
    ];
    let statistics = [3, 4].map(|input| node.resolved_input(input));
    let settings = format!("batch norm {statistics:?} {epsilon} {momentum}");
    let layer = node.layer(&fields, &settings, Reuse::Copied, |device| {
        let config = BatchNormConfig::new(channels)
            .with_epsilon(epsilon)
            .with_momentum(momentum);
        let state = |values: &[f32]| RunningState::new(Tensor::from_floats(values, device));
        let mut layer = config.init(device);
        layer.gamma = vector(&gamma.floats(), device);
        layer.beta = vector(&beta.floats(), device);
        layer.running_mean = state(&mean.floats());
        layer.running_var = state(&variance.floats());
        Layer::BatchNorm(layer)
    })?;
    Ok(Box::new(Batch { layer, channels }))
}

#[derive(Debug)]
struct Batch {
    layer: usize,
    channels: usize,
}

impl Operator for Batch {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let Layer::BatchNorm(layer) = call.layer(self.layer) else {
            return Err("its layer is no batch norm".to_string());
        };
        let x = call.dense(0)?;
        let shape = x.shape().to_vec();
        if shape.len() < 2 || shape[1] != self.channels || shape.contains(&0) {
            return Err(format!(
                "it normalizes {} channels, the input has the shape {shape:?}",
                self.channels
            ));
        }
        let y = match shape.len() {
            2 => Dense::new(batch_norm::<2>(layer, x.with_axes()?)),
            3 => Dense::new(batch_norm::<3>(layer, x.with_axes()?)),
            4 => Dense::new(batch_norm::<4>(layer, x.with_axes()?)),
            _ => {
                let rest = shape[2..].iter().product();
                let flat = x.reshaped(vec![shape[0], shape[1], rest])?.with_axes()?;
                Dense::new(batch_norm::<3>(layer, flat)).reshaped(shape)?
            }
        };
        one(Value::Dense(y))
    }
}

fn layer(node: &mut Node<'_, '_>) -> Result<Box<dyn Operator>, Failure> {
    let attributes = &node.attributes;
    let epsilon = f64::from(epsilon(node)?);
    attributes.int("stash_type", 1)?;
    let axis = attributes.int("axis", -1)?;
    if node.proto.output.len() > 1 {
        return Err("mean and deviation are not given: export it without them"
            .to_string()
            .into());
    }
    let scale = node.weight(1, "scale")?;
    let [width] = scale.shape() else {
        return Err(format!("its scale has the shape {:?}, not one axis", scale.shape()).into());
    };
    let width = *width;
    let beta = node.vector(2, "bias", width)?;
    let fields = [Field::new("gamma", 1), Field::new("beta", 2)];
    let fields = &fields[..1 + usize::from(beta.is_some())];
    let settings = format!("layer norm {epsilon}");
    let layer = node.layer(fields, &settings, Reuse::Copied, |device| {
        let config = LayerNormConfig::new(width)
            .with_epsilon(epsilon)
            .with_bias(beta.is_some());
        let mut layer = config.init(device);
        layer.gamma = vector(&scale.floats(), device);
        layer.beta = beta.as_ref().map(|beta| vector(&beta.floats(), device));
        Layer::LayerNorm(layer)
    })?;
    Ok(Box::new(LastAxis { layer, width, axis }))
}

/// A layer norm over the last axis.
#[derive(Debug)]
struct LastAxis {
    layer: usize,
    width: usize,
    axis: i64,
}

impl Operator for LastAxis {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let Layer::LayerNorm(layer) = call.layer(self.layer) else {
            return Err("its layer is no layer norm".to_string());
        };
        let x = call.dense(0)?;
        let shape = x.shape().to_vec();
        let axis = axis_of(self.axis, shape.len())?;
        if axis + 1 != shape.len() || shape[axis] != self.width || shape.contains(&0) {
            return Err(format!(
                "it normalizes the last axis of {} values, the input has the shape {shape:?} and its axis is {}",
                self.width, self.axis
            ));
        }
        let rows = shape[..axis].iter().product();
        let flat = x.reshaped(vec![rows, self.width])?.with_axes()?;
        let y = Dense::new(layer_norm::<2>(layer, flat));
        one(Value::Dense(y.reshaped(shape)?))
    }
}

/// A norm of every channel, or every group of them, of every item. Its scale and bias are inputs.
#[derive(Debug)]
struct Channels {
    epsilon: f32,
    /// Groups of channels that are normalized together.
    groups: Option<usize>,
}

impl Operator for Channels {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = call.dense(0)?;
        let shape = x.shape().to_vec();
        let [batch, channels, rest @ ..] = shape.as_slice() else {
            return Err(format!(
                "its input has the shape {shape:?}, without channels"
            ));
        };
        let groups = self.groups.unwrap_or(*channels);
        if groups == 0 || channels % groups != 0 || shape.contains(&0) {
            return Err(format!(
                "{groups} groups do not share the channels of {shape:?}"
            ));
        }
        let count = channels / groups * rest.iter().product::<usize>();
        let x = x.reshaped(vec![batch * groups, count])?;
        let mean = x.clone().reduced(&[1], Dispatch::float_mean_dim)?;
        let centred = x.with(mean, Dispatch::float_sub)?;
        let squares = centred.clone().each(|x| x.clone() * x);
        let variance = squares.reduced(&[1], Dispatch::float_mean_dim)?;
        let epsilon = self.epsilon;
        let deviation = variance.each(|x| (x + epsilon).sqrt());
        let y = centred
            .with(deviation, Dispatch::float_div)?
            .reshaped(shape.clone())?;
        let mut along = vec![1; shape.len()];
        along[1] = *channels;
        let vector = |input: usize| -> Result<Dense, String> {
            let values = call.dense(input)?;
            let per_group = values.shape() == [groups] && groups != *channels;
            let values = match per_group {
                // The first form of group norms had a scale for each group.
                true => {
                    let spread = values
                        .reshaped(vec![groups, 1])?
                        .spread(&[groups, channels / groups])?;
                    Dense::flat(spread.flattened(), vec![*channels])
                }
                false => values,
            };
            values.reshaped(along.clone())
        };
        let y = y.with(vector(1)?, Dispatch::float_mul)?;
        one(Value::Dense(y.with(vector(2)?, Dispatch::float_add)?))
    }
}

/// Vectors of length one along an axis.
#[derive(Debug)]
struct UnitLength {
    axis: i64,
}

impl Operator for UnitLength {
    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let x = call.dense(0)?;
        let axis = axis_of(self.axis, x.rank())?;
        let squares = x.clone().each(|x| x.clone() * x);
        let length = squares.reduced(&[axis], Dispatch::float_sum_dim)?;
        // A vector of zeros stays one: it is divided by one.
        let length = length.each(|x| (x.clone() + is_zero(x)).sqrt());
        one(Value::Dense(x.with(length, Dispatch::float_div)?))
    }
}
