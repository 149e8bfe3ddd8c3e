//! How a network was shown its training samples, so that other samples are shown to it in the same way.

use serde::{Deserialize, Serialize};

use super::{Normalization, Samples};
use crate::TrainingError;

/// Most names that a message lists.
const SHOWN: usize = 4;

/// How a network was shown its training samples: which output stands for which class, and how values are normalized. A checkpoint keeps it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conventions {
    /// Number of classes.
    pub classes: usize,
    /// Their names in the order of their labels; empty if classes have no names besides their numbers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub class_names: Vec<String>,
    /// How values are normalized.
    pub normalization: Normalization,
    /// The names of the values of a sample, such as the columns of a table, in order; empty if values have no names.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub columns: Vec<String>,
    /// Whether values are bytes, which count as `byte / 255`; unknown for early checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<bool>,
    /// Whether intensities inside the brain are reversed; absent if samples are not slices of brains, and unknown for early checkpoints.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reversed: Option<bool>,
}

impl Conventions {
    /// The same conventions for samples whose values have names.
    #[must_use]
    pub fn with_columns(self, columns: Vec<String>) -> Self {
        Self { columns, ..self }
    }

    /// Refuses samples of `place` whose values have other names, or the same names in another order.
    ///
    /// # Errors
    /// [`TrainingError::Data`] with the first name that differs.
    pub(super) fn expect_columns(
        &self,
        columns: &[String],
        place: &str,
    ) -> Result<(), TrainingError> {
        if self.columns.is_empty() || columns.is_empty() {
            return Ok(());
        }
        let differs = |number: &usize| self.columns.get(*number) != columns.get(*number);
        let Some(number) = (0..self.columns.len().max(columns.len())).find(differs) else {
            return Ok(());
        };
        let shown = |name: Option<&String>| match name {
            Some(name) => format!("`{name}`"),
            None => "none".to_string(),
        };
        Err(TrainingError::data(
            place,
            format!(
                "feature {} is {}, the network has learned {} there",
                number + 1,
                shown(columns.get(number)),
                shown(self.columns.get(number))
            ),
            "give the columns of the training in their order, and leave others out with skip=",
        ))
    }
}

impl Samples {
    /// The conventions of these samples.
    pub fn conventions(&self) -> Conventions {
        Conventions {
            classes: self.classes,
            class_names: self.class_names.clone(),
            normalization: self.normalization.clone(),
            columns: Vec::new(),
            bytes: Some(self.values.are_bytes()),
            reversed: self.masks.as_ref().and_then(|masks| masks.reversed),
        }
    }

    /// These samples, which were read at `place`, in the conventions of other samples: the same class has the same number, and values are
    /// normalized alike. If classes have no names, as many classes count as the same.
    ///
    /// # Errors
    /// [`TrainingError::Data`] if the classes differ, if one side has bytes and the other floats, if only one side reverses intensities, or if the
    /// number of means is neither that of channels nor that of values.
    pub fn following(
        mut self,
        conventions: &Conventions,
        place: &str,
    ) -> Result<Self, TrainingError> {
        let other =
            |problem: String, remedy: &str| Err(TrainingError::data(place, problem, remedy));
        let means = conventions.normalization.mean.len();
        if means != self.shape[0] && means != self.sample_len() {
            return other(
                format!(
                    "its samples have {} channels of {} values in all, the network has learned a mean for each of {means}",
                    self.shape[0],
                    self.sample_len()
                ),
                "use data of the same shape",
            );
        }
        let (here, there) = (&self.class_names, &conventions.class_names);
        if self.classes != conventions.classes && (here.is_empty() || there.is_empty()) {
            return other(
                format!(
                    "it has {} classes, the network has learned {}",
                    self.classes, conventions.classes
                ),
                "use data of the same classes",
            );
        }
        if there.is_empty() && !here.is_empty() {
            return other(
                format!(
                    "its classes are called {}, those that the network has learned have numbers alone",
                    listed(here)
                ),
                "name every class by its number, from 0",
            );
        }
        if !here.is_empty() {
            let lacks = |all: &[String], some: &[String]| -> Vec<String> {
                let missing = some.iter().filter(|name| !all.contains(name));
                missing.cloned().collect()
            };
            let (missing, unknown) = (lacks(here, there), lacks(there, here));
            let problem = match (missing.is_empty(), unknown.is_empty()) {
                (false, true) => format!(
                    "it lacks {}, which the network has learned",
                    listed(&missing)
                ),
                (true, false) => format!("the network has not learned its {}", listed(&unknown)),
                (false, false) => format!(
                    "the network has learned {}, not its {}",
                    listed(&missing),
                    listed(&unknown)
                ),
                (true, true) => String::new(),
            };
            if !problem.is_empty() {
                return other(problem, "use data of the same classes");
            }
            let number = |name: &String| there.iter().position(|other| other == name);
            let numbers: Vec<Option<usize>> = here.iter().map(number).collect();
            for label in &mut self.labels {
                if let Some(Some(number)) = numbers.get(usize::from(*label)) {
                    // There are at most as many classes as 16 bits hold.
                    *label = *number as u16;
                }
            }
        }
        let bytes = self.values.are_bytes();
        if conventions.bytes.is_some_and(|learned| learned != bytes) {
            let [of_bytes, of_floats] = ["bytes (uint8)", "floats"];
            let (here, there) = match bytes {
                true => (of_bytes, of_floats),
                false => (of_floats, of_bytes),
            };
            return other(
                format!("its values are {here}, the network has learned {there}"),
                "save them with the type of the training data",
            );
        }
        let reversed = self.masks.as_ref().and_then(|masks| masks.reversed);
        if let (Some(here), Some(there)) = (reversed, conventions.reversed)
            && here != there
        {
            let said = |reversed| if reversed { "reversed" } else { "not reversed" };
            return other(
                format!(
                    "its intensities are {}, those that the network has learned are {}",
                    said(here),
                    said(there)
                ),
                match there {
                    true => "give the data source reverse=yes",
                    false => "give the data source reverse=no",
                },
            );
        }
        self.class_names.clone_from(there);
        self.normalization.clone_from(&conventions.normalization);
        Ok(self)
    }
}

