//! Telling whether two images are of one person: a network learns to tell identities apart, and pairs of other people are decided by the
//! angle between vectors.
//!
//! | file | question |
//! |---|---|
//! | `config.rs` | how are faces learned and compared? |
//! | `people.rs` | who is on the images, and which pairs are compared? |
//! | `batch.rs` | what does a network see and give? |
//! | `margin.rs` | what is learned? |
//! | `added.rs` | who is learned from beside the people of the data source, and how often? |
//! | `cleansing.rs` | which images and people are not worth learning from? |
//! | `auxiliary.rs` | which network says so, and from whom has it learned? |
//! | `covered.rs` | what stands before a face that is learned from? |
//! | `scores.rs`, `threshold.rs`, `curve.rs` | what are decisions worth? |
//! | `bootstrap.rs` | how sure is that? |
//! | `figures.rs` | what is shown of it? |
//! | `flips.rs` | which pairs does a chip decide otherwise? |
//! | `parts.rs` | which people are learned from and judged on, and where does the threshold come from? |

mod added;
mod auxiliary;
mod batch;
mod bootstrap;
mod cleansing;
mod config;
mod covered;
mod curve;
mod figures;
mod flips;
mod margin;
mod parts;
mod people;
mod scores;
#[cfg(test)]
mod tests;
mod threshold;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, OnceLock};

use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_checkpoints::Checksum;
use crossburn_models::Recognizer;
use crossburn_noise::{Metric, Philox};

pub use added::AddedPeople;
pub use batch::{FaceOutput, FaceVectors, Faces, cosine};
pub use bootstrap::{interval_over_people, intervals_over_people};
pub use cleansing::{Cleansed, Cleansing, CleansingConfig};
pub use config::{Sampling, VerificationConfig, VerificationMetric};
pub use curve::{CurvePoint, curve, fnmr_at_fmr};
pub use margin::Head;
pub(crate) use parts::Verifications;
pub use scores::{Bias, Compared, gap_to_real, group_accuracies, trade_off};
pub use threshold::{accuracy_by_folds, best_threshold};

use self::config::FMR;
use self::covered::covered;
use self::people::{Pair, People};
use super::unit::unit;
use super::{Learn, Moment, RaisedLoss, Task, require_finite};
use crate::TrainingError;
use crate::data::{Augmentation, Conventions, Origins, Samples};
use crate::weight_gradients::values;

/// What images are for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Purpose {
    /// To learn from, by who is on them.
    Learn,
    /// To choose an epoch by, and to find the threshold on.
    Choose,
    /// To judge a network by.
    Judge,
}

/// Images of people in groups: to learn from, or with pairs to decide about.
///
/// A sample's label is its group; its origin says the person. A network learns the people of the training set by a loss with a margin, and is
/// judged by decisions about pairs of other people: "one person" where the cosine of two vectors reaches a threshold, which held-back people of
/// the training set gave.
///
/// # Source
/// Melzi et al., "FRCSyn challenge at WACV 2024: face recognition challenge in the era of synthetic data" (arXiv 2311.10476).
///
/// ```
/// use burn::tensor::Device;
/// use crossburn_models::{FaceNetConfig, initialize};
/// use crossburn_training::data::{FacesConfig, faces};
/// use crossburn_training::{Batches, Task, Verification, VerificationConfig, evaluate};
///
/// let device = Device::flex();
/// let network = initialize(FaceNetConfig { features: 2, ..Default::default() }.init(&device), 1);
/// let config = VerificationConfig { threshold: Some(0.5), ..Default::default() };
/// let set = FacesConfig { images: 2, balanced: true, ..Default::default() };
/// let task = Verification::judge(faces(1, 0, 32, &set), &config, 1)?;
/// assert_eq!(task.metric().name, "TO");
/// assert!(evaluate(&network, &Batches::new(&task, 16, &device)?)? <= 1.0);
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct Verification {
    samples: Arc<Samples>,
    /// Places of the items among the samples.
    places: Arc<[usize]>,
    /// The number of a class vector for every person of the samples who is learned.
    identities: Arc<BTreeMap<u32, usize>>,
    /// What is decided about; nothing where images are learned from.
    pairs: Arc<[Pair]>,
    config: Arc<VerificationConfig>,
    seed: u64,
    purpose: Purpose,
    /// The number of groups of the first set. The groups that follow are of people who were added.
    first_groups: usize,
    /// The threshold that training found, for a configuration without one.
    kept: Arc<OnceLock<f64>>,
}

