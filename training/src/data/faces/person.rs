//! What distinguishes one procedural person from another, and what differs between two images of one person.

use super::procedural::{Condition, GROUPS, Style};
use crate::draws::Draws;

/// Number of values that describe the geometry of a face.
const GEOMETRY: usize = 12;

/// For each group, how much its people differ relative to others, and how much contrast its images keep. Neither follows the order of the
/// groups, because that order decides how many people a group has in an imbalanced set.
const SPREAD: [f64; GROUPS.len()] = [0.75, 1.0, 0.7, 0.95, 0.8, 1.0, 0.7, 0.9];
const CONTRAST: [f64; GROUPS.len()] = [0.85, 1.0, 0.9, 0.65, 1.0, 0.7, 0.8, 0.95];
/// The distance between the mean face of a group and that of all, in standard deviations of people.
const GROUP_OFFSET: f64 = 0.8;

/// An approximately normal number: the sum of twelve uniform ones, minus its mean.
fn normal(draws: &mut Draws) -> f64 {
    (0..12).map(|_| draws.uniform()).sum::<f64>() - 6.0
}

/// The geometry of a face in units of half the height of an image, and the effect of its group on images.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Person {
    pub(super) face_width: f64,
    pub(super) face_height: f64,
    /// How much the face narrows towards the chin.
    pub(super) jaw: f64,
    pub(super) eye_spacing: f64,
    pub(super) eye_height: f64,
    pub(super) eye_size: f64,
    pub(super) brow_height: f64,
    pub(super) brow_thickness: f64,
    pub(super) nose_length: f64,
    pub(super) nose_width: f64,
    pub(super) mouth_width: f64,
    pub(super) mouth_height: f64,
    /// The contrast that an image keeps.
    pub(super) contrast: f64,
}

impl Person {
    /// Draws a person of a group from the person's stream `draws`.
    pub(super) fn draw(seed: u64, group: usize, mut draws: Draws) -> Self {
        let mut of_group = Draws::of_item(seed, "faces group", group as u64);
        let mut number = |mean: f64, deviation: f64| {
            let offset = GROUP_OFFSET * (2.0 * of_group.uniform() - 1.0);
            let own = (SPREAD[group] * normal(&mut draws)).clamp(-2.5, 2.5);
            mean + deviation * (offset + own)
        };
        let drawn: [f64; GEOMETRY] = [
            number(0.60, 0.055),
            number(0.80, 0.045),
            number(0.25, 0.10),
            number(0.27, 0.035),
            number(0.18, 0.045),
            number(0.085, 0.016),
            number(0.17, 0.030),
            number(0.040, 0.012),
            number(0.34, 0.060),
            number(0.105, 0.025),
            number(0.23, 0.045),
            number(0.050, 0.016),
        ];
        let [
            face_width,
            face_height,
            jaw,
            eye_spacing,
            eye_height,
            eye_size,
            brow_height,
            brow_thickness,
            nose_length,
            nose_width,
            mouth_width,
            mouth_height,
        ] = drawn;
        Self {
            face_width,
            face_height,
            jaw,
            eye_spacing,
            eye_height,
            eye_size: eye_size.max(0.03),
            brow_height,
            brow_thickness: brow_thickness.max(0.012),
            nose_length,
            nose_width: nose_width.max(0.03),
            mouth_width,
            mouth_height: mouth_height.max(0.015),
            contrast: CONTRAST[group],
        }
    }
}

/// What differs between two images of one person.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Nuisance {
    /// Sideways shift of a point at height 1: the head turns.
    pub(super) shear: f64,
    /// The angle of the head, in radians.
    pub(super) tilt: f64,
    /// Shift of the face from the middle, to the right and down.
    pub(super) shift: [f64; 2],
    /// Relative size of the face.
    pub(super) scale: f64,
    /// How much brighter the image is on the right than in the middle, and at the bottom than in the middle.
    pub(super) light: [f64; 2],
    /// Depth of the wrinkles.
    pub(super) age: f64,
    /// Standard deviation of the noise of pixels.
    pub(super) noise: f64,
    /// A bar in front of the face: its middle, half of its height, and its shade.
    pub(super) bar: Option<[f64; 3]>,
    /// Whether the image is blurred.
    pub(super) blurred: bool,
}

/// The share of real images with a bar in front of the face.
const BARS: f64 = 0.05;

impl Nuisance {
    /// Draws the nuisances of one image. In synthetic images all are weaker and there are no wrinkles and no bars, but images are blurred. A
    /// `condition` makes some of them strong.
    pub(super) fn draw(style: Style, condition: Condition, mut draws: Draws) -> Self {
        let of_style = match style {
            Style::Synthetic => 0.55,
            Style::Real | Style::Mixed => 1.0,
        };
        let mut around = |deviation: f64| of_style * deviation * normal(&mut draws);
        let pose = match condition {
            Condition::Pose => 2.2,
            _ => 1.0,
        };
        let mut nuisance = Self {
            shear: around(0.09 * pose),
            tilt: around(0.06 * pose),
            shift: [around(0.035), around(0.035)],
            scale: 1.0 + around(0.04),
            light: [around(0.16), around(0.08)],
            noise: 0.03 * of_style,
            blurred: style == Style::Synthetic,
            ..Self::default()
        };
        let (age, barred, place, shade) = (
            draws.uniform(),
            draws.uniform(),
            draws.uniform(),
            draws.uniform(),
        );
        nuisance.age = match (style, condition) {
            (Style::Synthetic, _) => 0.0,
            (_, Condition::Age) => 0.10 + 0.08 * age,
            _ => 0.05 * age,
        };
        let barred = match (style, condition) {
            (Style::Synthetic, _) => false,
            (_, Condition::Occlusion) => true,
            _ => barred < BARS,
        };
        // Sunglasses or a mask.
        let bar = match place < 0.5 {
            true => [-0.18, 0.14, 0.35 * shade],
            false => [0.42, 0.24, 0.3 + 0.6 * shade],
        };
        nuisance.bar = barred.then_some(bar);
        nuisance
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(group: usize, number: u64) -> Person {
        Person::draw(3, group, Draws::of_item(3, "test", number))
    }

    #[test]
    fn people_differ_more_in_groups_of_larger_spread() {
        assert_eq!(person(1, 5), person(1, 5));
        assert_ne!(person(1, 5), person(1, 6));
        let deviation = |group: usize| {
            let widths: Vec<f64> = (0..400).map(|n| person(group, n).face_width).collect();
            let mean = widths.iter().sum::<f64>() / 400.0;
            (widths.iter().map(|w| (w - mean).powi(2)).sum::<f64>() / 400.0).sqrt()
        };
        // Standard errors are below 4 %; the spreads differ by 30 %.
        assert!(deviation(1) > 1.15 * deviation(2));
    }

    #[test]
    fn synthetic_images_have_neither_wrinkles_nor_bars() {
        for number in 0..50 {
            let draws = || Draws::of_item(1, "test", number);
            let synthetic = Nuisance::draw(Style::Synthetic, Condition::Usual, draws());
            assert!(synthetic.bar.is_none() && synthetic.age == 0.0 && synthetic.blurred);
            let covered = Nuisance::draw(Style::Real, Condition::Occlusion, draws());
            assert!(covered.bar.is_some() && !covered.blurred);
            let real = Nuisance::draw(Style::Real, Condition::Usual, draws());
            assert!(real.shear.abs() > synthetic.shear.abs());
        }
    }
}
