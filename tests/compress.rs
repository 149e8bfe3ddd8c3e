//! `compress` of classifiers: what stays, what is quantized, and what the checkpoint still knows.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::collections::BTreeSet;
use std::path::Path;

use command::{good, json, write_npy};
use safetensors::SafeTensors;
use serde_json::Value;

const RECIPE: &str = "seed = 1\n\
     [model]\nkind = \"mlp\"\nwidths = [784, 20, 16, 10]\nbits = 8\n\
     [data]\nsource = \"digits\"\ntrain = 400\nvalidation = 100\ntest = 200\n\
     [training]\nepochs = 2\nbatch = 50\n\
     [method]\nkind = \"trice\"\nvariation = { kind = \"gaussian\", sigma_rel_wmax = 0.1 }\n\
     [noise]\nkind = \"right-censored\"\nsigma_rel_wmax = 0.4\ncensor = 1.0\n\
     [arrays]\ndigital = [\"layers.0.weight\"]\n";

/// How many different values a weight has.
fn levels(run: &Path, name: &str) -> usize {
    let bytes = std::fs::read(run.join("checkpoint/model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap();
    let values = view.data().as_chunks::<4>().0.iter();
    // Both zeros are one.
    let values = values.map(|bytes| (f32::from_le_bytes(*bytes) + 0.0).to_bits());
    values.collect::<BTreeSet<u32>>().len()
}

fn manifest(run: &Path) -> Value {
    let path = run.join("checkpoint/manifest.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[test]
fn what_stays_keeps_its_levels_and_what_the_run_found_stays_known() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("a.toml"), RECIPE).unwrap();
    good(folder, "train a.toml --out run");
    let judged = |command: &str| {
        let found = json(&good(
            folder,
            &format!("evaluate {command} --noise none --chips 1 --json"),
        ));
        let clean = found["methods"][0]["clean"].as_f64().unwrap();
        (clean, found["data"]["test"].as_u64().unwrap())
    };
    let command = "compress run --bits 2 --keep layers.2.weight --items 150 --json --out small";
    let table = json(&good(folder, command));
    let methods = table["methods"].as_array().unwrap();
    let names: Vec<&str> = methods
        .iter()
        .map(|method| method["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["before", "2-bit nearest", "2-bit gptq"]);
    let clean = |row: usize| methods[row]["clean"].as_f64().unwrap();
    assert_eq!(judged("run --items 150 --out part"), (clean(0), 150));
    let (run, small) = (folder.join("run"), folder.join("small"));
    // Eight bits on one grid: what is digital, and what was named. Two bits for each of sixteen outputs: -1, 0 and 1 of a step.
    for (name, most) in [
        ("layers.0.weight", 255),
        ("layers.1.weight", 16 * 2 + 1),
        ("layers.2.weight", 255),
    ] {
        let (before, after) = (levels(&run, name), levels(&small, name));
        assert!(after <= most, "{name}: {after}");
        // The run stores what it learned, before it is quantized.
        assert!(after < before, "{name}: {before} {after}");
    }
    // The network of the table, on the items of the table, without being asked for.
    assert_eq!(judged("small --out again"), (clean(2), 150));
    // What the search of the training has found is known of it still.
    let (trained, kept) = (manifest(&run), manifest(&small));
    assert!(trained["training_noise"].is_object(), "{trained}");
    assert_eq!(trained["training_noise"], kept["training_noise"]);
    assert_eq!(kept["metrics"]["clean"].as_f64(), Some(clean(2)));

    // Fewer items of another source than the recipe asks for.
    let bytes: Vec<u8> = (0..120 * 784).map(|i: usize| (i * i % 251) as u8).collect();
    write_npy(&folder.join("b.npy"), "|u1", &[120, 28, 28], &bytes);
    let labels: String = (0..120).map(|i| format!("{}\n", i % 10)).collect();
    std::fs::write(folder.join("b.csv"), format!("label\n{labels}")).unwrap();
    let other = "compress run --data npy:b.npy?labels=b.csv --bits 4 --json --out other";
    let table = json(&good(folder, other));
    let items = table["data"]["test"].as_u64().unwrap();
    assert!(items < 200, "{items}");
    let clean = table["methods"][2]["clean"].as_f64().unwrap();
    assert_eq!(judged("other --out of-other"), (clean, items));
}
