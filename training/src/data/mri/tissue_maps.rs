//! Brains as maps of real tissues have them, each patient's a little different.

use std::f64::consts::TAU;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crossburn_noise::{Philox, path_hash};

use super::super::nifti::Nifti;
use super::anatomy::{Anatomy, Tissues};
use super::phantom::{Bias, Patients};
use super::{Stack, VolumeFiles};
use crate::TrainingError;

/// How far the template reaches, in half widths of a slice, before a patient's own stretch.
const REACH: f64 = 0.92;
/// The stretch of a patient to the side and to the front.
const STRETCH: [f64; 2] = [0.90, 1.03];
/// How far a patient's slices are shifted up or down, in parts of half the height.
const SHIFT: f64 = 0.06;
/// How far points are moved by a smooth field, in half widths: its standard deviation.
const WARP: f64 = 0.015;
/// Slices whose brain is smaller than this share of the largest are left out at both ends.
const LEAST: f64 = 0.5;
/// The share of fluid from which a point is no tissue that a lesion lies in.
const FLUID: f64 = 0.5;
/// The value of a share of 1 in maps of bytes.
const BYTE: f32 = 255.0;

/// Shares of grey and white matter and of the brain in the pixels of every slice, from the bottom up, rows from the front to the back, pixels
/// about as large as those that are drawn.
#[derive(Debug, PartialEq)]
pub(super) struct TissueMaps {
    /// Slices, rows, pixels of a row.
    shape: [usize; 3],
    grey: Vec<f32>,
    white: Vec<f32>,
    brain: Vec<f32>,
    /// The middle of the brain, by row and pixel of a row, and pixels of a half width.
    centre: [f64; 2],
    scale: f64,
    /// Half of the extent of the brain, to the side and to the front, in half widths.
    axes: [f64; 2],
    /// The slices that are drawn: the lowest and the highest.
    slices: [f64; 2],
}

/// The intensities of a volume, from the bottom up, rows from the front to the back, and the volume.
fn upright(path: &Path) -> Result<(Stack, Nifti), TrainingError> {
    let files = VolumeFiles {
        image: path,
        brain: None,
        lesion: None,
    };
    Stack::read(&files, None, false)
}

/// Shares of 0 to 1: those of a map of shares, or of bytes.
fn shares(place: &str, values: &[f32]) -> Result<Vec<f32>, TrainingError> {
    let most = values.iter().copied().fold(0.0, f32::max);
    let least = values.iter().copied().fold(0.0, f32::min);
    if least < 0.0 || most > BYTE || most == 0.0 {
        return Err(TrainingError::data(
            place,
            format!("its values lie between {least} and {most}, so it is no map of a tissue"),
            "give the share of the tissue in every voxel, from 0 to 1 or from 0 to 255",
        ));
    }
    let of = if most > 1.0 { BYTE } else { 1.0 };
    Ok(values.iter().map(|value| value / of).collect())
}

/// The first and the last place with a brain, of the places that `of` says of every pixel.
fn extent(brain: &[f32], of: impl Fn(usize) -> usize) -> Option<(usize, usize)> {
    let places = brain.iter().enumerate().filter(|(_, share)| **share >= 0.5);
    let places = places.map(|(pixel, _)| of(pixel));
    places.fold(None, |ends, place| match ends {
        None => Some((place, place)),
        Some((first, last)) => Some((place.min(first), place.max(last))),
    })
}

impl TissueMaps {
    /// Reads the brain (a volume that is 0 outside of it), and the maps of grey and of white matter, for slices of `size` pixels.
    ///
    /// # Errors
    /// Those of [`Stack::read`]; [`TrainingError::Data`] for volumes of several grids, maps that hold no shares, and a volume without a brain
    /// that slices can be drawn from.
    pub(super) fn read(files: &[PathBuf; 3], size: usize) -> Result<Self, TrainingError> {
        let (t1, image) = upright(&files[0])?;
        let map = |path: &PathBuf| -> Result<Vec<f32>, TrainingError> {
            let (stack, map) = upright(path)?;
            image.same_grid(&map)?;
            shares(map.place(), &stack.values)
        };
        let (grey, white) = (map(&files[1])?, map(&files[2])?);
        let brain: Vec<f32> = t1
            .values
            .iter()
            .map(|value| f32::from(u8::from(*value > 0.0)))
            .collect();
        Self::new([&brain, &grey, &white], t1.shape, size).ok_or_else(|| {
            TrainingError::data(
                image.place(),
                "it has no brain of two slices or more",
                "give a volume that is 0 outside the brain",
            )
        })
    }

