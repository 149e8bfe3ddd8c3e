//! The values of a tensor that an ONNX file stores.

use std::ops::RangeInclusive;

use half::{bf16, f16};

use super::host::{Elements, Host, elements_of};
use super::proto::TensorProto;
use super::{ExternalData, ExternalTensors, OnnxError};

/// `data_type` of 32-bit floats.
pub(super) const FLOAT: i32 = kind::FLOAT;

/// `data_type` of the types that are read.
mod kind {
    pub(super) const FLOAT: i32 = 1;
    pub(super) const UINT8: i32 = 2;
    pub(super) const INT8: i32 = 3;
    pub(super) const UINT16: i32 = 4;
    pub(super) const INT16: i32 = 5;
    pub(super) const INT32: i32 = 6;
    pub(super) const INT64: i32 = 7;
    pub(super) const BOOL: i32 = 9;
    pub(super) const FLOAT16: i32 = 10;
    pub(super) const DOUBLE: i32 = 11;
    pub(super) const UINT32: i32 = 12;
    pub(super) const UINT64: i32 = 13;
    pub(super) const BFLOAT16: i32 = 16;
}

/// `data_location` of a tensor in another file.
const EXTERNAL: i32 = 1;

/// The kind of value that a type becomes here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Becomes {
    Floats,
    Integers,
    Conditions,
}

impl Becomes {
    /// What values of ONNX's type number `data_type` become.
    ///
    /// # Errors
    /// A type that is not read.
    pub(crate) fn of(data_type: i32) -> Result<Self, String> {
        Ok(match data_type {
            kind::FLOAT | kind::FLOAT16 | kind::BFLOAT16 | kind::DOUBLE => Self::Floats,
            kind::UINT8
            | kind::INT8
            | kind::UINT16
            | kind::INT16
            | kind::INT32
            | kind::INT64
            | kind::UINT32
            | kind::UINT64 => Self::Integers,
            kind::BOOL => Self::Conditions,
            other => {
                return Err(format!(
                    "values of ONNX's type number {other} are not read: use floats, whole numbers or conditions"
                ));
            }
        })
    }
}

/// A type of whole numbers, with the values of it that are known here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct WholeType {
    pub(crate) name: &'static str,
    pub(crate) range: RangeInclusive<i64>,
}

impl WholeType {
    /// The type of ONNX's type number `data_type`, where it is one of whole numbers.
    pub(crate) fn of(data_type: i32) -> Option<Self> {
        let of = |name, low, high| Self {
            name,
            range: low..=high,
        };
        Some(match data_type {
            kind::UINT8 => of("uint8", 0, u8::MAX.into()),
            kind::INT8 => of("int8", i8::MIN.into(), i8::MAX.into()),
            kind::UINT16 => of("uint16", 0, u16::MAX.into()),
            kind::INT16 => of("int16", i16::MIN.into(), i16::MAX.into()),
            kind::INT32 => of("int32", i32::MIN.into(), i32::MAX.into()),
            kind::UINT32 => of("uint32", 0, u32::MAX.into()),
            kind::INT64 => of("int64", i64::MIN, i64::MAX),
            // All whole numbers are kept as int64.
            kind::UINT64 => of("uint64", 0, i64::MAX),
            _ => return None,
        })
    }
}

/// Reads a tensor.
///
/// # Errors
/// A type that is not read, values that are missing or too many, and an external file that cannot be read.
pub(crate) fn read(tensor: &TensorProto, external: ExternalTensors<'_>) -> Result<Host, OnnxError> {
    values(tensor, external).map_err(|cause| at(tensor, cause))
}

/// The error that names `tensor`.
fn at(tensor: &TensorProto, cause: String) -> OnnxError {
    OnnxError::Tensor {
        tensor: tensor.name.clone(),
        cause,
    }
}

/// # Errors
/// Sizes below zero.
fn shape(tensor: &TensorProto) -> Result<Vec<usize>, String> {
    let negative = || format!("its shape {:?} is not one", tensor.dims);
    let sizes = tensor.dims.iter();
    let sizes = sizes.map(|size| usize::try_from(*size).map_err(|_| negative()));
    sizes.collect()
}

