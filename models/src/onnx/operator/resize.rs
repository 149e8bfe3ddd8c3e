//! Images of another size.

use burn::backend::Dispatch;
use burn::backend::ops::FloatTensorOps;

use super::super::dense::Dense;
use super::super::host::{Elements, Host};
use super::super::node::{Failure, Node};
use super::super::value::{Call, Value, axis_of};
use super::{Operator, one};

pub(super) const KINDS: &[&str] = &["Resize", "Upsample"];

pub(super) fn build(node: &mut Node<'_, '_>) -> Result<Option<Box<dyn Operator>>, Failure> {
    let attributes = &node.attributes;
    let unknown =
        |name: &str, value: &str| Failure::Here(format!("{name} = {value:?} is not known"));
    let linear = match attributes.text("mode", "nearest")?.as_str() {
        "nearest" => false,
        "linear" | "bilinear" | "trilinear" => true,
        other => return Err(unknown("mode", other)),
    };
    if node.proto.op_type == "Upsample" {
        return Ok(Some(Box::new(Resize {
            linear,
            place: Place::Asymmetric,
            rounding: Rounding::Floor,
            scales: attributes.floats("scales")?,
            inputs: Inputs {
                scales: 1,
                sizes: 9,
            },
            axes: None,
        })));
    }
    if attributes.flag("antialias", false)? {
        return Err("antialias is not known".to_string().into());
    }
    // These concern modes that are refused.
    attributes.float("cubic_coeff_a", -0.75)?;
    attributes.int("exclude_outside", 0)?;
    attributes.float("extrapolation_value", 0.0)?;
    match attributes
        .text("keep_aspect_ratio_policy", "stretch")?
        .as_str()
    {
        "stretch" => {}
        other => return Err(unknown("keep_aspect_ratio_policy", other)),
    }
    let place = match attributes
        .text("coordinate_transformation_mode", "half_pixel")?
        .as_str()
    {
        "half_pixel" => Place::HalfPixel,
        "pytorch_half_pixel" => Place::PytorchHalfPixel,
        "align_corners" => Place::AlignCorners,
        "asymmetric" => Place::Asymmetric,
        other => return Err(unknown("coordinate_transformation_mode", other)),
    };
    let rounding = match attributes
        .text("nearest_mode", "round_prefer_floor")?
        .as_str()
    {
        "round_prefer_floor" => Rounding::PreferFloor,
        "round_prefer_ceil" => Rounding::PreferCeil,
        "floor" => Rounding::Floor,
        "ceil" => Rounding::Ceil,
        other => return Err(unknown("nearest_mode", other)),
    };
    // Version 10 had no regions of interest.
    let inputs = match node.opset() < 11 {
        true => Inputs {
            scales: 1,
            sizes: 9,
        },
        false => Inputs {
            scales: 2,
            sizes: 3,
        },
    };
    Ok(Some(Box::new(Resize {
        linear,
        place: if node.opset() < 11 {
            Place::Asymmetric
        } else {
            place
        },
        rounding: if node.opset() < 11 {
            Rounding::Floor
        } else {
            rounding
        },
        scales: None,
        inputs,
        axes: attributes.ints("axes")?,
    })))
}

/// The place of an output in the input.
#[derive(Clone, Copy, Debug)]
enum Place {
    HalfPixel,
    PytorchHalfPixel,
    AlignCorners,
    Asymmetric,
}

/// Which neighbour is the nearest.
#[derive(Clone, Copy, Debug)]
enum Rounding {
    PreferFloor,
    PreferCeil,
    Floor,
    Ceil,
}

/// Which inputs are scales and sizes.
#[derive(Clone, Copy, Debug)]
struct Inputs {
    scales: usize,
    sizes: usize,
}

#[derive(Debug)]
struct Resize {
    linear: bool,
    place: Place,
    rounding: Rounding,
    scales: Option<Vec<f32>>,
    inputs: Inputs,
    axes: Option<Vec<i64>>,
}

