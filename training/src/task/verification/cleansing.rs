//! What a training set is better without, by the vectors of another network, and what is learned from more often.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use burn::tensor::Device;
use crossburn_models::Recognizer;

use super::people::People;
use super::{Purpose, Verification, cosine};
use crate::TrainingError;
use crate::task::unit::mean_direction;

/// How alike images and people must be, and must not be, to be learned from.
///
/// # Source
/// Melzi et al., arXiv 2311.10476: the recipe of CBSR, which won the sub-tasks 1.2 and 2.2, as our reading of its public code has it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cleansing {
    /// An image stays where its cosine with the mean of its person is this or more.
    pub least_within: f64,
    /// A person of the added set stays where the cosine of their mean with that of every person of the first set is this or less.
    pub most_between: f64,
}

impl Default for Cleansing {
    fn default() -> Self {
        Self {
            least_within: 0.3,
            most_between: 0.63,
        }
    }
}

/// What was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleansed {
    /// Images that are unlike their person.
    pub images: usize,
    /// People of the added set who look like one of the first set.
    pub people: usize,
}

impl Verification {
    /// The items that are worth learning from, and what was left out: first images that are unlike their person, then people of whom `added` says that they
    /// are of the added set, by their names, and who look like a person of the first. `auxiliary` is a network that has learned from allowed people
    /// alone, such as these.
    ///
    /// # Errors
    /// An output that is not finite, and [`TrainingError::Undefined`] where nobody is left.
    pub fn cleansed<R: Recognizer>(
        &self,
        auxiliary: &R,
        added: &dyn Fn(&str) -> bool,
        cleansing: Cleansing,
        device: &Device,
    ) -> Result<(Self, Cleansed), TrainingError> {
        let seen = Self {
            purpose: Purpose::Judge,
            ..self.clone()
        };
        let vectors = seen.vectors(auxiliary, device)?.rows;
        self.cleansed_by(&vectors, added, cleansing)
    }

    /// The same by vectors of length 1, each with its place among the samples.
    pub(super) fn cleansed_by(
        &self,
        vectors: &[(usize, Vec<f32>)],
        added: &dyn Fn(&str) -> bool,
        cleansing: Cleansing,
    ) -> Result<(Self, Cleansed), TrainingError> {
        let Some(origins) = &self.samples.origins else {
            return Ok((self.clone(), Cleansed::default()));
        };
        let mut people: BTreeMap<u32, Vec<&(usize, Vec<f32>)>> = BTreeMap::new();
        for row in vectors {
            let person = origins.samples[row.0].group;
            people.entry(person).or_default().push(row);
        }
        let mut cleansed = Cleansed::default();
        let mut means = BTreeMap::new();
        for (person, rows) in &mut people {
            let middle = mean(rows);
            let all = rows.len();
            rows.retain(|(_, row)| cosine(row, &middle) >= cleansing.least_within);
            cleansed.images += all - rows.len();
            if !rows.is_empty() {
                means.insert(*person, mean(rows));
            }
        }
        let is_added = |person: &u32| added(&origins.groups[*person as usize]);
        let (of_added, of_first): (Vec<_>, Vec<_>) =
            means.iter().partition(|(person, _)| is_added(person));
        let alike: BTreeSet<u32> = of_added
            .into_iter()
            .filter(|(_, own)| {
                let mut others = of_first.iter();
                others.any(|(_, other)| cosine(own, other) > cleansing.most_between)
            })
            .map(|(person, _)| *person)
            .collect();
        cleansed.people = alike.len();
        let kept = people.iter().filter(|(person, _)| !alike.contains(person));
        let mut kept: Vec<usize> = kept
            .flat_map(|(_, rows)| rows.iter().map(|(place, _)| *place))
            .collect();
        kept.sort_unstable();
        match kept.is_empty() {
            true => Err(self.undefined("cleansing leaves nobody to learn from".to_string())),
            false => Ok((self.learned_from(&kept)?, cleansed)),
        }
    }

    /// The same items, where those of people of whom `whom` says so, by their names, are learned from `times` times in an epoch.
    ///
    /// # Errors
    /// Samples of which nobody knows who is on them.
    pub fn oversampled(
        &self,
        times: usize,
        whom: &dyn Fn(&str) -> bool,
    ) -> Result<Self, TrainingError> {
        let Some(origins) = &self.samples.origins else {
            return Ok(self.clone());
        };
        let often = |place: &usize| {
            let person = origins.samples[*place].group;
            match whom(&origins.groups[person as usize]) {
                true => times,
                false => 1,
            }
        };
        let places = self.places.iter();
        let places: Vec<usize> = places
            .flat_map(|place| std::iter::repeat_n(*place, often(place)))
            .collect();
        self.learned_from(&places)
    }