    /// From shares of brain, grey and white matter of voxels; `None` without a brain of two slices or more.
    fn new(shares: [&[f32]; 3], [slices, height, width]: [usize; 3], size: usize) -> Option<Self> {
        let (top, bottom) = extent(shares[0], |voxel| voxel / width % height)?;
        let (left, right) = extent(shares[0], |voxel| voxel % width)?;
        let longest = (bottom - top).max(right - left) + 1;
        // Voxels that a drawn pixel covers along each side.
        let down = (longest as f64 / (REACH * size as f64)).round().max(1.0) as usize;
        let [brain, grey, white] =
            shares.map(|values| averaged(values, [slices, height, width], down));
        let [height, width] = [height, width].map(|length| length.div_ceil(down));
        let (top, bottom) = extent(&brain, |pixel| pixel / width % height)?;
        let (left, right) = extent(&brain, |pixel| pixel % width)?;
        let [tall, wide] = [bottom + 1 - top, right + 1 - left].map(|length| length as f64);
        let scale = tall.max(wide) / 2.0 / REACH;
        let areas = brain.chunks(height * width);
        let areas: Vec<f32> = areas.map(|slice| slice.iter().sum()).collect();
        let most = areas.iter().copied().fold(0.0, f32::max);
        let large = |area: &f32| f64::from(*area) >= LEAST * f64::from(most);
        let [first, last] = [
            areas.iter().position(large)?,
            areas.iter().rposition(large)?,
        ];
        (last > first).then_some(Self {
            shape: [slices, height, width],
            grey,
            white,
            brain,
            centre: [(top + bottom) as f64 / 2.0, (left + right) as f64 / 2.0],
            scale,
            axes: [wide, tall].map(|length| length / 2.0 / scale),
            slices: [first as f64, last as f64],
        })
    }

    /// The share of `values` at a place between the pixels of a slice, by linear interpolation; 0 outside.
    fn at(&self, values: &[f32], (slice, [row, column]): (usize, [f64; 2])) -> f64 {
        let [_, height, width] = self.shape;
        let (top, left) = (row.floor(), column.floor());
        let pixel = |row: f64, column: f64| {
            let inside =
                (0.0..height as f64).contains(&row) && (0.0..width as f64).contains(&column);
            match inside {
                true => {
                    f64::from(values[(slice * height + row as usize) * width + column as usize])
                }
                false => 0.0,
            }
        };
        let (down, right) = (row - top, column - left);
        let across = |row| pixel(row, left) * (1.0 - right) + pixel(row, left + 1.0) * right;
        across(top) * (1.0 - down) + across(top + 1.0) * down
    }
}

/// Means of blocks of `down` by `down` pixels of every slice; those at the edges may be smaller.
fn averaged(values: &[f32], [slices, height, width]: [usize; 3], down: usize) -> Vec<f32> {
    let [tall, wide] = [height, width].map(|length| length.div_ceil(down));
    let mut sums = vec![(0.0f32, 0u32); slices * tall * wide];
    for (voxel, value) in values.iter().enumerate() {
        let (slice, row, column) = (
            voxel / (height * width),
            voxel / width % height,
            voxel % width,
        );
        let sum = &mut sums[(slice * tall + row / down) * wide + column / down];
        *sum = (sum.0 + value, sum.1 + 1);
    }
    sums.into_iter()
        .map(|(sum, count)| sum / count.max(1) as f32)
        .collect()
}

