//! Procedural handwritten digits of 28×28 pixels: the data set that needs no file.
//!
//! A digit consists of a few strokes. Each stroke is a smooth curve through control points. A writer has a slant, a turn, a size, a pen and
//! an unsteady hand: control points shake, a smooth quadratic map bends the plane, and sometimes a stray stroke crosses the image. The sensor
//! adds noise. Every draw depends on (seed, image) alone. Only additions, multiplications, divisions and square roots are used, so that the
//! pixels are the same on any machine and thread count.
//!
//! The set can be learned but is not trivial: a LeNet-5 (6,000 training images, 8 epochs of Adam, batch 64, learning rate 0.001) reads 98.0
//! to 98.5 % of 2,000 test images, over three initializations. The difficulty was chosen so that it does.

use std::sync::Arc;

use crossburn_noise::{Philox, path_hash};
use rayon::prelude::*;

use super::endless::Endless;
use super::reader::Kind;
use super::{Normalization, Samples, Values};

pub(super) const KIND: Kind = Kind {
    name: "digits",
    usage: "digits",
    open: |_| Ok(Arc::new(DIGITS)),
};

/// The data source. It draws at most 3 GB of pixels at once.
pub(super) const DIGITS: Endless = Endless {
    name: "digits",
    classes: 10,
    usual: (6000, 2000),
    most: 4_000_000,
    first_test: 1 << 40,
    config: (),
    draw: |(), seed, first, count| digits(seed, first, count),
    filter: None,
    steps: |(), _| None,
    slices: |(), _| None,
};

const SIDE: usize = 28;
/// Straight pieces between two control points of a curve.
const PIECES: usize = 6;
/// Pixels over which the edge of a stroke fades; half of them lie inside the pen.
const FADE: f64 = 1.5;

type Point = [f64; 2];
type Glyph = &'static [&'static [Point]];

