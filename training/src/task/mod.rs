//! Tasks: what networks are trained and judged for. Everything that serves all tasks knows them only through the traits in
//! this file.
//!
//! A [`Task`] is one part of a data set (training, validation or test) with the metric that it is judged by. [`Learn`] says,
//! for one kind of network, what a network computes for a batch, which loss it learns by, and how it is judged. Trainer,
//! methods, populations, races, searches and certificates use only these two traits.
//!
//! ```text
//! items ── batch ──▶ Batch ── forward ──▶ Output ─┬─ loss ──────▶ one number with a gradient     training
//!                                                 ├─ judge ─────▶ Tally ── value ──▶ metric      evaluation
//!                                                 └─ surrogate ─▶ what an attack makes small     worst case
//! ```
//!
//! Functions that only some tasks offer have a default that refuses in one line: [`Learn::hits`] for races,
//! [`Learn::sampled_loss`] for sensitivities, [`Learn::certify`] for certificates. The default of [`Learn::confuse`] does
//! nothing.

mod anomaly;
mod arrhythmia;
mod batch;
mod classification;
mod confusion;
mod figures;
mod kept_threshold;
mod language_modelling;
mod lesion;
mod registry;
mod retrieval;
mod tally;
mod unit;
mod verification;

use std::fmt::{Debug, Display};
use std::ops::Range;
use std::str::FromStr;

use burn::tensor::{Device, Gradients, Tensor};
use crossburn_noise::worst_case::Surrogates;
use crossburn_noise::{Metric, Philox};
use serde::Serialize;
use serde::de::DeserializeOwned;

pub use anomaly::{
    AnomalyConfig, AnomalyDetection, AnomalyMetric, AnomalySurrogate, ReconstructionLoss, auprc,
    auroc,
};
pub use arrhythmia::{
    Alarms, ArrhythmiaConfig, ArrhythmiaDetection, ArrhythmiaMetric, Counts, DecidedSegment,
    DecidedSequence, Decision, Detector, Diagnosis, MorphologyConfig, SegmentScale, Segments, Vote,
    Voter, contest_score, contest_score_2023,
};
pub use batch::Batch;
pub use classification::{
    AttackLoss, CandidateResult, CandidateTrials, Classification, Labelled, margin_loss,
};
pub use confusion::Confusion;
pub use figures::{Chart, Figures, Picture, PictureRow, Pictures, Shape, Trace};
pub use kept_threshold::kept_threshold;
pub use language_modelling::{
    LanguageMetric, LanguageModelling, LanguageModellingConfig, Rows, Sequence, TaughtTexts,
};
pub(crate) use language_modelling::{Limits, sequences};
pub use language_modelling::{personalisation, stored_prompts};
pub use lesion::{
    CorruptionNoise, LesionConfig, LesionDetection, LesionIntervals, LesionMaps, LesionMetric,
    Reconstruction, ScannedSlices, Slices,
};
pub use registry::{Chosen, Part, Role, TaskConfig, TaskParts, WithTask};
pub use retrieval::{
    Distance, Embedded, Queries, Ranks, Retrieval, RetrievalConfig, Searched, Triplets,
};
pub use tally::{MeanTally, Tally};
pub use unit::mean_direction;
pub use verification::{
    AddedPeople, Bias, Cleansed, Cleansing, CleansingConfig, Compared, CurvePoint, FaceOutput,
    FaceVectors, Faces, Head, Sampling, Verification, VerificationConfig, VerificationMetric,
    accuracy_by_folds, best_threshold, cosine, curve, fnmr_at_fmr, gap_to_real, group_accuracies,
    interval_over_people, intervals_over_people, trade_off,
};

use crate::data::{Augmentation, Conventions};
use crate::{Batches, TrainingError};

