//! An image with some slices of a volume: the slices, their reconstructions, and their maps.

use std::io::Cursor;
use std::path::Path;

use anyhow::{Context, Result};
use crossburn_checkpoints::write_bytes;
use image::{ImageFormat, Rgb, RgbImage};

/// Most slices side by side.
const COLUMNS: usize = 8;
/// Pixels between two images.
const GAP: usize = 2;

/// Slices of one volume, slice by slice, row by row.
#[derive(Debug)]
pub(super) struct Sheet<'a> {
    /// Height and width of a slice.
    pub(super) shape: [usize; 2],
    /// Intensities from 0 to 1: of the slices, and of their reconstructions. The slices are also the background of the map.
    pub(super) rows: [&'a [f32]; 2],
    /// Scores, from 0 on.
    pub(super) map: &'a [f32],
}

impl Sheet<'_> {
    /// Writes the image as PNG.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(super) fn write(&self, path: &Path) -> Result<()> {
        let mut bytes = Cursor::new(Vec::new());
        let encoded = self.draw().write_to(&mut bytes, ImageFormat::Png);
        encoded.with_context(|| format!("cannot draw {}", path.display()))?;
        Ok(write_bytes(path, bytes.get_ref())?)
    }

    /// Evenly chosen slices from left to right. Below each slice is its reconstruction, and below that the slice with its map: without red at a score of 0, and
    /// fully red at the largest score of the volume.
    fn draw(&self) -> RgbImage {
        let [height, width] = self.shape;
        let plane = (height * width).max(1);
        let chosen = chosen(self.map.len() / plane);
        let across = chosen.len().max(1) * (width + GAP) - GAP;
        let down = 3 * (height + GAP) - GAP;
        let mut sheet = RgbImage::from_pixel(across as u32, down as u32, Rgb([255; 3]));
        let largest = self
            .map
            .iter()
            .copied()
            .fold(0.0, f32::max)
            .max(f32::MIN_POSITIVE);
        for (column, slice) in chosen.into_iter().enumerate() {
            for pixel in 0..plane {
                let place = slice * plane + pixel;
                let share = self.map[place] / largest;
                let ground = grey(self.rows[0][place]);
                let mixed = |to: f32| (f32::from(ground) * (1.0 - share) + to * share) as u8;
                let colours = [
                    [ground; 3],
                    [grey(self.rows[1][place]); 3],
                    [mixed(255.0), mixed(0.0), mixed(0.0)],
                ];
                let x = column * (width + GAP) + pixel % width;
                for (row, colour) in colours.into_iter().enumerate() {
                    let y = row * (height + GAP) + pixel / width;
                    sheet.put_pixel(x as u32, y as u32, Rgb(colour));
                }
            }
        }
        sheet
    }
}

/// The indices of at most [`COLUMNS`] of `slices` slices, each from the middle of an equal part.
fn chosen(slices: usize) -> Vec<usize> {
    let columns = slices.min(COLUMNS);
    let middle = |column: usize| (2 * column + 1) * slices / (2 * columns);
    (0..columns).map(middle).collect()
}

fn grey(value: f32) -> u8 {
    (255.0 * value.clamp(0.0, 1.0)).round() as u8
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices_are_chosen_evenly() {
        assert_eq!(chosen(3), [0, 1, 2]);
        assert_eq!(chosen(16), [1, 3, 5, 7, 9, 11, 13, 15]);
        assert_eq!(chosen(0), [0usize; 0]);
    }

    #[test]
    fn maps_are_red_over_their_slice() {
        let sheet = Sheet {
            shape: [1, 2],
            rows: [&[0.0, 1.0, 0.2, 0.2], &[1.0, 0.0, 0.2, 0.2]],
            map: &[0.0, 0.0, 0.3, 0.6],
        };
        let image = sheet.draw();
        assert_eq!(image.dimensions(), (6, 7));
        let at = |x, y| image.get_pixel(x, y).0;
        assert_eq!([at(0, 0), at(1, 0)], [[0; 3], [255; 3]]);
        assert_eq!([at(0, 3), at(1, 3)], [[255; 3], [0; 3]]);
        assert_eq!([at(0, 6), at(1, 6)], [[0; 3], [255; 3]]);
        // Half way from 51 to red, and fully red.
        assert_eq!([at(4, 6), at(5, 6)], [[153, 25, 25], [255, 0, 0]]);
        assert_eq!(at(2, 0), [255; 3]);
    }
}
