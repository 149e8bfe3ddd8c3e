//! An array in NumPy's format.
//!
//! ```text
//! 0x93 "NUMPY", version (major, minor), length of the header (16-bit, from version 2 on 32-bit, little-endian),
//! header: {'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }, then the elements
//! ```
//!
//! # Source
//! NumPy Enhancement Proposal 1, "A simple file format for NumPy arrays", and numpy/lib/format.py.

use std::borrow::Cow;
use std::io::Read;
use std::ops::{Deref, Range};

use crossburn_checkpoints::MappedFile;

use super::class_list::{Labels, MOST_CLASSES};
use super::{Sample, Values};
use crate::TrainingError;

const MAGIC: &[u8] = b"\x93NUMPY";
/// The longest header that is read. That of a plain array has 118 bytes.
const LONGEST_HEADER: usize = 1 << 16;
/// The most axes that NumPy allows.
const MOST_AXES: usize = 64;
/// Bytes that are read at a time.
const PIECE: usize = 1 << 18;
/// Larger numbers are refused: differences of two of them must still be 32-bit floats.
const LARGEST: f32 = f32::MAX / 4.0;

/// What an element is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Element {
    Bool,
    U8,
    I8,
    U16,
    I16,
    U32,
    I32,
    U64,
    I64,
    F16,
    F32,
    F64,
    /// Text of so many bytes, filled up with zeros.
    Bytes(usize),
    /// Text of so many UTF-32 characters, filled up with zeros.
    Unicode(usize),
}

impl Element {
    fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Bytes(width) => width,
            Self::Unicode(width) => 4 * width,
        }
    }

    /// Little-endian elements as 32-bit floats; `None` of text.
    fn floats(self, bytes: &[u8]) -> Option<Vec<f32>> {
        macro_rules! floats {
            ($number:ty, $float:expr) => {
                of::<{ size_of::<$number>() }, _>(bytes, |bytes| {
                    $float(<$number>::from_le_bytes(bytes))
                })
            };
        }
        Some(match self {
            Self::U8 => floats!(u8, f32::from),
            Self::Bool => floats!(u8, |x: u8| f32::from(x.min(1))),
            Self::I8 => floats!(i8, f32::from),
            Self::U16 => floats!(u16, f32::from),
            Self::I16 => floats!(i16, f32::from),
            Self::U32 => floats!(u32, |x: u32| x as f32),
            Self::I32 => floats!(i32, |x: i32| x as f32),
            Self::U64 => floats!(u64, |x: u64| x as f32),
            Self::I64 => floats!(i64, |x: i64| x as f32),
            Self::F16 => floats!(half::f16, half::f16::to_f32),
            Self::F32 => floats!(f32, |x: f32| x),
            Self::F64 => floats!(f64, |x: f64| x as f32),
            Self::Bytes(_) | Self::Unicode(_) => return None,
        })
    }

    /// The number of bytes that are swapped where the byte order is the other one.
    fn word(self) -> usize {
        match self {
            Self::Bytes(_) => 1,
            Self::Unicode(_) => 4,
            element => element.size(),
        }
    }
}

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

