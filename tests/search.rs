//! `crossburn search` as a user meets it.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod command;

use std::path::Path;

use command::{bad, good, json, run};
use serde_json::Value;

const SPACE: &str = r#"name = "mine"
network.channels = { times = 3, of = [8, 16, 32] }
network.kernels = { times = 3, of = [3, 5] }
hardware.array = [64, 128]
evaluation.kind = "surrogate"
score = { kind = "r-ae", quality = "quality", energy = "energy", reference = 1e9 }
"#;

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine.toml"), SPACE).unwrap();
    folder
}

/// A document without its timing and the command that repeats it.
fn document(folder: &Path, arguments: &str) -> Value {
    let mut document = json(&good(folder, arguments));
    document["timing"].take();
    document["reproduce"].take();
    document
}

#[test]
fn six_lines_give_a_pareto_plot_and_the_same_again() {
    let folder = folder();
    let folder = folder.path();
    let first = document(
        folder,
        "search mine.toml --budget 30 --seeds 3 --out a --json --threads 2",
    );
    let names: Vec<&str> = first["proposers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|proposer| proposer["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        ["random", "evolution", "reinforce", "tpe", "heuristic"]
    );
    for file in [
        "report.html",
        "evaluations.json",
        "plots/best-so-far.svg",
        "plots/pareto-1.svg",
        "plots/layers.svg",
    ] {
        assert!(folder.join("a").join(file).is_file(), "{file}");
    }
    // Another number of threads, and another folder.
    let second = document(
        folder,
        "search mine.toml --budget 30 --seeds 3 --out b --json --threads 1",
    );
    assert_eq!(second, first);
    let table = String::from_utf8(good(folder, "report a").stdout).unwrap();
    assert!(
        table.contains("Regret after 20") && table.contains("Best score"),
        "{table}"
    );
    // The kept evaluations change nothing, and a larger budget begins in the same way.
    let again = document(
        folder,
        "search mine.toml --budget 30 --seeds 3 --out a --json --resume",
    );
    assert_eq!(again, first);
    let longer = document(
        folder,
        "search mine.toml --budget 40 --seeds 3 --out a --json --resume",
    );
    let rises = |document: &Value| {
        document["proposers"][1]["runs"][2]["best"]
            .as_array()
            .unwrap()
            .clone()
    };
    assert_eq!(rises(&longer)[..rises(&first).len()], rises(&first)[..]);
    // A space that was changed has other evaluations.
    std::fs::write(folder.join("mine.toml"), SPACE.replace("16, 32", "16, 64")).unwrap();
    let message = bad(folder, "search mine.toml --budget 30 --out a --resume");
    assert!(message.contains("of other settings"), "{message}");
}

#[test]
fn limits_are_kept_and_those_that_no_design_keeps_are_refused() {
    let folder = folder();
    let folder = folder.path();
    let all = document(
        folder,
        "search mine.toml --proposer random --budget 50 --json",
    );
    let energies = |document: &Value| -> Vec<f64> {
        let points = document["points"].as_array().unwrap();
        points
            .iter()
            .map(|point| point["values"][1].as_f64().unwrap())
            .collect()
    };
    let mut found = energies(&all);
    found.sort_by(f64::total_cmp);
    let middle = found[found.len() / 2];
    let command =
        format!("search mine.toml --proposer random --budget 50 --json --limit energy={middle}");
    let limited = document(folder, &command);
    assert!(energies(&limited).iter().all(|energy| *energy <= middle));
    assert!(
        limited["proposers"][0]["runs"][0]["refused"]
            .as_u64()
            .unwrap()
            > 0
    );
    let message = bad(folder, "search mine.toml --limit energy=1,area=1e9");
    assert!(
        message.contains("keeps --limit energy <= 1 pJ and area <= 1000000000 mm2"),
        "{message}"
    );
}