impl Verification {
    /// All images, to learn from.
    ///
    /// # Errors
    /// A bad configuration, and samples of which nobody knows who is on them, or a person in two groups.
    pub fn learn(
        samples: impl Into<Arc<Samples>>,
        config: &VerificationConfig,
        seed: u64,
    ) -> Result<Self, TrainingError> {
        Self::of(samples.into(), config, seed, Purpose::Learn)
    }

    /// All images, with pairs to judge a network by, which `seed` draws.
    ///
    /// # Errors
    /// Those of [`learn`](Self::learn), and [`TrainingError::Undefined`] for a group without a pair of one person and one of two people.
    pub fn judge(
        samples: impl Into<Arc<Samples>>,
        config: &VerificationConfig,
        seed: u64,
    ) -> Result<Self, TrainingError> {
        let task = Self::of(samples.into(), config, seed, Purpose::Judge)?;
        let people = People::of(&task.samples, &task.places)?;
        match people.without_pairs(&task.pairs) {
            Some(group) => Err(task.undefined(format!(
                "group {} has no two people of whom one has two images",
                task.samples.class_name(group)
            ))),
            None if task.pairs.is_empty() => {
                Err(task.undefined("there are no two images to compare".to_string()))
            }
            None => Ok(task),
        }
    }

    /// Images of which nobody is known, to take their [`vectors`](Self::vectors): no pair is decided about.
    ///
    /// # Errors
    /// A bad configuration.
    pub fn of_nobody(samples: Samples, config: &VerificationConfig) -> Result<Self, TrainingError> {
        let nobody = samples.labels.iter().map(|label| ("nobody", *label));
        let origins = Some(Origins::in_order(nobody));
        let samples = Arc::new(Samples { origins, ..samples });
        let task = Self::of(samples, config, 0, Purpose::Learn)?;
        Ok(Self {
            purpose: Purpose::Judge,
            ..task
        })
    }

    fn of(
        samples: Arc<Samples>,
        config: &VerificationConfig,
        seed: u64,
        purpose: Purpose,
    ) -> Result<Self, TrainingError> {
        config.check()?;
        let places: Vec<usize> = (0..samples.len()).collect();
        let people = People::of(&samples, &places)?;
        let numbered = people.numbers().into_iter().enumerate();
        let identities = numbered.map(|(number, person)| (person, number)).collect();
        let task = Self {
            first_groups: samples.classes,
            samples,
            places: Arc::default(),
            identities: Arc::new(identities),
            pairs: Arc::default(),
            config: Arc::new(config.clone()),
            seed,
            purpose,
            kept: Arc::default(),
        };
        Ok(task.with_places(places, &people, purpose))
    }

    /// Of the same samples those at `places`, of these `people`.
    fn with_places(&self, places: Vec<usize>, people: &People, purpose: Purpose) -> Self {
        let mut pairs = match purpose {
            Purpose::Learn => Vec::new(),
            Purpose::Choose | Purpose::Judge => people.pairs(self.config.pairs, self.seed),
        };
        // People who were added are not those that a network is for.
        pairs.retain(|pair| pair.group < self.first_groups);
        Self {
            places: places.into(),
            pairs: pairs.into(),
            purpose,
            ..self.clone()
        }
    }

    /// The same with the samples at `places` alone.
    fn narrowed(&self, places: &[usize], purpose: Purpose) -> Self {
        match People::of(&self.samples, places) {
            Ok(people) => self.with_places(places.to_vec(), &people, purpose),
            // These samples were looked at before: none is of nobody.
            Err(_) => self.clone(),
        }
    }

    /// The same items. Where the configuration has no threshold, they take that of `kept`, even if it is set later.
    #[must_use]
    pub fn with_kept_threshold(self, kept: Arc<OnceLock<f64>>) -> Self {
        Self { kept, ..self }
    }

    /// The number of people that class vectors are needed for.
    pub fn identities(&self) -> usize {
        self.identities.len()
    }

