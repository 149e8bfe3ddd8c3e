//! Writes maps on the grid of a volume.

use std::io::Write;
use std::path::Path;

use crossburn_checkpoints::write_atomic;
use flate2::Compression;
use flate2::write::GzEncoder;

use super::Nifti;
use super::header::{BITPIX, CAL, DATATYPE, DIM, HEADER, INTER, SLOPE, START, VOX_OFFSET};
use crate::TrainingError;

/// The code of 32-bit floats.
const FLOATS: i16 = 16;

/// Writes `values`, one for each voxel of `like` in the order of its file, as 32-bit floats on the same grid. If the path ends in `.gz`, the file
/// is packed.
///
/// The header of `like` is kept, including geometry and byte order, but with one volume and no scaling. Extensions are left out, because they
/// describe the input.
///
/// # Errors
/// [`TrainingError::Data`] if the number of values is not that of voxels, or if a value is not finite; an error of writing.
pub fn write_map(path: &Path, like: &Nifti, values: &[f32]) -> Result<(), TrainingError> {
    let voxels = like.header.voxels();
    if values.len() != voxels {
        return Err(TrainingError::data(
            path.display().to_string(),
            format!(
                "there are {} values for {voxels} voxels of {}",
                values.len(),
                like.place()
            ),
            "give one to each voxel",
        ));
    }
    if let Some(value) = values.iter().find(|value| !value.is_finite()) {
        return Err(TrainingError::data(
            path.display().to_string(),
            format!("a value of the map is {value}"),
            "check what made the map",
        ));
    }
    let big = like.header.big_endian;
    let bytes_of = |value: f32| {
        if big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        }
    };
    let mut bytes = like.header.bytes[..HEADER].to_vec();
    let mut short = |place: usize, value: i16| {
        let word = if big {
            value.to_be_bytes()
        } else {
            value.to_le_bytes()
        };
        bytes[place..place + 2].copy_from_slice(&word);
    };
    // All lengths are written, because the input may hold anything after its last axis.
    let [x, y, z] = like.header.shape.map(|length| length as i16);
    for (place, length) in [3, x, y, z, 1, 1, 1, 1].into_iter().enumerate() {
        short(DIM + 2 * place, length);
    }
    short(DATATYPE, FLOATS);
    short(BITPIX, 32);
    let [largest, smallest] = CAL;
    for (place, value) in [
        (VOX_OFFSET, START as f32),
        (SLOPE, 1.0),
        (INTER, 0.0),
        (largest, 0.0),
        (smallest, 0.0),
    ] {
        bytes[place..place + 4].copy_from_slice(&bytes_of(value));
    }
    bytes.resize(START, 0);
    bytes.reserve_exact(4 * voxels);
    bytes.extend(values.iter().flat_map(|value| bytes_of(*value)));
    let packed = path
        .extension()
        .is_some_and(|ending| ending.eq_ignore_ascii_case("gz"));
    write_atomic(path, |file| match packed {
        true => {
            let mut packer = GzEncoder::new(file, Compression::default());
            packer.write_all(&bytes)?;
            packer.finish().map(|_| ())
        }
        false => file.write_all(&bytes),
    })?;
    Ok(())
}