#[test]
#[cfg(unix)]
fn programs_and_recorded_conversations_propose() {
    let folder = folder();
    let folder = folder.path();
    // The first reply of each proposal is prose, the second a design, which is the same each time.
    let script = r#"#!/bin/sh
if grep -q "That is not a design"; then
  echo 'Sorry. {"channels":[8,8,16],"kernels":[3,3,3],"array":128}'
else
  echo 'I would widen it.'
fi
"#;
    let program = folder.join("speaks.sh");
    std::fs::write(&program, script).unwrap();
    let executable = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(&program, executable).unwrap();
    let spoken = document(
        folder,
        "search mine.toml --proposer command --command ./speaks.sh --budget 3 --out c --json",
    );
    let run_of = |document: &Value| document["proposers"][0]["runs"][0].clone();
    let found = run_of(&spoken);
    assert_eq!(
        found["best_design"],
        "channels=8,8,16 kernels=3,3,3 array=128"
    );
    assert_eq!(
        (found["repeated"].as_u64(), found["invalid"].as_u64()),
        (Some(2), Some(0))
    );
    assert_eq!(spoken["conversation"].as_array().unwrap().len(), 6);
    let transcript = std::fs::read_to_string(folder.join("c/conversation-command.jsonl")).unwrap();
    assert!(transcript.contains("Earlier designs") && transcript.lines().count() == 6);
    let replayed = document(
        folder,
        "search mine.toml --proposer replay --transcript c/conversation-command.jsonl --budget 5 --out r --json",
    );
    let mut again = run_of(&replayed);
    assert_eq!(again["ended"], "there are no more replies");
    again["ended"].take();
    assert_eq!(again, found);
    let broken = bad(
        folder,
        "search mine.toml --proposer command --command false --budget 2 --out f",
    );
    assert!(broken.contains("--command `false`: ended with"), "{broken}");
    assert!(folder.join("f/evaluations.json").is_file());
}

#[test]
fn what_cannot_be_searched_is_named_in_one_line() {
    let folder = folder();
    let folder = folder.path();
    std::fs::write(folder.join("odd.toml"), SPACE.replace("array", "colour")).unwrap();
    for (arguments, part) in [
        (
            "search nowhere.toml",
            "neither a file nor one of the spaces lcda",
        ),
        ("search odd.toml", "axis `colour` has no meaning"),
        (
            "search mine.toml --proposer genius",
            "there is no proposer `genius`",
        ),
        ("search mine.toml --proposer tpe,tpe", "names tpe twice"),
        ("search mine.toml --budget 0", "--budget 0"),
        (
            "search mine.toml --score beauty",
            "there is no measure `beauty`",
        ),
        (
            "search mine.toml --limit beauty=1",
            "there is no measure `beauty`",
        ),
        (
            "search mine.toml --limit quality=1",
            "more of `quality` is better",
        ),
        (
            "search mine.toml --proposer chat",
            "--proposer chat needs --endpoint",
        ),
        (
            "search mine.toml --endpoint http://localhost",
            "--endpoint URL is for --proposer chat",
        ),
        (
            "search mine.toml --table t.csv",
            "--table is for spaces with a table",
        ),
        (
            "search nas-analog-bench",
            "there is no table at analog_nasbench.csv",
        ),
        ("search mine.toml --resume", "nothing to resume"),
    ] {
        let message = bad(folder, arguments);
        assert!(message.contains(part), "{arguments}: {message}");
    }
    let refused = run(folder, "search mine.toml --limit energy");
    let text = String::from_utf8(refused.stderr).unwrap();
    assert!(text.contains("use MEASURE=NUMBER"), "{text}");
}

