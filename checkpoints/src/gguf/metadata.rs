//! The metadata of a GGUF file: keys with typed values.
//!
//! # Source
//!
//! The GGUF specification (`docs/gguf.md` of ggml), sections "File Structure" and "Standardized key-value pairs".

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::cursor::Cursor;
use super::error::GgufError;
use super::texts::Texts;

/// A value of the metadata. All integers that are not in an array stand here as 64-bit numbers.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// An unsigned integer of 8, 16, 32 or 64 bits.
    Unsigned(u64),
    /// A signed integer of 8, 16, 32 or 64 bits.
    Signed(i64),
    /// A number of 32 or 64 bits.
    Float(f64),
    /// A truth value.
    Bool(bool),
    /// A text.
    Text(String),
    /// A list of values of one type.
    Array(Array),
}

/// A list of values of one type. Lists of lists are refused: no known key holds one.
#[derive(Debug, Clone, PartialEq)]
pub enum Array {
    /// 8-bit unsigned integers.
    U8(Vec<u8>),
    /// 8-bit signed integers.
    I8(Vec<i8>),
    /// 16-bit unsigned integers.
    U16(Vec<u16>),
    /// 16-bit signed integers.
    I16(Vec<i16>),
    /// 32-bit unsigned integers.
    U32(Vec<u32>),
    /// 32-bit signed integers.
    I32(Vec<i32>),
    /// 64-bit unsigned integers.
    U64(Vec<u64>),
    /// 64-bit signed integers.
    I64(Vec<i64>),
    /// 32-bit numbers.
    F32(Vec<f32>),
    /// 64-bit numbers.
    F64(Vec<f64>),
    /// Truth values.
    Bool(Vec<bool>),
    /// Texts.
    Text(Texts),
}