/// Refuses the first of `outputs`, in rows of `width` for each item, that is NaN or infinite; items count from 0.
///
/// # Errors
/// [`TrainingError::NotFinite`].
pub(crate) fn require_finite(outputs: &[f32], width: usize) -> Result<(), TrainingError> {
    match outputs.iter().position(|value| !value.is_finite()) {
        Some(place) => Err(TrainingError::NotFinite {
            what: "the network".to_string(),
            item: place / width,
            output: place % width,
            value: outputs[place],
        }),
        None => Ok(()),
    }
}

/// The time at which items are learned from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Key of the draws of this epoch.
    pub key: u64,
    /// The share of all epochs that is done, from 0 to below 1.
    pub progress: f64,
}

/// One part of the data of a task, with the metric that a network is judged by on it. A clone is cheap: data are shared.
pub trait Task: Clone + Debug + Send + Sync {
    /// Some of its items on a device.
    type Batch: Batch;
    /// A sum over batches, from which the metric is computed.
    type Tally: Tally;

    /// The metric on these items.
    fn metric(&self) -> Metric;

    /// Number of items.
    fn items(&self) -> usize;

    /// The first `count` items, and the rest.
    fn split_at(&self, count: usize) -> (Self, Self);

    /// About the first `count` items, to learn from, and the rest, to choose an epoch by. Items that belong together, such
    /// as those of one patient, are on one side if the task knows about it.
    fn hold_back(&self, count: usize) -> (Self, Self) {
        self.split_at(count)
    }

    /// A digest of everything that networks see of the items. It does not depend on where the items are stored.
    fn digest(&self) -> String;

    /// A digest of which items of a source these are, by which a training that goes on finds out that it would learn from others; none by default. It reads
    /// no item.
    fn selection(&self) -> Option<String> {
        None
    }

    /// The items with these numbers, in this order, each below [`items`](Self::items).
    ///
    /// # Errors
    /// An item that can no longer be read, of a task whose items stay in their files.
    fn batch(&self, items: &[usize], device: &Device) -> Result<Self::Batch, TrainingError>;

    /// Like [`batch`](Self::batch), for learning. Some tasks draw something new each time an item is learned from, such as
    /// the noise that corrupts it; they use the key of `moment`. By default nothing is drawn.
    ///
    /// # Errors
    /// Those of [`batch`](Self::batch).
    fn fresh(
        &self,
        items: &[usize],
        moment: Moment,
        device: &Device,
    ) -> Result<Self::Batch, TrainingError> {
        let _ = moment;
        self.batch(items, device)
    }

    /// Like [`fresh`](Self::fresh), each item augmented by its own stream of `key`.
    ///
    /// # Errors
    /// [`TrainingError::NotOffered`] by default: items that have no augmentation. Those of [`batch`](Self::batch).
    fn augmented(
        &self,
        items: &[usize],
        augmentation: &Augmentation,
        key: u64,
        device: &Device,
    ) -> Result<Self::Batch, TrainingError> {
        let _ = (items, augmentation, key, device);
        let needs = "items that can be cropped and mirrored";
        Err(not_offered("training.augmentation", needs, &self.metric()))
    }

    /// The batches of one epoch of training, as numbers of items: by default all of them in the random order of `stream`,
    /// `batch` at a time.
    fn epoch(&self, stream: &Philox, batch: usize) -> Vec<Vec<usize>> {
        let order = stream.permutation(self.items());
        order.chunks(batch).map(<[usize]>::to_vec).collect()
    }

    /// Most items whose outputs may be held at a time when networks are judged; no limit by default.
    fn most_at_once(&self) -> usize {
        usize::MAX
    }

    /// Most items that may lie on a device at a time between two passes of networks that are judged; without bound by default. A task whose
    /// items stay in their files has one, for they may be more than memory holds.
    fn held_at_once(&self) -> usize {
        usize::MAX
    }

    /// The metric of all items whose batches made `tally`.
    ///
    /// # Errors
    /// [`TrainingError::Undefined`] where these items have none, such as a rate among no items.
    fn value(&self, tally: &Self::Tally) -> Result<f64, TrainingError>;

