//! Data that does not fit a network, data that it was not trained on, and what a document says of a training.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;
use std::str::FromStr;

use burn::tensor::Device;
use crossburn_checkpoints::{Manifest, save_checkpoint};
use crossburn_models::{MlpConfig, initialize};
use crossburn_training::data::{Amount, DataSource, Samples, Values};
use serde_json::{Value, json};

use command::{GAUSSIAN, bad, good, recipe, results, write_npy};

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

/// Writes signals as an array of 32-bit floats, and beside it a table of the names of their classes.
fn signals(folder: &Path, name: &str, set: &Samples, classes: &[&str]) {
    let Values::Floats(values) = &set.values else {
        panic!("signals are floats");
    };
    let shape = [set.len(), set.sample_len()];
    let values = values.iter().flat_map(|value| value.to_le_bytes());
    let values: Vec<u8> = values.collect();
    write_npy(&folder.join(format!("{name}.npy")), "<f4", &shape, &values);
    let rows = set.labels.iter().map(|label| classes[usize::from(*label)]);
    let rows: Vec<&str> = std::iter::once("wave").chain(rows).collect();
    std::fs::write(folder.join(format!("{name}.csv")), rows.join("\n")).unwrap();
}

#[test]
fn other_data_are_shown_as_the_network_has_learned_them() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    mlp(folder, "r.toml", "[128, 24, 3]", "waveforms");
    let longer = "--set data.train=2000 --set training.epochs=20 --set training.batch=16";
    good(folder, &format!("train r.toml {longer} --out run"));
    // The test signals of the training, in a file that numbers the classes by their letters and has a mean of its own.
    let test = DataSource::from_str("waveforms").unwrap();
    let test = test.test_samples(1, Amount::exactly(40)).unwrap();
    let mut shifted = test.clone();
    if let Values::Floats(values) = &mut shifted.values {
        values[0] += 40.0;
    }
    signals(folder, "same", &test, &["sine", "triangle", "square"]);
    signals(folder, "shifted", &shifted, &["sine", "triangle", "square"]);
    let few = test.split_at(2).0;
    signals(folder, "few", &few, &["sine", "triangle", "square"]);
    signals(folder, "other", &test, &["sine", "triangle", "saw"]);
    let evaluate = |data: &str, out: &str| {
        let source = format!(
            "npy:shifted.npy?axes=nl&labels=shifted.csv&label=wave&test={data}.npy&test_labels={data}.csv"
        );
        format!("evaluate run --data {source} --noise none --chips 1 --out {out}")
    };
    good(folder, "evaluate run --noise none --chips 1 --out own");
    good(folder, &evaluate("same", "same"));
    let (own, same) = (results(&folder.join("own")), results(&folder.join("same")));
    // Values, labels, names and normalization are the same, so the numbers are as well.
    let digest = &own["config"]["data_digest"];
    assert!(digest["test"].is_string() && same["config"]["data_digest"] == *digest);
    assert_eq!(own["methods"], same["methods"]);
    let clean = own["methods"][0]["clean"].as_f64().unwrap();
    assert!(clean > 0.5, "{clean}");
    // The matrix of both has the names in the order of the training, and its diagonal is the accuracy.
    assert_eq!(own["confusion"], same["confusion"]);
    let matrix = &own["confusion"];
    assert_eq!(matrix["names"], json!(["sine", "triangle", "square"]));
    let counts = matrix["counts"].as_array().unwrap();
    let sum = |only_right: bool| -> u64 {
        let counted = counts.iter().filter(|c| !only_right || c[0] == c[1]);
        counted.map(|count| count[2].as_u64().unwrap()).sum()
    };
    assert_eq!((sum(false), sum(true) as f64 / 40.0), (40, clean));
    let trained = results(&folder.join("run"));
    assert_eq!(trained["confusion"], *matrix);
    let page = std::fs::read_to_string(folder.join("same/report.html")).unwrap();
    assert!(
        page.contains("Confusion matrix without variation") && page.contains(">triangle</text>")
    );
    assert!(folder.join("same/plots/confusion.svg").exists());
    // The worst chip of a search goes by them as well.
    good(folder, "worst-case run --budget 2 --random-chips 1 --out w");
    good(
        folder,
        &evaluate("same", "chip").replace("evaluate run", "evaluate w/worst-chip"),
    );
    assert_eq!(
        results(&folder.join("chip"))["config"]["data_digest"],
        *digest
    );
    let scaled = evaluate("same", "no").replace("axes=nl", "axes=nl&mean=9&std=1");
    let message = bad(folder, &scaled);
    assert!(
        message.contains("its mean and std are not those that the network has learned with"),
        "{message}"
    );
    let only = |name: &str| {
        format!(
            "npy:{name}.npy?axes=nl&labels={name}.csv&label=wave&test={name}.npy&test_labels={name}.csv"
        )
    };
    let evaluate = format!(
        "evaluate run --data {} --noise none --chips 1 --out no",
        only("other")
    );
    let message = bad(folder, &evaluate);
    assert!(
        message.contains(
            "the network has learned `square`, not its `saw`; use data of the same classes"
        ),
        "{message}"
    );
    // Test signals start at number 2^40, which leaves 1 by three: the first two are a triangle and a square.
    let few = only("few");
    for verb in [
        "evaluate run --noise none --chips 1",
        "worst-case run --budget 2",
        "map run --items 2",
    ] {
        let message = bad(folder, &format!("{verb} --data {few} --out no"));
        assert!(
            message.contains(
                "it lacks `sine`, which the network has learned; use data of the same classes"
            ),
            "{verb}: {message}"
        );
    }
}

