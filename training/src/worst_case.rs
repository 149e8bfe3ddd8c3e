//! What a worst-case search asks of a network and its task.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use crossburn_hardware::{WeightPlan, programmed};
use crossburn_models::Network;
use crossburn_noise::worst_case::{
    DeviationBounds, Deviations, Judged, Objective, Surrogates, deviate,
};
use crossburn_noise::{Metric, over_cores};
use serde::{Deserialize, Serialize};

use crate::task::{Batch, Learn, SurrogateList, Tally};
use crate::weight_gradients::{tracked, weight_gradients};
use crate::{Batches, TrainingError};

/// Sums that are kept at a time: parts of the items, whatever the number of threads.
const PARTS: usize = 8;

/// Through which activations the gradient of a search goes. The metric is always judged with those that the network has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AttackActivations {
    /// Those of the network: straight through their rounding, and stopped where they clip.
    #[default]
    Quantized,
    /// Those in full precision: rounding and clipping cannot hide a gradient.
    Unquantized,
}

/// A network and the items on which its weights are attacked.
///
/// The network is programmed: a deviation is added after the quantizer, so its gradient is that of the effective weight.
/// It computes as in evaluation; batch norm keeps the statistics of training. Items go batch by batch over the threads of
/// the current pool, and sums are added in a fixed order. What a search lowers is the [score](Metric::score) of the metric,
/// for an accuracy the accuracy itself.
///
/// ```
/// use std::ops::ControlFlow;
///
/// use burn::tensor::Device;
/// use crossburn_models::{MlpConfig, initialize};
/// use crossburn_noise::worst_case::{Search, worst_case};
/// use crossburn_training::data::digits;
/// use crossburn_training::{Batches, Classification, WeightAttack};
///
/// let device = Device::flex();
/// let widths = vec![784, 16, 10];
/// let network = initialize(MlpConfig { widths, bits: None }.init(&device), 1);
/// let task = Classification::new(digits(1, 0, 40));
/// let attack = WeightAttack::new(&network, None, Batches::new(&task, 20, &device)?)?;
/// let bounds = attack.bounds(0.03)?;
/// let found = worst_case(&attack, &bounds, &Search::default(), 1, None, |_| ControlFlow::Continue(()))?;
/// assert!(found.score <= found.clean);
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
#[derive(Debug)]
pub struct WeightAttack<N, T: Learn<N>> {
    programmed: N,
    /// What gradients go through, where it is not the network itself.
    unquantized: Option<N>,
    selected: BTreeSet<String>,
    batches: Batches<T>,
    surrogates: SurrogateList<T::Surrogate>,
}

impl<N: Network, T: Learn<N>> WeightAttack<N, T> {
    /// An attack by all surrogates of the task, see [`Learn::surrogates`], through the activations that `network` has.
    /// `batches` must be on its inner device.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] without items, those of [`Learn::fits`] where the network does not fit the items, and those
    /// of the network, which reads the items once.
    pub fn new(
        network: &N,
        weights: impl Into<WeightPlan>,
        batches: Batches<T>,
    ) -> Result<Self, TrainingError> {
        let weights = weights.into();
        if batches.items() == 0 {
            return Err(TrainingError::setting("items", 0, "at least one item"));
        }
        let programmed = programmed(network, &weights);
        batches.check_outputs(&programmed)?;
        Ok(Self {
            selected: weights.placement().on_arrays(&programmed),
            surrogates: batches.task().surrogates(&programmed, &batches)?,
            programmed,
            unquantized: None,
            batches,
        })
    }

    /// The same attack by one surrogate only.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] for a surrogate that the network does not have.
    pub fn with_surrogate(self, surrogate: T::Surrogate) -> Result<Self, TrainingError> {
        if let Some(batch) = self.batches.iter().next().transpose()? {
            let task = self.batches.task();
            let first = batch.cut(0..1);
            task.allows(surrogate, &task.forward(&self.programmed, &first))?;
        }
        Ok(Self {
            surrogates: SurrogateList::one(surrogate),
            ..self
        })
    }

