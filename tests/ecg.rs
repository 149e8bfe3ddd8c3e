//! A detector of arrhythmia is trained, judged on chips, and decides about signals as they come.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod command;

use std::fmt::Write;
use std::path::Path;

use command::{bad, crossburn, good, json, perceptron};
use serde_json::Value;

/// Trains a small detector for two epochs in the folder `run`.
fn train(folder: &Path) -> Value {
    let recipe = "seed = 2\n[task]\nkind = \"arrhythmia-detection\"\nscale = \"segment\"\n\
                  [model]\nkind = \"signal-cnn\"\nclasses = 2\nnorm = \"before-activation\"\nhidden = [6]\ndropout = 0.0\n\
                  layers = [{ channels = 4, kernel = 8, stride = 4 }, { channels = 6, kernel = 6, stride = 4 }]\n\
                  [data]\nsource = \"iegm\"\ntrain = 400\nvalidation = 80\ntest = 120\n\
                  [training]\nepochs = 2\nbatch = 20\n\
                  [training.augmentation]\ngain = 2.0\ncrop_padding = 20\n";
    std::fs::write(folder.join("ecg.toml"), recipe).unwrap();
    json(&good(folder, "train ecg.toml --out run --json"))
}

/// A signal of `seconds` as a text: sharp beats, one in 0.8 s, on an offset.
fn signal(seconds: usize) -> String {
    let mut text = String::new();
    for sample in 0..250 * seconds {
        let beat = if sample % 200 == 50 { 1.0 } else { 0.0 };
        writeln!(text, "{}", 3.0 + beat).unwrap();
    }
    text
}

/// The JSON objects of an output, one a line.
fn objects(output: Vec<u8>) -> Vec<Value> {
    let text = String::from_utf8(output).unwrap();
    let objects = text.lines().map(|line| serde_json::from_str(line).unwrap());
    objects.collect()
}

#[test]
fn a_detector_is_trained_judged_on_chips_and_attacked() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let trained = train(folder);
    assert_eq!(trained["metric"]["name"], "F2");
    // Whole patients of 40 segments choose the epoch.
    let parts = ["train", "validation", "test"].map(|part| trained["data"][part].as_u64().unwrap());
    assert_eq!(parts, [320, 80, 120]);
    let method = &trained["methods"][0];
    let also = method["also"].as_array().unwrap();
    let value = |name: &str| {
        let found = also.iter().find(|also| also["metric"]["name"] == name);
        found.unwrap()["value"].as_f64().unwrap()
    };
    // Three patients, each with 12, 12, 8 and 8 segments of a rhythm: six votes.
    assert_eq!((value("patients"), value("votes")), (3.0, 18.0));
    let confusion = &trained["confusion"];
    assert_eq!(
        confusion["names"],
        serde_json::json!(["Other", "VA"]),
        "{confusion}"
    );

    let evaluate = "evaluate run --sigma 0.1 --chips 8 --seed 3 --json --out chips";
    let chips = json(&good(folder, evaluate));
    let values = chips["methods"][0]["population"]["values"]
        .as_array()
        .unwrap();
    assert_eq!(values.len(), 8);
    assert_eq!(chips["methods"][0]["clean"], method["clean"]);
    // Each chip by another metric: the same chips, of which the worst has the lowest voted accuracy.
    let votes =
        "evaluate run --metric voted-accuracy --sigma 0.1 --chips 8 --seed 3 --json --out votes";
    let votes = json(&good(folder, votes));
    assert_eq!(votes["metric"]["name"], "voted accuracy");
    assert_eq!(votes["methods"][0]["clean"], value("voted accuracy"));
    let patient = "evaluate run --metric worst-patient --noise none --chips 1 --json --out patient";
    let patient = json(&good(folder, patient));
    let worst = also.iter().find(|also| {
        let name = also["metric"]["name"].as_str().unwrap();
        name.starts_with("F2 of the worst patient")
    });
    assert_eq!(patient["methods"][0]["clean"], worst.unwrap()["value"]);
    let refused = bad(folder, "evaluate run --metric rouge-l --out no");
    assert!(
        refused.contains("task.metric = rouge-l is not allowed: use f2, bac"),
        "{refused}"
    );
    let attack = "worst-case run --bound 0.05 --budget 10 --random-chips 2 --json --out worst";
    let worst = json(&good(folder, attack));
    assert_eq!(worst["metric"]["name"], "F2");
    let (found, clean) = (worst["worst"].as_f64(), worst["clean"].as_f64());
    assert!(found.unwrap() <= clean.unwrap(), "{worst}");
}

