//! From the prepared slices of patients to training and test samples.

use std::sync::Mutex;

use super::super::options::Options;
use super::super::split::{self, Split};
use super::super::{DataSplit, Masks, Normalization, Origin, Origins, Samples, Values};
use super::chain::{self, Chain, Prepared};
use super::intensity::{Means, Reverse, in_words, reverse};
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

/// The prepared slices of several patients, in order.
#[derive(Debug, Default)]
pub(super) struct Collection {
    parts: Vec<Volume>,
    /// What is missing or was left out of the files, in words.
    notes: Vec<String>,
}

/// The slices of a volume, or some of them.
#[derive(Debug)]
struct Volume {
    patient: String,
    number: u32,
    prepared: Prepared,
}

/// What is known of a collection after its slices have become samples.
#[derive(Debug, Default)]
struct Known {
    left_out: usize,
    by_threshold: bool,
    notes: Vec<String>,
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

    /// Refuses stacks of these shapes where their slices would be more than can be held.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names `place`.
    pub(super) fn check_size(
        &self,
        place: &str,
        shapes: impl IntoIterator<Item = [usize; 3]>,
    ) -> Result<(), TrainingError> {
        let bytes = shapes.into_iter().map(|shape| self.chain.bytes(shape));
        let bytes = bytes.fold(0, u64::saturating_add);
        chain::check_size(place, bytes)
    }

    /// Prepares the slices of a patient at `place`.
    ///
    /// # Errors
    /// Those of [`Chain::prepare`].
    pub(super) fn prepare(&self, place: &str, stack: &Stack) -> Result<Prepared, TrainingError> {
        self.chain.prepare(place, stack)
    }

    /// Training and test samples of one set, and whether they are reversed: no patient is in both parts.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for too few patients, slices of several shapes, and a reversal that cannot be decided.
    pub(super) fn split(
        &self,
        place: &str,
        all: Collection,
    ) -> Result<(DataSplit, bool), TrainingError> {
        let patients = all.patient_of_each();
        let (samples, known) = all.into_samples(place)?;
        let origins = samples.origins.clone().unwrap_or_default();
        let (train, test) =
            (self.split).by_patient(place, &samples.labels, CLASSES.len(), &patients, &origins)?;
        let parts = [samples.gather(&train), samples.gather(&test)];
        drop(samples);
        self.finish(place, parts, [known, Known::default()])
    }

    /// The same of training and test samples that come apart; there may be no training samples.
    ///
    /// # Errors
    /// Those of [`split`](Self::split), and a patient that is in both.
    pub(super) fn apart(
        &self,
        place: &str,
        train: Collection,
        test: Collection,
    ) -> Result<(DataSplit, bool), TrainingError> {
        let trains = |patient: &str| train.parts.iter().any(|part| part.patient == patient);
        if let Some(both) = test.parts.iter().find(|part| trains(&part.patient)) {
            return Err(TrainingError::data(
                place,
                format!("patient {} has training and test slices", both.patient),
                "keep all slices of a patient in one part",
            ));
        }
        let (tested, of_tested) = test.into_samples(place)?;
        let (trained, of_trained) = match train.parts.is_empty() {
            true => (tested.gather(&[]), Known::default()),
            false => train.into_samples(place)?,
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
        drop(trained);
        self.finish(place, parts, [of_trained, of_tested])
    }

    /// Reverses intensities where that is asked for, and notes what was done.
    fn finish(
        &self,
        place: &str,
        mut parts: [Samples; 2],
        known: [Known; 2],
    ) -> Result<(DataSplit, bool), TrainingError> {
        let (reversed, why) = self.reversal(place, &parts[0])?;
        for part in &mut parts {
            if let (Values::Floats(values), Some(masks)) = (&mut part.values, &mut part.masks) {
                masks.reversed = Some(reversed);
                if reversed {
                    reverse(values, &masks.brain);
                }
            }
        }
        let by_threshold = known.iter().any(|known| known.by_threshold);
        let left_out: usize = known.iter().map(|known| known.left_out).sum();
        let thin =
            (left_out > 0).then(|| format!("slices left out: {left_out} with too little brain"));
        let notes = known.into_iter().flat_map(|known| known.notes);
        let notes: Vec<String> = thin.into_iter().chain(notes).collect();
        let said = Said {
            steps: Some(format!("{}; {why}", self.chain.steps(by_threshold))),
            left_out: (!notes.is_empty()).then(|| notes.join("; ")),
        };
        if let Ok(mut known) = self.said.lock() {
            *known = said;
        }
        let [train, test] = parts;
        Ok((DataSplit { train, test }, reversed))
    }

    /// The chain, and whether slices are reversed: as `known` says where it does. `read` reads them where their intensities decide that.
    pub(super) fn slices(
        &self,
        known: Option<bool>,
        read: impl FnOnce() -> Result<(DataSplit, bool), TrainingError>,
    ) -> (Chain, Result<bool, TrainingError>) {
        let reversed = self.reverse.decided(known, || Ok(read()?.1));
        (self.chain, reversed)
    }

    /// Whether intensities are reversed, and why, in words.
    fn reversal(&self, place: &str, train: &Samples) -> Result<(bool, String), TrainingError> {
        let fixed = |reversed| Ok((reversed, in_words(reversed).to_string()));
        match self.reverse {
            Reverse::Yes => fixed(true),
            Reverse::No => fixed(false),
            Reverse::Auto => {
                let mut means = Means::default();
                if let (Values::Floats(values), Some(masks)) = (&train.values, &train.masks) {
                    means.add(values, &masks.brain, &masks.lesion);
                }
                means.decision("training").ok_or_else(|| {
                    TrainingError::data(
                        place,
                        "reverse=auto compares the intensities of healthy brain and lesions, and its training samples lack one of them",
                        "use reverse=yes or reverse=no",
                    )
                })
            }
        }
    }
}

impl Collection {
    /// Adds slices of a patient. Those of the same volume have the same `volume`, and all volumes of a set others.
    pub(super) fn add(&mut self, patient: String, volume: usize, prepared: Prepared) {
        self.parts.push(Volume {
            patient,
            number: volume as u32,
            prepared,
        });
    }

