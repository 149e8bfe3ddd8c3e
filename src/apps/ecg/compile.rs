//! Converts a trained detector to integers, and compares both.

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_hardware::accelerator::{FastNetwork, SignalFormat, Sparsity, StoredBits};
use crossburn_hardware::programmed;
use crossburn_models::{Classifier, Family, WithNetwork, rounding_bound, to_integers};
use crossburn_training::data::{Amount, DataSource};
use crossburn_training::{Alarms, ArrhythmiaDetection, Tally, Task, values};
use rayon::prelude::*;
use serde::Serialize;

use super::integer_detector::{CALIBRATION_ITEMS, signal_format};
use super::{BATCH, IntegerDetector, StoredDetector};
use crate::apps::stored_network::StoredNetwork;
use crate::report::mean_bits;

/// Makes an integer detector from one network. It is passed to [`WithNetwork::classifier`].
pub(crate) struct CompileJob<'a> {
    trained: StoredDetector<'a>,
    source: DataSource,
    device: &'a Device,
    /// Whether it is compared with the network in floats, and on how many test items if a number was given.
    compared_on: Option<Option<usize>>,
}

/// The cost of an integer detector, and its comparison with the network that it was made from.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Compilation {
    pub(crate) layers: Vec<CompiledLayer>,
    /// Mean bits over all weights, including pruned ones.
    pub(crate) mean_bits: f64,
    /// Number of test segments.
    pub(crate) segments: usize,
    /// Number of segments that both decide alike.
    pub(crate) alike: usize,
    pub(crate) metric: String,
    /// The metric in floats; `None` if it is not defined on these segments.
    pub(crate) floats: Option<f64>,
    /// The metric in integers; `None` if it is not defined on these segments.
    pub(crate) integers: Option<f64>,
    /// The largest possible difference between a result and that in floats on the same codes: the largest bound of an output.
    pub(crate) bound: f64,
    /// The largest observed difference. The difference of each output is within its own bound.
    pub(crate) difference: f64,
}

/// A layer of an integer detector.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct CompiledLayer {
    pub(crate) name: String,
    /// Outputs, inputs, taps.
    pub(crate) shape: [usize; 3],
    pub(crate) weight_bits: u8,
    pub(crate) input_bits: u8,
    pub(crate) sparsity: Sparsity,
    pub(crate) kept: usize,
    pub(crate) weights: usize,
    /// Bits in memory.
    pub(crate) stored: StoredBits,
}

impl Compilation {
    /// Bits in memory: of weights, of the index, and of biases with rescaling factors.
    pub(crate) fn stored(&self) -> [u64; 3] {
        let sum = |of: fn(&StoredBits) -> u64| self.layers.iter().map(|l| of(&l.stored)).sum();
        [sum(|l| l.weights), sum(|l| l.index), sum(|l| l.parameters)]
    }
}

impl<'a> CompileJob<'a> {
    /// For the network in `stored`, with segments of `asked` or of its training.
    ///
    /// # Errors
    /// If the network is no detector, or does not say how its segments were normalized.
    pub(crate) fn new(
        stored: &'a StoredNetwork,
        asked: Option<&DataSource>,
        device: &'a Device,
    ) -> Result<Self> {
        let trained = StoredDetector::of(stored)?;
        let source = stored.source(asked)?;
        stored.check_data(&source)?;
        Ok(Self {
            trained,
            source,
            device,
            compared_on: None,
        })
    }

    /// Also compares with the network in floats on test segments: `items` of them, or as many as in training.
    pub(crate) fn compared_on(self, items: Option<usize>) -> Self {
        Self {
            compared_on: Some(items),
            ..self
        }
    }

    /// The detector, and the comparison if it was requested.
    ///
    /// # Errors
    /// If the network has no integer form, or data cannot be read.
    pub(crate) fn run(self) -> Result<(IntegerDetector, Option<Compilation>)> {
        let (model, seed) = (&self.trained.stored.model, self.trained.stored.recipe.seed);
        model.build(seed, self.device, self)?
    }

    /// The codes for segments like those of the training.
    fn signal(&self) -> Result<SignalFormat> {
        let stored = self.trained.stored;
        let amount: Amount = stored.training_amount(CALIBRATION_ITEMS);
        let samples = self.source.training_samples(stored.recipe.seed, amount)?;
        stored.model.check(samples.shape)?;
        let training = ArrhythmiaDetection::new(samples, self.trained.task);
        signal_format(&training, self.device)
    }

