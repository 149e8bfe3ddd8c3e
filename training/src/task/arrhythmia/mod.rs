//! Finding ventricular arrhythmia in segments of a signal: a classifier, judged as a detector.

mod contest;
mod counts;
mod detector;
mod morphology;
mod patients;
mod scale;
mod sequence;
mod vote;

use std::ops::Range;

use burn::tensor::{Device, Tensor};
use crossburn_checkpoints::Checksum;
use crossburn_models::Classifier;
use crossburn_noise::{Better, Metric};
use serde::{Deserialize, Serialize};

pub use contest::{contest_score, contest_score_2023};
pub use counts::Counts;
pub use detector::{Decision, Detector};
pub use morphology::MorphologyConfig;
pub use scale::SegmentScale;
pub use sequence::{DecidedSegment, DecidedSequence};
pub use vote::{Diagnosis, Vote, Voter};

use self::patients::Patients;
use super::classification::{AttackLoss, Classification, Labelled, finite_values};
use super::{Attacked, Batch, Confusion, Learn, Moment, SurrogateList, Tally, Task, border_near};
use crate::data::{Augmentation, Conventions, Origins, SEGMENT_CLASSES, SEGMENT_POINTS, Samples};
use crate::{Batches, TrainingError};

/// How much more a missed arrhythmia counts than a false alarm.
const BETA: f64 = 2.0;

/// What is an arrhythmia and how a detector is judged. In recipes the table `[task]` with `kind = "arrhythmia-detection"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ArrhythmiaConfig {
    /// What detectors are judged by.
    pub metric: ArrhythmiaMetric,
    /// Classes that are ventricular arrhythmia.
    pub positives: Vec<u16>,
    /// A segment is taken for an arrhythmia where the network gives these classes together a probability above this.
    pub threshold: f64,
    /// How a segment is scaled, beyond the normalization of the data.
    pub scale: SegmentScale,
    /// Points for which a height is held, with [`SegmentScale::Heights`]; 1 for none.
    #[serde(skip_serializing_if = "is_one")]
    pub hold: usize,
    /// Segments that vote for one diagnosis.
    pub vote: usize,
    /// Segments from one diagnosis to the next.
    pub hop: usize,
    /// A patient counts as well served where F2 is above this.
    pub good_patient: f64,
    /// How segments are changed that are learned from.
    #[serde(skip_serializing_if = "MorphologyConfig::is_none")]
    pub morphology: MorphologyConfig,
}

impl Default for ArrhythmiaConfig {
    fn default() -> Self {
        Self {
            metric: ArrhythmiaMetric::F2,
            positives: vec![1],
            threshold: 0.5,
            scale: SegmentScale::Data,
            hold: 1,
            vote: 6,
            hop: 6,
            good_patient: 0.95,
            morphology: MorphologyConfig::default(),
        }
    }
}

fn is_one(value: &usize) -> bool {
    *value == 1
}

impl ArrhythmiaConfig {
    /// Whether this probability of an arrhythmia is an alarm.
    fn is_alarm(&self, probability: f64) -> bool {
        probability > self.threshold
    }

    /// How segments vote.
    pub fn voting(&self) -> Vote {
        Vote {
            size: self.vote,
            hop: self.hop,
        }
    }

    /// Checks every value, for data with `classes` classes.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] with the first bad key.
    pub fn check(&self, classes: usize) -> Result<(), TrainingError> {
        let beyond = |class: &u16| usize::from(*class) >= classes;
        if self.positives.is_empty()
            || self.positives.iter().any(beyond)
            || (0..classes as u16).all(|class| self.positives.contains(&class))
        {
            return Err(TrainingError::setting(
                "task.positives",
                format!("{:?}", self.positives),
                "some of the classes that the data has, not all",
            ));
        }
        for (key, value) in [
            ("task.threshold", self.threshold),
            ("task.good_patient", self.good_patient),
        ] {
            if !(value > 0.0 && value < 1.0) {
                return Err(TrainingError::setting(
                    key,
                    value,
                    "a number above 0 and below 1",
                ));
            }
        }
        for (key, value) in [
            ("task.vote", self.vote),
            ("task.hop", self.hop),
            ("task.hold", self.hold),
        ] {
            if value == 0 {
                return Err(TrainingError::setting(key, value, "a whole number above 0"));
            }
        }
        if self.hold > SEGMENT_POINTS {
            return Err(TrainingError::setting(
                "task.hold",
                self.hold,
                "at most the points of a segment, 1250",
            ));
        }
        if self.hold > 1 && self.scale != SegmentScale::Heights {
            return Err(TrainingError::setting(
                "task.hold",
                self.hold,
                "1, or scale = \"heights\" beside it",
            ));
        }
        self.morphology.check()
    }
}

