//! The detector of arrhythmia that comes with the program decides about patients whom it has not met, without a training.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::fmt::Write;
use std::path::Path;
use std::str::FromStr;

use command::good;
use crossburn::training::data::{DataSource, SEGMENT_POINTS, Values};
use serde_json::Value;

#[test]
fn it_finds_arrhythmia_in_patients_whom_it_has_not_met() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Another seed than that of its training: ten patients, one after the other, filtered as a device filters them.
    let source = DataSource::from_str("iegm?filter=causal").unwrap();
    let samples = source.test_samples(7, Some(400).into()).unwrap();
    let Values::Floats(values) = &samples.values else {
        unreachable!("segments are floats")
    };
    assert_eq!(values.len(), 400 * SEGMENT_POINTS);
    let mut text = String::new();
    for value in values {
        writeln!(text, "{value}").unwrap();
    }
    std::fs::write(folder.join("signal.txt"), text).unwrap();
    let output = good(folder, "ecg detect --input signal.txt --filtered --json");
    let lines = String::from_utf8(output.stdout).unwrap();
    let lines = lines
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let alarms: Vec<bool> = lines
        .filter(|line| line["segment"].is_u64())
        .map(|line| line["decision"] == "VA")
        .collect();
    assert_eq!(alarms.len(), 400);
    let share = |label: u16| {
        let of_label = samples.labels.iter().zip(&alarms);
        let of_label: Vec<bool> = of_label
            .filter(|(own, _)| **own == label)
            .map(|(_, alarm)| *alarm)
            .collect();
        of_label.iter().filter(|alarm| **alarm).count() as f64 / of_label.len() as f64
    };
    // Its training on 100 patients (configs/recipes/iegm-shipped.toml) ends with a sensitivity of 99 % and 9 % false alarms. Of ten patients
    // one may be judged wrong in most segments, which is 10 points more.
    let (sensitivity, false_alarms) = (share(1), share(0));
    assert!(sensitivity > 0.85, "{sensitivity}");
    assert!(false_alarms < 0.2, "{false_alarms}");
    // The checkpoint lies where other commands can take it.
    let written = Path::new("runs/models/detector/model.safetensors");
    assert!(std::fs::metadata(folder.join(written)).unwrap().len() < 60_000);
}
