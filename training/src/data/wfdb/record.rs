//! A record: all signals of a header, after their check.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::header::{Header, SignalHeader};
use crate::TrainingError;

/// Largest header that is read, in bytes.
const LONGEST_HEADER: u64 = 1 << 20;

/// One signal of a record.
#[derive(Clone, Debug, PartialEq)]
pub struct Signal {
    /// Its name, such as that of its lead.
    pub name: String,
    /// The samples, in units of the converter.
    pub samples: Vec<i32>,
    /// The number that marks a missing sample.
    pub invalid: i32,
    gain: f64,
    baseline: i64,
}

impl Signal {
    /// The physical value of a sample in units of the converter.
    pub fn value(&self, sample: i32) -> f32 {
        ((f64::from(sample) - self.baseline as f64) / self.gain) as f32
    }
}

/// A record of the WFDB format.
///
/// # Source
/// See the module. Supported are the formats 16, 80 and 212, one sample per frame, and one segment.
#[derive(Clone, Debug, PartialEq)]
pub struct Record {
    /// Sampling rate in Hz.
    pub rate: f64,
    /// The signals. All have the same length.
    pub signals: Vec<Signal>,
    /// The path of the header.
    path: PathBuf,
}

impl Record {
    /// Reads the record whose header is `path`, a `.hea` file.
    ///
    /// The first value and the checksum of each signal must be those in the header.
    ///
    /// # Errors
    /// [`TrainingError::Read`] for a missing file. [`TrainingError::Data`] for a header that cannot be read, a file with fewer samples than the
    /// header says, and a first value or a checksum that differs.
    pub fn open(path: &Path) -> Result<Self, TrainingError> {
        let header = header(path)?;
        let folder = path.parent().unwrap_or(Path::new(""));
        let mut record = Self {
            rate: header.rate,
            signals: Vec::new(),
            path: path.to_path_buf(),
        };
        let mut rest = header.signals.as_slice();
        let mut length = header.samples;
        while let Some(first) = rest.first() {
            let same = |signal: &&SignalHeader| signal.file == first.file;
            let (group, others) = rest.split_at(rest.iter().take_while(same).count());
            rest = others;
            let file = folder.join(&first.file);
            let count = match group.iter().find(|other| other.encoding != first.encoding) {
                None => read_group(&file, path, group, length, &mut record.signals)?,
                Some(_) => {
                    return Err(TrainingError::data(
                        path.display().to_string(),
                        format!("the signals in {} have several formats", first.file),
                        "fetch the header again",
                    ));
                }
            };
            length = Some(count as u64);
        }
        Ok(record)
    }

    /// The signal `asked`: a number from 1 on, or a name. `option` is the option that asks for it, such as `signal=`, for messages.
    ///
    /// # Errors
    /// [`TrainingError::Data`] that lists the signals, if there is no such signal.
    pub fn signal(&self, asked: &str, option: &str) -> Result<&Signal, TrainingError> {
        let number = asked.parse::<usize>().ok();
        let by_number = number.and_then(|number| self.signals.get(number.checked_sub(1)?));
        let named = || self.signals.iter().find(|signal| signal.name == asked);
        by_number.or_else(named).ok_or_else(|| {
            let numbers = match self.signals.len() {
                1 => format!("use {option} with 1"),
                count => format!("use {option} with 1 to {count}"),
            };
            let names = self.signals.iter().map(|s| s.name.as_str());
            let names: Vec<&str> = names.filter(|name| !name.is_empty()).collect();
            let remedy = match names.is_empty() {
                true => numbers,
                false => format!("{numbers} or one of {}", names.join(", ")),
            };
            TrainingError::data(
                self.path.display().to_string(),
                format!("it has no signal {asked}"),
                remedy,
            )
        })
    }
}

