//! A direction in the space of normal draws, and chips that are shifted along it.

use std::collections::BTreeMap;

use burn::module::Module;

use super::normal_draws::{uniform, weighted_normals};
use crate::granularity::{Granularity, Reference};
use crate::{ChipDraws, ChipSeed, NoiseError, ParameterDraws, Philox, WeightShape, host_weights};

/// A unit vector over the draws of all weights: by path, in row-major order. Draws that are not named have component 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Direction {
    parts: BTreeMap<String, Vec<f32>>,
    /// One over the length of `parts`.
    scale: f64,
}

impl Direction {
    /// The direction of `parts`, which may have any length.
    ///
    /// # Errors
    /// [`NoiseError::Direction`] if the length is 0 or not finite.
    pub fn new(parts: BTreeMap<String, Vec<f32>>) -> Result<Self, NoiseError> {
        let square = |part: &f32| f64::from(*part) * f64::from(*part);
        let length = parts.values().flatten().map(square).sum::<f64>().sqrt();
        if !(length > 0.0 && length.is_finite()) {
            return Err(NoiseError::Direction { length });
        }
        Ok(Self {
            parts,
            scale: 1.0 / length,
        })
    }

    /// The direction in draws that moves weights as in `deviations`, such as those of a worst-case search. For a normal
    /// distribution, a deviation in units of its reference magnitude is proportional to its draw. For any other
    /// distribution, the direction is approximate. `weights` gives the programmed weights at a path and their shape.
    ///
    /// # Errors
    /// [`NoiseError::Direction`] where no deviation is left, or one is not finite.
    pub fn of_deviations<'a>(
        deviations: &BTreeMap<String, Vec<f32>>,
        weights: impl Fn(&str) -> Option<(&'a [f32], WeightShape)>,
        scale: Granularity,
    ) -> Result<Self, NoiseError> {
        let part = |(path, deviations): (&String, &Vec<f32>)| {
            let (weights, shape) = weights(path)?;
            let mut references = vec![0.0; deviations.len().min(weights.len())];
            Reference::new(scale, weights, &shape).fill(0, &mut references);
            let relative = deviations
                .iter()
                .zip(references)
                .map(|(deviation, reference)| {
                    if reference > 0.0 {
                        (f64::from(*deviation) / reference) as f32
                    } else {
                        0.0
                    }
                });
            Some((path.clone(), relative.collect()))
        };
        Self::new(deviations.iter().filter_map(part).collect())
    }

    /// The direction from the weights of `programmed` to those of `chip`, such as the one that a worst-case search has
    /// found: the one of [`of_deviations`](Self::of_deviations) for their differences. Both are networks as they compute, so
    /// quantized if they compute quantized.
    ///
    /// # Errors
    /// [`NoiseError::OtherWeights`] where `chip` lacks a weight or has another number of entries, and
    /// [`NoiseError::Direction`] where the networks do not differ.
    ///
    /// ```
    /// use burn::{nn::LinearConfig, tensor::Device};
    /// use crossburn_noise::worst_case::{Deviations, deviate};
    /// use crossburn_noise::{ChipSeed, Direction, Granularity};
    ///
    /// let layer = LinearConfig::new(2, 2).init(&Device::flex());
    /// let parts = Deviations::from([("weight".to_string(), vec![0.5, 0.0, 0.0, -0.5])]);
    /// let chip = deviate(layer.clone(), &parts)?;
    /// let expected = Direction::new([("weight".to_string(), vec![1.0, 0.0, 0.0, -1.0])].into())?;
    /// let direction = Direction::between(&layer, &chip, Granularity::PerTensor)?;
    /// assert!((direction.along(ChipSeed::new(7, 17)) - expected.along(ChipSeed::new(7, 17))).abs() < 1e-6);
    /// assert!(Direction::between(&layer, &layer, Granularity::PerTensor).is_err());
    /// # Ok::<(), crossburn_noise::NoiseError>(())
    /// ```
    pub fn between<M: Module>(
        programmed: &M,
        chip: &M,
        scale: Granularity,
    ) -> Result<Self, NoiseError> {
        let (programmed, chip) = (host_weights(programmed), host_weights(chip));
        let mut deviations = BTreeMap::new();
        for (path, from) in &programmed {
            let to = chip.get(path).map_or(&[][..], |to| &to.values);
            if to.len() != from.values.len() {
                return Err(NoiseError::OtherWeights {
                    path: path.clone(),
                    expected: from.values.len(),
                    found: to.len(),
                });
            }
            let differences = to.iter().zip(&from.values).map(|(to, from)| to - from);
            deviations.insert(path.clone(), differences.collect());
        }
        let weights = |path: &str| {
            let weight = programmed.get(path)?;
            Some((weight.values.as_slice(), weight.shape.clone()))
        };
        Self::of_deviations(&deviations, weights, scale)
    }

    /// The component at `path`; all components together have length 1.
    fn part(&self, path: &str) -> impl Fn(usize) -> f64 + '_ {
        let part = self.parts.get(path).map_or(&[][..], Vec::as_slice);
        move |index| {
            part.get(index)
                .map_or(0.0, |part| self.scale * f64::from(*part))
        }
    }

    /// The product of the direction with the normal draws of `chip`: how far the chip lies along it, standard normal over
    /// chips.
    pub fn along(&self, chip: ChipSeed) -> f64 {
        let mut sum = 0.0;
        for (path, part) in &self.parts {
            let terms = [(self.scale, chip.generator(path))];
            weighted_normals(&terms, 0, part.len(), |start, draws| {
                for (draw, part) in draws.iter().zip(&part[start..]) {
                    sum += draw * f64::from(*part);
                }
            });
        }
        sum
    }
}

/// The chip of a seed, its normal draws shifted by `shift` along a direction.
#[derive(Clone, Copy, Debug)]
pub struct ShiftedChip<'a> {
    /// The chip before the shift.
    pub chip: ChipSeed,
    /// The direction.
    pub direction: &'a Direction,
    /// How far, in standard deviations.
    pub shift: f64,
}

impl ShiftedChip<'_> {
    /// The density of plain chips divided by that of shifted chips, at this chip:
    ///
    /// ```text
    /// z = x + mu d        w(z) = phi(z) / phi(z - mu d) = exp(-mu d.x - mu² / 2)
    /// ```
    pub fn likelihood_ratio(&self) -> f64 {
        libm::exp(-self.shift * self.direction.along(self.chip) - 0.5 * self.shift * self.shift)
    }
}

impl ChipDraws for ShiftedChip<'_> {
    fn parameter(&self, path: &str) -> Box<dyn ParameterDraws + '_> {
        Box::new(Shifted {
            generator: self.chip.generator(path),
            offset: {
                let part = self.direction.part(path);
                let shift = self.shift;
                move |index| shift * part(index)
            },
        })
    }

    fn stream(&self, path: &str) -> Philox {
        self.chip.generator(path)
    }
}

/// The draws of one parameter, shifted.
struct Shifted<F> {
    generator: Philox,
    offset: F,
}

impl<F: Fn(usize) -> f64 + Sync> ParameterDraws for Shifted<F> {
    fn fill(&self, first: usize, out: &mut [f64]) {
        let terms = [(1.0, self.generator)];
        weighted_normals(&terms, first, out.len(), |start, draws| {
            for (index, x) in draws.iter().enumerate() {
                out[start + index] = uniform(x + (self.offset)(first + start + index));
            }
        });
    }
}
