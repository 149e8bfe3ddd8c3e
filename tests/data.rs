//! Data that does not fit a network, data that it was not trained on, and what a document says of a training.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use burn::tensor::Device;
use crossburn_checkpoints::{Manifest, save_checkpoint};
use crossburn_models::{MlpConfig, initialize};
use serde_json::{Value, json};

use command::{GAUSSIAN, bad, good, recipe, results};

/// Writes the recipe of an MLP on `source`.
fn mlp(folder: &Path, name: &str, widths: &str, source: &str) {
    let text = format!(
        "seed = 1\n[model]\nkind = \"mlp\"\nwidths = {widths}\n\
         [data]\nsource = \"{source}\"\ntrain = 200\nvalidation = 50\ntest = 40\n[training]\nepochs = 1\n"
    );
    std::fs::write(folder.join(name), text).unwrap();
}

/// Writes a checkpoint of an MLP without hidden layer, with initial weights and a recipe on digits.
fn checkpoint(folder: &Path, outputs: usize) {
    let widths = vec![784, outputs];
    let architecture = json!({ "kind": "mlp", "widths": widths });
    let network = initialize(MlpConfig { widths, bits: None }.init(&Device::flex()), 1);
    let recipe =
        json!({ "seed": 1, "model": architecture, "data": { "source": "digits", "test": 40 } });
    let manifest = Manifest::new(architecture, recipe, 1, json!("digits"));
    save_checkpoint(folder, &network, &manifest).unwrap();
}

/// Writes MNIST's files with `train` and `test` images.
fn mnist(folder: &Path, train: usize, test: usize) {
    for (name, count) in [("train", train), ("t10k", test)] {
        let file = |what: &str, header: &[u32], bytes: Vec<u8>| {
            let header: Vec<u8> = header.iter().flat_map(|word| word.to_be_bytes()).collect();
            let path = folder.join(format!("{name}-{what}-ubyte"));
            std::fs::write(path, [header, bytes].concat()).unwrap();
        };
        if count > 0 {
            let pixels = (0..count * 784).map(|i| (i % 251) as u8).collect();
            file("images-idx3", &[0x803, count as u32, 28, 28], pixels);
            let labels = (0..count).map(|i| (i % 10) as u8).collect();
            file("labels-idx1", &[0x801, count as u32], labels);
        }
    }
}

#[test]
fn outputs_are_compared_with_classes_by_every_verb() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    // Nothing of the data is there: nobody looks.
    mlp(folder, "five.toml", "[784, 5]", "mnist:nowhere");
    let resnet = "seed = 1\n[model]\nkind = \"resnet18\"\nwidth = 2\nclasses = 5\n[data]\nsource = \"cifar10:nowhere\"\n";
    std::fs::write(folder.join("resnet.toml"), resnet).unwrap();
    for (name, model) in [("five", "mlp"), ("resnet", "resnet18")] {
        let message = bad(folder, &format!("train {name}.toml --out run"));
        assert!(
            message.contains(&format!("{model} has 5 outputs, the data has 10 classes")),
            "{message}"
        );
        assert!(!folder.join("run").exists());
    }
    mlp(folder, "none.toml", "[784]", "digits");
    assert!(bad(folder, "train none.toml --out run").contains("model.widths = [784]"));
    for outputs in [1, 5] {
        let name = format!("c{outputs}");
        checkpoint(&folder.join(&name), outputs);
        for verb in [
            "evaluate NAME --noise none --chips 1",
            "evaluate NAME --hardware papers --chips 1",
            "evaluate NAME --data mnist:nowhere --chips 1",
            "worst-case NAME --budget 2 --random-chips 2",
        ] {
            let message = bad(folder, &verb.replace("NAME", &name));
            assert!(
                message.contains(&format!(
                    "mlp has {outputs} outputs, the data has 10 classes"
                )) && message.contains(&name),
                "{verb}: {message}"
            );
        }
    }
    assert!(!folder.join("runs").exists());
    // Outputs to spare are no fault, and mapping looks at no label.
    mlp(folder, "twelve.toml", "[784, 12]", "digits");
    good(folder, "train twelve.toml --out twelve");
    good(folder, "evaluate twelve --noise none --chips 1 --out e");
    good(folder, "map c5 --out m");
}

#[test]
fn what_the_training_had_is_no_bound_for_other_data() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    mlp(folder, "digits.toml", "[784, 10]", "digits");
    good(folder, "train digits.toml --out run");
    std::fs::create_dir(folder.join("few")).unwrap();
    mnist(&folder.join("few"), 50, 20);
    let items = |out: &str| results(&folder.join(out))["data"]["test"].clone();
    good(
        folder,
        "evaluate run --data mnist:few --items 10 --chips 2 --out ten",
    );
    assert_eq!(items("ten"), 10);
    // As many as in training, 40, but there are 20.
    good(folder, "evaluate run --data mnist:few --chips 2 --out all");
    assert_eq!(items("all"), 20);
    good(
        folder,
        "evaluate run --data mnist:few --hardware papers --chips 2 --out on",
    );
    assert_eq!(items("on"), 20);
    good(folder, "map run --data mnist:few --items 50 --out map");
    for arguments in [
        "--items 10",
        "--items 20",
        "",
        "--hardware papers --tolerance 0.03",
    ] {
        good(
            folder,
            &format!(
                "worst-case run --data mnist:few {arguments} --budget 4 --random-chips 1 --out w"
            ),
        );
    }
    // What is asked for is not there.
    for (arguments, part) in [
        (
            "evaluate run --data mnist:few --items 21",
            "21 test samples",
        ),
        (
            "worst-case run --data mnist:few --items 21",
            "21 test samples",
        ),
        ("map run --data mnist:few --items 51", "51 training samples"),
    ] {
        let message = bad(folder, &format!("{arguments} --out refused"));
        assert!(
            message.contains(part) && message.contains("were asked for, mnist:few has"),
            "{message}"
        );
    }
    // Without training images, a population needs none.
    std::fs::create_dir(folder.join("test")).unwrap();
    mnist(&folder.join("test"), 0, 20);
    let output = good(
        folder,
        "evaluate run --data mnist:test --chips 2 --out alone",
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert!(
        text.contains("data: t10k-images-idx3-ubyte, t10k-labels-idx1-ubyte in test\n"),
        "{text}"
    );
    assert_eq!(
        results(&folder.join("alone"))["methods"],
        results(&folder.join("all"))["methods"]
    );
    let message = bad(folder, "map run --data mnist:test --out refused");
    assert!(message.contains("train-images-idx3-ubyte"), "{message}");
}