/// The ways to write each digit, in the unit square with y downwards. Strokes that meet at an angle are separate.
const GLYPHS: [&[Glyph]; 10] = [
    &[
        &[&[
            [0.5, 0.04],
            [0.22, 0.22],
            [0.15, 0.52],
            [0.26, 0.86],
            [0.52, 0.96],
            [0.8, 0.8],
            [0.86, 0.48],
            [0.76, 0.18],
            [0.5, 0.04],
        ]],
        &[&[
            [0.62, 0.1],
            [0.35, 0.06],
            [0.16, 0.4],
            [0.24, 0.84],
            [0.55, 0.95],
            [0.82, 0.68],
            [0.8, 0.28],
            [0.52, 0.06],
            [0.4, 0.12],
        ]],
    ],
    &[
        &[&[[0.5, 0.04], [0.5, 0.5], [0.5, 0.96]]],
        &[
            &[[0.28, 0.28], [0.42, 0.18], [0.56, 0.04]],
            &[[0.56, 0.04], [0.55, 0.5], [0.54, 0.96]],
        ],
        &[
            &[[0.3, 0.24], [0.54, 0.05]],
            &[[0.54, 0.05], [0.54, 0.94]],
            &[[0.28, 0.94], [0.8, 0.94]],
        ],
    ],
    &[
        &[
            &[
                [0.18, 0.28],
                [0.32, 0.08],
                [0.62, 0.06],
                [0.78, 0.28],
                [0.6, 0.58],
                [0.18, 0.93],
            ],
            &[[0.18, 0.93], [0.5, 0.92], [0.86, 0.93]],
        ],
        &[&[
            [0.2, 0.22],
            [0.45, 0.05],
            [0.74, 0.2],
            [0.62, 0.54],
            [0.3, 0.86],
            [0.18, 0.88],
            [0.26, 0.76],
            [0.5, 0.86],
            [0.84, 0.92],
        ]],
    ],
    &[
        &[
            &[
                [0.2, 0.14],
                [0.5, 0.04],
                [0.76, 0.2],
                [0.66, 0.42],
                [0.4, 0.48],
            ],
            &[
                [0.4, 0.48],
                [0.7, 0.54],
                [0.82, 0.74],
                [0.56, 0.95],
                [0.18, 0.86],
            ],
        ],
        &[
            &[[0.2, 0.07], [0.78, 0.07]],
            &[[0.78, 0.07], [0.46, 0.42]],
            &[
                [0.46, 0.42],
                [0.78, 0.54],
                [0.76, 0.84],
                [0.46, 0.96],
                [0.18, 0.84],
            ],
        ],
    ],
    &[
        &[
            &[[0.62, 0.04], [0.4, 0.36], [0.14, 0.66]],
            &[[0.14, 0.66], [0.88, 0.66]],
            &[[0.64, 0.36], [0.62, 0.96]],
        ],
        &[
            &[[0.22, 0.06], [0.2, 0.32], [0.24, 0.52]],
            &[[0.24, 0.52], [0.5, 0.54], [0.8, 0.5]],
            &[[0.76, 0.05], [0.74, 0.5], [0.7, 0.96]],
        ],
    ],
    &[
        &[
            &[[0.78, 0.06], [0.3, 0.07]],
            &[[0.3, 0.07], [0.24, 0.44]],
            &[
                [0.24, 0.44],
                [0.56, 0.38],
                [0.82, 0.6],
                [0.7, 0.88],
                [0.42, 0.96],
                [0.16, 0.86],
            ],
        ],
        &[&[
            [0.76, 0.08],
            [0.4, 0.06],
            [0.28, 0.24],
            [0.36, 0.42],
            [0.66, 0.5],
            [0.78, 0.72],
            [0.56, 0.94],
            [0.18, 0.9],
        ]],
    ],
    &[
        &[&[
            [0.7, 0.06],
            [0.4, 0.24],
            [0.2, 0.6],
            [0.3, 0.9],
            [0.58, 0.95],
            [0.78, 0.72],
            [0.62, 0.52],
            [0.36, 0.58],
            [0.22, 0.74],
        ]],
        &[&[
            [0.46, 0.04],
            [0.26, 0.36],
            [0.2, 0.72],
            [0.44, 0.96],
            [0.74, 0.82],
            [0.7, 0.58],
            [0.42, 0.56],
            [0.24, 0.76],
        ]],
    ],
    &[
        &[
            &[[0.14, 0.08], [0.86, 0.07]],
            &[[0.86, 0.07], [0.6, 0.46], [0.42, 0.96]],
        ],
        &[
            &[[0.16, 0.1], [0.82, 0.07]],
            &[[0.82, 0.07], [0.56, 0.5], [0.44, 0.95]],
            &[[0.32, 0.5], [0.76, 0.48]],
        ],
        &[
            &[[0.16, 0.26], [0.18, 0.08]],
            &[[0.18, 0.08], [0.8, 0.09]],
            &[[0.8, 0.09], [0.66, 0.5], [0.62, 0.96]],
        ],
    ],
    &[
        &[&[
            [0.5, 0.48],
            [0.26, 0.3],
            [0.34, 0.08],
            [0.64, 0.07],
            [0.74, 0.28],
            [0.5, 0.48],
            [0.22, 0.7],
            [0.34, 0.93],
            [0.66, 0.93],
            [0.78, 0.7],
            [0.5, 0.48],
        ]],
        &[&[
            [0.72, 0.16],
            [0.44, 0.05],
            [0.26, 0.24],
            [0.5, 0.46],
            [0.74, 0.7],
            [0.54, 0.95],
            [0.26, 0.82],
            [0.4, 0.56],
            [0.7, 0.3],
            [0.72, 0.16],
        ]],
    ],
    &[
        &[
            &[
                [0.76, 0.28],
                [0.6, 0.07],
                [0.32, 0.1],
                [0.2, 0.34],
                [0.4, 0.52],
                [0.66, 0.42],
                [0.76, 0.26],
            ],
            &[[0.76, 0.26], [0.74, 0.56], [0.62, 0.96]],
        ],
        &[
            &[
                [0.74, 0.18],
                [0.46, 0.05],
                [0.24, 0.22],
                [0.34, 0.46],
                [0.64, 0.42],
                [0.76, 0.2],
            ],
            &[[0.76, 0.2], [0.78, 0.6], [0.64, 0.9], [0.3, 0.94]],
        ],
    ],
];

