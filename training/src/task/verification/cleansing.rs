//! What a training set is better without, by the vectors of another network.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use burn::tensor::Device;
use crossburn_models::Recognizer;
use serde::{Deserialize, Serialize};

use super::people::People;
use super::{Purpose, Verification, cosine};
use crate::TrainingError;
use crate::task::unit::mean_direction;

/// The smallest number of images with which a person is learned, and the smallest number of people to learn from.
const LEAST: usize = 2;

/// How alike images and people must be, and must not be, to be learned from.
///
/// # Source
/// Melzi et al., arXiv 2311.10476: the recipe of CBSR, which won the sub-tasks 1.2 and 2.2, as our reading of its public code has it. The code leaves out
/// images whose similarity to their class is below 0.3, and generated people (DCFace) whose similarity to a real person is above 0.63.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cleansing {
    /// An image stays if its cosine with the mean of its person is this or more.
    pub least_within: f64,
    /// A person of the added set stays if the cosine of their mean with that of every person of the first set is this or less.
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

/// A cleansing by a stored network. In recipes the table `[task.cleansing]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CleansingConfig {
    /// The run, or the checkpoint, of the auxiliary network. It must have learned from the people of this recipe alone.
    pub network: PathBuf,
    /// That of [`Cleansing`].
    #[serde(default = "least_within")]
    pub least_within: f64,
    /// That of [`Cleansing`].
    #[serde(default = "most_between")]
    pub most_between: f64,
}

fn least_within() -> f64 {
    Cleansing::default().least_within
}

fn most_between() -> f64 {
    Cleansing::default().most_between
}

impl CleansingConfig {
    /// The two bounds.
    pub(super) fn bounds(&self) -> Cleansing {
        Cleansing {
            least_within: self.least_within,
            most_between: self.most_between,
        }
    }
}

impl Cleansing {
    /// Checks both bounds.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] with the first that is no cosine.
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        let bounds = [
            ("task.cleansing.least_within", self.least_within),
            ("task.cleansing.most_between", self.most_between),
        ];
        let bad = |(_, cosine): &&(_, f64)| !(-1.0..=1.0).contains(cosine);
        match bounds.iter().find(bad) {
            Some(&(key, cosine)) => {
                Err(TrainingError::setting(key, cosine, "a cosine from -1 to 1"))
            }
            None => Ok(()),
        }
    }
}

/// What was left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cleansed {
    /// Images that are unlike their person.
    pub images: usize,
    /// People of whom fewer than two images were left.
    pub alone: usize,
    /// People of the added set who look like one of the first set.
    pub alike: usize,
}

impl Cleansed {
    /// All people who were left out.
    pub fn people(&self) -> usize {
        self.alone + self.alike
    }
}

impl Verification {
    /// The items that are worth learning from, and what was left out, in this order: images that are unlike their person, people of whom fewer than two
    /// images are left, and people of the added set who look like one of the first. `auxiliary` is a network that has learned from allowed people alone,
    /// such as these. It sees these items alone. `after_batch` is told how many it has seen, and may stop the work; `None` if it did.
    ///
    /// # Errors
    /// A bound that is no cosine, an output that is not finite, and [`TrainingError::Data`] if fewer than two people are left.
    pub fn cleansed<R: Recognizer>(
        &self,
        auxiliary: &R,
        cleansing: Cleansing,
        device: &Device,
        after_batch: &mut dyn FnMut(usize) -> ControlFlow<()>,
    ) -> Result<Option<(Self, Cleansed)>, TrainingError> {
        cleansing.check()?;
        let seen = Self {
            purpose: Purpose::Judge,
            ..self.clone()
        };
        match seen.vectors_until(auxiliary, device, after_batch)? {
            Some(vectors) => self.cleansed_by(&vectors.rows, cleansing).map(Some),
            None => Ok(None),
        }
    }

