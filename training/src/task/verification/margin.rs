//! Losses that part identities by an angle: softmax, CosFace, ArcFace, AdaFace.

use std::f64::consts::PI;

use burn::tensor::activation::log_softmax;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

use crate::task::unit::unit;

/// Cosines and angles stay so far from where their derivative is infinite.
const EPSILON: f64 = 1e-3;
/// The shortest and the longest vector that AdaFace tells from others.
const LENGTHS: [f64; 2] = [1e-3, 100.0];

/// The loss by which identities are learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Head {
    /// Inner products with class vectors, neither of which has a fixed length.
    Softmax,
    /// A margin of the cosine.
    CosFace,
    /// A margin of the angle.
    ArcFace,
    /// A margin of both, which follows the length of a vector: the quality of its image.
    #[default]
    AdaFace,
}

impl Head {
    /// The margin of the paper.
    pub(super) fn usual_margin(self) -> f64 {
        match self {
            Self::Softmax => 0.0,
            Self::CosFace => 0.35,
            Self::ArcFace => 0.5,
            Self::AdaFace => 0.4,
        }
    }
}

/// A loss with its numbers. With the cosine `cos θ_j` of a vector `f` and class vector `j`, and the own class `y`, the logits are
///
/// ```text
/// s cos θ_j   of the others,   s (cos(θ_y + g) - a)   of the own
///
/// CosFace   g = 0       a = m
/// ArcFace   g = m       a = 0
/// AdaFace   g = -m ẑ    a = m + m ẑ,    ẑ = clip(h (|f| - μ) / (σ + 0.001), -1, 1)
/// ```
///
/// with the mean μ and the standard deviation σ of the lengths of the batch; no gradient passes through ẑ. Softmax takes `f · w_j` as they are.
/// Cosines are clipped to ±(1 - 0.001), and θ_y + g to 0.001 … π - 0.001: gradients are finite everywhere.
///
/// # Source
/// Wang et al., "CosFace", CVPR 2018; Deng et al., "ArcFace", CVPR 2019; Kim, Jain and Liu, "AdaFace", CVPR 2022. AdaFace follows the lengths
/// by a moving average; here they are those of the batch alone, so that a step is a function of its batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct CosineMargin {
    pub(super) head: Head,
    pub(super) scale: f64,
    pub(super) margin: f64,
    pub(super) h: f64,
}

impl CosineMargin {
    /// The mean cross-entropy, `[1]`.
    ///
    /// # Shapes
    /// `vectors` `[items, numbers]`, `classes` `[identities, numbers]`; `own` says the identity of every item.
    pub(super) fn loss(&self, vectors: Tensor<2>, classes: Tensor<2>, own: &[usize]) -> Tensor<1> {
        let [identities, _] = classes.dims();
        let device = vectors.device();
        let mut rows = vec![0.0f32; own.len() * identities];
        for (item, identity) in own.iter().enumerate() {
            rows[item * identities + identity] = 1.0;
        }
        let one_hot = TensorData::new(rows, [own.len(), identities]);
        let one_hot = Tensor::<2>::from_data(one_hot, &device);
        let logits = match self.head {
            Head::Softmax => vectors.matmul(classes.transpose()),
            _ => self.logits(vectors, classes, one_hot.clone()),
        };
        let chosen = (log_softmax(logits, 1) * one_hot).sum_dim(1);
        -chosen.mean()
    }

    fn logits(&self, vectors: Tensor<2>, classes: Tensor<2>, one_hot: Tensor<2>) -> Tensor<2> {
        let most = 1.0 - EPSILON;
        let (angle, add) = self.margins(vectors.clone());
        let cosines = unit(vectors).matmul(unit(classes).transpose());
        let cosines = cosines.clamp(-most, most);
        let own = (cosines.clone() * one_hot.clone()).sum_dim(1);
        let sine = (-(own.clone() * own.clone()) + 1.0).sqrt();
        let turned = own.clone() * angle.clone().cos() - sine * angle.clone().sin();
        // Where the angle with its margin would leave its range, as seen by the cosine. A bound that no angle reaches lies beyond all cosines.
        let (near, far) = (EPSILON, PI - EPSILON);
        let bound = |end: f64| (-angle.clone() + end).clamp(0.0, PI).cos();
        let turned = turned
            .mask_fill(own.clone().lower_equal(bound(far)), far.cos())
            .mask_fill(own.clone().greater_equal(bound(near)), near.cos());
        (cosines + one_hot * (turned - add - own)) * self.scale
    }

