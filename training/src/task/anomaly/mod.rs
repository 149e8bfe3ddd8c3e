//! Finding what is not like the rest: an autoencoder learns normal samples, and its reconstruction error tells the others.

mod curves;
mod surrogate;

use std::ops::Range;
use std::sync::Arc;

use burn::tensor::{Device, Tensor, TensorData};
use crossburn_models::{Autoencoder, Restored};
use crossburn_noise::{Better, Metric};
use serde::{Deserialize, Serialize};

pub(super) use curves::steps;
pub use curves::{auprc, auroc};
pub use surrogate::AnomalySurrogate;

use super::{Attacked, Batch, Learn, SurrogateList, Tally, Task, require_finite};
use crate::data::{Augmentation, Conventions, Samples};
use crate::weight_gradients::values;
use crate::{Batches, TrainingError};

/// What is an anomaly, and what it is found by. In recipes the table `[task]` with `kind = "anomaly-detection"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnomalyConfig {
    /// Classes that are anomalies; samples of all others are normal, and the only ones that a network learns from.
    pub anomalies: Vec<u16>,
    /// What the network learns to make small, and what it is judged by: the error of one sample.
    #[serde(default)]
    pub loss: ReconstructionLoss,
    /// What says how well errors tell anomalies from normal samples.
    #[serde(default)]
    pub metric: AnomalyMetric,
}

/// The error of a reconstruction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReconstructionLoss {
    /// The mean absolute difference of values.
    L1,
    /// The mean squared difference of values.
    #[default]
    L2,
}

/// What says how well errors tell anomalies from normal samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AnomalyMetric {
    /// [`auroc`].
    #[default]
    Auroc,
    /// [`auprc`].
    Auprc,
}

impl AnomalyMetric {
    pub(super) fn metric(self) -> Metric {
        Metric {
            name: match self {
                Self::Auroc => "AUROC".into(),
                Self::Auprc => "AUPRC".into(),
            },
            unit: "".into(),
            low: Some(0.0),
            high: Some(1.0),
            better: Better::Higher,
        }
    }

    fn of(self, errors: &[Judged]) -> Option<f64> {
        match self {
            Self::Auroc => auroc(errors),
            Self::Auprc => auprc(errors),
        }
    }
}

/// The error of one sample, and whether it is an anomaly.
type Judged = (f64, bool);

/// Samples of which some are anomalies: either the normal ones alone, which a network learns to give back and is judged by its
/// reconstruction error on, or all of them, judged by how well that error tells anomalies from the rest.
///
/// # Source
/// Anomaly detection by reconstruction error: Sakurada and Yairi, "Anomaly detection using autoencoders with nonlinear
/// dimensionality reduction", MLSDA 2014.
///
/// ```
/// use burn::tensor::Device;
/// use crossburn_models::{DenseAutoencoderConfig, initialize};
/// use crossburn_training::data::digits;
/// use crossburn_training::{AnomalyConfig, AnomalyDetection, Batches, Task, evaluate};
///
/// let device = Device::flex();
/// let config = DenseAutoencoderConfig { widths: vec![784, 16], bits: None };
/// let network = initialize(config.init(&device), 1);
/// let nines = AnomalyConfig { anomalies: vec![9], loss: Default::default(), metric: Default::default() };
/// let task = AnomalyDetection::judge(digits(1, 0, 40), &nines)?;
/// assert_eq!(task.metric().name, "AUROC");
/// assert!((0.0..=1.0).contains(&evaluate(&network, &Batches::new(&task, 20, &device)?)?));
/// // What is learned from has no anomalies.
/// assert_eq!(AnomalyDetection::learn(digits(1, 0, 40), &nines)?.items(), 36);
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct AnomalyDetection {
    samples: Arc<Samples>,
    /// Places of the items among the samples.
    places: Arc<[usize]>,
    range: Range<usize>,
    config: Arc<AnomalyConfig>,
    /// Whether anomalies are told from the rest; otherwise all items are normal.
    tells: bool,
}

impl AnomalyDetection {
    /// The normal samples, to learn from, judged by the mean reconstruction error.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] where no sample is normal.
    pub fn learn(
        samples: impl Into<Arc<Samples>>,
        config: &AnomalyConfig,
    ) -> Result<Self, TrainingError> {
        let samples = samples.into();
        let normal = |place: &usize| !config.anomalies.contains(&samples.labels[*place]);
        let places: Arc<[usize]> = (0..samples.len()).filter(normal).collect();
        if places.is_empty() && !samples.is_empty() {
            return Err(TrainingError::setting(
                "task.anomalies",
                format!("{:?}", config.anomalies),
                "classes that leave some samples normal",
            ));
        }
        Ok(Self {
            range: 0..places.len(),
            places,
            samples,
            config: Arc::new(config.clone()),
            tells: false,
        })
    }

