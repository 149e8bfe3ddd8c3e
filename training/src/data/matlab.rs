//! A matrix of numbers in a MATLAB file, level 5.

use std::io::Read;
use std::path::Path;

use flate2::read::ZlibDecoder;

use crate::TrainingError;

/// Bytes of the header of a file.
const HEADER: usize = 128;
/// Types of elements: packed ones, and matrices.
const COMPRESSED: u32 = 15;
const MATRIX: u32 = 14;
/// Classes of full (not sparse) arrays of numbers: double, single, and whole numbers of 8 to 64 bits, signed and unsigned.
const NUMERIC: std::ops::RangeInclusive<u8> = 6..=15;
/// The flag of complex numbers.
const COMPLEX: u8 = 0x08;
/// Largest file that is read, before and after unpacking, in bytes.
const LARGEST: u64 = 1 << 28;

/// A matrix of real numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Matrix {
    /// Its name.
    pub name: String,
    /// Rows and columns.
    pub shape: [usize; 2],
    /// The values, column by column.
    pub values: Vec<f64>,
}

/// The first matrix of real numbers in the MATLAB file `path` (level 5, the format of `save -v6` and `-v7`).
///
/// # Errors
/// [`TrainingError::Read`]; [`TrainingError::Data`] for a file of another format, a file that is cut, or a file without such a matrix.
///
/// # Source
/// "MAT-File Format", The MathWorks.
pub fn read_matlab(path: &Path) -> Result<Matrix, TrainingError> {
    let failed = |cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    };
    let length = std::fs::metadata(path).map_err(failed)?.len();
    if length > LARGEST {
        return Err(TrainingError::TooLarge {
            path: path.to_path_buf(),
            mebibytes: LARGEST >> 20,
        });
    }
    parse(&std::fs::read(path).map_err(failed)?).map_err(|problem| {
        let remedy = "save one matrix of numbers with MATLAB's save -v7";
        TrainingError::data(path.display().to_string(), problem, remedy)
    })
}

fn parse(bytes: &[u8]) -> Result<Matrix, String> {
    let version = bytes
        .get(124..HEADER)
        .ok_or("it is too short for a MATLAB file of level 5")?;
    // The header gives version 1, in the byte order of the file.
    match version {
        [0, 1, b'I', b'M'] => {}
        [1, 0, b'M', b'I'] => return Err("its bytes stand in the other order".to_string()),
        _ => return Err("it is no MATLAB file of level 5".to_string()),
    }
    let mut elements = Elements(&bytes[HEADER..]);
    while let Some((kind, content)) = elements.next()? {
        match kind {
            COMPRESSED => {
                let mut unpacked = Vec::new();
                let read = ZlibDecoder::new(content)
                    .take(LARGEST)
                    .read_to_end(&mut unpacked);
                read.map_err(|error| format!("its packed part cannot be read ({error})"))?;
                if let Some((MATRIX, content)) = Elements(&unpacked).next()?
                    && let Some(matrix) = matrix(content)?
                {
                    return Ok(matrix);
                }
            }
            MATRIX => {
                if let Some(matrix) = matrix(content)? {
                    return Ok(matrix);
                }
            }
            _ => {}
        }
    }
    Err("it holds no matrix of real numbers".to_string())
}

/// Reads the elements of a file or an array, one after the other.
struct Elements<'a>(&'a [u8]);

impl<'a> Elements<'a> {
    /// The type and the content of the next element.
    fn next(&mut self) -> Result<Option<(u32, &'a [u8])>, String> {
        if self.0.is_empty() {
            return Ok(None);
        }
        let truncated = || "it is truncated".to_string();
        let [head, second, ..] = self.0.as_chunks::<4>().0 else {
            return Err(truncated());
        };
        let (first, second) = (u32::from_le_bytes(*head), u32::from_le_bytes(*second));
        // A short element has its length beside its type, and its content within the same eight bytes.
        let short = first >> 16;
        if short > 0 {
            let content = self.0.get(4..4 + short as usize).filter(|_| short <= 4);
            let content = content.ok_or_else(truncated)?;
            self.0 = self.0.get(8..).unwrap_or_default();
            return Ok(Some((first & 0xFFFF, content)));
        }
        let length = second as usize;
        let content = self.0.get(8..8 + length).ok_or_else(truncated)?;
        // Contents are padded to a multiple of eight bytes, except packed ones.
        let padded = match first {
            COMPRESSED => length,
            _ => length.next_multiple_of(8),
        };
        self.0 = self.0.get(8 + padded..).unwrap_or_default();
        Ok(Some((first, content)))
    }
}

/// The matrix in the content of an array; `None` if the array is no matrix of real numbers.
fn matrix(content: &[u8]) -> Result<Option<Matrix>, String> {
    let mut parts = Elements(content);
    let mut part = |what: &str| parts.next()?.ok_or(format!("an array in it has no {what}"));
    let (_, flags) = part("flags")?;
    let (_, shape) = part("shape")?;
    let (_, name) = part("name")?;
    let name = String::from_utf8_lossy(name).into_owned();
    let [class, flag, ..] = *flags else {
        return Err(format!("the array `{name}` has no class"));
    };
    let sizes = shape.as_chunks::<4>().0;
    let &[rows, columns] = sizes else {
        return Ok(None);
    };
    if !NUMERIC.contains(&class) || flag & COMPLEX != 0 {
        return Ok(None);
    }
    let [rows, columns] = [rows, columns].map(|size| u32::from_le_bytes(size) as usize);
    let (kind, data) = part("values")?;
    let values = numbers(kind, data)
        .ok_or_else(|| format!("the array `{name}` has values of an unknown type {kind}"))?;
    match rows.checked_mul(columns) == Some(values.len()) {
        true => Ok(Some(Matrix {
            name,
            shape: [rows, columns],
            values,
        })),
        false => Err(format!(
            "the array `{name}` is {rows} x {columns} and holds {} values",
            values.len()
        )),
    }
}

