//! People of a second set, who are learned from beside those of the data source.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Purpose, Verification};
use crate::TrainingError;
use crate::data::{DataSource, Samples, together};

/// The most times that a person of the data source is learned from in an epoch.
const MOST_TIMES: usize = 100;

/// A second set of people to learn from. In recipes the table `[task.added]`.
///
/// Nobody of it is judged, and the threshold does not come from it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AddedPeople {
    /// Where its images come from. Its training images are taken.
    pub source: DataSource,
    /// Number of images; all where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub train: Option<usize>,
    /// How often each image of the data source is learned from in an epoch, where each added image is learned from once.
    #[serde(default = "once")]
    pub oversample: usize,
}

fn once() -> usize {
    1
}

impl AddedPeople {
    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainingError::Setting`].
    pub(super) fn check(&self) -> Result<(), TrainingError> {
        match (1..=MOST_TIMES).contains(&self.oversample) {
            true => Ok(()),
            false => Err(TrainingError::setting(
                "task.added.oversample",
                self.oversample,
                "a whole number from 1 to 100",
            )),
        }
    }
}

impl Verification {
    /// All images of both sets, to learn from. The groups of these people keep their numbers, and those of `added` follow. Added people may be held back
    /// from training, but pairs are made of the first set alone.
    ///
    /// # Errors
    /// Those of [`together`]: images of another size, and a person of both sets.
    pub fn with_added(&self, added: &Samples) -> Result<Self, TrainingError> {
        let both = together(&[&*self.samples, added])?;
        let all = Self::of(both.into(), &self.config, self.seed, Purpose::Learn)?;
        Ok(Self {
            first_groups: self.first_groups,
            kept: self.kept.clone(),
            ..all
        })
    }

    /// Whether the person of the sample at `place` is of the added set.
    pub(super) fn is_added(&self, place: usize) -> bool {
        usize::from(self.samples.labels[place]) >= self.first_groups
    }

    /// The same items, where those of the first set are learned from `times` times in an epoch.
    ///
    /// # Errors
    /// Samples of which nobody knows who is on them.
    pub fn oversampled(&self, times: usize) -> Result<Self, TrainingError> {
        let often = |place: usize| match self.is_added(place) {
            true => 1,
            false => times,
        };
        let places = self.places.iter();
        let places: Vec<usize> = places
            .flat_map(|place| std::iter::repeat_n(*place, often(*place)))
            .collect();
        self.learned_from(&places)
    }

    /// Refuses added people who are among those that `judged` has.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names the first.
    pub(super) fn expect_unjudged(&self, judged: &Self) -> Result<(), TrainingError> {
        let names = |task: &Self, all: bool| -> BTreeSet<String> {
            let origins = task.samples.origins.iter();
            let names = origins.flat_map(|origins| origins.names().enumerate());
            let chosen = names.filter(|(place, _)| all || task.is_added(*place));
            chosen.map(|(_, name)| name.to_string()).collect()
        };
        match names(self, false).intersection(&names(judged, true)).next() {
            Some(name) => Err(TrainingError::data(
                "task.added",
                format!("{name} is also a person on whom networks are judged"),
                "hint: name a set of other people, or give every person a name of their own",
            )),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::VerificationConfig;
    use super::*;
    use crate::data::{FacesConfig, Style, faces};
    use crate::task::Task;

    /// 24 real people and 16 synthetic ones with three images each, in eight groups.
    fn sets() -> [Samples; 2] {
        let set = |style| FacesConfig {
            style,
            balanced: true,
            images: 3,
            ..FacesConfig::default()
        };
        [
            faces(1, 0, 72, &set(Style::Real)),
            faces(1, 0, 48, &set(Style::Synthetic)),
        ]
    }

    fn both() -> Verification {
        let [real, drawn] = sets();
        let first = Verification::learn(real, &VerificationConfig::default(), 1).unwrap();
        first.with_added(&drawn).unwrap()
    }

    #[test]
    fn the_first_set_is_learned_from_several_times_and_the_added_one_once() {
        let task = both();
        assert_eq!((task.items(), task.identities()), (120, 40));
        let often = task.oversampled(3).unwrap();
        assert_eq!((often.items(), often.identities()), (3 * 72 + 48, 40));
        let mut seen = [0; 120];
        often.places.iter().for_each(|place| seen[*place] += 1);
        assert_eq!(seen[..72], [3; 72]);
        assert_eq!(seen[72..], [1; 48]);
    }

    #[test]
    fn pairs_of_people_who_are_held_back_are_of_the_first_set() {
        let set = |style| FacesConfig {
            style,
            balanced: true,
            images: 2,
            ..FacesConfig::default()
        };
        // Five people of each of eight groups in both sets, of whom two are held back.
        let real = faces(1, 0, 80, &set(Style::Real));
        let drawn = faces(1, 0, 80, &set(Style::Synthetic));
        let first = Verification::learn(real, &VerificationConfig::default(), 1).unwrap();
        let (learn, held_back) = first.with_added(&drawn).unwrap().hold_back(96);
        assert_eq!((learn.identities(), held_back.items()), (48, 64));
        assert!(held_back.purpose == Purpose::Choose && held_back.pairs() > 0);
        for pair in held_back.pairs.iter() {
            assert!(pair.group < 8 && pair.places.iter().all(|place| *place < 80));
        }
        // Added people are held back too, but nothing is decided about them.
        assert!(held_back.places.iter().any(|place| *place >= 80));
    }

    #[test]
    fn a_person_who_is_judged_is_not_added() {
        let [_, drawn] = sets();
        let judged = |samples: Samples| {
            Verification::judge(samples, &VerificationConfig::default(), 1).unwrap()
        };
        let message = both().expect_unjudged(&judged(drawn)).unwrap_err();
        let message = message.to_string();
        assert!(
            message.contains("s0 is also a person on whom networks are judged")
                && message.contains("hint: "),
            "{message}"
        );
        // Test people have other names.
        let others = faces(
            1,
            3 << 32,
            48,
            &FacesConfig {
                images: 3,
                ..FacesConfig::default()
            },
        );
        both().expect_unjudged(&judged(others)).unwrap();
    }
}