/// The images `first..first + count` of the endless set `seed`: bytes of shape `[1, 28, 28]`.
///
/// Labels are balanced: each ten consecutive images hold every digit once, in shuffled order.
///
/// ```
/// use crossburn_training::data::digits;
///
/// let some = digits(1, 0, 20);
/// assert_eq!(some.sample(7), digits(1, 7, 1).sample(0));
/// assert_eq!(some.labels.iter().filter(|label| **label == 3).count(), 2);
/// ```
pub fn digits(seed: u64, first: u64, count: usize) -> Samples {
    let drawn: Vec<(u8, [u8; SIDE * SIDE])> = (first..first + count as u64)
        .into_par_iter()
        .map(|index| draw(seed, index))
        .collect();
    Samples {
        shape: [1, SIDE, SIDE],
        values: Values::Bytes(
            drawn
                .iter()
                .flat_map(|(_, pixels)| pixels)
                .copied()
                .collect(),
        ),
        labels: drawn.iter().map(|(label, _)| u16::from(*label)).collect(),
        classes: 10,
        class_names: Vec::new(),
        // Measured over 10,000 images of seed 1.
        normalization: Normalization {
            mean: vec![0.098],
            std: vec![0.208],
        },
        origins: None,
        masks: None,
    }
}

/// The random numbers of one image, drawn one after the other.
struct Draws {
    generator: Philox,
    next: u64,
}

impl Draws {
    /// Uniform in `low..high`.
    fn between(&mut self, low: f64, high: f64) -> f64 {
        self.next += 1;
        low + (high - low) * self.generator.uniform(self.next)
    }

    /// A bell-shaped number (the sum of three uniform ones) with standard deviation 1/2, between -3/2 and 3/2.
    fn bell(&mut self) -> f64 {
        (0..3).map(|_| self.between(-0.5, 0.5)).sum()
    }
}

fn label(seed: u64, index: u64) -> u8 {
    Philox::new(seed ^ path_hash("digit labels"), index / 10).permutation(10)[(index % 10) as usize]
        as u8
}

fn draw(seed: u64, index: u64) -> (u8, [u8; SIDE * SIDE]) {
    let label = label(seed, index);
    let mut draws = Draws {
        generator: Philox::new(seed ^ path_hash("digit strokes"), index),
        next: 0,
    };
    let styles = GLYPHS[usize::from(label)];
    let glyph = styles[(draws.between(0.0, styles.len() as f64) as usize).min(styles.len() - 1)];
    let hand = Hand::draw(&mut draws);
    let mut segments = Vec::new();
    for stroke in glyph {
        let points: Vec<Point> = stroke
            .iter()
            .map(|point| hand.place(*point, &mut draws))
            .collect();
        curve(&points, &mut segments);
    }
    if draws.between(0.0, 1.0) < 0.15 {
        let mut end = || [draws.between(1.0, 27.0), draws.between(1.0, 27.0)];
        let (a, b) = (end(), end());
        // A stray stroke of at most eight pixels.
        let kept = (8.0 / squared_length(a, b).sqrt().max(1e-9)).min(1.0);
        segments.push([
            a,
            [a[0] + kept * (b[0] - a[0]), a[1] + kept * (b[1] - a[1])],
        ]);
    }
    let half_width = draws.between(0.6, 1.5);
    let ink = draws.between(150.0, 255.0);
    let grain = draws.between(0.0, 45.0);
    let sensor = Philox::new(seed ^ path_hash("digit grain"), index);
    let nearest = distances_squared(&segments, half_width + FADE / 2.0);
    let mut pixels = [0; SIDE * SIDE];
    for ((position, pixel), nearest) in pixels.iter_mut().enumerate().zip(nearest) {
        let cover = ((half_width - nearest.sqrt()) / FADE + 0.5).clamp(0.0, 1.0);
        let [a, b, c, _] = sensor.block(position as u64);
        // Bell-shaped like `Draws::bell`: the sum of three words of one block, which is exact.
        let sum = (u64::from(a) + u64::from(b) + u64::from(c)) as f64;
        let value = ink * cover + grain * (sum / 4_294_967_296.0 - 1.5);
        *pixel = value.clamp(0.0, 255.0).round() as u8;
    }
    (label, pixels)
}

