//! Procedural slices of brains with lesions that are hard to see: the set that needs no file.

use std::f64::consts::TAU;
use std::sync::Arc;

use crossburn_noise::{Philox, path_hash};
use rayon::prelude::*;

use super::super::endless::Endless;
use super::super::options::Options;
use super::super::reader::Kind;
use super::super::{Masks, Normalization, Origin, Origins, Samples, Values};
use super::anatomy::{Anatomy, Head, Lesion};
use super::chain::Chain;
use super::intensity::{self, Means, Reverse};
use super::{CLASSES, smooth_field};
use crate::TrainingError;

/// Slices of a patient.
pub const OF_PATIENT: u64 = 8;
/// Patients whose intensities say whether reversal raises the ratio: the first ones, which training has.
const LOOKED_AT: u64 = 16;
/// The standard deviation of the texture that all patients share, and its smoothness in pixels.
const TEXTURE: (f64, f64) = (0.03, 2.5);
/// The standard deviation of the coil's sensitivity over a slice, around 1, and its waves.
const BIAS: f64 = 0.05;
const BIAS_WAVES: u64 = 6;
/// The smoothness of a lesion's texture, in pixels.
const LESION_SIGMA: f64 = 1.6;
/// Widths of borders between tissues, in pixels.
const FADE: f64 = 1.0;

/// Options of every set that is drawn.
pub(super) const OPTIONS: &[&str] = &["contrast", "d", "het", "size", Reverse::OPTION];

pub(in super::super) const KIND: Kind = Kind {
    name: "mri-phantom",
    usage: "mri-phantom?OPTIONS",
    open: |text| {
        let options = Options::without_path(KIND.name, text, &[OPTIONS])?;
        Ok(Arc::new(source(PhantomConfig::new(&options)?)))
    },
};

/// What the intensities of a tissue depend on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Contrast {
    /// Dark fluid, grey matter brighter than white (fluid-attenuated inversion recovery).
    #[default]
    Flair,
    /// Bright fluid.
    T2,
}

impl Contrast {
    /// The intensities of white matter, grey matter and fluid, before they are scaled.
    fn tissues(self) -> [f64; 3] {
        match self {
            Self::Flair => [0.55, 0.68, 0.15],
            Self::T2 => [0.25, 0.40, 0.95],
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Flair => "flair",
            Self::T2 => "t2",
        }
    }
}

/// What the procedural brains look like. The defaults are lesions that differ from their surroundings by their texture more than by their
/// mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct PhantomConfig {
    /// What the intensities of a tissue depend on.
    pub contrast: Contrast,
    /// What is added to the intensities of a lesion, before they are scaled.
    pub d: f64,
    /// The standard deviation of a lesion's texture, before intensities are scaled.
    pub het: f64,
    /// Height and width of a slice, in pixels.
    pub size: usize,
    /// Whether intensities are reversed.
    pub reverse: Reverse,
}

impl Default for PhantomConfig {
    fn default() -> Self {
        Self {
            contrast: Contrast::Flair,
            d: 0.05,
            het: 0.12,
            size: 64,
            reverse: Reverse::No,
        }
    }
}

impl PhantomConfig {
    /// Reads options.
    pub(super) fn new(options: &Options) -> Result<Self, TrainingError> {
        let usual = Self::default();
        let contrast = match options.get("contrast") {
            None | Some("flair") => Contrast::Flair,
            Some("t2") => Contrast::T2,
            Some(other) => {
                let problem = format!("contrast={other} is not allowed: use flair or t2");
                return Err(options.refuse(problem));
            }
        };
        let d = options.number("d", "a number from -1 to 1", |d: &f64| d.abs() <= 1.0)?;
        let het = options.number("het", "a number from 0 to 1", |het: &f64| {
            (0.0..=1.0).contains(het)
        })?;
        let size = options.number("size", "a whole number from 16 to 128", |size: &usize| {
            (16..=128).contains(size)
        })?;
        Ok(Self {
            contrast,
            d: d.unwrap_or(usual.d),
            het: het.unwrap_or(usual.het),
            size: size.unwrap_or(usual.size),
            reverse: Reverse::new(options)?,
        })
    }