fn header(path: &Path) -> Result<Header, TrainingError> {
    let failed = |cause| TrainingError::Read {
        path: path.to_path_buf(),
        cause,
    };
    let mut text = Vec::new();
    let file = File::open(path).map_err(failed)?;
    file.take(LONGEST_HEADER)
        .read_to_end(&mut text)
        .map_err(failed)?;
    // Comments may be in any encoding.
    Header::parse(&String::from_utf8_lossy(&text), path)
}

/// Reads the signals `group` of `file`, whose samples take turns, and gives their length. Each must have `length` samples if that is given;
/// otherwise the file's size decides.
fn read_group(
    file: &Path,
    header: &Path,
    group: &[SignalHeader],
    length: Option<u64>,
    signals: &mut Vec<Signal>,
) -> Result<usize, TrainingError> {
    let failed = |cause| TrainingError::Read {
        path: file.to_path_buf(),
        cause,
    };
    let place = file.display().to_string();
    let bytes = std::fs::metadata(file).map_err(failed)?.len();
    let (encoding, offset, width) = (group[0].encoding, group[0].offset, group.len());
    let held = encoding.samples(bytes.saturating_sub(offset)) / width as u64;
    let length = length.unwrap_or(held);
    let needed = encoding.bytes(u128::from(length) * width as u128) + u128::from(offset);
    if needed > u128::from(bytes) || length == 0 {
        return Err(TrainingError::data(
            place,
            format!(
                "it holds {held} samples of each signal in {bytes} bytes, {} says {length}",
                header.display()
            ),
            "the file is truncated: fetch it again",
        ));
    }
    let content = std::fs::read(file).map_err(failed)?;
    let count = length as usize;
    let start = (offset as usize).min(content.len());
    let all = encoding.decode(&content[start..], count * width);
    if all.len() < count * width {
        return Err(TrainingError::data(
            place,
            "it became shorter while it was read",
            "read it again",
        ));
    }
    for (index, header_of) in group.iter().enumerate() {
        let samples: Vec<i32> = all.iter().skip(index).step_by(width).copied().collect();
        check(&samples, header_of, header, file)?;
        signals.push(Signal {
            name: header_of.name.clone(),
            invalid: encoding.invalid(),
            gain: header_of.gain,
            baseline: header_of.baseline,
            samples,
        });
    }
    Ok(count)
}

