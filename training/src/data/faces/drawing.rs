//! Draws a face in shades of grey, from smooth ellipses and bars.

use crossburn_noise::Philox;

use super::person::{Nuisance, Person};

/// Height and width of an image in pixels.
pub(super) const SIZE: usize = 32;
/// Width of the soft border of a shape, in units of half the height of an image.
const FADE: f64 = 0.05;
/// Shades from 0 to 1, before light and contrast are applied.
const BACKGROUND: f64 = 0.25;
const HAIR: f64 = 0.12;
const SKIN: f64 = 0.72;
const DARK: f64 = 0.15;
const LIPS: f64 = 0.38;
const SHADOW: f64 = 0.55;
/// Number of wrinkle waves over half the height of an image.
const WRINKLES: f64 = 26.0;

/// How much a shape covers a point that is `outside` away from its border; negative distances are inside.
fn covered(outside: f64) -> f64 {
    1.0 / (1.0 + (outside / FADE * 4.0).exp())
}

/// How far a point is outside an ellipse, in units of its mean radius.
fn ellipse([x, y]: [f64; 2], [width, height]: [f64; 2]) -> f64 {
    let radius = ((x / width).powi(2) + (y / height).powi(2)).sqrt();
    (radius - 1.0) * (width * height).sqrt()
}

/// How far a point is outside a bar.
fn bar([x, y]: [f64; 2], [width, height]: [f64; 2]) -> f64 {
    (x.abs() - width).max(y.abs() - height)
}

/// The shade of a face at a point. The axes point to the right and down, from the middle.
fn shade(person: &Person, age: f64, [x, y]: [f64; 2]) -> f64 {
    let mut shade = BACKGROUND;
    let mut paint = |outside: f64, with: f64| shade += covered(outside) * (with - shade);
    let sides = x.abs();
    paint(
        ellipse(
            [x, y + 0.12],
            [person.face_width * 1.12, person.face_height * 1.05],
        ),
        HAIR,
    );
    // Below the eyes the face gets narrower.
    let narrowed = person.face_width * (1.0 - person.jaw * y.max(0.0));
    let skin = ellipse(
        [x, y - 0.06],
        [narrowed.max(0.2), person.face_height * 0.95],
    );
    let wrinkle = age * (WRINKLES * y + 3.0 * x).sin();
    paint(skin, SKIN + wrinkle);
    let eyes = -person.eye_height;
    let brow = bar(
        [
            sides - person.eye_spacing,
            y - eyes + person.brow_height + 0.15 * (sides - person.eye_spacing),
        ],
        [person.eye_size * 1.6, person.brow_thickness],
    );
    paint(brow, DARK);
    paint(
        ellipse(
            [sides - person.eye_spacing, y - eyes],
            [person.eye_size * 1.4, person.eye_size],
        ),
        0.92,
    );
    paint(
        ellipse(
            [sides - person.eye_spacing, y - eyes],
            [person.eye_size * 0.7; 2],
        ),
        DARK,
    );
    let tip = eyes + 0.06 + person.nose_length;
    let bridge = bar(
        [sides, y - eyes - 0.06 - person.nose_length / 2.0],
        [person.nose_width * 0.35, person.nose_length / 2.0],
    );
    paint(bridge, SHADOW + 0.08);
    paint(
        ellipse([x, y - tip], [person.nose_width, person.nose_width * 0.5]),
        SHADOW,
    );
    paint(
        ellipse(
            [x, y - tip - 0.24],
            [person.mouth_width, person.mouth_height + 0.02],
        ),
        LIPS,
    );
    shade
}

/// An image of `person`: [`SIZE`] by [`SIZE`] bytes from the top left. `noise` draws the noise of the pixels.
pub(super) fn image(person: &Person, nuisance: &Nuisance, noise: &Philox) -> Vec<u8> {
    let half = SIZE as f64 / 2.0;
    let (sin, cos) = nuisance.tilt.sin_cos();
    let at = |pixel: usize| {
        let place = |number: usize| (number as f64 + 0.5 - half) / half;
        let (x, y) = (place(pixel % SIZE), place(pixel / SIZE));
        let [right, down] = nuisance.shift;
        let (x0, y0) = ((x - right) / nuisance.scale, (y - down) / nuisance.scale);
        let (x1, y1) = (cos * x0 + sin * y0, cos * y0 - sin * x0);
        let point = [x1 - nuisance.shear * y1, y1];
        let mut shade = shade(person, nuisance.age, point);
        if let Some([middle, height, with]) = nuisance.bar {
            shade += covered(bar([x1, y1 - middle], [0.75, height])) * (with - shade);
        }
        let lit = shade * (1.0 + nuisance.light[0] * x + nuisance.light[1] * y);
        0.5 + person.contrast * (lit - 0.5)
    };
    let mut shades: Vec<f64> = (0..SIZE * SIZE).map(at).collect();
    if nuisance.blurred {
        shades = blurred(&shades);
    }
    let mut draws = vec![0.0f32; SIZE * SIZE];
    noise.fill_normal(&mut draws);
    let byte = |(shade, draw): (f64, f32)| {
        let noisy = shade + nuisance.noise * f64::from(draw);
        (noisy.clamp(0.0, 1.0) * 255.0).round() as u8
    };
    shades.into_iter().zip(draws).map(byte).collect()
}

/// The shades, smoothed with the weights 1, 2, 1 along both axes. Beyond the border the outermost pixels are repeated.
fn blurred(shades: &[f64]) -> Vec<f64> {
    let at = |y: usize, x: usize| shades[y.min(SIZE - 1) * SIZE + x.min(SIZE - 1)];
    let along =
        |y: usize, x: usize| (at(y, x.saturating_sub(1)) + 2.0 * at(y, x) + at(y, x + 1)) / 4.0;
    let both = |pixel: usize| {
        let (y, x) = (pixel / SIZE, pixel % SIZE);
        (along(y.saturating_sub(1), x) + 2.0 * along(y, x) + along((y + 1).min(SIZE - 1), x)) / 4.0
    };
    (0..SIZE * SIZE).map(both).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blur_spreads_one_pixel_as_worked_by_hand() {
        let mut one = vec![0.0; SIZE * SIZE];
        one[5 * SIZE + 7] = 16.0;
        let blurred = blurred(&one);
        let at = |y: usize, x: usize| blurred[y * SIZE + x];
        assert_eq!(
            [at(5, 7), at(5, 8), at(4, 7), at(6, 6)],
            [4.0, 2.0, 2.0, 1.0]
        );
        assert_eq!(blurred.iter().sum::<f64>(), 16.0);
        // Beyond the border the corner is repeated.
        let mut corner = vec![0.0; SIZE * SIZE];
        corner[0] = 16.0;
        assert_eq!(super::blurred(&corner)[0], 9.0);
    }

    #[test]
    fn shapes_cover_what_lies_inside() {
        assert!(covered(ellipse([0.0, 0.0], [0.5, 0.3])) > 0.99);
        assert!(covered(ellipse([0.7, 0.0], [0.5, 0.3])) < 0.01);
        // On its border a shape covers half.
        for outside in [ellipse([0.5, 0.0], [0.5, 0.3]), bar([0.1, 0.2], [0.4, 0.2])] {
            assert!((covered(outside) - 0.5).abs() < 1e-9);
        }
    }
}