    /// How slices of the set `seed` of these patients are made, in one line.
    pub(super) fn steps(&self, seed: u64, patients: &impl Patients) -> String {
        let (_, reverse) = self.reversal(seed, &texture(seed, self), patients);
        let (size, drawn) = (self.size, patients.in_words());
        format!(
            "drawn {drawn}{size} x {size} ({}, lesions d = {}, het = {}); intensities clipped to the 1st and 99th percentile of each patient's brain \
             and scaled to 0 to 1; {reverse}",
            self.contrast.name(),
            self.d,
            self.het
        )
    }

    /// What prepares other slices as these are drawn.
    pub(super) fn chain(&self) -> Chain {
        Chain {
            size: Some(self.size),
            ..Chain::default()
        }
    }

    /// Whether the slices of the set `seed` of these patients are reversed.
    pub(super) fn is_reversed(&self, seed: u64, patients: &impl Patients) -> bool {
        self.reversal(seed, &texture(seed, self), patients).0
    }

    /// Whether the slices of the set `seed`, whose patients share this texture, are reversed, and that in words.
    fn reversal(&self, seed: u64, texture: &[f32], patients: &impl Patients) -> (bool, String) {
        let fixed = |reversed| (reversed, intensity::in_words(reversed).to_string());
        match self.reverse {
            Reverse::Yes => fixed(true),
            Reverse::No => fixed(false),
            Reverse::Auto => {
                let volumes: Vec<Volume> = (0..LOOKED_AT)
                    .into_par_iter()
                    .map(|patient| Volume::draw(seed, patient, self, texture, patients))
                    .collect();
                let mut means = Means::default();
                for volume in volumes {
                    means.add(&volume.values, &volume.brain, &volume.lesion);
                }
                let whose = format!("the first {LOOKED_AT} training patients'");
                // Every other patient has a lesion, so that there are both means.
                means.decision(&whose).unwrap_or_else(|| fixed(false))
            }
        }
    }
}

/// Where the brains of patients come from.
pub(super) trait Patients: Sync {
    /// A brain.
    type Brain: Anatomy;

    /// The brain of a patient of the set `seed`.
    fn brain(&self, seed: u64, patient: u64) -> Self::Brain;

    /// What they are drawn from, with a space after it; nothing where that is formulas.
    fn in_words(&self) -> String {
        String::new()
    }
}

/// Patients whose brains are made up.
struct MadeUp;

impl Patients for MadeUp {
    type Brain = Head;

    fn brain(&self, seed: u64, patient: u64) -> Head {
        Head::draw(&stream(seed, "mri phantom head", patient))
    }
}

fn stream(seed: u64, purpose: &str, index: u64) -> Philox {
    Philox::new(seed ^ path_hash(purpose), index)
}

/// Training and test slices of a set where no numbers are given: 100 patients and 50.
pub(super) const USUAL: (usize, usize) = (100 * OF_PATIENT as usize, 50 * OF_PATIENT as usize);
/// Slices that are drawn at once at most: 2 GB of values and masks.
pub(super) const MOST: usize = 20_000;
/// The number of the first test slice.
pub(super) const FIRST_TEST: u64 = (1 << 32) * OF_PATIENT;

/// The data source: 100 patients to learn from and 50 to judge by unless told, at most 2 GB of values and masks at once.
fn source(config: PhantomConfig) -> Endless<PhantomConfig> {
    Endless {
        name: KIND.name,
        classes: CLASSES.len(),
        usual: USUAL,
        most: MOST,
        first_test: FIRST_TEST,
        config,
        draw: |config, seed, first, count| phantom(seed, first, count, config),
        filter: None,
        steps: |config, seed| Some(config.steps(seed, &MadeUp)),
        slices: |config, seed| Some((config.chain(), config.is_reversed(seed, &MadeUp))),
    }
}