#[test]
fn an_evaluation_names_the_noise_that_a_search_has_found() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let text = "seed = 2\n[model]\nkind = \"mlp\"\nwidths = [784, 10]\n\
         [data]\nsource = \"digits\"\ntrain = 200\nvalidation = 50\ntest = 40\n\
         [training]\nepochs = 2\nbatch = 50\n\
         [method]\nkind = \"trice\"\ncensors = [0.5, 2.0]\nvariation = { kind = \"gaussian\", sigma_rel_wmax = 0.1 }\n\
         [noise]\nkind = \"right-censored\"\nsigma_rel_wmax = 0.4\ncensor = 1.0\n";
    std::fs::write(folder.join("trice.toml"), text).unwrap();
    good(folder, "train trice.toml --out run");
    let noise = |out: &str| results(&folder.join(out))["methods"][0]["training_noise"].clone();
    let found = noise("run");
    // The upper end of the search and its censoring point are not what was found.
    let sigma = found["sigma_rel_wmax"].as_f64().unwrap();
    assert!(sigma > 0.0 && sigma < 0.4, "{found}");
    assert!([0.5, 2.0].contains(&found["censor"].as_f64().unwrap()));
    good(folder, "evaluate run --chips 2 --out chips");
    assert_eq!(noise("chips"), found);
    // A checkpoint of an earlier version names the strength alone.
    let manifest = folder.join("run/checkpoint/manifest.json");
    let text = std::fs::read_to_string(&manifest).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(document["training_noise"], found);
    document.as_object_mut().unwrap().remove("training_noise");
    std::fs::write(&manifest, document.to_string()).unwrap();
    good(folder, "evaluate run --chips 2 --out old");
    assert_eq!(noise("old")["sigma_rel_wmax"], sigma);
    // A training that searches nothing has the noise of its recipe, and its manifest no other.
    recipe(folder, "plain.toml", 1, GAUSSIAN);
    good(folder, "train plain.toml --out plain");
    let text = std::fs::read_to_string(folder.join("plain/checkpoint/manifest.json")).unwrap();
    assert!(!text.contains("training_noise"));
}

/// Writes a table of 300 rows of three species, sorted by species, that a straight line tells apart; one column never varies.
fn table(path: &Path) {
    let names = ["setosa", "versicolor", "virginica"];
    let row = |i: usize| {
        let (class, noise) = (i / 100, (i * 37 % 100) as f32 / 100.0);
        let (a, b) = (1000.0 + 100.0 * (2 * class) as f32, noise);
        format!("{},{b},7,{}\n", a + 100.0 * noise, names[class])
    };
    let rows: String = (0..300).map(row).collect();
    std::fs::write(path, format!("length,width,constant,species\n{rows}")).unwrap();
}

#[test]
fn a_table_with_named_classes_is_learned() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    table(&folder.join("t.csv"));
    let source = "csv:t.csv?label=species";
    // Classes are counted, and columns, before anything is made.
    mlp(folder, "two.toml", "[3, 2]", source);
    assert!(
        bad(folder, "train two.toml --out two")
            .contains("mlp has 2 outputs, the data has 3 classes")
    );
    mlp(folder, "wide.toml", "[4, 3]", source);
    bad(folder, "train wide.toml --out wide");
    mlp(folder, "nowhere.toml", "[3, 3]", "csv:nowhere.csv");
    assert!(bad(folder, "train nowhere.toml --out nowhere").contains("cannot read nowhere.csv"));
    for name in ["two", "nowhere"] {
        assert!(!folder.join(name).exists());
    }
    mlp(folder, "good.toml", "[3, 16, 3]", source);
    let text = std::fs::read_to_string(folder.join("good.toml")).unwrap();
    let text = text.replace(
        "epochs = 1",
        "epochs = 60\nbatch = 16\n[training.optimizer]\nkind = \"adam\"\nlearning_rate = 0.02",
    );
    std::fs::write(folder.join("good.toml"), text).unwrap();
    good(folder, "train good.toml --out run");
    let document = results(&folder.join("run"));
    assert_eq!(document["data"]["test"], 40);
    good(folder, "evaluate run --noise none --chips 1 --out e");
    let clean = &results(&folder.join("e"))["methods"][0]["clean"];
    // Species do not overlap: what is not normalized (lengths from 1,000 to 1,500) is not learned in these steps.
    assert!(clean.as_f64().unwrap() > 0.95, "{clean}");
}
