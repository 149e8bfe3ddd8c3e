//! The header of an array, which comes before its elements.

use std::io::Read;

use super::element::Element;
use super::shown;
use crate::TrainingError;

const MAGIC: &[u8] = b"\x93NUMPY";
/// The longest header that is read, in bytes. A plain array has 118.
const LONGEST_HEADER: usize = 1 << 16;
/// The most axes that NumPy allows.
const MOST_AXES: usize = 64;

/// The content of a header.
#[derive(Debug, PartialEq)]
pub(super) struct Header {
    pub(super) element: Element,
    pub(super) big_endian: bool,
    pub(super) fortran: bool,
    pub(super) shape: Vec<usize>,
}

impl Header {
    /// Reads the header at the start of an array, and gives the number of bytes before the elements.
    pub(super) fn read(
        place: &str,
        reader: &mut impl Read,
    ) -> Result<(Self, usize), TrainingError> {
        let failed = |cause: std::io::Error| broken(place, &cause.to_string());
        let mut start = [0; 10];
        reader.read_exact(&mut start).map_err(|_| no_array(place))?;
        if !start.starts_with(MAGIC) {
            return Err(no_array(place));
        }
        let mut length = vec![start[8], start[9]];
        if start[6] > 1 {
            let mut more = [0; 2];
            reader.read_exact(&mut more).map_err(failed)?;
            length.extend(more);
        }
        let header_length = length
            .iter()
            .rev()
            .fold(0, |sum, byte| sum << 8 | usize::from(*byte));
        if header_length > LONGEST_HEADER {
            return Err(broken(
                place,
                &format!("its header has {header_length} bytes"),
            ));
        }
        let mut text = vec![0; header_length];
        reader.read_exact(&mut text).map_err(failed)?;
        let header = Self::parse(place, &String::from_utf8_lossy(&text))?;
        Ok((header, MAGIC.len() + 2 + length.len() + header_length))
    }

    /// Bytes of all elements. They must equal `held`, the bytes that there are.
    pub(super) fn size(&self, place: &str, held: u64) -> Result<usize, TrainingError> {
        let size = self
            .shape
            .iter()
            .try_fold(self.element.size() as u64, |product, axis| {
                product.checked_mul(*axis as u64)
            });
        match size.filter(|size| *size == held) {
            Some(size) => Ok(size as usize),
            None => {
                let said = match size {
                    Some(size) => format!("{size} bytes"),
                    None => "more bytes than can be counted".to_string(),
                };
                let shape = shown(&self.shape);
                Err(broken(
                    place,
                    &format!("shape {shape} needs {said}, it holds {held}"),
                ))
            }
        }
    }

    fn parse(place: &str, text: &str) -> Result<Self, TrainingError> {
        let value = |key: &str| {
            let after = text.split_once(&format!("'{key}'"))?.1;
            Some(after.trim_start().strip_prefix(':')?.trim_start())
        };
        let bad = || broken(place, "its header cannot be understood");
        let descr = value("descr").ok_or_else(bad)?;
        let descr = match descr
            .strip_prefix('\'')
            .and_then(|rest| rest.split_once('\''))
        {
            Some((descr, _)) => descr,
            None if descr.starts_with('[') => {
                return Err(TrainingError::data(
                    place,
                    "its elements have several fields",
                    "save one array of numbers for each field",
                ));
            }
            None => return Err(bad()),
        };
        let fortran = value("fortran_order").ok_or_else(bad)?;
        let fortran = match (fortran.starts_with("True"), fortran.starts_with("False")) {
            (true, _) => true,
            (_, true) => false,
            _ => return Err(bad()),
        };
        let shape = value("shape").and_then(|shape| shape.strip_prefix('('));
        let shape = shape
            .and_then(|shape| shape.split_once(')'))
            .ok_or_else(bad)?
            .0;
        let axes = shape
            .split(',')
            .map(str::trim)
            .filter(|axis| !axis.is_empty());
        // Python 2 wrote long integers with an L at the end.
        let axes: Option<Vec<usize>> = axes
            .map(|axis| axis.trim_end_matches('L').parse().ok())
            .collect();
        let shape = axes
            .filter(|axes| axes.len() <= MOST_AXES)
            .ok_or_else(bad)?;
        let (order, kind) = descr.split_at_checked(1).ok_or_else(bad)?;
        let (order, kind) = match order {
            "<" | ">" | "|" | "=" => (order, kind),
            _ => ("|", descr),
        };
        Ok(Self {
            element: Element::parse(kind).ok_or_else(|| unusable(place, descr))?,
            big_endian: order == ">",
            fortran,
            shape,
        })
    }
}

pub(super) fn broken(place: &str, problem: &str) -> TrainingError {
    TrainingError::data(
        place,
        format!("this is a damaged NumPy array: {problem}"),
        "save it again with numpy.save or numpy.savez",
    )
}

fn no_array(place: &str) -> TrainingError {
    TrainingError::data(
        place,
        "this is no NumPy array",
        "save it with numpy.save or numpy.savez",
    )
}

fn unusable(place: &str, descr: &str) -> TrainingError {
    let (what, remedy) = match descr.trim_start_matches(['<', '>', '|', '=']) {
        kind if kind.starts_with('O') => (
            "it holds pickled Python objects (dtype object)".to_string(),
            "convert it with .astype, or pad the samples to one shape, before saving",
        ),
        kind if kind.starts_with('c') => (
            format!("it holds complex numbers (dtype {descr})"),
            "save real numbers, such as real and imaginary parts as channels",
        ),
        _ => (
            format!("elements of dtype {descr} cannot be used"),
            "convert it with .astype(\"float32\") before saving",
        ),
    };
    TrainingError::data(place, what, remedy)
}