    /// All samples, judged by how well the reconstruction error tells anomalies from normal ones.
    ///
    /// # Errors
    /// [`TrainingError::Undefined`] without anomalies or without normal samples.
    pub fn judge(
        samples: impl Into<Arc<Samples>>,
        config: &AnomalyConfig,
    ) -> Result<Self, TrainingError> {
        let samples = samples.into();
        let task = Self {
            places: (0..samples.len()).collect(),
            range: 0..samples.len(),
            samples,
            config: Arc::new(config.clone()),
            tells: true,
        };
        match task.prevalence() {
            prevalence if prevalence > 0.0 && prevalence < 1.0 => Ok(task),
            _ => Err(task.undefined()),
        }
    }

    /// The share of anomalies among the items: the AUPRC of a network that tells nothing.
    pub fn prevalence(&self) -> f64 {
        let anomalies = (0..self.items()).filter(|item| self.is_anomaly(*item));
        anomalies.count() as f64 / self.items().max(1) as f64
    }

    fn is_anomaly(&self, item: usize) -> bool {
        let label = self.samples.labels[self.places[self.range.start + item]];
        self.config.anomalies.contains(&label)
    }

    fn undefined(&self) -> TrainingError {
        TrainingError::Undefined {
            metric: self.metric().name.into_owned(),
            why: format!(
                "classes {:?} are anomalies, and the {} samples are not of both kinds",
                self.config.anomalies,
                self.items()
            ),
        }
    }

    fn on(
        &self,
        items: &[usize],
        inputs: impl FnOnce(&[usize]) -> Tensor<4>,
    ) -> Result<Reconstructed, TrainingError> {
        let place = |item: &usize| self.places[self.range.start + item];
        let places: Vec<usize> = items.iter().map(place).collect();
        let inputs = inputs(&places);
        self.samples.check_read()?;
        Ok(Reconstructed {
            inputs,
            anomalous: items.iter().map(|item| self.is_anomaly(*item)).collect(),
        })
    }

    /// The error of every item: `[batch]`.
    fn errors(&self, output: Tensor<4>, batch: &Reconstructed) -> Tensor<1> {
        let gap = output - batch.inputs.clone();
        let gap = match self.config.loss {
            ReconstructionLoss::L1 => gap.abs(),
            ReconstructionLoss::L2 => gap.clone() * gap,
        };
        gap.flatten::<2>(1, 3).mean_dim(1).squeeze_dim::<1>(1)
    }

    /// What every item of `batch` counts in a surrogate: anomalies together as much as normal samples, with the other sign.
    fn weights(&self, batch: &Reconstructed) -> Vec<f32> {
        let items = self.items() as f64;
        let anomalies = (self.prevalence() * items).round();
        let weight = |anomalous: &bool| match anomalous {
            true => items / anomalies.max(1.0),
            false => -items / (items - anomalies).max(1.0),
        };
        let weights = batch.anomalous.iter().map(weight);
        weights.map(|weight| weight as f32).collect()
    }
}

/// Samples on a device, with what they are on the host.
#[derive(Clone, Debug)]
pub struct Reconstructed {
    /// `[batch, channels, height, width]`.
    pub inputs: Tensor<4>,
    /// Whether each is an anomaly.
    pub anomalous: Vec<bool>,
}

impl Batch for Reconstructed {
    fn items(&self) -> usize {
        self.anomalous.len()
    }

    fn cut(&self, range: Range<usize>) -> Self {
        Self {
            inputs: self.inputs.cut(range.clone()),
            anomalous: self.anomalous[range].to_vec(),
        }
    }

    fn tracked(&self) -> Self {
        Self {
            inputs: self.inputs.tracked(),
            anomalous: self.anomalous.clone(),
        }
    }
}

/// The errors of samples, with what they are.
#[derive(Clone, Debug, Default)]
pub struct Errors(Vec<Judged>);

