//! WFDB records with annotated rhythms, as a source of segments.

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use super::super::in_order::all_in_order;
use super::super::options::Options;
use super::super::reader::{Kind, Part, Reader};
use super::super::signal::{
    LeftOut, Recording, Rhythm, SEGMENT_BAND, SEGMENT_CLASSES, SEGMENT_OPTIONS, SEGMENT_POINTS,
    SEGMENT_RATE, SegmentFilter, SegmentPreparation, Segments, resample, windows,
};
use super::super::{Amount, DataSplit};
use super::Record;
use super::annotations::read_annotations;
use super::records::Records;
use crate::TrainingError;

pub(in super::super) const KIND: Kind = Kind {
    name: "wfdb",
    usage: "wfdb:DIR",
    open: |argument| Ok(Arc::new(Wfdb::new(argument)?)),
};

/// Options of only this kind.
const OPTIONS: &[&str] = &["signal", "hop", "filter", "va"];

/// Rhythms that count as ventricular arrhythmia: tachycardia, flutter, fibrillation. Idioventricular rhythm (`IVR`) and asystole do not count,
/// because a defibrillator does not treat them by a shock.
const VENTRICULAR: &str = "VT,VFL,VF,VFIB";

/// Marks after which the rhythm is unknown.
const UNKNOWN: [&str; 1] = ["NOISE"];

/// The data source.
#[derive(Debug)]
struct Wfdb {
    records: Records,
    /// The number or the name of the signal to use.
    signal: String,
    hop: usize,
    filter: SegmentFilter,
    ventricular: Vec<String>,
    preparation: SegmentPreparation,
    left_out: Mutex<LeftOut>,
}

impl Wfdb {
    fn new(argument: &str) -> Result<Self, TrainingError> {
        let [split, scale] = SEGMENT_OPTIONS;
        let options = Options::parse(
            KIND.name,
            argument,
            &[Records::OPTIONS, OPTIONS, split, scale],
        )?;
        let list = |text: &str| -> Vec<String> { text.split(',').map(str::to_string).collect() };
        let filters = SegmentFilter::ALL.map(|filter| (filter.name(), filter));
        let filter = options.one_of("filter", &filters)?;
        let hop = options.number(
            "hop",
            "seconds between the starts of segments, above 0",
            |s: &f64| *s >= 1.0 / SEGMENT_RATE && s.is_finite(),
        )?;
        Ok(Self {
            records: Records::new(&options)?,
            signal: options.get("signal").unwrap_or("1").to_string(),
            hop: hop.map_or(SEGMENT_POINTS, |seconds| {
                (seconds * SEGMENT_RATE).round() as usize
            }),
            filter: filter.unwrap_or(SegmentFilter::ZeroPhase),
            ventricular: list(options.get("va").unwrap_or(VENTRICULAR)),
            preparation: SegmentPreparation::new(&options)?,
            left_out: Mutex::default(),
        })
    }

    fn file(&self, name: &str, ending: &str) -> PathBuf {
        self.records.folder.join(format!("{name}.{ending}"))
    }

    /// The chosen signal of a record, at [`SEGMENT_RATE`] and filtered, with its rhythms.
    fn recording(&self, name: &str) -> Result<Recording, TrainingError> {
        let path = self.file(name, "hea");
        let record = Record::open(&path)?;
        let least = 2.0 * SEGMENT_BAND[1];
        if record.rate <= least {
            return Err(TrainingError::data(
                path.display().to_string(),
                format!(
                    "the sampling rate is {}, which does not carry {} Hz",
                    record.rate, SEGMENT_BAND[1]
                ),
                format!("use records with more than {least} samples a second"),
            ));
        }
        let signal = record.signal(&self.signal, "signal=")?;
        let at = |sample: u64| (sample as f64 * SEGMENT_RATE / record.rate).round() as usize;
        let mut invalid = Vec::new();
        let mut values = Vec::with_capacity(signal.samples.len());
        let mut last = 0.0;
        for (index, sample) in signal.samples.iter().enumerate() {
            if *sample == signal.invalid {
                // A filter would spread missing values. The last known value is used instead, and the place is remembered.
                let index = index as u64;
                invalid.push(at(index)..at(index + 1).max(at(index) + 1));
            } else {
                last = signal.value(*sample);
            }
            values.push(last);
        }
        let values = resample(&values, record.rate, SEGMENT_RATE).map_err(|error| {
            let remedy = "correct the header, or leave the record out with records=";
            TrainingError::data(path.display().to_string(), error.to_string(), remedy)
        })?;
        let values = self.filter.apply(values);
        let annotations = self.annotations(name);
        let rhythms = read_annotations(&annotations, signal.samples.len() as u64)?;
        let rhythms: Vec<Rhythm> = rhythms
            .iter()
            .filter_map(|annotation| {
                Some(Rhythm {
                    start: at(annotation.sample),
                    name: annotation.rhythm()?.to_string(),
                })
            })
            .collect();
        if rhythms.is_empty() {
            return Err(TrainingError::data(
                annotations.display().to_string(),
                "it names no rhythm",
                "leave the record out with records=",
            ));
        }
        Ok(Recording {
            signal: values,
            invalid,
            rhythms,
        })
    }