    /// The surrogates, by number.
    pub fn surrogates_by_number(&self) -> &[T::Surrogate] {
        self.surrogates.all()
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

    /// Deviations up to `bound * max|W|` of every layer's programmed weights on arrays.
    ///
    /// # Errors
    /// Those of [`DeviationBounds::relative`].
    pub fn bounds(&self, bound: f64) -> Result<DeviationBounds, TrainingError> {
        Ok(DeviationBounds::relative_at(
            &self.programmed,
            &self.selected,
            bound,
        )?)
    }

    /// The network with `deviations`, frozen: a plain network on the inner device.
    ///
    /// # Errors
    /// Those of [`deviate`].
    pub fn chip(&self, deviations: &Deviations) -> Result<N, TrainingError> {
        Ok(deviate(self.programmed.clone(), deviations)?)
    }

    /// The metric of `network`, which may be anything that the items fit.
    ///
    /// # Errors
    /// See [`evaluate`](crate::evaluate).
    pub fn of(&self, network: &N) -> Result<f64, TrainingError> {
        crate::evaluate(network, &self.batches)
    }

    /// The metric of a [score](Metric::score) that a search has found.
    pub fn value(&self, score: f64) -> f64 {
        self.metric().of_score(score)
    }

    /// What networks are judged by.
    pub fn metric(&self) -> Metric {
        self.batches.metric()
    }

    /// Number of items.
    pub fn items(&self) -> usize {
        self.batches.items()
    }

    /// The task.
    pub fn task(&self) -> &T {
        self.batches.task()
    }

    /// The network without deviation, as it is programmed.
    pub(crate) fn programmed(&self) -> &N {
        &self.programmed
    }

    /// Works on the batches part by part over all cores; `work` is given the numbers of the batches of a [part](Self::part), and the
    /// results are in order.
    pub(crate) fn parts<R: Send>(
        &self,
        work: impl Fn(Range<usize>) -> Result<R, TrainingError> + Sync,
    ) -> Result<Vec<R>, TrainingError> {
        let batches = self.batches.count();
        let length = batches.div_ceil(PARTS);
        over_cores(0..batches.div_ceil(length) as u64, &|part| {
            let first = part as usize * length;
            let end = batches.min(first + length);
            work(first..end)
        })
    }

    /// The batches with these numbers.
    pub(crate) fn part(
        &self,
        numbers: Range<usize>,
    ) -> impl Iterator<Item = Result<Cow<'_, T::Batch>, TrainingError>> {
        self.batches.some(numbers)
    }

    /// Loss and score of all items from those of parts.
    fn judged(&self, parts: impl Iterator<Item = Sums<T::Tally>>) -> Result<Judged, TrainingError> {
        let mut total = Sums::<T::Tally>::default();
        for part in parts {
            total.loss += part.loss;
            total.tally.merge(part.tally);
        }
        let task = self.batches.task();
        if !total.loss.is_finite()
            && let Some(cause) = task.failure(&self.programmed)
        {
            return Err(TrainingError::Failed {
                what: "the network".to_string(),
                place: "with a deviation of the search".to_string(),
                cause,
            });
        }
        Ok(Judged {
            loss: total.loss / self.batches.items() as f64,
            score: task.metric().score(task.value(&total.tally)?),
        })
    }

    /// Loss and score of `chip`, and the gradient of the loss by its weights.
    fn backward(
        &self,
        chip: &N,
        surrogate: T::Surrogate,
    ) -> Result<(Judged, Deviations), TrainingError> {
        let task = self.batches.task();
        let tracked = tracked(chip, &self.selected);
        let parts = self.parts(|numbers| {
            let network = tracked.clone().train();
            let mut sums = Sums::<T::Tally>::default();
            let mut gradient = Deviations::new();
            for batch in self.part(numbers) {
                let batch = batch?.tracked();
                let output = task.forward(&network, &batch);
                let attacked = task.surrogate(surrogate, output, &batch, &mut sums.tally)?;
                sums.loss += attacked.sum;
                weight_gradients(&network, attacked.gradient.backward(), |path, values| {
                    add(&mut gradient, path, values);
                })?;
            }
            Ok((sums, gradient))
        })?;
        let (sums, gradients): (Vec<Sums<T::Tally>>, Vec<Deviations>) = parts.into_iter().unzip();
        let mut total = Deviations::new();
        for (path, values) in gradients.into_iter().flatten() {
            add(&mut total, path, values);
        }
        let items = self.batches.items() as f32;
        total
            .values_mut()
            .flatten()
            .for_each(|gradient| *gradient /= items);
        Ok((self.judged(sums.into_iter())?, total))
    }
}

impl<N: Network, T: Learn<N>> Objective for WeightAttack<N, T> {
    type Error = TrainingError;

    fn surrogates(&self) -> Surrogates {
        self.surrogates.count()
    }

    fn judge(&self, deviations: &Deviations, surrogate: usize) -> Result<Judged, TrainingError> {
        let (chip, surrogate) = (self.chip(deviations)?, self.surrogates.all()[surrogate]);
        let task = self.batches.task();
        let parts = self.parts(|numbers| {
            let mut sums = Sums::<T::Tally>::default();
            for batch in self.part(numbers) {
                let batch = batch?;
                let output = task.forward(&chip, &batch);
                let attacked = task.surrogate(surrogate, output, &batch, &mut sums.tally)?;
                sums.loss += attacked.sum;
            }
            Ok(sums)
        })?;
        self.judged(parts.into_iter())
    }

