//! A procedural set of pictures of skin lesions, on light and on dark skin.

use std::f64::consts::TAU;
use std::sync::Arc;

use crossburn_noise::{Philox, path_hash};

use super::endless::Endless;
use super::reader::Kind;
use super::{Normalization, Origins, Samples, Values};
use crate::draws::Draws;

/// Height and width of a picture in pixels.
const SIZE: usize = 32;
/// The classes, in the order of the labels.
const CLASSES: [&str; 4] = ["nevus", "melanoma", "keratosis", "angioma"];
/// The groups: the skin around a lesion.
const GROUPS: [&str; 2] = ["light", "dark"];
/// Red, green and blue of the skin of each group, from 0 to 1.
const SKIN: [[f64; 3]; 2] = [[0.88, 0.72, 0.62], [0.40, 0.27, 0.20]];
/// The largest share of the skin's light that a lesion absorbs, by group. On dark skin it is smaller, so less is seen.
const DEPTH: [f64; 2] = [0.55, 0.35];
/// The share of dark skin among training samples.
const DARK: f64 = 0.12;
/// The number of the first test sample. From this number on, half of the samples are on dark skin, so that both groups are measured equally well.
const FIRST_TEST: u64 = 1 << 40;
/// Standard deviation of the noise of each value.
const NOISE: f64 = 0.04;

pub(super) const KIND: Kind = Kind {
    name: "skin-lesions",
    usage: "skin-lesions",
    open: |_| Ok(Arc::new(SKIN_LESIONS)),
};

/// The data source. It draws at most 2.5 GB of values at once.
const SKIN_LESIONS: Endless = Endless {
    name: "skin-lesions",
    classes: CLASSES.len(),
    usual: (4000, 1600),
    most: 200_000,
    first_test: FIRST_TEST,
    config: (),
    draw: |(), seed, first, count| skin_lesions(seed, first, count),
    filter: None,
    steps: |(), _| None,
    slices: |(), _| None,
};

/// The appearance of one lesion.
struct Lesion {
    centre: [f64; 2],
    /// Mean distance of its border from the centre, in pixels.
    radius: f64,
    /// Amplitude and phase of the waves of its border, with two to six periods around it.
    border: [(f64, f64); 5],
    /// The share of red, green and blue of the skin that remains in its middle.
    left: [f64; 3],
    /// How much darker its second colour is, and the direction of the side that has it; 0 for a lesion of one colour.
    second: f64,
    direction: f64,
    /// How dark its dots are.
    dots: f64,
    /// Phases of the pattern of its dots in both directions.
    phases: [f64; 2],
}

impl Lesion {
    /// Draws a lesion of a class, on the skin of a group.
    fn draw(label: usize, group: usize, draws: &mut Draws) -> Self {
        let between = |draws: &mut Draws, low: f64, high: f64| low + (high - low) * draws.uniform();
        let radius = match label {
            1 => between(draws, 7.0, 11.0),
            3 => between(draws, 4.0, 7.0),
            _ => between(draws, 5.0, 10.0),
        };
        // Melanomas have irregular borders.
        let wave = match label {
            1 => 0.16,
            _ => 0.05,
        };
        let border = std::array::from_fn(|_| (wave * draws.uniform(), TAU * draws.uniform()));
        let depth = DEPTH[group] * between(draws, 0.75, 1.0);
        // Angiomas are red; the others are brown.
        let tint = match label {
            3 => [0.25, 1.0, 0.9],
            _ => [0.8, 1.0, 1.1],
        };
        Self {
            centre: [between(draws, 13.0, 18.0), between(draws, 13.0, 18.0)],
            radius,
            border,
            left: tint.map(|part| 1.0 - depth * part),
            second: match label {
                1 => 0.5 * between(draws, 0.5, 1.0),
                _ => 0.0,
            },
            direction: TAU * draws.uniform(),
            dots: match label {
                2 => depth * between(draws, 0.5, 0.9),
                _ => 0.0,
            },
            phases: [TAU * draws.uniform(), TAU * draws.uniform()],
        }
    }

    /// The share of the light of the skin that remains at a pixel.
    fn left_at(&self, x: f64, y: f64) -> [f64; 3] {
        let (dx, dy) = (x - self.centre[0], y - self.centre[1]);
        let angle = dy.atan2(dx);
        let waves = self.border.iter().enumerate();
        let wave: f64 = waves
            .map(|(number, (height, phase))| height * ((number + 2) as f64 * angle + phase).sin())
            .sum();
        // The border fades over two pixels.
        let inside = self.radius * (1.0 + wave) - dx.hypot(dy);
        let covered = (0.5 + inside / 2.0).clamp(0.0, 1.0);
        let side = dx * self.direction.cos() + dy * self.direction.sin();
        let darker = match side > 0.0 {
            true => 1.0 - self.second,
            false => 1.0,
        };
        let dotted = (1.9 * x + self.phases[0]).sin() * (1.9 * y + self.phases[1]).sin();
        self.left.map(|left| {
            let own = (left * darker - self.dots * dotted).clamp(0.05, 1.2);
            1.0 - covered * (1.0 - own)
        })
    }
}