/// What a detector is judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ArrhythmiaMetric {
    /// [`Counts::f_beta`] with beta 2, of all segments together.
    #[default]
    F2,
    /// [`Counts::balanced_accuracy`].
    Bac,
    /// [`Counts::accuracy`].
    Accuracy,
    /// The share of diagnoses that are right.
    VotedAccuracy,
    /// [`Counts::sensitivity`].
    Sensitivity,
    /// [`Counts::specificity`].
    Specificity,
    /// F2 of the patient with the least.
    WorstPatient,
}

impl ArrhythmiaMetric {
    /// Every metric with its name in recipes.
    const NAMES: [(Self, &'static str); 7] = [
        (Self::F2, "f2"),
        (Self::Bac, "bac"),
        (Self::Accuracy, "accuracy"),
        (Self::VotedAccuracy, "voted-accuracy"),
        (Self::Sensitivity, "sensitivity"),
        (Self::Specificity, "specificity"),
        (Self::WorstPatient, "worst-patient"),
    ];

    /// The metric with this name in recipes.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] for another text.
    pub fn named(name: &str) -> Result<Self, TrainingError> {
        let found = Self::NAMES.iter().find(|(_, known)| *known == name);
        found.map(|(metric, _)| *metric).ok_or_else(|| {
            let remedy =
                "f2, bac, accuracy, voted-accuracy, sensitivity, specificity or worst-patient";
            TrainingError::setting("task.metric", name, remedy)
        })
    }

    /// What the number is.
    pub fn metric(self) -> Metric {
        Metric::share(match self {
            Self::F2 => "F2",
            Self::Bac => "BAC",
            Self::Accuracy => "accuracy",
            Self::VotedAccuracy => "voted accuracy",
            Self::Sensitivity => "sensitivity",
            Self::Specificity => "specificity",
            Self::WorstPatient => "F2 of the worst patient",
        })
    }
}

/// Segments in which a network finds ventricular arrhythmia. It learns to tell classes apart by cross-entropy, and is judged by what its
/// alarms are worth.
///
/// Votes are of segments of one sequence alone, see [`Origins`]: never of two patients, and never across a change of rhythm or a segment
/// that was left out.
///
/// # Source
/// Qin et al., ASP-DAC 2025 (arXiv 2410.17395); metrics of the TinyML contest at ICCAD 2022.
///
/// ```
/// use burn::tensor::Device;
/// use crossburn_models::{MlpConfig, initialize};
/// use crossburn_training::data::iegm;
/// use crossburn_training::{ArrhythmiaConfig, ArrhythmiaDetection, Batches, Task, evaluate};
///
/// let device = Device::flex();
/// let network = initialize(MlpConfig { widths: vec![1250, 4, 2], bits: None }.init(&device), 1);
/// let task = ArrhythmiaDetection::new(iegm(1, 0, 20), &ArrhythmiaConfig::default());
/// assert_eq!(task.metric().name, "F2");
/// assert!((0.0..=1.0).contains(&evaluate(&network, &Batches::new(&task, 20, &device)?)?));
/// # Ok::<(), crossburn_training::TrainingError>(())
/// ```
#[derive(Clone, Debug)]
pub struct ArrhythmiaDetection {
    classes: Classification,
    config: ArrhythmiaConfig,
}

impl ArrhythmiaDetection {
    /// All of `samples`.
    pub fn new(samples: Samples, config: &ArrhythmiaConfig) -> Self {
        Self {
            classes: Classification::new(samples),
            config: config.clone(),
        }
    }

    fn is_positive(&self, item: usize) -> bool {
        self.config.positives.contains(&self.classes.label(item))
    }

    fn origins(&self) -> Option<&Origins> {
        self.classes.samples().origins.as_ref()
    }

    /// Items with the scale that networks see.
    fn segments(&self, labelled: Labelled, items: &[usize]) -> Segments {
        let inputs = self.config.scale.apply(labelled.inputs, self.config.hold);
        Segments {
            labelled: Labelled { inputs, ..labelled },
            items: items.to_vec(),
        }
    }

