//! How far weights may deviate.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Module;

use super::Deviations;
use crate::{ChipSeed, HostWeight, NoiseError, host_weights_at, matrix_weights};

/// The admissible deviations of one weight: `low <= deviation <= high` for every entry. Zero is always admissible.
#[derive(Clone, Debug, PartialEq)]
pub struct EntryBounds {
    /// Lowest deviation per entry, at most zero, in row-major order.
    pub low: Vec<f32>,
    /// Highest deviation per entry, at least zero.
    pub high: Vec<f32>,
}

impl EntryBounds {
    /// Half of the width of the box of entry `index`.
    pub(super) fn half_width(&self, index: usize) -> f32 {
        0.5 * (self.high[index] - self.low[index])
    }

    /// The upper or lower end of the box of entry `index`.
    pub(super) fn end(&self, index: usize, upper: bool) -> f32 {
        if upper {
            self.high[index]
        } else {
            self.low[index]
        }
    }
}

/// A box of deviations around the weights of a network. Write-verify bounds every weight separately.
///
/// ```
/// use burn::{nn::LinearConfig, tensor::Device};
/// use crossburn_noise::worst_case::DeviationBounds;
///
/// let layer = LinearConfig::new(8, 4).init(&Device::flex());
/// let bounds = DeviationBounds::relative(&layer, 0.03)?;
/// assert_eq!(bounds.entries(), 32);
/// assert!(bounds.contain(&bounds.zero()));
/// # Ok::<(), crossburn_noise::NoiseError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct DeviationBounds {
    weights: BTreeMap<String, EntryBounds>,
}

impl DeviationBounds {
    /// `|deviation| <= bound * max|W|` of its layer for every matrix weight `W` of `module`.
    ///
    /// `module` is the network as it is programmed: quantized and without deviation, so that the reference does not depend
    /// on the result. `bound = 0` leaves only the clean network.
    ///
    /// # Errors
    /// [`NoiseError::Bound`] for a bound outside 0..=1, [`NoiseError::NoWeights`] for a network without a matrix weight,
    /// [`NoiseError::Box`] for weights that are not finite.
    ///
    /// # Source
    /// Yan, Hu and Shi, ICCAD 2022 (arXiv 2207.07626): th_g, an L-infinity bound relative to the layer.
    pub fn relative<M: Module>(module: &M, bound: f64) -> Result<Self, NoiseError> {
        Self::relative_at(module, &matrix_weights(module), bound)
    }

    /// [`Self::relative`] for the weights at the paths `selected`, such as those of a [`Placement`](crate::Placement). All
    /// others keep their values.
    ///
    /// # Errors
    /// Those of [`Self::relative`].
    pub fn relative_at<M: Module>(
        module: &M,
        selected: &BTreeSet<String>,
        bound: f64,
    ) -> Result<Self, NoiseError> {
        if !(0.0..=1.0).contains(&bound) {
            return Err(NoiseError::Bound { bound });
        }
        let boxed = |(path, weight): (String, HostWeight)| {
            // Checked here because the maximum below would skip NaN.
            let strange = weight.values.iter().find(|value| !value.is_finite());
            let largest = strange.copied().unwrap_or_else(|| weight.largest());
            let high = (bound * f64::from(largest)) as f32;
            let entries = EntryBounds {
                low: vec![-high; weight.values.len()],
                high: vec![high; weight.values.len()],
            };
            (path, entries)
        };
        let weights = host_weights_at(module, selected);
        Self::from_boxes(weights.into_iter().map(boxed).collect())
    }

