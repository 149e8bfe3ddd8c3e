//! The header of a record: number of signals, sampling rate, files.

use std::path::Path;

use super::super::excerpt::excerpt;
use super::encoding::Encoding;
use crate::TrainingError;

/// Converter units per physical unit, if the header does not give them.
const USUAL_GAIN: f64 = 200.0;
/// Sampling rate in Hz, if the header does not give it.
const USUAL_RATE: f64 = 250.0;
/// The most signals of a record.
const MOST_SIGNALS: usize = 256;

/// The content of a header.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    /// Sampling rate of each signal, in Hz.
    pub(super) rate: f64,
    /// Number of samples of each signal, if the header gives it.
    pub(super) samples: Option<u64>,
    pub(super) signals: Vec<SignalHeader>,
}

/// The header's line about one signal.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SignalHeader {
    /// The file, relative to the folder of the header.
    pub(super) file: String,
    pub(super) encoding: Encoding,
    /// Bytes in the file before the first sample.
    pub(super) offset: u64,
    /// Converter units per physical unit.
    pub(super) gain: f64,
    /// The converter's output for a physical value of 0.
    pub(super) baseline: i64,
    /// The expected value of the first sample.
    pub(super) initial: Option<i64>,
    /// The expected sum of all samples, modulo 2^16.
    pub(super) checksum: Option<i64>,
    /// The name of the signal, such as that of its lead.
    pub(super) name: String,
}

impl Header {
    /// Reads a header.
    ///
    /// # Errors
    /// [`TrainingError::Data`] with the line and the field.
    pub(super) fn parse(text: &str, path: &Path) -> Result<Self, TrainingError> {
        let lines = text
            .lines()
            .enumerate()
            .map(|(index, line)| (index + 1, line.trim()));
        let mut lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
        let Some((number, line)) = lines.next() else {
            return Err(TrainingError::data(
                path.display().to_string(),
                "it has no record line",
                "fetch the header again",
            ));
        };
        let first = Line { path, number };
        let mut fields = line.split_whitespace();
        let name = fields.next().unwrap_or_default();
        if name.contains('/') {
            return Err(first.bad(
                format!(
                    "the record `{}` has several segments, which are not read",
                    excerpt(name)
                ),
                "name the records of its segments",
            ));
        }
        let count: usize = first.required(fields.next(), "number of signals")?;
        if count == 0 || count > MOST_SIGNALS {
            return Err(first.bad(
                format!("it has {count} signals"),
                format!("use records with 1 to {MOST_SIGNALS}"),
            ));
        }
        // A counter's rate and base may follow the rate: `360/73.0(0)`.
        let rate = fields
            .next()
            .map(|field| field.split(['/', '(']).next().unwrap_or_default());
        let rate = first.optional(rate, "sampling rate")?.unwrap_or(USUAL_RATE);
        if !(rate > 0.0 && f64::is_finite(rate)) {
            return Err(first.bad(format!("the sampling rate is {rate}"), "correct the header"));
        }
        let samples: Option<u64> = first.optional(fields.next(), "number of samples")?;
        let mut signals = Vec::new();
        for _ in 0..count {
            let Some((number, line)) = lines.next() else {
                return Err(TrainingError::data(
                    path.display().to_string(),
                    format!("it says {count} signals and describes {}", signals.len()),
                    "fetch the header again",
                ));
            };
            signals.push(SignalHeader::parse(line, &Line { path, number })?);
        }
        Ok(Self {
            rate,
            samples: samples.filter(|samples| *samples > 0),
            signals,
        })
    }
}

impl SignalHeader {
    fn parse(text: &str, line: &Line<'_>) -> Result<Self, TrainingError> {
        let mut fields = text.split_whitespace();
        let file = fields.next().unwrap_or_default().to_string();
        if Path::new(&file).components().count() != 1 || file == "-" || file == ".." {
            return Err(line.bad(
                format!(
                    "the file `{}` does not lie in the folder of the header",
                    excerpt(&file)
                ),
                "keep header and samples in one folder",
            ));
        }
        let format = fields.next().unwrap_or_default();
        let (code, offset) = match format.split_once('+') {
            Some((code, offset)) => (code, line.required(Some(offset), "byte offset")?),
            None => (format, 0),
        };
        // `16x2` means two samples of this signal per frame; `16:3` means a skew of three samples.
        if code.contains(['x', ':']) {
            return Err(line.bad(
                format!(
                    "the format {} has several samples in a frame or a skew, which are not read",
                    excerpt(format)
                ),
                "convert the record to one sample in a frame",
            ));
        }
        let Some(encoding) = Encoding::of(code) else {
            return Err(line.bad(
                format!("the format {} is not read", excerpt(format)),
                format!("convert the record to one of {}", Encoding::NAMES),
            ));
        };
        let gain_field = fields.next();
        // The physical unit follows the slash.
        let gain_field = gain_field.map(|field| field.split('/').next().unwrap_or_default());
        let (gain_field, baseline) = match gain_field.and_then(|field| field.split_once('(')) {
            Some((gain, baseline)) => (
                Some(gain),
                Some(line.required(Some(baseline.trim_end_matches(')')), "baseline")?),
            ),
            None => (gain_field, None),
        };
        let gain = line
            .optional(gain_field, "gain")?
            .filter(|gain| *gain != 0.0);
        let gain = gain.unwrap_or(USUAL_GAIN);
        if !f64::is_finite(gain) {
            return Err(line.bad(format!("the gain is {gain}"), "correct the header"));
        }
        let _resolution: Option<i64> = line.optional(fields.next(), "resolution")?;
        let zero: Option<i64> = line.optional(fields.next(), "zero of the converter")?;
        let initial = line.optional(fields.next(), "first value")?;
        let checksum = line.optional(fields.next(), "checksum")?;
        let _block: Option<i64> = line.optional(fields.next(), "block size")?;
        Ok(Self {
            file,
            encoding,
            offset,
            gain,
            baseline: baseline.or(zero).unwrap_or(0),
            initial,
            checksum,
            name: fields.collect::<Vec<_>>().join(" "),
        })
    }
}

