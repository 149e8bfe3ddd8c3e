//! What a worst-case search asks of a classifier.

use std::collections::BTreeSet;

use burn::tensor::{Tensor, TensorData};
use crossburn_hardware::{Quantization, programmed};
use crossburn_models::Classifier;
use crossburn_noise::matrix_weights;
use crossburn_noise::worst_case::{
    DeviationBounds, Deviations, Judged, Objective, Surrogates, deviate,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::attack_loss::largest_beside;
use crate::evaluation::is_correct;
use crate::weight_gradients::{tracked, values, weight_gradients};
use crate::{AttackLoss, AttackLosses, Batches, TrainingError};

/// Sums that are kept at a time: parts of the images, whatever the number of threads.
const PARTS: usize = 8;

/// Through which activations the gradient of a search goes. Accuracy is always judged with those that the network has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttackActivations {
    /// Those of the network: straight through their rounding, and stopped where they clip.
    #[default]
    Quantized,
    /// Those in full precision: rounding and clipping cannot hide a gradient.
    Unquantized,
}

/// A classifier and the images on which its weights are attacked.
///
/// The network is programmed: a deviation is added behind the quantizer, so its gradient is that of the effective weight.
/// It computes as in evaluation; batch norm keeps the statistics of training. Images go batch by batch over the threads of
/// the current pool, and sums are added in a fixed order.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use burn::tensor::Device;
/// use crossburn_models::{MlpConfig, initialize};
/// use crossburn_noise::worst_case::{Search, worst_case};
/// use crossburn_training::data::digits;
/// use crossburn_training::{Batches, WeightAttack};
///
/// let device = Device::flex();
/// let widths = vec![784, 16, 10];
/// let network = initialize(MlpConfig { widths, bits: None }.init(&device), 1);
/// let attack = WeightAttack::new(&network, None, Batches::new(&digits(1, 0, 40), 20, &device))?;
/// let bounds = attack.bounds(0.03)?;
/// let found = worst_case(&attack, &bounds, &Search::default(), 1, None, |_| ControlFlow::Continue(()))?;
/// assert!(found.accuracy <= found.clean);
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
#[derive(Debug)]
pub struct WeightAttack<C> {
    programmed: C,
    /// What gradients go through, where it is not the network itself.
    unquantized: Option<C>,
    selected: BTreeSet<String>,
    batches: Batches,
    losses: AttackLosses,
    classes: usize,
}

impl<C: Classifier> WeightAttack<C> {
    /// An attack by all losses, see [`AttackLosses::all`], through the activations that `network` has. `batches` must be on
    /// its inner device.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] without images, [`TrainingError::Classes`] for labels that the network has no output for, and
    /// those of the network, which reads the images once.
    pub fn new(
        network: &C,
        quantization: Option<Quantization>,
        batches: Batches,
    ) -> Result<Self, TrainingError> {
        if batches.images() == 0 {
            return Err(TrainingError::setting("images", 0, "at least one image"));
        }
        let programmed = programmed(network, quantization);
        batches.check_outputs(&programmed)?;
        let runners_up = runners_up(&programmed, &batches)?;
        Ok(Self {
            selected: matrix_weights(&programmed),
            programmed,
            unquantized: None,
            batches,
            losses: AttackLosses::all(&runners_up),
            classes: runners_up.len(),
        })
    }

    /// The same attack by one loss only.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] for a class that the network does not have.
    pub fn with_loss(self, loss: AttackLoss) -> Result<Self, TrainingError> {
        match loss {
            AttackLoss::Towards { class } if class >= self.classes => Err(TrainingError::setting(
                "towards",
                class,
                "a class of the network",
            )),
            _ => Ok(Self {
                losses: AttackLosses::one(loss),
                ..self
            }),
        }
    }

    /// The losses, by the number of the surrogate.
    pub fn losses(&self) -> &[AttackLoss] {
        self.losses.losses()
    }