/// Writes 300 pictures of two classes, bright above or below, as an array with labels, and as files of a folder for each class.
fn pictures(folder: &Path) {
    let (mut all, mut labels) = (Vec::new(), Vec::new());
    for i in 0..300usize {
        let (label, noise) = (i * 7 / 3 % 2, |pixel: usize| {
            (i * 31 + pixel * pixel * 17) % 120
        });
        let pixel = |pixel: usize| (noise(pixel) + 100 * usize::from(pixel / 32 == label)) as u8;
        let pixels: Vec<u8> = (0..64).map(pixel).collect();
        let class = folder.join(format!("set/{label}"));
        std::fs::create_dir_all(&class).unwrap();
        let file = [b"P5\n8 8\n255\n", &pixels[..]].concat();
        std::fs::write(class.join(format!("{i}.pgm")), file).unwrap();
        all.extend(pixels);
        labels.push(label as u8);
    }
    write_npy(&folder.join("x.npy"), "|u1", &[300, 8, 8], &all);
    write_npy(&folder.join("y.npy"), "|u1", &[300], &labels);
}

#[test]
fn a_training_on_samples_that_stay_in_their_files_is_the_same_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    pictures(folder);
    mlp(folder, "r.toml", "[64, 8, 2]", "digits");
    let settings = "--set training.epochs=10 --set training.batch=16 \
                    --set training.augmentation={crop_padding=1,flip=true} \
                    --set noise={kind='gaussian',sigma_rel_wmax=0.1}";
    for source in ["npy:x.npy?labels=y.npy&", "folder:set?"] {
        let of = |stream: &str| {
            let data = format!("{source}stream={stream}");
            good(
                folder,
                &format!("train r.toml --data {data} {settings} --out {stream}"),
            );
            let chips = format!("evaluate {stream} --sigma 0.2 --chips 5 --out {stream}-chips");
            good(folder, &chips);
            let weights = folder.join(stream).join("checkpoint/model.safetensors");
            let methods = [stream.to_string(), format!("{stream}-chips")]
                .map(|run| results(&folder.join(run))["methods"].clone());
            (std::fs::read(weights).unwrap(), methods)
        };
        let (held, streamed) = (of("no"), of("yes"));
        assert!(held.0 == streamed.0, "{source}: other weights");
        assert_eq!(held.1, streamed.1, "{source}");
        let clean = held.1[1][0]["clean"].as_f64().unwrap();
        assert!(clean > 0.6, "{source}: {clean}");
    }
}

