//! `crossburn ecg detect`

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use burn::tensor::Device;
use clap::Args;
use crossburn_checkpoints::write_shipped_detector;
use crossburn_hardware::programmed;
use crossburn_models::{Classifier, Family, WithNetwork};
use crossburn_training::data::SEGMENT_CLASSES;
use crossburn_training::data::signal::{
    BandPass, BandPassStream, SEGMENT_POINTS, SEGMENT_RATE, SegmentFilter,
};
use crossburn_training::{Detector, Voter};
use serde_json::{Value, json};

use super::input::Input;
use crate::apps::ecg::StoredDetector;
use crate::apps::stored_network::StoredNetwork;
use crate::cli::device::DeviceChoice;
use crate::cli::process::ProcessArguments;
use crate::cli::{Outcome, note, print};

/// Where the detector that comes with the program is written.
const SHIPPED: &str = "runs/models/detector";

/// Find ventricular arrhythmia in a signal, five seconds at a time
///
/// The signal comes from a file or from standard input: a text with one number on each line, the header of a WFDB record, or a MATLAB
/// file with one row. It must have 250 samples a second. It is filtered sample by sample, 15 to 55 Hz, as a device would filter it, and
/// cut into segments of 1,250 samples. The detector decides about each segment as soon as its last sample arrives. Six segments vote on
/// one diagnosis; three alarms make it an arrhythmia (keys `vote` and `hop` of the recipe's task).
///
/// A detector decides best about signals that are filtered like those of its training. Train it with `iegm?filter=causal` or
/// `wfdb:DIR?filter=causal`; if it was trained with another filter, a line says so.
///
/// A segment with missing samples is left out, and the vote begins anew after it.
///
/// Without MODEL, the detector that comes with the program decides. It was trained on drawn electrograms, filtered sample by sample
/// (configs/recipes/iegm-shipped.toml). It is written to runs/models/detector.
///
/// Example: crossburn ecg detect --input cu01.hea
///
/// Example: sensor | crossburn ecg detect runs/iegm-procedural --input - --json
#[derive(Debug, Args)]
pub(super) struct Detect {
    /// A checkpoint, or the run folder that holds it [default: the detector that comes with the program]
    model: Option<PathBuf>,
    /// The signal: a text file, a WFDB record (.hea), a MATLAB file (.mat), or - for numbers from standard input
    #[arg(long, value_name = "FILE|-", help_heading = "Signal")]
    input: String,
    /// The signal of a record: its number, from 1, or its name
    #[arg(
        long,
        value_name = "SIGNAL",
        default_value = "1",
        help_heading = "Signal"
    )]
    signal: String,
    /// Samples a second of a text or a MATLAB file; detectors need 250
    #[arg(long, value_name = "HZ", default_value_t = SEGMENT_RATE, help_heading = "Signal")]
    rate: f64,
    /// The signal is filtered already, like the segments of the TinyML contest
    #[arg(long, help_heading = "Signal")]
    filtered: bool,
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N
    #[arg(
        long,
        value_name = "DEVICE",
        default_value_t = DeviceChoice::Cpu,
        help_heading = "Options"
    )]
    device: DeviceChoice,
    /// Print one JSON object per line instead of text
    #[arg(long, help_heading = "Options")]
    json: bool,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

/// The folder of the detector that comes with the program. Files of it that are missing or changed are written.
fn shipped_detector() -> Result<PathBuf> {
    let folder = PathBuf::from(SHIPPED);
    write_shipped_detector(&folder)?;
    Ok(folder)
}

impl Detect {
    pub(super) fn run(self) -> Result<Outcome> {
        let model = match &self.model {
            Some(model) => model.clone(),
            None => shipped_detector()?,
        };
        let stored = StoredNetwork::open(&model)?;
        let detector = StoredDetector::of(&stored)?;
        stored.model.check([1, 1, SEGMENT_POINTS])?;
        let input = Input::open(&self.input, &self.signal, self.rate)?;
        let device = self.device.open()?;
        let job = Job {
            asked: &self,
            detector,
            input,
            device: &device,
        };
        stored.model.build(stored.recipe.seed, &device, job)??;
        Ok(Outcome::Done)
    }
}

/// A signal, and what decides about it.
struct Job<'a> {
    asked: &'a Detect,
    detector: StoredDetector<'a>,
    input: Input,
    device: &'a Device,
}

impl WithNetwork for Job<'_> {
    type Output = Result<()>;

    fn other(self, _: Family) -> Result<()> {
        self.detector.stored.is_no("classifier")
    }

    fn classifier<C: Classifier>(self, _: C) -> Result<()> {
        bail!(
            "{} is no network of signals",
            self.detector.stored.folder.display()
        )
    }

    fn signal_classifier<C: Classifier>(self, network: C) -> Result<()> {
        let StoredDetector { stored, task, .. } = self.detector;
        let network = self.detector.load(network)?;
        let network = programmed(&network, stored.weights::<C>()).valid();
        let normalization = self.detector.conventions.normalization;
        let filter = (!self.asked.filtered).then(|| BandPass::of_segments().stream());
        let trained = stored.recipe.data.source.filter();
        let trained = trained.filter(|trained| *trained != SegmentFilter::Causal);
        let warning = trained.filter(|_| filter.is_some()).map(|trained| {
            format!(
                "{} was trained with filter={}, this signal is filtered with filter={}: decisions may differ from those in training",
                stored.folder.display(),
                trained.name(),
                SegmentFilter::Causal.name()
            )
        });
        let mut stream = Stream {
            detector: Detector::new(network, task, normalization, self.device),
            filter,
            warning,
            voter: task.voting().begin(),
            votes_of: task.vote,
            json: self.asked.json,
            segment: Vec::with_capacity(SEGMENT_POINTS),
            missing: 0,
            last: 0.0,
            summary: Summary::default(),
        };
        let streams = self.input.streams();
        let samples = self.input.each(|sample| stream.take(sample))?;
        let name = match self.asked.input.as_str() {
            "-" => "standard input",
            file => file,
        };
        stream.end(name, samples, streams)
    }
}