    /// A box given entry by entry, by path of the weight.
    ///
    /// # Errors
    /// [`NoiseError::NoWeights`] without a weight, [`NoiseError::Box`] for ends that are not finite or do not hold zero
    /// between them, or that are not as many.
    pub fn from_boxes(weights: BTreeMap<String, EntryBounds>) -> Result<Self, NoiseError> {
        if weights.is_empty() {
            return Err(NoiseError::NoWeights);
        }
        for (path, entries) in &weights {
            let refuse = |index: usize| {
                let end = |ends: &[f32]| ends.get(index).copied().unwrap_or(f32::NAN);
                Err(NoiseError::Box {
                    path: path.clone(),
                    index,
                    low: end(&entries.low),
                    high: end(&entries.high),
                })
            };
            if entries.low.len() != entries.high.len() {
                return refuse(entries.low.len().min(entries.high.len()));
            }
            let holds = |(low, high): (&f32, &f32)| {
                low.is_finite() && high.is_finite() && *low <= 0.0 && *high >= 0.0
            };
            let pairs = entries.low.iter().zip(&entries.high);
            if let Some(index) = pairs.into_iter().position(|pair| !holds(pair)) {
                return refuse(index);
            }
        }
        Ok(Self { weights })
    }

    /// The boxes by path.
    pub fn weights(&self) -> &BTreeMap<String, EntryBounds> {
        &self.weights
    }

    /// Number of entries of all weights.
    pub fn entries(&self) -> usize {
        self.weights.values().map(|entries| entries.low.len()).sum()
    }

    /// No deviation.
    pub fn zero(&self) -> Deviations {
        self.fill(|_, entries| vec![0.0; entries.low.len()])
    }

    /// Whether `deviations` has an entry for every one of these, none of them outside its box.
    pub fn contain(&self, deviations: &Deviations) -> bool {
        self.fit(deviations)
            && self.pairs(deviations).all(|(_, entries, deviation)| {
                let ends = entries.low.iter().zip(&entries.high);
                ends.zip(deviation)
                    .all(|((low, high), d)| (low..=high).contains(&d))
            })
    }

    /// Share of the entries that lie at an end of their box. A box without width has no end.
    pub fn fraction_at_bound(&self, deviations: &Deviations) -> f64 {
        let at = self.at_bound(deviations);
        at.values().sum::<usize>() as f64 / self.entries().max(1) as f64
    }

    /// The same for each weight, by path.
    pub fn shares_at_bound<'a>(&'a self, deviations: &'a Deviations) -> BTreeMap<&'a str, f64> {
        let share = |(path, count): (&'a str, usize)| {
            let entries = self.weights[path].low.len().max(1);
            (path, count as f64 / entries as f64)
        };
        self.at_bound(deviations).into_iter().map(share).collect()
    }

    /// How many entries of every weight lie on an end of their box.
    fn at_bound<'a>(&'a self, deviations: &'a Deviations) -> BTreeMap<&'a str, usize> {
        let count = |entries: &EntryBounds, deviation: &[f32]| {
            let ends = entries.low.iter().zip(&entries.high).zip(deviation);
            ends.filter(|((low, high), d)| low < high && (d == low || d == high))
                .count()
        };
        self.pairs(deviations)
            .map(|(path, entries, deviation)| (path, count(entries, deviation)))
            .collect()
    }

    /// Moves every entry that is outside its box onto the nearest end.
    pub(super) fn clip(&self, deviations: &mut Deviations) {
        for (path, deviation) in deviations {
            let entries = &self.weights[path];
            let ends = entries.low.iter().zip(&entries.high);
            for (d, (low, high)) in deviation.iter_mut().zip(ends) {
                *d = d.clamp(*low, *high);
            }
        }
    }

    /// A point of the box, uniform in every entry: the same for the same `chip`.
    pub(super) fn random(&self, chip: ChipSeed) -> Deviations {
        self.fill(|path, entries| {
            let mut draws = vec![0.0; entries.low.len()];
            chip.generator(&format!("{path}/start"))
                .fill_uniform(&mut draws);
            let ends = entries.low.iter().zip(&entries.high);
            draws
                .into_iter()
                .zip(ends)
                .map(|(u, (low, high))| {
                    let at = f64::from(*low) + u * (f64::from(*high) - f64::from(*low));
                    (at as f32).clamp(*low, *high)
                })
                .collect()
        })
    }

