//! The box of one weight, attached to it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use burn::module::{Module, Param, Reparameterization, Reparameterizer};
use burn::tensor::{DType, Device, Tensor, TensorData};
use crossburn_kernels::Rounding;
use crossburn_noise::NoiseError;
use crossburn_noise::worst_case::{DeviationBounds, EntryBounds};

use crate::HardwareError;

/// `network` with its matrix weights in the middle of the boxes that `bounds` leave around them, and their radii attached, for
/// [`Intervals`](super::Intervals) to find. Weights without an entry in `bounds` do not deviate.
///
/// A weight with a deviation `d` is `w + d` rounded to `f32`, as [`deviate`](crossburn_noise::worst_case::deviate) adds it.
/// Rounding is monotone, so the box is that between the two rounded ends.
///
/// # Errors
/// [`NoiseError::OtherWeights`] where a path or a number of entries is not the network's, [`HardwareError::Conflict`] for
/// weights that are not 32-bit floats: rounding errors are bounded for those.
pub fn enclose_weights<M: Module>(
    network: &M,
    bounds: &DeviationBounds,
) -> Result<M, HardwareError> {
    let mut enclose = Enclose {
        left: bounds.weights().keys().cloned().collect(),
        bounds: bounds.weights(),
        error: None,
    };
    let enclosed = network
        .valid()
        .materialize()
        .apply_reparameterization(&mut enclose);
    match (enclose.error, enclose.left.pop_first()) {
        (Some(error), _) => Err(error),
        (None, Some(path)) => Err(other_weights(&path, 0, &bounds.weights()[&path]).into()),
        (None, None) => Ok(enclosed),
    }
}

fn other_weights(path: &str, expected: usize, entries: &EntryBounds) -> NoiseError {
    NoiseError::OtherWeights {
        path: path.to_string(),
        expected,
        found: entries.low.len(),
    }
}

struct Enclose<'a> {
    left: BTreeSet<String>,
    bounds: &'a BTreeMap<String, EntryBounds>,
    error: Option<HardwareError>,
}

impl Reparameterizer for &mut Enclose<'_> {
    type Reparam = WeightBox;

    fn reparameterize<const D: usize>(
        &mut self,
        path: &str,
        param: Param<Tensor<D>>,
    ) -> (Param<Tensor<D>>, Option<WeightBox>) {
        let Some(entries) = self.bounds.get(path) else {
            return (param, None);
        };
        self.left.remove(path);
        let base = param.base();
        let (shape, device) = (base.dims(), base.device());
        if base.dtype() != DType::F32 {
            self.error = Some(HardwareError::conflict(
                format!("weight `{path}` is {:?}", base.dtype()),
                "certify networks of 32-bit floats",
            ));
            return (param, None);
        }
        let weights: Vec<f32> = base
            .into_data()
            .try_into_vec_as()
            .expect("a weight is a tensor of floats");
        if entries.low.len() != weights.len() {
            self.error = Some(other_weights(path, weights.len(), entries).into());
            return (param, None);
        }
        let (middle, radius) = middle_and_radius(&weights, entries);
        let weight_box = WeightBox::new(&middle, &radius, &device);
        let data = TensorData::new(middle, shape);
        (
            param.map(|_| Tensor::from_data(data, &device)),
            Some(weight_box),
        )
    }
}

/// The middles of the boxes `[w + low, w + high]`, and radii that reach both ends from there.
fn middle_and_radius(weights: &[f32], entries: &EntryBounds) -> (Vec<f32>, Vec<f32>) {
    let ends = entries.low.iter().zip(&entries.high);
    let of_entry = |(weight, (low, high)): (&f32, (&f32, &f32))| {
        let (low, high) = (weight + low, weight + high);
        if low == high {
            return (low, 0.0);
        }
        let middle = (0.5 * (f64::from(low) + f64::from(high))) as f32;
        let reach = f64::from(high) - f64::from(middle);
        let reach = reach.max(f64::from(middle) - f64::from(low));
        // The difference is rounded once to 64 bits, once to 32.
        (middle, (reach as f32).next_up())
    };
    weights.iter().zip(ends).map(of_entry).unzip()
}