    fn annotations(&self, name: &str) -> PathBuf {
        self.file(name, "atr")
    }

    fn label(&self, rhythm: &str) -> Option<u16> {
        if UNKNOWN.contains(&rhythm) {
            return None;
        }
        Some(u16::from(
            self.ventricular.iter().any(|name| name == rhythm),
        ))
    }

    /// The segments of the records `names`. Each record counts as one patient. Numbers of unused segments are added to `left_out`.
    fn segments(
        &self,
        names: &[String],
        left_out: &mut LeftOut,
    ) -> Result<Segments, TrainingError> {
        let recordings = all_in_order(names, |name| self.recording(name))?;
        let mut all = Segments::default();
        for (name, recording) in names.iter().zip(recordings) {
            let (found, left) = windows(&recording, self.hop, |rhythm| self.label(rhythm));
            left_out.add(left);
            // An episode also ends where a window is left out.
            let (mut episode, mut next) = (0, None);
            for window in found {
                let end = window.start + SEGMENT_POINTS;
                if next != Some((window.rhythm, window.start)) {
                    episode += 1;
                }
                next = Some((window.rhythm, window.start + self.hop));
                all.values
                    .extend_from_slice(&recording.signal[window.start..end]);
                all.labels.push(window.label);
                all.patients.push(name.clone());
                all.episodes.push(episode);
            }
        }
        if all.labels.is_empty() {
            return Err(TrainingError::data(
                self.records.folder.display().to_string(),
                format!(
                    "no segment of {} can be used ({left_out})",
                    names.join(", ")
                ),
                "use longer records",
            ));
        }
        Ok(all)
    }
}

impl Reader for Wfdb {
    fn classes(&self) -> Result<usize, TrainingError> {
        self.records.names()?;
        Ok(SEGMENT_CLASSES.len())
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError> {
        let names = match (self.records.parts()?, part) {
            (None, _) => self.records.names()?,
            (Some([train, _]), Part::Train) => train,
            (Some([_, test]), Part::Test) => test,
        };
        Ok(names.iter().map(|name| self.file(name, "hea")).collect())
    }

    fn normalizes(&self) -> bool {
        self.preparation.normalizes()
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        let place = self.records.folder.display().to_string();
        let mut left_out = LeftOut::default();
        let split = match self.records.parts()? {
            None => {
                let all = self.segments(&self.records.names()?, &mut left_out)?;
                self.preparation.split(&place, all)
            }
            Some([train, test]) => {
                let train = self.segments(&train, &mut left_out)?;
                let test = self.segments(&test, &mut left_out)?;
                self.preparation.apart(&place, train, test)
            }
        }?;
        if let Ok(mut known) = self.left_out.lock() {
            *known = left_out;
        }
        Ok(split)
    }

    fn filter(&self) -> Option<SegmentFilter> {
        Some(self.filter)
    }

    fn left_out(&self) -> Option<String> {
        let known = self.left_out.lock().ok()?;
        (!known.is_empty()).then(|| known.to_string())
    }
}

#[cfg(test)]
#[allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]
mod tests {
    use std::path::Path;

    use crate::data::{Amount, DataSource, Samples};

