//! A detector becomes integers and runs on a simulated accelerator.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use command::{bad, good, json};
use serde_json::Value;

/// Trains a small detector for one epoch in the folder `run`: two convolutions and a linear layer, 8, 4 and 8 bits, half of the weights.
fn train(folder: &Path) {
    let recipe = "seed = 2\n[task]\nkind = \"arrhythmia-detection\"\nscale = \"segment\"\n\
                  [model]\nkind = \"signal-cnn\"\nclasses = 2\nbits = 8\nnorm = \"before-activation\"\nhidden = []\ndropout = 0.0\n\
                  layers = [{ channels = 8, kernel = 8, stride = 4 }, { channels = 8, kernel = 4, stride = 4 }]\n\
                  [arrays]\nbits = [{ path = \"convs.1.weight\", bits = 4 }]\n\
                  [quantization]\ngranularity = \"per-channel\"\nactivation_scale = \"power-of-two\"\n\
                  [pruning]\npattern = \"2:4\"\ndensities = []\n\
                  [data]\nsource = \"iegm\"\ntrain = 400\nvalidation = 80\ntest = 120\n\
                  [training]\nepochs = 1\nbatch = 20\n";
    std::fs::write(folder.join("ecg.toml"), recipe).unwrap();
    good(folder, "train ecg.toml --out run");
}

/// The numbers at this place in every layer.
fn of_layers(found: &Value, key: &str) -> Vec<u64> {
    let layers = found["layers"].as_array().unwrap().iter();
    layers
        .map(|layer| layer.pointer(key).unwrap().as_u64().unwrap())
        .collect()
}

#[test]
fn a_run_becomes_integers_that_an_accelerator_computes_to_the_bit() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder);
    let compiled = json(&good(folder, "ecg compile run --out x.json --json"));
    // 8 x 1 x 8, 8 x 8 x 4 and 2 x 8 x 77 weights, of which 2:4 keeps half, with a bit for each weight that says which.
    assert_eq!(of_layers(&compiled, "/weights"), [64, 256, 1232]);
    assert_eq!(
        of_layers(&compiled, "/stored/weights"),
        [32 * 8, 128 * 4, 616 * 8]
    );
    assert_eq!(of_layers(&compiled, "/stored/index"), [64, 256, 1232]);
    // A bias of 24 bits for each output, and 22 bits of rescaling but for the last layer.
    assert_eq!(
        of_layers(&compiled, "/stored/parameters"),
        [8 * 46, 8 * 46, 2 * 24]
    );
    let number = |key: &str| compiled[key].as_f64().unwrap();
    let bits = (64.0 * 8.0 + 256.0 * 4.0 + 1232.0 * 8.0) / 1552.0;
    assert!((number("mean_bits") - bits).abs() < 1e-12);
    assert!(number("difference") <= number("bound"), "{compiled}");
    assert_eq!(number("segments"), 120.0);
    assert!(number("alike") >= 100.0, "{compiled}");

    let simulated = json(&good(folder, "ecg simulate x.json --json"));
    assert_eq!(simulated["segments"], 120);
    assert_eq!(simulated["equal"], 120);
    // The integers of the simulator are those that were compared.
    assert_eq!(simulated["metric"]["name"], "F2");
    assert_eq!(simulated["value"], compiled["integers"]);
    // The contest of 2022: 100 F2, 20 for less than a millisecond, and 20 for 5 KiB, less 20 for each 251 KiB more.
    let also = simulated["also"].as_array().unwrap();
    let score = also.iter().find(|also| {
        also["metric"]["name"] == "score by the 2022 contest's rule, on the simulated accelerator"
    });
    let score = score.unwrap()["value"].as_f64().unwrap();
    let kibibytes = compiled["layers"].as_array().unwrap().iter();
    let bits = kibibytes.flat_map(|layer| {
        let stored = &layer["stored"];
        ["weights", "index", "parameters"].map(|part| stored[part].as_f64().unwrap())
    });
    let memory = (1.0 - (bits.sum::<f64>() / 8192.0 - 5.0) / 251.0).min(1.0);
    let expected = 100.0 * simulated["value"].as_f64().unwrap() + 20.0 + 20.0 * memory;
    assert!((score - expected).abs() < 1e-9, "{score} {expected}");
    // 311 and 77 positions, then one.
    let macs: [u64; 3] = [8 * 8 * 311, 8 * 32 * 77, 1232];
    assert_eq!(of_layers(&simulated, "/counts/dense_macs"), macs);
    assert_eq!(
        of_layers(&simulated, "/counts/executed_macs"),
        macs.map(|all| all / 2)
    );
    // Two input channels, 16 outputs and 16 positions at a time: 8 taps in 20 tiles, 4 x 4 in 5 tiles, 4 x 77 in one.
    let dense = [8 * 20, 4 * 4 * 5, 4 * 77];
    assert_eq!(of_layers(&simulated, "/dense_cycles"), dense);
    // Half of them with 2:4; 154 of the last layer in passes of 32, and 26.
    let cycles = [4 * 20, 8 * 5, 4 * 32 + 26];
    assert_eq!(of_layers(&simulated, "/counts/cycles"), cycles);
    assert_eq!(of_layers(&simulated, "/counts/stall_cycles"), [0; 3]);
    assert_eq!(of_layers(&simulated, "/kept"), [32, 128, 616]);
    // Weights with their index, and biases with rescaling, as they were compiled.
    let stored = [32 * 8 + 64, 128 * 4 + 256, 616 * 8 + 1232];
    assert_eq!(of_layers(&simulated, "/counts/weight_bits_stored"), stored);

    // A run is compiled first, and says the same.
    let of_run = json(&good(folder, "ecg simulate run --json --out of-run"));
    assert_eq!(
        of_run["reproduce"],
        "crossburn ecg simulate run --accelerator sparse-40nm --data iegm"
    );
    let (mut with, mut without) = (simulated, of_run);
    for document in [&mut with, &mut without] {
        document["timing"].take();
        document["reproduce"].take();
    }
    assert_eq!(with, without);

    // Its folder holds the report, which follows from the document.
    let run = folder.join("of-run");
    let page = std::fs::read_to_string(run.join("report.html")).unwrap();
    for part in ["Segments on the accelerator", "Signals and decisions"] {
        assert!(page.contains(part), "{part}");
    }
    for plot in ["layer-energy", "layer-cycles", "confusion", "signal-1"] {
        let svg = std::fs::read_to_string(run.join(format!("plots/{plot}.svg"))).unwrap();
        assert!(svg.contains("<desc"), "{plot}");
    }
    good(folder, "report of-run --out again");
    let again = std::fs::read_to_string(folder.join("again/report.html")).unwrap();
    assert!(page == again);

    let few = good(folder, "ecg simulate x.json --items 40");
    let text = String::from_utf8(few.stdout).unwrap();
    assert!(text.contains("40 of 40 have the results"), "{text}");
    let text = good(folder, "ecg compile run --out x.json --items 40");
    let text = String::from_utf8(text.stdout).unwrap();
    assert!(text.contains("7.34 bits"), "{text}");
}

