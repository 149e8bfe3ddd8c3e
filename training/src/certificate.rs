//! Which items no admissible deviation flips.

use std::collections::BTreeMap;

use crossburn_hardware::enclosure::enclose_weights;
use crossburn_models::Network;
use crossburn_noise::worst_case::{DeviationBounds, EntryBounds};
use serde::{Deserialize, Serialize};

use crate::task::Learn;
use crate::{TrainingError, WeightAttack};

/// A lower bound on the share of items that the worst chip is right on: the counterpart of a search, whose result is an upper bound.
///
/// An item is certified if the network is right on it for *every* deviation in the box. The worst chip is right on all of
/// these, so the share that it is right on is at least theirs. The bound is not reached in general: each item is held against the
/// worst deviation for itself, while a chip has one deviation for all items, and every value inside the network is
/// enclosed on its own ([`enclosure`](crossburn_hardware::enclosure)). Radii grow from layer to layer: quantized activations
/// take small ones away, while deep networks in full precision soon certify nothing.
#[derive(Clone, Debug, PartialEq)]
pub struct Certificate {
    /// Items that the clean network is right on.
    pub right: usize,
    /// The smallest lead of the right answer of every item, in logits, roundings included; NaN if nothing is known.
    pub margins: Vec<f64>,
}

impl Certificate {
    /// Number of items.
    pub fn items(&self) -> usize {
        self.margins.len()
    }

    /// Items that no admissible deviation flips.
    pub fn certified(&self) -> usize {
        self.margins.iter().filter(|margin| **margin > 0.0).count()
    }

    /// Their share: no admissible chip is right on less.
    pub fn share(&self) -> f64 {
        self.certified() as f64 / self.items().max(1) as f64
    }
}

/// What one layer alone takes from a certificate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerCertificate {
    /// Path of the weight.
    pub path: String,
    /// Share of certified items if only this weight deviates.
    pub alone: f64,
    /// Share of certified items if all weights except this one deviate.
    pub without: f64,
}

impl<N: Network, T: Learn<N>> WeightAttack<N, T> {
    /// Holds every item against all deviations in `bounds`, without a search. Takes about four forward passes.
    ///
    /// It holds for the network as it is evaluated on the CPU backend in 32-bit floats.
    ///
    /// # Errors
    /// [`TrainingError::NotOffered`] of a task whose metric does not count items, [`TrainingError::NoEnclosure`] for a network
    /// that does not declare its computation over any arithmetic, those of
    /// [`enclose_weights`], and [`TrainingError::Device`] when the device cannot give a result back.
    ///
    /// ```
    /// use burn::tensor::Device;
    /// use crossburn_models::{MlpConfig, initialize};
    /// use crossburn_training::data::digits;
    /// use crossburn_training::{Batches, Classification, WeightAttack};
    ///
    /// let device = Device::flex();
    /// let widths = vec![784, 16, 10];
    /// let network = initialize(MlpConfig { widths, bits: None }.init(&device), 1);
    /// let task = Classification::new(digits(1, 0, 40));
    /// let attack = WeightAttack::new(&network, None, Batches::new(&task, 20, &device)?)?;
    /// let certificate = attack.certify(&attack.bounds(0.0001)?)?;
    /// assert!(certificate.certified() <= certificate.right);
    /// # Ok::<(), crossburn_training::TrainingError>(())
    /// ```
    pub fn certify(&self, bounds: &DeviationBounds) -> Result<Certificate, TrainingError> {
        T::require_counts("a certificate", &self.metric())?;
        let task = self.task();
        let right = self.parts(|numbers| {
            let mut hits = 0;
            for batch in self.part(numbers) {
                let batch = batch?;
                hits += task.hits(task.forward(self.programmed(), &batch), &batch)?;
            }
            Ok(hits)
        })?;
        Ok(Certificate {
            right: right.into_iter().sum::<u64>() as usize,
            margins: self.margins(bounds)?,
        })
    }

    /// The margins of all items, in order.
    fn margins(&self, bounds: &DeviationBounds) -> Result<Vec<f64>, TrainingError> {
        let enclosed = enclose_weights(self.programmed(), bounds)?;
        let parts = self.parts(|numbers| {
            let mut margins = Vec::new();
            for batch in self.part(numbers) {
                let batch = batch?;
                let found = self.task().certify(&enclosed, &batch);
                margins.extend(found.ok_or(TrainingError::NoEnclosure)?);
            }
            Ok(margins)
        })?;
        Ok(parts.concat())
    }

