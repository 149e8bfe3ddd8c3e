//! The language model that comes with the program learns a person whom it has not met, without a download.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::str::FromStr;

use command::{bad, good, json};
use crossburn::training::data::{Corpus, DataSource};
use serde_json::Value;

/// The share of answers that are right in full.
fn answers(document: &Value) -> f64 {
    let also = document["methods"][0]["also"].as_array().unwrap();
    let of_name = |entry: &&Value| entry["metric"]["name"] == "completion accuracy";
    also.iter().find(of_name).unwrap()["value"]
        .as_f64()
        .unwrap()
}

#[test]
fn a_prompt_teaches_it_a_person_whom_it_has_not_met() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut gains = Vec::new();
    for person in 0..3 {
        let tuned =
            format!("tune prompt --data person:{person} --epochs 8 --out tuned-{person} --json");
        let tuned = answers(&json(&good(folder, &tuned)));
        let before = format!(
            "evaluate runs/models/personal --data person:{person} --noise none --chips 1 --out before-{person} --json"
        );
        gains.push(tuned - answers(&json(&good(folder, &before))));
    }
    // What is known of a person decides four of five kinds of answers: see the tests of the corpus.
    let mean = gains.iter().sum::<f64>() / gains.len() as f64;
    assert!(mean > 0.1, "{gains:?}");
}

#[test]
fn what_a_prompt_has_learned_is_spoken() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    good(folder, "tune prompt --epochs 8 --out tuned");
    let questions = DataSource::from_str("person:0?kind=tweet").unwrap();
    let Corpus::Passages(questions) = questions.test_corpus(1).unwrap() else {
        unreachable!("a person gives passages")
    };
    // How a person says a thing is one of eight voices, which the model alone can only guess.
    let right = |adapter: &str| {
        let said = questions.iter().take(6).filter(|question| {
            let output = std::process::Command::new(env!("CARGO_BIN_EXE_crossburn"))
                .current_dir(folder)
                .args(["generate", "--model", "runs/models/personal", "--quiet"])
                .args(["--max-new-tokens", "40", "--stop", "\n"])
                .args(["--prompt", &question.prompt])
                .args(adapter.split_whitespace())
                .output()
                .unwrap();
            assert!(output.status.success(), "{output:?}");
            String::from_utf8(output.stdout).unwrap().trim() == question.completion.trim()
        });
        said.count()
    };
    let (alone, tuned) = (right(""), right("--adapter tuned/checkpoint"));
    assert!(tuned > alone, "{tuned} {alone}");
    let message = bad(folder, "generate --model tuned --prompt x");
    assert!(
        message.contains("tuned/checkpoint holds an adapter for runs/models/personal; give that as the model, and this as --adapter"),
        "{message}"
    );
}