#[test]
fn what_is_no_detector_in_integers_is_named_in_one_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train(folder);
    good(folder, "ecg compile run --out x.json --items 40");
    let text = std::fs::read_to_string(folder.join("x.json")).unwrap();
    for (name, changed) in [
        ("cut.json", text[..text.len() / 2].to_string()),
        (
            "schema.json",
            // Another version may have fields that this one does not know.
            text.replacen("integer-detector/1\"", "integer-detector/9\",\"more\":1", 1),
        ),
        ("vote.json", text.replacen("\"vote\":6", "\"vote\":0", 1)),
        (
            "bits.json",
            text.replacen("\"weight_bits\":8", "\"weight_bits\":3", 1),
        ),
    ] {
        assert_ne!(changed, text);
        std::fs::write(folder.join(name), changed).unwrap();
    }
    for (arguments, part) in [
        (
            "simulate cut.json",
            "cut.json is no detector in integers: make one with `crossburn ecg compile`",
        ),
        (
            "simulate schema.json",
            "schema.json has the schema `crossburn.integer-detector/9`",
        ),
        ("simulate vote.json", "task.vote"),
        ("simulate bits.json", "weight_bits = 3"),
        (
            "simulate x.json --items 0",
            "--items 0 simulates nothing: use a number above 0",
        ),
        (
            "simulate x.json --out run",
            "run holds the results of `train`, which `ecg simulate` would replace",
        ),
        (
            "simulate x.json --accelerator isaac",
            "`isaac` is neither a file nor one of the sparse accelerators sparse-40nm",
        ),
        (
            "compile run --out none/x.json",
            "the folder none of --out is not there: create it first",
        ),
        (
            "compile run --out y.json --items 0",
            "--items 0 compares nothing",
        ),
    ] {
        let refused = bad(folder, &format!("ecg {arguments}"));
        assert!(refused.contains(part), "{arguments}: {refused}");
    }
    // A network in floats has no form in integers.
    let recipe = std::fs::read_to_string(folder.join("ecg.toml")).unwrap();
    let from = recipe.find("[arrays]").unwrap();
    let to = recipe.find("[data]").unwrap();
    let floats = recipe[..from].replace("bits = 8\n", "") + &recipe[to..];
    std::fs::write(folder.join("floats.toml"), floats).unwrap();
    good(folder, "train floats.toml --out floats");
    let refused = bad(folder, "ecg compile floats --out y.json");
    assert!(refused.contains("has no form in integers"), "{refused}");
    assert!(!folder.join("y.json").exists());
}