    /// The number of pairs that are decided about.
    pub fn pairs(&self) -> usize {
        self.pairs.len()
    }

    /// The groups, in the order of their numbers.
    pub fn groups(&self) -> Vec<String> {
        let groups = 0..self.samples.classes;
        groups.map(|group| self.samples.class_name(group)).collect()
    }

    fn person(&self, item: usize) -> u32 {
        let place = self.places[item];
        // Samples of nobody are refused by the constructors.
        let origins = self.samples.origins.as_ref();
        origins.map_or(0, |origins| origins.samples[place].group)
    }

    fn undefined(&self, why: String) -> TrainingError {
        TrainingError::Undefined {
            metric: self.metric().name.into_owned(),
            why,
        }
    }

    /// The items on a device, each augmented by its own stream where that is asked for.
    fn on(
        &self,
        items: &[usize],
        drawn: Option<(Augmentation, u64)>,
        device: &Device,
    ) -> Result<Faces, TrainingError> {
        let places: Vec<usize> = items.iter().map(|item| self.places[*item]).collect();
        let inputs = match &drawn {
            None => self.samples.inputs(&places, device),
            Some((augmentation, key)) => {
                let inputs = self
                    .samples
                    .augmented_inputs(&places, augmentation, *key, device);
                covered(inputs, self.config.occlusion, (*key, &places))
            }
        };
        self.samples.check_read()?;
        let learned = self.purpose == Purpose::Learn;
        let mirrored = !learned && self.config.mirror;
        let number = |item: &usize| self.identities.get(&self.person(*item)).copied();
        Ok(Faces {
            mirrored: mirrored.then(|| inputs.clone().flip([3])),
            inputs,
            identities: items.iter().filter_map(number).collect(),
            places,
            learned,
        })
    }

    /// The pairs of which both images were seen, with their scores.
    pub fn compared(&self, vectors: &FaceVectors) -> Vec<Compared> {
        let rows = vectors
            .rows
            .iter()
            .map(|(place, row)| (*place, row.as_slice()));
        let rows: HashMap<usize, &[f32]> = rows.collect();
        let score = |pair: &Pair| {
            let [first, second] = pair.places.map(|place| rows.get(&place));
            Some(Compared {
                group: pair.group,
                people: pair.people,
                score: cosine(first?, second?),
            })
        };
        self.pairs.iter().filter_map(score).collect()
    }

    /// From which score on images count as of one person. For held-back people it is their own best one.
    fn threshold(&self, compared: &[Compared]) -> Option<f64> {
        let kept = self.kept.get().copied();
        match (self.config.threshold.or(kept), self.purpose) {
            (Some(threshold), _) => Some(threshold),
            (None, Purpose::Choose) => best_threshold(compared),
            (None, Purpose::Learn | Purpose::Judge) => None,
        }
    }

    /// The accuracies of groups at a threshold, and what they say together.
    fn bias(&self, compared: &[Compared], threshold: f64) -> Option<(Vec<Option<f64>>, Bias)> {
        let weights = vec![1.0; compared.len()];
        let groups = group_accuracies(compared, &weights, threshold, self.samples.classes);
        let known: Vec<f64> = groups.iter().copied().flatten().collect();
        Some((groups, Bias::of(&known)?))
    }

    /// One number of compared pairs, whatever these networks are judged by.
    ///
    /// # Errors
    /// [`TrainingError::Undefined`] without pairs of both kinds, and without a threshold where one is needed.
    pub fn measured(
        &self,
        metric: VerificationMetric,
        compared: &[Compared],
    ) -> Result<f64, TrainingError> {
        let undefined = |why: &str| TrainingError::Undefined {
            metric: metric.metric().name.into_owned(),
            why: why.to_string(),
        };
        if compared.is_empty() {
            return Err(undefined("there are no pairs of two images that were seen"));
        }
        let found = match metric {
            VerificationMetric::Fnmr => fnmr_at_fmr(compared, &vec![1.0; compared.len()], FMR),
            of_groups => {
                let Some(threshold) = self.threshold(compared) else {
                    return Err(undefined(
                        "there is no threshold: set task.threshold, or train with data.validation, whose people give it",
                    ));
                };
                let bias = self.bias(compared, threshold);
                bias.map(|(_, bias)| match of_groups {
                    VerificationMetric::Avg => bias.avg,
                    VerificationMetric::WorstGroup => bias.worst,
                    _ => bias.to(),
                })
            }
        };
        found.ok_or_else(|| undefined("no group has pairs of both kinds"))
    }
}