    /// The same attack through other activations.
    pub fn with_activations(self, activations: AttackActivations) -> Self {
        let unquantized = match activations {
            AttackActivations::Quantized => None,
            // A plain clone would share the ranges of activations; nothing here moves them.
            AttackActivations::Unquantized => {
                Some(self.programmed.clone().unquantized_activations())
            }
        };
        Self {
            unquantized,
            ..self
        }
    }

    /// Deviations up to `bound * max|W|` of every layer's programmed weights.
    ///
    /// # Errors
    /// Those of [`DeviationBounds::relative`].
    pub fn bounds(&self, bound: f64) -> Result<DeviationBounds, TrainingError> {
        Ok(DeviationBounds::relative(&self.programmed, bound)?)
    }

    /// The network with `deviations`, frozen: a plain network on the inner device.
    ///
    /// # Errors
    /// Those of [`deviate`].
    pub fn chip(&self, deviations: &Deviations) -> Result<C, TrainingError> {
        Ok(deviate(self.programmed.clone(), deviations)?)
    }

    /// Accuracy of `network`, which may be anything that the images fit.
    ///
    /// # Errors
    /// See [`accuracy`](crate::accuracy).
    pub fn accuracy(&self, network: &C) -> Result<f64, TrainingError> {
        crate::accuracy(network, &self.batches)
    }

    /// Number of images.
    pub fn images(&self) -> usize {
        self.batches.images()
    }

    /// The network without deviation, as it is programmed.
    pub(crate) fn programmed(&self) -> &C {
        &self.programmed
    }

    /// Works on the batches part by part over all cores; the results are in order.
    pub(crate) fn parts<T: Send>(
        &self,
        work: impl Fn(&[&(Tensor<4>, Vec<u16>)]) -> Result<T, TrainingError> + Sync + Send,
    ) -> Result<Vec<T>, TrainingError> {
        let batches: Vec<_> = self.batches.iter().collect();
        batches
            .par_chunks(batches.len().div_ceil(PARTS))
            .map(work)
            .collect()
    }

    fn per_image(&self, sum: f64) -> f64 {
        sum / self.batches.images() as f64
    }

    /// Loss and accuracy of all images from the sums of parts.
    fn judged(&self, parts: impl Iterator<Item = Sums>) -> Judged {
        let total = parts.fold(Sums::default(), |a, b| Sums {
            loss: a.loss + b.loss,
            correct: a.correct + b.correct,
        });
        Judged {
            loss: self.per_image(total.loss),
            accuracy: self.per_image(total.correct as f64),
        }
    }

    /// Loss and accuracy of `chip`, and the gradient of the loss by its weights.
    fn backward(&self, chip: &C, loss: AttackLoss) -> Result<(Judged, Deviations), TrainingError> {
        let tracked = tracked(chip, &self.selected);
        let parts = self.parts(|batches| {
            let network = tracked.clone().train();
            let mut sums = Sums::default();
            let mut gradient = Deviations::new();
            for (images, labels) in batches {
                let logits = network.forward(Tensor::from_inner(images.clone()));
                let by_logits = sums.add(loss, logits.clone().inner(), labels)?;
                let by_logits = Tensor::from_data(by_logits, &logits.device());
                let gradients = (logits * by_logits).sum().backward();
                weight_gradients(&network, gradients, |path, values| {
                    add(&mut gradient, path, values);
                })?;
            }
            Ok((sums, gradient))
        })?;
        let (sums, gradients): (Vec<Sums>, Vec<Deviations>) = parts.into_iter().unzip();
        let mut total = Deviations::new();
        for (path, values) in gradients.into_iter().flatten() {
            add(&mut total, path, values);
        }
        let images = self.batches.images() as f32;
        total
            .values_mut()
            .flatten()
            .for_each(|gradient| *gradient /= images);
        Ok((self.judged(sums.into_iter()), total))
    }
}

impl<C: Classifier> Objective for WeightAttack<C> {
    type Error = TrainingError;

    fn surrogates(&self) -> Surrogates {
        self.losses.surrogates()
    }