/// The brain of the maps as one patient has it: stretched, bent a little, shifted up or down, and in half of all patients mirrored.
pub(super) struct Patient {
    maps: Arc<TissueMaps>,
    stretch: [f64; 2],
    side: f64,
    shift: f64,
    warp: [Bias; 2],
}

impl Patients for Arc<TissueMaps> {
    type Brain = Patient;

    fn brain(&self, seed: u64, patient: u64) -> Patient {
        let stream = |purpose: &str| Philox::new(seed ^ path_hash(purpose), patient);
        let draws = stream("mri tissues patient");
        let stretch = |index| STRETCH[0] + (STRETCH[1] - STRETCH[0]) * draws.uniform(index);
        Patient {
            maps: Arc::clone(self),
            stretch: [stretch(0), stretch(1)],
            side: if draws.uniform(2) < 0.5 { -1.0 } else { 1.0 },
            shift: SHIFT * (2.0 * draws.uniform(3) - 1.0),
            warp: ["mri tissues to the side", "mri tissues to the front"]
                .map(|purpose| Bias::draw(&stream(purpose))),
        }
    }

    fn in_words(&self) -> String {
        "from tissue maps ".to_string()
    }
}

impl Patient {
    /// The slice of the maps, and the place in it.
    fn place(&self, level: f64, point: [f64; 2]) -> (usize, [f64; 2]) {
        let maps = &self.maps;
        let [first, last] = maps.slices;
        let slice = (first + last) / 2.0 + (last - first) / 2.0 * (level + self.shift);
        let [u, v] = [0, 1].map(|axis| {
            let moved = point[axis] + WARP * self.warp[axis].at(point);
            moved / self.stretch[axis] * maps.scale
        });
        let [row, column] = maps.centre;
        let slice = slice.round().clamp(first, last) as usize;
        (slice, [row - v, column + self.side * u])
    }
}

impl Anatomy for Patient {
    fn is_brain(&self, level: f64, point: [f64; 2]) -> bool {
        self.maps.at(&self.maps.brain, self.place(level, point)) >= 0.5
    }

    /// As the maps share them, which have no sharp borders; what is neither grey nor white matter is fluid.
    fn tissues(&self, level: f64, point: [f64; 2], _: f64) -> Tissues {
        let place = self.place(level, point);
        let [grey, white] = [&self.maps.grey, &self.maps.white].map(|map| self.maps.at(map, place));
        let sum = (grey + white).max(1.0);
        let (grey, white) = (grey / sum, white / sum);
        Tissues {
            white,
            grey,
            fluid: (1.0 - grey - white).max(0.0),
        }
    }

    fn is_tissue(&self, level: f64, point: [f64; 2]) -> bool {
        self.is_brain(level, point) && self.tissues(level, point, 0.0).fluid < FLUID
    }

