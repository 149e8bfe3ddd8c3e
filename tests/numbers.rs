//! Numbers that stood before tasks had a seam stand after it.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use command::{GAUSSIAN, good, json, recipe};
use serde_json::Value;

/// Training, validation and validation under noise, epoch by epoch, of the recipe of the tests with three epochs, as commit
/// b851383 gave them, before data, loss and metric were one seam.
const CURVE: [[f64; 3]; 3] = [[0.125, 0.21, 0.21], [0.315, 0.28, 0.31], [0.51, 0.51, 0.49]];
/// Twenty chips of seed 7 with Gaussian variation of 0.2.
const CHIPS: [f64; 20] = [
    0.49, 0.42, 0.49, 0.46, 0.48, 0.36, 0.49, 0.43, 0.41, 0.49, 0.53, 0.41, 0.42, 0.5, 0.48, 0.42,
    0.38, 0.46, 0.47, 0.46,
];
/// A worst-case search of 30 passes within 0.03, evaluation by evaluation.
const PATH: [f64; 42] = [
    0.53, 0.21, 0.53, 0.26, 0.53, 0.22, 0.53, 0.17, 0.53, 0.11, 0.53, 0.09, 0.53, 0.11, 0.53, 0.11,
    0.53, 0.09, 0.53, 0.09, 0.53, 0.12, 0.53, 0.16, 0.53, 0.14, 0.53, 0.1, 0.53, 0.44, 0.33, 0.31,
    0.27, 0.09, 0.09, 0.1, 0.1, 0.09, 0.1, 0.09, 0.1, 0.09,
];

/// Sums of products are rounded as the instructions of a processor add them up: an item on the edge may fall to the other side,
/// and what is trained for three epochs may move by as much.
const ONE_OF_A_HUNDRED: f64 = 0.0101;

fn same(found: &[f64], expected: &[f64], what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}");
    for (place, (a, b)) in found.iter().zip(expected).enumerate() {
        assert!((a - b).abs() < ONE_OF_A_HUNDRED, "{what} {place}: {a} {b}");
    }
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len() as f64;
    assert!((mean(found) - mean(expected)).abs() < 0.003, "{what}");
}

#[test]
fn numbers_are_those_of_before_the_seam() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "r.toml", 3, GAUSSIAN);
    let number = |value: &Value| value.as_f64().unwrap();
    let trained = json(&good(folder, "train r.toml --out run --json"));
    let rows = trained["methods"][0]["curve"].as_array().unwrap();
    for (row, expected) in rows.iter().zip(&CURVE) {
        let keys = ["train_metric", "validation", "validation_noisy"];
        same(&keys.map(|key| number(&row[key])), expected, "curve");
    }
    let chips = "evaluate run --sigma 0.2 --chips 20 --seed 7 --out e --json";
    let chips = json(&good(folder, chips));
    let values = chips["methods"][0]["population"]["values"]
        .as_array()
        .unwrap();
    same(
        &values.iter().map(number).collect::<Vec<_>>(),
        &CHIPS,
        "chips",
    );
    let search = "worst-case run --budget 30 --random-chips 10 --out w --json";
    let search = json(&good(folder, search));
    let path = search["searches"][0]["path"].as_array().unwrap();
    let scores: Vec<f64> = path.iter().map(|point| number(&point["score"])).collect();
    assert_eq!(scores.len(), PATH.len());
    // Steps by the sign of a gradient carry a rounding further than one step.
    same(&scores[..4], &PATH[..4], "search");
    let lowest = |path: &[f64]| path.iter().copied().fold(1.0, f64::min);
    assert!((lowest(&scores) - lowest(&PATH)).abs() < 0.03);
}
