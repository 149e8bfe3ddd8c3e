//! Enclosures: all values that a network can compute while its weights are anywhere in their boxes.
//!
//! [`enclose_weights`] attaches to every matrix weight the box of its admissible deviations
//! ([`DeviationBounds`](crossburn_noise::worst_case::DeviationBounds)). An [`Interval`] holds two ends for each value of a
//! signal; the value lies between them, whatever the deviation. A network that declares its computation once, over any
//! [`Arithmetic`], computes its outputs with [`Tensors`], and their enclosure with [`Intervals`].
//!
//! This is guaranteed: let `w` be any weights in their boxes. Then every value that the network computes with `w` *in `f32`,
//! roundings included, in whatever order it adds*, lies between its two ends. [`Interval::margins`] says by how much the
//! right class leads at least: an image whose margin is above zero cannot be flipped.
//!
//! It is not guaranteed that the ends are reached. Every value is enclosed separately, as if each image and each neuron had
//! its own deviation.
//!
//! # Products
//! A product of an input between `c - r` and `c + r` with weights between `W - R` and `W + R` costs three products of the
//! layer's size: `W c` for the middle, and for the radius
//!
//! ```text
//! |W| r + R h        h >= |x|: any signs, and where the layer filters minimally (Rounding::spreads)
//! ```
//!
//! For inputs of at least zero, which rectifiers give, the product of intervals is exact:
//!
//! ```text
//! middle = W c + A r,  A = min(max(W, -R), R)        radius = B r + R c,  B = max(|W|, R)
//! ```
//!
//! where `R c` is a sum of the inputs times a number if one bound holds for the whole layer. An input without width, such as
//! an image, needs `W x` and `R |x|` alone.
//!
//! # Rounding
//! With γ the factor of [`Rounding`](crossburn_kernels::Rounding) (eight roundings more than the sum has, for all that is done
//! around it) and u = 2⁻²⁴:
//!
//! - the network's own sum is off by `γ ((|W| + R) h + |b|)` at most, that of the middle by `γ (|W| h + R h + |b|)`;
//! - `c` and `r` are computed from the ends and off by `2u h` and `2u r`, and the ends of the result by `u` of their sum;
//! - the computed radius, a sum of terms of one sign, may be too small by its γ-th part.
//!
//! Together, as `R h <= R c + B r`: the radius takes `B (r + (2γ + 16u) h) + R c + (2γ + 16u) |b|`, all times `1 + 8γ + 32u`,
//! plus 2⁻¹⁰⁰ for underflow. Inputs that are zero whatever the deviation cause no rounding and are not counted among the
//! terms of a linear layer. Where minimal filtering spreads magnitudes, `R` becomes `R + (5γ + 32u) majorant(|W| + R)`: twice
//! γ for the network and the middle, twice for the two products of the radius, which are filtered as well.
//!
//! A radius of 2⁶⁰ or more, or one that is no number, becomes NaN, which stays to the end and certifies nothing: below it no
//! intermediate sum overflows. Pooling, rectifiers, quantizers, norms with fixed statistics and sums of two signals are
//! monotone *as computed*, value by value: they are applied to both ends and need no slack.

mod arithmetic;
mod interval;
mod margins;
mod product;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
mod weight_box;

pub use arithmetic::{Arithmetic, Tensors};
pub use interval::{Interval, Intervals};
pub use weight_box::enclose_weights;