    fn certified_share(&self, bounds: &DeviationBounds) -> Result<f64, TrainingError> {
        let margins = self.margins(bounds)?;
        let certified = margins.iter().filter(|margin| **margin > 0.0).count();
        Ok(certified as f64 / self.items() as f64)
    }

    /// The share of certified items if one weight alone deviates, and if all others do, by path. It shows where a
    /// certificate loses most.
    ///
    /// # Errors
    /// Those of [`certify`](Self::certify).
    pub fn certify_layers(
        &self,
        bounds: &DeviationBounds,
    ) -> Result<Vec<LayerCertificate>, TrainingError> {
        let of_layer = |path: &String| {
            let only = |chosen: bool| {
                let boxes = bounds.weights().iter().map(|(other, entries)| {
                    let entries = match (other == path) == chosen {
                        true => entries.clone(),
                        false => at_rest(entries),
                    };
                    (other.clone(), entries)
                });
                let boxes = boxes.collect::<BTreeMap<String, EntryBounds>>();
                self.certified_share(&DeviationBounds::from_boxes(boxes)?)
            };
            Ok(LayerCertificate {
                path: path.clone(),
                alone: only(true)?,
                without: only(false)?,
            })
        };
        bounds.weights().keys().map(of_layer).collect()
    }

    /// The largest bound up to `most` for which at least `share` of the items are certified, to within one part in a
    /// hundred; `None` if not even a millionth of `most` leaves so many. `boxes` gives the boxes of a bound.
    ///
    /// What is returned was certified itself, whatever lies between the bounds that were tried.
    ///
    /// # Errors
    /// Those of `boxes` and [`certify`](Self::certify).
    pub fn largest_certified<E: From<TrainingError>>(
        &self,
        share: f64,
        most: f64,
        boxes: impl Fn(f64) -> Result<DeviationBounds, E>,
    ) -> Result<Option<f64>, E> {
        let holds =
            |bound: f64| -> Result<bool, E> { Ok(self.certified_share(&boxes(bound)?)? >= share) };
        if holds(most)? {
            return Ok(Some(most));
        }
        let (mut held, mut failed) = (most * 1e-6, most);
        if !holds(held)? {
            return Ok(None);
        }
        while failed > 1.01 * held {
            let middle = (held * failed).sqrt();
            match holds(middle)? {
                true => held = middle,
                false => failed = middle,
            }
        }
        Ok(Some(held))
    }
}