impl Tally for Errors {
    fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Task for AnomalyDetection {
    type Batch = Reconstructed;
    type Tally = Errors;

    fn metric(&self) -> Metric {
        match self.tells {
            true => self.config.metric.metric(),
            false => Metric::from_zero("reconstruction error"),
        }
    }

    fn items(&self) -> usize {
        self.range.len()
    }

    fn split_at(&self, count: usize) -> (Self, Self) {
        let middle = self.range.start + count.min(self.items());
        let part = |range| Self {
            range,
            ..self.clone()
        };
        (part(self.range.start..middle), part(middle..self.range.end))
    }

    fn digest(&self) -> String {
        self.samples
            .digest_of(self.places[self.range.clone()].iter().copied())
    }

    fn batch(&self, items: &[usize], device: &Device) -> Result<Reconstructed, TrainingError> {
        self.on(items, |places| self.samples.inputs(places, device))
    }

    fn augmented(
        &self,
        items: &[usize],
        augmentation: &Augmentation,
        key: u64,
        device: &Device,
    ) -> Result<Reconstructed, TrainingError> {
        self.on(items, |places| {
            self.samples
                .augmented_inputs(places, augmentation, key, device)
        })
    }

    fn held_at_once(&self) -> usize {
        self.samples.held_at_once()
    }

    fn conventions(&self) -> Option<Conventions> {
        Some(self.samples.conventions())
    }

    fn value(&self, tally: &Errors) -> Result<f64, TrainingError> {
        match self.tells {
            true => self
                .config
                .metric
                .of(&tally.0)
                .ok_or_else(|| self.undefined()),
            false => {
                let sum: f64 = tally.0.iter().map(|(error, _)| error).sum();
                Ok(sum / tally.0.len().max(1) as f64)
            }
        }
    }

    fn also(&self, tally: &Errors) -> Vec<(Metric, f64)> {
        if !self.tells {
            return Vec::new();
        }
        let all = [AnomalyMetric::Auroc, AnomalyMetric::Auprc];
        let others = all.into_iter().filter(|other| *other != self.config.metric);
        let found = others.filter_map(|other| Some((other.metric(), other.of(&tally.0)?)));
        let prevalence = Metric::share("prevalence");
        found.chain([(prevalence, self.prevalence())]).collect()
    }
}

impl<A: Autoencoder> Learn<A> for AnomalyDetection {
    type Output = Restored;
    type Surrogate = AnomalySurrogate;

    fn forward(&self, network: &A, batch: &Reconstructed) -> Restored {
        network.restore(batch.inputs.clone())
    }

    fn loss(&self, output: Restored, batch: &Reconstructed) -> Tensor<1> {
        let errors = self.errors(output.outputs.clone(), batch).mean();
        output.penalized(errors)
    }

    fn judge(
        &self,
        output: Restored,
        batch: &Reconstructed,
        tallies: &mut [Errors],
    ) -> Result<(), TrainingError> {
        let errors = values(self.errors(output.outputs, batch))?;
        require_finite(&errors, 1)?;
        let judged = errors.into_iter().map(f64::from);
        let judged = judged.zip(batch.anomalous.iter().copied());
        for tally in tallies {
            tally.0.extend(judged.clone());
        }
        Ok(())
    }

    fn surrogates(
        &self,
        network: &A,
        batches: &Batches<Self>,
    ) -> Result<SurrogateList<AnomalySurrogate>, TrainingError> {
        if !self.tells {
            return Ok(SurrogateList::one(AnomalySurrogate::Error {}));
        }
        let mut tally = [Errors::default()];
        for batch in batches.iter() {
            let batch = batch?;
            let output = network.restore(batch.inputs.clone());
            Learn::<A>::judge(self, output, &batch, &mut tally)?;
        }
        Ok(AnomalySurrogate::all(&tally[0].0))
    }

