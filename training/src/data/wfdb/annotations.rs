//! Annotations of a record, in the MIT format.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::TrainingError;

/// Code of a change of rhythm.
const RHYTHM: u8 = 28;
/// Code of a long interval, which follows in four bytes.
const SKIP: u8 = 59;
/// Codes that set fields of the annotation before: number, subtype and channel.
const FIELDS: [u8; 3] = [60, 61, 62];
/// Code of a text that belongs to the annotation before.
const AUX: u8 = 63;
/// Largest file of annotations that is read, in bytes.
const LARGEST: u64 = 1 << 28;

/// A note at one sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Annotation {
    /// The sample, counted from 0.
    pub sample: u64,
    /// What was noted, as a code of WFDB: 1 is a normal beat, 28 a change of rhythm.
    pub code: u8,
    /// Its text; may be empty.
    pub text: String,
}

impl Annotation {
    /// The rhythm that begins here, such as `VT`; `None` for other annotations.
    pub(super) fn rhythm(&self) -> Option<&str> {
        match self.code {
            RHYTHM => self.text.strip_prefix('('),
            _ => None,
        }
    }
}

/// The annotations in the file `path` of a record with `samples` samples, in order.
///
/// # Errors
/// [`TrainingError::Read`]; [`TrainingError::Data`] for a file without an end mark, and for an annotation that is earlier than the one before
/// it or after the end of the record.
pub(super) fn read_annotations(
    path: &Path,
    samples: u64,
) -> Result<Vec<Annotation>, TrainingError> {
    let failed = |cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    };
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LARGEST).read_to_end(&mut bytes).map_err(failed)?;
    parse(&bytes, path, samples)
}

fn parse(bytes: &[u8], path: &Path, samples: u64) -> Result<Vec<Annotation>, TrainingError> {
    let bad = |at: usize, problem: String| {
        let place = format!("{}, byte {at}", path.display());
        TrainingError::data(place, problem, "fetch the file again")
    };
    let truncated = |at: usize| bad(at, "the annotations stop without an end mark".to_string());
    let mut found: Vec<Annotation> = Vec::new();
    let (mut at, mut time) = (0usize, 0i64);
    loop {
        let word = bytes.get(at..at + 2).ok_or_else(|| truncated(at))?;
        let word = u16::from_le_bytes([word[0], word[1]]);
        let (code, low) = ((word >> 10) as u8, usize::from(word & 0x3FF));
        let start = at;
        at += 2;
        match code {
            0 if low == 0 => return Ok(found),
            SKIP => {
                let long = bytes.get(at..at + 4).ok_or_else(|| truncated(at))?;
                // The high half comes first, each half with its low byte first.
                let interval = i32::from_le_bytes([long[2], long[3], long[0], long[1]]);
                time = time.saturating_add(i64::from(interval));
                at += 4;
            }
            AUX => {
                let text = bytes.get(at..at + low).ok_or_else(|| truncated(at))?;
                // Texts are padded to an even number of bytes, and may end with zeros.
                at += low + low % 2;
                if let Some(last) = found.last_mut() {
                    let text = String::from_utf8_lossy(text);
                    last.text = text.trim_end_matches('\0').trim().to_string();
                }
            }
            code if FIELDS.contains(&code) => {}
            code => {
                time = time.saturating_add(low as i64);
                let before = found.last().map_or(0, |last| last.sample as i64);
                if time < before {
                    return Err(bad(start, format!("sample {time} follows sample {before}")));
                }
                if time as u64 >= samples {
                    return Err(bad(
                        start,
                        format!(
                            "an annotation is at sample {time}, past the end of the record with {samples} samples"
                        ),
                    ));
                }
                found.push(Annotation {
                    sample: time as u64,
                    code,
                    text: String::new(),
                });
            }
        }
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use super::*;

    fn word(code: u16, low: u16) -> [u8; 2] {
        (code << 10 | low).to_le_bytes()
    }

    fn read(parts: &[&[u8]], samples: u64) -> Result<Vec<Annotation>, TrainingError> {
        parse(&parts.concat(), Path::new("x.atr"), samples)
    }

    #[test]
    fn intervals_texts_and_long_jumps_are_read() {
        let found = read(
            &[
                &word(28, 18),
                &word(63, 3),
                b"(VT\0",
                &word(1, 1000),
                &word(61, 2),
                // 0x00012345 samples later, and one more.
                &word(59, 0),
                &[0x01, 0x00, 0x45, 0x23],
                &word(28, 1),
                &word(63, 4),
                b"(N\0\0",
                &word(0, 0),
            ],
            1 << 20,
        );
        let annotation = |sample, code, text: &str| Annotation {
            sample,
            code,
            text: text.to_string(),
        };
        let expected = [
            annotation(18, 28, "(VT"),
            annotation(1018, 1, ""),
            annotation(1018 + 0x12345 + 1, 28, "(N"),
        ];
        let found = found.unwrap();
        assert_eq!(found, expected);
        let rhythms: Vec<Option<&str>> = found.iter().map(Annotation::rhythm).collect();
        assert_eq!(rhythms, [Some("VT"), None, Some("N")]);
    }

    #[test]
    fn damaged_files_are_named() {
        let end = word(0, 0);
        for (parts, part) in [
            (
                &[&word(1, 5)[..]][..],
                "x.atr, byte 2: the annotations stop without an end mark",
            ),
            (&[&word(63, 8), b"(VT"], "stop without an end mark"),
            (&[&word(59, 0), &[1, 0]], "stop without an end mark"),
            (
                &[&word(1, 500), &end],
                "past the end of the record with 500 samples",
            ),
            (
                &[
                    &word(1, 50),
                    &word(59, 0),
                    &[0xFF, 0xFF, 0xF0, 0xFF],
                    &word(1, 0),
                    &end,
                ],
                "byte 8: sample 34 follows sample 50",
            ),
        ] {
            let message = read(parts, 500).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        assert_eq!(read(&[&end], 5).unwrap(), []);
    }

    #[test]
    fn rhythms_of_a_shared_record_last_as_long_as_is_known() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/ecg-mitdb");
        if !folder.exists() {
            eprintln!("skipped: no records beside the checkout");
            return;
        }
        // According to its description, record 207 has 144 s of ventricular flutter and 109 s of idioventricular rhythm.
        let all = read_annotations(&folder.join("207.atr"), 650_000).unwrap();
        let rhythms: Vec<_> = all.iter().filter(|a| a.rhythm().is_some()).collect();
        let seconds = |name: &str| -> f64 {
            let ends = rhythms[1..].iter().map(|next| next.sample).chain([650_000]);
            let spans = rhythms
                .iter()
                .zip(ends)
                .filter(|(a, _)| a.rhythm() == Some(name));
            spans.map(|(a, end)| (end - a.sample) as f64 / 360.0).sum()
        };
        assert!((seconds("VFL") - 144.0).abs() < 1.0, "{}", seconds("VFL"));
        assert!((seconds("IVR") - 109.0).abs() < 1.0, "{}", seconds("IVR"));
    }
}
