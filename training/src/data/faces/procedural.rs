//! Procedural faces of eight groups, in a real and a synthetic style: the set that needs no file.

use std::sync::Arc;

use crossburn_noise::{Philox, path_hash};
use rayon::prelude::*;

use super::super::endless::Endless;
use super::super::options::Options;
use super::super::reader::Kind;
use super::super::{Normalization, Origins, Samples, Values};
use super::drawing::{SIZE, image};
use super::person::{Nuisance, Person};
use crate::TrainingError;
use crate::draws::Draws;

/// The groups. They are sub-populations of the geometry of faces, and do not represent groups of people.
pub const GROUPS: [&str; 8] = ["g1", "g2", "g3", "g4", "g5", "g6", "g7", "g8"];

/// Number of people of each group among 36 people of an imbalanced set.
const IMBALANCED: [usize; GROUPS.len()] = [8, 7, 6, 5, 4, 3, 2, 1];
/// The number of the first test person of a set.
const FIRST_TEST: u64 = 1 << 32;

pub(in super::super) const KIND: Kind = Kind {
    name: "faces",
    usage: "faces?OPTIONS",
    open: |text| {
        let options = Options::without_path(KIND.name, text, &[OPTIONS])?;
        Ok(Arc::new(source(FacesConfig::new(&options)?)))
    },
};

const OPTIONS: &[&str] = &["style", "balanced", "images", "test"];

/// The style of training images. Test images are always in the real style.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// With turned heads, uneven light, wrinkles, noise, and sometimes a bar in front of the face.
    #[default]
    Real,
    /// Weaker in all of this, without wrinkles and bars, but blurred, like the output of a generator of faces.
    Synthetic,
    /// People of a real set and of a synthetic set, in turn.
    Mixed,
}

/// The difficulty that many test images have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Condition {
    /// No more than other real images.
    #[default]
    Usual,
    /// Every second image has deep wrinkles.
    Age,
    /// Every second image shows a turned head.
    Pose,
    /// Every second image has a bar in front of the face.
    Occlusion,
}

/// Settings of the procedural faces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FacesConfig {
    /// The style of training images.
    pub style: Style,
    /// Whether all groups of a real set have equally many people. Otherwise the largest group has eight times as many as the smallest. Synthetic people
    /// and test people are always balanced.
    pub balanced: bool,
    /// Number of images of each person.
    pub images: usize,
    /// The difficulty that many test images have.
    pub test: Condition,
}

impl Default for FacesConfig {
    fn default() -> Self {
        Self {
            style: Style::Real,
            balanced: false,
            images: 20,
            test: Condition::Usual,
        }
    }
}

impl FacesConfig {
    /// Reads options.
    fn new(options: &Options) -> Result<Self, TrainingError> {
        let usual = Self::default();
        let styles = [
            ("real", Style::Real),
            ("synthetic", Style::Synthetic),
            ("mixed", Style::Mixed),
        ];
        let conditions = [
            ("usual", Condition::Usual),
            ("age", Condition::Age),
            ("pose", Condition::Pose),
            ("occlusion", Condition::Occlusion),
        ];
        let style = options.one_of("style", &styles)?;
        let test = options.one_of("test", &conditions)?;
        let images = options.number("images", "a whole number from 2 to 100", |images| {
            (2..=100).contains(images)
        })?;
        Ok(Self {
            style: style.unwrap_or(usual.style),
            balanced: options.yes_or_no("balanced")?.unwrap_or(usual.balanced),
            images: images.unwrap_or(usual.images),
            test: test.unwrap_or(usual.test),
        })
    }

    fn people(&self) -> usize {
        match self.style {
            Style::Real | Style::Synthetic => 400,
            Style::Mixed => 800,
        }
    }
}

/// The data source. By default it has 400 training people, or 800 in a mixed set, and 160 test people.
fn source(config: FacesConfig) -> Endless<FacesConfig> {
    Endless {
        name: KIND.name,
        classes: GROUPS.len(),
        usual: (config.people() * config.images, 160 * config.images),
        most: 200_000,
        first_test: FIRST_TEST * config.images as u64,
        config,
        draw: |config, seed, first, count| faces(seed, first, count, config),
        filter: None,
        steps: |_, _| None,
        slices: |_, _| None,
    }
}