fn values(tensor: &TensorProto, external: ExternalTensors<'_>) -> Result<Host, String> {
    let shape = shape(tensor)?;
    let count = elements_of(&shape)?;
    let fetched;
    let raw = match is_external(tensor) {
        true => {
            fetched = external(&external_data(tensor)?)?;
            &fetched
        }
        false => &tensor.raw_data,
    };
    let becomes = Becomes::of(tensor.data_type)?;
    let elements = match (raw.is_empty() && count > 0, becomes) {
        (false, Becomes::Floats) => Elements::Floats(raw_floats(raw, tensor.data_type)?),
        (false, Becomes::Integers) => Elements::Integers(raw_integers(raw, tensor.data_type)?),
        (false, Becomes::Conditions) => Elements::Conditions(raw.iter().map(|x| *x != 0).collect()),
        (true, Becomes::Floats) => Elements::Floats(typed_floats(tensor)),
        (true, Becomes::Integers) => Elements::Integers(typed_integers(tensor)?),
        (true, Becomes::Conditions) => {
            Elements::Conditions(tensor.int32_data.iter().map(|x| *x != 0).collect())
        }
    };
    Host::new(shape, elements)
}

/// Whether the values of a tensor lie in another file.
pub(super) fn is_external(tensor: &TensorProto) -> bool {
    tensor.data_location == EXTERNAL
}

/// The bytes of a tensor whose values lie in another file, as many as its shape and type say.
///
/// # Errors
/// A file that cannot be read, or holds another number of bytes for it.
pub(super) fn fetched(
    tensor: &TensorProto,
    external: ExternalTensors<'_>,
) -> Result<Vec<u8>, OnnxError> {
    let size = size(tensor)?;
    let bytes = external_data(tensor).and_then(|data| external(&data));
    let found = bytes.map_err(|cause| at(tensor, cause))?;
    match found.len() == size {
        true => Ok(found),
        false => Err(at(
            tensor,
            format!("it has {} bytes, its shape asks for {size}", found.len()),
        )),
    }
}

/// Bytes that the values of a tensor take.
///
/// # Errors
/// A type that is not read, and a shape that is none.
pub(super) fn size(tensor: &TensorProto) -> Result<usize, OnnxError> {
    let count = shape(tensor).and_then(|shape| elements_of(&shape));
    let width = match tensor.data_type {
        kind::UINT8 | kind::INT8 | kind::BOOL => 1,
        kind::UINT16 | kind::INT16 | kind::FLOAT16 | kind::BFLOAT16 => 2,
        kind::FLOAT | kind::INT32 | kind::UINT32 => 4,
        _ => 8,
    };
    Becomes::of(tensor.data_type).map_err(|cause| at(tensor, cause))?;
    let count = count.map_err(|cause| at(tensor, cause))?;
    // A shape may claim any size: the largest number is more than any file has.
    Ok(count.saturating_mul(width))
}

/// The bytes of `values` in the type of floats number `data_type`.
///
/// # Errors
/// A value that is too large for the type.
pub(super) fn raw(values: &[f32], data_type: i32) -> Result<Vec<u8>, String> {
    match data_type {
        kind::FLOAT16 => each(values, |x| {
            let half = f16::from_f32(x);
            half.is_finite().then(|| half.to_le_bytes())
        }),
        kind::BFLOAT16 => each(values, |x| {
            let half = bf16::from_f32(x);
            half.is_finite().then(|| half.to_le_bytes())
        }),
        kind::DOUBLE => each(values, |x| Some(f64::from(x).to_le_bytes())),
        kind::FLOAT => each(values, |x| Some(x.to_le_bytes())),
        other => Err(format!("its type {other} holds no floats")),
    }
}