    /// Adds what is missing or was left out of the files, in words.
    pub(super) fn note(&mut self, note: String) {
        self.notes.push(note);
    }

    /// The patient of every slice.
    fn patient_of_each(&self) -> Vec<String> {
        let parts = self.parts.iter();
        parts
            .flat_map(|part| part.prepared.numbers.iter().map(|_| part.patient.clone()))
            .collect()
    }

    /// All slices as samples. The pixels of a volume are let go as soon as they are samples.
    fn into_samples(self, place: &str) -> Result<(Samples, Known), TrainingError> {
        let Some(shape) = self.parts.first().map(|part| part.prepared.shape) else {
            return Err(TrainingError::data(
                place,
                "it holds no slices",
                "name another place",
            ));
        };
        let pixels = self.parts.iter().map(|part| part.prepared.values.len());
        let pixels = pixels.sum();
        let mut values = Vec::with_capacity(pixels);
        let mut masks = Masks {
            brain: Vec::with_capacity(pixels),
            lesion: Vec::with_capacity(pixels),
            // Decided when all slices are read.
            reversed: None,
        };
        let (mut labels, mut origins) = (Vec::new(), Origins::default());
        let mut known = Known {
            notes: self.notes,
            ..Known::default()
        };
        for part in self.parts {
            let prepared = part.prepared;
            if prepared.shape != shape {
                return Err(shapes(place, shape, prepared.shape));
            }
            known.left_out += prepared.left_out;
            known.by_threshold |= prepared.by_threshold;
            let group = origins.groups.iter().position(|name| *name == part.patient);
            let group = group.unwrap_or_else(|| {
                origins.groups.push(part.patient);
                origins.groups.len() - 1
            }) as u32;
            values.extend(prepared.values);
            masks.brain.extend(prepared.brain);
            masks.lesion.extend(prepared.lesion);
            labels.extend(prepared.has_lesion.iter().map(|any| u16::from(*any)));
            origins
                .samples
                .extend(prepared.numbers.iter().map(|place| Origin {
                    group,
                    sequence: part.number,
                    place: *place,
                }));
        }
        let [height, width] = shape;
        let samples = Samples {
            shape: [1, height, width],
            values: Values::Floats(values),
            labels,
            classes: CLASSES.len(),
            class_names: CLASSES.map(str::to_string).to_vec(),
            normalization: Normalization::none(1),
            origins: Some(origins),
            masks: Some(masks),
        };
        Ok((samples, known))
    }
}

fn shapes(place: &str, [h, w]: [usize; 2], [h2, w2]: [usize; 2]) -> TrainingError {
    TrainingError::data(
        place,
        format!("some slices have {h} x {w} pixels, others {h2} x {w2}"),
        "give all one size with size=",
    )
}
