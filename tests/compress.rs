//! `compress` of classifiers: what stays, what is quantized, and what the checkpoint still knows.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::collections::BTreeSet;
use std::path::Path;

use command::{bad, good, json, write_npy};
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

const SPARSE: &str = "seed = 1\n\
     [model]\nkind = \"mlp\"\nwidths = [784, 16, 12, 10]\nbits = 8\n\
     [data]\nsource = \"digits\"\ntrain = 400\nvalidation = 100\ntest = 100\n\
     [training]\nepochs = 3\nbatch = 50\n\
     [pruning]\npattern = \"2:4\"\n";

/// A network is trained sparse, gets bits for every layer within a size, and is trained at them from its own weights. Chips, worst case
/// and mapping take it.
#[test]
fn every_layer_gets_its_bits_and_the_rest_takes_a_pruned_network() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("a.toml"), SPARSE).unwrap();
    good(folder, "train a.toml --out run");
    let found = json(&good(
        folder,
        "compress run --bits auto --size 5200B --json --out bits",
    ));
    let layers = found["layers"].as_array().unwrap();
    let paths: Vec<&str> = layers
        .iter()
        .map(|layer| layer["layer"]["path"].as_str().unwrap())
        .collect();
    assert_eq!(
        paths,
        ["layers.0.weight", "layers.1.weight", "layers.2.weight"]
    );
    let mut size = found["other"].as_u64().unwrap();
    let mut chosen = Vec::new();
    for layer in layers {
        let option = &layer["layer"]["options"][layer["chosen"].as_u64().unwrap() as usize];
        size += option["size"].as_u64().unwrap();
        chosen.push(option["bits"].as_u64().unwrap());
        // Two of four remain: all widths of 784 and 16 inputs divide by four.
        let layer = &layer["layer"];
        assert_eq!(
            2 * layer["kept"].as_u64().unwrap(),
            layer["weights"].as_u64().unwrap()
        );
    }
    assert!(size <= 5200 * 8, "{size}");
    // 6,272 weights of the first layer remain: 7,840 bytes at 8 bits, 4,704 at 4, which is the least there.
    assert_eq!(other_bits(), found["other"].as_u64().unwrap());
    assert_eq!(chosen[0], 4);
    let recipe = std::fs::read_to_string(folder.join("bits/recipe.toml")).unwrap();
    assert!(recipe.contains("from = \"run\""), "{recipe}");
    assert!(recipe.contains("granularity = \"per-channel\""), "{recipe}");
    good(folder, "train bits/recipe.toml --out mixed");
    let kept = levels(&folder.join("mixed"), "layers.0.weight");
    assert!(kept > 1000, "the run stores what it learned: {kept}");
    for command in [
        "evaluate mixed --noise gaussian --sigma 0.1 --chips 3",
        "worst-case mixed --bound 0.03 --budget 20 --items 20",
        "map mixed --accelerator papers",
    ] {
        good(folder, command);
    }
}

/// Biases of 38 outputs, three ranges of activations, and a scale for every output.
fn other_bits() -> u64 {
    32 * (38 + 2 + 38)
}

#[test]
fn a_choice_of_bits_needs_a_budget_that_can_be_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(
        folder.join("a.toml"),
        SPARSE.replace("epochs = 3", "epochs = 1"),
    )
    .unwrap();
    good(folder, "train a.toml --out run");
    for (options, part) in [
        ("--bits auto", "needs a limit"),
        ("--bits auto --size 100B", "--size is too small"),
        (
            "--bits auto --loss-budget -1",
            "--loss-budget -1 is no rise",
        ),
        ("--bits 4 --size 30KiB", "leave them out with --bits 4"),
        (
            "--bits auto --size 30KiB --rounding gptq",
            "--rounding rounds weights",
        ),
        (
            "--bits auto --size 30KiB --widths 2,1",
            "a width of 4 or more",
        ),
    ] {
        let message = bad(folder, &format!("compress run {options}"));
        assert!(message.contains(part), "{options}: {message}");
    }
}