/// Numbers of the type `kind`; `None` for an unknown type.
fn numbers(kind: u32, data: &[u8]) -> Option<Vec<f64>> {
    fn of<const N: usize>(data: &[u8], number: fn([u8; N]) -> f64) -> Vec<f64> {
        data.as_chunks::<N>()
            .0
            .iter()
            .map(|bytes| number(*bytes))
            .collect()
    }
    Some(match kind {
        1 => of::<1>(data, |b| f64::from(b[0] as i8)),
        2 => of::<1>(data, |b| f64::from(b[0])),
        3 => of(data, |b| f64::from(i16::from_le_bytes(b))),
        4 => of(data, |b| f64::from(u16::from_le_bytes(b))),
        5 => of(data, |b| f64::from(i32::from_le_bytes(b))),
        6 => of(data, |b| f64::from(u32::from_le_bytes(b))),
        7 => of(data, |b| f64::from(f32::from_le_bytes(b))),
        9 => of(data, f64::from_le_bytes),
        12 => of(data, |b| i64::from_le_bytes(b) as f64),
        13 => of(data, |b| u64::from_le_bytes(b) as f64),
        _ => return None,
    })
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use super::*;
    use std::io::Write;

    fn element(kind: u32, content: &[u8]) -> Vec<u8> {
        let mut bytes = [kind.to_le_bytes(), (content.len() as u32).to_le_bytes()].concat();
        bytes.extend(content);
        bytes.resize(bytes.len().next_multiple_of(8), 0);
        bytes
    }

    /// A 2 × 2 array of class `class` with 16-bit numbers; its name `val` is a short element.
    fn array(class: u8, values: &[i16]) -> Vec<u8> {
        let flags = [class, 0, 0, 0, 0, 0, 0, 0];
        let shape: Vec<u8> = [2u32, 2].iter().flat_map(|x| x.to_le_bytes()).collect();
        let values: Vec<u8> = values.iter().flat_map(|x| x.to_le_bytes()).collect();
        let name = [&[1, 0, 3, 0][..], b"val\0"].concat();
        let parts = [
            element(6, &flags),
            element(5, &shape),
            name,
            element(3, &values),
        ];
        element(MATRIX, &parts.concat())
    }

    fn file(content: &[u8]) -> Vec<u8> {
        let mut bytes = vec![b' '; 124];
        bytes.extend([0, 1, b'I', b'M']);
        bytes.extend(content);
        bytes
    }

    #[test]
    fn matrices_are_read_packed_or_not() {
        let plain = array(10, &[1, -2, 3, i16::MIN]);
        let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
        packer.write_all(&plain).unwrap();
        let packed = packer.finish().unwrap();
        let mut element = COMPRESSED.to_le_bytes().to_vec();
        element.extend((packed.len() as u32).to_le_bytes());
        element.extend(packed);
        let text = array(4, &[0; 4]);
        for content in [plain.clone(), element, [text, plain].concat()] {
            let matrix = parse(&file(&content)).unwrap();
            assert_eq!((matrix.name.as_str(), matrix.shape), ("val", [2, 2]));
            assert_eq!(matrix.values, [1.0, -2.0, 3.0, -32768.0]);
        }
    }

    #[test]
    fn other_files_are_refused() {
        let whole = file(&array(10, &[1, 2, 3, 4]));
        for (bytes, part) in [
            (&whole[..100], "too short"),
            (&[0u8; 128][..], "no MATLAB file of level 5"),
            (&whole[..whole.len() - 8], "truncated"),
            (&whole[..140], "truncated"),
            (&file(&array(10, &[1, 2, 3])), "is 2 x 2 and holds 3 values"),
            (&file(&array(4, &[1, 2, 3, 4])), "no matrix of real numbers"),
            (&file(&[]), "no matrix of real numbers"),
        ] {
            let problem = parse(bytes).unwrap_err();
            assert!(problem.contains(part), "{problem}");
        }
    }

    #[test]
    fn shared_records_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/ecg-cudb-mat");
        if !folder.exists() {
            eprintln!("skipped: no records beside the checkout");
            return;
        }
        for name in ["cu01m", "cu04m", "cu05m", "cu06m", "cu07m", "cu10m"] {
            let matrix = read_matlab(&folder.join(format!("{name}.mat"))).unwrap();
            assert_eq!((matrix.name.as_str(), matrix.shape), ("val", [1, 127_232]));
            // Twelve bits, and the value that marks invalid samples.
            let valid = |x: &f64| x.abs() <= 4096.0 || *x == -32768.0;
            assert!(matrix.values.iter().all(valid), "{name}");
        }
    }
}
