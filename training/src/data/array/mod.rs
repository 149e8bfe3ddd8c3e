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
use std::ops::Range;

use self::element::Element;
use self::header::{Header, broken};
use super::stored_bytes::StoredBytes;
use super::{Sample, Values};
use crate::TrainingError;

/// Bytes that are read at a time.
const PIECE: usize = 1 << 18;
/// Larger numbers are refused, because the difference of two values must fit into a 32-bit float.
const LARGEST: f32 = f32::MAX / 4.0;

/// An array. Its elements are little-endian, row by row (C order).
#[derive(Debug)]
pub(super) struct Array {
    /// Where it was read, for messages.
    pub(super) place: String,
    /// The lengths of its axes.
    pub(super) shape: Vec<usize>,
    element: Element,
    bytes: Bytes,
}

/// The bytes of all elements.
#[derive(Debug)]
enum Bytes {
    Held(Vec<u8>),
    /// In this file, from this offset on.
    Stored(StoredBytes, u64),
}

impl Bytes {
    /// The bytes in `range`; zeros if they could not be read.
    fn some(&self, range: Range<usize>) -> Cow<'_, [u8]> {
        match self {
            Self::Held(bytes) => Cow::Borrowed(&bytes[range]),
            Self::Stored(file, start) => {
                let mut bytes = vec![0; range.len()];
                file.read(start + range.start as u64, &mut bytes);
                Cow::Owned(bytes)
            }
        }
    }

    /// All `size` bytes.
    fn all(self, size: usize) -> Result<Vec<u8>, TrainingError> {
        match self {
            Self::Held(bytes) => Ok(bytes),
            Self::Stored(ref file, _) => {
                let bytes = self.some(0..size).into_owned();
                file.check_read().map(|()| bytes)
            }
        }
    }
}

impl Array {
    /// Reads an array from `reader`, which gives `available` bytes. No more is allocated than the array needs, and nothing if it needs more than
    /// is available.
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
        // Pieces are small enough to stay in the processor's cache until the checksum of an archive has read them.
        while bytes.len() < size {
            let from = bytes.len();
            bytes.resize(size.min(from + PIECE), 0);
            reader.read_exact(&mut bytes[from..]).map_err(failed)?;
        }
        // Reading past the last byte makes a packed stream check its end.
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

    /// The array in the bytes `range` of a file. Its elements stay in the file. `None` if they must be converted before they can be used: text,
    /// column order, or the other byte order.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that names `place`.
    pub(super) fn stored(
        place: &str,
        file: StoredBytes,
        range: Range<u64>,
    ) -> Result<Option<Self>, TrainingError> {
        let (header, before) = Header::read(place, &mut file.reader(range.clone()))?;
        let start = range.start + before as u64;
        header.size(place, range.end.saturating_sub(start))?;
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
            bytes: Bytes::Stored(file, start),
        }))
    }

    /// Whether its elements stay in their file.
    pub(super) fn is_stored(&self) -> bool {
        matches!(self.bytes, Bytes::Stored(..))
    }

    /// Fails if the array's file has changed since it was opened.
    ///
    /// # Errors
    /// Those of [`StoredBytes::check_read`].
    pub(super) fn check_read(&self) -> Result<(), TrainingError> {
        match &self.bytes {
            Bytes::Held(_) => Ok(()),
            Bytes::Stored(file, _) => file.check_read(),
        }
    }

    /// Bytes of elements in memory; 0 if they stay in their file.
    pub(super) fn held_bytes(&self) -> usize {
        match &self.bytes {
            Bytes::Held(bytes) => bytes.len(),
            Bytes::Stored(..) => 0,
        }
    }

    /// Whether its elements are bytes. Bytes are kept as bytes.
    pub(super) fn holds_bytes(&self) -> bool {
        self.element == Element::U8
    }

    /// Elements of one sample. The first axis counts samples.
    pub(super) fn sample_len(&self) -> usize {
        self.shape.iter().skip(1).product()
    }

    /// The values of sample `index`, equal to those that [`into_values`](Self::into_values) gives.
    pub(super) fn sample(&self, index: usize) -> Sample<'_> {
        let size = self.sample_len() * self.element.size();
        let bytes = self.bytes.some(index * size..(index + 1) * size);
        match self.holds_bytes() {
            true => Sample::Bytes(bytes),
            false => Sample::Floats(self.element.floats(&bytes).unwrap_or_default().into()),
        }
    }

    /// Fails where [`into_values`](Self::into_values) would fail.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for text, and for a value that is not finite, with the number of its sample.
    pub(super) fn check_values(&self) -> Result<(), TrainingError> {
        // Samples without values need no check, however many the header claims. Bytes are always finite.
        let count = match self.sample_len() == 0 || self.holds_bytes() {
            true => 0,
            false => self.shape[0],
        };
        for sample in 0..count {
            if let Sample::Floats(floats) = self.sample(sample) {
                self.check_floats(sample, &floats)?;
            }
        }
        self.check_read()
    }

    /// Fails if a value of `floats` is not finite. The first value is the first of sample `first`.
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

    /// Its values as samples. Bytes stay bytes; all other numbers become 32-bit floats.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for text, and for a value that is not finite, with the number of its sample.
    pub(super) fn into_values(self) -> Result<Values, TrainingError> {
        match self.holds_bytes() {
            true => {
                let size = self.size();
                self.bytes.all(size).map(Values::Bytes)
            }
            false => self.into_floats().map(Values::Floats),
        }
    }

    /// Bytes of all its elements.
    fn size(&self) -> usize {
        self.shape.iter().product::<usize>() * self.element.size()
    }

    /// Its values as 32-bit floats.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for text, and for a value that is not finite, with the number of its sample.
    pub(super) fn into_floats(self) -> Result<Vec<f32>, TrainingError> {
        let Some(floats) = self.element.floats(&self.bytes.some(0..self.size())) else {
            return Err(TrainingError::data(
                self.place,
                "it holds text",
                "name an array of numbers as the data",
            ));
        };
        self.check_read()?;
        self.check_floats(0, &floats)?;
        Ok(floats)
    }
}

/// A shape as NumPy writes it.
pub(super) fn shown(shape: &[usize]) -> String {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[{}]", axes.join(", "))
}

/// The elements of an array, `size` bytes each, converted from column order (Fortran order) to row order.
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
        // The index of the last axis changes fastest.
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
        // NumPy pads with spaces to a multiple of 64 bytes.
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
