//! The samples of a signal, from a stream of numbers or from a recording.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use crossburn_training::data::read_matlab;
use crossburn_training::data::signal::SEGMENT_RATE;
use crossburn_training::data::wfdb::Record;

/// The number that stands for a sample that was not taken, in matrices of PhysioNet.
const NOT_TAKEN: f64 = -32768.0;
/// A line that is longer is no number.
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
    /// Opens `path`: `-` for standard input, a header of a WFDB record (`.hea`), a MATLAB file (`.mat`), or a text. `rate` is what the
    /// caller says of a signal that does not say it itself.
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
        match file.extension().and_then(|ending| ending.to_str()) {
            Some("hea" | "dat") => Self::record(&header, signal),
            _ if header.exists() => Self::record(&header, signal),
            Some("mat") => {
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
        let number = signal
            .parse::<usize>()
            .ok()
            .and_then(|number| number.checked_sub(1));
        let named = record.signals.iter().find(|known| known.name == signal);
        let found = number
            .and_then(|number| record.signals.get(number))
            .or(named);
        let Some(found) = found else {
            let names: Vec<&str> = record.signals.iter().map(|s| s.name.as_str()).collect();
            bail!(
                "{} has no signal {signal}: use --signal with 1 to {} or one of {}",
                header.display(),
                names.len(),
                names.join(", ")
            );
        };
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
                "sample {} of {} is {}: put {NOT_TAKEN} in its place where no sample was taken",
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
    /// A line that is no finite number, and the errors of `take`.
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
        let mut line = String::new();
        loop {
            line.clear();
            number += 1;
            let read = lines.by_ref().take(LONGEST_LINE).read_line(&mut line);
            if read.with_context(|| format!("cannot read {name}, line {number}"))? == 0 {
                return Ok(samples);
            }
            match line.trim() {
                // Nothing after the last number is no sample.
                "" if lines.fill_buf()?.is_empty() => return Ok(samples),
                text => match text.parse::<f64>() {
                    Ok(value) if value.is_finite() => take(Some(value))?,
                    _ => bail!(
                        "{name}, line {number}: `{}` is no finite number: give one number on every line",
                        text.escape_default()
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
}