/// The whole table of AnalogNAS-Bench, where it is at hand.
#[test]
fn the_measured_cells_are_at_chance_where_no_path_leads_through() {
    use crossburn::models::nas::{CellOperation, NasCell};

    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/nas-analog-bench");
    let Ok(table) = std::fs::read_to_string(folder.join("analog_nasbench.csv")) else {
        eprintln!("skipped: {} is not there", folder.display());
        return;
    };
    let names = ["skip", "none", "conv3x3", "conv1x1", "avgpool"];
    let mut cut = 0;
    for line in table.lines().skip(1) {
        let mut cells = line.split(',');
        let (cell, baseline) = (cells.next().unwrap(), cells.next().unwrap());
        let edges = cell.split('-').map(|digit| {
            let number: usize = digit.parse().unwrap();
            CellOperation::of(names[number]).unwrap()
        });
        let edges: Vec<CellOperation> = edges.collect();
        let network = NasCell {
            edges: edges.try_into().unwrap(),
        };
        let at_chance = baseline.parse::<f64>().unwrap() < 15.0;
        assert_eq!(!network.is_connected(), at_chance, "{cell} {baseline}");
        cut += usize::from(at_chance);
    }
    assert_eq!(cut, 341);
}

const TRAINED: &str = r#"name = "trained"
network.channels = { times = 2, of = [2, 64] }
network.kernels = { times = 2, of = [3] }
network.block = ["conv", "residual"]
evaluation.kind = "training"
evaluation.data = { source = "digits", train = 150, validation = 30, test = 60 }
evaluation.training = { epochs = 1, batch = 30 }
evaluation.accelerator = "papers"
evaluation.chips = 3
score = { kind = "r-ae", quality = "quality", energy = "energy", reference = 1e12 }
"#;

#[test]
fn designs_are_trained_once_and_what_costs_too_much_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let space = |change: &str, to: &str| {
        std::fs::write(folder.join("trained.toml"), TRAINED.replace(change, to)).unwrap();
    };
    let read =
        |path: &Path| -> Value { serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap() };
    space("", "");
    let command =
        "search trained.toml --proposer random --seeds 2 --budget 3 --json --limit weights=20000";
    let first = document(folder, &format!("{command} --out a --threads 2"));
    let measures = first["measures"].as_array().unwrap().iter();
    let names: Vec<&str> = measures
        .map(|measure| measure["name"].as_str().unwrap())
        .collect();
    let costs = ["energy", "latency", "area", "weights", "activations"];
    assert_eq!(names[0], "quality");
    assert_eq!(
        (&names[1..6], &names[6..]),
        (&costs[..], &["kpp1", "clean"][..])
    );
    // A linear layer on 64 channels of 14 x 14 pixels has 125,440 weights: only designs that end with two channels are trained.
    let kept = folder.join("a/evaluations.json");
    let mut file = read(&kept);
    let trained = file["evaluations"].as_object_mut().unwrap();
    assert!(!trained.is_empty());
    assert!(
        trained.keys().all(|design| design.contains(",2 ")),
        "{trained:?}"
    );
    for judged in trained.values() {
        let value = |place: usize| judged["measured"][place].as_f64().unwrap();
        assert!((0.0..=1.0).contains(&value(0)) && value(6) <= value(0));
    }
    let second = document(folder, &format!("{command} --out b --threads 1"));
    assert_eq!(second, first);
    // An evaluation that is missing is made again.
    let name = trained.keys().next().unwrap().clone();
    let gone = trained.remove(&name).unwrap();
    std::fs::write(&kept, file.to_string()).unwrap();
    let again = document(folder, &format!("{command} --out a --resume"));
    assert_eq!(again, first);
    assert_eq!(read(&kept)["evaluations"][&name], gone);
    for (change, to, part) in [
        ("test = 60", "test = 50", "of other settings"),
        ("epochs = 1", "epochs = 0", "training.epochs = 0"),
        ("chips = 3", "chips = 0", "chips = 0"),
        (
            "validation = 30",
            "validation = 150",
            "data.validation = 150",
        ),
        (
            "network.block",
            "hardware.adc_bits = [4, 8]\nnetwork.block",
            "axis `adc_bits` changes the cost alone",
        ),
    ] {
        space(change, to);
        let message = bad(
            folder,
            "search trained.toml --proposer random --budget 1 --out a --resume",
        );
        assert!(message.contains(part), "{to}: {message}");
    }
}
