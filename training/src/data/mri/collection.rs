//! From the prepared slices of patients to training and test samples.

use std::sync::Mutex;

use super::super::options::Options;
use super::super::split::{self, Split};
use super::super::{DataSplit, Masks, Normalization, Origin, Origins, Samples, Values};
use super::chain::{self, Chain, Prepared};
use super::intensity::{Means, Reverse, reverse};
use super::{CLASSES, Stack};
use crate::TrainingError;

/// Options of every source of slices.
pub(super) const OPTIONS: [&[&str]; 3] = [split::OPTIONS, chain::OPTIONS, &[Reverse::OPTION]];

/// What the options say, and what was done last.
#[derive(Debug)]
pub(super) struct Preparation {
    split: Split,
    chain: Chain,
    reverse: Reverse,
    said: Mutex<Said>,
}

/// What is said of the samples that were read last.
#[derive(Clone, Debug, Default)]
pub(super) struct Said {
    pub(super) steps: Option<String>,
    pub(super) left_out: Option<String>,
}

/// The slices of several patients, in order.
#[derive(Debug, Default)]
pub(super) struct Collection {
    patients: Vec<String>,
    prepared: Vec<Prepared>,
}

impl Preparation {
    pub(super) fn new(options: &Options) -> Result<Self, TrainingError> {
        Ok(Self {
            split: Split::new(options)?,
            chain: Chain::new(options)?,
            reverse: Reverse::new(options)?,
            said: Mutex::default(),
        })
    }

    pub(super) fn said(&self) -> Said {
        self.said
            .lock()
            .map_or_else(|_| Said::default(), |said| said.clone())
    }

    /// Prepares the slices of a patient at `place`.
    ///
    /// # Errors
    /// Those of [`Chain::prepare`].
    pub(super) fn prepare(&self, place: &str, stack: &Stack) -> Result<Prepared, TrainingError> {
        self.chain.prepare(place, stack)
    }

    /// Training and test samples of one set: no patient is in both.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for too few patients, slices of several shapes, and a reversal that cannot be decided.
    pub(super) fn split(&self, place: &str, all: Collection) -> Result<DataSplit, TrainingError> {
        let (patients, samples) = (all.patient_of_each(), all.samples(place)?);
        let origins = samples.origins.clone().unwrap_or_default();
        let (train, test) =
            (self.split).by_patient(place, &samples.labels, CLASSES.len(), &patients, &origins)?;
        let parts = [samples.gather(&train), samples.gather(&test)];
        self.finish(place, parts, &[&all])
    }

    /// Training and test samples that come apart; there may be no training samples.
    ///
    /// # Errors
    /// Those of [`split`](Self::split), and a patient that is in both.
    pub(super) fn apart(
        &self,
        place: &str,
        train: Collection,
        test: Collection,
    ) -> Result<DataSplit, TrainingError> {
        if let Some(patient) = test
            .patients
            .iter()
            .find(|name| train.patients.contains(name))
        {
            return Err(TrainingError::data(
                place,
                format!("patient {patient} has training and test slices"),
                "keep all slices of a patient in one part",
            ));
        }
        let tested = test.samples(place)?;
        let trained = match train.prepared.is_empty() {
            true => tested.gather(&[]),
            false => train.samples(place)?,
        };
        if trained.shape != tested.shape {
            return Err(shapes(
                place,
                [trained.shape[1], trained.shape[2]],
                [tested.shape[1], tested.shape[2]],
            ));
        }
        let mut order = split::order(trained.len(), self.split.seed);
        split::by_group(&mut order, trained.origins.as_ref());
        let parts = [trained.gather(&order), tested];
        self.finish(place, parts, &[&train, &test])
    }