    /// Deviations made weight by weight.
    pub(super) fn fill(&self, make: impl Fn(&str, &EntryBounds) -> Vec<f32>) -> Deviations {
        let weights = self.weights.iter();
        weights
            .map(|(path, entries)| (path.clone(), make(path, entries)))
            .collect()
    }

    /// Whether `deviations` has the paths and numbers of entries of this box.
    pub(super) fn fit(&self, deviations: &Deviations) -> bool {
        let lengths = |(path, d): (&String, &Vec<f32>)| {
            self.weights
                .get(path)
                .is_some_and(|entries| entries.low.len() == d.len())
        };
        deviations.len() == self.weights.len() && deviations.iter().all(lengths)
    }

    /// Path, box and deviation of every weight that has both.
    fn pairs<'a>(
        &'a self,
        deviations: &'a Deviations,
    ) -> impl Iterator<Item = (&'a str, &'a EntryBounds, &'a [f32])> {
        self.weights.iter().filter_map(|(path, entries)| {
            Some((path.as_str(), entries, deviations.get(path)?.as_slice()))
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use burn::nn::{Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};

    #[test]
    fn a_relative_box_is_that_of_the_largest_weight() {
        let mut layer: Linear = LinearConfig::new(2, 2).init(&Device::flex());
        layer.weight = layer
            .weight
            .map(|weight| Tensor::from_floats([[0.5, -2.0], [1.0, 0.0]], &weight.device()));
        let bounds = DeviationBounds::relative(&layer, 0.03).unwrap();
        let entries = &bounds.weights()["weight"];
        assert_eq!(entries.high, vec![0.06; 4]);
        assert_eq!(entries.low, vec![-0.06; 4]);
        let at = |values: [f32; 4]| Deviations::from([("weight".to_string(), values.to_vec())]);
        assert!(bounds.contain(&at([0.06, -0.06, 0.0, 0.01])));
        assert!(!bounds.contain(&at([0.061, 0.0, 0.0, 0.0])));
        assert!(!bounds.contain(&at([f32::NAN, 0.0, 0.0, 0.0])));
        let half = at([0.06, -0.06, 0.0, 0.01]);
        assert_eq!(bounds.fraction_at_bound(&half), 0.5);
        assert_eq!(bounds.shares_at_bound(&half)["weight"], 0.5);
        let none = DeviationBounds::relative(&layer, 0.0).unwrap();
        assert!(none.contain(&none.zero()) && none.fraction_at_bound(&none.zero()) == 0.0);
    }

    #[test]
    fn impossible_boxes_are_refused() {
        let layer: Linear = LinearConfig::new(2, 2).init(&Device::flex());
        for bound in [-0.01, 1.01, f64::NAN, f64::INFINITY] {
            let error = DeviationBounds::relative(&layer, bound).unwrap_err();
            assert!(
                error.to_string().contains("is not allowed, use a fraction"),
                "{error}"
            );
        }
        let norm = burn::nn::BatchNormConfig::new(3).init(&Device::flex());
        assert_eq!(
            DeviationBounds::relative(&norm, 0.03).unwrap_err(),
            NoiseError::NoWeights
        );
        let boxes = |low: Vec<f32>, high: Vec<f32>| {
            DeviationBounds::from_boxes([("w".to_string(), EntryBounds { low, high })].into())
        };
        assert!(boxes(vec![-1.0, 0.0], vec![0.0, 2.0]).is_ok());
        for (low, high) in [
            (vec![0.0, 0.1], vec![1.0, 1.0]),
            (vec![0.0, 0.0], vec![1.0, -1.0]),
            (vec![0.0, f32::NAN], vec![1.0, 1.0]),
            (vec![0.0], vec![1.0, 1.0]),
        ] {
            let error = boxes(low, high).unwrap_err().to_string();
            assert!(error.contains("entry 1 of `w`"), "{error}");
        }
        let broken = layer.weight.clone().map(|w| w * f32::NAN);
        let layer = Linear {
            weight: broken,
            ..layer
        };
        assert!(matches!(
            DeviationBounds::relative(&layer, 0.03),
            Err(NoiseError::Box { .. })
        ));
    }
}
