//! Structural similarity of images, row by row. Each row is read once, and the five rows under the window stay in the cache.

use pulp::{Arch, Simd, WithSimd};
use rayon::prelude::*;

use super::{C1, C2, RADIUS, taps};
use crate::fresh::zeros;

/// Number of rows, or of values of a row, under the window.
const WINDOW: usize = 2 * RADIUS + 1;

/// One row of each of four images.
type Rows = [Vec<f32>; 4];

/// Four images that give their rows and take blurred rows.
trait Images {
    /// Writes row `row` of the four images.
    fn row(&self, row: usize, rows: [&mut [f32]; 4]);
    /// Takes row `row` of the four blurred images.
    fn blurred(&mut self, row: usize, rows: [&[f32]; 4]);
}

/// The five rows under the window, blurred along their length, and memory for one row.
struct Window {
    size: [usize; 2],
    taps: [f32; RADIUS + 1],
    /// Rows with `RADIUS` zeros at both ends.
    padded: Rows,
    along: [Rows; WINDOW],
    down: Rows,
}

impl Window {
    fn new(size: [usize; 2]) -> Self {
        let rows = |width| std::array::from_fn(|_| vec![0.0; width]);
        let width = size[1];
        Self {
            size,
            taps: taps().map(|tap| tap as f32),
            padded: rows(width + 2 * RADIUS),
            along: std::array::from_fn(|_| rows(width)),
            down: rows(width),
        }
    }

    /// Blurs all rows of `images`, and gives them back.
    #[inline(always)]
    fn pass(&mut self, images: &mut impl Images) {
        let [height, width] = self.size;
        for row in 0..height + RADIUS {
            if row < height {
                let inside = |padded| <[f32]>::split_at_mut(padded, RADIUS).1;
                let [a, b, c, d] = &mut self.padded;
                let rows = [a, b, c, d].map(|padded| &mut inside(padded)[..width]);
                images.row(row, rows);
                for (padded, along) in self.padded.iter().zip(&mut self.along[row % WINDOW]) {
                    across(
                        self.taps,
                        std::array::from_fn(|at| &padded[at..][..width]),
                        along,
                    );
                }
            }
            let Some(middle) = row.checked_sub(RADIUS) else {
                continue;
            };
            for image in 0..4 {
                // Rows beyond the edges are zero.
                let none: &[f32] = &[];
                let rows = std::array::from_fn(|at| match (middle + at).checked_sub(RADIUS) {
                    Some(row) if row < height => &self.along[row % WINDOW][image][..],
                    _ => none,
                });
                let down = &mut self.down[image];
                match rows.iter().all(|row| row.len() == width) {
                    true => across(self.taps, rows, down),
                    false => across_edge(self.taps, rows, down),
                }
            }
            images.blurred(middle, self.down.each_ref().map(Vec::as_slice));
        }
    }
}

/// The weighted sum of five rows of one length.
#[inline(always)]
fn across(taps: [f32; RADIUS + 1], rows: [&[f32]; WINDOW], out: &mut [f32]) {
    let [a, b, c, d, e] = rows.map(|row| &row[..out.len()]);
    for i in 0..out.len() {
        out[i] = taps[0] * c[i] + taps[1] * (b[i] + d[i]) + taps[2] * (a[i] + e[i]);
    }
}

/// Like [`across`], but missing rows count as zero.
#[inline(always)]
fn across_edge(taps: [f32; RADIUS + 1], rows: [&[f32]; WINDOW], out: &mut [f32]) {
    out.fill(0.0);
    for (at, row) in rows.into_iter().enumerate() {
        let tap = taps[at.abs_diff(RADIUS)];
        for (out, value) in out.iter_mut().zip(row) {
            *out += tap * value;
        }
    }
}

/// Writes `x`, `y`, `(x - y)²` and `x² + y²` of row `row` of a pair of images of `width`.
#[inline(always)]
fn powers(pair: [&[f32]; 2], row: usize, width: usize, rows: [&mut [f32]; 4]) {
    let [x, y] = pair.map(|image| &image[row * width..][..width]);
    let [of_x, of_y, squares, sums] = rows.map(|row| &mut row[..width]);
    for i in 0..width {
        let (x, y) = (x[i], y[i]);
        let d = x - y;
        of_x[i] = x;
        of_y[i] = y;
        squares[i] = d * d;
        sums[i] = x * x + y * y;
    }
}