    /// The probability of an arrhythmia, of every item for each of `chips`, whose logits stand side by side:
    /// `[items][chips]`.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`].
    fn probabilities(
        &self,
        logits: Tensor<2>,
        chips: usize,
    ) -> Result<Vec<Vec<f64>>, TrainingError> {
        let [_, all] = logits.dims();
        let classes = all / chips;
        let rows = finite_values(logits, chips)?;
        let of_chip = |logits: &[f32]| {
            let largest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let weight = |logit: f32| f64::from(logit - largest).exp();
            let sum: f64 = logits.iter().copied().map(weight).sum();
            let positives = self.config.positives.iter();
            let positives = positives.filter_map(|class| logits.get(usize::from(*class)));
            positives.copied().map(weight).sum::<f64>() / sum
        };
        let rows = rows.chunks(all.max(1));
        Ok(rows
            .map(|row| row.chunks(classes.max(1)).map(of_chip).collect())
            .collect())
    }

    /// For which segments of `batch` the logits of a network, `[items, classes]`, are an alarm.
    ///
    /// # Errors
    /// [`TrainingError::NotFinite`].
    pub fn alarms(&self, logits: Tensor<2>, batch: &Segments) -> Result<Alarms, TrainingError> {
        let rows = self.probabilities(logits, 1)?;
        let alarms = rows.iter().map(|row| self.config.is_alarm(row[0]));
        Ok(Alarms(batch.items.iter().copied().zip(alarms).collect()))
    }

    /// The counts of all decided segments.
    fn counts(&self, decided: &Alarms) -> Counts {
        let mut counts = Counts::default();
        for (item, alarm) in &decided.0 {
            counts.add(self.is_positive(*item), *alarm);
        }
        counts
    }

    /// The same patient by patient; `None` where nobody knows whose segments these are.
    fn patients(&self, decided: &Alarms) -> Option<Patients> {
        let origins = self.origins()?;
        let mut counts = vec![Counts::default(); origins.groups.len()];
        for (item, alarm) in &decided.0 {
            let group = origins.samples[self.classes.place(*item)].group;
            counts[group as usize].add(self.is_positive(*item), *alarm);
        }
        Some(Patients::new(origins.groups.iter().cloned().zip(counts)))
    }

    /// The share of patients whose F2 is above `task.good_patient`: G of the contest of 2023. `None` where nobody knows whose segments
    /// these are.
    pub fn good_patients(&self, decided: &Alarms) -> Option<f64> {
        let patients = self.patients(decided)?;
        Some(patients.share_above(self.config.good_patient))
    }

    /// What the segments are taken for, by their labels.
    pub fn confusion(&self, decided: &Alarms) -> Confusion {
        let mut found = Confusion::default();
        self.add_to(&mut found, decided);
        found
    }

    fn add_to(&self, found: &mut Confusion, decided: &Alarms) {
        let name = |class: usize| SEGMENT_CLASSES[class].to_string();
        for class in found.names.len()..SEGMENT_CLASSES.len() {
            found.names.push(name(class));
        }
        for (item, alarm) in &decided.0 {
            let positive = self.is_positive(*item);
            found.add(usize::from(positive), usize::from(*alarm), name);
        }
    }

    /// One number of all decided segments, whatever these detectors are judged by.
    ///
    /// # Errors
    /// [`TrainingError::Undefined`] for the accuracy of votes where no sequence is long enough for one, and for the worst patient where nobody
    /// knows whose segments these are.
    pub fn measured(
        &self,
        metric: ArrhythmiaMetric,
        decided: &Alarms,
    ) -> Result<f64, TrainingError> {
        self.of(metric, decided)
            .ok_or_else(|| TrainingError::Undefined {
                metric: metric.metric().name.into_owned(),
                why: match metric {
                    ArrhythmiaMetric::WorstPatient => {
                        "the data do not say which patient a segment is of: use iegm, iegm:DIR or wfdb:DIR, or another task.metric".to_string()
                    }
                    _ => format!(
                        "no sequence of one patient and one rhythm has {} segments",
                        self.config.vote
                    ),
                },
            })
    }