    /// Writes a record of `seconds` at 250 Hz: a sine of `frequency` Hz. Its rhythms begin at the given seconds.
    fn write(
        folder: &Path,
        name: &str,
        seconds: usize,
        frequency: f64,
        rhythms: &[(u16, &str)],
        hole: Option<usize>,
    ) {
        let mut samples: Vec<i16> = (0..250 * seconds)
            .map(|i| (1000.0 * (std::f64::consts::TAU * frequency * i as f64 / 250.0).sin()) as i16)
            .collect();
        if let Some(hole) = hole {
            samples[hole] = i16::MIN;
        }
        let sum = samples.iter().fold(0i16, |sum, x| sum.wrapping_add(*x));
        let header = format!(
            "{name} 1 250 {}\n{name}.dat 16 1000/mV 16 0 0 {sum} 0 II",
            samples.len()
        );
        std::fs::write(folder.join(format!("{name}.hea")), header).unwrap();
        let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
        std::fs::write(folder.join(format!("{name}.dat")), bytes).unwrap();
        let (mut atr, mut last) = (Vec::new(), 0u16);
        for (second, text) in rhythms {
            let sample = u32::from(250 * (second - last));
            last = *second;
            atr.extend((59u16 << 10).to_le_bytes());
            atr.extend([(sample >> 16) as u8, 0, sample as u8, (sample >> 8) as u8]);
            atr.extend((28u16 << 10).to_le_bytes());
            atr.extend((63u16 << 10 | text.len() as u16).to_le_bytes());
            atr.extend(text.as_bytes());
            atr.extend(std::iter::repeat_n(0, text.len() % 2));
        }
        atr.extend([0, 0]);
        std::fs::write(folder.join(format!("{name}.atr")), atr).unwrap();
    }

    fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for number in 0..5 {
            let rhythms = [(0, "(N"), (20, "(VT"), (40, "(NOISE"), (52, "(N")];
            write(
                folder.path(),
                &format!("r{number}"),
                60,
                30.0,
                &rhythms,
                Some(1300),
            );
        }
        folder
    }

    #[test]
    fn records_become_segments_of_their_patients() {
        let folder = folder();
        let source = format!("wfdb:{}", folder.path().display());
        let source: DataSource = source.parse().unwrap();
        assert_eq!(source.classes().unwrap(), 2);
        assert_eq!(source.test_files().unwrap().len(), 5);
        let split = source.load(1, None, None).unwrap();
        // Of the twelve segments of a record, segment 1 has a hole, 8 and 9 are noise, and the rhythm changes in 10. Eight are left, four of them VT.
        assert_eq!((split.train.len(), split.test.len()), (32, 8));
        let ventricular = split
            .test
            .labels
            .iter()
            .filter(|label| **label == 1)
            .count();
        assert_eq!(ventricular, 4);
        // The episodes are 0 | 2, 3 | 4 to 7 | 11. None crosses the hole, a change of rhythm or the noise.
        let origins = split.test.origins.as_ref().unwrap();
        let places: Vec<u32> = origins.samples.iter().map(|origin| origin.place).collect();
        assert_eq!(places, [0, 0, 1, 0, 1, 2, 3, 0]);
        let said = source.left_out().unwrap();
        assert_eq!(
            said,
            "segments left out: 5 across a change of rhythm, 5 with samples that hold no value, 10 without a rhythm that can be told"
        );
        // With any filter, 30 Hz passes with its amplitude of 1 mV. Where the sine begins, its envelope overshoots by 4 %.
        for filter in ["zero-phase", "causal", "none"] {
            let text = format!(
                "wfdb:{}?filter={filter}&records=r0,r1&hop=2.5&test_share=0.5",
                folder.path().display()
            );
            let split = text
                .parse::<DataSource>()
                .unwrap()
                .load(1, None, None)
                .unwrap();
            let largest = split.test.floats().iter().copied().fold(0.0, f32::max);
            assert!((largest - 1.0).abs() < 0.06, "{filter} {largest}");
        }
    }

    #[test]
    fn records_that_are_named_are_the_test() {
        let folder = folder();
        let source = |options: &str| -> DataSource {
            let text = format!("wfdb:{}?{options}", folder.path().display());
            text.parse().unwrap()
        };
        let patients = |samples: &Samples| samples.origins.as_ref().unwrap().groups.clone();
        let named = source("test_records=r3,r1");
        let split = named.load(1, None, None).unwrap();
        // Eight segments of each record, as above.
        assert_eq!((split.train.len(), split.test.len()), (24, 16));
        assert_eq!(patients(&split.test), ["r1", "r3"]);
        let mut learned = patients(&split.train);
        learned.sort_unstable();
        assert_eq!(learned, ["r0", "r2", "r4"]);
        let files = named.test_files().unwrap();
        let names: Vec<_> = files.iter().filter_map(|file| file.file_stem()).collect();
        assert_eq!(names, ["r1", "r3"]);
        // Segments that are left out are counted in both parts.
        assert!(named.left_out().unwrap().starts_with(
            "segments left out: 5 across a change of rhythm, 5 with samples that hold no value"
        ));
        let all = source("only=test&records=r2,r4");
        let test = all.test_samples(1, Amount::ALL).unwrap();
        assert_eq!(test.len(), 16);
        assert_eq!(patients(&test), ["r2", "r4"]);
    }

