//! Smooth random images that a slice is corrupted with.

use crossburn_noise::Philox;
use serde::{Deserialize, Serialize};

/// The noise that a network learns to remove.
///
/// White noise would not do: a network removes it from lesions as well as from tissue, and gives both back.
///
/// # Source
/// Wyatt et al., "AnoDDPM: anomaly detection with denoising diffusion probabilistic models using simplex noise", CVPR workshops 2022; Kascenas
/// et al., "Denoising autoencoders for unsupervised anomaly detection in brain MRI", MIDL 2022, for coarse noise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CorruptionNoise {
    /// Simplex noise of six octaves: of the first, cells are 64 pixels wide, of each other half as wide as before, with 0.8 of its height. One
    /// octave is between -1 and 1, and the sum is not scaled.
    #[default]
    Simplex,
    /// Normal numbers of standard deviation 0.2 on a grid of 16 × 16, enlarged by linear interpolation, and shifted round the edges.
    Coarse,
}

const OCTAVES: usize = 6;
const PERSISTENCE: f64 = 0.8;
/// Pixels of the first octave's cells.
const FIRST_CELL: f64 = 64.0;

/// Points of the coarse grid along one axis, and the standard deviation at them.
const GRID: usize = 16;
const GRID_DEVIATION: f32 = 0.2;

impl CorruptionNoise {
    /// An image of `height` rows of `width` pixels: a function of `stream` alone.
    pub(crate) fn image(self, stream: &Philox, [height, width]: [usize; 2]) -> Vec<f32> {
        match self {
            Self::Simplex => simplex_octaves(stream, height, width),
            Self::Coarse => coarse(stream, height, width),
        }
    }
}

fn simplex_octaves(stream: &Philox, height: usize, width: usize) -> Vec<f32> {
    let lattice = Lattice::new(stream);
    // Draws after those of the permutation: every octave lies elsewhere on the lattice.
    let place = |draw: usize| TABLE as f64 * stream.uniform((TABLE + draw) as u64);
    let octaves: [[f64; 4]; OCTAVES] = std::array::from_fn(|octave| {
        let frequency = 2f64.powi(octave as i32) / FIRST_CELL;
        let amplitude = PERSISTENCE.powi(octave as i32);
        [
            frequency,
            amplitude,
            place(2 * octave),
            place(2 * octave + 1),
        ]
    });
    let pixels = (0..height * width).map(|pixel| {
        let (row, column) = ((pixel / width) as f64, (pixel % width) as f64);
        let of = |[frequency, amplitude, down, right]: [f64; 4]| {
            amplitude * lattice.at(right + frequency * column, down + frequency * row)
        };
        octaves.into_iter().map(of).sum::<f64>() as f32
    });
    pixels.collect()
}

/// Entries of the table that the directions at lattice points are taken from.
const TABLE: usize = 256;
/// Directions that a lattice point may have.
const DIRECTIONS: usize = 16;

/// The random directions at the points of a triangular lattice.
struct Lattice {
    table: Vec<usize>,
    directions: [[f64; 2]; DIRECTIONS],
}

impl Lattice {
    fn new(stream: &Philox) -> Self {
        let angle = |index: usize| std::f64::consts::TAU * index as f64 / DIRECTIONS as f64;
        Self {
            table: stream.permutation(TABLE),
            directions: std::array::from_fn(|index| [angle(index).cos(), angle(index).sin()]),
        }
    }

    /// Simplex noise at a point, between -1 and 1.
    ///
    /// Every corner of the triangle around the point adds `(1/2 - r²)⁴ (g · d)`, d being the way from the corner to the point, r its length,
    /// and g a unit vector in the corner's direction.
    ///
    /// # Source
    /// Perlin, "Noise hardware", SIGGRAPH course notes 2002, in two dimensions.
    fn at(&self, x: f64, y: f64) -> f64 {
        // Along the diagonal, triangles of the plane are halves of squares.
        const SKEW: f64 = 0.366_025_403_784_438_6; // (√3 - 1) / 2
        const UNSKEW: f64 = 0.211_324_865_405_187_1; // (3 - √3) / 6
        /// One over the largest sum that three corners give.
        const SCALE: f64 = 99.2;
        let shift = SKEW * (x + y);
        let (i, j) = ((x + shift).floor(), (y + shift).floor());
        let back = UNSKEW * (i + j);
        let (x, y) = (x - i + back, y - j + back);
        let second = if x > y { (1.0, 0.0) } else { (0.0, 1.0) };
        let corners = [(0.0, 0.0), second, (1.0, 1.0)];
        let sum: f64 = corners
            .into_iter()
            .map(|(right, down)| {
                let back = UNSKEW * (right + down);
                let (dx, dy) = (x - right + back, y - down + back);
                let near = 0.5 - dx * dx - dy * dy;
                if near <= 0.0 {
                    return 0.0;
                }
                let [gx, gy] = self.direction((i + right) as i64, (j + down) as i64);
                near.powi(4) * (gx * dx + gy * dy)
            })
            .sum();
        SCALE * sum
    }

    fn direction(&self, i: i64, j: i64) -> [f64; 2] {
        let wrapped = |index: i64| index.rem_euclid(TABLE as i64) as usize;
        let column = self.table[wrapped(j)];
        self.directions[self.table[wrapped(i + column as i64)] % DIRECTIONS]
    }
}