/// What is wrong with data is one line with its remedy, before any training.
#[test]
fn bad_data_are_refused_before_any_training() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    pictures(folder);
    let labels = |name: &str, label: u8| {
        let mut labels = [0, 1].repeat(150);
        labels[9] = label;
        write_npy(&folder.join(name), "|u1", &[300], &labels);
    };
    labels("gap.npy", 5);
    write_npy(&folder.join("objects.npy"), "|O", &[300], &[0; 2400]);
    write_npy(&folder.join("short.npy"), "|u1", &[300, 8, 8], &[0; 100]);
    std::fs::write(folder.join("t.csv"), "a,label\n1,x\ntwo,y\n").unwrap();
    std::fs::write(folder.join("hole.csv"), "a,label\n1,x\n,y\n").unwrap();
    std::fs::create_dir_all(folder.join("empty/cat")).unwrap();
    std::fs::create_dir_all(folder.join("none")).unwrap();
    mlp(folder, "r.toml", "[64, 8, 2]", "digits");
    for (source, part) in [
        (
            "npy:x.npy?labels=gap.npy",
            "gap.npy: no sample has label 2, but there are labels up to 5; number the classes",
        ),
        (
            "npy:x.npy?labels=objects.npy",
            "objects.npy: it holds pickled Python objects (dtype object); convert it",
        ),
        (
            "npy:short.npy?labels=y.npy",
            "short.npy: this is a damaged NumPy array: shape [300, 8, 8] needs 19200 bytes, it holds 100; save it again",
        ),
        (
            "csv:t.csv",
            "t.csv, line 3, column a: `two` is not a number; correct it",
        ),
        (
            "csv:hole.csv",
            "hole.csv, line 3, column a: the value is missing; ",
        ),
        (
            "folder:empty",
            "cat: this folder has no PNG, JPEG, PGM or PPM image; add images",
        ),
        (
            "folder:none",
            "none: it holds no folder of images; make one folder for each class",
        ),
        (
            "npy:x.npy?lables=y.npy",
            "there is no option lables: use labels",
        ),
    ] {
        let train = format!("train r.toml --data {source} --out run");
        let message = bad(folder, &train);
        assert!(message.contains(part), "{source}: {message}");
        assert!(!folder.join("run").join("checkpoint").exists(), "{source}");
    }
}

#[test]
fn signals_in_a_file_are_learned_by_a_network_of_signals() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let waves = DataSource::from_str("waveforms").unwrap();
    let waves = waves.load(1, Some(1000), Some(100)).unwrap();
    signals(folder, "x", &waves.train, &["sine", "triangle", "square"]);
    signals(folder, "t", &waves.test, &["sine", "triangle", "square"]);
    let source = "npy:x.npy?axes=nl&labels=x.csv&label=wave&test=t.npy&test_labels=t.csv";
    let text = format!(
        "seed = 1\n[model]\nkind = \"cnn1d\"\nclasses = 3\nbits = 6\n\
         [data]\nsource = \"{source}\"\nvalidation = 100\n[training]\nepochs = 12\nbatch = 16\n\
         [training.optimizer]\nkind = \"adam\"\nlearning_rate = 3e-3\n"
    );
    std::fs::write(folder.join("r.toml"), text).unwrap();
    good(folder, "train r.toml --out run");
    let document = results(&folder.join("run"));
    assert_eq!(document["data"]["test"], 100);
    // Chance is a third, and 0.05 the deviation of 100 draws.
    let clean = document["methods"][0]["clean"].as_f64().unwrap();
    assert!(clean > 0.5, "{clean}");
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
    // The same columns in another order are other features.
    let swapped = std::fs::read_to_string(folder.join("t.csv")).unwrap();
    let swapped = swapped.replacen("length,width", "width,length", 1);
    std::fs::write(folder.join("u.csv"), swapped).unwrap();
    let other = "evaluate run --noise none --chips 1 --data csv:u.csv?label=species --out no";
    let message = bad(folder, other);
    assert!(
        message.contains("feature 1 is `width`, the network has learned `length` there"),
        "{message}"
    );
}