    fn at(&self, _: f64, turn: f64, radius: f64) -> [f64; 2] {
        let (sin, cos) = (TAU * turn).sin_cos();
        let [side, front] = self.maps.axes;
        let [across, along] = self.stretch;
        [radius * cos * side * across, radius * sin * front * along]
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::super::phantom::{PhantomConfig, drawn};
    use super::super::{Means, OF_PATIENT};
    use super::*;

    /// A brain of 20 slices, 40 rows and 30 pixels a row: a box, whose front half is grey and whose back half is white, with fluid in the three
    /// rows between them.
    fn made_up() -> TissueMaps {
        let shape = [20, 40, 30];
        let each = |of: &dyn Fn(usize, usize) -> bool| -> Vec<f32> {
            let inside = |voxel: usize| {
                let (slice, row, column) = (voxel / 1200, voxel / 30 % 40, voxel % 30);
                let brain =
                    (4..16).contains(&slice) && (5..36).contains(&row) && (5..26).contains(&column);
                f32::from(u8::from(brain && of(row, column)))
            };
            (0..20 * 1200).map(inside).collect()
        };
        let brain = each(&|_, _| true);
        let (grey, white) = (each(&|row, _| row < 19), each(&|row, _| row > 21));
        TissueMaps::new([&brain, &grey, &white], shape, 32).unwrap()
    }

    #[test]
    fn maps_are_placed_as_worked_by_hand() {
        let maps = Arc::new(made_up());
        // 31 rows over 0.92 of 32 pixels: each pixel of the map is one that is drawn.
        assert_eq!(
            (maps.shape, maps.centre, maps.slices),
            ([20, 40, 30], [20.0, 15.0], [4.0, 15.0])
        );
        assert!((maps.scale - 31.0 / 1.84).abs() < 1e-12);
        assert!(
            (maps.axes[1] - 0.92).abs() < 1e-12
                && (maps.axes[0] - 0.92 * 21.0 / 31.0).abs() < 1e-12
        );
        for number in 0..20 {
            let patient = maps.brain(3, number);
            assert!(patient.is_brain(0.0, [0.0, 0.0]) && !patient.is_brain(0.0, [0.8, 0.0]));
            assert!(!patient.is_brain(0.0, [0.0, 0.99]));
            let [front, back, middle] =
                [0.5, -0.5, 0.0].map(|v| patient.tissues(0.3, [0.1, v], 0.0));
            assert_eq!((front.grey, front.white, front.fluid), (1.0, 0.0, 0.0));
            assert_eq!((back.grey, back.white, back.fluid), (0.0, 1.0, 0.0));
            // The middle of three rows of fluid, moved by less than one row.
            assert!(middle.fluid > 0.99, "{middle:?}");
            assert!(!patient.is_tissue(0.3, [0.1, 0.0]) && patient.is_tissue(0.3, [0.1, 0.5]));
        }
        assert_eq!(
            averaged(&[1.0, 0.0, 0.5, 1.0, 1.0, 0.0], [1, 2, 3], 2),
            [0.75, 0.25]
        );
    }

    #[test]
    fn maps_hold_shares() {
        assert_eq!(shares("x", &[0.0, 0.5, 1.0]).unwrap(), [0.0, 0.5, 1.0]);
        assert_eq!(shares("x", &[0.0, 51.0, 255.0]).unwrap(), [0.0, 0.2, 1.0]);
        for values in [[-1.0, 0.0, 1.0], [0.0, 3.0, 400.0], [0.0; 3]] {
            let message = shares("gm.nii", &values).unwrap_err().to_string();
            assert!(
                message.starts_with("gm.nii: its values lie between"),
                "{message}"
            );
        }
        let nothing = [0.0f32; 8];
        assert_eq!(TissueMaps::new([&nothing; 3], [2, 2, 2], 16), None);
    }

    #[test]
    fn lesions_differ_from_healthy_twins_by_what_is_stated() {
        let maps = Arc::new(made_up());
        let config = PhantomConfig {
            size: 32,
            d: 0.2,
            het: 0.0,
            ..PhantomConfig::default()
        };
        let [ill, healthy] = [true, false]
            .map(|lesions| drawn(&maps, 5, (0, 8 * OF_PATIENT as usize), &config, lesions));
        assert!(ill.labels[..8].iter().all(|label| *label == 0) && ill.labels[8..16].contains(&1));
        let masks = ill.masks.as_ref().unwrap();
        let (mut inside, mut outside) = (Means::default(), 0);
        for (pixel, (value, twin)) in ill.floats().iter().zip(healthy.floats()).enumerate() {
            assert!(masks.lesion[pixel] <= masks.brain[pixel]);
            match masks.lesion[pixel] {
                1 => inside.add(&[value - twin], &[1], &[1]),
                _ => outside += usize::from(value != twin),
            }
        }
        assert_eq!(outside, 0);
        // Grey matter (0.68) and fluid (0.15) are about the ends of the scale: 0.2 is at most 0.2 / 0.4 of it; what is clipped is less.
        let mean = inside.lesion().unwrap();
        assert!((0.1..0.5).contains(&mean), "{mean}");
        assert_eq!(
            drawn(&maps, 5, (8, 8), &config, true).floats(),
            &ill.floats()[8 * 1024..16 * 1024]
        );
    }
}