impl Task for Verification {
    type Batch = Faces;
    type Tally = FaceVectors;

    fn metric(&self) -> Metric {
        self.config.metric.metric()
    }

    fn items(&self) -> usize {
        self.places.len()
    }

    fn split_at(&self, count: usize) -> (Self, Self) {
        let (first, rest) = self.places.split_at(count.min(self.items()));
        let part = |places| self.narrowed(places, self.purpose);
        (part(first), part(rest))
    }

    /// People are on one side each, and every group holds back about the same share of its people.
    fn hold_back(&self, count: usize) -> (Self, Self) {
        if count >= self.items() {
            return self.split_at(count);
        }
        let share = 1.0 - count as f64 / self.items().max(1) as f64;
        let Ok(people) = People::of(&self.samples, &self.places) else {
            return self.split_at(count);
        };
        let chosen = people.share_of_each_group(share, self.seed);
        let [held_back, learned] = people.parted(&chosen);
        let Ok(learn) = self.learned_from(&learned) else {
            return self.split_at(count);
        };
        let purpose = match self.purpose {
            Purpose::Learn => Purpose::Choose,
            other => other,
        };
        (learn, self.narrowed(&held_back, purpose))
    }

    fn digest(&self) -> String {
        let places = || self.places.iter().copied();
        let mut sum = Checksum::default();
        if let Some(origins) = &self.samples.origins {
            origins.add_to(&mut sum, places());
        }
        format!("{} {sum}", self.samples.digest_of(places()))
    }

    /// The places of the images, and who is on them: another auxiliary network may leave out others.
    fn selection(&self) -> Option<String> {
        let places = || self.places.iter().copied();
        let mut sum = Checksum::default();
        places().for_each(|place| sum.add(&(place as u64).to_le_bytes()));
        if let Some(origins) = &self.samples.origins {
            origins.add_to(&mut sum, places());
        }
        Some(sum.to_string())
    }

    fn batch(&self, items: &[usize], device: &Device) -> Result<Faces, TrainingError> {
        self.on(items, None, device)
    }

    fn fresh(
        &self,
        items: &[usize],
        moment: Moment,
        device: &Device,
    ) -> Result<Faces, TrainingError> {
        let mirror = Augmentation {
            flip: self.config.mirror,
            ..Augmentation::default()
        };
        self.on(items, Some((mirror, moment.key)), device)
    }

    fn augmented(
        &self,
        items: &[usize],
        augmentation: &Augmentation,
        key: u64,
        device: &Device,
    ) -> Result<Faces, TrainingError> {
        let with_mirror = Augmentation {
            flip: augmentation.flip || self.config.mirror,
            ..*augmentation
        };
        self.on(items, Some((with_mirror, key)), device)
    }

    fn epoch(&self, stream: &Philox, batch: usize) -> Vec<Vec<usize>> {
        let order = stream.permutation(self.items());
        let order = match self.config.sampling {
            Sampling::Each => order,
            Sampling::Balanced => self.balanced(&order, stream),
        };
        order.chunks(batch).map(<[usize]>::to_vec).collect()
    }

    fn value(&self, tally: &FaceVectors) -> Result<f64, TrainingError> {
        self.measured(self.config.metric, &self.compared(tally))
    }

    fn conventions(&self) -> Option<Conventions> {
        Some(self.samples.conventions())
    }

    fn also(&self, tally: &FaceVectors) -> Vec<(Metric, f64)> {
        self.figures(tally)
    }

    fn charts(&self, tally: &FaceVectors) -> Vec<super::Chart> {
        let mut trade_off = self.error_trade_off(tally);
        if let Some(chart) = &mut trade_off {
            chart.traces.splice(0..0, self.trade_off_band(tally));
        }
        trade_off.into_iter().chain(self.by_group(tally)).collect()
    }

    fn charts_of_chip(&self, tally: &FaceVectors) -> Vec<super::Chart> {
        let trade_off = self.error_trade_off(tally);
        trade_off.into_iter().chain(self.by_group(tally)).collect()
    }