    /// Conventions by which networks see the items. A checkpoint keeps them, so that they apply to other items as well. None
    /// by default.
    fn conventions(&self) -> Option<Conventions> {
        None
    }

    /// Other numbers about these items that are worth showing beside the metric; none by default.
    fn also(&self, tally: &Self::Tally) -> Vec<(Metric, f64)> {
        let _ = tally;
        Vec::new()
    }

    /// Charts of these items, such as precision by recall, that say more than the metric; none by default.
    fn charts(&self, tally: &Self::Tally) -> Vec<Chart> {
        let _ = tally;
        Vec::new()
    }

    /// The lines of [`charts`](Self::charts) for one chip, which a report draws beside those of the network. A task leaves out bands that take long.
    fn charts_of_chip(&self, tally: &Self::Tally) -> Vec<Chart> {
        self.charts(tally)
    }

    /// Whether [`flips`](Self::flips) is offered.
    const FLIPS: bool = false;

    /// Some items, in pictures, that a chip decides otherwise than the network without variation: `quiet` and `chip` are the tallies of both on the same
    /// items. None by default.
    fn flips(&self, quiet: &Self::Tally, chip: &Self::Tally) -> Option<Pictures> {
        let _ = (quiet, chip);
        None
    }
}

/// A surrogate of a metric, which a worst-case search makes small. It is written and read by its name.
pub trait Surrogate:
    Copy
    + Debug
    + Default
    + Display
    + FromStr<Err = String>
    + PartialEq
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
{
}

impl<S> Surrogate for S where
    S: Copy
        + Debug
        + Default
        + Display
        + FromStr<Err = String>
        + PartialEq
        + Serialize
        + DeserializeOwned
        + Send
        + Sync
{
}

/// How networks of type `N` learn and are judged for a task. There is one implementation for each kind of network and task.
pub trait Learn<N>: Task {
    /// The output of a network for a batch.
    type Output: Clone;
    /// The surrogates of the metric that its searches know; [`RaisedLoss`] for a task that has none of its own.
    type Surrogate: Surrogate;

    /// Whether the metric is the share of [`hits`](Self::hits).
    const COUNTS: bool = false;
    /// Whether [`sampled_loss`](Self::sampled_loss) is offered.
    const SAMPLES: bool = false;
    /// Whether [`distillation_loss`](Self::distillation_loss) is offered.
    const DISTILS: bool = false;
    /// Whether [`judge`](Self::judge) can handle the outputs of several chips side by side. Otherwise chips are judged one
    /// by one.
    const SIDE_BY_SIDE: bool = false;

    /// Refuses `what` where the metric is not the share of items that are right.
    ///
    /// # Errors
    /// [`TrainingError::NotOffered`].
    fn require_counts(what: &'static str, metric: &Metric) -> Result<(), TrainingError> {
        match Self::COUNTS {
            true => Ok(()),
            false => Err(not_offered(what, COUNTED, metric)),
        }
    }

    /// Refuses `what` where networks give no probabilities to learn from.
    ///
    /// # Errors
    /// [`TrainingError::NotOffered`].
    fn require_probabilities(what: &'static str, metric: &Metric) -> Result<(), TrainingError> {
        match Self::DISTILS {
            true => Ok(()),
            false => Err(not_offered(what, SAMPLED, metric)),
        }
    }

    /// The output of `network` for `batch`.
    fn forward(&self, network: &N, batch: &Self::Batch) -> Self::Output;

    /// The reason why `network` gave NaN, if it knows one; `None` by default.
    fn failure(&self, network: &N) -> Option<String> {
        let _ = network;
        None
    }

    /// `error`, which `network` has caused by what it gave for what `place` says, or its own [`failure`](Self::failure).
    fn explained(&self, network: &N, place: &str, error: TrainingError) -> TrainingError {
        match self.failure(network) {
            Some(cause) => TrainingError::Failed {
                what: "the network".to_string(),
                place: place.to_string(),
                cause,
            },
            None => error,
        }
    }