    /// Reverses intensities where that is asked for, and notes what was done.
    fn finish(
        &self,
        place: &str,
        mut parts: [Samples; 2],
        collections: &[&Collection],
    ) -> Result<DataSplit, TrainingError> {
        let (reversed, why) = self.reversal(place, &parts[0])?;
        if reversed {
            for part in &mut parts {
                if let (Values::Floats(values), Some(masks)) = (&mut part.values, &part.masks) {
                    reverse(values, &masks.brain);
                }
            }
        }
        let all = || {
            collections
                .iter()
                .flat_map(|collection| &collection.prepared)
        };
        let left_out: usize = all().map(|prepared| prepared.left_out).sum();
        let said = Said {
            steps: Some(format!(
                "{}; {why}",
                self.chain
                    .steps(all().any(|prepared| prepared.by_threshold))
            )),
            left_out: (left_out > 0)
                .then(|| format!("slices left out: {left_out} with too little brain")),
        };
        if let Ok(mut known) = self.said.lock() {
            *known = said;
        }
        let [train, test] = parts;
        Ok(DataSplit { train, test })
    }

    /// Whether intensities are reversed, and why, in words.
    fn reversal(&self, place: &str, train: &Samples) -> Result<(bool, String), TrainingError> {
        match self.reverse {
            Reverse::Yes => Ok((true, "reversed inside the brain".to_string())),
            Reverse::No => Ok((false, "not reversed".to_string())),
            Reverse::Auto => {
                let mut means = Means::default();
                if let (Values::Floats(values), Some(masks)) = (&train.values, &train.masks) {
                    means.add(values, &masks.brain, &masks.lesion);
                }
                let (Some(healthy), Some(lesion)) = (means.healthy(), means.lesion()) else {
                    return Err(TrainingError::data(
                        place,
                        "reverse=auto compares the intensities of healthy brain and lesions, and its training samples lack one of them",
                        "use reverse=yes or reverse=no",
                    ));
                };
                let reversed = means.ask_for_reversal() == Some(true);
                let (decision, sum) = match reversed {
                    true => ("reversed inside the brain", "more than 1"),
                    false => ("not reversed", "not more than 1"),
                };
                Ok((
                    reversed,
                    format!(
                        "{decision} (training means: healthy {healthy:.3} + lesion {lesion:.3} is {sum})"
                    ),
                ))
            }
        }
    }
}

impl Collection {
    /// Adds the slices of a patient, or more of the last one's.
    pub(super) fn add(&mut self, patient: String, prepared: Prepared) {
        self.patients.push(patient);
        self.prepared.push(prepared);
    }

    /// The patient of every slice.
    fn patient_of_each(&self) -> Vec<String> {
        let patients = self.patients.iter().zip(&self.prepared);
        patients
            .flat_map(|(patient, prepared)| prepared.numbers.iter().map(move |_| patient.clone()))
            .collect()
    }

    /// All slices as samples.
    fn samples(&self, place: &str) -> Result<Samples, TrainingError> {
        let Some(first) = self.prepared.first() else {
            return Err(TrainingError::data(
                place,
                "it holds no slices",
                "name another place",
            ));
        };
        let (mut values, mut masks) = (Vec::new(), Masks::default());
        let (mut labels, mut origins) = (Vec::new(), Origins::default());
        for (patient, prepared) in self.patients.iter().zip(&self.prepared) {
            if prepared.shape != first.shape {
                return Err(shapes(place, first.shape, prepared.shape));
            }
            let known = origins.groups.iter().position(|name| name == patient);
            let group = known.unwrap_or_else(|| {
                origins.groups.push(patient.clone());
                origins.groups.len() - 1
            }) as u32;
            values.extend_from_slice(&prepared.values);
            masks.brain.extend_from_slice(&prepared.brain);
            masks.lesion.extend_from_slice(&prepared.lesion);
            labels.extend(prepared.has_lesion.iter().map(|any| u16::from(*any)));
            origins
                .samples
                .extend(prepared.numbers.iter().map(|place| Origin {
                    group,
                    sequence: group,
                    place: *place,
                }));
        }
        let [height, width] = first.shape;
        Ok(Samples {
            shape: [1, height, width],
            values: Values::Floats(values),
            labels,
            classes: CLASSES.len(),
            class_names: CLASSES.map(str::to_string).to_vec(),
            normalization: Normalization::none(1),
            origins: Some(origins),
            masks: Some(masks),
        })
    }
}

fn shapes(place: &str, [h, w]: [usize; 2], [h2, w2]: [usize; 2]) -> TrainingError {
    TrainingError::data(
        place,
        format!("some slices have {h} x {w} pixels, others {h2} x {w2}"),
        "give all one size with size=",
    )
}