/// The squared distance of each pixel's centre to the nearest segment, if below `reach`; otherwise infinite.
fn distances_squared(segments: &[[Point; 2]], reach: f64) -> [f64; SIDE * SIDE] {
    let mut nearest = [f64::INFINITY; SIDE * SIDE];
    for segment in segments {
        // The rows and columns that the segment can reach.
        let [columns, rows] = [0, 1].map(|axis| {
            let (a, b) = (segment[0][axis], segment[1][axis]);
            let low = (a.min(b) - reach).clamp(0.0, SIDE as f64) as usize;
            low..((a.max(b) + reach).clamp(0.0, SIDE as f64).ceil() as usize)
        });
        for y in rows {
            for x in columns.clone() {
                let distance = distance_squared([x as f64 + 0.5, y as f64 + 0.5], segment);
                let best = &mut nearest[y * SIDE + x];
                *best = best.min(distance);
            }
        }
    }
    nearest
}

/// Where and how one writer places the unit square in the image.
struct Hand {
    slant: f64,
    cos: f64,
    sin: f64,
    size: Point,
    center: Point,
    shake: f64,
    bend: [[f64; 3]; 2],
}

impl Hand {
    fn draw(draws: &mut Draws) -> Self {
        // A turn in half-angle form, which needs no trigonometric functions. ±0.16 is ±18 degrees.
        let t = 0.11 * draws.bell();
        Self {
            slant: 0.38 * draws.bell(),
            cos: (1.0 - t * t) / (1.0 + t * t),
            sin: 2.0 * t / (1.0 + t * t),
            size: [draws.between(11.0, 19.0), draws.between(15.0, 21.5)],
            center: [14.0 + 2.0 * draws.bell(), 14.0 + 2.0 * draws.bell()],
            shake: draws.between(0.01, 0.05),
            bend: [0, 1].map(|_| [0, 1, 2].map(|_| 0.35 * draws.bell())),
        }
    }

    /// A control point in pixels, moved by the unsteady hand.
    fn place(&self, [x, y]: Point, draws: &mut Draws) -> Point {
        let (x, y) = (
            x - 0.5 + self.shake * draws.bell(),
            y - 0.5 + self.shake * draws.bell(),
        );
        let bent = |[xx, xy, yy]: [f64; 3]| xx * x * x + xy * x * y + yy * y * y;
        let (x, y) = (x + bent(self.bend[0]), y + bent(self.bend[1]));
        let (x, y) = (self.size[0] * (x - self.slant * y), self.size[1] * y);
        [
            self.center[0] + self.cos * x - self.sin * y,
            self.center[1] + self.sin * x + self.cos * y,
        ]
    }
}

/// The straight pieces of the Catmull–Rom curve through `points`.
fn curve(points: &[Point], segments: &mut Vec<[Point; 2]>) {
    let at = |index: isize| points[index.clamp(0, points.len() as isize - 1) as usize];
    let mut from = points[0];
    for piece in 0..points.len() as isize - 1 {
        let [p0, p1, p2, p3] = [-1, 0, 1, 2].map(|offset| at(piece + offset));
        for step in 1..=PIECES {
            let t = step as f64 / PIECES as f64;
            let to = [0, 1].map(|axis| {
                let (a, b, c, d) = (p0[axis], p1[axis], p2[axis], p3[axis]);
                b + 0.5
                    * t
                    * ((c - a)
                        + t * ((2.0 * a - 5.0 * b + 4.0 * c - d) + t * (3.0 * (b - c) + d - a)))
            });
            segments.push([from, to]);
            from = to;
        }
    }
}

