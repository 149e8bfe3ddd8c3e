//! An array in NumPy's format.
//!
//! ```text
//! 0x93 "NUMPY", version (major, minor), length of the header (16-bit, from version 2 on 32-bit, little-endian),
//! header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, then the elements
//! ```
//!
//! # Source
//! NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays", and numpy/lib/format.py.

mod element;
mod header;
mod labels;

use std::borrow::Cow;
use std::io::Read;
use std::ops::{Deref, Range};

use crossburn_checkpoints::MappedFile;

use self::element::Element;
use self::header::{Header, broken};
use super::{Sample, Values};
use crate::TrainingError;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 18;
/// Larger numbers are refused: differences of two of them must still be 32-bit floats.
const LARGEST: f32 = f32::MAX / 4.0;

/// An array: its elements in the order of rows (C order), little-endian.
#[derive(Debug)]
pub(super) struct Array {
    /// Where it was read, for messages.
    pub(super) place: String,
    /// Lengths of its axes.
    pub(super) shape: Vec<usize>,
    element: Element,
    bytes: Bytes,
}

/// The bytes of all elements.
#[derive(Debug)]
enum Bytes {
    Held(Vec<u8>),
    Mapped(MappedFile, Range<usize>),
}

impl Deref for Bytes {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Self::Held(bytes) => bytes,
            Self::Mapped(file, range) => &file[range.clone()],
        }
    }
}

impl Array {
    /// Reads an array from `reader`, which gives `available` bytes. At most as much is allocated as the array needs, and
    /// nothing where it needs more than is available.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names `place`.
    pub(super) fn read(
        place: String,
        mut reader: impl Read,
        available: u64,
    ) -> Result<Self, TrainingError> {
        let failed = |cause: std::io::Error| broken(&place, &cause.to_string());
        let (header, before) = Header::read(&place, &mut reader)?;
        let size = header.size(&place, available.saturating_sub(before as u64))?;
        let mut bytes = Vec::new();
        bytes.try_reserve_exact(size).map_err(|_| {
            TrainingError::data(
                &place,
                format!("there is no memory for its {} MiB", size >> 20),
                "name a smaller array",
            )
        })?;
        // In pieces that stay in the processor's cache until the checksum of an archive has seen them.
        while bytes.len() < size {
            let from = bytes.len();
            bytes.resize(size.min(from + PIECE), 0);
            reader.read_exact(&mut bytes[from..]).map_err(failed)?;
        }
        // The end of a packed stream is checked when it is read.
        let more = reader.read(&mut [0]).map_err(failed)?;
        if more > 0 {
            return Err(broken(&place, "it goes on after its end"));
        }
        if header.big_endian {
            let word = header.element.word();
            bytes.chunks_exact_mut(word).for_each(<[u8]>::reverse);
        }
        if header.fortran {
            bytes = in_row_order(&bytes, &header.shape, header.element.size());
        }
        Ok(Self {
            place,
            shape: header.shape,
            element: header.element,
            bytes: Bytes::Held(bytes),
        })
    }

    /// The array that the bytes `range` of a file are, which stays there; `None` where its elements must be put in order before they can
    /// be used: text, the order of columns, the other byte order.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names `place`.
    pub(super) fn mapped(
        place: &str,
        file: MappedFile,
        range: Range<usize>,
    ) -> Result<Option<Self>, TrainingError> {
        let (header, before) = Header::read(place, &mut &file[range.clone()])?;
        let size = header.size(place, (range.len() - before) as u64)?;
        let start = range.start + before;
        if header.element.is_text()
            || header.fortran
            || header.big_endian
            || header.shape.is_empty()
        {
            return Ok(None);
        }
        Ok(Some(Self {
            place: place.to_string(),
            shape: header.shape,
            element: header.element,
            bytes: Bytes::Mapped(file, start..start + size),
        }))
    }

    /// Whether it stays in its file.
    pub(super) fn is_mapped(&self) -> bool {
        matches!(self.bytes, Bytes::Mapped(..))
    }