/// Compares a signal with the first value and the checksum in its header.
fn check(
    samples: &[i32],
    said: &SignalHeader,
    header: &Path,
    file: &Path,
) -> Result<(), TrainingError> {
    let bad = |field: &str, found: i64, said_is: i64| {
        TrainingError::data(
            file.display().to_string(),
            format!(
                "the {field} of signal `{}` is {found}, {} says {said_is}",
                said.name,
                header.display()
            ),
            "file and header do not belong together, or the file is damaged: fetch both again",
        )
    };
    let first = i64::from(samples.first().copied().unwrap_or_default());
    if let Some(initial) = said.initial
        && initial != first
    {
        return Err(bad("first value", first, initial));
    }
    let sum: i64 = samples.iter().map(|sample| i64::from(*sample)).sum();
    match said.checksum {
        Some(checksum) if checksum as i16 != sum as i16 => {
            Err(bad("checksum", i64::from(sum as i16), checksum))
        }
        _ => Ok(()),
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

    /// Writes these files, and opens the record `x`.
    fn open(files: &[(&str, &[u8])]) -> Result<Record, TrainingError> {
        let folder = tempfile::tempdir().unwrap();
        for (name, bytes) in files {
            std::fs::write(folder.path().join(name), bytes).unwrap();
        }
        Record::open(&folder.path().join("x.hea"))
    }

    #[test]
    fn signals_of_a_file_take_turns_and_have_physical_values() {
        // Signal a: 1, 3, -32768. Signal b: 2, 4, 6. Sums -32764 and 12.
        let numbers = [1i16, 2, 3, 4, i16::MIN, 6];
        let bytes: Vec<u8> = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
        let header =
            b"x 2 250 3\nx.mat 16+4 100(1)/mV 16 0 1 -32764 0 a\nx.mat 16+4 2/NU 16 0 2 12 0 b";
        let prolog = [&[9u8; 4][..], &bytes].concat();
        let record = open(&[("x.hea", header), ("x.mat", &prolog)]).unwrap();
        assert_eq!(record.rate, 250.0);
        let [a, b] = &record.signals[..] else {
            panic!("two signals")
        };
        assert_eq!(
            (a.samples.as_slice(), b.samples.as_slice()),
            (&[1, 3, -32768][..], &[2, 4, 6][..])
        );
        assert_eq!((a.value(3), b.value(4), a.invalid), (0.02, 2.0, -32768));
        // If the header does not give the number of samples, the file's size decides.
        let record = open(&[("x.hea", b"x 1\nx.dat 80"), ("x.dat", &[128, 130])]).unwrap();
        assert_eq!(record.signals[0].samples, [0, 2]);
    }

    #[test]
    fn damaged_records_are_named() {
        let whole: &[u8] = &[5, 0, 7, 0];
        for (header, bytes, part) in [
            ("x 1 250 2\nx.dat 16 200 16 0 5 12 0 II", Some(whole), ""),
            (
                "x 1 250 2\nx.dat 16 200 16 0 5 12 0 II",
                None,
                "cannot read",
            ),
            (
                "x 1 250 3\nx.dat 16 200 16 0 5 12 0 II",
                Some(whole),
                "x.dat: it holds 2 samples of each signal in 4 bytes, ",
            ),
            // A huge number of samples is compared with the file before anything is allocated.
            (
                "x 1 250 18446744073709551615\nx.dat 16",
                Some(whole),
                "the file is truncated",
            ),
            (
                "x 1 250 2\nx.dat 16 200 16 0 6 12 0 II",
                Some(whole),
                "x.dat: the first value of signal `II` is 5, ",
            ),
            (
                "x 1 250 2\nx.dat 16 200 16 0 5 13 0 II",
                Some(whole),
                "x.dat: the checksum of signal `II` is 12, ",
            ),
            ("x 1 250\nx.dat 16", Some(&[][..]), "it holds 0 samples"),
            ("x 1 250\nx.dat 16+9", Some(whole), "it holds 0 samples"),
            (
                "x 2 250\nx.dat 16\nx.dat 212",
                Some(whole),
                "have several formats",
            ),
        ] {
            let mut files = vec![("x.hea", header.as_bytes())];
            files.extend(bytes.map(|bytes| ("x.dat", bytes)));
            match open(&files) {
                Ok(_) => assert!(part.is_empty(), "{header}"),
                Err(error) => {
                    let message = error.to_string();
                    assert!(!part.is_empty() && message.contains(part), "{message}");
                    assert!(!message.contains('\n'));
                }
            }
        }
    }

    #[test]
    fn every_shared_record_has_its_first_values_and_checksums() {
        let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data");
        let mut read = 0;
        for folder in ["ecg-vfdb", "ecg-mitdb", "ecg-wfdb-formats"] {
            let Ok(entries) = std::fs::read_dir(shared.join(folder)) else {
                eprintln!("skipped: no {folder} beside the checkout");
                continue;
            };
            for entry in entries {
                let path = entry.unwrap().path();
                if path.extension().is_none_or(|ending| ending != "hea") {
                    continue;
                }
                // Opening a record verifies what its header declares.
                let declared = header(&path).unwrap();
                assert!(
                    declared
                        .signals
                        .iter()
                        .all(|s| s.initial.is_some() && s.checksum.is_some())
                );
                let record = Record::open(&path).unwrap();
                let samples = declared.samples.unwrap() as usize;
                assert!(record.signals.iter().all(|s| s.samples.len() == samples));
                read += 1;
            }
        }
        assert!(read == 0 || read == 30, "{read}");
    }
}