    /// The same by vectors of length 1, each with its place among the samples.
    pub(super) fn cleansed_by(
        &self,
        vectors: &[(usize, Vec<f32>)],
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
        let (mut cleansed, all) = (Cleansed::default(), people.len());
        for rows in people.values_mut() {
            let (middle, count) = (mean(rows), rows.len());
            rows.retain(|(_, row)| cosine(row, &middle) >= cleansing.least_within);
            cleansed.images += count - rows.len();
        }
        people.retain(|_, rows| rows.len() >= LEAST);
        cleansed.alone = all - people.len();
        let means = people.iter().map(|(person, rows)| (*person, mean(rows)));
        let (of_added, of_first): (Vec<_>, Vec<_>) =
            means.partition(|(person, _)| self.is_added(people[person][0].0));
        let alike: BTreeSet<u32> = of_added
            .into_iter()
            .filter(|(_, own)| {
                let mut others = of_first.iter();
                others.any(|(_, other)| cosine(own, other) > cleansing.most_between)
            })
            .map(|(person, _)| person)
            .collect();
        cleansed.alike = alike.len();
        people.retain(|person, _| !alike.contains(person));
        if people.len() < LEAST {
            return Err(TrainingError::data(
                "cleansing",
                format!(
                    "{} of {all} people are left to learn from, and {LEAST} are needed",
                    people.len()
                ),
                "hint: add people or images, or train the auxiliary network for longer; a recipe may also lower least_within or raise most_between",
            ));
        }
        let kept = people.values().flatten().map(|(place, _)| *place);
        let mut kept: Vec<usize> = kept.collect();
        kept.sort_unstable();
        Ok((self.learned_from(&kept)?, cleansed))
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

    /// People with three images each, of one pixel.
    fn set(names: &[&str]) -> Samples {
        let origins = names.iter().flat_map(|name| [(*name, 0); 3]);
        let count = 3 * names.len();
        Samples {
            shape: [1, 1, 1],
            values: Values::Bytes(vec![0; count]),
            labels: vec![0; count],
            classes: 1,
            class_names: Vec::new(),
            normalization: Normalization::none(1),
            origins: Some(Origins::in_order(origins)),
            masks: None,
        }
    }

    /// Three people of the first set and two of the added one.
    fn task() -> Verification {
        let first = set(&["a", "b", "c"]);
        let first = Verification::learn(first, &VerificationConfig::default(), 1).unwrap();
        first.with_added(&set(&["d", "e"])).unwrap()
    }

    /// Vectors at these angles in degrees.
    fn vectors(angles: [f64; 15]) -> Vec<(usize, Vec<f32>)> {
        let at = |angle: f64| {
            let (sin, cos) = angle.to_radians().sin_cos();
            vec![cos as f32, sin as f32]
        };
        angles.into_iter().map(at).enumerate().collect()
    }

    /// Bounds that nothing reaches.
    const ALL: Cleansing = Cleansing {
        least_within: -1.0,
        most_between: 1.0,
    };

    #[test]
    fn wrong_images_and_people_who_are_there_already_are_left_out() {
        // The third image of b is 110 degrees from the other two. The mean of (0, 0, 110) degrees is at 29.5 degrees, from which it is 80.5 degrees off:
        // a cosine of 0.17. d is 30 degrees from a, and 60 from b without its third image.
        let found = vectors([
            150.0, 150.0, 150.0, 240.0, 240.0, 350.0, 60.0, 60.0, 60.0, 180.0, 180.0, 180.0, 0.0,
            0.0, 0.0,
        ]);
        let (cleansed, left_out) = task().cleansed_by(&found, Cleansing::default()).unwrap();
        let expected = Cleansed {
            images: 1,
            alone: 0,
            alike: 1,
        };
        assert_eq!(left_out, expected);
        assert_eq!(cleansed.places[..], [0, 1, 2, 3, 4, 6, 7, 8, 12, 13, 14]);
        // a, b, c and e, numbered without a gap.
        assert_eq!(cleansed.identities(), 4);
        let batch = cleansed
            .batch(&[0, 3, 5, 8], &Device::flex())
            .unwrap()
            .identities;
        assert_eq!(batch, [0, 1, 2, 3]);
        let (whole, none) = task().cleansed_by(&found, ALL).unwrap();
        assert_eq!((whole.items(), none), (15, Cleansed::default()));
        // People of the first set are never left out for being alike.
        let first = set(&["a", "b", "c", "d", "e"]);
        let first = Verification::learn(first, &VerificationConfig::default(), 1).unwrap();
        let (kept, left_out) = first.cleansed_by(&found, Cleansing::default()).unwrap();
        assert_eq!((kept.items(), left_out.alike), (14, 0));
    }

    #[test]
    fn a_person_with_one_image_is_left_out_and_one_person_is_too_few() {
        // The mean of the images of b is at 90 degrees: the cosines are 0, 1 and 0, and one image stays. That of the images of c is at 63.4 degrees: the
        // cosines are 0.45, 0.89 and 0.89, and two stay. So do two of d, who is turned.
        let found = vectors([
            10.0, 10.0, 10.0, 0.0, 90.0, 180.0, 0.0, 90.0, 90.0, 200.0, 200.0, 290.0, 300.0, 300.0,
            300.0,
        ]);
        let half = Cleansing {
            least_within: 0.5,
            ..ALL
        };
        let (kept, left_out) = task().cleansed_by(&found, half).unwrap();
        let expected = Cleansed {
            images: 2 + 1 + 1,
            alone: 1,
            alike: 0,
        };
        assert_eq!(left_out, expected);
        assert_eq!(kept.places[..], [0, 1, 2, 7, 8, 9, 10, 12, 13, 14]);
        assert_eq!(kept.identities(), 4);
        // At 0.8 one of three images at 0, 70 and 140 degrees stays, the middle one: the cosines are 0.34, 1 and 0.34.
        let spread = [0.0, 70.0, 140.0];
        let mut found: [f64; 15] = std::array::from_fn(|place| spread[place % 3]);
        found[..3].fill(50.0);
        let strict = Cleansing {
            least_within: 0.8,
            ..ALL
        };
        let message = task().cleansed_by(&vectors(found), strict).unwrap_err();
        let message = message.to_string();
        assert!(
            message.starts_with("cleansing: 1 of 5 people are left to learn from")
                && message.contains("; hint: add people or images"),
            "{message}"
        );
        // A second person is enough.
        found[12..].fill(200.0);
        let (kept, left_out) = task().cleansed_by(&vectors(found), strict).unwrap();
        assert_eq!((kept.identities(), kept.items()), (2, 6));
        assert_eq!((left_out.images, left_out.alone), (6, 3));
    }

    #[test]
    fn bounds_are_cosines() {
        for (least_within, most_between, key) in [
            (1.1, 0.5, "task.cleansing.least_within = 1.1"),
            (f64::NAN, 0.5, "task.cleansing.least_within = NaN"),
            (0.3, -1.5, "task.cleansing.most_between = -1.5"),
        ] {
            let bounds = Cleansing {
                least_within,
                most_between,
            };
            let message = bounds.check().unwrap_err().to_string();
            assert!(message.starts_with(key), "{message}");
        }
        ALL.check().unwrap();
    }
}