    /// Compares `detector` with `floats` on test segments.
    ///
    /// # Errors
    /// If an output differs by more than rounding explains, or data cannot be read.
    fn compare<C: Classifier>(
        &self,
        detector: &IntegerDetector,
        floats: &C,
        items: Option<usize>,
    ) -> Result<Compilation> {
        let network = &detector.network;
        let fast = FastNetwork::new(network);
        let step = (network.signal().exponent as f32).exp2();
        let bounds = rounding_bound(network);
        let test = detector.test(&self.source, items)?;
        let numbers: Vec<usize> = (0..test.items()).collect();
        let (mut in_floats, mut in_integers) = (Alarms::default(), Alarms::default());
        let mut difference = 0.0f64;
        for numbers in numbers.chunks(BATCH) {
            let batch = test.batch(numbers, self.device)?;
            let codes = detector.codes(&batch)?;
            let results = codes.par_iter().map(|codes| fast.evaluate(codes));
            let results: Vec<Vec<i32>> = results.collect::<Result<_, _>>()?;
            let integers = detector.logits(&results, self.device);
            let signals: Vec<f32> = codes
                .iter()
                .flatten()
                .map(|code| f32::from(*code) * step)
                .collect();
            let data = TensorData::new(signals, batch.inputs().dims());
            let on_codes = floats.forward(Tensor::from_data(data, self.device));
            let off = values((on_codes - integers.clone()).abs())?;
            for (off, (output, bound)) in off.iter().zip(bounds.iter().enumerate().cycle()) {
                let off = f64::from(*off);
                if off.is_nan() || off > *bound {
                    bail!(
                        "output {output} of the network in integers differs by {off} from the network in floats, and rounding explains only {bound}: \
                         this is an error of the conversion, and nothing is written"
                    );
                }
                difference = difference.max(off);
            }
            let outputs = floats.forward(batch.inputs().clone());
            in_floats.merge(test.alarms(outputs, &batch)?);
            in_integers.merge(test.alarms(integers, &batch)?);
        }
        let layers = network.layers().iter().enumerate();
        let layers: Vec<CompiledLayer> = layers
            .map(|(number, layer)| CompiledLayer {
                name: layer.name.clone(),
                shape: layer.shape,
                weight_bits: layer.weight_bits,
                input_bits: network.input_bits(number),
                sparsity: layer.sparsity,
                kept: layer.kept_weights(),
                weights: layer.weights.len(),
                stored: layer.stored_bits(),
            })
            .collect();
        Ok(Compilation {
            mean_bits: mean_bits(
                layers
                    .iter()
                    .map(|layer| (layer.weights, layer.weight_bits)),
            ),
            layers,
            segments: test.items(),
            alike: in_integers.alike(&in_floats),
            metric: test.metric().name.into_owned(),
            floats: test.value(&in_floats).ok(),
            integers: test.value(&in_integers).ok(),
            bound: bounds.into_iter().fold(0.0, f64::max),
            difference,
        })
    }
}

impl WithNetwork for CompileJob<'_> {
    type Output = Result<(IntegerDetector, Option<Compilation>)>;

    fn other(self, _: Family) -> Self::Output {
        self.trained.stored.is_no("classifier")
    }

    fn classifier<C: Classifier>(self, _: C) -> Self::Output {
        bail!(
            "{} is no network of signals",
            self.trained.stored.folder.display()
        )
    }

    fn signal_classifier<C: Classifier>(self, network: C) -> Self::Output {
        let stored = self.trained.stored;
        let network = self.trained.load(network)?;
        let plan = stored.recipe.weights::<C>();
        let floats = programmed(&network, stored.weights::<C>()).valid();
        let signal = self.signal()?;
        let integers = to_integers(&network.valid(), &plan, stored.manifest.programmed, signal)
            .with_context(|| format!("{} has no form in integers", stored.folder.display()))?;
        let data = (&stored.recipe.data, stored.recipe.seed);
        let conventions = self.trained.conventions.clone();
        let detector = IntegerDetector::new(integers, self.trained.task, conventions, data);
        let compared = match self.compared_on {
            Some(items) => Some(self.compare(&detector, &floats, items)?),
            None => None,
        };
        Ok((detector, compared))
    }
}
