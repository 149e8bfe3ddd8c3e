//! Training on chips of a hardware, and judging on it, as a user meets them.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use command::{bad, good, perceptron, results};
use serde_json::{Value, json};

/// Four bits everywhere: full scales of inputs matter.
const FOUR_BITS: &str = "
    device = { preset = \"state-independent\" }
    mapping = { weight_bits = 4 }
    array = { rows = 128, columns = 128, input = { bits = 4 }, adc = { bits = 4, range = { calibrated = { percentile = 99.9 } }, codes = \"symmetric\" } }
    operation = { read_noise = false }";

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    perceptron(folder.path(), "plain.toml");
    write("four.toml", FOUR_BITS);
    write("four", FOUR_BITS);
    let fixed = "operation = { input_range = \"fixed\", read_noise = false }";
    let fixed = FOUR_BITS.replace("operation = { read_noise = false }", fixed);
    write(
        "fixed.toml",
        &fixed.replace("input = { bits = 4 }", "input = { bits = 4, x_max = 2.0 }"),
    );
    folder
}

/// Mean accuracy of a few chips, and the document.
fn judged(folder: &Path, run: &str, hardware: &str) -> (f64, Value) {
    let out = format!("{run}-on-{hardware}");
    good(
        folder,
        &format!("evaluate {run} --hardware {hardware} --fidelity array --chips 4 --out {out}"),
    );
    let found = results(&folder.join(out));
    let mean = found["methods"][0]["population"]["mean"].as_f64().unwrap();
    (mean, found)
}

#[test]
fn what_training_has_learned_of_inputs_is_used_and_recorded() {
    let folder = folder();
    let folder = folder.path();
    let train = "train plain.toml --hardware four --set hardware.fidelity=array --out run";
    good(folder, train);
    let recipe = std::fs::read_to_string(folder.join("run/recipe.toml")).unwrap();
    assert!(recipe.contains("[hardware.accelerator.device]"), "{recipe}");
    let manifest = folder.join("run/checkpoint/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let mut stored: Value = serde_json::from_str(&text).unwrap();
    let scales = stored["input_scales"].as_object().unwrap().clone();
    assert_eq!(scales.len(), 2);

    let (mean, found) = judged(folder, "run", "four.toml");
    let noise = &found["methods"][0]["training_noise"];
    assert_eq!(noise["kind"], "hardware");
    let target = &found["config"]["deployment"]["targets"][0];
    let layers = target["layer"].as_array().unwrap();
    for layer in layers {
        let learned = &scales[layer["path"].as_str().unwrap()];
        let single = |value: &Value| value.as_f64().unwrap() as f32;
        assert_eq!(single(&layer["input_scale"]), single(learned));
    }
    assert_eq!(layers.len(), 2);
    let (fixed, _) = judged(folder, "run", "fixed.toml");

    // Inputs of up to a hundredth lose nearly all that they say.
    for scale in stored["input_scales"].as_object_mut().unwrap().values_mut() {
        *scale = json!(0.01);
    }
    std::fs::create_dir_all(folder.join("clipped")).unwrap();
    copy(&folder.join("run"), &folder.join("clipped"));
    let changed = folder.join("clipped/checkpoint/manifest.json");
    std::fs::write(changed, stored.to_string()).unwrap();
    let (clipped, _) = judged(folder, "clipped", "four.toml");
    assert!(clipped < mean - 0.1, "{clipped} {mean}");
    // A hardware with ranges of its own keeps them.
    assert_eq!(judged(folder, "clipped", "fixed.toml").0, fixed);
    // Chips of other full scales are other chips.
    let mixed = "evaluate clipped --hardware four.toml --fidelity array --chips 4 --out run-on-four.toml --resume --quiet";
    bad(folder, mixed);
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        match entry.file_type().unwrap().is_dir() {
            true => {
                std::fs::create_dir_all(&target).unwrap();
                copy(&entry.path(), &target);
            }
            false => {
                std::fs::copy(entry.path(), target).unwrap();
            }
        }
    }
}

#[test]
fn every_key_can_be_set() {
    let folder = folder();
    let folder = folder.path();
    let keys = "--set hardware.accelerator=papers --set hardware.cell=pcm-mushroom --set hardware.fidelity=array \
                --set hardware.after=[\"1d\"] --set hardware.ranges_every=7 --set hardware.scale_rate=0.5";
    let printed = good(folder, &format!("train plain.toml {keys} --print-config")).stdout;
    let printed = String::from_utf8(printed).unwrap();
    for line in [
        "cell = \"pcm-mushroom\"",
        "fidelity = \"array\"",
        "after = [\"1 d\"]",
        "ranges_every = 7",
        "scale_rate = 0.5",
        "accelerator = \"papers\"",
    ] {
        assert!(printed.contains(line), "{printed}");
    }
    for (options, expected) in [
        (
            "--hardware nothing",
            "neither a file nor one of the accelerators",
        ),
        (
            "--set hardware.accelerator=paper",
            "there is no accelerator `paper`",
        ),
        (
            "--hardware papers --set hardware.cell=pcm",
            "there is no device `pcm`",
        ),
        (
            "--hardware papers --set hardware.rate=1",
            "unknown key `hardware.rate`",
        ),
        (
            "--hardware papers --set arrays.digital=[\"*\"]",
            "arrays.digital = every weight",
        ),
    ] {
        let message = bad(folder, &format!("train plain.toml {options} --out refused"));
        assert!(message.contains(expected), "{options}: {message}");
    }
}
