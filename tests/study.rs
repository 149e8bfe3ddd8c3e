//! `crossburn study edge-llm` and `crossburn recommend` as a user meets them, in the smallest form.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use command::{bad, good, json};
use serde_json::Value;

/// A document without its timing and what names the run.
fn document(folder: &Path, arguments: &str) -> Value {
    let mut document = json(&good(folder, arguments));
    for key in ["timing", "reproduce", "made_by"] {
        document[key].take();
    }
    document
}

#[test]
fn a_study_goes_on_where_it_was_is_the_same_on_one_core_and_answers_about_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = document(folder, "study edge-llm tiny --out a --json --threads 2");
    // Two tasks, three methods with two histories, and one that uses none.
    assert_eq!(first["cells"].as_array().unwrap().len(), 14);
    for file in ["report.html", "cells.json", "plots/budget-1.svg"] {
        assert!(folder.join("a").join(file).is_file(), "{file}");
    }
    let other = document(
        folder,
        "reproduce edge-llm --quick --out b --json --threads 1",
    );
    assert_eq!(other, first);

    // Cells of one condition are measured again, to the same numbers.
    let path = folder.join("a/cells.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let cells = kept["cells"].as_object_mut().unwrap();
    cells
        .remove("shipped, fp32, ideal, title, lora, 8")
        .unwrap();
    std::fs::write(&path, kept.to_string()).unwrap();
    let again = document(folder, "study edge-llm tiny --out a --resume --json");
    assert_eq!(again, first);

    let ask = "recommend --study a --hours 1 --history 8 --task titling --ram";
    let answer = String::from_utf8(good(folder, &format!("{ask} 2GB")).stdout).unwrap();
    for part in [
        "by 2 people with a history of 8",
        "Behind the best",
        "not measured: memory: the largest cell takes",
    ] {
        assert!(answer.contains(part), "{answer}");
    }
    let message = bad(folder, &format!("{ask} 2KB"));
    assert!(
        message.contains("not measured: no cell of title fits in 2000 bytes"),
        "{message}"
    );
    let message = bad(
        folder,
        "recommend --study a --hours 1 --history 500 --task titling --ram 2GB",
    );
    assert!(
        message.contains("not measured: a history of 500"),
        "{message}"
    );
}

#[test]
fn what_cannot_be_studied_is_refused_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tiny = include_str!("../configs/studies/tiny.toml");
    let write = |name: &str, from: &str, to: &str| {
        assert!(tiny.contains(from));
        std::fs::write(folder.join(name), tiny.replacen(from, to, 1)).unwrap();
    };
    write("none.toml", "people = 2", "people = 0");
    write(
        "small.toml",
        "operations_per_second = 1e9",
        "operations_per_second = 1e9\nram = 1000",
    );
    for (arguments, part) in [
        (
            "study edge-llm none.toml",
            "none.toml is no study: people = 0: use 1 to",
        ),
        (
            "study edge-llm small.toml",
            "no cell fits in device.ram = 1000 bytes, the smallest is predicted to take",
        ),
        (
            "study edge-llm nowhere",
            "`nowhere` is neither a file nor one of the studies",
        ),
        (
            "reproduce edge-llm --data digits",
            "this paper's experiment is not defined on digits",
        ),
        (
            "recommend --ram 2GB --hours 1 --history 8 --task choice",
            "make a study with `crossburn study edge-llm quick`",
        ),
    ] {
        let message = bad(folder, arguments);
        assert!(message.contains(part), "{arguments}: {message}");
    }
}