    /// Refuses a network whose outputs these items cannot be judged by.
    ///
    /// # Errors
    /// What does not fit.
    fn fits(&self, output: &Self::Output, batch: &Self::Batch) -> Result<(), TrainingError> {
        let _ = (output, batch);
        Ok(())
    }

    /// The loss that training makes small: the mean over the items of `batch`, `[1]`.
    fn loss(&self, output: Self::Output, batch: &Self::Batch) -> Tensor<1>;

    /// The loss of `output` with its gradient, its value, and what `output` counts for.
    ///
    /// # Errors
    /// Those of [`judge`](Self::judge).
    fn learned(
        &self,
        output: Self::Output,
        batch: &Self::Batch,
    ) -> Result<(Tensor<1>, f64, Self::Tally), TrainingError> {
        self.counted(output, batch, |output| Ok(self.loss(output, batch)))
    }

    /// The same with another loss. A loss that is not finite is not counted; it ends the run.
    ///
    /// # Errors
    /// Those of [`judge`](Self::judge) and of `loss`.
    fn counted(
        &self,
        output: Self::Output,
        batch: &Self::Batch,
        loss: impl FnOnce(Self::Output) -> Result<Tensor<1>, TrainingError>,
    ) -> Result<(Tensor<1>, f64, Self::Tally), TrainingError> {
        let mut tally = [Self::Tally::default()];
        let loss = loss(output.clone())?;
        let value = f64::from(loss.clone().into_scalar::<f32>());
        if value.is_finite() {
            // Free the output before gradients are taken.
            self.judge(output, batch, &mut tally)?;
        }
        let [tally] = tally;
        Ok((loss, value, tally))
    }

    /// Gives `take` the gradients of `share` times the loss of `batch`, part by part, while activations are held of one block of
    /// `network` at a time; the loss, and what its outputs count for.
    ///
    /// # Errors
    /// [`TrainingError::NotOffered`] by default: networks without blocks. Those of [`judge`](Self::judge).
    fn gradients_by_blocks(
        &self,
        network: &N,
        batch: &Self::Batch,
        share: f64,
        take: &mut dyn FnMut(Gradients),
    ) -> Result<(f64, Self::Tally), TrainingError> {
        let _ = (network, batch, share, take);
        let needs = "a language model, which is made of blocks";
        Err(not_offered(
            "training.checkpoint_blocks",
            needs,
            &self.metric(),
        ))
    }

    /// How far `output` is from `teacher`, what another network gives for the same batch, without autodiff: the mean over what is predicted of
    /// `τ² KL(softmax(teacher / τ) || softmax(output / τ))`, τ = `temperature`, `[1]`.
    ///
    /// # Errors
    /// [`TrainingError::NotOffered`] by default.
    fn distillation_loss(
        &self,
        output: Self::Output,
        teacher: Self::Output,
        temperature: f64,
    ) -> Result<Tensor<1>, TrainingError> {
        let _ = (output, teacher, temperature);
        Err(not_offered("distillation", SAMPLED, &self.metric()))
    }

    /// The loss that an adversary in training makes small: by default the negative of the loss, `[1]`.
    fn adversarial_loss(&self, output: Self::Output, batch: &Self::Batch) -> Tensor<1> {
        -self.loss(output, batch)
    }

    /// Adds the items of `batch` to the tallies: one, or with [`SIDE_BY_SIDE`](Self::SIDE_BY_SIDE) one for each of the chips
    /// whose outputs stand side by side in `output`.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`] for an output that is NaN or infinite, with the item counted from 0 in the batch, and
    /// those of [`fits`](Self::fits).
    fn judge(
        &self,
        output: Self::Output,
        batch: &Self::Batch,
        tallies: &mut [Self::Tally],
    ) -> Result<(), TrainingError>;