/// The larger of a value and 0; NaN stays NaN.
#[inline(always)]
fn clamped(value: f32) -> f32 {
    if value < 0.0 { 0.0 } else { value }
}

/// One pixel under its window; the names are those of the formula of [`structural_dissimilarity`](super::structural_dissimilarity).
struct Pixel {
    mean_d: f32,
    /// `μx² + μy² + C1` and `sx² + sy² + C2`.
    means: f32,
    spread: f32,
    a: f32,
    b: f32,
    /// Whether `sd²` and `sx² + sy²` are above 0.
    between: bool,
    own: bool,
}

impl Pixel {
    #[inline(always)]
    fn of([mean_x, mean_y, square, power]: [f32; 4]) -> Self {
        let mean_d = mean_x - mean_y;
        let means = mean_x * mean_x + mean_y * mean_y;
        let between = square - mean_d * mean_d;
        let own = power - means;
        let (means, spread) = (means + C1 as f32, clamped(own) + C2 as f32);
        Self {
            mean_d,
            means,
            spread,
            a: mean_d * mean_d / means,
            b: clamped(between) / spread,
            between: between > 0.0,
            own: own > 0.0,
        }
    }
}

/// A pair of images, and its map.
struct Forward<'a> {
    pair: [&'a [f32]; 2],
    width: usize,
    map: &'a mut [f32],
}

impl Images for Forward<'_> {
    #[inline(always)]
    fn row(&self, row: usize, rows: [&mut [f32]; 4]) {
        powers(self.pair, row, self.width, rows);
    }

    #[inline(always)]
    fn blurred(&mut self, row: usize, rows: [&[f32]; 4]) {
        let map = &mut self.map[row * self.width..][..self.width];
        let [a, b, c, d] = rows.map(|row| &row[..map.len()]);
        for i in 0..map.len() {
            let pixel = Pixel::of([a[i], b[i], c[i], d[i]]);
            map[i] = pixel.a + pixel.b - pixel.a * pixel.b;
        }
    }
}

/// First pass of the gradients: those by the four blurred images.
struct OfMoments<'a> {
    pair: [&'a [f32]; 2],
    width: usize,
    gradient: &'a [f32],
    moments: &'a mut Rows,
}

impl Images for OfMoments<'_> {
    #[inline(always)]
    fn row(&self, row: usize, rows: [&mut [f32]; 4]) {
        powers(self.pair, row, self.width, rows);
    }

    #[inline(always)]
    fn blurred(&mut self, row: usize, rows: [&[f32]; 4]) {
        let (first, width) = (row * self.width, self.width);
        let gradient = &self.gradient[first..][..width];
        let [a, b, c, d] = rows.map(|row| &row[..width]);
        let [for_x, for_y, for_square, for_power] = self.moments.each_mut();
        let (for_x, for_y) = (&mut for_x[first..][..width], &mut for_y[first..][..width]);
        let for_square = &mut for_square[first..][..width];
        let for_power = &mut for_power[first..][..width];
        for i in 0..width {
            let pixel = Pixel::of([a[i], b[i], c[i], d[i]]);
            let of_a = gradient[i] * (1.0 - pixel.b) / pixel.means;
            let of_b = gradient[i] * (1.0 - pixel.a) / pixel.spread;
            let square = if pixel.between { of_b } else { 0.0 };
            let power = if pixel.own { -of_b * pixel.b } else { 0.0 };
            let difference = 2.0 * pixel.mean_d * (of_a - square);
            let means = 2.0 * (of_a * pixel.a + power);
            for_x[i] = difference - means * a[i];
            for_y[i] = -difference - means * b[i];
            for_square[i] = square;
            for_power[i] = power;
        }
    }
}

