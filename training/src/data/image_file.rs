//! One image file: PNG, JPEG, PGM or PPM with 8 bits per channel.

use std::fs::File;
use std::io::BufReader;
use std::path::Path;

use image::{ColorType, DynamicImage, ImageFormat, ImageReader, Limits};

use crate::TrainingError;

/// The longest side of an image in pixels, and the most memory that decoding one may take, in bytes.
const LONGEST_SIDE: u32 = 1 << 15;
const MOST_MEMORY: u64 = 512 << 20;

/// The colour channels of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Colour {
    Grey,
    Rgb,
}

impl Colour {
    /// The channels of a decoded image.
    pub(super) fn of(image: &DynamicImage) -> Self {
        match image.color().has_color() {
            true => Self::Rgb,
            false => Self::Grey,
        }
    }

    pub(super) fn channels(self) -> usize {
        match self {
            Self::Grey => 1,
            Self::Rgb => 3,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Grey => "grey",
            Self::Rgb => "in colour",
        }
    }
}

/// Opens a file without decoding it.
fn open(path: &Path) -> Result<ImageReader<BufReader<File>>, TrainingError> {
    let failed = |cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    };
    let bad = |problem: String, remedy: &str| {
        TrainingError::data(path.display().to_string(), problem, remedy)
    };
    let file = BufReader::new(File::open(path).map_err(failed)?);
    // Guessed from the content alone; the file's ending is compared below.
    let mut reader = ImageReader::new(file)
        .with_guessed_format()
        .map_err(failed)?;
    let named = ImageFormat::from_path(path).ok();
    match reader.format() {
        Some(format) if Some(format) == named => {}
        Some(format) => {
            return Err(bad(
                format!("it holds {format:?}, not what its ending says"),
                "correct its ending",
            ));
        }
        None => {
            return Err(bad(
                "this is no image".to_string(),
                "remove it, or save it again",
            ));
        }
    }
    let mut limits = Limits::default();
    limits.max_image_width = Some(LONGEST_SIDE);
    limits.max_image_height = Some(LONGEST_SIDE);
    limits.max_alloc = Some(MOST_MEMORY);
    reader.limits(limits);
    Ok(reader)
}

fn damaged(path: &Path, cause: &image::ImageError) -> TrainingError {
    TrainingError::data(
        path.display().to_string(),
        format!("the image is damaged or too large ({cause})"),
        "remove it, or save it again",
    )
}

/// The image in a file.
///
/// [`TrainingError::Read`]; [`TrainingError::Data`] for a file that is no image, whose format differs from its ending, that is damaged or too
/// large, or that has more than 8 bits per channel.
pub(super) fn decode(path: &Path) -> Result<DynamicImage, TrainingError> {
    let image = open(path)?.decode();
    let image = image.map_err(|cause| damaged(path, &cause))?;
    match image.color() {
        ColorType::L8 | ColorType::La8 | ColorType::Rgb8 | ColorType::Rgba8 => Ok(image),
        _ => Err(TrainingError::data(
            path.display().to_string(),
            "it has more than 8 bits a channel",
            "convert it to 8 bits, or save arrays with npz",
        )),
    }
}

/// Height and width of the image in a file. Only the header is read.
///
/// # Errors
/// Those errors of [`decode`] that the header shows.
pub(super) fn size(path: &Path) -> Result<[usize; 2], TrainingError> {
    let size = open(path)?.into_dimensions();
    let (width, height) = size.map_err(|cause| damaged(path, &cause))?;
    Ok([height, width].map(|length| length as usize))
}

/// Writes the pixels of an image, channel by channel. Transparency is dropped.
pub(super) fn write(image: DynamicImage, colour: Colour, pixels: &mut [u8]) {
    match colour {
        Colour::Grey => pixels.copy_from_slice(&image.into_luma8()),
        Colour::Rgb => {
            let image = image.into_rgb8();
            let plane = pixels.len() / 3;
            for (channel, plane) in pixels.chunks_mut(plane).enumerate() {
                let values = image.iter().skip(channel).step_by(3);
                plane
                    .iter_mut()
                    .zip(values)
                    .for_each(|(pixel, value)| *pixel = *value);
            }
        }
    }
}
