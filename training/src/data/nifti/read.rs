//! Reads one volume of a file.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use flate2::read::MultiGzDecoder;

use super::Orientation;
use super::header::{Header, START};
use crate::TrainingError;

/// Bytes that are read at a time. It is a multiple of the size of every type of voxel.
const PIECE: usize = 1 << 18;
/// The largest ratio of unpacked to packed bytes that deflate can reach.
const DENSEST: u64 = 1032;
/// Most voxels of a volume; as 32-bit floats they take 4 GB.
const MOST_VOXELS: usize = 1 << 30;
/// The first bytes of a gzip file.
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// One volume of a NIfTI-1 file.
#[derive(Clone, Debug, PartialEq)]
pub struct Nifti {
    pub(super) header: Header,
    /// Where it was read, for messages.
    place: String,
    /// Its voxels in the order of the file, first axis fastest, scaled by the header's slope and intercept. All are finite.
    pub values: Vec<f32>,
}

impl Nifti {
    /// Reads a file. `volume` chooses one of several volumes, from 0 on; without it the file must have exactly one.
    ///
    /// If the slope is 0 or not finite, values are not scaled.
    ///
    /// # Errors
    /// [`TrainingError::Read`]. [`TrainingError::Data`] that names the file and the field if the file is no NIfTI-1 file, is cut, has several volumes
    /// and none was chosen, or has a voxel that is not finite.
    pub fn read(path: &Path, volume: Option<usize>) -> Result<Self, TrainingError> {
        let (mut reader, available) = open(path)?;
        let place = path.display().to_string();
        let cut = |problem: String| TrainingError::data(&place, problem, "fetch the file again");
        let failed = |cause: io::Error| cut(damaged(&cause));
        let header = header(&place, &mut reader)?;
        let volume = match volume {
            None if header.volumes == 1 => 0,
            None => {
                return Err(TrainingError::data(
                    &place,
                    format!(
                        "dim: it has {} volumes (4-D), one is needed (3-D)",
                        header.volumes
                    ),
                    format!(
                        "keep one of them in the file, or choose one: of an image volume=N of a data source or --number N of mri score, from 0 to {}",
                        header.volumes - 1
                    ),
                ));
            }
            Some(volume) if volume < header.volumes => volume,
            Some(volume) => {
                return Err(TrainingError::data(
                    &place,
                    format!(
                        "dim: it has {} volumes, volume {volume} is none of them",
                        header.volumes
                    ),
                    "count volumes from 0",
                ));
            }
        };
        let voxels = header.voxels();
        let size = voxels as u64 * header.voxel.size() as u64;
        let needed = (size * header.volumes as u64).saturating_add(header.offset as u64);
        let [x, y, z] = header.shape;
        if voxels > MOST_VOXELS {
            return Err(TrainingError::data(
                &place,
                format!(
                    "dim: {x} x {y} x {z} voxels are more than {MOST_VOXELS}, the most of a volume"
                ),
                "use a lower resolution",
            ));
        }
        if needed > available {
            return Err(cut(format!(
                "dim: {x} x {y} x {z} voxels of {} volumes need {needed} bytes, the file has {available} at most",
                header.volumes
            )));
        }
        let skipped = (header.offset - START) as u64 + volume as u64 * size;
        skip(&mut reader, skipped).map_err(failed)?;
        let mut values = Vec::new();
        let mut piece = vec![0; PIECE.min(size as usize)];
        let mut left = size as usize;
        while left > 0 {
            let piece = &mut piece[..PIECE.min(left)];
            reader.read_exact(piece).map_err(failed)?;
            values.extend(header.voxel.floats(piece, header.big_endian, header.scale));
            left -= piece.len();
        }
        // Reading to the end makes the decoder compare the checksum of a packed file.
        io::copy(&mut reader, &mut io::sink()).map_err(failed)?;
        let nifti = Self {
            header,
            place,
            values,
        };
        nifti.check_finite()?;
        Ok(nifti)
    }

    /// The lengths of a volume's axes in standard order: to the right, to the front, up. Only the header is read.
    ///
    /// # Errors
    /// The errors of [`read`](Self::read) that the header shows.
    pub(in super::super) fn standard_shape(path: &Path) -> Result<[usize; 3], TrainingError> {
        let (mut reader, _) = open(path)?;
        let header = header(&path.display().to_string(), &mut reader)?;
        Ok(header.orientation.per_standard_axis(header.shape))
    }