/// A line of a header, for messages.
struct Line<'a> {
    path: &'a Path,
    /// Counted from 1.
    number: usize,
}

impl Line<'_> {
    fn bad(&self, problem: impl Into<String>, remedy: impl Into<String>) -> TrainingError {
        let place = format!("{}, line {}", self.path.display(), self.number);
        TrainingError::data(place, problem, remedy)
    }

    fn optional<T: std::str::FromStr>(
        &self,
        field: Option<&str>,
        what: &str,
    ) -> Result<Option<T>, TrainingError> {
        let Some(field) = field else {
            return Ok(None);
        };
        let number = field.parse().map_err(|_| {
            self.bad(
                format!("the {what} is `{}`, no number", excerpt(field)),
                "correct the header",
            )
        });
        number.map(Some)
    }

    fn required<T: std::str::FromStr>(
        &self,
        field: Option<&str>,
        what: &str,
    ) -> Result<T, TrainingError> {
        self.optional(field, what)?
            .ok_or_else(|| self.bad(format!("the {what} is missing"), "correct the header"))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn parse(text: &str) -> Result<Header, TrainingError> {
        Header::parse(text, Path::new("x.hea"))
    }

    #[test]
    fn every_field_is_read_and_what_is_left_out_has_its_usual_value() {
        let header = parse(
            "# a comment\nx 2 360/73.0(1) 650000 12:00:00 1/2/1990\n\
             x.dat 212 200(-12)/uV 11 1024 995 -22131 0 MLII lead\n\
             y.mat 16+24\n# after",
        )
        .unwrap();
        assert_eq!((header.rate, header.samples), (360.0, Some(650_000)));
        let expected = SignalHeader {
            file: "x.dat".to_string(),
            encoding: Encoding::Packed12,
            offset: 0,
            gain: 200.0,
            baseline: -12,
            initial: Some(995),
            checksum: Some(-22131),
            name: "MLII lead".to_string(),
        };
        assert_eq!(header.signals[0], expected);
        let second = &header.signals[1];
        assert_eq!((second.encoding, second.offset), (Encoding::Word16, 24));
        assert_eq!(
            (second.gain, second.baseline, second.checksum),
            (200.0, 0, None)
        );
        // Without a baseline, the converter's zero is used. A gain of 0 counts as not given.
        let header = parse("x 1\nx.dat 16 0/mV 12 7").unwrap();
        let signal = &header.signals[0];
        assert_eq!((header.rate, header.samples), (250.0, None));
        assert_eq!((signal.gain, signal.baseline), (200.0, 7));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        for (text, part) in [
            ("", "x.hea: it has no record line; fetch the header again"),
            (
                "x/3 2 250 1000",
                "line 1: the record `x/3` has several segments",
            ),
            ("x", "line 1: the number of signals is missing"),
            ("x two", "line 1: the number of signals is `two`, no number"),
            ("x 0", "line 1: it has 0 signals"),
            ("x 1 fast", "line 1: the sampling rate is `fast`"),
            ("x 1 0", "line 1: the sampling rate is 0"),
            ("x 2 250\nx.dat 16", "it says 2 signals and describes 1"),
            (
                "x 1\nx.dat 310",
                "line 2: the format 310 is not read; convert the record to one of 16, 80 and 212",
            ),
            ("x 1\nx.dat 16x4", "has several samples in a frame"),
            (
                "x 1\n../x.dat 16",
                "the file `../x.dat` does not lie in the folder of the header",
            ),
            ("x 1\nx.dat 16 g", "line 2: the gain is `g`, no number"),
            (
                "x 1\nx.dat 16 200 12 0 0 0x5",
                "line 2: the checksum is `0x5`",
            ),
        ] {
            let message = parse(text).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
        // A message shows only the beginning of a very long field.
        let message = parse(&format!("x {}", "9".repeat(10_000))).unwrap_err();
        assert!(message.to_string().len() < 200, "{message}");
    }
}