    #[test]
    fn what_cannot_be_used_is_named() {
        let folder = folder();
        write(folder.path(), "short", 4, 30.0, &[(0, "(N")], None);
        write(folder.path(), "silent", 10, 30.0, &[], None);
        for (name, rate) in [("slow", "110"), ("fast", "2e6")] {
            let header = format!("{name} 1 {rate}\nr0.dat 16");
            std::fs::write(folder.path().join(format!("{name}.hea")), header).unwrap();
        }
        for (options, part) in [
            (
                "?signal=V&records=r0,slow",
                "r0.hea: it has no signal V; use signal= with 1 or one of II",
            ),
            (
                "?signal=V&records=fast",
                "it has no signal V; use signal= with 1",
            ),
            ("?signal=2&records=r0", "it has no signal 2"),
            (
                "?filter=low",
                "filter=low is not allowed: use zero-phase, causal or none",
            ),
            ("?hop=0", "hop=0 is not allowed"),
            ("", "fast.hea: rate = 2000000 is not allowed"),
            ("?records=none", "cannot read"),
            ("?records=short", "no segment of short can be used"),
            ("?records=silent", "silent.atr: it names no rhythm"),
            (
                "?records=slow",
                "slow.hea: the sampling rate is 110, which does not carry 55 Hz",
            ),
            ("?records=fast", "fast.hea: rate = 2000000 is not allowed"),
            ("?records=r0", "its patients are too few"),
            (
                "?records=r0,r1,r0",
                "records=r0,r1,r0 is not allowed: use names of records with a comma between two, each once",
            ),
            (
                "?records=r0,r1&test_records=r2",
                "test_records names r2, which is none of its records; use some of r0,r1",
            ),
            (
                "?records=r0,r1&test_records=r1,r0",
                "test_records names all of its records; leave some to learn from, or use only=test",
            ),
            (
                "?test_records=r0&folds=5&fold=0",
                "folds says nothing beside test_records",
            ),
            (
                "?only=test&test_records=r0",
                "only says nothing beside test_records",
            ),
        ] {
            let text = format!("wfdb:{}{options}", folder.path().display());
            let found = text
                .parse::<DataSource>()
                .and_then(|s| s.load(1, None, None));
            let message = found.unwrap_err().to_string();
            assert!(
                message.contains(part) && !message.contains('\n'),
                "{message}"
            );
        }
        let empty = tempfile::tempdir().unwrap();
        let text = format!("wfdb:{}", empty.path().display());
        let message = text
            .parse::<DataSource>()
            .unwrap()
            .classes()
            .unwrap_err()
            .to_string();
        assert!(message.contains("holds no header (*.hea)"), "{message}");
        // If the list of records cannot be read, that is an error.
        std::fs::write(empty.path().join("RECORDS"), [0xFF, 0xFE]).unwrap();
        let message = text.parse::<DataSource>().unwrap().classes();
        let message = message.unwrap_err().to_string();
        assert!(message.contains("RECORDS"), "{message}");
    }

    #[test]
    fn real_records_are_read() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/ecg-vfdb");
        if !folder.exists() {
            eprintln!("skipped: no records beside the checkout");
            return;
        }
        let text = format!("wfdb:{}?records=418,419,420,421", folder.display());
        let source: DataSource = text.parse().unwrap();
        let split = source.load(1, None, None).unwrap();
        // Another program counted from the annotations: 339, 227, 316 and 268 segments, of which 13, 27, 54 and 37 are VA.
        assert_eq!(split.train.len() + split.test.len(), 1150);
        let labels = split.train.labels.iter().chain(&split.test.labels);
        assert_eq!(labels.filter(|label| **label == 1).count(), 131);
        assert!(
            source
                .left_out()
                .unwrap()
                .contains("209 across a change of rhythm")
        );
    }
}