    fn surrogate(
        &self,
        surrogate: AnomalySurrogate,
        output: Restored,
        batch: &Reconstructed,
        tally: &mut Errors,
    ) -> Result<Attacked, TrainingError> {
        let errors = self.errors(output.outputs, batch);
        let found = values(errors.clone())?;
        tally.0.extend(
            found
                .iter()
                .map(|error| f64::from(*error))
                .zip(batch.anomalous.iter().copied()),
        );
        let counted = surrogate.of(errors);
        let weights = match surrogate {
            AnomalySurrogate::Error {} => vec![-1.0; found.len()],
            _ => self.weights(batch),
        };
        let weights = Tensor::from_data(TensorData::new(weights, [found.len()]), &counted.device());
        let gradient = (counted * weights).sum();
        let sum = f64::from(gradient.clone().into_scalar::<f32>());
        Ok(Attacked { sum, gradient })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeSet;
    use std::ops::ControlFlow;
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::data::digits;
    use crate::testing::lines;
    use crate::weight_gradients::{tracked, weight_gradients};
    use crate::{Evaluation, TaskConfig, WeightAttack, evaluate, sensitivities};
    use burn::module::Module;
    use crossburn_models::{DenseAutoencoder, DenseAutoencoderConfig, initialize};
    use crossburn_noise::worst_case::{Deviations, Search, deviate, worst_case};
    use crossburn_noise::{Distribution, RaceConfig, Variation, matrix_weights};

    fn network(widths: &[usize], seed: u64) -> DenseAutoencoder {
        let config = DenseAutoencoderConfig {
            widths: widths.to_vec(),
            bits: None,
        };
        initialize(config.init(&Device::flex()), seed)
    }

    fn config(anomalies: &[u16], loss: ReconstructionLoss) -> AnomalyConfig {
        AnomalyConfig {
            anomalies: anomalies.to_vec(),
            loss,
            metric: AnomalyMetric::Auroc,
        }
    }

    #[test]
    fn the_gradient_of_the_loss_is_that_of_finite_differences() {
        let task =
            AnomalyDetection::learn(lines(3, 6, 4, 9), &config(&[2], ReconstructionLoss::L2))
                .unwrap();
        let items: Vec<usize> = (0..task.items()).collect();
        let batch = task.batch(&items, &Device::flex()).unwrap();
        // Without an activation between code and output the loss is a quadratic function of every weight, of which a central
        // difference is exact whatever its step.
        let network = network(&[6, 3], 5);
        let selected: BTreeSet<String> = matrix_weights(&network);
        let learning = tracked(&network, &selected).train();
        let on_autodiff = batch.tracked();
        let output = task.forward(&learning, &on_autodiff);
        let loss = Learn::<DenseAutoencoder>::loss(&task, output, &on_autodiff);
        let mut compared = 0;
        let mut gradients = Deviations::new();
        weight_gradients(&learning, loss.backward(), |path, values| {
            gradients.insert(path, values);
        })
        .unwrap();
        for (path, gradient) in &gradients {
            for (place, gradient) in gradient.iter().enumerate() {
                let at = |step: f32| {
                    let zero = |(path, values): (&String, &Vec<f32>)| {
                        (path.clone(), vec![0.0; values.len()])
                    };
                    let mut moved: Deviations = gradients.iter().map(zero).collect();
                    moved.get_mut(path).unwrap()[place] = step;
                    let moved = deviate(network.clone(), &moved).unwrap();
                    let output = task.forward(&moved, &batch);
                    let loss = Learn::<DenseAutoencoder>::loss(&task, output, &batch);
                    f64::from(loss.into_scalar::<f32>())
                };
                let expected = (at(0.5) - at(-0.5)) / 1.0;
                // Losses of order one are right to 50 roundings of 2^-24.
                assert!(
                    (f64::from(*gradient) - expected).abs() < 2e-5,
                    "{path} {place}"
                );
                compared += 1;
            }
        }
        assert_eq!(compared, 2 * 18);
    }

    #[test]
    fn errors_are_those_worked_by_hand() {
        let set = lines(3, 4, 3, 5);
        for loss in [ReconstructionLoss::L1, ReconstructionLoss::L2] {
            let task = AnomalyDetection::judge(set.clone(), &config(&[set.labels[0]], loss));
            let task = task.unwrap();
            let items = [4, 0, 1];
            let batch = task.batch(&items, &Device::flex()).unwrap();
            let output = batch.inputs.clone() * 0.5 + 1.0;
            let x: Vec<f32> = values(batch.inputs.clone()).unwrap();
            let mut tally = [Errors::default()];
            Learn::<DenseAutoencoder>::judge(&task, output.into(), &batch, &mut tally).unwrap();
            for (index, (error, anomalous)) in tally[0].0.iter().enumerate() {
                let gaps = x[4 * index..][..4].iter().map(|x| f64::from(1.0 - 0.5 * x));
                let expected: f64 = match loss {
                    ReconstructionLoss::L1 => gaps.map(f64::abs).sum(),
                    ReconstructionLoss::L2 => gaps.map(|gap| gap * gap).sum(),
                };
                assert!((error - expected / 4.0).abs() < 1e-6);
                assert_eq!(*anomalous, set.labels[items[index]] == set.labels[0]);
            }
            let broken = batch.inputs.clone() * f32::NAN;
            let error = Learn::<DenseAutoencoder>::judge(&task, broken.into(), &batch, &mut tally);
            let message = error.unwrap_err().to_string();
            assert!(message.starts_with("the network gives NaN"), "{message}");
        }
    }

    #[test]
    fn what_is_learned_is_normal_and_what_is_judged_is_both() {
        let set = digits(1, 0, 40);
        let nines = config(&[9, 4], ReconstructionLoss::L2);
        let learned = AnomalyDetection::learn(set.clone(), &nines).unwrap();
        assert_eq!(learned.items(), 32);
        assert_eq!(learned.metric().better, Better::Lower);
        let judged = AnomalyDetection::judge(set.clone(), &nines).unwrap();
        assert_eq!((judged.items(), judged.prevalence()), (40, 0.2));
        let device = Device::flex();
        let network = network(&[784, 8], 2);
        let [error, area] = [&learned, &judged]
            .map(|task| evaluate(&network, &Batches::new(task, 16, &device).unwrap()).unwrap());
        assert!(error > 0.0 && (0.0..=1.0).contains(&area));
        // Parts are parts of the same items.
        let (first, rest) = learned.split_at(20);
        assert_eq!((first.items(), rest.items()), (20, 12));
        let all: Vec<f32> = values(learned.batch(&[20, 31], &device).unwrap().inputs).unwrap();
        let part: Vec<f32> = values(rest.batch(&[0, 11], &device).unwrap().inputs).unwrap();
        assert_eq!(all, part);
        assert_ne!(first.digest(), rest.digest());
        for anomalies in [&[][..], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9]] {
            let config = config(anomalies, ReconstructionLoss::L2);
            let message = AnomalyDetection::judge(set.clone(), &config)
                .unwrap_err()
                .to_string();
            assert!(
                message.starts_with("AUROC is not defined here"),
                "{message}"
            );
        }
        let all = config(&[0, 1, 2, 3, 4, 5, 6, 7, 8, 9], ReconstructionLoss::L2);
        assert!(AnomalyDetection::learn(set, &all).is_err());
        let area = TaskConfig::AnomalyDetection(nines).metric();
        assert_eq!(area.name, "AUROC");
    }

