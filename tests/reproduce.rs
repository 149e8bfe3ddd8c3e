//! `crossburn reproduce` as a user meets it, in its quick form.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

fn run(folder: &Path, arguments: &str) -> Output {
    let mut command = Command::cargo_bin("crossburn").unwrap();
    command
        .current_dir(folder)
        .args(arguments.split_whitespace())
        .output()
        .unwrap()
}

/// Runs a command that must succeed, and reads the document that it prints, without its timing.
fn document(folder: &Path, arguments: &str) -> Value {
    let output = run(folder, arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {text}");
    let mut document: Value = serde_json::from_slice(&output.stdout).unwrap();
    document["timing"].take();
    document
}

/// The finished cells of seed 1 in the run folder `out`.
fn cells(folder: &Path, out: &str, change: impl FnOnce(&mut Value)) {
    let path = folder.join(out).join("cells.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut kept["cells"]["1"]);
    std::fs::write(path, kept.to_string()).unwrap();
}

#[test]
fn every_training_is_judged_and_what_is_finished_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let command = "reproduce kpp --quick --seeds 1 --json --out k";
    let first = document(folder, command);
    let rows = first["rows"].as_array().unwrap();
    let columns = first["columns"].as_array().unwrap();
    assert!(rows.len() >= 9 && columns.len() == 6);
    for row in rows {
        let accuracy = row["accuracy"].as_array().unwrap();
        assert!(accuracy.len() == 6 && accuracy.iter().all(|seeds| seeds[0].as_f64().is_some()));
    }
    let budget = |name: &str| {
        let row = rows.iter().find(|row| row["name"] == name).unwrap();
        row["budget"].as_f64().unwrap()
    };
    assert_eq!(
        [budget("none"), budget("trice"), budget("awp")],
        [1.0, 3.0, 2.0]
    );
    let claims = first["claims"].as_array().unwrap();
    assert!(claims.iter().all(|claim| claim["holds"].is_boolean()));
    for file in ["report.html", "table.md"] {
        let text = std::fs::read_to_string(folder.join("k").join(file)).unwrap();
        assert!(text.contains("trice") && text.contains("Budget"), "{file}");
    }
    // A training that is missing is made again, to the same numbers; the others are read.
    cells(folder, "k", |seed| {
        seed.as_object_mut()
            .unwrap()
            .remove("gaussian 0.2")
            .unwrap();
        seed["none"]["numbers"]["clean"] = 0.5.into();
    });
    let again = document(folder, &format!("{command} --resume"));
    let row = |document: &Value, index: usize| document["rows"][index].clone();
    assert_eq!(row(&again, 0)["accuracy"][0][0], 0.5);
    for index in 1..rows.len() {
        assert_eq!(row(&again, index), row(&first, index));
    }
    // Cells of other settings are not mixed in.
    let other = run(
        folder,
        "reproduce worst-case --quick --seeds 1 --out k --resume",
    );
    let text = String::from_utf8(other.stderr).unwrap();
    assert!(
        text.starts_with("error: ") && text.contains("cells of other settings"),
        "{text}"
    );
}