#[test]
fn signals_are_decided_segment_by_segment_and_six_vote() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder);
    std::fs::write(folder.join("x.txt"), signal(65)).unwrap();
    // A text beside the header of a record is read itself; the record is not there.
    std::fs::write(folder.join("x.hea"), "x 1 250\nnone.dat 16").unwrap();
    let of_file = good(folder, "ecg detect run --input x.txt --json");
    let lines = objects(of_file.stdout);
    let noted = String::from_utf8(of_file.stderr).unwrap();
    assert!(
        noted.contains(
            "was trained with filter=zero-phase, this signal is filtered with filter=causal"
        ),
        "{noted}"
    );
    let segments: Vec<&Value> = lines
        .iter()
        .filter(|line| line["segment"].is_u64())
        .collect();
    assert_eq!(segments.len(), 13);
    assert!(
        segments
            .iter()
            .all(|line| line["latency_ms"].as_f64().unwrap() > 0.0)
    );
    let diagnoses: Vec<&Value> = lines.iter().filter(|line| line["votes"].is_u64()).collect();
    let spans = diagnoses
        .iter()
        .map(|line| (line["from_s"].as_f64(), line["to_s"].as_f64()));
    let expected = [(Some(0.0), Some(30.0)), (Some(30.0), Some(60.0))];
    assert!(spans.eq(expected), "{diagnoses:?}");
    for (index, diagnosis) in diagnoses.iter().enumerate() {
        let votes = segments[6 * index..6 * index + 6].iter();
        let alarms = votes.filter(|line| line["decision"] == "VA").count();
        assert_eq!(diagnosis["alarms"], alarms);
        assert_eq!(diagnosis["diagnosis"] == "VA", alarms >= 3);
    }
    // The same from standard input, decision by decision, but for the time that each took.
    let stream = |options: &[&str]| {
        let mut command = crossburn(folder);
        command
            .args(["ecg", "detect", "run", "--input", "-"])
            .args(options)
            .write_stdin(signal(65));
        let output = command.output().unwrap();
        assert!(output.status.success());
        output
    };
    let timeless = |lines: Vec<Value>| -> Vec<Value> {
        let mut lines = lines;
        for line in &mut lines {
            line.as_object_mut().unwrap().remove("latency_ms");
        }
        lines
    };
    let of_stream = objects(stream(&["--json"]).stdout);
    assert_eq!(timeless(of_stream), timeless(lines.clone()));
    // As text.
    let of_stream = stream(&["--filtered"]);
    let text = String::from_utf8(of_stream.stdout).unwrap();
    let segments = text.lines().filter(|line| line.starts_with("segment"));
    assert_eq!(segments.count(), 13);
    let summary = String::from_utf8(of_stream.stderr).unwrap();
    assert!(summary.contains("13 segments, 0 left out"), "{summary}");
    assert!(!summary.contains("was trained with filter="), "{summary}");
}

#[test]
fn records_are_decided_and_holes_interrupt_the_vote() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder);
    let mut samples: Vec<i16> = (0..250 * 40)
        .map(|i| if i % 200 == 50 { 900 } else { 100 })
        .collect();
    samples[1300] = i16::MIN;
    samples.truncate(250 * 40 - 7);
    let sum = samples.iter().fold(0i16, |sum, x| sum.wrapping_add(*x));
    let header = |rate: u32| {
        format!(
            "x 1 {rate} {}\nx.dat 16 200/mV 16 0 100 {sum} 0 II",
            samples.len()
        )
    };
    let bytes: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    std::fs::write(folder.join("x.dat"), bytes).unwrap();
    std::fs::write(folder.join("x.hea"), header(250)).unwrap();
    std::fs::write(folder.join("x.mat"), "no matrix").unwrap();
    for input in ["x.hea", "x.mat", "x"] {
        let output = good(
            folder,
            &format!("ecg detect run --input {input} --signal II"),
        );
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("left out: 1 samples were not taken"),
            "{text}"
        );
        // Seven whole segments, the second left out: the five after it are too few for a vote.
        assert!(!text.contains("diagnosis"), "{text}");
        let summary = String::from_utf8(output.stderr).unwrap();
        assert!(summary.contains("7 segments, 1 left out"), "{summary}");
        assert!(
            summary.contains("the last 1243 samples are too few for a segment"),
            "{summary}"
        );
    }
    std::fs::write(folder.join("x.hea"), header(360)).unwrap();
    let refused = bad(folder, "ecg detect run --input x.hea");
    assert!(
        refused.contains("x.hea: 360 samples a second, detectors take 250"),
        "{refused}"
    );
    std::fs::write(folder.join("x.hea"), header(250)).unwrap();
    let refused = bad(folder, "ecg detect run --input x.hea --signal V");
    assert!(
        refused.contains("x.hea: it has no signal V; use --signal with 1 or one of II"),
        "{refused}"
    );
}