impl Array {
    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::U8(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::U64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::F32(values) => values.len(),
            Self::F64(values) => values.len(),
            Self::Bool(values) => values.len(),
            Self::Text(texts) => texts.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The integers of the list, where it holds integers.
    #[must_use]
    pub fn integers(&self) -> Option<Vec<i64>> {
        fn wide<T: Copy + Into<i64>>(values: &[T]) -> Vec<i64> {
            values.iter().map(|value| (*value).into()).collect()
        }
        match self {
            Self::U8(values) => Some(wide(values)),
            Self::I8(values) => Some(wide(values)),
            Self::U16(values) => Some(wide(values)),
            Self::I16(values) => Some(wide(values)),
            Self::U32(values) => Some(wide(values)),
            Self::I32(values) => Some(wide(values)),
            Self::I64(values) => Some(values.clone()),
            Self::U64(values) => values.iter().map(|v| i64::try_from(*v).ok()).collect(),
            Self::F32(_) | Self::F64(_) | Self::Bool(_) | Self::Text(_) => None,
        }
    }
}

/// The numbers of the types in a file.
mod code {
    pub(super) const U8: u32 = 0;
    pub(super) const I8: u32 = 1;
    pub(super) const U16: u32 = 2;
    pub(super) const I16: u32 = 3;
    pub(super) const U32: u32 = 4;
    pub(super) const I32: u32 = 5;
    pub(super) const F32: u32 = 6;
    pub(super) const BOOL: u32 = 7;
    pub(super) const TEXT: u32 = 8;
    pub(super) const ARRAY: u32 = 9;
    pub(super) const U64: u32 = 10;
    pub(super) const I64: u32 = 11;
    pub(super) const F64: u32 = 12;
}

/// Reads a value; `part` names it in errors.
fn value(cursor: &mut Cursor, part: &str) -> Result<Value, GgufError> {
    Ok(match cursor.u32(part)? {
        code::U8 => Value::Unsigned(u8::from_le_bytes(cursor.array(part)?).into()),
        code::I8 => Value::Signed(i8::from_le_bytes(cursor.array(part)?).into()),
        code::U16 => Value::Unsigned(u16::from_le_bytes(cursor.array(part)?).into()),
        code::I16 => Value::Signed(i16::from_le_bytes(cursor.array(part)?).into()),
        code::U32 => Value::Unsigned(cursor.u32(part)?.into()),
        code::I32 => Value::Signed(i32::from_le_bytes(cursor.array(part)?).into()),
        code::U64 => Value::Unsigned(cursor.u64(part)?),
        code::I64 => Value::Signed(i64::from_le_bytes(cursor.array(part)?)),
        code::F32 => Value::Float(f32::from_le_bytes(cursor.array(part)?).into()),
        code::F64 => Value::Float(f64::from_le_bytes(cursor.array(part)?)),
        code::BOOL => {
            let [byte] = cursor.array(part)?;
            Value::Bool(truth(byte).ok_or_else(|| no_truth_value(cursor, part, byte))?)
        }
        code::TEXT => Value::Text(cursor.text(part)?.to_string()),
        code::ARRAY => Value::Array(array(cursor, part)?),
        other => return Err(cursor.damaged(format!("{part} has the unknown value type {other}"))),
    })
}

fn truth(byte: u8) -> Option<bool> {
    match byte {
        0 => Some(false),
        1 => Some(true),
        _ => None,
    }
}

fn no_truth_value(cursor: &Cursor, part: &str, byte: u8) -> GgufError {
    cursor.damaged(format!("{part} holds the truth value {byte}, not 0 or 1"))
}

/// Reads an array. The bytes of its values are found in the file before anything is allocated for them.
fn array(cursor: &mut Cursor, part: &str) -> Result<Array, GgufError> {
    fn numbers<const N: usize, T>(
        cursor: &mut Cursor,
        count: u64,
        part: &str,
        number: fn([u8; N]) -> T,
    ) -> Result<Vec<T>, GgufError> {
        let (items, _) = cursor.items(count, N, part)?.as_chunks::<N>();
        Ok(items.iter().map(|bytes| number(*bytes)).collect())
    }

    let item = cursor.u32(part)?;
    let count = cursor.u64(part)?;
    Ok(match item {
        code::U8 => Array::U8(cursor.items(count, 1, part)?.to_vec()),
        code::I8 => Array::I8(numbers(cursor, count, part, i8::from_le_bytes)?),
        code::U16 => Array::U16(numbers(cursor, count, part, u16::from_le_bytes)?),
        code::I16 => Array::I16(numbers(cursor, count, part, i16::from_le_bytes)?),
        code::U32 => Array::U32(numbers(cursor, count, part, u32::from_le_bytes)?),
        code::I32 => Array::I32(numbers(cursor, count, part, i32::from_le_bytes)?),
        code::U64 => Array::U64(numbers(cursor, count, part, u64::from_le_bytes)?),
        code::I64 => Array::I64(numbers(cursor, count, part, i64::from_le_bytes)?),
        code::F32 => Array::F32(numbers(cursor, count, part, f32::from_le_bytes)?),
        code::F64 => Array::F64(numbers(cursor, count, part, f64::from_le_bytes)?),
        code::BOOL => {
            let bytes = cursor.items(count, 1, part)?;
            let values = bytes
                .iter()
                .map(|byte| truth(*byte).ok_or_else(|| no_truth_value(cursor, part, *byte)));
            Array::Bool(values.collect::<Result<_, _>>()?)
        }
        code::TEXT => {
            // Each text takes at least the 8 bytes of its length: a count beyond that is refused before the loop.
            let mut ahead = *cursor;
            ahead.items(count, 8, part)?;
            let mut texts = Texts::default();
            for _ in 0..count {
                texts.push(cursor.text(part)?);
            }
            Array::Text(texts)
        }
        code::ARRAY => {
            let cause = format!("{part} is an array of arrays, which no known key is");
            return Err(cursor.damaged(cause));
        }
        other => {
            let cause = format!("{part} is an array of the unknown value type {other}");
            return Err(cursor.damaged(cause));
        }
    })
}

/// All metadata of a file.
#[derive(Debug, Clone)]
pub struct Metadata {
    path: PathBuf,
    values: BTreeMap<String, Value>,
}

impl Metadata {
    /// Reads `count` keys with their values.
    pub(super) fn read(cursor: &mut Cursor, count: u64, path: &Path) -> Result<Self, GgufError> {
        let mut values = BTreeMap::new();
        for index in 0..count {
            let key = cursor.text(&format!("the key of metadata {index} of {count}"))?;
            let value = value(cursor, &format!("the metadata {key:?}"))?;
            if values.insert(key.to_string(), value).is_some() {
                return Err(cursor.damaged(format!("metadata {key:?} stands there twice")));
            }
        }
        let path = path.to_path_buf();
        Ok(Self { path, values })
    }

