//! A trained detector becomes one in integers, and is compared with what it was.

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_checkpoints::load_checkpoint;
use crossburn_hardware::accelerator::{FastNetwork, SignalFormat, Sparsity, StoredBits};
use crossburn_hardware::programmed;
use crossburn_models::{
    Autoencoder, CausalLanguageModel, Classifier, WithNetwork, rounding_bound, to_integers,
};
use crossburn_training::data::{Amount, Conventions, DataSource};
use crossburn_training::{Alarms, ArrhythmiaConfig, ArrhythmiaDetection, Tally, Task, TaskConfig};
use rayon::prelude::*;
use serde::Serialize;

use super::IntegerDetector;
use super::integer_detector::inputs;
use crate::apps::stored_network::StoredNetwork;

/// Training segments that set the step of the signal.
const CALIBRATION_ITEMS: usize = 128;
/// Segments that pass at a time.
const BATCH: usize = 128;

/// Makes a detector in integers of one network; it is what [`WithNetwork::classifier`] is given.
pub(crate) struct CompileJob<'a> {
    stored: &'a StoredNetwork,
    task: ArrhythmiaConfig,
    conventions: Conventions,
    source: DataSource,
    device: &'a Device,
    /// Whether it is compared with the network in floats, and on how many test items where a number was asked for.
    compared_on: Option<Option<usize>>,
}

/// What a detector in integers takes, and how it compares with the network that it was made of.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Compilation {
    pub(crate) layers: Vec<CompiledLayer>,
    /// Mean width of all weights, absent ones too.
    pub(crate) mean_bits: f64,
    /// Test segments.
    pub(crate) segments: usize,
    /// Segments that both decide alike.
    pub(crate) alike: usize,
    pub(crate) metric: String,
    /// The metric in floats; none where these segments have none.
    pub(crate) floats: Option<f64>,
    /// The metric in integers; none where these segments have none.
    pub(crate) integers: Option<f64>,
    /// By how much a result may differ from that in floats on the same codes.
    pub(crate) bound: f64,
    /// By how much one does, at most.
    pub(crate) difference: f64,
}

/// A layer of a detector in integers.
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
    /// Bits in memory: weights, index, and biases with factors of rescaling.
    pub(crate) fn stored(&self) -> [u64; 3] {
        let sum = |of: fn(&StoredBits) -> u64| self.layers.iter().map(|l| of(&l.stored)).sum();
        [sum(|l| l.weights), sum(|l| l.index), sum(|l| l.parameters)]
    }
}

impl<'a> CompileJob<'a> {
    /// For the network in `stored`, with segments of `asked` or of its training.
    ///
    /// # Errors
    /// A network that is no detector, or does not say how its segments were normalized.
    pub(crate) fn new(
        stored: &'a StoredNetwork,
        asked: Option<&DataSource>,
        device: &'a Device,
    ) -> Result<Self> {
        let folder = stored.folder.display();
        let TaskConfig::ArrhythmiaDetection(task) = &stored.recipe.task else {
            bail!(
                "{folder} was trained for {}: train a detector, such as configs/recipes/iegm-procedural.toml",
                stored.recipe.task.name()
            );
        };
        let Some(conventions) = &stored.manifest.conventions else {
            bail!("{folder} does not say how its segments were normalized: train it again");
        };
        let source = stored.source(asked)?;
        stored.check_data(&source)?;
        Ok(Self {
            task: task.clone(),
            conventions: serde_json::from_value(conventions.clone())
                .with_context(|| format!("in the manifest of {folder}"))?,
            source,
            stored,
            device,
            compared_on: None,
        })
    }

    /// The same, compared with the network in floats on test segments: `items` of them, or as many as in training.
    pub(crate) fn compared_on(self, items: Option<usize>) -> Self {
        Self {
            compared_on: Some(items),
            ..self
        }
    }

    /// The detector, and the comparison that was asked for.
    ///
    /// # Errors
    /// A network without a form in integers, and data that cannot be read.
    pub(crate) fn run(self) -> Result<(IntegerDetector, Option<Compilation>)> {
        let (model, seed) = (&self.stored.model, self.stored.recipe.seed);
        model.build(seed, self.device, self)?
    }

    /// Codes for segments like those of the training.
    fn signal(&self) -> Result<SignalFormat> {
        let amount: Amount = self.stored.training_amount(CALIBRATION_ITEMS);
        let seed = self.stored.recipe.seed;
        let samples = self.source.training_samples(seed, amount)?;
        self.stored.model.check(samples.shape)?;
        let [channels, _, length] = samples.shape;
        let training = ArrhythmiaDetection::new(samples, &self.task);
        let items: Vec<usize> = (0..training.items()).collect();
        let batch = training.batch(&items, self.device)?;
        Ok(SignalFormat::fitting(channels, length, &inputs(&batch)?)?)
    }

    /// Compares `detector` with `floats` on test segments.
    fn compare<C: Classifier>(
        &self,
        detector: &IntegerDetector,
        floats: &C,
        items: Option<usize>,
    ) -> Result<Compilation> {
        let network = &detector.network;
        let fast = FastNetwork::new(network);
        let step = (network.signal().exponent as f32).exp2();
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
            let values: Vec<f32> = codes
                .iter()
                .flatten()
                .map(|code| f32::from(*code) * step)
                .collect();
            let data = TensorData::new(values, batch.inputs().dims());
            let on_codes = floats.forward(Tensor::from_data(data, self.device));
            let off = (on_codes - integers.clone()).abs().max();
            difference = difference.max(f64::from(off.into_scalar::<f32>()));
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
        let bits = |layer: &CompiledLayer| layer.weights * usize::from(layer.weight_bits);
        let weights: usize = layers.iter().map(|layer| layer.weights).sum();
        Ok(Compilation {
            mean_bits: layers.iter().map(bits).sum::<usize>() as f64 / weights as f64,
            layers,
            segments: test.items(),
            alike: in_integers.alike(&in_floats),
            metric: test.metric().name.into_owned(),
            floats: test.value(&in_floats).ok(),
            integers: test.value(&in_integers).ok(),
            bound: rounding_bound(network).into_iter().fold(0.0, f64::max),
            difference,
        })
    }
}

impl WithNetwork for CompileJob<'_> {
    type Output = Result<(IntegerDetector, Option<Compilation>)>;

    fn classifier<C: Classifier>(self, network: C) -> Self::Output {
        let stored = self.stored;
        let Some(folder) = stored.checkpoint() else {
            bail!("{} is no checkpoint", stored.folder.display());
        };
        let network = stored.recipe.quantization.activations(network);
        let network = load_checkpoint(folder, network)?.0;
        let plan = stored.recipe.weights::<C>();
        plan.check(&network)?;
        let floats = programmed(&network, stored.weights::<C>()).valid();
        let signal = self.signal()?;
        let integers = to_integers(&network.valid(), &plan, stored.manifest.programmed, signal)
            .with_context(|| format!("{} has no form in integers", stored.folder.display()))?;
        let data = (&stored.recipe.data, stored.recipe.seed);
        let detector = IntegerDetector::new(integers, &self.task, self.conventions.clone(), data);
        let compared = match self.compared_on {
            Some(items) => Some(self.compare(&detector, &floats, items)?),
            None => None,
        };
        Ok((detector, compared))
    }

    fn autoencoder<A: Autoencoder>(self, _: A) -> Self::Output {
        bail!("{} is no classifier", self.stored.folder.display())
    }

    fn language_model<L: CausalLanguageModel>(self, _: L) -> Self::Output {
        bail!("{} is no classifier", self.stored.folder.display())
    }
}
