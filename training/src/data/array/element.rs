//! The types of an array's elements, and the numbers that they stand for.

/// Reads the little-endian elements `bytes` as the type `number`, and converts each by `float`.
macro_rules! numbers {
    ($bytes:expr, $number:ty, $float:expr) => {
        of::<{ size_of::<$number>() }, _>($bytes, |bytes| $float(<$number>::from_le_bytes(bytes)))
    };
}

/// The type of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Element {
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
    /// Text of this many bytes, padded with zeros.
    Bytes(usize),
    /// Text of this many UTF-32 characters, padded with zeros.
    Unicode(usize),
}

impl Element {
    /// The type that a `descr` without its byte order names, such as `f4`.
    pub(super) fn parse(kind: &str) -> Option<Self> {
        Some(match kind {
            "b1" | "?" => Self::Bool,
            "u1" => Self::U8,
            "i1" => Self::I8,
            "u2" => Self::U16,
            "i2" => Self::I16,
            "u4" => Self::U32,
            "i4" => Self::I32,
            "u8" => Self::U64,
            "i8" => Self::I64,
            "f2" => Self::F16,
            "f4" => Self::F32,
            "f8" => Self::F64,
            _ => {
                let (text, width) = kind.split_at_checked(1)?;
                let width = width.parse().ok().filter(|width| *width < 1 << 16)?;
                match text {
                    "S" => Self::Bytes(width),
                    "U" => Self::Unicode(width),
                    _ => return None,
                }
            }
        })
    }

    pub(super) fn size(self) -> usize {
        match self {
            Self::Bool | Self::U8 | Self::I8 => 1,
            Self::U16 | Self::I16 | Self::F16 => 2,
            Self::U32 | Self::I32 | Self::F32 => 4,
            Self::U64 | Self::I64 | Self::F64 => 8,
            Self::Bytes(width) => width,
            Self::Unicode(width) => 4 * width,
        }
    }

    /// Little-endian elements as 32-bit floats; `None` for text.
    pub(super) fn floats(self, bytes: &[u8]) -> Option<Vec<f32>> {
        Some(match self {
            Self::U8 => numbers!(bytes, u8, f32::from),
            Self::Bool => numbers!(bytes, u8, |x: u8| f32::from(x.min(1))),
            Self::I8 => numbers!(bytes, i8, f32::from),
            Self::U16 => numbers!(bytes, u16, f32::from),
            Self::I16 => numbers!(bytes, i16, f32::from),
            Self::U32 => numbers!(bytes, u32, |x: u32| x as f32),
            Self::I32 => numbers!(bytes, i32, |x: i32| x as f32),
            Self::U64 => numbers!(bytes, u64, |x: u64| x as f32),
            Self::I64 => numbers!(bytes, i64, |x: i64| x as f32),
            Self::F16 => numbers!(bytes, half::f16, half::f16::to_f32),
            Self::F32 => numbers!(bytes, f32, |x: f32| x),
            Self::F64 => numbers!(bytes, f64, |x: f64| x as f32),
            Self::Bytes(_) | Self::Unicode(_) => return None,
        })
    }

    /// Little-endian elements as 64-bit floats; empty for text.
    pub(super) fn doubles(self, bytes: &[u8]) -> Vec<f64> {
        match self {
            Self::Bool | Self::U8 => numbers!(bytes, u8, f64::from),
            Self::I8 => numbers!(bytes, i8, f64::from),
            Self::U16 => numbers!(bytes, u16, f64::from),
            Self::I16 => numbers!(bytes, i16, f64::from),
            Self::U32 => numbers!(bytes, u32, f64::from),
            Self::I32 => numbers!(bytes, i32, f64::from),
            Self::U64 => numbers!(bytes, u64, |x: u64| x as f64),
            Self::I64 => numbers!(bytes, i64, |x: i64| x as f64),
            Self::F16 => numbers!(bytes, half::f16, half::f16::to_f64),
            Self::F32 => numbers!(bytes, f32, f64::from),
            Self::F64 => numbers!(bytes, f64, |x: f64| x),
            Self::Bytes(_) | Self::Unicode(_) => Vec::new(),
        }
    }

    /// Whether it is text.
    pub(super) fn is_text(self) -> bool {
        matches!(self, Self::Bytes(_) | Self::Unicode(_))
    }

    /// Number of bytes that change their order between the two byte orders.
    pub(super) fn word(self) -> usize {
        match self {
            Self::Bytes(_) => 1,
            Self::Unicode(_) => 4,
            element => element.size(),
        }
    }
}

fn of<const N: usize, T>(bytes: &[u8], number: impl Fn([u8; N]) -> T) -> Vec<T> {
    let (elements, _) = bytes.as_chunks::<N>();
    elements.iter().map(|element| number(*element)).collect()
}