    const FLIPS: bool = true;

    fn flips(&self, quiet: &FaceVectors, chip: &FaceVectors) -> Option<super::Pictures> {
        self.flipped(quiet, chip)
    }
}

impl Verification {
    /// As many items as `order` has, of every group about as many. Each group gives its items in their order, and begins again after the last.
    fn balanced(&self, order: &[usize], stream: &Philox) -> Vec<usize> {
        let mut groups = vec![Vec::new(); self.samples.classes];
        for item in order {
            let label = self.samples.labels[self.places[*item]];
            groups[usize::from(label)].push(*item);
        }
        groups.retain(|group: &Vec<usize>| !group.is_empty());
        let count = groups.len();
        let dealt: Vec<usize> = (0..order.len())
            .map(|turn| {
                let group = &groups[turn % count];
                group[turn / count % group.len()]
            })
            .collect();
        // The first draws of the stream have decided the order inside of groups.
        let mixed = Philox::new(u64::from(stream.word(0)), u64::from(stream.word(1)));
        let mixed = mixed.permutation(dealt.len());
        mixed.into_iter().map(|place| dealt[place]).collect()
    }
}

impl<R: Recognizer> Learn<R> for Verification {
    type Output = FaceOutput;
    type Surrogate = RaisedLoss;

    fn forward(&self, network: &R, batch: &Faces) -> FaceOutput {
        let vectors = network.embed(batch.inputs.clone());
        if batch.learned {
            let classes = Some(network.class_vectors());
            return FaceOutput { vectors, classes };
        }
        let vectors = match &batch.mirrored {
            Some(mirrored) => vectors + network.embed(mirrored.clone()),
            None => vectors,
        };
        FaceOutput {
            vectors: unit(vectors),
            classes: None,
        }
    }

    /// Refuses fewer class vectors than there are people to learn.
    fn fits(&self, output: &FaceOutput, _: &Faces) -> Result<(), TrainingError> {
        let Some(classes) = &output.classes else {
            return Ok(());
        };
        let [known, _] = classes.dims();
        expect_class_vectors(known, self.identities())
    }

    /// The loss of the head; of people who have no class vector, how far pairs of the batch are from their cosines: 1 of one person, 0 or less
    /// of two.
    fn loss(&self, output: FaceOutput, batch: &Faces) -> Tensor<1> {
        match output.classes {
            Some(classes) => {
                let loss = self.config.loss();
                loss.loss(output.vectors, classes, &batch.identities)
            }
            None => apart(output.vectors, &batch.identities),
        }
    }

    /// Images that are learned from have no pairs and count for nothing.
    fn judge(
        &self,
        output: FaceOutput,
        batch: &Faces,
        tallies: &mut [FaceVectors],
    ) -> Result<(), TrainingError> {
        if batch.learned {
            return Ok(());
        }
        let [_, width] = output.vectors.dims();
        let found = values(output.vectors)?;
        require_finite(&found, width)?;
        let rows = found.chunks(width).map(<[f32]>::to_vec);
        let rows: Vec<_> = batch.places.iter().copied().zip(rows).collect();
        for tally in tallies {
            tally.rows.extend(rows.iter().cloned());
        }
        Ok(())
    }
}

/// Refuses fewer class vectors than people.
fn expect_class_vectors(known: usize, people: usize) -> Result<(), TrainingError> {
    match known < people {
        true => Err(TrainingError::setting(
            "model.identities",
            known,
            "one for each person of the training set, or more",
        )),
        false => Ok(()),
    }
}

/// The mean over all pairs of rows of `1 - cos` of one person and `max(0, cos)` of two, `[1]`.
fn apart(vectors: Tensor<2>, people: &[usize]) -> Tensor<1> {
    let device = vectors.device();
    let count = people.len();
    let same = people
        .iter()
        .flat_map(|a| people.iter().map(move |b| f32::from(a == b)));
    let same = TensorData::new(same.collect::<Vec<f32>>(), [count, count]);
    let same = Tensor::<2>::from_data(same, &device);
    let cosines = vectors.clone().matmul(vectors.transpose());
    let others = -same.clone() + 1.0;
    (same * (-cosines.clone() + 1.0) + others * relu(cosines)).mean()
}