    fn of(&self, metric: ArrhythmiaMetric, decided: &Alarms) -> Option<f64> {
        let counts = self.counts(decided);
        Some(match metric {
            ArrhythmiaMetric::F2 => counts.f_beta(BETA),
            ArrhythmiaMetric::Bac => counts.balanced_accuracy(),
            ArrhythmiaMetric::Accuracy => counts.accuracy(),
            ArrhythmiaMetric::VotedAccuracy => match self.votes(decided) {
                (0, _) => return None,
                (votes, right) => right as f64 / votes as f64,
            },
            ArrhythmiaMetric::Sensitivity => counts.sensitivity(),
            ArrhythmiaMetric::Specificity => counts.specificity(),
            ArrhythmiaMetric::WorstPatient => self.patients(decided)?.worst()?.1,
        })
    }
}

/// Segments on a device, with their numbers.
#[derive(Clone, Debug)]
pub struct Segments {
    labelled: Labelled,
    items: Vec<usize>,
}

impl Segments {
    /// What a network sees of them: `[items, channels, 1, points]`.
    pub fn inputs(&self) -> &Tensor<4> {
        &self.labelled.inputs
    }
}

impl Batch for Segments {
    fn items(&self) -> usize {
        self.items.len()
    }

    fn cut(&self, range: Range<usize>) -> Self {
        Self {
            labelled: self.labelled.cut(range.clone()),
            items: self.items[range].to_vec(),
        }
    }

    fn tracked(&self) -> Self {
        Self {
            labelled: self.labelled.tracked(),
            items: self.items.clone(),
        }
    }
}

/// For which segments a detector gives an alarm.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Alarms(Vec<(usize, bool)>);

impl Alarms {
    /// How many segments are decided alike in both, which are about the same segments in the same order.
    pub fn alike(&self, other: &Self) -> usize {
        let pairs = self.0.iter().zip(&other.0);
        pairs.filter(|(own, other)| own == other).count()
    }
}

impl Tally for Alarms {
    fn merge(&mut self, other: Self) {
        self.0.extend(other.0);
    }
}

impl Task for ArrhythmiaDetection {
    type Batch = Segments;
    type Tally = Alarms;

    fn metric(&self) -> Metric {
        self.config.metric.metric()
    }

    fn items(&self) -> usize {
        self.classes.items()
    }

    fn split_at(&self, count: usize) -> (Self, Self) {
        let (first, rest) = self.classes.split_at(count);
        let part = |classes| Self {
            classes,
            config: self.config.clone(),
        };
        (part(first), part(rest))
    }

    /// Between two patients, as near to `count` as may be; at `count` where there is one patient alone.
    fn hold_back(&self, count: usize) -> (Self, Self) {
        let patient = |item: usize| Some(self.origins()?.samples[self.classes.place(item)].group);
        self.split_at(border_near(count, self.items(), patient))
    }

    fn digest(&self) -> String {
        let digest = self.classes.digest();
        let Some(origins) = self.origins() else {
            return digest;
        };
        let mut sum = Checksum::default();
        origins.add_to(
            &mut sum,
            (0..self.items()).map(|item| self.classes.place(item)),
        );
        format!("{digest} {sum}")
    }

    fn batch(&self, items: &[usize], device: &Device) -> Result<Segments, TrainingError> {
        let labelled = self.classes.batch(items, device)?;
        Ok(self.segments(labelled, items))
    }

    fn fresh(
        &self,
        items: &[usize],
        moment: Moment,
        device: &Device,
    ) -> Result<Segments, TrainingError> {
        let labelled = self.classes.batch(items, device)?;
        Ok(self.segments(self.changed(labelled, items, moment.key)?, items))
    }

    fn augmented(
        &self,
        items: &[usize],
        augmentation: &Augmentation,
        key: u64,
        device: &Device,
    ) -> Result<Segments, TrainingError> {
        let labelled = self.classes.augmented(items, augmentation, key, device)?;
        Ok(self.segments(self.changed(labelled, items, key)?, items))
    }

    fn held_at_once(&self) -> usize {
        self.classes.held_at_once()
    }

    fn conventions(&self) -> Option<Conventions> {
        self.classes.conventions()
    }

    fn value(&self, tally: &Alarms) -> Result<f64, TrainingError> {
        self.measured(self.config.metric, tally)
    }

