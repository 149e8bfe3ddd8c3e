//! The patients of a set of slices, and the slices of some of them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::{DataSplit, Origin, Origins, Samples, Values};
use crate::TrainingError;

/// All slices of a set, by patient: what its source would test and what it would not.
#[derive(Clone, Debug)]
pub struct Cohort {
    parts: [Samples; 2],
    /// Name of a patient, and whether any of the slices has a lesion.
    patients: BTreeMap<String, bool>,
}

impl Cohort {
    /// Both parts of a set that was split by patient.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for samples that are no slices of known patients with masks, all of one size.
    pub fn new(split: DataSplit) -> Result<Self, TrainingError> {
        let parts = [split.train, split.test];
        let mut patients = BTreeMap::new();
        for part in &parts {
            let (Some(origins), Some(_), Values::Floats(_)) =
                (&part.origins, &part.masks, &part.values)
            else {
                return Err(TrainingError::data(
                    "slices",
                    "they have no masks, or nobody knows whose they are",
                    "name slices or volumes of brains",
                ));
            };
            for (label, origin) in part.labels.iter().zip(&origins.samples) {
                let name = origins.groups[origin.group as usize].clone();
                *patients.entry(name).or_default() |= *label > 0;
            }
        }
        if parts[0].shape != parts[1].shape {
            return Err(TrainingError::data(
                "slices",
                format!(
                    "some have the shape {:?}, others {:?}",
                    parts[0].shape, parts[1].shape
                ),
                "give all one size with size=",
            ));
        }
        Ok(Self { parts, patients })
    }

    /// Names of the patients, in alphabetical order, with whether any of their slices has a lesion.
    pub fn patients(&self) -> &BTreeMap<String, bool> {
        &self.patients
    }

    /// Channels, height and width of a slice.
    pub fn shape(&self) -> [usize; 3] {
        self.parts[0].shape
    }

    /// The slices of those of `patients` who are here, in the order of the set.
    pub fn slices_of(&self, patients: &BTreeSet<String>) -> Samples {
        let mut origins = Origins {
            groups: patients.iter().cloned().collect(),
            samples: Vec::new(),
        };
        let mut chosen = [0, 1].map(|number| {
            let part = &self.parts[number];
            let known = part.origins.iter().flat_map(|known| {
                let named = move |origin: &Origin| (&known.groups[origin.group as usize], *origin);
                known.samples.iter().map(named)
            });
            let mut places = Vec::new();
            for (place, (name, origin)) in known.enumerate() {
                if let Ok(group) = origins.groups.binary_search(name) {
                    places.push(place);
                    origins.samples.push(Origin {
                        group: group as u32,
                        // The volumes of each part may have numbers of their own.
                        sequence: 2 * origin.sequence + number as u32,
                        ..origin
                    });
                }
            }
            part.gather(&places)
        });
        let [joined, other] = &mut chosen;
        if let (Values::Floats(values), Values::Floats(more)) = (&mut joined.values, &other.values)
        {
            values.extend(more);
        }
        joined.labels.append(&mut other.labels);
        if let (Some(masks), Some(more)) = (&mut joined.masks, &mut other.masks) {
            masks.brain.append(&mut more.brain);
            masks.lesion.append(&mut more.lesion);
        }
        let [joined, _] = chosen;
        Samples {
            origins: Some(origins),
            ..joined
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::super::{Masks, Normalization};
    use super::*;

    /// Slices of one pixel: the patient, the number of the volume, the intensity, and whether it is lesion.
    fn part(slices: &[(&str, u32, f32, bool)]) -> Samples {
        let lesion: Vec<u8> = slices.iter().map(|slice| u8::from(slice.3)).collect();
        let mut groups: Vec<String> = slices.iter().map(|slice| slice.0.to_string()).collect();
        groups.dedup();
        let origin = |(place, slice): (usize, &(&str, u32, f32, bool))| Origin {
            group: groups.iter().position(|name| name == slice.0).unwrap() as u32,
            sequence: slice.1,
            place: place as u32,
        };
        let samples = slices.iter().enumerate().map(origin).collect();
        Samples {
            shape: [1, 1, 1],
            values: Values::Floats(slices.iter().map(|slice| slice.2).collect()),
            labels: lesion.iter().map(|lesion| u16::from(*lesion)).collect(),
            classes: 2,
            class_names: Vec::new(),
            normalization: Normalization::none(1),
            masks: Some(Masks {
                brain: vec![1; slices.len()],
                lesion,
                reversed: Some(false),
            }),
            origins: Some(Origins { groups, samples }),
        }
    }

    #[test]
    fn patients_of_both_parts_are_found_by_name() {
        let train = part(&[
            ("b", 0, 0.1, false),
            ("b", 0, 0.2, true),
            ("a", 1, 0.3, false),
        ]);
        let test = part(&[("d", 0, 0.4, false), ("c", 1, 0.5, true)]);
        let cohort = Cohort::new(DataSplit { train, test }).unwrap();
        let known: Vec<(&str, bool)> = cohort
            .patients()
            .iter()
            .map(|(name, ill)| (name.as_str(), *ill))
            .collect();
        assert_eq!(
            known,
            [("a", false), ("b", true), ("c", true), ("d", false)]
        );
        let chosen = BTreeSet::from(["b", "d", "nobody"].map(String::from));
        let slices = cohort.slices_of(&chosen);
        assert_eq!(slices.floats(), [0.1, 0.2, 0.4]);
        assert_eq!(slices.labels, [0, 1, 0]);
        let masks = slices.masks.unwrap();
        assert_eq!((masks.brain, masks.lesion), (vec![1; 3], vec![0, 1, 0]));
        let origins = slices.origins.unwrap();
        let names = origins.samples.iter();
        let names: Vec<&str> = names
            .map(|origin| origins.groups[origin.group as usize].as_str())
            .collect();
        assert_eq!(names, ["b", "b", "d"]);
        // Both parts have a volume 0, and these are two.
        let volumes: Vec<u32> = origins.samples.iter().map(|o| o.sequence).collect();
        assert_eq!(volumes[0], volumes[1]);
        assert_ne!(volumes[1], volumes[2]);
    }

    #[test]
    fn slices_of_nobody_are_refused() {
        let whole = part(&[("a", 0, 0.1, false)]);
        let without = Samples {
            origins: None,
            ..whole.clone()
        };
        let split = DataSplit {
            train: whole,
            test: without,
        };
        let message = Cohort::new(split).unwrap_err().to_string();
        assert!(message.contains("nobody knows whose they are"), "{message}");
    }
}