    /// Adds to `tally` results that need more of `network` than the output of one pass, such as texts that it continues, for
    /// the items with these numbers. By default nothing. Not called for chips side by side.
    ///
    /// # Errors
    /// Those of the network.
    fn judge_further(
        &self,
        network: &N,
        items: &[u64],
        tally: &mut Self::Tally,
    ) -> Result<(), TrainingError> {
        let _ = (network, items, tally);
        Ok(())
    }

    /// Number of items of `batch` that the output gets right, if the metric is the share of right items.
    ///
    /// # Errors
    /// As [`judge`](Self::judge); [`TrainingError::NotOffered`] by default.
    fn hits(&self, output: Self::Output, batch: &Self::Batch) -> Result<u64, TrainingError> {
        let _ = (output, batch);
        Err(not_offered("a race", COUNTED, &self.metric()))
    }

    /// Adds what `output` takes the items of `batch` for to `found`, for a report: only the network without variation is asked,
    /// never the chips of a population. By default nothing: a task without labels.
    ///
    /// # Errors
    /// As [`judge`](Self::judge).
    fn confuse(
        &self,
        output: Self::Output,
        batch: &Self::Batch,
        found: &mut Confusion,
    ) -> Result<(), TrainingError> {
        let _ = (output, batch, found);
        Ok(())
    }

    /// Some of the items whose outputs made `tally`, in pictures, with what `network` makes of them, for a report; `item` gives the item with a
    /// number on the device of the network. Only the network without variation is asked. Nothing by default.
    ///
    /// # Errors
    /// A device that cannot give its results back, and those of [`Task::batch`].
    fn pictures(
        &self,
        network: &N,
        tally: &Self::Tally,
        item: &dyn Fn(usize) -> Result<Option<Self::Batch>, TrainingError>,
    ) -> Result<Option<Pictures>, TrainingError> {
        let _ = (network, tally, item);
        Ok(None)
    }

    /// The loss of one item whose target is drawn from the network's own output, at `draw` in 0..1, `[1]`. The Fisher
    /// information is made of such losses.
    ///
    /// # Errors
    /// [`TrainingError::NotOffered`] by default, [`TrainingError::NotFinite`].
    fn sampled_loss(&self, output: Self::Output, draw: f64) -> Result<Tensor<1>, TrainingError> {
        let _ = (output, draw);
        Err(not_offered("a sensitivity", SAMPLED, &self.metric()))
    }

    /// The surrogates for the items of `batches` on this network, the most useful before the others: by default one.
    ///
    /// # Errors
    /// Those of the network, which may read the items.
    fn surrogates(
        &self,
        network: &N,
        batches: &Batches<Self>,
    ) -> Result<SurrogateList<Self::Surrogate>, TrainingError> {
        let _ = (network, batches);
        Ok(SurrogateList::one(Self::Surrogate::default()))
    }

    /// Refuses a surrogate that this network does not have.
    ///
    /// # Errors
    /// [`TrainingError::Setting`].
    fn allows(
        &self,
        surrogate: Self::Surrogate,
        output: &Self::Output,
    ) -> Result<(), TrainingError> {
        let _ = (surrogate, output);
        Ok(())
    }

    /// The sum of `surrogate` over the items of `batch`, a number with its gradient by the output, and the items added to
    /// `tally`. By default the loss, raised.
    ///
    /// # Errors
    /// Those of [`judge`](Self::judge).
    fn surrogate(
        &self,
        surrogate: Self::Surrogate,
        output: Self::Output,
        batch: &Self::Batch,
        tally: &mut Self::Tally,
    ) -> Result<Attacked, TrainingError> {
        let _ = surrogate;
        let items = batch.items() as f64;
        self.judge(output.clone(), batch, std::slice::from_mut(tally))?;
        let gradient = self.loss(output, batch) * -items;
        let sum = f64::from(gradient.clone().into_scalar::<f32>());
        Ok(Attacked { sum, gradient })
    }