    /// All keys with their values, sorted by key.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.values.iter().map(|(key, value)| (key.as_str(), value))
    }

    /// The value of `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value> {
        self.values.get(key)
    }

    /// The text of `key`, where the file has the key.
    ///
    /// # Errors
    ///
    /// The value is no text.
    pub fn text(&self, key: &str) -> Result<Option<&str>, GgufError> {
        self.read_as(key, "a text", |value| match value {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// The truth value of `key`, where the file has the key.
    ///
    /// # Errors
    ///
    /// The value is no truth value.
    pub fn bool(&self, key: &str) -> Result<Option<bool>, GgufError> {
        self.read_as(key, "a truth value", |value| match value {
            Value::Bool(truth) => Some(*truth),
            _ => None,
        })
    }

    /// The number of `key`, where the file has the key. Writers differ in the width of their numbers: any will do.
    ///
    /// # Errors
    ///
    /// The value is not a finite number.
    pub fn number(&self, key: &str) -> Result<Option<f64>, GgufError> {
        self.read_as(key, "a finite number", |value| match value {
            Value::Float(number) => Some(*number).filter(|number| number.is_finite()),
            Value::Unsigned(number) => Some(*number as f64),
            Value::Signed(number) => Some(*number as f64),
            _ => None,
        })
    }

    /// The count of `key`, where the file has the key. A list of equal counts, one for each layer, is that count.
    ///
    /// # Errors
    ///
    /// The value is no count, or a list in which the counts differ.
    pub fn count(&self, key: &str) -> Result<Option<usize>, GgufError> {
        let count = |value: i64| usize::try_from(value).ok();
        self.read_as(
            key,
            "a count, the same for all layers,",
            |value| match value {
                Value::Unsigned(number) => usize::try_from(*number).ok(),
                Value::Signed(number) => count(*number),
                Value::Array(array) => {
                    let values = array.integers()?;
                    let first = *values.first()?;
                    let same = values.iter().all(|value| *value == first);
                    same.then(|| count(first))?
                }
                _ => None,
            },
        )
    }

    /// The texts of `key`, where the file has the key.
    ///
    /// # Errors
    ///
    /// The value is no list of texts.
    pub fn texts(&self, key: &str) -> Result<Option<&Texts>, GgufError> {
        self.read_as(key, "a list of texts", |value| match value {
            Value::Array(Array::Text(texts)) => Some(texts),
            _ => None,
        })
    }

    /// The list of `key`, where the file has the key.
    ///
    /// # Errors
    ///
    /// The value is no list.
    pub fn array(&self, key: &str) -> Result<Option<&Array>, GgufError> {
        self.read_as(key, "a list", |value| match value {
            Value::Array(array) => Some(array),
            _ => None,
        })
    }

    /// `value`, or the error that the file lacks `key`.
    pub(super) fn needed<T>(&self, key: &str, value: Option<T>) -> Result<T, GgufError> {
        value.ok_or_else(|| GgufError::MissingKey {
            path: self.path.clone(),
            key: key.to_string(),
        })
    }

    /// The error that the value of `key` is `found`, while `expected` is needed.
    pub(super) fn unusable(&self, key: &str, found: String, expected: String) -> GgufError {
        GgufError::Value {
            path: self.path.clone(),
            key: key.to_string(),
            found,
            expected,
        }
    }

    /// The error that the file holds the unknown `found`.
    pub(super) fn unsupported(&self, what: &'static str, found: &str, known: &str) -> GgufError {
        GgufError::Unsupported {
            path: self.path.clone(),
            what,
            found: found.to_string(),
            known: known.to_string(),
        }
    }

    fn read_as<'a, T>(
        &'a self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, GgufError> {
        let Some(value) = self.values.get(key) else {
            return Ok(None);
        };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(self.unusable(key, described(value), expected.to_string())),
        }
    }
}

/// A value in few words.
fn described(value: &Value) -> String {
    const SHOWN: usize = 40;
    match value {
        Value::Unsigned(number) => number.to_string(),
        Value::Signed(number) => number.to_string(),
        Value::Float(number) => format!("the number {number:?}"),
        Value::Bool(truth) => truth.to_string(),
        Value::Text(text) => {
            let short: String = text.chars().take(SHOWN).collect();
            format!("the text {short:?}")
        }
        Value::Array(array) => format!("a list of {}", array.len()),
    }
}