/// What a header says.
#[derive(Debug, PartialEq)]
struct Header {
    element: Element,
    big_endian: bool,
    fortran: bool,
    shape: Vec<usize>,
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
        let text = matches!(header.element, Element::Bytes(_) | Element::Unicode(_));
        if text || header.fortran || header.big_endian || header.shape.is_empty() {
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

    /// Its values as labels, `[n]`, `[n, 1]` or one-hot `[n, classes]`.
    ///
    /// # Errors
    /// [`TrainingError::Data`] for another shape, and for a value that is no label, with its position.
    pub(super) fn into_labels(self) -> Result<Labels, TrainingError> {
        let (count, columns) = match *self.shape.as_slice() {
            [count] | [count, 1] => (count, 1),
            [count, columns] => (count, columns),
            _ => {
                return Err(TrainingError::data(
                    self.place,
                    format!("labels of shape {} cannot be used", shown(&self.shape)),
                    "use one label for each sample, or one-hot rows",
                ));
            }
        };
        if let Element::Bytes(_) | Element::Unicode(_) = self.element {
            if columns != 1 {
                return Err(TrainingError::data(
                    self.place,
                    format!("there are {columns} names for each sample"),
                    "use one label for each sample",
                ));
            }
            return self.names().map(Labels::Names);
        }
        let place = self.place.clone();
        let (element, bytes) = (self.element, &self.bytes);
        if columns == 1 && element == Element::U8 {
            return Ok(Labels::Numbers(
                bytes.iter().map(|label| u16::from(*label)).collect(),
            ));
        }
        macro_rules! numbers {
            ($number:ty, $float:expr) => {
                of::<{ size_of::<$number>() }, _>(bytes, |bytes| {
                    $float(<$number>::from_le_bytes(bytes))
                })
            };
        }
        // Every label that is allowed is exact as a 64-bit float, and no other number becomes one of them.
        let numbers: Vec<f64> = match element {
            Element::Bool | Element::U8 => numbers!(u8, f64::from),
            Element::I8 => numbers!(i8, f64::from),
            Element::U16 => numbers!(u16, f64::from),
            Element::I16 => numbers!(i16, f64::from),
            Element::U32 => numbers!(u32, f64::from),
            Element::I32 => numbers!(i32, f64::from),
            Element::U64 => numbers!(u64, |x: u64| x as f64),
            Element::I64 => numbers!(i64, |x: i64| x as f64),
            Element::F16 => numbers!(half::f16, half::f16::to_f64),
            Element::F32 => numbers!(f32, f64::from),
            Element::F64 | Element::Bytes(_) | Element::Unicode(_) => numbers!(f64, |x: f64| x),
        };
        if columns != 1 {
            return one_hot(&place, &numbers, count, columns);
        }
        let label = |(sample, number): (usize, f64)| {
            if number.fract() != 0.0 {
                return Err(TrainingError::data(
                    &place,
                    format!("label {number} of sample {sample} is not a whole number"),
                    "use the number of the class",
                ));
            }
            if !(0.0..MOST_CLASSES as f64).contains(&number) {
                return Err(TrainingError::data(
                    &place,
                    format!(
                        "label {number} of sample {sample} is outside 0..={}",
                        MOST_CLASSES - 1
                    ),
                    "number the classes from 0",
                ));
            }
            Ok(number as u16)
        };
        let labels: Result<_, _> = numbers.into_iter().enumerate().map(label).collect();
        labels.map(Labels::Numbers)
    }

    /// Its elements as text.
    fn names(self) -> Result<Vec<String>, TrainingError> {
        let text = |bytes: &[u8]| match self.element {
            Element::Unicode(_) => {
                let code = |c: &[u8]| u32::from_le_bytes([c[0], c[1], c[2], c[3]]);
                let characters = bytes.chunks_exact(4).map(|c| char::from_u32(code(c)));
                characters.collect::<Option<String>>()
            }
            _ => String::from_utf8(bytes.to_vec()).ok(),
        };
        let size = self.element.size();
        // Elements of no width are empty texts.
        let elements = (0..self.shape[0]).map(|index| &self.bytes[index * size..][..size]);
        let names = elements.enumerate().map(|(sample, bytes)| {
            let name = text(bytes).map(|name| name.trim_end_matches('\0').trim().to_string());
            name.filter(|name| !name.is_empty()).ok_or_else(|| {
                TrainingError::data(
                    &self.place,
                    format!("the label of sample {sample} is empty or no text"),
                    "give a class to every sample",
                )
            })
        });
        names.collect()
    }
}

/// Shows a shape as NumPy does.
pub(super) fn shown(shape: &[usize]) -> String {
    let axes: Vec<String> = shape.iter().map(ToString::to_string).collect();
    format!("[{}]", axes.join(", "))
}

fn of<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().map(|element| number(*element)).collect()
}

fn one_hot(
    place: &str,
    numbers: &[f64],
    count: usize,
    columns: usize,
) -> Result<Labels, TrainingError> {
    if columns == 0 || columns > MOST_CLASSES {
        return Err(TrainingError::data(
            place,
            format!("one-hot labels of {columns} columns cannot be used"),
            format!("use 1 to {MOST_CLASSES} classes"),
        ));
    }
    let label = |(sample, row): (usize, &[f64])| {
        let ones = row.iter().filter(|x| **x == 1.0).count();
        let zeros = row.iter().filter(|x| **x == 0.0).count();
        let one = row.iter().position(|x| *x == 1.0);
        match one.filter(|_| ones == 1 && zeros == columns - 1) {
            Some(label) => Ok(label as u16),
            None => Err(TrainingError::data(
                place,
                format!("the {columns} labels of sample {sample} are not one 1 among zeros"),
                "use one label for each sample, or one-hot rows",
            )),
        }
    };
    let labels: Result<Vec<u16>, _> = numbers
        .chunks(columns)
        .take(count)
        .enumerate()
        .map(label)
        .collect();
    labels.map(Labels::Numbers)
}