    fn check_finite(&self) -> Result<(), TrainingError> {
        let Some(place) = self.values.iter().position(|value| !value.is_finite()) else {
            return Ok(());
        };
        let [x, y, _] = self.header.shape;
        let count = self
            .values
            .iter()
            .filter(|value| !value.is_finite())
            .count();
        Err(TrainingError::data(
            &self.place,
            format!(
                "voxel ({}, {}, {}) is {}, {count} of {} are not finite",
                place % x,
                place / x % y,
                place / (x * y),
                self.values[place],
                self.values.len()
            ),
            "replace them, such as by 0 outside the head",
        ))
    }

    /// Where it was read.
    pub fn place(&self) -> &str {
        &self.place
    }

    /// Lengths of the three axes of the file.
    pub fn shape(&self) -> [usize; 3] {
        self.header.shape
    }

    /// The orientation of its axes.
    pub fn orientation(&self) -> Orientation {
        self.header.orientation
    }

    /// Fails if `other` is on another grid: if the shape differs, or if the affine maps put a corner of the grid more than a tenth of a voxel apart.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names both files.
    pub fn same_grid(&self, other: &Self) -> Result<(), TrainingError> {
        let bad = |problem: String| {
            Err(TrainingError::data(
                &other.place,
                problem,
                "resample one to the grid of the other",
            ))
        };
        let ([x, y, z], [x2, y2, z2]) = (self.shape(), other.shape());
        if self.shape() != other.shape() {
            return bad(format!(
                "its grid is {x2} x {y2} x {z2}, that of {} is {x} x {y} x {z}",
                self.place
            ));
        }
        let edge = self
            .header
            .edges
            .iter()
            .copied()
            .fold(f64::INFINITY, f64::min);
        let moved = self.largest_move(other);
        // Two programs may write the affine map of one grid with different rounding.
        match moved > 0.1 * edge {
            true => bad(format!(
                "its affine differs from that of {}: a corner of the grid lies {moved:.3} mm away",
                self.place
            )),
            false => Ok(()),
        }
    }

    /// The largest distance between the places that this affine map and that of `other` give to a voxel, in millimetres. It occurs at a corner.
    fn largest_move(&self, other: &Self) -> f64 {
        let corner = |number: usize| {
            let at = |axis: usize| match number >> axis & 1 {
                0 => 0.0,
                _ => (self.header.shape[axis] - 1) as f64,
            };
            let place = [at(0), at(1), at(2), 1.0];
            let rows = self.header.affine.iter().zip(&other.header.affine);
            let moves = rows.map(|(row, other)| -> f64 {
                let columns = row.iter().zip(other).zip(place);
                columns.map(|((a, b), at)| (a - b) * at).sum()
            });
            moves.map(|along| along * along).sum::<f64>().sqrt()
        };
        (0..8).map(corner).fold(0.0, f64::max)
    }
}

/// A reader of a file, which unpacks if necessary, and the largest number of bytes that it can give.
fn open(path: &Path) -> Result<(Box<dyn Read>, u64), TrainingError> {
    let failed = |cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    };
    let file = File::open(path).map_err(failed)?;
    let length = file.metadata().map_err(failed)?.len();
    let mut reader = BufReader::with_capacity(1 << 16, file);
    let mut start = Vec::new();
    let mut first = reader.by_ref().take(GZIP.len() as u64);
    first.read_to_end(&mut start).map_err(failed)?;
    let packed = start == GZIP;
    let whole = io::Cursor::new(start).chain(reader);
    Ok(match packed {
        true => (
            Box::new(MultiGzDecoder::new(whole)),
            length.saturating_mul(DENSEST),
        ),
        false => (Box::new(whole), length),
    })
}

/// Reads the header from `reader`, up to the first place where voxels may start.
fn header(place: &str, reader: &mut dyn Read) -> Result<Header, TrainingError> {
    let mut start = Vec::new();
    let first = reader.take(START as u64).read_to_end(&mut start);
    first.map_err(|cause| TrainingError::data(place, damaged(&cause), "fetch the file again"))?;
    Header::read(place, &start)
}

fn damaged(cause: &io::Error) -> String {
    format!("it is cut or damaged ({cause})")
}

/// Skips `count` bytes.
fn skip(reader: &mut impl Read, count: u64) -> io::Result<()> {
    let passed = io::copy(&mut reader.take(count), &mut io::sink())?;
    match passed == count {
        true => Ok(()),
        false => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}