/// The slices `first..first + count` of the endless set `seed`, `[1, size, size]` each: eight of one patient, then eight of the next. Every
/// other patient has a lesion, in two to five slices; labels, brain and lesion masks say where.
///
/// A slice is a function of (`seed`, its number, `config`) alone; whether it is reversed by [`Reverse::Auto`] is one of (`seed`, `config`), for
/// all slices alike. The brain is an ellipse with a rippled cortex and two ventricles, in which every patient
/// differs. All patients of a set share a smooth texture, and a smooth factor (the bias of the coil) differs by slice. A lesion is a warped
/// disc to which `d` and a texture of standard deviation `het` are added. There is no white noise. Intensities are clipped to the 1st and
/// 99th percentile of the patient's brain and scaled to 0 to 1; outside the brain they are 0.
///
/// ```
/// use crossburn_training::data::mri::{PhantomConfig, phantom};
///
/// let some = phantom(1, 0, 16, &PhantomConfig::default());
/// assert_eq!((some.shape, some.len()), ([1, 64, 64], 16));
/// // The first patient is healthy, the second has a lesion.
/// assert_eq!(some.labels[..8], [0; 8]);
/// assert!(some.labels[8..].contains(&1));
/// ```
pub fn phantom(seed: u64, first: u64, count: usize, config: &PhantomConfig) -> Samples {
    drawn(&MadeUp, seed, (first, count), config, true)
}

/// The same slices as [`phantom`] gives, as they were before their lesions: what a perfect reconstruction of healthy brain is. Intensities
/// are scaled as there; no slice has a lesion.
pub fn phantom_without_lesions(
    seed: u64,
    first: u64,
    count: usize,
    config: &PhantomConfig,
) -> Samples {
    drawn(&MadeUp, seed, (first, count), config, false)
}

/// The slices `first..first + count` of the set `seed` of `patients`, with lesions or before them.
pub(super) fn drawn(
    from: &impl Patients,
    seed: u64,
    (first, count): (u64, usize),
    config: &PhantomConfig,
    lesions: bool,
) -> Samples {
    let texture = texture(seed, config);
    let end = first + count as u64;
    let patients = first / OF_PATIENT..end.div_ceil(OF_PATIENT);
    let (reversed, _) = config.reversal(seed, &texture, from);
    let volumes: Vec<Volume> = patients
        .clone()
        .into_par_iter()
        .map(|patient| {
            let mut volume = Volume::draw(seed, patient, config, &texture, from);
            if !lesions {
                std::mem::swap(&mut volume.values, &mut volume.healthy);
                volume.lesion.fill(0);
            }
            if reversed {
                intensity::reverse(&mut volume.values, &volume.brain);
            }
            volume
        })
        .collect();
    let plane = config.size * config.size;
    let mut values = Vec::with_capacity(count * plane);
    let mut masks = Masks {
        reversed: Some(reversed),
        ..Masks::default()
    };
    let (mut labels, mut origins) = (Vec::with_capacity(count), Origins::default());
    for (group, (patient, volume)) in patients.zip(&volumes).enumerate() {
        origins.groups.push(format!("B{patient}"));
        for place in 0..OF_PATIENT {
            if !(first..end).contains(&(patient * OF_PATIENT + place)) {
                continue;
            }
            let pixels = place as usize * plane..(place as usize + 1) * plane;
            let lesion = &volume.lesion[pixels.clone()];
            values.extend_from_slice(&volume.values[pixels.clone()]);
            labels.push(u16::from(lesion.contains(&1)));
            masks.lesion.extend_from_slice(lesion);
            masks.brain.extend_from_slice(&volume.brain[pixels]);
            origins.samples.push(Origin {
                group: group as u32,
                sequence: group as u32,
                place: place as u32,
            });
        }
    }
    Samples {
        shape: [1, config.size, config.size],
        values: Values::Floats(values),
        labels,
        classes: CLASSES.len(),
        class_names: CLASSES.map(str::to_string).to_vec(),
        normalization: Normalization::none(1),
        origins: Some(origins),
        masks: Some(masks),
    }
}

/// The texture that all patients of a set share.
fn texture(seed: u64, config: &PhantomConfig) -> Vec<f32> {
    let draws = Philox::new(seed ^ path_hash("mri phantom texture"), 0);
    smooth_field(&draws, [config.size; 2], TEXTURE.1)
}

/// The height of a slice from the middle of a volume of `slices`, -1 to 1.
pub(super) fn level(place: f64, slices: usize) -> f64 {
    let half = slices as f64 / 2.0;
    (place + 0.5 - half) / half
}

/// All slices of one patient.
struct Volume {
    /// With the lesion, and before it.
    values: Vec<f32>,
    healthy: Vec<f32>,
    brain: Vec<u8>,
    lesion: Vec<u8>,
}