/// A detector between two samples.
struct Stream<C> {
    detector: Detector<C>,
    filter: Option<BandPassStream>,
    /// What is to be said before the first decision.
    warning: Option<String>,
    voter: Voter,
    /// Segments that vote together.
    votes_of: usize,
    json: bool,
    segment: Vec<f32>,
    /// Samples of the segment that were not taken.
    missing: usize,
    /// The last sample that was taken, which stands in for those that were not.
    last: f64,
    summary: Summary,
}

/// What was decided so far.
#[derive(Default)]
struct Summary {
    segments: usize,
    alarms: usize,
    left_out: usize,
    diagnoses: usize,
    latency: Duration,
    slowest: Duration,
}

impl<C: Classifier> Stream<C> {
    fn take(&mut self, sample: Option<f64>) -> Result<()> {
        let start = Instant::now();
        self.last = sample.unwrap_or(self.last);
        self.missing += usize::from(sample.is_none());
        let value = match &mut self.filter {
            Some(filter) => filter.push(self.last),
            None => self.last,
        };
        self.segment.push(value as f32);
        if self.segment.len() < SEGMENT_POINTS {
            return Ok(());
        }
        if let Some(warning) = self.warning.take() {
            note(&warning);
        }
        self.summary.segments += 1;
        let number = self.summary.segments;
        let seconds = |segments: usize| segments as f64 * SEGMENT_POINTS as f64 / SEGMENT_RATE;
        let (from, to) = (seconds(number - 1), seconds(number));
        if self.missing > 0 {
            let missing = self.missing;
            self.summary.left_out += 1;
            self.voter.interrupt();
            self.say(
                json!({"segment": number, "from_s": from, "to_s": to, "left_out": true, "missing_samples": missing}),
                || format!("segment {number:>5}  {from:>7.1} to {to:>7.1} s  left out: {missing} samples were not taken"),
            )?;
        } else {
            let decision = self.detector.decide(&self.segment)?;
            let latency = start.elapsed();
            self.summary.latency += latency;
            self.summary.slowest = self.summary.slowest.max(latency);
            self.summary.alarms += usize::from(decision.alarm);
            let diagnosis = self.voter.hear(decision.alarm);
            let name = SEGMENT_CLASSES[usize::from(decision.alarm)];
            let (probability, latency) = (decision.probability, 1e3 * latency.as_secs_f64());
            self.say(
                json!({
                    "segment": number, "from_s": from, "to_s": to, "decision": name,
                    "probability": probability, "latency_ms": latency,
                }),
                || {
                    format!(
                        "segment {number:>5}  {from:>7.1} to {to:>7.1} s  {name:<5}  probability of VA {probability:.3}  {latency:.2} ms"
                    )
                },
            )?;
            if let Some(diagnosis) = diagnosis {
                self.summary.diagnoses += 1;
                let (alarms, of) = (diagnosis.alarms, self.votes_of);
                let name = SEGMENT_CLASSES[usize::from(diagnosis.alarm)];
                let from = seconds(number - of);
                self.say(
                    json!({"diagnosis": name, "from_s": from, "to_s": to, "alarms": alarms, "votes": of}),
                    || format!("diagnosis      {from:>7.1} to {to:>7.1} s  {name:<5}  {alarms} of {of} segments"),
                )?;
            }
        }
        self.segment.clear();
        self.missing = 0;
        Ok(())
    }

    fn say(&self, object: Value, text: impl FnOnce() -> String) -> Result<()> {
        match self.json {
            true => print(&object.to_string()),
            false => print(&text()),
        }
    }

    /// Sums up after the last of `samples`.
    fn end(self, input: &str, samples: usize, streams: bool) -> Result<()> {
        let Summary {
            segments,
            alarms,
            left_out,
            diagnoses,
            latency,
            slowest,
        } = self.summary;
        let decided = segments - left_out;
        let milliseconds = |time: Duration| 1e3 * time.as_secs_f64();
        note(&format!(
            "{segments} segments, {left_out} left out, {alarms} alarms, {diagnoses} diagnoses; from the last sample of a segment to its decision \
             {:.2} ms on average, {:.2} ms at most",
            milliseconds(latency) / decided.max(1) as f64,
            milliseconds(slowest),
        ));
        let rest = self.segment.len();
        match (samples, rest) {
            (0, _) => bail!("{input} holds no samples"),
            (_, 0) => Ok(()),
            _ if streams => bail!(
                "{input} stops in the middle of segment {}, after {rest} of {SEGMENT_POINTS} samples: nothing is decided about them",
                segments + 1
            ),
            _ => {
                note(&format!(
                    "the last {rest} samples are too few for a segment of {SEGMENT_POINTS}: nothing is decided about them"
                ));
                Ok(())
            }
        }
    }
}