#[test]
fn bad_signals_are_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder);
    std::fs::write(folder.join("nan.txt"), "1\n2\nNaN\n").unwrap();
    std::fs::write(folder.join("x.mat"), "no matrix").unwrap();
    std::fs::write(folder.join("one.txt"), "1\n").unwrap();
    std::fs::write(folder.join("long.txt"), format!("1\n{}\n", "0".repeat(300))).unwrap();
    for (arguments, part) in [
        (
            "--input nan.txt",
            "nan.txt, line 3: `NaN` is no finite number",
        ),
        (
            "--input long.txt",
            "long.txt, line 2: it has more than 256 bytes: give one number on every line",
        ),
        ("--input none.txt", "cannot read none.txt"),
        (
            "--input x.mat",
            "x.mat: it is too short for a MATLAB file of level 5",
        ),
        (
            "--input one.txt --rate 360",
            "--rate: 360 samples a second, detectors take 250",
        ),
        ("--input - --rate 128", "--rate: 128 samples a second"),
    ] {
        let refused = bad(folder, &format!("ecg detect run {arguments}"));
        assert!(refused.contains(part), "{refused}");
    }
    for (input, part) in [
        (
            signal(5) + "1\n1\n",
            "standard input stops in the middle of segment 2, after 2 of 1250 samples",
        ),
        (String::new(), "standard input holds no samples"),
    ] {
        let mut command = crossburn(folder);
        command
            .args(["ecg", "detect", "run", "--input", "-"])
            .write_stdin(input);
        let output = command.output().unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{text}");
        assert!(text.contains(part), "{text}");
    }
    // A network that is no network of signals, and one that is no detector.
    let other = "train ecg.toml --set model={kind=\"mlp\",widths=[1250,2]} --out no";
    let refused = bad(folder, other);
    assert!(
        refused.contains("model.kind = mlp is not allowed: use a network of signals"),
        "{refused}"
    );
    perceptron(folder, "p.toml");
    good(folder, "train p.toml --out p");
    let refused = bad(folder, "ecg detect p --input one.txt");
    assert!(
        refused.contains("p/checkpoint was trained for classification: train a detector"),
        "{refused}"
    );
}

#[test]
fn real_records_train_a_detector_that_finds_rhythms_of_other_records() {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let shared = manifest.join("../shared/data");
    if ["ecg-vfdb", "ecg-mitdb"]
        .iter()
        .any(|set| !shared.join(set).exists())
    {
        eprintln!("skipped: no records beside the checkout");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let recipe = manifest.join("configs/recipes/vfdb.toml");
    // A few epochs on the fold of the recipe.
    let data = format!("wfdb:{}?folds=5&fold=0", shared.join("ecg-vfdb").display());
    let train = format!(
        "train {} --data {data} --set training.epochs=5 --out run --json",
        recipe.display()
    );
    let trained = json(&good(folder, &train));
    let also = |document: &Value, name: &str| {
        let also = document["methods"][0]["also"].as_array().unwrap();
        let found = also.iter().find(|also| also["metric"]["name"] == name);
        found.unwrap()["value"].as_f64().unwrap()
    };
    // Whole records were not learned from. A detector that says the same of every segment, or draws it, has a BAC of one half: the bound is
    // midway from there to 1.
    assert_eq!(also(&trained, "patients"), 4.0);
    assert!(also(&trained, "BAC") > 0.75, "{trained}");

    // Records of another set at another rate are judged, all that are named.
    let other = format!(
        "evaluate run --data wfdb:{}?only=test&records=203,207,223 --noise none --chips 1 --json --out other",
        shared.join("ecg-mitdb").display()
    );
    let other = json(&good(folder, &other));
    assert_eq!(also(&other, "patients"), 3.0);
    assert!(also(&other, "BAC") > 0.5, "{other}");
}
