//! The similarity map that moves the landmarks of a face to their usual places.

/// A point in pixels: to the right, and down. The middle of the first pixel is `[0, 0]`.
pub(super) type Point = [f64; 2];

/// Side of the square, in pixels, to which [`USUAL`] refers.
const USUAL_SIDE: f64 = 112.0;
/// Places of the eyes, the tip of the nose and the corners of the mouth in an aligned face. Of each pair, the one on the left of the image comes
/// first.
///
/// # Source
/// Deng et al., "ArcFace", CVPR 2019: the five points of its 112 x 112 crops, from its authors' code.
const USUAL: [Point; 5] = [
    [38.2946, 51.6963],
    [73.5318, 51.5014],
    [56.0252, 71.7366],
    [41.5493, 92.3655],
    [70.7299, 92.2041],
];
/// Numbers of landmarks that an image may have: only the eyes, or all.
pub(super) const COUNTS: [usize; 2] = [2, USUAL.len()];

/// Places of the first `count` landmarks in an aligned face of this height and width, which are those of the largest square in its middle.
pub(super) fn usual_places([height, width]: [usize; 2], count: usize) -> Vec<Point> {
    let [height, width] = [height as f64, width as f64];
    let side = height.min(width);
    let scale = side / USUAL_SIDE;
    let border = [(width - side) / 2.0, (height - side) / 2.0];
    // The edge of a pixel is half a pixel away from its middle.
    let place = |axis: usize, at: f64| border[axis] + scale * (at + 0.5) - 0.5;
    let usual = USUAL.iter().take(count);
    usual.map(|[x, y]| [place(0, *x), place(1, *y)]).collect()
}

/// A map of the plane that turns, scales and moves, but does not mirror. With points as complex numbers: `z → a z + b`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Similarity {
    /// Scale times the cosine of the angle, and scale times its sine.
    pub(super) a: [f64; 2],
    /// The shift.
    pub(super) b: [f64; 2],
}

impl Similarity {
    /// The map that brings the points `from` closest to `to`, by the sum of squared distances. `None` if there is no unique best map, for example
    /// because all points are the same, and if the best map would shrink everything to a point.
    ///
    /// ```text
    /// a = Σ (to_i - mean to) conj(from_i - mean from) / Σ |from_i - mean from|²,   b = mean to - a mean from
    /// ```
    ///
    /// # Source
    /// Umeyama, "Least-squares estimation of transformation parameters between two point patterns", IEEE TPAMI 13 (1991), equations 40 to 42. In
    /// the plane, the complex division gives the same rotation, scale and shift.
    pub(super) fn between(from: &[Point], to: &[Point]) -> Option<Self> {
        if from.len() != to.len() || from.is_empty() {
            return None;
        }
        let mean = |points: &[Point], axis: usize| {
            points.iter().map(|point| point[axis]).sum::<f64>() / points.len() as f64
        };
        let [start, end] = [from, to].map(|points| [0, 1].map(|axis| mean(points, axis)));
        let (mut along, mut across, mut spread) = (0.0, 0.0, 0.0);
        for ([x, y], [u, v]) in from.iter().zip(to) {
            let (x, y, u, v) = (x - start[0], y - start[1], u - end[0], v - end[1]);
            along += x * u + y * v;
            across += x * v - y * u;
            spread += x * x + y * y;
        }
        let a = [along / spread, across / spread];
        let turned = [
            a[0] * start[0] - a[1] * start[1],
            a[1] * start[0] + a[0] * start[1],
        ];
        let found = Self {
            a,
            b: [end[0] - turned[0], end[1] - turned[1]],
        };
        let numbers = [found.a, found.b];
        let whole = numbers.as_flattened().iter().all(|n| n.is_finite());
        (whole && found.scale() > 0.0).then_some(found)
    }

    /// The factor by which lengths are multiplied.
    pub(super) fn scale(&self) -> f64 {
        self.a[0].hypot(self.a[1])
    }

    /// The point that the map moves to `to`.
    pub(super) fn back(&self, to: Point) -> Point {
        let [x, y] = [to[0] - self.b[0], to[1] - self.b[1]];
        let [a, b] = self.a;
        let squared = a * a + b * b;
        [(a * x + b * y) / squared, (a * y - b * x) / squared]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn close(found: &[f64], expected: &[f64], within: f64) {
        assert_eq!(found.len(), expected.len());
        let gaps = found.iter().zip(expected).map(|(a, b)| (a - b).abs());
        assert!(gaps.fold(0.0, f64::max) <= within, "{found:?} {expected:?}");
    }

    #[test]
    fn the_example_of_the_paper_has_its_numbers() {
        // Umeyama 1991, section III: R = (0.832 0.555; -0.555 0.832), t = (-0.800, 0.400), c = 0.721. By hand: the centred points give
        // a = (2 - 4/3 i) / (10/3) = 0.6 - 0.4 i.
        let from = [[0.0, 0.0], [1.0, 0.0], [0.0, 2.0]];
        let to = [[0.0, 0.0], [-1.0, 0.0], [0.0, 2.0]];
        let found = Similarity::between(&from, &to).unwrap();
        close(&found.a, &[0.6, -0.4], 1e-12);
        close(&found.b, &[-0.8, 0.4], 1e-12);
        assert!((found.scale() - 0.721).abs() < 5e-4);
        close(
            &found.a.map(|part| part / found.scale()),
            &[0.832, -0.555],
            5e-4,
        );
    }

    #[test]
    fn a_map_is_found_from_where_it_takes_points() {
        // Twice as large, a quarter turn, three to the right and four down: (1, 0) → (0, 2) + (3, 4).
        let from = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]];
        let to = [[3.0, 4.0], [3.0, 6.0], [1.0, 4.0]];
        for count in [2, 3] {
            let found = Similarity::between(&from[..count], &to[..count]).unwrap();
            close(&found.a, &[0.0, 2.0], 1e-12);
            close(&found.b, &[3.0, 4.0], 1e-12);
            close(&found.back([1.0, 6.0]), &[1.0, 1.0], 1e-12);
        }
    }

    #[test]
    fn points_that_say_nothing_have_no_map() {
        let two = [[0.0, 0.0], [2.0, 0.0]];
        for (from, to) in [
            (&[[1.0, 1.0]; 2][..], &two[..]),
            (&two, &[[1.0, 1.0]; 2]),
            (&two[..1], &two[..1]),
            (&two, &two[..1]),
            (&[], &[]),
            (&[[f64::NAN, 0.0], [2.0, 0.0]], &two),
        ] {
            assert_eq!(Similarity::between(from, to), None, "{from:?} {to:?}");
        }
    }

    #[test]
    fn usual_places_keep_to_the_middle_of_the_face() {
        close(
            usual_places([112, 112], 5).as_flattened(),
            USUAL.as_flattened(),
            1e-12,
        );
        // Half the size: the middle of pixel 0 is at 0.5 in the larger image, in the middle of two pixels.
        let half = usual_places([56, 56], 2);
        close(&half[0], &[38.7946 / 2.0 - 0.5, 52.1963 / 2.0 - 0.5], 1e-12);
        // A border of 14 pixels on the left, and one on the right.
        let broad = usual_places([56, 84], 2);
        close(&broad[0], &[half[0][0] + 14.0, half[0][1]], 1e-12);
    }
}