fn each<const N: usize>(
    values: &[f32],
    bytes: impl Fn(f32) -> Option<[u8; N]>,
) -> Result<Vec<u8>, String> {
    let mut out = Vec::with_capacity(N * values.len());
    for (place, value) in values.iter().enumerate() {
        out.extend(bytes(*value).ok_or_else(|| {
            format!("value {place} is {value}, too large for its 16-bit floats: export the graph with 32-bit floats")
        })?);
    }
    Ok(out)
}

/// The place of an external tensor.
fn external_data(tensor: &TensorProto) -> Result<ExternalData, String> {
    let entry = |key: &str| {
        let entry = tensor.external_data.iter().find(|entry| entry.key == key);
        entry.map(|entry| entry.value.as_str())
    };
    let number = |key: &str| match entry(key) {
        Some(text) => text
            .parse::<u64>()
            .map(Some)
            .map_err(|_| format!("`{key}` of its external data is {text:?}, no whole number")),
        None => Ok(None),
    };
    let location = entry("location").unwrap_or_default();
    if location.is_empty() {
        return Err("it lies in another file, which is not named".to_string());
    }
    Ok(ExternalData {
        location: location.to_string(),
        offset: number("offset")?.unwrap_or(0),
        length: number("length")?,
    })
}

/// The values of `N` bytes each.
fn cut<const N: usize, T>(raw: &[u8], value: impl Fn([u8; N]) -> T) -> Result<Vec<T>, String> {
    let (values, rest) = raw.as_chunks::<N>();
    match rest {
        [] => Ok(values.iter().map(|bytes| value(*bytes)).collect()),
        _ => Err(format!("{} bytes are no values of {N} bytes", raw.len())),
    }
}

fn raw_floats(raw: &[u8], data_type: i32) -> Result<Vec<f32>, String> {
    match data_type {
        kind::FLOAT16 => cut(raw, |bytes| f16::from_le_bytes(bytes).to_f32()),
        kind::BFLOAT16 => cut(raw, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        kind::DOUBLE => cut(raw, |bytes| f64::from_le_bytes(bytes) as f32),
        _ => cut(raw, f32::from_le_bytes),
    }
}

fn raw_integers(raw: &[u8], data_type: i32) -> Result<Vec<i64>, String> {
    match data_type {
        kind::UINT8 => Ok(raw.iter().map(|x| i64::from(*x)).collect()),
        kind::INT8 => cut(raw, |bytes| i64::from(i8::from_le_bytes(bytes))),
        kind::UINT16 => cut(raw, |bytes| i64::from(u16::from_le_bytes(bytes))),
        kind::INT16 => cut(raw, |bytes| i64::from(i16::from_le_bytes(bytes))),
        kind::INT32 => cut(raw, |bytes| i64::from(i32::from_le_bytes(bytes))),
        kind::UINT32 => cut(raw, |bytes| i64::from(u32::from_le_bytes(bytes))),
        kind::UINT64 => cut(raw, u64::from_le_bytes)?
            .into_iter()
            .map(small)
            .collect(),
        _ => cut(raw, i64::from_le_bytes),
    }
}

fn small(value: u64) -> Result<i64, String> {
    i64::try_from(value).map_err(|_| format!("{value} is too large"))
}

fn typed_floats(tensor: &TensorProto) -> Vec<f32> {
    let halves = tensor.int32_data.iter().map(|bits| *bits as u16);
    match tensor.data_type {
        kind::FLOAT16 => halves.map(|bits| f16::from_bits(bits).to_f32()).collect(),
        kind::BFLOAT16 => halves.map(|bits| bf16::from_bits(bits).to_f32()).collect(),
        kind::DOUBLE => tensor.double_data.iter().map(|x| *x as f32).collect(),
        _ => tensor.float_data.clone(),
    }
}

fn typed_integers(tensor: &TensorProto) -> Result<Vec<i64>, String> {
    match tensor.data_type {
        kind::INT64 => Ok(tensor.int64_data.clone()),
        // Its field, `uint64_data`, is written by no exporter that stores weights.
        kind::UINT32 | kind::UINT64 => Err("its unsigned values are not raw bytes".to_string()),
        _ => Ok(tensor.int32_data.iter().map(|x| i64::from(*x)).collect()),
    }
}
