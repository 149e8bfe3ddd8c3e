//! Slices in a file of their own: one in an image, or one or several in an array.

use std::path::Path;

use super::super::array::shown;
use super::super::npy;
use super::Stack;
use super::slices::grey;
use super::stack::{TWO_VALUES, binary};
use crate::TrainingError;

/// How the name of an array ends, and those of images.
const ARRAY: &str = "npy";
const IMAGES: [&str; 5] = ["png", "jpg", "jpeg", "pgm", "ppm"];

/// Slices in a file of their own, as those of one patient.
///
/// The rows of a slice must run from the front of the head to its back, and the pixels of a row to the right of the patient. Several slices go from the
/// bottom up, without a gap.
#[derive(Clone, Debug, PartialEq)]
pub struct SliceFile {
    /// The slices.
    pub stack: Stack,
    /// The shape in which they lie in the file: `[height, width]` or `[slices, height, width]`.
    pub shape: Vec<usize>,
}

impl SliceFile {
    /// Whether the name of a file ends like that of an image or of an array.
    pub fn is(path: &Path) -> bool {
        ends(path, ARRAY) || IMAGES.iter().any(|ending| ends(path, ending))
    }

    /// The slices in `image`: an image of 8 bits, in grey or made grey, or an array in NumPy's format. `brain` is their mask, in either form.
    ///
    /// # Errors
    /// [`TrainingError::Read`]; [`TrainingError::Data`] for a file that is neither, an array of another number of axes or with numbers that are not finite, and a
    /// mask of another shape or with more than two values.
    pub fn read(image: &Path, brain: Option<&Path>) -> Result<Self, TrainingError> {
        let (shape, values) = read(image)?;
        let brain = match brain {
            None => None,
            Some(path) => {
                let place = path.display().to_string();
                let (other, values) = read(path)?;
                if other != shape {
                    return Err(TrainingError::data(
                        place,
                        format!(
                            "its shape is {}, that of the slices {}",
                            shown(&other),
                            shown(&shape)
                        ),
                        "hint: give the mask of these slices",
                    ));
                }
                Some(binary(&place, &values, TWO_VALUES)?)
            }
        };
        let [slices, height, width] = match *shape.as_slice() {
            [slices, height, width] => [slices, height, width],
            // Shapes have two or three axes.
            _ => [1, shape[0], shape[1]],
        };
        Ok(Self {
            stack: Stack {
                shape: [slices, height, width],
                values,
                brain,
                lesion: None,
                numbers: (0..slices as u32).collect(),
            },
            shape,
        })
    }
}

/// Whether the ending of a file is `ending`, in small or large letters.
fn ends(path: &Path, ending: &str) -> bool {
    path.extension()
        .is_some_and(|own| own.eq_ignore_ascii_case(ending))
}

/// Shape and values in a file; the shape has two or three axes, none of which is empty.
fn read(path: &Path) -> Result<(Vec<usize>, Vec<f32>), TrainingError> {
    let bad =
        |problem: String, remedy| TrainingError::data(path.display().to_string(), problem, remedy);
    if !SliceFile::is(path) {
        return Err(bad(
            "its name does not end like that of an image or of an array".to_string(),
            "hint: save it as .png, .jpg, .pgm or .npy",
        ));
    }
    if !ends(path, ARRAY) {
        let (shape, values) = grey(path)?;
        return Ok((shape.to_vec(), values));
    }
    let array = npy::read(path)?;
    let shape = array.shape.clone();
    if !(2..=3).contains(&shape.len()) || shape.contains(&0) {
        return Err(bad(
            format!("its shape is {}", shown(&shape)),
            "hint: save one slice as [height, width], or several as [slices, height, width]",
        ));
    }
    Ok((shape, array.into_floats()?))
}