    /// What is added to the angle, and taken from the cosine, of every item: `[items, 1]` each, without a gradient.
    fn margins(&self, vectors: Tensor<2>) -> (Tensor<2>, Tensor<2>) {
        let lengths = (vectors.clone() * vectors).sum_dim(1).sqrt().detach();
        let zeros = || lengths.zeros_like();
        match self.head {
            Head::Softmax => (zeros(), zeros()),
            Head::CosFace => (zeros(), zeros() + self.margin),
            Head::ArcFace => (zeros() + self.margin, zeros()),
            Head::AdaFace => {
                let lengths = lengths.clone().clamp(LENGTHS[0], LENGTHS[1]);
                let [items, _] = lengths.dims();
                let mean = lengths.clone().mean().reshape([1, 1]);
                let away = lengths - mean;
                let squares = (away.clone() * away.clone()).sum().reshape([1, 1]);
                let deviation = (squares / items.saturating_sub(1).max(1) as f64).sqrt();
                let z = (away * self.h / (deviation + EPSILON)).clamp(-1.0, 1.0);
                (z.clone() * -self.margin, z * self.margin + self.margin)
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use crossburn_noise::Philox;

    const NUMBERS: usize = 5;

    fn margin(head: Head) -> CosineMargin {
        CosineMargin {
            head,
            scale: 8.0,
            margin: head.usual_margin(),
            h: 0.333,
        }
    }

    /// ẑ of every item, in 64-bit numbers.
    fn quality(h: f64, vectors: &[f64]) -> Vec<f64> {
        let lengths: Vec<f64> = vectors
            .chunks(NUMBERS)
            .map(|row| {
                row.iter()
                    .map(|x| x * x)
                    .sum::<f64>()
                    .sqrt()
                    .clamp(1e-3, 100.0)
            })
            .collect();
        let count = lengths.len() as f64;
        let mean = lengths.iter().sum::<f64>() / count;
        let squares = lengths
            .iter()
            .map(|length| (length - mean).powi(2))
            .sum::<f64>();
        let deviation = (squares / (count - 1.0)).sqrt();
        let z = |length: &f64| (h * (length - mean) / (deviation + 1e-3)).clamp(-1.0, 1.0);
        lengths.iter().map(z).collect()
    }

    /// The loss in 64-bit numbers, by angles, with `quality` as it is given.
    fn reference(
        of: &CosineMargin,
        vectors: &[f64],
        classes: &[f64],
        own: &[usize],
        quality: &[f64],
    ) -> f64 {
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        let mut sum = 0.0;
        for (item, vector) in vectors.chunks(NUMBERS).enumerate() {
            let logits: Vec<f64> = classes
                .chunks(NUMBERS)
                .enumerate()
                .map(|(class, weight)| {
                    if of.head == Head::Softmax {
                        return dot(vector, weight);
                    }
                    let lengths = (dot(vector, vector) * dot(weight, weight)).sqrt();
                    let cosine = (dot(vector, weight) / lengths).clamp(-0.999, 0.999);
                    if class != own[item] {
                        return of.scale * cosine;
                    }
                    let m = of.margin;
                    let (g, a) = match of.head {
                        Head::ArcFace => (m, 0.0),
                        Head::AdaFace => (-m * quality[item], m + m * quality[item]),
                        _ => (0.0, m),
                    };
                    let angle = (cosine.acos() + g).clamp(1e-3, PI - 1e-3);
                    of.scale * (angle.cos() - a)
                })
                .collect();
            let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let total: f64 = logits.iter().map(|logit| (logit - largest).exp()).sum();
            sum += largest + total.ln() - logits[own[item]];
        }
        sum / own.len() as f64
    }

    /// The loss with its gradients by vectors and by class vectors.
    fn found(of: &CosineMargin, vectors: &[f64], classes: &[f64], own: &[usize]) -> [Vec<f64>; 3] {
        let device = Device::flex().autodiff();
        let tensor = |values: &[f64]| {
            let floats: Vec<f32> = values.iter().map(|x| *x as f32).collect();
            let shape = [floats.len() / NUMBERS, NUMBERS];
            Tensor::<2>::from_data(TensorData::new(floats, shape), &device).require_grad()
        };
        let (vectors, classes) = (tensor(vectors), tensor(classes));
        let loss = of.loss(vectors.clone(), classes.clone(), own);
        let gradients = loss.backward();
        let numbers = |tensor: Tensor<2>| -> Vec<f64> {
            let gradient = tensor.grad(&gradients).unwrap();
            let values: Vec<f32> = gradient.into_data().try_to_vec().unwrap();
            values.into_iter().map(f64::from).collect()
        };
        let loss: f32 = loss.into_scalar::<f32>();
        [vec![f64::from(loss)], numbers(vectors), numbers(classes)]
    }

    #[test]
    fn losses_and_gradients_are_those_of_64_bit_numbers() {
        let draws = Philox::new(4, 0);
        let mut drawn = vec![0.0f32; 10 * NUMBERS];
        draws.fill_normal(&mut drawn);
        let all: Vec<f64> = drawn.iter().map(|x| f64::from(*x)).collect();
        let (vectors, classes) = all.split_at(6 * NUMBERS);
        let own = [0, 3, 1, 2, 3, 0];
        for head in [Head::Softmax, Head::CosFace, Head::ArcFace, Head::AdaFace] {
            let of = margin(head);
            let fixed = quality(of.h, vectors);
            let [loss, by_vectors, by_classes] = found(&of, vectors, classes, &own);
            let expected = reference(&of, vectors, classes, &own, &fixed);
            // Sums of 32-bit products: relative 1e-5.
            assert!(
                (loss[0] - expected).abs() < 1e-5 * expected,
                "{head:?} {loss:?} {expected}"
            );
            // Central differences with a step of 1e-5 are right to about 1e-9.
            let step = 1e-5;
            let difference = |of_vectors: bool, place: usize| {
                let at = |by: f64| {
                    let (mut vectors, mut classes) = (vectors.to_vec(), classes.to_vec());
                    match of_vectors {
                        true => vectors[place] += by,
                        false => classes[place] += by,
                    }
                    reference(&of, &vectors, &classes, &own, &fixed)
                };
                (at(step) - at(-step)) / (2.0 * step)
            };
            for (of_vectors, gradient) in [(true, by_vectors), (false, by_classes)] {
                for (place, gradient) in gradient.iter().enumerate() {
                    let expected = difference(of_vectors, place);
                    assert!(
                        (gradient - expected).abs() < 1e-4,
                        "{head:?} {of_vectors} {place}: {gradient} {expected}"
                    );
                }
            }
        }
    }

    #[test]
    fn vectors_along_and_against_their_class_have_finite_gradients() {
        let classes = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0];
        for head in [Head::Softmax, Head::CosFace, Head::ArcFace, Head::AdaFace] {
            let of = margin(head);
            for (first, second) in [(1.0, 5.0), (-1.0, -5.0), (1.0, -5.0), (0.0, 0.0)] {
                let vectors = [first, 0.0, 0.0, 0.0, 0.0, 0.0, second, 0.0, 0.0, 0.0];
                let [loss, by_vectors, by_classes] = found(&of, &vectors, &classes, &[0, 1]);
                let all = loss.iter().chain(&by_vectors).chain(&by_classes);
                assert!(
                    all.clone().all(|x| x.is_finite()),
                    "{head:?} {first} {second}"
                );
                if first != 0.0 {
                    let fixed = quality(of.h, &vectors);
                    let expected = reference(&of, &vectors, &classes, &[0, 1], &fixed);
                    assert!(
                        (loss[0] - expected).abs() < 1e-4 * expected.max(1.0),
                        "{head:?}"
                    );
                }
            }
        }
    }
}