fn broken(place: &str, problem: &str) -> TrainingError {
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

impl Header {
    /// The header at the start of an array, and how many bytes come before the elements.
    fn read(place: &str, reader: &mut impl Read) -> Result<(Self, usize), TrainingError> {
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

    /// Bytes of all elements, which must be the `held` that there are.
    fn size(&self, place: &str, held: u64) -> Result<usize, TrainingError> {
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
        // Python 2 wrote long integers with an L.
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
            element: element(kind).ok_or_else(|| unusable(place, descr))?,
            big_endian: order == ">",
            fortran,
            shape,
        })
    }
}

fn element(kind: &str) -> Option<Element> {
    Some(match kind {
        "b1" | "?" => Element::Bool,
        "u1" => Element::U8,
        "i1" => Element::I8,
        "u2" => Element::U16,
        "i2" => Element::I16,
        "u4" => Element::U32,
        "i4" => Element::I32,
        "u8" => Element::U64,
        "i8" => Element::I64,
        "f2" => Element::F16,
        "f4" => Element::F32,
        "f8" => Element::F64,
        _ => {
            let (text, width) = kind.split_at_checked(1)?;
            let width = width.parse().ok().filter(|width| *width < 1 << 16)?;
            match text {
                "S" => Element::Bytes(width),
                "U" => Element::Unicode(width),
                _ => return None,
            }
        }
    })
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
mod tests {
    use super::writing::{header, npy, with_header};
    use super::*;

    fn read(bytes: &[u8]) -> Result<Array, TrainingError> {
        Array::read("x.npy".to_string(), bytes, bytes.len() as u64)
    }

    fn floats(descr: &str, elements: &[u8]) -> Vec<f32> {
        let count = 2;
        let array = read(&npy(descr, &[count], elements)).unwrap();
        match array.into_values().unwrap() {
            Values::Floats(floats) => floats,
            Values::Bytes(bytes) => bytes.iter().map(|byte| f32::from(*byte)).collect(),
            Values::Streamed(_) => Vec::new(),
        }
    }

    fn le<const N: usize, T>(values: [T; 2], bytes: fn(T) -> [u8; N]) -> Vec<u8> {
        values.map(bytes).concat()
    }

    #[test]
    fn every_type_of_number_is_read_in_both_byte_orders() {
        let cases = [
            ("|b1", vec![0, 1], [0.0, 1.0]),
            ("|u1", vec![7, 255], [7.0, 255.0]),
            ("|i1", vec![0xff, 127], [-1.0, 127.0]),
            ("<u2", le([1, 65_535], u16::to_le_bytes), [1.0, 65_535.0]),
            (">u2", le([1, 65_535], u16::to_be_bytes), [1.0, 65_535.0]),
            ("<i2", le([-2, 300], i16::to_le_bytes), [-2.0, 300.0]),
            (
                "<u4",
                le([1, 1 << 31], u32::to_le_bytes),
                [1.0, 2_147_483_648.0],
            ),
            ("<i4", le([-3, 70_000], i32::to_le_bytes), [-3.0, 70_000.0]),
            (">i4", le([-3, 70_000], i32::to_be_bytes), [-3.0, 70_000.0]),
            (
                "<u8",
                le([1, 1 << 40], u64::to_le_bytes),
                [1.0, 1_099_511_627_776.0],
            ),
            ("<i8", le([-1, 5], i64::to_le_bytes), [-1.0, 5.0]),
            // 1.0 and -2.5 as half precision: 0x3c00 and 0xc100.
            ("<f2", vec![0x00, 0x3c, 0x00, 0xc1], [1.0, -2.5]),
            (">f2", vec![0x3c, 0x00, 0xc1, 0x00], [1.0, -2.5]),
            ("<f4", le([0.25, -1e30], f32::to_le_bytes), [0.25, -1e30]),
            (">f4", le([0.25, -1e30], f32::to_be_bytes), [0.25, -1e30]),
            ("<f8", le([0.5, 3.0], f64::to_le_bytes), [0.5, 3.0]),
            (">f8", le([0.5, 3.0], f64::to_be_bytes), [0.5, 3.0]),
        ];
        for (descr, elements, expected) in cases {
            assert_eq!(floats(descr, &elements), expected, "{descr}");
        }
    }

    #[test]
    fn column_order_becomes_row_order() {
        // numpy.asfortranarray([[0, 1, 2], [3, 4, 5]]) holds 0, 3, 1, 4, 2, 5.
        let fortran = header("|u1", &[2, 3]).replace("False", "True");
        let array = read(&with_header(&fortran, &[0, 3, 1, 4, 2, 5])).unwrap();
        assert_eq!(
            array.into_values().unwrap(),
            Values::Bytes(vec![0, 1, 2, 3, 4, 5])
        );
        // Three axes, elements of two bytes: element (i, j, k) = 100 i + 10 j + k of shape [2, 2, 3].
        let mut elements = Vec::new();
        let mut expected = Vec::new();
        for k in 0..3u16 {
            for j in 0..2 {
                for i in 0..2 {
                    elements.extend((100 * i + 10 * j + k).to_le_bytes());
                }
            }
        }
        for i in 0..2u16 {
            for j in 0..2 {
                for k in 0..3 {
                    expected.push(f32::from(100 * i + 10 * j + k));
                }
            }
        }
        let fortran = header("<u2", &[2, 2, 3]).replace("False", "True");
        let array = read(&with_header(&fortran, &elements)).unwrap();
        assert_eq!(array.into_values().unwrap(), Values::Floats(expected));
    }

    #[test]
    fn headers_of_all_versions_are_read() {
        let good = npy("|u1", &[2], &[8, 9]);
        // Version 2 and 3 have a length of 32 bits.
        for version in [2, 3] {
            let mut bytes = good.clone();
            bytes[6] = version;
            bytes.splice(10..10, [0, 0]);
            let array = read(&bytes).unwrap();
            assert_eq!(array.into_values().unwrap(), Values::Bytes(vec![8, 9]));
        }
        // As Python 2 wrote it, and with the keys in another order.
        for header in [
            "{'descr': '|u1', 'fortran_order': False, 'shape': (2L,), }",
            "{'shape': (2,), 'fortran_order': False, 'descr': '|u1'}",
        ] {
            assert_eq!(read(&with_header(header, &[8, 9])).unwrap().shape, [2]);
        }
    }

    #[test]
    fn what_is_no_array_is_refused() {
        let huge = header("<f8", &[usize::MAX, usize::MAX]);
        let large = header("<f8", &[1 << 40]);
        for (bytes, part) in [
            (
                Vec::new(),
                "x.npy: this is no NumPy array; save it with numpy.save",
            ),
            (
                b"PK\x03\x04 and more of it".to_vec(),
                "this is no NumPy array",
            ),
            (
                with_header(&huge, &[0; 8]),
                "needs more bytes than can be counted, it holds 8",
            ),
            (
                with_header(&large, &[0; 8]),
                "shape [1099511627776] needs 8796093022208 bytes, it holds 8",
            ),
            (
                npy("|u1", &[3], &[1, 2]),
                "shape [3] needs 3 bytes, it holds 2",
            ),
            (
                npy("|u1", &[3], &[1, 2, 3, 4]),
                "shape [3] needs 3 bytes, it holds 4",
            ),
            (
                npy("|O", &[1], &[0; 8]),
                "pickled Python objects (dtype object); convert it with .astype",
            ),
            (npy("<c8", &[1], &[0; 8]), "complex numbers (dtype <c8)"),
            (
                npy("<M8[ns]", &[1], &[0; 8]),
                "elements of dtype <M8[ns] cannot be used",
            ),
            (
                npy("<f16", &[1], &[0; 16]),
                "elements of dtype <f16 cannot be used",
            ),
            (
                with_header(
                    "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,)}",
                    &[0; 4],
                ),
                "its elements have several fields",
            ),
            (
                with_header("{'descr': '<f4', 'shape': (1,)}", &[0; 4]),
                "header cannot be understood",
            ),
            (
                with_header(
                    "{'descr': '<f4', 'fortran_order': False, 'shape': (-1,)}",
                    &[0; 4],
                ),
                "header cannot be understood",
            ),
            (
                npy("|u1", &[2], &[8, 9])[..40].to_vec(),
                "this is a damaged NumPy array",
            ),
            (
                [&b"\x93NUMPY\x02\x00\xff\xff\xff\xff"[..], &[b' '; 100]].concat(),
                "its header has 4294967295 bytes",
            ),
        ] {
            let message = read(&bytes).unwrap_err().to_string();
            assert!(
                message.contains(part) && message.starts_with("x.npy: "),
                "{message}"
            );
        }
    }

    #[test]
    fn values_that_are_not_finite_are_named_with_their_sample() {
        let of = |descr, shape: &[usize], bytes: Vec<u8>| {
            let array = read(&npy(descr, shape, &bytes)).unwrap();
            array.into_values().unwrap_err().to_string()
        };
        let nan = [0.0f32, 1.0, 2.0, f32::NAN, 4.0, 5.0]
            .map(f32::to_le_bytes)
            .concat();
        let message = of("<f4", &[3, 2], nan);
        assert!(message.contains("sample 1 has the value NaN"), "{message}");
        let large = le([0.0, 1e300], f64::to_le_bytes);
        let message = of("<f8", &[2], large);
        assert!(message.contains("sample 1 has the value inf"), "{message}");
        let message = of("<U1", &[1], vec![65, 0, 0, 0]);
        assert!(message.contains("it holds text"), "{message}");
    }

    fn labels(descr: &str, shape: &[usize], bytes: &[u8]) -> Result<Labels, TrainingError> {
        read(&npy(descr, shape, bytes)).unwrap().into_labels()
    }

    #[test]
    fn labels_are_numbers_names_or_one_hot_rows() {
        let numbers = Labels::Numbers(vec![1, 0]);
        let names = Labels::Names(vec!["Ä".to_string(), "bc".to_string()]);
        for (descr, shape, bytes, expected) in [
            ("|u1", &[2][..], vec![1, 0], &numbers),
            ("|u1", &[2, 1], vec![1, 0], &numbers),
            ("<i8", &[2], le([1, 0], i64::to_le_bytes), &numbers),
            ("<f4", &[2], le([1.0, 0.0], f32::to_le_bytes), &numbers),
            ("|b1", &[2], vec![1, 0], &numbers),
            ("|u1", &[2, 3], vec![0, 1, 0, 1, 0, 0], &numbers),
            (
                "<f4",
                &[2, 2],
                [0.0f32, 1.0, 1.0, 0.0].map(f32::to_le_bytes).concat(),
                &numbers,
            ),
            (
                "<U2",
                &[2],
                vec![0xc4, 0, 0, 0, 0, 0, 0, 0, b'b', 0, 0, 0, b'c', 0, 0, 0],
                &names,
            ),
            (
                ">U2",
                &[2],
                vec![0, 0, 0, 0xc4, 0, 0, 0, 0, 0, 0, 0, b'b', 0, 0, 0, b'c'],
                &names,
            ),
            ("|S2", &[2, 1], vec![0xc3, 0x84, b'b', b'c'], &names),
        ] {
            assert_eq!(
                labels(descr, shape, &bytes).unwrap(),
                *expected,
                "{descr} {shape:?}"
            );
        }
        let last = labels("<u2", &[1], &65_534u16.to_le_bytes()).unwrap();
        assert_eq!(last, Labels::Numbers(vec![65_534]));
    }

    #[test]
    fn labels_that_are_none_are_named_with_their_sample() {
        for (descr, shape, bytes, part) in [
            (
                "<i4",
                &[2][..],
                le([0, -1], i32::to_le_bytes),
                "label -1 of sample 1 is outside 0..=65534",
            ),
            (
                "<i4",
                &[2],
                le([0, 65_535], i32::to_le_bytes),
                "label 65535 of sample 1 is outside 0..=65534",
            ),
            (
                "<f4",
                &[2],
                le([0.5, 1.0], f32::to_le_bytes),
                "label 0.5 of sample 0 is not a whole number",
            ),
            (
                "<f4",
                &[2],
                le([f32::NAN, 1.0], f32::to_le_bytes),
                "label NaN of sample 0 is not a whole number",
            ),
            (
                "<f8",
                &[2],
                le([f64::INFINITY, 1.0], f64::to_le_bytes),
                "is not a whole number",
            ),
            (
                "|u1",
                &[2, 2],
                vec![1, 0, 1, 1],
                "the 2 labels of sample 1 are not one 1 among zeros",
            ),
            ("|u1", &[2, 2], vec![1, 0, 0, 0], "the 2 labels of sample 1"),
            ("|u1", &[2, 2], vec![1, 0, 0, 3], "the 2 labels of sample 1"),
            (
                "|u1",
                &[1, 1, 2],
                vec![1, 0],
                "labels of shape [1, 1, 2] cannot be used",
            ),
            ("|u1", &[2, 0], vec![], "one-hot labels of 0 columns"),
            (
                "<U1",
                &[2],
                vec![b'a', 0, 0, 0, 0, 0, 0, 0],
                "the label of sample 1 is empty",
            ),
            (
                "<U1",
                &[1],
                vec![0, 0, 0x11, 0],
                "the label of sample 0 is empty or no text",
            ),
            (
                "<U1",
                &[1, 2],
                vec![0; 8],
                "there are 2 names for each sample",
            ),
        ] {
            let message = labels(descr, shape, &bytes).unwrap_err().to_string();
            assert!(
                message.contains(part) && message.starts_with("x.npy: "),
                "{message}"
            );
        }
    }
}