/// The squared distance of `point` to a segment.
fn distance_squared(point: Point, [a, b]: &[Point; 2]) -> f64 {
    let length = squared_length(*a, *b);
    let along = (point[0] - a[0]) * (b[0] - a[0]) + (point[1] - a[1]) * (b[1] - a[1]);
    let t = if length > 0.0 {
        (along / length).clamp(0.0, 1.0)
    } else {
        0.0
    };
    squared_length(point, [a[0] + t * (b[0] - a[0]), a[1] + t * (b[1] - a[1])])
}

/// The squared length from `a` to `b`.
fn squared_length(a: Point, b: Point) -> f64 {
    let (x, y) = (b[0] - a[0], b[1] - a[1]);
    x * x + y * y
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn an_image_depends_on_its_seed_and_number_only() {
        let all = digits(4, 100, 40);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(1)
            .build()
            .unwrap();
        assert_eq!(all, pool.install(|| digits(4, 100, 40)));
        assert_eq!(all.sample(7), digits(4, 107, 1).sample(0));
        assert_ne!(all.sample(7), digits(5, 107, 1).sample(0));
    }

    #[test]
    fn digits_are_balanced_and_have_ink_and_paper() {
        let set = digits(1, 0, 1000);
        for class in 0..10 {
            assert_eq!(
                set.labels.iter().filter(|label| **label == class).count(),
                100
            );
        }
        let n = set.bytes().len() as f64;
        let mean = set
            .bytes()
            .iter()
            .map(|p| f64::from(*p) / 255.0)
            .sum::<f64>()
            / n;
        let std = (set
            .bytes()
            .iter()
            .map(|p| (f64::from(*p) / 255.0 - mean).powi(2))
            .sum::<f64>()
            / n)
            .sqrt();
        // The means of single images have a standard deviation of 0.03, so the mean of a thousand has a standard error of 0.001. The standard error
        // of their deviation, over eight such sets, is 0.0014. The bound is more than three times either.
        assert!(
            (mean - f64::from(set.normalization.mean[0])).abs() < 0.005,
            "{mean}"
        );
        assert!(
            (std - f64::from(set.normalization.std[0])).abs() < 0.005,
            "{std}"
        );
    }

    #[test]
    fn pixels_are_the_same_on_every_machine() {
        // FNV-1a over labels and pixels. If this changes, every number reported on the digits changes.
        let set = digits(1, 0, 100);
        let labels = set.labels.iter().copied();
        let pixels = set.bytes().iter().map(|pixel| u16::from(*pixel));
        let hash = labels
            .chain(pixels)
            .fold(0xcbf2_9ce4_8422_2325u64, |hash, byte| {
                (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
            });
        assert_eq!(hash, 0x6e46_7219_4eb2_6651, "{hash:#018x}");
    }

    #[test]
    fn distances_are_those_of_the_whole_image_within_reach() {
        let segments = [
            [[3.0, 4.0], [20.5, 9.25]],
            [[-5.0, 26.0], [2.0, 40.0]],
            [[12.0, 12.0], [12.0, 12.0]],
        ];
        let reach = 2.25;
        for (position, found) in distances_squared(&segments, reach).into_iter().enumerate() {
            let center = [
                (position % SIDE) as f64 + 0.5,
                (position / SIDE) as f64 + 0.5,
            ];
            let exact = segments
                .iter()
                .map(|segment| distance_squared(center, segment))
                .fold(f64::INFINITY, f64::min);
            assert!(
                found == exact || exact > reach * reach,
                "{position}: {found} is not {exact}"
            );
        }
    }
}