/// Radii of the boxes of one weight around its value.
#[derive(Module, Debug)]
pub(super) struct WeightBox {
    #[module(skip)]
    parts: Arc<Parts>,
}

/// Tensors are flat, in row-major order of the weight.
#[derive(Debug)]
struct Parts {
    /// `|W|`.
    magnitude: Tensor<1>,
    /// `max(|W|, R)`.
    largest: Tensor<1>,
    /// `min(max(W, -R), R)`.
    clipped: Tensor<1>,
    radii: Tensor<1>,
    /// R where one holds for all entries.
    same: Option<f32>,
    /// `|W| + R` on the host, for majorants.
    sums: Vec<f32>,
    /// The majorant of the sums, once it is asked for.
    majorant: OnceLock<Tensor<1>>,
}

/// Radii whose spread is below this part of the largest one count as that one.
const SAME: f32 = 1.0 / (1 << 14) as f32;

impl WeightBox {
    fn new(middle: &[f32], radius: &[f32], device: &Device) -> Self {
        let flat = |values: Vec<f32>| {
            let length = values.len();
            Tensor::<1>::from_data(TensorData::new(values, [length]), device)
        };
        let of_pairs = |work: &dyn Fn(f32, f32) -> f32| -> Vec<f32> {
            let pairs = middle.iter().zip(radius);
            pairs
                .map(|(weight, radius)| work(*weight, *radius))
                .collect()
        };
        let magnitude = flat(middle.iter().map(|weight| weight.abs()).collect());
        let largest = radius.iter().fold(0.0f32, |a, b| a.max(*b));
        let smallest = radius.iter().fold(f32::INFINITY, |a, b| a.min(*b));
        let same = largest - smallest <= SAME * largest;
        // One radius for all is the largest: the other parts hold for the wider boxes then.
        let radius_of = |own: f32| if same { largest } else { own };
        Self {
            parts: Arc::new(Parts {
                magnitude,
                largest: flat(of_pairs(&|w, r| w.abs().max(radius_of(r)))),
                clipped: flat(of_pairs(&|w, r| w.max(-radius_of(r)).min(radius_of(r)))),
                sums: of_pairs(&|w, r| (w.abs() + radius_of(r)).next_up()),
                radii: flat(of_pairs(&|_, r| radius_of(r))),
                same: same.then_some(largest),
                majorant: OnceLock::new(),
            }),
        }
    }

    /// The box of a weight that does not deviate.
    pub(super) fn point<const D: usize>(weight: Tensor<D>) -> Self {
        let device = weight.device();
        let middle: Vec<f32> = weight
            .into_data()
            .try_into_vec_as()
            .expect("a weight is a tensor of floats");
        Self::new(&middle, &vec![0.0; middle.len()], &device)
    }

    /// `|W|` in the shape of the weight.
    pub(super) fn magnitude<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        self.parts.magnitude.clone().reshape(shape)
    }

    /// `max(|W|, R)`.
    pub(super) fn largest<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        self.parts.largest.clone().reshape(shape)
    }

    /// `min(max(W, -R), R)`.
    pub(super) fn clipped<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        self.parts.clipped.clone().reshape(shape)
    }

    /// R where one holds for all entries.
    pub(super) fn same(&self) -> Option<f32> {
        self.parts.same
    }

    /// R in the shape of the weight.
    pub(super) fn radii<const D: usize>(&self, shape: [usize; D]) -> Tensor<D> {
        self.parts.radii.clone().reshape(shape)
    }

    /// `majorant(|W| + R)` of a convolution.
    pub(super) fn majorant<const D: usize>(
        &self,
        rounding: &Rounding,
        shape: [usize; D],
    ) -> Tensor<D> {
        let make = || {
            let values = rounding.majorant(&self.parts.sums);
            let length = values.len();
            let device = self.parts.magnitude.device();
            Tensor::from_data(TensorData::new(values, [length]), &device)
        };
        self.parts.majorant.get_or_init(make).clone().reshape(shape)
    }
}

impl Reparameterization for WeightBox {
    const NAME: &'static str = "box";

    fn apply<const D: usize>(&self, base: Tensor<D>) -> Tensor<D> {
        base
    }
}