/// Draws the group of a sample: 0 on light skin, 1 on dark skin.
fn group_of(number: u64, draws: &mut Draws) -> usize {
    let share = match number < FIRST_TEST {
        true => DARK,
        false => 0.5,
    };
    usize::from(draws.uniform() < share)
}

/// The pictures `first..first + count` of the endless set `seed`, `[3, 32, 32]` each. The classes nevus, melanoma, keratosis and angioma take turns.
///
/// Melanomas have irregular borders and two colours, keratoses have dots, angiomas are small and red. Groups ([`Origins`]) say which skin a
/// lesion is on. Dark skin shows less contrast. It is 12 % of the samples below number 2^40, and half of the samples from there on, where the test
/// samples of the data source begin.
///
/// ```
/// use crossburn_training::data::skin_lesions;
///
/// let some = skin_lesions(1, 0, 8);
/// assert_eq!((some.shape, &some.labels[..5]), ([3, 32, 32], &[0, 1, 2, 3, 0][..]));
/// assert_eq!(some.origins.map(|origins| origins.samples.len()), Some(8));
/// ```
///
/// # Source
/// A stand-in for ISIC 2019, on which FL-NAS (arXiv 2402.06696) measures fairness. No picture shows measured skin.
pub fn skin_lesions(seed: u64, first: u64, count: usize) -> Samples {
    let numbers = first..first + count as u64;
    let label = |number: u64| (number % CLASSES.len() as u64) as u16;
    let (mut values, mut groups) = (Vec::with_capacity(count * 3 * SIZE * SIZE), Vec::new());
    for number in numbers.clone() {
        let mut draws = Draws::of_item(seed, "skin lesions", number);
        let group = group_of(number, &mut draws);
        let lesion = Lesion::draw(usize::from(label(number)), group, &mut draws);
        // People and light differ.
        let shade = 0.85 + 0.3 * draws.uniform();
        let mut noise = vec![0.0f32; 3 * SIZE * SIZE];
        Philox::new(seed ^ path_hash("noise of skin lesions"), number).fill_normal(&mut noise);
        let pixels: Vec<[f64; 3]> = (0..SIZE * SIZE)
            .map(|at| lesion.left_at((at % SIZE) as f64, (at / SIZE) as f64))
            .collect();
        for (channel, noise) in noise.chunks(SIZE * SIZE).enumerate() {
            let skin = shade * SKIN[group][channel];
            let seen = pixels.iter().zip(noise);
            values.extend(seen.map(|(left, noise)| {
                (skin * left[channel] + NOISE * f64::from(*noise)).clamp(0.0, 1.0) as f32
            }));
        }
        groups.push((GROUPS[group], number));
    }
    Samples {
        shape: [3, SIZE, SIZE],
        values: Values::Floats(values),
        labels: numbers.map(label).collect(),
        classes: CLASSES.len(),
        class_names: CLASSES.map(str::to_string).to_vec(),
        normalization: Normalization {
            mean: vec![0.7, 0.55, 0.45],
            std: vec![0.25; 3],
        },
        origins: Some(Origins::in_order(groups)),
        masks: None,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::DataSource;

    /// The mean value of each sample, with the name of its group.
    fn means(samples: &Samples) -> Vec<(String, f64)> {
        let Values::Floats(values) = &samples.values else {
            panic!("floats");
        };
        let origins = samples.origins.as_ref().unwrap();
        let mean = |values: &[f32]| {
            let sum: f64 = values.iter().map(|value| f64::from(*value)).sum();
            sum / values.len() as f64
        };
        let samples = values.chunks(3 * SIZE * SIZE).zip(origins.names());
        samples
            .map(|(values, name)| (name.to_string(), mean(values)))
            .collect()
    }

    #[test]
    fn dark_skin_is_rare_in_training_and_half_of_the_test() {
        let source: DataSource = "skin-lesions".parse().unwrap();
        let split = source.load(5, Some(1200), Some(1200)).unwrap();
        let dark = |samples: &Samples| {
            let found = means(samples);
            let dark = found.iter().filter(|(name, _)| name == "dark");
            dark.count()
        };
        // 144 and 600, within four standard deviations of a count: 45 and 70.
        assert!(
            dark(&split.train).abs_diff(144) < 45,
            "{}",
            dark(&split.train)
        );
        assert!(
            dark(&split.test).abs_diff(600) < 70,
            "{}",
            dark(&split.test)
        );
        for (name, mean) in means(&split.test) {
            // The skins have means of 0.74 and 0.29; light changes them by 15 %, and a lesion covers less than half.
            assert_eq!(name == "dark", mean < 0.45, "{name} {mean}");
        }
    }

    #[test]
    fn samples_are_drawn_one_by_one() {
        let all = skin_lesions(3, 0, 40);
        let later = skin_lesions(3, 30, 10);
        let Values::Floats(values) = &all.values else {
            panic!("floats");
        };
        let Values::Floats(found) = &later.values else {
            panic!("floats");
        };
        assert_eq!(found[..], values[30 * 3 * SIZE * SIZE..]);
        assert_eq!(later.labels, all.labels[30..]);
        assert!(values.iter().all(|value| (0.0..=1.0).contains(value)));
        assert_ne!(skin_lesions(4, 0, 3), skin_lesions(3, 0, 3));
    }
}