    #[test]
    fn a_search_lowers_the_area_and_what_is_not_offered_is_refused() {
        let device = Device::flex();
        let task =
            AnomalyDetection::judge(digits(1, 0, 120), &config(&[1], ReconstructionLoss::L2))
                .unwrap();
        // A one is darker than the others: any network tells it, the wrong way round.
        let network = network(&[784, 8], 2);
        let batches = Batches::new(&task, 32, &device).unwrap();
        let attack = WeightAttack::new(&network, None, batches.clone()).unwrap();
        assert_eq!(attack.surrogates_by_number().len(), 2);
        let bounds = attack.bounds(0.05).unwrap();
        let on = |_: &_| ControlFlow::Continue(());
        let search = Search::Auto(crossburn_noise::worst_case::Auto { budget: 20 });
        let found = worst_case(&attack, &bounds, &search, 1, None, on).unwrap();
        assert!(found.score <= found.clean);
        let chip = attack.chip(&found.deviations).unwrap();
        assert_eq!(attack.of(&chip).unwrap(), found.score);

        let evaluation = Evaluation::new(&network, None, batches);
        let race = RaceConfig {
            seed: 1,
            chips: 0..10,
            items: 120,
            k: 5.0,
            confidence: 0.9,
            delta: 0.01,
            half_width: None,
        };
        let variation = Variation::from(Distribution::gaussian(0.1));
        let fab = evaluation.varied(&variation);
        let raced = evaluation.race(&fab, &race.check().unwrap(), &(), &AtomicBool::new(false));
        for (refused, part) in [
            (
                raced.unwrap_err(),
                "a race needs a metric that counts items",
            ),
            (
                attack.certify(&bounds).unwrap_err(),
                "a certificate needs a metric that counts items",
            ),
            (
                sensitivities(&network, &task, &device, 1).unwrap_err(),
                "a sensitivity needs a network that gives probabilities",
            ),
            (
                <AnomalyDetection as Learn<DenseAutoencoder>>::require_probabilities(
                    "distillation",
                    &task.metric(),
                )
                .unwrap_err(),
                "distillation needs a network that gives probabilities",
            ),
        ] {
            let message = refused.to_string();
            assert!(
                message.starts_with(part) && message.contains("; AUROC does not have that"),
                "{message}"
            );
        }
    }

    #[test]
    fn surrogates_are_read_as_they_are_written() {
        for surrogate in [
            AnomalySurrogate::Separation {},
            AnomalySurrogate::Error {},
            AnomalySurrogate::Soft {
                threshold: 0.25,
                scale: 1.5,
            },
        ] {
            assert_eq!(surrogate.to_string().parse(), Ok(surrogate));
        }
        for text in ["soft", "soft:1", "soft:1:0", "soft:x:1", "margin"] {
            let refused = text.parse::<AnomalySurrogate>().unwrap_err();
            assert!(refused.starts_with("use separation"), "{text}");
        }
    }
}
