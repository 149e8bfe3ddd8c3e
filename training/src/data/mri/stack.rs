//! The slices of one patient, from a volume or from single images.

use std::path::Path;

use super::super::nifti::Nifti;
use crate::TrainingError;

/// The slices of one patient, from the bottom up. The rows of a slice run from the front of the head to its back, the pixels of a row to the
/// right of the patient.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Stack {
    /// Slices, rows, pixels of a row.
    pub shape: [usize; 3],
    /// Intensities, all finite.
    pub values: Vec<f32>,
    /// 1 inside the brain, 0 outside; found by a threshold where absent.
    pub brain: Option<Vec<u8>>,
    /// 1 inside a lesion, 0 outside; nothing is known of lesions where absent.
    pub lesion: Option<Vec<u8>>,
    /// The number of every slice: larger ones lie higher.
    pub numbers: Vec<u32>,
}

/// Files of one patient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct VolumeFiles<P> {
    /// The image.
    pub image: P,
    /// The brain mask.
    pub brain: Option<P>,
    /// The lesion mask.
    pub lesion: Option<P>,
}

impl Stack {
    /// Whether values, masks and numbers are as many as its shape says.
    pub(super) fn is_whole(&self) -> bool {
        let pixels: usize = self.shape.iter().product();
        let masks = [&self.brain, &self.lesion].into_iter().flatten();
        self.values.len() == pixels
            && self.numbers.len() == self.shape[0]
            && masks.into_iter().all(|mask| mask.len() == pixels)
    }

    /// Reads NIfTI-1 files: the stack, and the image as it lies in its file. `volume` chooses one of several in the image; where
    /// `any_lesion`, every value of the lesion mask but 0 is lesion, otherwise it must have two values at most.
    ///
    /// # Errors
    /// Those of [`Nifti::read`]; [`TrainingError::Data`] for a mask on another grid, or with more than two values.
    pub fn read(
        files: &VolumeFiles<impl AsRef<Path>>,
        volume: Option<usize>,
        any_lesion: bool,
    ) -> Result<(Self, Nifti), TrainingError> {
        let image = Nifti::read(files.image.as_ref(), volume)?;
        let mask =
            |path: &Option<_>, any: bool, remedy| -> Result<Option<Vec<u8>>, TrainingError> {
                let Some(path) = path else {
                    return Ok(None);
                };
                let mask = Nifti::read(AsRef::<Path>::as_ref(path), None)?;
                image.same_grid(&mask)?;
                let binary = match any {
                    true => mask
                        .values
                        .iter()
                        .map(|value| u8::from(*value != 0.0))
                        .collect(),
                    false => binary(mask.place(), &mask.values, remedy)?,
                };
                Ok(Some(upright(&image, &binary)))
            };
        let [width, height, slices] = image.orientation().per_standard_axis(image.shape());
        let stack = Self {
            shape: [slices, height, width],
            values: upright(&image, &image.values),
            brain: mask(&files.brain, false, TWO_VALUES)?,
            lesion: mask(&files.lesion, any_lesion, KINDS_OF_LESIONS)?,
            numbers: (0..slices as u32).collect(),
        };
        Ok((stack, image))
    }
}

/// Voxels in the order of the file `image` as a stack has them.
fn upright<T: Copy>(image: &Nifti, values: &[T]) -> Vec<T> {
    let mut values = image.orientation().to_standard(values, image.shape());
    turn(image, &mut values);
    values
}

/// The other way round: pixels of a stack in the order of the file `image`, such as for [`write_map`](super::super::nifti::write_map).
///
/// # Panics
/// Where there are not as many values as the image has voxels.
pub fn in_file_order(image: &Nifti, mut values: Vec<f32>) -> Vec<f32> {
    turn(image, &mut values);
    image.orientation().to_file(&values, image.shape())
}

/// Turns the order of the rows of every slice: in standard order they run to the front.
fn turn<T: Copy>(image: &Nifti, values: &mut [T]) {
    let [width, height, _] = image.orientation().per_standard_axis(image.shape());
    for slice in values.chunks_mut(width * height) {
        for row in 0..height / 2 {
            let (first, last) = slice.split_at_mut((height - 1 - row) * width);
            first[row * width..][..width].swap_with_slice(&mut last[..width]);
        }
    }
}

/// What is said of a mask with more than two values, and of a lesion mask of a volume.
pub(super) const TWO_VALUES: &str = "give a mask of 0 and one other value";
const KINDS_OF_LESIONS: &str =
    "add any_lesion=yes if each of them is a lesion, or give a mask of 0 and one other value";

/// A mask of 0 and one other value: 1 where it is not 0.
///
/// # Errors
/// [`TrainingError::Data`] with `remedy` that names `place`, for a mask with further values.
pub(super) fn binary(place: &str, values: &[f32], remedy: &str) -> Result<Vec<u8>, TrainingError> {
    let inside = values.iter().copied().find(|value| *value != 0.0);
    let other = values
        .iter()
        .find(|value| **value != 0.0 && Some(**value) != inside);
    match (inside, other) {
        (Some(inside), Some(other)) => Err(TrainingError::data(
            place,
            format!("a mask has one value beside 0, this one has {inside} and {other}"),
            remedy,
        )),
        _ => Ok(values.iter().map(|value| u8::from(*value != 0.0)).collect()),
    }
}
