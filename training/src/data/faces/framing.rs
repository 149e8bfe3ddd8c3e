//! The part of an image that shows a face, brought to the size that a network needs.

use std::path::Path;

use super::alignment::{Similarity, usual_places};
use super::landmarks::Landmarks;
use crate::TrainingError;

/// Most sample points along each side of a pixel of the result. If the image is larger, it is sampled more coarsely.
const MOST_POINTS: f64 = 64.0;
/// An image may be shrunk by this much more than a whole factor before one more point is sampled, because landmarks are rounded.
const ROUNDED: f64 = 0.05;

/// How faces are cut out of images of any size, and their size afterwards.
#[derive(Clone, Debug, PartialEq)]
pub struct Framing {
    /// Height and width of the result.
    size: [usize; 2],
    /// The landmarks of the faces. If absent, faces are in the middle of their images.
    landmarks: Option<Landmarks>,
}

impl Framing {
    /// Cuts out the largest part with the shape of `size` (height, width) from the middle of an image.
    pub fn centred(size: [usize; 2]) -> Self {
        Self {
            size,
            landmarks: None,
        }
    }

    /// Cuts out the part that has the image's landmarks as close as possible to their usual places, after turning, scaling and moving.
    pub fn aligned(size: [usize; 2], landmarks: Landmarks) -> Self {
        Self {
            size,
            landmarks: Some(landmarks),
        }
    }

    /// Height and width of the result.
    pub(in super::super) fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Writes the face in the image at `path` to `pixels` of `shape`, `[channels, height, width]`, channel by channel.
    ///
    /// # Errors
    /// [`TrainingError::Data`] if landmarks are expected but the image has none, or if its landmarks define no face.
    pub(in super::super) fn write(
        &self,
        path: &Path,
        (pixels, shape): (&[u8], [usize; 3]),
        out: &mut [u8],
    ) -> Result<(), TrainingError> {
        let [_, height, width] = shape;
        let map = match &self.landmarks {
            None => centred([height, width], self.size),
            Some(landmarks) => {
                let found = landmarks.on(path)?;
                let usual = usual_places(self.size, found.len());
                let refuse = |problem, remedy| {
                    TrainingError::data(path.display().to_string(), problem, remedy)
                };
                let map = Similarity::between(found, &usual).ok_or_else(|| {
                    refuse(
                        "its landmarks do not say where the face is",
                        "correct them: no two of them are one point",
                    )
                })?;
                // A turn of more than 120 degrees means that the eyes are exchanged: some tables begin with the eye on the person's left.
                if map.a[0] < -0.5 * map.scale() {
                    return Err(refuse(
                        "its landmarks turn the face upside down",
                        "name the eye on the left of the image first",
                    ));
                }
                map
            }
        };
        warp((pixels, shape), &map, (out, self.size));
        Ok(())
    }
}

/// The map of the largest part, in the middle of an image, that has the shape of `to`.
pub(super) fn centred(from: [usize; 2], to: [usize; 2]) -> Similarity {
    let ratio = |axis: usize| to[axis] as f64 / from[axis] as f64;
    let scale = ratio(0).max(ratio(1));
    let middle = |length: usize| (length as f64 - 1.0) / 2.0;
    let shift = |axis: usize| middle(to[axis]) - scale * middle(from[axis]);
    Similarity {
        a: [scale, 0.0],
        // Points give the column first, then the row.
        b: [shift(1), shift(0)],
    }
}

/// Applies `map` to an image, channel by channel. Each pixel of the result is the mean over points of the image that are as dense as its pixels;
/// each point is interpolated between four pixels. Beyond its border the outermost pixels are repeated.
pub(super) fn warp(
    (pixels, [_, height, width]): (&[u8], [usize; 3]),
    map: &Similarity,
    (out, [rows, columns]): (&mut [u8], [usize; 2]),
) {
    let shrunk = (1.0 / map.scale() - ROUNDED).ceil();
    let points = shrunk.clamp(1.0, MOST_POINTS) as usize;
    let offset = |number: usize| (number as f64 + 0.5) / points as f64 - 0.5;
    let planes = pixels.chunks_exact(height * width);
    for (plane, out) in planes.zip(out.chunks_exact_mut(rows * columns)) {
        for (place, pixel) in out.iter_mut().enumerate() {
            let middle = [(place % columns) as f64, (place / columns) as f64];
            let mut sum = 0.0;
            for number in 0..points * points {
                let off = [offset(number % points), offset(number / points)];
                let point = map.back([middle[0] + off[0], middle[1] + off[1]]);
                sum += between_pixels(plane, [height, width], point);
            }
            *pixel = (sum / (points * points) as f64).round() as u8;
        }
    }
}