    fn judge(&self, deviations: &Deviations, surrogate: usize) -> Result<Judged, TrainingError> {
        let (chip, loss) = (self.chip(deviations)?, self.losses()[surrogate]);
        let parts = self.parts(|batches| {
            let mut sums = Sums::default();
            for (images, labels) in batches {
                sums.add(loss, chip.forward(images.clone()), labels)?;
            }
            Ok(sums)
        })?;
        Ok(self.judged(parts.into_iter()))
    }

    fn gradient(
        &self,
        deviations: &Deviations,
        surrogate: usize,
    ) -> Result<(Judged, Deviations), TrainingError> {
        let loss = self.losses()[surrogate];
        match &self.unquantized {
            None => self.backward(&self.chip(deviations)?, loss),
            Some(network) => {
                let judged = self.judge(deviations, surrogate)?;
                let chip = deviate(network.clone(), deviations)?;
                let (_, gradient) = self.backward(&chip, loss)?;
                Ok((judged, gradient))
            }
        }
    }
}

/// How often every class has the largest logit beside that of the right class, over all images.
fn runners_up<C: Classifier>(network: &C, batches: &Batches) -> Result<Vec<usize>, TrainingError> {
    let mut counts = Vec::new();
    for (images, labels) in batches.iter() {
        let logits = network.forward(images.clone());
        let classes = logits.dims()[1];
        counts.resize(classes, 0);
        for (row, label) in values(logits)?.chunks(classes).zip(labels) {
            counts[largest_beside(row, usize::from(*label))] += 1;
        }
    }
    Ok(counts)
}

/// Sums over images.
#[derive(Clone, Copy, Default)]
struct Sums {
    loss: f64,
    correct: usize,
}

impl Sums {
    /// Adds the images of one batch, and gives the gradient of its loss by the logits.
    fn add(
        &mut self,
        loss: AttackLoss,
        logits: Tensor<2>,
        labels: &[u16],
    ) -> Result<TensorData, TrainingError> {
        let [images, classes] = logits.dims();
        let logits = values(logits)?;
        let mut gradient = vec![0.0; logits.len()];
        let rows = logits.chunks(classes).zip(gradient.chunks_mut(classes));
        for ((row, gradient), label) in rows.zip(labels) {
            // A maximum in the loss hides what is not a number.
            let finite = row.iter().all(|z| z.is_finite());
            let of_image = loss.of_image(row, usize::from(*label), gradient);
            self.loss += if finite { of_image } else { f64::NAN };
            self.correct += usize::from(is_correct(row, *label));
        }
        Ok(TensorData::new(gradient, [images, classes]))
    }
}

