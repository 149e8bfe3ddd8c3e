//! The language model that comes with the program learns a person whom it has not met, without a download.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use command::{good, json};
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