    fn also(&self, tally: &Alarms) -> Vec<(Metric, f64)> {
        let all = [
            ArrhythmiaMetric::F2,
            ArrhythmiaMetric::Bac,
            ArrhythmiaMetric::Accuracy,
            ArrhythmiaMetric::VotedAccuracy,
        ];
        let others = all.into_iter().filter(|other| *other != self.config.metric);
        let mut found: Vec<(Metric, f64)> = others
            .filter_map(|other| Some((other.metric(), self.of(other, tally)?)))
            .collect();
        let counts = self.counts(tally);
        let share = |name: String, value| (Metric::share(name), value);
        found.extend([
            share("sensitivity".to_string(), counts.sensitivity()),
            share("specificity".to_string(), counts.specificity()),
            share("PPV".to_string(), counts.positive_predictive_value()),
            share("NPV".to_string(), counts.negative_predictive_value()),
        ]);
        let patients = self.patients(tally);
        if let Some((patients, (worst, least))) = patients
            .as_ref()
            .and_then(|patients| Some((patients, patients.worst()?)))
        {
            let good = self.config.good_patient;
            found.extend([
                share("F2, mean of patients".to_string(), patients.mean_f2()),
                share(format!("F2 of the worst patient ({worst})"), least),
                share(
                    format!("patients with F2 above {good}"),
                    patients.share_above(good),
                ),
            ]);
            for (name, value) in [("patients", patients.len()), ("votes", self.votes(tally).0)] {
                found.push((count(name), value as f64));
            }
        }
        found
    }
}

/// A number of things.
fn count(name: &'static str) -> Metric {
    Metric {
        better: Better::Higher,
        ..Metric::from_zero(name)
    }
}

impl<C: Classifier> Learn<C> for ArrhythmiaDetection {
    type Output = Tensor<2>;
    type Surrogate = AttackLoss;

    const SAMPLES: bool = true;
    const DISTILS: bool = true;
    const SIDE_BY_SIDE: bool = true;

    fn forward(&self, network: &C, batch: &Segments) -> Tensor<2> {
        network.forward(batch.labelled.inputs.clone())
    }

    fn failure(&self, network: &C) -> Option<String> {
        network.failure()
    }

    fn fits(&self, logits: &Tensor<2>, batch: &Segments) -> Result<(), TrainingError> {
        Learn::<C>::fits(&self.classes, logits, &batch.labelled)
    }

    fn loss(&self, logits: Tensor<2>, batch: &Segments) -> Tensor<1> {
        Learn::<C>::loss(&self.classes, logits, &batch.labelled)
    }

    fn distillation_loss(
        &self,
        logits: Tensor<2>,
        teacher: Tensor<2>,
        temperature: f64,
    ) -> Result<Tensor<1>, TrainingError> {
        Learn::<C>::distillation_loss(&self.classes, logits, teacher, temperature)
    }

    fn adversarial_loss(&self, logits: Tensor<2>, batch: &Segments) -> Tensor<1> {
        Learn::<C>::adversarial_loss(&self.classes, logits, &batch.labelled)
    }

    fn judge(
        &self,
        logits: Tensor<2>,
        batch: &Segments,
        tallies: &mut [Alarms],
    ) -> Result<(), TrainingError> {
        let chips = tallies.len();
        self.classes.expect_outputs(logits.dims()[1] / chips)?;
        for (row, item) in self.probabilities(logits, chips)?.iter().zip(&batch.items) {
            for (tally, probability) in tallies.iter_mut().zip(row) {
                tally.0.push((*item, self.config.is_alarm(*probability)));
            }
        }
        Ok(())
    }

    fn confuse(
        &self,
        logits: Tensor<2>,
        batch: &Segments,
        found: &mut Confusion,
    ) -> Result<(), TrainingError> {
        self.add_to(found, &self.alarms(logits, batch)?);
        Ok(())
    }

    fn sampled_loss(&self, logits: Tensor<2>, draw: f64) -> Result<Tensor<1>, TrainingError> {
        Learn::<C>::sampled_loss(&self.classes, logits, draw)
    }

    fn surrogates(
        &self,
        network: &C,
        batches: &Batches<Self>,
    ) -> Result<SurrogateList<AttackLoss>, TrainingError> {
        let batches = batches.iter();
        AttackLoss::of(network, batches.map(|batch| Ok(batch?.labelled.clone())))
    }

    fn allows(&self, loss: AttackLoss, logits: &Tensor<2>) -> Result<(), TrainingError> {
        Learn::<C>::allows(&self.classes, loss, logits)
    }

    fn surrogate(
        &self,
        loss: AttackLoss,
        logits: Tensor<2>,
        batch: &Segments,
        tally: &mut Alarms,
    ) -> Result<Attacked, TrainingError> {
        let mut hits = Default::default();
        let labelled = &batch.labelled;
        let sum = Learn::<C>::surrogate(&self.classes, loss, logits.clone(), labelled, &mut hits)?;
        // What is no number is told by the sum.
        if sum.sum.is_finite() {
            Learn::<C>::judge(self, logits, batch, std::slice::from_mut(tally))?;
        }
        Ok(sum)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