/// The shade at a point, interpolated linearly between the middles of four pixels.
fn between_pixels(plane: &[u8], [height, width]: [usize; 2], [x, y]: [f64; 2]) -> f64 {
    let within = |at: f64, length: usize| at.clamp(0.0, (length - 1) as f64);
    let (x, y) = (within(x, width), within(y, height));
    let (left, top) = (x as usize, y as usize);
    let (right, low) = ((left + 1).min(width - 1), (top + 1).min(height - 1));
    let (x, y) = (x - left as f64, y - top as f64);
    let at = |row: usize, column: usize| f64::from(plane[row * width + column]);
    let along = |row: usize| at(row, left) * (1.0 - x) + at(row, right) * x;
    along(top) * (1.0 - y) + along(low) * y
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn warped(pixels: &[u8], shape: [usize; 3], map: &Similarity, size: [usize; 2]) -> Vec<u8> {
        let mut out = vec![0; shape[0] * size[0] * size[1]];
        warp((pixels, shape), map, (&mut out, size));
        out
    }

    #[test]
    fn the_middle_is_cut_out_and_averaged_as_worked_by_hand() {
        // Two channels of 4 x 6: the columns 1 to 4 remain, and each 2 x 2 pixels give their mean.
        let plane: Vec<u8> = (0..24).collect();
        let pixels = [plane.clone(), plane.iter().map(|p| p + 100).collect()].concat();
        let map = centred([4, 6], [2, 2]);
        let expected = [4.5f64, 6.5, 16.5, 18.5].map(|mean| mean.round() as u8);
        let found = warped(&pixels, [2, 4, 6], &map, [2, 2]);
        assert_eq!(found[..4], expected);
        assert_eq!(found[4..], expected.map(|p| p + 100));
        // An image stays unchanged at its own size.
        let same = centred([4, 6], [4, 6]);
        assert_eq!(warped(&pixels, [2, 4, 6], &same, [4, 6]), pixels);
        // Twice as large: the middles of new pixels are at a quarter and three quarters between two old ones, and the border is repeated.
        let larger = centred([1, 2], [2, 4]);
        assert_eq!(
            warped(&[0, 100], [1, 1, 2], &larger, [2, 4]),
            [0, 25, 75, 100, 0, 25, 75, 100]
        );
    }

    #[test]
    fn landmarks_come_to_their_usual_places() {
        // A face of 56 x 56, whose eyes are one bright pixel each, lies on its side in a larger image: a quarter turn.
        let before = |place: [f64; 2]| place.map(|at| at as usize);
        let usual: Vec<[usize; 2]> = usual_places([56, 56], 2).into_iter().map(before).collect();
        let side = 80;
        let mut image = vec![0u8; side * side];
        let turned: Vec<[usize; 2]> = usual.iter().map(|[x, y]| [70 - y, x + 5]).collect();
        for [x, y] in &turned {
            image[y * side + x] = 255;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.png");
        let table = folder.path().join("marks.csv");
        let numbers: Vec<String> = turned.iter().flatten().map(ToString::to_string).collect();
        std::fs::write(
            &table,
            format!("image,x,y,x,y\na.png,{}\n", numbers.join(",")),
        )
        .unwrap();
        let framing = Framing::aligned([56, 56], Landmarks::read(&table).unwrap());
        let mut out = vec![0; 56 * 56];
        let shape = [1, side, side];
        framing.write(&path, (&image, shape), &mut out).unwrap();
        for [x, y] in usual {
            // The usual places, and those next to them, are at most half a pixel away from middles of pixels.
            let around = [[0, 0], [1, 0], [0, 1], [1, 1]].map(|[i, j]| [x + i, y + j]);
            let bright = around.map(|[x, y]| u32::from(out[y * 56 + x]));
            assert!(bright.iter().sum::<u32>() > 200, "{bright:?}");
        }
        let rest: u32 = out.iter().map(|pixel| u32::from(*pixel)).sum();
        assert!(rest < 2 * 300, "{rest}");
        let other = folder.path().join("b.png");
        assert!(framing.write(&other, (&image, shape), &mut out).is_err());
        std::fs::write(&table, "image,x,y,x,y\na.png,3,4,3,4\n").unwrap();
        let framing = Framing::aligned([56, 56], Landmarks::read(&table).unwrap());
        let message = framing.write(&path, (&image, shape), &mut out);
        let message = message.unwrap_err().to_string();
        assert!(
            message.contains("do not say where the face is"),
            "{message}"
        );
        // The eye on the right of the image comes first.
        std::fs::write(&table, "image,x,y,x,y\na.png,20,12,10,12\n").unwrap();
        let framing = Framing::aligned([56, 56], Landmarks::read(&table).unwrap());
        let message = framing.write(&path, (&image, shape), &mut out);
        let message = message.unwrap_err().to_string();
        assert!(message.contains("turn the face upside down"), "{message}");
    }
}