    /// The samples at `places`, to learn from: class vectors are numbered by those who are left.
    pub(super) fn learned_from(&self, places: &[usize]) -> Result<Self, TrainingError> {
        let people = People::of(&self.samples, places)?;
        let numbered = people.numbers().into_iter().enumerate();
        let identities = numbered.map(|(number, person)| (person, number)).collect();
        let task = self.with_places(places.to_vec(), &people, self.purpose);
        Ok(Self {
            identities: Arc::new(identities),
            ..task
        })
    }
}

/// The mean of vectors, scaled to length 1. Without a direction it is empty, and its cosine with any vector is 0.
fn mean(rows: &[&(usize, Vec<f32>)]) -> Vec<f32> {
    mean_direction(rows.iter().map(|(_, row)| row.as_slice())).unwrap_or_default()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::VerificationConfig;
    use super::*;
    use crate::data::{Normalization, Origins, Samples, Values};
    use crate::task::Task;

    /// Three people of the first set and two of the added one, with three images each, of one pixel.
    fn task() -> Verification {
        let names = ["a", "b", "c", "+d", "+e"];
        let origins = names.iter().flat_map(|name| [(*name, 0); 3]);
        let samples = Samples {
            shape: [1, 1, 1],
            values: Values::Bytes((0..15).collect()),
            labels: vec![0; 15],
            classes: 1,
            class_names: Vec::new(),
            normalization: Normalization::none(1),
            origins: Some(Origins::in_order(origins)),
            masks: None,
        };
        Verification::learn(samples, &VerificationConfig::default(), 1).unwrap()
    }

    /// Vectors at these angles in degrees.
    fn vectors(angles: [f64; 15]) -> Vec<(usize, Vec<f32>)> {
        let at = |angle: f64| {
            let (sin, cos) = angle.to_radians().sin_cos();
            vec![cos as f32, sin as f32]
        };
        angles.into_iter().map(at).enumerate().collect()
    }

    fn added(name: &str) -> bool {
        name.starts_with('+')
    }

    #[test]
    fn wrong_images_and_people_who_are_there_already_are_left_out() {
        // The third image of b is 110 degrees from the other two. The mean of (0, 0, 110) degrees is at 29.5 degrees, from which it is 80.5 degrees off:
        // a cosine of 0.17. d is 30 degrees from a, and 60 from b without its third image.
        let found = vectors([
            150.0, 150.0, 150.0, 240.0, 240.0, 350.0, 60.0, 60.0, 60.0, 180.0, 180.0, 180.0, 0.0,
            0.0, 0.0,
        ]);
        let (cleansed, left_out) = task()
            .cleansed_by(&found, &added, Cleansing::default())
            .unwrap();
        assert_eq!(
            left_out,
            Cleansed {
                images: 1,
                people: 1
            }
        );
        assert_eq!(cleansed.places[..], [0, 1, 2, 3, 4, 6, 7, 8, 12, 13, 14]);
        // a, b, c and e, numbered without a gap.
        assert_eq!(cleansed.identities(), 4);
        let batch = cleansed
            .batch(&[0, 3, 5, 8], &Device::flex())
            .unwrap()
            .identities;
        assert_eq!(batch, [0, 1, 2, 3]);
        // Bounds that nothing reaches leave all; people of the first set are never left out.
        let all = Cleansing {
            least_within: -1.0,
            most_between: 1.0,
        };
        let (whole, none) = task().cleansed_by(&found, &added, all).unwrap();
        assert_eq!((whole.items(), none), (15, Cleansed::default()));
        let (kept, none) = task().cleansed_by(&found, &|_| false, all).unwrap();
        assert_eq!((kept.items(), none.people), (15, 0));
        let strict = Cleansing {
            least_within: 1.1,
            ..all
        };
        let message = task().cleansed_by(&found, &added, strict).unwrap_err();
        assert!(message.to_string().contains("leaves nobody"));
    }

    #[test]
    fn the_first_set_is_learned_from_twice() {
        let task = task().oversampled(2, &|name| !added(name)).unwrap();
        assert_eq!((task.items(), task.identities()), (24, 5));
        let order = task.epoch(&crossburn_noise::Philox::new(1, 0), 24);
        let mut seen = [0; 15];
        order[0]
            .iter()
            .for_each(|item| seen[task.places[*item]] += 1);
        assert_eq!(seen[..9], [2; 9]);
        assert_eq!(seen[9..], [1; 6]);
    }
}