fn add(sums: &mut Deviations, path: String, values: Vec<f32>) {
    match sums.entry(path) {
        std::collections::btree_map::Entry::Vacant(entry) => {
            entry.insert(values);
        }
        std::collections::btree_map::Entry::Occupied(mut entry) => {
            let own = entry.get_mut().iter_mut();
            own.zip(values).for_each(|(sum, value)| *sum += value);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::{Samples, digits};
    use crate::testing::lines;
    use burn::module::Module;
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::Device;
    use crossburn_hardware::WeightBits;
    use crossburn_models::{LeNetConfig, MlpConfig, initialize};
    use crossburn_noise::worst_case::{
        Apgd, Auto, Corners, Lagrangian, Momentum, MonteCarlo, RawGradient, Search, SearchState,
        SignGradient, WorstCase, worst_case,
    };
    use crossburn_noise::{NoiseError, Philox};
    use proptest::prelude::*;
    use std::ops::ControlFlow;

    fn on(_: &SearchState) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }

    fn bits(bits: u8) -> Option<WeightBits> {
        Some(WeightBits::new(bits).unwrap())
    }

    /// The images with the labels that `network` gives them, so that it is right on all of them.
    fn as_read_by<C: Classifier>(network: &C, mut set: Samples) -> Samples {
        let device = Device::flex();
        for index in 0..set.len() {
            let logits = network.forward(set.inputs(&[index], &device)).into_data();
            let logits: Vec<f32> = logits.try_to_vec().unwrap();
            let best = (0..logits.len()).max_by(|a, b| logits[*a].total_cmp(&logits[*b]));
            set.labels[index] = best.unwrap() as u16;
        }
        set
    }

    fn mlp(widths: &[usize], width: Option<WeightBits>, seed: u64) -> crossburn_models::Mlp {
        let widths = widths.to_vec();
        initialize(
            MlpConfig {
                widths,
                bits: width,
            }
            .init(&Device::flex()),
            seed,
        )
    }

    fn attack<C: Classifier>(
        network: &C,
        width: Option<WeightBits>,
        set: &Samples,
    ) -> WeightAttack<C> {
        let batches = Batches::new(set, 8, &Device::flex());
        WeightAttack::new(network, width.map(Quantization::from), batches).unwrap()
    }

    fn search<C: Classifier>(attack: &WeightAttack<C>, bound: f64, search: Search) -> WorstCase {
        worst_case(attack, &attack.bounds(bound).unwrap(), &search, 3, None, on).unwrap()
    }

    #[test]
    fn a_linear_classifier_has_the_worst_case_of_its_closed_form() {
        for seed in 0..12 {
            let network = mlp(&[40, 2], None, seed);
            let set = as_read_by(&network, lines(seed, 40, 2, 1));
            let attack = attack(&network, None, &set);
            let x: Vec<f32> = set
                .inputs(&[0], &Device::flex())
                .into_data()
                .try_to_vec()
                .unwrap();
            let label = usize::from(set.labels[0]);
            let logits: Vec<f32> = network
                .forward(set.inputs(&[0], &Device::flex()))
                .into_data()
                .try_to_vec()
                .unwrap();
            let margin = f64::from(logits[label] - logits[1 - label]);
            // margin(d) = margin + Σ x_i (d_iy - d_ij), lowest at d_iy = -b sign(x_i), d_ij = b sign(x_i): it reaches zero at
            // b = margin / 2 Σ |x_i|.
            let size: f64 = x.iter().map(|x| f64::from(x.abs())).sum();
            let largest = attack.bounds(1.0).unwrap().weights()["layers.0.weight"].high[0];
            let critical = margin / (2.0 * size * f64::from(largest));
            // Half a percent of the margin is far above the roundings of 40 products.
            let within = |bound: f64| search(&attack, bound, Search::default());
            assert_eq!(within(0.995 * critical).accuracy, 1.0, "{seed}");
            let found = within(1.005 * critical);
            assert_eq!(found.accuracy, 0.0, "{seed}");
            // So near the critical bound nothing but the corner will do, up to entries that hardly count.
            let deviations = &found.deviations["layers.0.weight"];
            let moved: f64 = x
                .iter()
                .enumerate()
                .map(|(i, x)| {
                    let (right, other) = (deviations[2 * i + label], deviations[2 * i + 1 - label]);
                    f64::from(*x) * f64::from(right - other)
                })
                .sum();
            assert!(margin + moved <= 0.001 * margin, "{seed} {margin} {moved}");
        }
    }

    #[test]
    fn gradients_are_those_of_finite_differences_in_every_layer() {
        let network = initialize(LeNetConfig::default().init(&Device::flex()), 3);
        let set = as_read_by(&network, digits(1, 0, 30));
        let attack = attack(&network, None, &set)
            .with_loss(AttackLoss::CrossEntropy {})
            .unwrap();
        let bounds = attack.bounds(1.0).unwrap();
        let (judged, gradient) = attack.gradient(&bounds.zero(), 0).unwrap();
        assert_eq!(judged, attack.judge(&bounds.zero(), 0).unwrap());
        assert_eq!(judged.accuracy, 1.0);
        for path in bounds.weights().keys() {
            let mut draws = vec![0.0; gradient[path].len()];
            Philox::new(4, 1).fill_normal(&mut draws);
            // Along the gradient with some noise: a direction that is known and not orthogonal to it.
            let norm = |v: &[f32]| v.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt();
            let (size, spread) = (norm(&gradient[path]), norm(&draws));
            let direction: Vec<f32> = gradient[path]
                .iter()
                .zip(&draws)
                .map(|(g, z)| (f64::from(*g) / size + f64::from(*z) / spread) as f32)
                .collect();
            let step = 0.01f32;
            let at = |sign: f32| {
                let mut moved = bounds.zero();
                moved.insert(
                    path.clone(),
                    direction.iter().map(|d| sign * step * d).collect(),
                );
                attack.judge(&moved, 0).unwrap().loss
            };
            let found = (at(1.0) - at(-1.0)) / f64::from(2.0 * step);
            let pairs = gradient[path].iter().zip(&direction);
            let expected: f64 = pairs.map(|(g, d)| f64::from(g * d)).sum();
            // Central differences of a smooth loss with kinks at ReLU and pooling, and losses rounded to 1e-7 or so.
            assert!(
                (found - expected).abs() < 0.02 * expected.abs(),
                "{path} {found} {expected}"
            );
        }
    }

    #[test]
    fn a_bound_of_zero_is_the_clean_network_and_a_larger_bound_is_worse() {
        let network = mlp(&[784, 24, 10], bits(4), 5);
        let set = as_read_by(
            &programmed(&network, bits(4).map(Quantization::from)),
            digits(2, 0, 60),
        );
        let attack = attack(&network, bits(4), &set);
        let zero = search(&attack, 0.0, Search::default());
        assert_eq!((zero.clean, zero.accuracy), (1.0, 1.0));
        let accuracies =
            [0.01, 0.03, 0.06].map(|bound| search(&attack, bound, Search::default()).accuracy);
        assert!(accuracies.is_sorted_by(|a, b| a > b), "{accuracies:?}");
        assert!(accuracies[0] < 1.0 && accuracies[2] < 0.2, "{accuracies:?}");
        // What the search reports is what the frozen chip does.
        let found = search(&attack, 0.03, Search::default());
        let batches = Batches::new(&set, 60, &Device::flex());
        let chip = attack.chip(&found.deviations).unwrap();
        assert_eq!(crate::accuracy(&chip, &batches).unwrap(), found.accuracy);
    }

    /// Small networks on which random deviations of a chosen size take about half of the accuracy.
    fn small(seed: u64) -> (crossburn_models::Mlp, Option<WeightBits>, Samples, f64) {
        let (hidden, classes) = (2 + seed as usize % 14, 2 + seed as usize % 4);
        let width = bits(4).filter(|_| seed.is_multiple_of(2));
        let network = mlp(&[30, hidden, classes], width, seed);
        let set = as_read_by(&network, lines(seed, 30, classes, 40));
        (network, width, set, 0.05 + 0.25 * (seed % 5) as f64 / 4.0)
    }

    #[test]
    fn the_automatic_search_is_never_weaker_than_a_method_it_is_made_of_or_chance() {
        let budget = 120;
        for seed in 0..16 {
            let (network, width, set, bound) = small(seed);
            let whole = attack(&network, width, &set);
            let found = search(&whole, bound, Search::Auto(Auto { budget }));
            let apgd = Search::Apgd(Apgd {
                steps: budget,
                ..Apgd::default()
            });
            let momentum = Search::Momentum(Momentum {
                steps: budget,
                ..Momentum::default()
            });
            let raw = Search::RawGradient(RawGradient {
                steps: budget,
                ..RawGradient::default()
            });
            let lagrangian = Search::Lagrangian(Lagrangian::default());
            for &loss in whole.losses() {
                let single = attack(&network, width, &set).with_loss(loss).unwrap();
                for method in [apgd, momentum, raw, lagrangian] {
                    let other = search(&single, bound, method).accuracy;
                    let name = method.name();
                    assert!(
                        found.accuracy <= other,
                        "{seed} {name} {loss} {} {other}",
                        found.accuracy
                    );
                }
            }
            for chance in [
                Search::Corners(Corners { draws: budget }),
                Search::MonteCarlo(MonteCarlo { draws: budget }),
            ] {
                assert!(
                    found.accuracy <= search(&whole, bound, chance).accuracy,
                    "{seed}"
                );
            }
        }
    }

    #[test]
    fn a_class_that_the_network_does_not_have_is_refused() {
        let network = mlp(&[784, 10], None, 1);
        let attack = attack(&network, None, &digits(1, 0, 4));
        let error = attack
            .with_loss(AttackLoss::Towards { class: 10 })
            .unwrap_err();
        assert_eq!(
            error.to_string(),
            "towards = 10 is not allowed: use a class of the network"
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

        #[test]
        fn searches_of_small_networks_stay_in_the_box_and_contain_chance(
            seed in 0u64..100_000, hidden in 2usize..16, classes in 2usize..6, quantized: bool, bound in 0.01f64..0.3,
        ) {
            let width = bits(4).filter(|_| quantized);
            let network = mlp(&[30, hidden, classes], width, seed);
            let set = as_read_by(&network, lines(seed, 30, classes, 40));
            let attack = attack(&network, width, &set);
            let bounds = attack.bounds(bound).unwrap();
            let sign = SignGradient { steps: 10, expand: 2, restarts: 2, random: 10 };
            let found = search(&attack, bound, Search::SignGradient(sign));
            prop_assert!(bounds.contain(&found.deviations) && found.path.iter().all(|point| point.inside));
            let draws = sign.random;
            for random in [Search::Corners(Corners { draws }), Search::MonteCarlo(MonteCarlo { draws })] {
                let random = search(&attack, bound, random);
                prop_assert!(bounds.contain(&random.deviations));
                let (own, other) = ((found.accuracy, found.loss), (random.accuracy, random.loss));
                prop_assert!(own <= other, "{own:?} {other:?}");
            }
        }
    }

    #[test]
    fn gradients_of_small_networks_find_more_than_chance_on_average() {
        let (mut sums, mut weaker) = ([0.0; 3], 0);
        for seed in 0..24 {
            let (network, width, set, bound) = small(seed);
            let attack = attack(&network, width, &set);
            let sign = SignGradient {
                steps: 10,
                expand: 3,
                restarts: 2,
                random: 0,
            };
            let found = search(&attack, bound, Search::SignGradient(sign));
            let draws = found.evaluations as usize - 1;
            let chance = [
                Search::Corners(Corners { draws }),
                Search::MonteCarlo(MonteCarlo { draws }),
            ]
            .map(|random| search(&attack, bound, random));
            // The loss is what a search lowers, with any number of weights.
            let lowest = |found: &WorstCase| {
                let losses = found.path.iter().map(|point| point.loss);
                losses.fold(f64::INFINITY, f64::min)
            };
            assert!(
                chance.iter().all(|chance| lowest(&found) <= lowest(chance)),
                "{seed}"
            );
            let chance = chance.map(|chance| chance.accuracy);
            sums[0] += found.accuracy;
            sums[1] += chance[0];
            sums[2] += chance[1];
            weaker += usize::from(chance.iter().any(|chance| *chance < found.accuracy));
        }
        // As many evaluations each: were gradients no better than chance, 4 of 24 or fewer would happen once in a thousand.
        assert!(weaker <= 4, "{weaker}");
        assert!(sums[0] < 0.9 * sums[1].min(sums[2]), "{sums:?}");
    }

    #[test]
    fn threads_change_nothing() {
        let network = initialize(
            LeNetConfig {
                bits: bits(4),
                ..LeNetConfig::default()
            }
            .init(&Device::flex()),
            3,
        );
        let set = as_read_by(&network, digits(1, 0, 100));
        let on_threads = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let search_ = Search::SignGradient(SignGradient {
                    steps: 4,
                    expand: 1,
                    restarts: 2,
                    random: 0,
                });
                search(&attack(&network, bits(4), &set), 0.03, search_)
            })
        };
        let one = on_threads(1);
        assert_eq!(one, on_threads(2));
        assert!(one.accuracy < one.clean);
    }

    #[test]
    fn the_gradient_can_go_through_unquantized_activations() {
        // Two bits: their rounding hides much, and what they clip has no gradient at all.
        let network = mlp(&[784, 24, 10], bits(2), 5);
        let set = as_read_by(&network, digits(2, 0, 40));
        let quantized = attack(&network, bits(2), &set);
        let zero = quantized.bounds(0.0).unwrap().zero();
        let (judged, through) = quantized.gradient(&zero, 0).unwrap();
        let beside =
            attack(&network, bits(2), &set).with_activations(AttackActivations::Unquantized);
        let (same, around) = beside.gradient(&zero, 0).unwrap();
        assert_eq!(judged, same);
        assert_ne!(through, around);
        assert_eq!(beside.judge(&zero, 0).unwrap(), judged);
    }

    #[derive(Module, Debug)]
    struct Normed {
        conv: Conv2d,
        norm: BatchNorm,
        fc: Linear,
    }

    impl Classifier for Normed {
        fn forward(&self, images: Tensor<4>) -> Tensor<2> {
            let x = self.norm.forward(self.conv.forward(images));
            self.fc
                .forward(x.mean_dim(3).mean_dim(2).flatten::<2>(1, 3))
        }
    }

    #[test]
    fn norms_rest() {
        let device = Device::flex().autodiff();
        let network = Normed {
            conv: Conv2dConfig::new([1, 3], [3, 3]).init(&device),
            norm: BatchNormConfig::new(3).init(&device),
            fc: LinearConfig::new(3, 10).init(&device),
        };
        let network = initialize(network, 2);
        let attack = attack(&network, None, &digits(1, 0, 20));
        let mean = |network: &Normed| -> Vec<f32> {
            network
                .norm
                .running_mean
                .value_sync()
                .into_data()
                .try_to_vec()
                .unwrap()
        };
        let before = mean(&network);
        let found = search(&attack, 0.1, Search::default());
        assert_eq!(mean(&network), before);
        assert_eq!(mean(&attack.chip(&found.deviations).unwrap()), before);
        // An image alone has the logits that it has among others: the statistics are not those of the batch.
        let bounds = attack.bounds(0.1).unwrap();
        let one_by_one = Batches::new(&digits(1, 0, 20), 1, &Device::flex());
        let alone = WeightAttack::new(&network, None, one_by_one).unwrap();
        let (together, alone) = (
            attack.gradient(&bounds.zero(), 0).unwrap(),
            alone.gradient(&bounds.zero(), 0).unwrap(),
        );
        assert!((together.0.loss - alone.0.loss).abs() < 1e-6);
        assert_eq!(together.0.accuracy, alone.0.accuracy);
    }

    #[derive(Module, Debug)]
    struct Digital {
        norm: BatchNorm,
    }

    impl Classifier for Digital {
        fn forward(&self, images: Tensor<4>) -> Tensor<2> {
            self.norm
                .forward(images)
                .flatten::<3>(2, 3)
                .mean_dim(1)
                .flatten::<2>(1, 2)
        }
    }

    #[test]
    fn what_cannot_be_attacked_is_refused() {
        let device = Device::flex();
        let digital = Digital {
            norm: BatchNormConfig::new(1).init(&device),
        };
        let refused = attack(&digital, None, &digits(1, 0, 4))
            .bounds(0.03)
            .unwrap_err();
        assert_eq!(refused.to_string(), NoiseError::NoWeights.to_string());
        let none = digits(1, 0, 4).split_at(0).0;
        let error = WeightAttack::new(
            &mlp(&[784, 10], None, 1),
            None,
            Batches::new(&none, 8, &device),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "images = 0 is not allowed: use at least one image"
        );
        let mut broken = mlp(&[784, 10], None, 1);
        broken = broken.map(&mut Scale(f32::MAX));
        let attack = attack(&broken, None, &digits(1, 0, 4));
        let bounds = attack.bounds(0.03).unwrap();
        let error = worst_case(&attack, &bounds, &Search::default(), 1, None, on).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("is not finite in restart 0, iteration"),
            "{error}"
        );
    }

    struct Scale(f32);

    impl burn::module::ModuleMapper for Scale {
        fn map_float<const D: usize>(
            &mut self,
            param: burn::module::Param<Tensor<D>>,
        ) -> burn::module::Param<Tensor<D>> {
            let factor = self.0;
            param.map(|weight| weight * factor)
        }
    }
}