fn at_rest(entries: &EntryBounds) -> EntryBounds {
    EntryBounds {
        low: vec![0.0; entries.low.len()],
        high: vec![0.0; entries.high.len()],
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::{Normalization, Samples, digits};
    use crate::testing::classes;
    use crate::testing::lines;
    use crate::{Batches, Classification};
    use burn::module::Module;
    use burn::tensor::{Device, Tensor};
    use crossburn_hardware::{Quantization, WeightBits};
    use crossburn_models::{
        Classifier, Family, LeNetConfig, Mlp, MlpConfig, ModelConfig, WithNetwork, initialize,
    };
    use crossburn_noise::Philox;
    use crossburn_noise::worst_case::Deviations;
    use proptest::prelude::*;

    fn bits(bits: u8) -> Option<WeightBits> {
        Some(WeightBits::new(bits).unwrap())
    }

    fn mlp(widths: &[usize], width: Option<WeightBits>, seed: u64) -> Mlp {
        let config = MlpConfig {
            widths: widths.to_vec(),
            bits: width,
        };
        initialize(config.init(&Device::flex()), seed)
    }

    fn attack<C: Classifier>(
        network: &C,
        width: Option<WeightBits>,
        set: &Samples,
    ) -> WeightAttack<C, Classification> {
        let batches = Batches::new(&classes(set), 8, &Device::flex()).unwrap();
        WeightAttack::new(network, width.map(Quantization::from), batches).unwrap()
    }

    /// The corner of `bounds` whose entries are the bits of `number`.
    fn corner(bounds: &DeviationBounds, number: u64) -> Deviations {
        let mut entry = 0;
        let of_weight = |(path, entries): (&String, &EntryBounds)| {
            let ends = entries.low.iter().zip(&entries.high);
            let ends = ends.map(|(low, high)| {
                entry += 1;
                if number >> (entry - 1) & 1 == 1 {
                    *high
                } else {
                    *low
                }
            });
            (path.clone(), ends.collect())
        };
        bounds.weights().iter().map(of_weight).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        #[test]
        fn no_corner_has_less_than_is_certified(seed in 0u64..1000, bound in 0.0f64..0.4, quantized: bool) {
            // Ten weights: every corner can be tried.
            let width = bits(3).filter(|_| quantized);
            let network = mlp(&[3, 2, 2], width, seed);
            let set = lines(seed, 3, 2, 12);
            let attack = attack(&network, width, &set);
            let bounds = attack.bounds(bound).unwrap();
            prop_assert_eq!(bounds.entries(), 10);
            let certificate = attack.certify(&bounds).unwrap();
            let corners = 0..1u64 << bounds.entries();
            let found = corners.map(|number| {
                let chip = attack.chip(&corner(&bounds, number)).unwrap();
                attack.of(&chip).unwrap()
            });
            let found = found.fold(1.0, f64::min);
            let clean = attack.of(attack.programmed()).unwrap();
            prop_assert!(certificate.share() <= found, "{} {found}", certificate.share());
            prop_assert_eq!(certificate.right, (clean * 12.0).round() as usize);
            prop_assert!(certificate.certified() <= certificate.right);
        }

        #[test]
        fn every_image_of_a_linear_classifier_has_its_analytic_margin(seed in 0u64..1000, bound in 0.0f64..0.2) {
            // Two classes, four weights and bias: the worst corner of each image is among all corners.
            let network = mlp(&[2, 2], None, seed);
            let set = lines(seed, 2, 2, 6);
            let all = attack(&network, None, &set);
            let bounds = all.bounds(bound).unwrap();
            let certificate = all.certify(&bounds).unwrap();
            for (index, margin) in certificate.margins.iter().enumerate() {
                let image = set.inputs(&[index], &Device::flex());
                let label = usize::from(set.labels[index]);
                let leads = (0..16u64).map(|number| {
                    let chip = all.chip(&corner(&bounds, number)).unwrap();
                    let logits: Vec<f32> = chip.forward(image.clone()).into_data().try_to_vec().unwrap();
                    f64::from(logits[label]) - f64::from(logits[1 - label])
                });
                let least = leads.fold(f64::INFINITY, f64::min);
                // Three roundings of numbers below eight for each logit, twice.
                prop_assert!(*margin <= least && *margin >= least - 2e-5, "{margin} {least}");
            }
        }
    }

    #[test]
    fn no_bound_certifies_what_is_right() {
        let set = digits(3, 0, 60);
        for width in [None, bits(4)] {
            let network = mlp(&[784, 12, 10], width, 4);
            let attack = attack(&network, width, &set);
            let certificate = attack.certify(&attack.bounds(0.0).unwrap()).unwrap();
            assert_eq!(certificate.items(), 60);
            // Chance makes no lead as small as the rounding of 784 products.
            assert_eq!(certificate.certified(), certificate.right);
            assert!(certificate.right > 0);
        }
    }

    /// Whether chips of random corners flip a certified image, and how much is certified.
    struct Corners([usize; 3], Option<WeightBits>);

    impl WithNetwork for Corners {
        type Output = [usize; 2];

        fn other(self, _: Family) -> [usize; 2] {
            unreachable!("the rows are classifiers")
        }

        fn classifier<C: Classifier>(self, network: C) -> [usize; 2] {
            let [channels, height, width] = self.0;
            let mut set = lines(5, channels * height * width, 10, 6);
            set.shape = self.0;
            set.normalization = Normalization {
                mean: vec![0.5; channels],
                std: vec![0.25; channels],
            };
            let device = Device::flex();
            let indices: Vec<usize> = (0..set.len()).collect();
            let images = set.inputs(&indices, &device);
            let quantization = self.1.map(Quantization::from);
            let programmed = crossburn_hardware::programmed(&network, quantization);
            let logits = |chip: &C| -> Vec<f32> {
                chip.forward(images.clone())
                    .into_data()
                    .try_to_vec()
                    .unwrap()
            };
            let best = |row: &[f32]| {
                (0..row.len())
                    .max_by(|a, b| row[*a].total_cmp(&row[*b]))
                    .unwrap()
            };
            let clean = logits(&programmed);
            set.labels = clean.chunks(10).map(|row| best(row) as u16).collect();
            let attack = attack(&network, self.1, &set);
            let mut counts = [0, 0];
            for bound in [1e-5, 1e-4, 1e-3] {
                let bounds = attack.bounds(bound).unwrap();
                let certificate = attack.certify(&bounds).unwrap();
                counts[0] += certificate.certified();
                for seed in 0..6 {
                    let draws = Philox::new(seed, 9);
                    let mut entry = 0;
                    let of_weight = |(path, entries): (&String, &EntryBounds)| {
                        let ends = entries.low.iter().zip(&entries.high).map(|(low, high)| {
                            entry += 1;
                            if draws.below(entry, 2) == 0 {
                                *low
                            } else {
                                *high
                            }
                        });
                        (path.clone(), ends.collect())
                    };
                    let deviations: Deviations = bounds.weights().iter().map(of_weight).collect();
                    let logits = logits(&attack.chip(&deviations).unwrap());
                    for (index, row) in logits.chunks(10).enumerate() {
                        let label = usize::from(set.labels[index]);
                        let others = (0..10).filter(|class| *class != label);
                        let lead =
                            others.map(|class| f64::from(row[label]) - f64::from(row[class]));
                        let lead = lead.fold(f64::INFINITY, f64::min);
                        let margin = certificate.margins[index];
                        assert!(
                            margin.is_finite() && lead >= margin,
                            "{bound} {lead} {margin}"
                        );
                        counts[1] += usize::from(margin > 0.0 && best(row) != label);
                    }
                }
            }
            counts
        }
    }

    #[test]
    fn every_network_encloses_itself() {
        // In full precision, errors of rounding grow from layer to layer as deviations do, and the leads of networks that
        // are not trained are smaller: little or nothing is certified. Four bits round them away.
        for (text, shape, width, certifies) in [
            (
                r#"{"kind":"mlp","widths":[48,9,10],"bits":4}"#,
                [3, 4, 4],
                bits(4),
                true,
            ),
            (r#"{"kind":"lenet","bits":4}"#, [1, 28, 28], bits(4), true),
            (
                r#"{"kind":"lenet","variant":"classic"}"#,
                [1, 28, 28],
                None,
                false,
            ),
            (r#"{"kind":"convnet","width":12}"#, [3, 32, 32], None, false),
            (
                r#"{"kind":"resnet18","width":12,"bits":8}"#,
                [3, 8, 8],
                bits(8),
                false,
            ),
            (
                r#"{"kind":"resnet","depth":8,"bits":8}"#,
                [3, 8, 8],
                bits(8),
                false,
            ),
        ] {
            let config: ModelConfig = serde_json::from_str(text).unwrap();
            let [certified, flipped] = config
                .build(1, &Device::flex(), Corners(shape, width))
                .unwrap();
            assert_eq!(flipped, 0, "{text}");
            assert!(certified > 0 || !certifies, "{text}");
        }
    }

    #[test]
    fn less_deviates_more_is_certified() {
        let network = LeNetConfig {
            bits: bits(4),
            ..LeNetConfig::default()
        };
        let network = initialize(network.init(&Device::flex()), 3);
        let attack = attack(&network, bits(4), &digits(1, 0, 200));
        let bounds = attack.bounds(0.001).unwrap();
        let all = attack.certify(&bounds).unwrap().share();
        let layers = attack.certify_layers(&bounds).unwrap();
        assert_eq!(layers.len(), 5);
        for layer in &layers {
            assert!(
                layer.alone >= all && layer.without >= all,
                "{layer:?} {all}"
            );
        }
        let clean = attack
            .certify(&attack.bounds(0.0).unwrap())
            .unwrap()
            .share();
        assert!(clean > 0.0);
        let boxes = |bound: f64| attack.bounds(bound);
        let half = attack
            .largest_certified(0.5 * clean, 0.1, boxes)
            .unwrap()
            .unwrap();
        let share = |bound: f64| {
            attack
                .certify(&attack.bounds(bound).unwrap())
                .unwrap()
                .share()
        };
        assert!(share(half) >= 0.5 * clean && share(1.02 * half) < 0.5 * clean);
        assert_eq!(attack.largest_certified(1.0, 0.1, boxes).unwrap(), None);
        assert_eq!(
            attack.largest_certified(0.0, 0.1, boxes).unwrap(),
            Some(0.1)
        );
    }

    #[derive(Module, Debug)]
    struct Strange {
        network: Mlp,
    }

    impl Network for Strange {}

    impl Classifier for Strange {
        fn forward(&self, images: Tensor<4>) -> Tensor<2> {
            self.network.forward(images)
        }
    }

    #[test]
    fn a_network_without_an_enclosure_is_refused() {
        let network = Strange {
            network: mlp(&[784, 10], None, 1),
        };
        let attack = attack(&network, None, &digits(1, 0, 4));
        let error = attack.certify(&attack.bounds(0.01).unwrap()).unwrap_err();
        assert!(
            error.to_string().contains("does not enclose itself"),
            "{error}"
        );
    }
}