/// Second pass of the gradients. The window is symmetric, so its transpose is the window itself.
struct OfImages<'a> {
    pair: [&'a [f32]; 2],
    width: usize,
    moments: &'a Rows,
    gradients: [&'a mut [f32]; 2],
}

impl Images for OfImages<'_> {
    #[inline(always)]
    fn row(&self, row: usize, rows: [&mut [f32]; 4]) {
        for (moment, out) in self.moments.iter().zip(rows) {
            out.copy_from_slice(&moment[row * self.width..][..self.width]);
        }
    }

    #[inline(always)]
    fn blurred(&mut self, row: usize, rows: [&[f32]; 4]) {
        let (first, width) = (row * self.width, self.width);
        let [x, y] = self.pair.map(|image| &image[first..][..width]);
        let [a, b, c, d] = rows.map(|row| &row[..width]);
        let [for_x, for_y] = &mut self.gradients;
        let (for_x, for_y) = (&mut for_x[first..][..width], &mut for_y[first..][..width]);
        for i in 0..width {
            let square = 2.0 * (x[i] - y[i]) * c[i];
            for_x[i] = a[i] + square + 2.0 * x[i] * d[i];
            for_y[i] = b[i] - square + 2.0 * y[i] * d[i];
        }
    }
}

/// A pass over all rows, compiled for the instructions of the processor.
struct Pass<'a, I: Images> {
    window: &'a mut Window,
    images: I,
}

impl<I: Images> WithSimd for Pass<'_, I> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, _: S) {
        self.window.pass(&mut self.images);
    }
}

/// Pixels of an image, at least 1: chunks of a slice cannot be empty.
fn pixels([height, width]: [usize; 2]) -> usize {
    (height * width).max(1)
}

/// The map of each pair of images of `size`.
pub(super) fn forward(arch: Arch, size: [usize; 2], [x, y]: [&[f32]; 2]) -> Vec<f32> {
    let (pixels, width) = (pixels(size), size[1]);
    let mut map = zeros(x.len());
    let images = map.par_chunks_mut(pixels).zip(x.par_chunks(pixels));
    let images = images.zip(y.par_chunks(pixels));
    images.for_each_init(
        || Window::new(size),
        |window, ((map, x), y)| {
            let pair = [x, y];
            let images = Forward { pair, width, map };
            arch.dispatch(Pass { window, images });
        },
    );
    map
}

/// Gradients of both images of each pair.
pub(super) fn gradients(
    arch: Arch,
    size: [usize; 2],
    [x, y]: [&[f32]; 2],
    gradient: &[f32],
) -> [Vec<f32>; 2] {
    let (pixels, width) = (pixels(size), size[1]);
    let [mut for_x, mut for_y] = [zeros(x.len()), zeros(x.len())];
    let outputs = for_x
        .par_chunks_mut(pixels)
        .zip(for_y.par_chunks_mut(pixels));
    let inputs = x.par_chunks(pixels).zip(y.par_chunks(pixels));
    let inputs = inputs.zip(gradient.par_chunks(pixels));
    let room = || {
        let moments: Rows = std::array::from_fn(|_| vec![0.0; pixels]);
        (Window::new(size), moments)
    };
    outputs.zip(inputs).for_each_init(
        room,
        |(window, moments), ((for_x, for_y), ((x, y), gradient))| {
            let pair = [x, y];
            let images = OfMoments {
                pair,
                width,
                gradient,
                moments,
            };
            arch.dispatch(Pass { window, images });
            let images = OfImages {
                pair,
                width,
                moments,
                gradients: [for_x, for_y],
            };
            arch.dispatch(Pass { window, images });
        },
    );
    [for_x, for_y]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{numbers, paths};

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let size = [19, 37];
        let count = 3 * 19 * 37;
        let pair = [numbers(1, count), numbers(2, count)];
        let pair = pair.each_ref().map(Vec::as_slice);
        let gradient = numbers(3, count);
        let of = |arch| {
            (
                forward(arch, size, pair),
                gradients(arch, size, pair, &gradient),
            )
        };
        let plain = of(Arch::Scalar);
        for arch in paths() {
            assert!(of(arch) == plain);
        }
    }
}