impl Resize {
    /// Where output `at` of `outputs` lies among `size` inputs. In 32 bits, as the programs compute it that graphs come from: a
    /// place near a whole number falls on the side that it falls on there.
    fn source(&self, at: usize, size: usize, outputs: usize, scale: f32) -> f32 {
        let at = at as f32;
        match self.place {
            Place::HalfPixel => (at + 0.5) / scale - 0.5,
            Place::PytorchHalfPixel if outputs > 1 => (at + 0.5) / scale - 0.5,
            Place::AlignCorners if outputs > 1 => at * (size as f32 - 1.0) / (outputs as f32 - 1.0),
            Place::PytorchHalfPixel | Place::AlignCorners => 0.0,
            Place::Asymmetric => at / scale,
        }
    }

    fn along(&self, x: Dense, axis: usize, outputs: usize, scale: f32) -> Result<Dense, String> {
        let size = x.shape()[axis];
        if size == 0 {
            return Err(format!("its input of shape {:?} is empty", x.shape()));
        }
        let last = size - 1;
        let sources = (0..outputs).map(|at| self.source(at, size, outputs, scale));
        if !self.linear {
            let nearest = |place: f32| {
                let rounded = match self.rounding {
                    Rounding::Floor => place.floor(),
                    Rounding::Ceil => place.ceil(),
                    Rounding::PreferFloor => (place - 0.5).ceil(),
                    // Places below zero are those of the first element, whichever way they are rounded.
                    Rounding::PreferCeil => place.round(),
                };
                (rounded.max(0.0) as usize).min(last)
            };
            let places: Vec<usize> = sources.map(nearest).collect();
            return x.selected(axis, &places);
        }
        let places: Vec<f32> = sources.map(|place| place.clamp(0.0, last as f32)).collect();
        let low: Vec<usize> = places.iter().map(|place| place.floor() as usize).collect();
        let high: Vec<usize> = low.iter().map(|low| (low + 1).min(last)).collect();
        let shares = places.iter().zip(&low);
        let shares = shares.map(|(place, low)| place - *low as f32).collect();
        let mut shape = vec![1; x.rank()];
        shape[axis] = outputs;
        let share = Host::new(shape, Elements::Floats(shares))?.to_device(&x.device());
        let below = x.clone().selected(axis, &low)?;
        let step = x
            .selected(axis, &high)?
            .with(below.clone(), Dispatch::float_sub)?;
        below.with(step.with(share, Dispatch::float_mul)?, Dispatch::float_add)
    }
}

impl Operator for Resize {
    fn settings(&self) -> &'static [usize] {
        &[1, 2, 3]
    }

    fn run(&self, call: &Call<'_>) -> Result<Vec<Value>, String> {
        let mut x = call.dense(0)?;
        let rank = x.rank();
        let axes: Vec<usize> = match &self.axes {
            Some(axes) => {
                let axes = axes.iter().map(|axis| axis_of(*axis, rank));
                axes.collect::<Result<_, _>>()?
            }
            None => (0..rank).collect(),
        };
        let scales = match (&self.scales, call.given(self.inputs.scales)) {
            (Some(scales), _) => scales.clone(),
            (None, Some(_)) => call.host(self.inputs.scales)?.floats(),
            (None, None) => Vec::new(),
        };
        let wanted: Vec<(usize, f32)> = if scales.is_empty() {
            let sizes = call.integers(self.inputs.sizes)?;
            let outputs = sizes
                .iter()
                .map(|size| usize::try_from(*size).unwrap_or_default());
            let axes = axes.iter().map(|axis| x.shape()[*axis].max(1));
            let pairs = outputs.zip(axes);
            pairs
                .map(|(to, from)| (to, to as f32 / from as f32))
                .collect()
        } else {
            let axes = axes.iter().map(|axis| x.shape()[*axis]);
            let pairs = axes.zip(&scales);
            // The product is rounded to 32 bits before it is cut: 10 times 0.7 are 7 elements.
            pairs
                .map(|(from, scale)| ((from as f32 * scale).floor() as usize, *scale))
                .collect()
        };
        if wanted.len() != axes.len() {
            return Err(format!(
                "its sizes are not one for each of {} axes",
                axes.len()
            ));
        }
        for (axis, (outputs, scale)) in axes.iter().zip(wanted) {
            if outputs == 0 || outputs > 1 << 20 || !(scale.is_finite() && scale > 0.0) {
                return Err(format!(
                    "it resizes axis {axis} of {:?} to {outputs}",
                    x.shape()
                ));
            }
            if scale != 1.0 || outputs != x.shape()[*axis] {
                x = self.along(x, *axis, outputs, scale)?;
            }
        }
        one(Value::Dense(x))
    }
}
