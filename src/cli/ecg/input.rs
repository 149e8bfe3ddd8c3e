//! The samples of a signal, from a stream of numbers or from a recording.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use crossburn_training::data::read_matlab;
use crossburn_training::data::signal::SEGMENT_RATE;
use crossburn_training::data::wfdb::Record;

use crate::report::draw::shorten;

/// The number that stands for a sample that was not taken, in matrices of PhysioNet.
const NOT_TAKEN: f64 = -32768.0;
/// A line of more bytes is no number.
const LONGEST_LINE: u64 = 256;

/// Where samples come from.
pub(super) enum Input {
    /// Numbers, one a line, as they come: `name` says from where.
    Numbers {
        name: String,
        lines: Box<dyn BufRead>,
    },
    /// A recording that is there as a whole; `None` for a sample that was not taken.
    Recording(Vec<Option<f64>>),
}

impl Input {
    /// Opens `path`: `-` for standard input, a WFDB record (its header `.hea`, its name without an ending, or a `.mat` beside a header), a
    /// MATLAB file (`.mat`), or a text. `rate` is what the caller says of a signal that does not say it itself.
    ///
    /// # Errors
    /// A file that cannot be read, and another rate than detectors take.
    pub(super) fn open(path: &str, signal: &str, rate: f64) -> Result<Self> {
        if path == "-" {
            expect_rate("--rate", rate)?;
            return Ok(Self::Numbers {
                name: "standard input".to_string(),
                lines: Box::new(BufReader::new(std::io::stdin())),
            });
        }
        let file = PathBuf::from(path);
        let header = file.with_extension("hea");
        // Any other file beside a header, such as a text, is read itself.
        match file.extension().map(|ending| ending.to_str()) {
            Some(Some("hea")) => Self::record(&header, signal),
            Some(Some("mat")) | None if header.exists() => Self::record(&header, signal),
            Some(Some("mat")) => {
                expect_rate("--rate", rate)?;
                Self::matrix(&file)
            }
            _ => {
                expect_rate("--rate", rate)?;
                let opened = File::open(&file).with_context(|| format!("cannot read {path}"))?;
                Ok(Self::Numbers {
                    name: path.to_string(),
                    lines: Box::new(BufReader::new(opened)),
                })
            }
        }
    }

    fn record(header: &Path, signal: &str) -> Result<Self> {
        let record = Record::open(header)?;
        expect_rate(&header.display().to_string(), record.rate)?;
        let found = record.signal(signal, "--signal")?;
        let value =
            |sample: &i32| (*sample != found.invalid).then(|| f64::from(found.value(*sample)));
        Ok(Self::Recording(found.samples.iter().map(value).collect()))
    }

    fn matrix(path: &Path) -> Result<Self> {
        let matrix = read_matlab(path)?;
        if !matrix.shape.contains(&1) {
            let [rows, columns] = matrix.shape;
            bail!(
                "the matrix `{}` in {} is {rows} x {columns}: save one signal, as one row or one column",
                matrix.name,
                path.display()
            );
        }
        if let Some(place) = matrix.values.iter().position(|value| !value.is_finite()) {
            bail!(
                "sample {} of {} is {}: write {NOT_TAKEN} for a missing sample",
                place + 1,
                path.display(),
                matrix.values[place]
            );
        }
        let value = |value: f64| (value != NOT_TAKEN).then_some(value);
        Ok(Self::Recording(
            matrix.values.into_iter().map(value).collect(),
        ))
    }

    /// Hands every sample to `take`, in order, `None` for one that was not taken; their number.
    ///
    /// # Errors
    /// A line that is too long or no finite number, and the errors of `take`.
    pub(super) fn each(self, mut take: impl FnMut(Option<f64>) -> Result<()>) -> Result<usize> {
        let (name, mut lines) = match self {
            Self::Recording(samples) => {
                let count = samples.len();
                samples.into_iter().try_for_each(take)?;
                return Ok(count);
            }
            Self::Numbers { name, lines } => (name, lines),
        };
        let (mut samples, mut number) = (0, 0);
        let mut line = Vec::new();
        loop {
            line.clear();
            number += 1;
            let failed = || format!("cannot read {name}, line {number}");
            let mut bounded = lines.by_ref().take(LONGEST_LINE + 1);
            let read = bounded.read_until(b'\n', &mut line).with_context(failed)?;
            if read == 0 {
                return Ok(samples);
            }
            if read as u64 > LONGEST_LINE {
                bail!(
                    "{name}, line {number}: it has more than {LONGEST_LINE} bytes: give one number on every line"
                );
            }
            match String::from_utf8_lossy(&line).trim() {
                // Nothing after the last number is no sample.
                "" if lines.fill_buf().with_context(failed)?.is_empty() => return Ok(samples),
                text => match text.parse::<f64>() {
                    Ok(value) if value.is_finite() => take(Some(value))?,
                    _ => bail!(
                        "{name}, line {number}: `{}` is no finite number: give one number on every line",
                        shorten(&text.escape_default().to_string(), 40)
                    ),
                },
            }
            samples += 1;
        }
    }

    /// Whether samples come as they are taken, so that the end of a segment is waited for.
    pub(super) fn streams(&self) -> bool {
        matches!(self, Self::Numbers { .. })
    }
}

/// Refuses another rate than that of segments.
fn expect_rate(place: &str, rate: f64) -> Result<()> {
    if rate != SEGMENT_RATE {
        bail!(
            "{place}: {rate} samples a second, detectors take {SEGMENT_RATE}: resample the signal first, or train and evaluate with \
             --data wfdb:DIR, which does"
        );
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn numbers(text: &'static str) -> Result<Vec<Option<f64>>> {
        let input = Input::Numbers {
            name: "x".to_string(),
            lines: Box::new(text.as_bytes()),
        };
        let mut found = Vec::new();
        let count = input.each(|sample| {
            found.push(sample);
            Ok(())
        })?;
        assert_eq!(count, found.len());
        Ok(found)
    }

    #[test]
    fn numbers_are_read_line_by_line() {
        let expected = [Some(1.0), Some(-2.5e-3), Some(3.0)];
        for text in [
            "1\n-2.5e-3\n3",
            "1\r\n -2.5e-3 \r\n3\r\n",
            "1\n-2.5e-3\n3\n\n",
        ] {
            assert_eq!(numbers(text).unwrap(), expected, "{text:?}");
        }
        assert!(numbers("").unwrap().is_empty());
        for (text, part) in [
            ("1\nNaN\n", "x, line 2: `NaN` is no finite number"),
            ("inf\n", "x, line 1: `inf`"),
            ("1,2\n", "x, line 1: `1,2`"),
            ("1\n\n2\n", "x, line 2: `` is no finite number"),
        ] {
            let message = numbers(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    #[test]
    fn long_lines_are_refused_by_their_number() {
        // 256 bytes with the end of the line are a number, 257 are not two.
        let line = |digits: usize| format!("7\n{}\n8\n", "0".repeat(digits));
        let found = numbers(line(255).leak()).unwrap();
        assert_eq!(found, [Some(7.0), Some(0.0), Some(8.0)]);
        for digits in [256, 400, 100_000] {
            let message = numbers(line(digits).leak()).unwrap_err().to_string();
            let expected = "x, line 2: it has more than 256 bytes: give one number on every line";
            assert_eq!(message, expected);
        }
        // What is shown of a bad line is bounded.
        let message = numbers("bad".repeat(80).leak()).unwrap_err().to_string();
        assert!(
            message.contains("badbad") && message.len() < 120,
            "{message}"
        );
    }
}