    /// Bytes of elements that are in memory: none where it stays in its file.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.bytes {
            Bytes::Held(bytes) => bytes.len(),
            Bytes::Mapped(..) => 0,
        }
    }

    /// Whether its elements are bytes, which stay bytes.
    pub(super) fn holds_bytes(&self) -> bool {
        self.element == Element::U8
    }

    /// Elements of one sample, the first axis being over samples.
    pub(super) fn sample_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// The values of sample `index`, as [`into_values`](Self::into_values) makes them of all.
    pub(super) fn sample(&self, index: usize) -> Sample<'_> {
        let size = self.sample_len() * self.element.size();
        let bytes = &self.bytes[index * size..][..size];
        match self.holds_bytes() {
            true => Sample::Bytes(Cow::Borrowed(bytes)),
            false => Sample::Floats(self.element.floats(bytes).unwrap_or_default().into()),
        }
    }

    /// Refuses what [`into_values`](Self::into_values) refuses.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for text, and for a value that is not finite, with the number of its sample.
    pub(super) fn check_values(&self) -> Result<(), TrainingError> {
        let count = self.bytes.len() / (self.sample_len() * self.element.size()).max(1);
        for sample in 0..count {
            if let Sample::Floats(floats) = self.sample(sample) {
                self.check_floats(sample, &floats)?;
            }
        }
        Ok(())
    }

    /// Refuses a value of `floats`, the first of which is that of sample `first`, that is not finite.
    fn check_floats(&self, first: usize, floats: &[f32]) -> Result<(), TrainingError> {
        let position = floats
            .iter()
            .position(|value| value.is_nan() || value.abs() > LARGEST);
        match position {
            None => Ok(()),
            Some(position) => Err(TrainingError::data(
                &self.place,
                format!(
                    "sample {} has the value {} (samples count from 0)",
                    first + position / self.sample_len().max(1),
                    floats[position]
                ),
                "remove or replace values that are not finite 32-bit floats",
            )),
        }
    }

    /// Its values as samples: bytes stay bytes, all other numbers become 32-bit floats.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for text, and for a value that is not finite, with the number of its sample.
    pub(super) fn into_values(self) -> Result<Values, TrainingError> {
        if self.holds_bytes() {
            return Ok(Values::Bytes(match self.bytes {
                Bytes::Held(bytes) => bytes,
                mapped @ Bytes::Mapped(..) => mapped.to_vec(),
            }));
        }
        self.into_floats().map(Values::Floats)
    }

    /// Its values as 32-bit floats.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for text, and for a value that is not finite, with the number of its sample.
    pub(super) fn into_floats(self) -> Result<Vec<f32>, TrainingError> {
        let Some(floats) = self.element.floats(&self.bytes) else {
            return Err(TrainingError::data(
                self.place,
                "it holds text",
                "name an array of numbers as the data",
            ));
        };
        self.check_floats(0, &floats)?;
        Ok(floats)
    }
}

/// Shows a shape as NumPy does.
pub(super) fn shown(shape: &[usize]) -> String {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[{}]", axes.join(", "))
}

/// The elements of `size` bytes of an array in the order of columns (Fortran order), in the order of rows.
fn in_row_order(bytes: &[u8], shape: &[usize], size: usize) -> Vec<u8> {
    let mut strides = Vec::with_capacity(shape.len());
    let mut stride = 1;
    for axis in shape {
        strides.push(stride);
        stride *= axis;
    }
    let mut ordered = Vec::with_capacity(bytes.len());
    let mut index = vec![0; shape.len()];
    let mut from = 0;
    while ordered.len() < bytes.len() {
        ordered.extend_from_slice(&bytes[from * size..][..size]);
        // The last axis moves first.
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            from += strides[axis];
            if index[axis] < shape[axis] {
                break;
            }
            from -= index[axis] * strides[axis];
            index[axis] = 0;
        }
    }
    ordered
}

#[cfg(test)]
pub(super) mod writing {
    //! Arrays for tests.

    use super::shown;

    /// An array in NumPy's format, in row order.
    pub(in crate::data) fn npy(descr: &str, shape: &[usize], elements: &[u8]) -> Vec<u8> {
        with_header(&header(descr, shape), elements)
    }

    pub(in crate::data) fn header(descr: &str, shape: &[usize]) -> String {
        let mut axes = shown(shape).replace('[', "(").replace(']', ")");
        if shape.len() == 1 {
            axes = axes.replace(')', ",)");
        }
        format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {axes}, }}")
    }

    pub(in crate::data) fn with_header(header: &str, elements: &[u8]) -> Vec<u8> {
        let mut bytes = b"\x93NUMPY\x01\x00".to_vec();
        // NumPy fills up with spaces to a multiple of 64 bytes.
        let length = (header.len() + 1 + 10).next_multiple_of(64) - 10;
        bytes.extend((length as u16).to_le_bytes());
        bytes.extend(format!("{header:<0$}\n", length - 1).as_bytes());
        bytes.extend(elements);
        bytes
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests;