    fn gradient(
        &self,
        deviations: &Deviations,
        surrogate: usize,
    ) -> Result<(Judged, Deviations), TrainingError> {
        let of = self.surrogates.all()[surrogate];
        match &self.unquantized {
            None => self.backward(&self.chip(deviations)?, of),
            Some(network) => {
                let judged = self.judge(deviations, surrogate)?;
                let chip = deviate(network.clone(), deviations)?;
                let (_, gradient) = self.backward(&chip, of)?;
                Ok((judged, gradient))
            }
        }
    }
}

/// Sums over items.
#[derive(Clone, Default)]
struct Sums<S> {
    loss: f64,
    tally: S,
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
    use crate::testing::{classes, lines};
    use crate::{AttackLoss, Classification};
    use burn::module::Module;
    use burn::nn::conv::{Conv2d, Conv2dConfig};
    use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
    use burn::tensor::{Device, Tensor};
    use crossburn_hardware::{Quantization, WeightBits};
    use crossburn_models::{Classifier, LeNetConfig, MlpConfig, initialize};
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
    ) -> WeightAttack<C, Classification> {
        let batches = Batches::new(&classes(set), 8, &Device::flex()).unwrap();
        WeightAttack::new(network, width.map(Quantization::from), batches).unwrap()
    }

    fn search<C: Classifier>(
        attack: &WeightAttack<C, Classification>,
        bound: f64,
        search: Search,
    ) -> WorstCase {
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
            assert_eq!(within(0.995 * critical).score, 1.0, "{seed}");
            let found = within(1.005 * critical);
            assert_eq!(found.score, 0.0, "{seed}");
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
            .with_surrogate(AttackLoss::CrossEntropy {})
            .unwrap();
        let bounds = attack.bounds(1.0).unwrap();
        let (judged, gradient) = attack.gradient(&bounds.zero(), 0).unwrap();
        assert_eq!(judged, attack.judge(&bounds.zero(), 0).unwrap());
        assert_eq!(judged.score, 1.0);
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
        assert_eq!((zero.clean, zero.score), (1.0, 1.0));
        let accuracies =
            [0.01, 0.03, 0.06].map(|bound| search(&attack, bound, Search::default()).score);
        assert!(accuracies.is_sorted_by(|a, b| a > b), "{accuracies:?}");
        assert!(accuracies[0] < 1.0 && accuracies[2] < 0.2, "{accuracies:?}");
        // What the search reports is what the frozen chip does.
        let found = search(&attack, 0.03, Search::default());
        let batches = Batches::new(&classes(&set), 60, &Device::flex()).unwrap();
        let chip = attack.chip(&found.deviations).unwrap();
        assert_eq!(crate::evaluate(&chip, &batches).unwrap(), found.score);
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
            for &loss in whole.surrogates_by_number() {
                let single = attack(&network, width, &set).with_surrogate(loss).unwrap();
                for method in [apgd, momentum, raw, lagrangian] {
                    let other = search(&single, bound, method).score;
                    let name = method.name();
                    assert!(
                        found.score <= other,
                        "{seed} {name} {loss} {} {other}",
                        found.score
                    );
                }
            }
            for chance in [
                Search::Corners(Corners { draws: budget }),
                Search::MonteCarlo(MonteCarlo { draws: budget }),
            ] {
                assert!(found.score <= search(&whole, bound, chance).score, "{seed}");
            }
        }
    }

    #[test]
    fn a_class_that_the_network_does_not_have_is_refused() {
        let network = mlp(&[784, 10], None, 1);
        let attack = attack(&network, None, &digits(1, 0, 4));
        let error = attack
            .with_surrogate(AttackLoss::Towards { class: 10 })
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
                let (own, other) = ((found.score, found.loss), (random.score, random.loss));
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
            let chance = chance.map(|chance| chance.score);
            sums[0] += found.score;
            sums[1] += chance[0];
            sums[2] += chance[1];
            weaker += usize::from(chance.iter().any(|chance| *chance < found.score));
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
        assert!(one.score < one.clean);
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

    impl Network for Normed {}

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
        let one_by_one = Batches::new(&classes(&digits(1, 0, 20)), 1, &Device::flex()).unwrap();
        let alone = WeightAttack::new(&network, None, one_by_one).unwrap();
        let (together, alone) = (
            attack.gradient(&bounds.zero(), 0).unwrap(),
            alone.gradient(&bounds.zero(), 0).unwrap(),
        );
        assert!((together.0.loss - alone.0.loss).abs() < 1e-6);
        assert_eq!(together.0.score, alone.0.score);
    }

    #[derive(Module, Debug)]
    struct Digital {
        norm: BatchNorm,
    }

    impl Network for Digital {}

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
            Batches::new(&classes(&none), 8, &device).unwrap(),
        )
        .unwrap_err();
        assert_eq!(
            error.to_string(),
            "items = 0 is not allowed: use at least one item"
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