/// The first of `names`, in quotes.
fn listed(names: &[String]) -> String {
    let shown: Vec<String> = names
        .iter()
        .take(SHOWN)
        .map(|name| format!("`{name}`"))
        .collect();
    match names.len().saturating_sub(SHOWN) {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::{Masks, Values};
    use super::*;

    fn named(names: &[&str], labels: &[u16], mean: f32) -> Samples {
        Samples {
            shape: [1, 1, 2],
            values: Values::Floats((0..2 * labels.len()).map(|value| value as f32).collect()),
            labels: labels.to_vec(),
            classes: 3,
            class_names: names.iter().map(|name| name.to_string()).collect(),
            normalization: Normalization {
                mean: vec![mean],
                std: vec![2.0],
            },
            origins: None,
            masks: None,
        }
    }

    #[test]
    fn classes_take_the_numbers_and_values_the_normalization_of_the_training() {
        let learned = named(&["sine", "triangle", "square"], &[0, 1, 2, 0], 0.5);
        // The same samples as another source has them: classes in order of their names, and other statistics.
        let other = named(&["sine", "square", "triangle"], &[0, 2, 1, 0], 7.0);
        let found = other.following(&learned.conventions(), "csv:x").unwrap();
        assert_eq!(found, learned);
        assert_eq!(found.digest(), learned.digest());
        let text = serde_json::to_string(&learned.conventions()).unwrap();
        assert_eq!(
            serde_json::from_str::<Conventions>(&text).unwrap(),
            learned.conventions()
        );
        // Without names, the classes are the numbers.
        let numbers = named(&[], &[0, 1, 2, 0], 7.0)
            .following(&learned.conventions(), "x")
            .unwrap();
        assert_eq!(numbers, learned);
    }

    #[test]
    fn other_classes_and_shapes_are_refused() {
        let learned = named(&["a", "b", "c"], &[0], 0.5).conventions();
        let two = Samples {
            classes: 2,
            ..named(&["a", "c"], &[1], 0.5)
        };
        let unnamed = Samples {
            classes: 2,
            ..named(&[], &[1], 0.5)
        };
        let numbered = named(&[], &[0], 0.5).conventions();
        let wide = Conventions {
            normalization: Normalization::none(5),
            ..learned.clone()
        };
        let pixels = Samples {
            values: Values::Bytes(vec![0, 9]),
            ..named(&["a", "b", "c"], &[0], 0.5)
        };
        for (samples, conventions, part) in [
            (
                &pixels,
                &learned,
                "x: its values are bytes (uint8), the network has learned floats; save them",
            ),
            (
                &two,
                &learned,
                "x: it lacks `b`, which the network has learned; use data of the same classes",
            ),
            (
                &named(&["a", "b", "d"], &[0], 0.5),
                &learned,
                "the network has learned `c`, not its `d`",
            ),
            (
                &unnamed,
                &learned,
                "it has 2 classes, the network has learned 3",
            ),
            (
                &named(&["a", "b", "c"], &[0], 0.5),
                &numbered,
                "its classes are called `a`, `b`, `c`, those",
            ),
            (
                &named(&["a", "b", "c"], &[0], 0.5),
                &wide,
                "a mean for each of 5",
            ),
        ] {
            let message = samples
                .clone()
                .following(conventions, "x")
                .unwrap_err()
                .to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn intensities_that_are_reversed_otherwise_are_refused() {
        let slices = |reversed| Samples {
            masks: Some(Masks {
                reversed,
                ..Masks::default()
            }),
            ..named(&["healthy", "lesion", "other"], &[], 0.5)
        };
        let learned = |reversed| slices(reversed).conventions();
        for (here, there, part) in [
            (
                false,
                true,
                "mri:x: its intensities are not reversed, those that the network has learned are reversed; give the data source reverse=yes",
            ),
            (
                true,
                false,
                "mri:x: its intensities are reversed, those that the network has learned are not reversed; give the data source reverse=no",
            ),
        ] {
            let refused = slices(Some(here)).following(&learned(Some(there)), "mri:x");
            assert_eq!(refused.unwrap_err().to_string(), part);
        }
        // The same value, and the unknown value of an early checkpoint.
        for known in [Some(true), None] {
            assert!(slices(Some(true)).following(&learned(known), "x").is_ok());
        }
        let text = serde_json::to_string(&learned(Some(true))).unwrap();
        assert!(text.contains("\"reversed\":true"), "{text}");
        let text = serde_json::to_string(&learned(None)).unwrap();
        assert!(!text.contains("reversed"), "{text}");
    }
}