/// The person with a given number: name, style and group.
struct Who {
    name: String,
    style: Style,
    group: usize,
    /// The purpose of the person's draws, which all people of this kind share.
    purpose: &'static str,
    number: u64,
    condition: Condition,
}

impl Who {
    fn is(person: u64, config: &FacesConfig) -> Self {
        let evenly = |number: u64| (number % GROUPS.len() as u64) as usize;
        if person >= FIRST_TEST {
            let number = person - FIRST_TEST;
            return Self {
                name: format!("t{number}"),
                style: Style::Real,
                group: evenly(number),
                purpose: "faces test person",
                number,
                condition: config.test,
            };
        }
        let (number, style) = match (config.style, person % 2) {
            (Style::Mixed, 0) => (person / 2, Style::Real),
            (Style::Mixed, _) => (person / 2, Style::Synthetic),
            (style, _) => (person, style),
        };
        let (letter, purpose, group) = match style {
            Style::Synthetic => ("s", "faces synthetic person", evenly(number)),
            Style::Real | Style::Mixed => {
                let group = match config.balanced {
                    true => evenly(number),
                    false => imbalanced(number),
                };
                ("r", "faces real person", group)
            }
        };
        Self {
            name: format!("{letter}{number}"),
            style,
            group,
            purpose,
            number,
            condition: Condition::Usual,
        }
    }
}

/// The group of a person of an imbalanced set. The people of a group are spread as evenly as possible.
fn imbalanced(number: u64) -> usize {
    let all: usize = IMBALANCED.iter().sum();
    let place = (number % all as u64) as usize;
    let mut given = [0usize; GROUPS.len()];
    let mut group = 0;
    for turn in 0..=place {
        // How far each group lags its share after this turn, in people times `all`.
        let behind = |group: usize| {
            (IMBALANCED[group] * (turn + 1)) as isize - (given[group] * all) as isize
        };
        group = (0..GROUPS.len())
            .rev()
            .max_by_key(|group| behind(*group))
            .unwrap_or_default();
        given[group] += 1;
    }
    group
}