    /// The least margin by which every item of `batch` stays right, for all weights in the boxes of `network`; `None` if
    /// this task or network cannot say.
    fn certify(&self, network: &N, batch: &Self::Batch) -> Option<Vec<f64>> {
        let _ = (network, batch);
        None
    }
}

/// The item between 1 and `items` at which a group begins and that is nearest to `count`; `count` where there is no such item, or nothing
/// is to be parted.
pub(crate) fn border_near(
    count: usize,
    items: usize,
    group: impl Fn(usize) -> Option<u32>,
) -> usize {
    if count == 0 || count >= items {
        return count;
    }
    let borders = (1..items).filter(|item| group(*item) != group(item - 1));
    let nearest = borders.min_by_key(|border| border.abs_diff(count));
    nearest.unwrap_or(count)
}

/// `loss` times `share`.
pub(crate) fn shared(loss: Tensor<1>, share: f64) -> Tensor<1> {
    match share == 1.0 {
        true => loss,
        false => loss * share,
    }
}

/// The error that `what` needs something that a task with this metric does not offer.
pub(crate) fn not_offered(
    what: &'static str,
    needs: &'static str,
    metric: &Metric,
) -> TrainingError {
    TrainingError::NotOffered {
        what,
        needs,
        metric: metric.name.to_string(),
    }
}

/// The feature that a race needs from a task.
const COUNTED: &str = "a metric that counts items that are right";
/// The feature that sensitivities need from a task.
pub(crate) const SAMPLED: &str = "a network that gives probabilities";

/// The result of a surrogate for a batch.
#[derive(Debug)]
pub struct Attacked {
    /// Its sum over the items.
    pub sum: f64,
    /// A number whose gradient by the output is that of the sum, `[1]`; its value does not matter.
    pub gradient: Tensor<1>,
}

/// The surrogates of one attack, numbered: those that work from any point, then those that push all items one way.
#[derive(Clone, Debug, PartialEq)]
pub struct SurrogateList<S> {
    all: Vec<S>,
    general: usize,
}

impl<S> SurrogateList<S> {
    /// One surrogate.
    pub fn one(surrogate: S) -> Self {
        Self {
            all: vec![surrogate],
            general: 1,
        }
    }

    /// These, of which `directed` are good to begin with only.
    pub fn new(general: Vec<S>, directed: impl IntoIterator<Item = S>) -> Self {
        let count = general.len();
        let mut all = general;
        all.extend(directed);
        Self {
            all,
            general: count,
        }
    }

    /// All of them, by number.
    pub fn all(&self) -> &[S] {
        &self.all
    }

    pub(crate) fn count(&self) -> Surrogates {
        Surrogates {
            general: self.general,
            directed: self.all.len() - self.general,
        }
    }
}

/// The one surrogate of a task that names no other: its loss, raised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RaisedLoss {
    /// The negative of the loss that training makes small.
    #[default]
    Loss,
}

impl Display for RaisedLoss {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("loss")
    }
}

impl FromStr for RaisedLoss {
    type Err = String;

    /// `loss`.
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "loss" => Ok(Self::Loss),
            _ => Err("use loss".to_string()),
        }
    }
}

/// The items of a batch of `items` from `first` on, in words.
pub(crate) fn items_in_words(first: usize, items: usize) -> String {
    match items {
        1 => format!("item {first}"),
        _ => format!(
            "one of the items {first} to {}",
            (first + items).saturating_sub(1)
        ),
    }
}

/// The positions `range` of a batch that starts at `start`, counted in the batch; `None` where none of them is in it.
pub(crate) fn overlap(start: usize, items: usize, range: &Range<usize>) -> Option<Range<usize>> {
    let from = range.start.max(start);
    let to = range.end.min(start + items);
    (from < to).then(|| from - start..to - start)
}