impl Volume {
    fn draw(
        seed: u64,
        patient: u64,
        config: &PhantomConfig,
        texture: &[f32],
        from: &impl Patients,
    ) -> Self {
        let slices = OF_PATIENT as usize;
        let head = from.brain(seed, patient);
        let lesion = (patient % 2 == 1).then(|| {
            let draws = stream(seed, "mri phantom lesion", patient);
            Lesion::draw(&draws, &head, slices)
        });
        let side = config.size;
        let half = side as f64 / 2.0;
        let mut volume = Self {
            values: Vec::with_capacity(slices * side * side),
            healthy: Vec::with_capacity(slices * side * side),
            brain: Vec::with_capacity(slices * side * side),
            lesion: Vec::with_capacity(slices * side * side),
        };
        let [white, grey, fluid] = config.contrast.tissues();
        for place in 0..slices {
            let number = patient * OF_PATIENT + place as u64;
            let level = level(place as f64, slices);
            let bias = Bias::draw(&stream(seed, "mri phantom bias", number));
            let lesion = lesion.as_ref().filter(|lesion| lesion.is_in(place));
            let spots = lesion.map(|_| {
                let draws = stream(seed, "mri phantom lesion texture", number);
                smooth_field(&draws, [side; 2], LESION_SIGMA)
            });
            for (pixel, shared) in texture.iter().enumerate() {
                let (x, y) = ((pixel % side) as f64, (pixel / side) as f64);
                // The front of the head is the top of the slice.
                let point = [(x + 0.5) / half - 1.0, 1.0 - (y + 0.5) / half];
                let brain = head.is_brain(level, point);
                volume.brain.push(u8::from(brain));
                if !brain {
                    volume.lesion.push(0);
                    volume.healthy.push(0.0);
                    volume.values.push(0.0);
                    continue;
                }
                let tissues = head.tissues(level, point, FADE / half);
                let mean = tissues.white * white + tissues.grey * grey + tissues.fluid * fluid;
                let gain = 1.0 + BIAS * bias.at(point);
                let plain = mean + TEXTURE.0 * f64::from(*shared);
                let spot = match (lesion, &spots) {
                    (Some(lesion), Some(spots)) if lesion.covers(&head, (place, level), point) => {
                        Some(config.d + config.het * f64::from(spots[pixel]))
                    }
                    _ => None,
                };
                volume.lesion.push(u8::from(spot.is_some()));
                volume.healthy.push((gain * plain) as f32);
                let ill = gain * (plain + spot.unwrap_or(0.0));
                volume.values.push(ill as f32);
            }
        }
        volume.scale();
        volume
    }

    /// Scales intensities by those of the brain with its lesion.
    fn scale(&mut self) {
        let inside = self.values.iter().zip(&self.brain);
        let inside: Vec<f32> = inside
            .filter(|(_, brain)| **brain == 1)
            .map(|(v, _)| *v)
            .collect();
        // A brain has several tissues, so that its percentiles differ.
        let range = intensity::range(inside).unwrap_or([0.0, 1.0]);
        for values in [&mut self.values, &mut self.healthy] {
            for (value, brain) in values.iter_mut().zip(&self.brain) {
                *value = match brain {
                    1 => intensity::scaled(*value, range),
                    _ => 0.0,
                };
            }
        }
    }
}

/// A smooth field of standard deviation 1 over all draws: a few waves longer than the head.
pub(super) struct Bias {
    /// Frequencies in turns per half width, and phases in turns.
    waves: Vec<[f64; 3]>,
}

impl Bias {
    pub(super) fn draw(draws: &Philox) -> Self {
        let wave = |wave: u64| {
            let draw = |index| draws.uniform(3 * wave + index);
            [0.6 * draw(0) - 0.3, 0.6 * draw(1) - 0.3, draw(2)]
        };
        Self {
            waves: (0..BIAS_WAVES).map(wave).collect(),
        }
    }

    pub(super) fn at(&self, [u, v]: [f64; 2]) -> f64 {
        let waves = self.waves.iter();
        let sum: f64 = waves
            .map(|[across, along, phase]| (TAU * (across * u + along * v + phase)).cos())
            .sum();
        sum * (2.0 / BIAS_WAVES as f64).sqrt()
    }
}