fn coarse(stream: &Philox, height: usize, width: usize) -> Vec<f32> {
    let mut grid = vec![0.0f32; GRID * GRID];
    stream.fill_normal(&mut grid);
    let shift = |draw: usize, length: usize| {
        stream.below((GRID * GRID + draw) as u64, length as u32) as usize
    };
    let rows = enlarged(height, shift(0, height));
    let columns = enlarged(width, shift(1, width));
    let pixels = rows.iter().flat_map(|(row, below)| {
        let grid = &grid;
        columns.iter().map(move |(column, right)| {
            let at =
                |row: usize, column: usize| grid[row.min(GRID - 1) * GRID + column.min(GRID - 1)];
            let along = |row| at(row, *column) * (1.0 - right) + at(row, column + 1) * right;
            GRID_DEVIATION * (along(*row) * (1.0 - below) + along(row + 1) * below)
        })
    });
    pixels.collect()
}

/// For every pixel of an axis, shifted round by `shift`, the point of the grid before it and how far it is beyond that. The outer points lie
/// at the middles of the outer cells.
fn enlarged(length: usize, shift: usize) -> Vec<(usize, f32)> {
    let place = |pixel: usize| {
        let pixel = (pixel + shift) % length;
        let place = (pixel as f32 + 0.5) * GRID as f32 / length as f32 - 0.5;
        let place = place.clamp(0.0, (GRID - 1) as f32);
        (place as usize, place.fract())
    };
    (0..length).map(place).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mean_and_deviation(values: &[f64]) -> (f64, f64) {
        let n = values.len() as f64;
        let mean = values.iter().sum::<f64>() / n;
        let square = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / n;
        (mean, square.sqrt())
    }

    #[test]
    fn simplex_noise_is_smooth_and_between_minus_one_and_one() {
        let lattice = Lattice::new(&Philox::new(3, 1));
        let grid: Vec<(f64, f64)> = (0..400)
            .flat_map(|i| (0..400).map(move |j| (0.173 * f64::from(i), 0.171 * f64::from(j))))
            .collect();
        let values: Vec<f64> = grid.iter().map(|(x, y)| lattice.at(*x, *y)).collect();
        let largest = values.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!(largest <= 1.0 && largest > 0.8, "{largest}");
        let (mean, deviation) = mean_and_deviation(&values);
        assert!(
            mean.abs() < 0.05 && (0.2..0.6).contains(&deviation),
            "{mean} {deviation}"
        );
        // Over 1e-4 of a cell nothing moves by more than a slope of 10 gives, whichever triangle either point is in.
        for (x, y) in &grid {
            let step = lattice.at(x + 1e-4, y - 1e-4) - lattice.at(*x, *y);
            assert!(step.abs() < 2e-3, "{x} {y} {step}");
        }
        // At a point of the lattice it is 0: the way to that corner is none, and the other corners are too far.
        assert!(lattice.at(0.0, 0.0).abs() < 1e-12);
    }

    /// Every pixel is the sum of six octaves, here one by one: cells of 64, 32, …, 2 pixels, each with 0.8 of the height before it.
    #[test]
    fn octaves_add_up() {
        let octaves = [
            (64.0, 1.0),
            (32.0, 0.8),
            (16.0, 0.64),
            (8.0, 0.512),
            (4.0, 0.4096),
            (2.0, 0.32768),
        ];
        let stream = Philox::new(9, 4);
        let lattice = Lattice::new(&stream);
        let image = CorruptionNoise::Simplex.image(&stream, [20, 30]);
        for (row, column) in [(0, 0), (0, 29), (7, 3), (13, 22), (19, 29)] {
            let mut sum = 0.0;
            let mut draw = 256;
            for (cell, height) in octaves {
                // The table has 256 entries; an octave begins anywhere on it.
                let (down, right) = (stream.uniform(draw), stream.uniform(draw + 1));
                draw += 2;
                let x = 256.0 * right + column as f64 / cell;
                let y = 256.0 * down + row as f64 / cell;
                sum += height * lattice.at(x, y);
            }
            let found = f64::from(image[row * 30 + column]);
            assert!((found - sum).abs() < 1e-6, "{row} {column}: {found} {sum}");
        }
    }

    #[test]
    fn coarse_noise_is_its_grid_at_the_grid() {
        let stream = Philox::new(4, 2);
        let image = CorruptionNoise::Coarse.image(&stream, [GRID, GRID]);
        let mut grid = vec![0.0f32; GRID * GRID];
        stream.fill_normal(&mut grid);
        let (down, right) = (
            stream.below(256, GRID as u32) as usize,
            stream.below(257, GRID as u32) as usize,
        );
        for (pixel, value) in image.iter().enumerate() {
            let (row, column) = ((pixel / GRID + down) % GRID, (pixel % GRID + right) % GRID);
            assert!((value - 0.2 * grid[row * GRID + column]).abs() < 1e-6);
        }
        // Twice as large: a quarter of the way from each point.
        assert_eq!(enlarged(32, 0)[..3], [(0, 0.0), (0, 0.25), (0, 0.75)]);
        assert_eq!(enlarged(32, 1)[31], (0, 0.0));
    }

    #[test]
    fn images_are_functions_of_their_streams() {
        for noise in [CorruptionNoise::Simplex, CorruptionNoise::Coarse] {
            let image = |key, item| noise.image(&Philox::new(key, item), [20, 30]);
            assert_eq!(image(1, 1).len(), 600);
            assert_eq!(image(1, 1), image(1, 1));
            assert_ne!(image(1, 1), image(1, 2));
            assert_ne!(image(1, 1), image(2, 1));
        }
    }
}
