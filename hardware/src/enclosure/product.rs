//! The product of an interval of inputs with a box of weights.

use burn::tensor::Tensor;
use crossburn_kernels::Rounding;

use super::Interval;
use super::weight_box::WeightBox;

/// Unit roundoff of `f32`.
const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// Roundings around a product that are counted with its own.
const AROUND: usize = 8;

/// More than what underflow takes from a sum.
pub(super) const UNDERFLOW: f64 = 7.888609052210118e-31;

/// Radii from here on say nothing: below it no sum overflows on the way.
pub(super) const ENDLESS: f32 = (1u64 << 60) as f32;

/// The part of a radius that comes from rounding: the error of the network's sum and of the middle, from the magnitudes of
/// inputs and bias.
pub(super) fn slack(rounding: &Rounding) -> f32 {
    let factor = rounding.factor(AROUND);
    up((2.0 * factor + 16.0 * UNIT) * (1.0 + 8.0 * factor))
}

/// The next number of 32 bits.
fn up(value: f64) -> f32 {
    (value as f32).next_up()
}

/// A layer that multiplies: on signals of rank `D`, by weights of rank `W`.
pub(super) struct Product<'a, const D: usize, const W: usize, M, T> {
    /// The middle of the box.
    pub(super) weight: Tensor<W>,
    pub(super) weights: &'a WeightBox,
    pub(super) bias: Option<Tensor<1>>,
    pub(super) rounding: Rounding,
    /// The layer with other weights and another bias.
    pub(super) multiply: M,
    /// The layer with a single output and ones for weights, where all outputs see the same inputs.
    pub(super) total: Option<T>,
}

impl<const D: usize, const W: usize, M, T> Product<'_, D, W, M, T>
where
    M: Fn(Tensor<D>, Tensor<W>, Option<Tensor<1>>) -> Tensor<D>,
    T: Fn(Tensor<D>) -> Tensor<D>,
{
    /// All outputs for inputs in `x`, whose largest magnitudes are `reach`: see [`enclosure`](super).
    pub(super) fn enclose(self, x: &Interval<D>, reach: Tensor<D>) -> Interval<D> {
        let (centre, radius) = match x.point {
            true => self.of_point(x.low.clone(), reach),
            false => self.of_widths(x, reach),
        };
        let radius = endless_to_nan(radius);
        Interval::between(centre.clone() - radius.clone(), centre + radius)
    }

    /// Middle and radius for inputs without width: one product each.
    fn of_point(&self, x: Tensor<D>, reach: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
        let shape = self.weight.dims();
        let slack = slack(&self.rounding);
        let factors = match self.rounding.spreads() {
            true => self.spread_radii(),
            false => {
                self.weights.radii(shape) * self.grow() + self.weights.magnitude(shape) * slack
            }
        };
        let centre = (self.multiply)(x, self.weight.clone(), self.bias.clone());
        let radius = (self.multiply)(reach, factors, Some(self.extra(slack)));
        (centre, radius)
    }

    /// Middle and radius for inputs between two ends.
    fn of_widths(&self, x: &Interval<D>, reach: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
        let shape = self.weight.dims();
        let (grow, slack) = (self.grow(), slack(&self.rounding));
        let still = self.weights.same() == Some(0.0);
        let exact = x.nonnegative && !self.rounding.spreads();
        let half = (x.high.clone() - x.low.clone()) * 0.5;
        let middle = x.low.clone() + half.clone();
        let mut centre = (self.multiply)(middle.clone(), self.weight.clone(), self.bias.clone());
        if exact && !still {
            centre = centre + (self.multiply)(half.clone(), self.weights.clipped(shape), None);
        }
        let widths = match self.rounding.spreads() {
            true => half * grow,
            false => half * grow + reach.clone() * slack,
        };
        let factors = match exact {
            true => self.weights.largest(shape),
            false => self.weights.magnitude(shape),
        };
        let others = self.of_boxes(if exact { middle } else { reach });
        let radius = (self.multiply)(widths, factors, Some(self.extra(slack)));
        match others {
            Some(others) => (centre, radius + others),
            None => (centre, radius),
        }
    }

    /// By how much a radius grows.
    fn grow(&self) -> f32 {
        up(1.0 + 8.0 * self.rounding.factor(AROUND) + 32.0 * UNIT)
    }

    /// The radius that the boxes of the weights add for inputs of magnitude `inputs`; `None` if they add nothing.
    fn of_boxes(&self, inputs: Tensor<D>) -> Option<Tensor<D>> {
        let shape = self.weight.dims();
        let grow = self.grow();
        if self.rounding.spreads() {
            return Some((self.multiply)(inputs, self.spread_radii(), None));
        }
        match (self.weights.same(), &self.total) {
            (Some(0.0), _) => None,
            (Some(radius), Some(total)) => {
                let radius = up(f64::from(radius) * f64::from(grow));
                Some(total(inputs) * radius)
            }
            _ => {
                let radii = self.weights.radii(shape) * grow;
                Some((self.multiply)(inputs, radii, None))
            }
        }
    }

    /// Radii that hold the errors of minimal filtering.
    fn spread_radii(&self) -> Tensor<W> {
        let shape = self.weight.dims();
        let share = up(5.0 * self.rounding.factor(AROUND) + 32.0 * UNIT);
        self.weights.radii(shape) * self.grow()
            + self.weights.majorant(&self.rounding, shape) * share
    }

    /// The radius of an output without inputs: the error that the bias takes part in, and underflow.
    fn extra(&self, slack: f32) -> Tensor<1> {
        let slack = match self.rounding.spreads() {
            true => up(5.0 * self.rounding.factor(AROUND) + 32.0 * UNIT),
            false => slack,
        };
        match &self.bias {
            Some(bias) => bias.clone().abs() * slack + UNDERFLOW,
            None => {
                let outputs = self.outputs();
                Tensor::full([outputs], UNDERFLOW, &self.weight.device())
            }
        }
    }

    /// Outputs of the layer.
    fn outputs(&self) -> usize {
        let shape = self.weight.dims();
        if W == 2 { shape[1] } else { shape[0] }
    }
}

/// Radii that say nothing as NaN, which no later step takes for a number.
fn endless_to_nan<const D: usize>(radius: Tensor<D>) -> Tensor<D> {
    let total: f32 = radius.clone().sum().into_scalar();
    if total < ENDLESS {
        return radius;
    }
    let known = radius.clone().lower_elem(ENDLESS);
    radius.mask_fill(known.bool_not(), f32::NAN)
}
