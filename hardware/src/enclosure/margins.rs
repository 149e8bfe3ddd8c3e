//! By how much the right class leads at least.

use burn::tensor::Tensor;
use crossburn_kernels::Rounding;

use super::Interval;
use super::product::{ENDLESS, UNDERFLOW};
use super::weight_box::WeightBox;

/// Rounding of sums in 64 bits, for each term: far above u = 2⁻⁵³ and far below what 32 bits do.
const WIDE: f64 = 1.0 / (1u64 << 48) as f64;

/// A linear layer and what it multiplied: its outputs share their inputs, which their two ends do not show.
#[derive(Debug)]
pub(super) struct LinearOrigin {
    /// Ends of the inputs, `[rows, inputs]`.
    ends: [Tensor<2>; 2],
    weight: Tensor<2>,
    weights: WeightBox,
    bias: Option<Tensor<1>>,
}

impl LinearOrigin {
    pub(super) fn new<const D: usize>(
        x: &Interval<D>,
        weight: Tensor<2>,
        weights: WeightBox,
        bias: Option<Tensor<1>>,
    ) -> Self {
        let shape = x.low.dims();
        let rows = shape[..D - 1].iter().product::<usize>();
        let matrix = |x: &Tensor<D>| x.clone().reshape([rows, shape[D - 1]]);
        Self {
            ends: [matrix(&x.low), matrix(&x.high)],
            weight,
            weights,
            bias,
        }
    }

    /// See [`Interval::margins`].
    fn margins(&self, labels: &[u16]) -> Vec<f64> {
        let [inputs, outputs] = self.weight.dims();
        let [low, high] = self.ends.clone().map(host);
        let (weight, radii) = (
            host(self.weight.clone()),
            host(self.weights.radii([inputs, outputs])),
        );
        let bias = match &self.bias {
            Some(bias) => host(bias.clone()),
            None => vec![0.0; outputs],
        };
        let rows = low.chunks(inputs.max(1)).zip(high.chunks(inputs.max(1)));
        let of_row = |((low, high), label): ((&[f64], &[f64]), &u16)| {
            let right = usize::from(*label);
            if right >= outputs {
                return f64::NAN;
            }
            let mut lead: Vec<f64> = bias.iter().map(|other| bias[right] - other).collect();
            let mut size: Vec<f64> = bias.iter().map(|b| bias[right].abs() + b.abs()).collect();
            let mut terms = 0;
            for (input, (low, high)) in low.iter().zip(high).enumerate() {
                let reach = if high.abs() > low.abs() {
                    high.abs()
                } else {
                    low.abs()
                };
                if reach == 0.0 {
                    continue;
                }
                terms += 1;
                let row = input * outputs..(input + 1) * outputs;
                let (weight, radii) = (&weight[row.clone()], &radii[row]);
                let (own, own_radius) = (weight[right], radii[right]);
                let each = lead.iter_mut().zip(&mut size).zip(weight.iter().zip(radii));
                for ((lead, size), (other, radius)) in each {
                    let (middle, reach_of_weight) = (own - other, own_radius + radius);
                    let (from, to) = (middle - reach_of_weight, middle + reach_of_weight);
                    let ends = (from * low).min(from * high).min((to * low).min(to * high));
                    *lead += ends;
                    *size += (own.abs() + own_radius + other.abs() + radius) * reach;
                }
            }
            let error = Rounding::of_sum(terms).factor(1) + WIDE * (terms + 8) as f64;
            let leads = lead.iter().zip(&size).enumerate();
            let leads = leads.filter(|(class, _)| *class != right);
            // Sums as large as that may overflow on the way.
            let of_class = |(_, (lead, size)): (usize, (&f64, &f64))| match *size < ENDLESS.into() {
                true => lead - error * size - UNDERFLOW,
                false => f64::NAN,
            };
            least(leads.map(of_class))
        };
        rows.zip(labels).map(of_row).collect()
    }
}

impl Interval<2> {
    /// For logits, by how much the class of `labels` leads over each other at least, whatever the deviation, and roundings
    /// included: the network is right on an image whose margin is above zero. NaN where nothing is known.
    ///
    /// Where the logits come from a linear layer, the lead over each other class is enclosed as one product with the difference
    /// of two columns, which share the input.
    ///
    /// # Shapes
    /// `[batch, classes]`, as many labels; gives as many margins.
    pub fn margins(&self, labels: &[u16]) -> Vec<f64> {
        if let Some(origin) = &self.origin {
            return origin.margins(labels);
        }
        let classes = self.low.dims()[1];
        let (low, high) = (host(self.low.clone()), host(self.high.clone()));
        let rows = low.chunks(classes.max(1)).zip(high.chunks(classes.max(1)));
        let of_row = |((low, high), label): ((&[f64], &[f64]), &u16)| {
            let right = usize::from(*label);
            let Some(own) = low.get(right) else {
                return f64::NAN;
            };
            let others = high.iter().enumerate().filter(|(class, _)| *class != right);
            least(others.map(|(_, other)| own - other))
        };
        rows.zip(labels).map(of_row).collect()
    }
}

/// The least of `values`; NaN where one of them is, infinite of none.
fn least(values: impl Iterator<Item = f64>) -> f64 {
    values.fold(f64::INFINITY, |least, value| {
        if value.is_nan() || value < least {
            value
        } else {
            least
        }
    })
}

fn host<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    let values: Vec<f32> = tensor
        .into_data()
        .try_into_vec_as()
        .expect("a signal is a tensor of floats");
    values.into_iter().map(f64::from).collect()
}
