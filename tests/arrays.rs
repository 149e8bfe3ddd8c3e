//! Which weights lie on arrays and in which width, from the recipe to the worst chip.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use serde_json::Value;

use command::{bad, good, json};

/// A recipe of a perceptron with the weights `layers.0.weight` and `layers.1.weight`.
fn recipe(folder: &Path, arrays: &str) {
    let text = format!(
        "seed = 3\n[model]\nkind = \"mlp\"\nwidths = [784, 16, 10]\nbits = 4\n[data]\nsource = \"digits\"\ntrain = 600\n\
         validation = 100\ntest = 100\n[training]\nepochs = 2\nbatch = 32\n[arrays]\n{arrays}\n[noise]\nkind = \"gaussian\"\n\
         sigma_rel_wmax = 0.1\n"
    );
    std::fs::write(folder.join("r.toml"), text).unwrap();
}

fn spread(document: &Value) -> f64 {
    let population = &document["methods"][0]["population"];
    population["std"].as_f64().unwrap()
}

#[test]
fn a_recipe_says_which_weights_deviate() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "digital = [\"layers.0.*\"]");
    good(folder, "train r.toml --out run");
    let evaluate = |more: &str| {
        let command = format!("evaluate run --sigma 0.3 --chips 12 --seed 5 --json {more}");
        json(&good(folder, &command))
    };
    // One layer deviates; with the other digital as well, none does.
    let some = evaluate("--out some");
    assert!(spread(&some) > 0.0);
    assert_eq!(some["config"]["arrays"]["digital"][0], "layers.0.*");
    let none = evaluate("--digital layers.1.weight --out none");
    let method = &none["methods"][0];
    let values = method["population"]["values"].as_array().unwrap();
    assert!(values.iter().all(|value| *value == method["clean"]));
    // Chips of another placement are other chips: they do not continue a run.
    let other = "evaluate run --sigma 0.3 --chips 20 --seed 5 --digital layers.1.weight --out some --resume";
    assert!(
        bad(folder, other).contains("chips of other settings (arrays.digital is"),
        "{}",
        bad(folder, other)
    );
    // On hardware the same layers lie on arrays.
    good(folder, "map run --accelerator papers --items 4 --out map");
    let map: Value =
        serde_json::from_slice(&std::fs::read(folder.join("map/results.json")).unwrap()).unwrap();
    assert_eq!(map["digital"], serde_json::json!(["layers.0.weight"]));
    assert_eq!(map["layers"].as_array().unwrap().len(), 1);
    // A search moves what deviates.
    let worst =
        "worst-case run --bound 0.05 --budget 20 --random-chips 0 --items 60 --out worst --json";
    let worst = json(&good(folder, worst));
    let paths: Vec<&Value> = worst["layers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|layer| &layer["path"])
        .collect();
    assert_eq!(paths, ["layers.1.weight"]);
    let refused = bad(
        folder,
        "worst-case run --bound 0.05 --digital *.1.weight --out no",
    );
    assert!(
        refused.contains("no weight of the network lies on an array"),
        "{refused}"
    );
}

#[test]
fn widths_go_by_path() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "bits = [{ path = \"layers.1.*\", bits = 2 }]");
    good(folder, "train r.toml --out run");
    // Two bits are three levels: a search within nothing keeps the programmed weights, which the checkpoint shows.
    let worst =
        "worst-case run --bound 0.000001 --budget 8 --random-chips 0 --items 20 --out worst";
    good(folder, worst);
    let bytes =
        std::fs::read(folder.join("worst/worst-chip/checkpoint/model.safetensors")).unwrap();
    let levels = |path: &str| {
        let weight = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let weight = weight.tensor(path).unwrap();
        let values = weight
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()));
        let values: Vec<f32> = values.collect();
        let largest = values.iter().fold(0.0f32, |a, b| a.max(b.abs()));
        // A thousandth of the range apart, far more than what deviates and far less than a level.
        let steps = values
            .iter()
            .map(|value| (1000.0 * value / largest).round() as i64);
        steps.collect::<std::collections::BTreeSet<_>>().len()
    };
    assert_eq!(levels("layers.1.weight"), 3);
    assert!(
        (4..=15).contains(&levels("layers.0.weight")),
        "{}",
        levels("layers.0.weight")
    );
}

#[test]
fn a_path_without_a_weight_is_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    for arrays in [
        "digital = [\"fc9.*\"]",
        "also = [\"fc9.*\"]",
        "bits = [{ path = \"fc9.*\", bits = 2 }]",
    ] {
        recipe(folder, arrays);
        let message = bad(folder, "train r.toml --out run");
        assert!(
            message.contains("[arrays]: there is no weight of rank two or more at `fc9.*`")
                && message.contains("layers.0.weight, layers.1.weight"),
            "{message}"
        );
    }
    recipe(folder, "digital = [\"layers.0.weight\"]\nanalog = []");
    assert!(bad(folder, "train r.toml --out run").contains("unknown field `analog`"));
}