/// The images `first..first + count` of the endless set `seed`, `[1, 32, 32]` bytes each: those of one person, then those of the next. Labels are
/// groups, origins are people. Test people are never in a training set of the same seed, and real people never in a synthetic set.
///
/// An image depends on (`seed`, its number, `config`) alone. A person is described by twelve numbers of the geometry of a face. Groups differ in
/// their mean face, in how much their people differ, and in contrast.
///
/// ```
/// use crossburn_training::data::{FacesConfig, faces};
///
/// let some = faces(1, 0, 40, &FacesConfig::default());
/// assert_eq!((some.shape, some.len()), ([1, 32, 32], 40));
/// // Two people with twenty images each.
/// assert_eq!(some.origins.unwrap().groups, ["r0", "r1"]);
/// ```
pub fn faces(seed: u64, first: u64, count: usize, config: &FacesConfig) -> Samples {
    let images = config.images as u64;
    let drawn: Vec<(Who, Vec<u8>)> = (first..first + count as u64)
        .into_par_iter()
        .map(|number| {
            let (who, place) = (Who::is(number / images, config), number % images);
            let person = Draws::of_item(seed, who.purpose, who.number);
            let person = Person::draw(seed, who.group, person);
            let of_image = who.number * images + place;
            let stream = |purpose: &str| {
                Philox::new(seed ^ path_hash(purpose) ^ path_hash(who.purpose), of_image)
            };
            let condition = match place % 2 {
                0 => Condition::Usual,
                _ => who.condition,
            };
            let nuisance = Nuisance::draw(who.style, condition, stream("faces nuisance").into());
            let pixels = image(&person, &nuisance, &stream("faces noise"));
            (who, pixels)
        })
        .collect();
    let names = drawn.iter().map(|(who, _)| (who.name.as_str(), who.group));
    let origins = Origins::in_order(names);
    Samples {
        shape: [1, SIZE, SIZE],
        labels: drawn.iter().map(|(who, _)| who.group as u16).collect(),
        values: Values::Bytes(drawn.into_iter().flat_map(|(_, pixels)| pixels).collect()),
        classes: GROUPS.len(),
        class_names: GROUPS.map(str::to_string).to_vec(),
        normalization: Normalization {
            mean: vec![0.5],
            std: vec![0.5],
        },
        origins: Some(origins),
        masks: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeSet;

    use super::super::people;
    use super::*;
    use crate::data::DataSource;

    #[test]
    fn no_person_is_in_training_and_test() {
        for text in [
            "faces",
            "faces?style=synthetic",
            "faces?style=mixed&images=4",
            "faces?balanced=yes&test=pose",
        ] {
            let source: DataSource = text.parse().unwrap();
            let split = source.load(3, Some(1200), Some(400)).unwrap();
            let (train, test) = (people(&split.train), people(&split.test));
            assert!(train.is_disjoint(&test), "{text}");
            assert!(train.len() > 50 && test.len() > 15, "{text}");
            let seen: BTreeSet<&[u8]> = split.train.bytes().chunks(1024).collect();
            assert!(
                split
                    .test
                    .bytes()
                    .chunks(1024)
                    .all(|image| !seen.contains(image))
            );
        }
    }

    #[test]
    fn a_mixed_set_holds_the_people_of_both() {
        let config = |style| FacesConfig {
            style,
            images: 2,
            ..FacesConfig::default()
        };
        let drawn = |style, count| faces(1, 0, count, &config(style));
        let mixed = drawn(Style::Mixed, 40);
        let both = &people(&drawn(Style::Real, 20)) | &people(&drawn(Style::Synthetic, 20));
        assert_eq!(people(&mixed), both);
        // The same person has the same images in all sets.
        let synthetic = drawn(Style::Synthetic, 2);
        assert_eq!(mixed.image(2), synthetic.image(0));
        assert_eq!(mixed.labels[2], synthetic.labels[0]);
    }

    #[test]
    fn groups_have_the_shares_that_are_said() {
        let counted = |config: &FacesConfig, first: u64| {
            let samples = faces(1, first, 144, config);
            let mut counts = [0; 8];
            samples
                .labels
                .iter()
                .for_each(|group| counts[usize::from(*group)] += 1);
            counts
        };
        let real = FacesConfig {
            images: 2,
            ..FacesConfig::default()
        };
        // 72 people are two rounds of 36.
        assert_eq!(counted(&real, 0), [32, 28, 24, 20, 16, 12, 8, 4]);
        assert_eq!(counted(&real, 2 * FIRST_TEST), [18; 8]);
        let balanced = FacesConfig {
            balanced: true,
            ..real
        };
        assert_eq!(counted(&balanced, 0), [18; 8]);
        let synthetic = FacesConfig {
            style: Style::Synthetic,
            ..real
        };
        assert_eq!(counted(&synthetic, 0), [18; 8]);
        // People of the smallest group are not only at the end.
        assert!((0..36).position(|number| imbalanced(number) == 7).unwrap() < 30);
    }

    #[test]
    fn images_of_a_person_are_closer_than_those_of_two() {
        let samples = faces(2, 0, 400, &FacesConfig::default());
        let gap = |a: usize, b: usize| -> f64 {
            let pixels = samples.image(a).iter().zip(samples.image(b));
            pixels.map(|(a, b)| f64::from(a.abs_diff(*b))).sum::<f64>() / 1024.0
        };
        let mean = |gaps: Vec<f64>| gaps.iter().sum::<f64>() / gaps.len() as f64;
        let own = mean(
            (0..20)
                .map(|person| gap(20 * person, 20 * person + 1))
                .collect(),
        );
        let others = mean(
            (0..19)
                .map(|person| gap(20 * person, 20 * person + 20))
                .collect(),
        );
        assert!(own < others, "{own} {others}");
        // Images of one person differ clearly too, by light and pose: pixels alone do not suffice for verification.
        assert!(own > 0.2 * others, "{own} {others}");
    }

    #[test]
    fn options_that_cannot_be_are_refused() {
        for (text, part) in [
            ("faces?style=x", "style=x is not allowed: use real"),
            ("faces?test=x", "test=x is not allowed: use usual"),
            ("faces?images=1", "images=1 is not allowed"),
            ("faces?balanced=1", "balanced=1 is not allowed"),
        ] {
            let message = text.parse::<DataSource>().unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }
}
