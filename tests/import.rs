//! A state dict of PyTorch, from its file to a checkpoint that every verb takes.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
#![allow(clippy::print_stderr, reason = "a skipped test says why")]

mod command;
#[cfg(feature = "pytorch")]
#[path = "../checkpoints/tests/torch_writer/mod.rs"]
mod torch_writer;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{ModuleVisitor, Param};
use burn::tensor::{Device, Tensor, TensorData};
use command::{bad, crossburn, good, json, results, write_npy};
use crossburn_checkpoints::{OnnxFile, StateDict, save_weights};
use crossburn_hardware::manufacture;
use crossburn_models::{CifarResNetConfig, Classifier, Network};
use crossburn_noise::{ChipSeed, Distribution, Variation, matrix_weights};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

const RECIPE: &str = "seed = 3\n[model]\nkind = \"lenet\"\n[data]\nsource = \"digits\"\ntrain = 800\nvalidation = 100\ntest = 200\n\
     [training]\nepochs = 3\nbatch = 32\noptimizer = { kind = \"adam\", learning_rate = 2e-3 }\n";

fn clean(document: &serde_json::Value) -> f64 {
    document["methods"][0]["clean"].as_f64().unwrap()
}

/// The accuracy that an import into `run` has found.
fn measured(folder: &Path, run: &str) -> f64 {
    clean(&results(&folder.join(run)))
}

fn rewritten(from: &Path, to: &Path, name: impl Fn(&str) -> String) {
    let bytes = std::fs::read(from).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let views: Vec<(String, TensorView)> = file
        .tensors()
        .into_iter()
        .map(|(old, view)| (name(&old), view))
        .collect();
    safetensors::serialize_to_file(views, None, to).unwrap();
}

#[test]
fn weights_become_a_checkpoint_that_every_verb_takes() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("r.toml"), RECIPE).unwrap();
    let trained = clean(&json(&good(folder, "train r.toml --out trained --json")));
    let weights = folder.join("trained/checkpoint/model.safetensors");
    // As a wrapped network with a layer of another name.
    rewritten(&weights, &folder.join("net.safetensors"), |name| {
        format!("module.{}", name.replace("fc3.", "head.out."))
    });
    let import = "import --kind lenet --weights net.safetensors --rename head.out=fc3";
    let with_data = "--set seed=3 --data digits --items 200";
    let found = good(folder, &format!("{import} {with_data} --json --out same"));
    let document = json(&found);
    assert_eq!(document["command"], "import");
    assert_eq!(clean(&document), trained);
    good(folder, "report same");
    let read = |path: &str| std::fs::read(folder.join(path)).unwrap();
    assert_eq!(
        read("same/checkpoint/model.safetensors"),
        read("trained/checkpoint/model.safetensors")
    );
    // The same command gives the same bytes, and the folder may be used again.
    let manifest = read("same/checkpoint/manifest.json");
    good(folder, &format!("{import} {with_data} --out same"));
    assert_eq!(read("same/checkpoint/manifest.json"), manifest);
    let population = |run: &str| {
        let command = format!("evaluate {run} --sigma 0.1 --chips 3 --json --out e-{run}");
        let mut document = json(&good(folder, &command));
        document["methods"][0]["population"].take()
    };
    assert_eq!(population("same"), population("trained"));
    good(folder, "map same --accelerator isaac --out map");
    good(
        folder,
        "worst-case same --items 50 --budget 4 --random-chips 1 --out worst",
    );
    good(
        folder,
        "compress same --items 50 --calibration 20 --bits 6 --out small",
    );

    // Without data it has none, until some are named.
    good(folder, &format!("{import} --out bare"));
    let line = bad(folder, "evaluate bare --sigma 0.1");
    assert!(
        line.contains("is a model without data: name samples, such as --data cifar10:DIR"),
        "{line}"
    );
    let named = "evaluate bare --data digits --items 100 --noise none --chips 1 --json --out named";
    assert!(clean(&json(&good(folder, named))) > 0.5);

    // Eight bits, with ranges that the data set: what rounding does to such a network is little.
    good(folder, &format!("{import} {with_data} --bits 8 --out few"));
    assert!(
        (measured(folder, "few") - trained).abs() < 0.03,
        "{trained}"
    );
    let bytes = read("few/checkpoint/model.safetensors");
    let file = SafeTensors::deserialize(&bytes).unwrap();
    for layer in 1..=4 {
        let range = file.tensor(&format!("act{layer}.quantizer.range")).unwrap();
        let range = f32::from_le_bytes(range.data().try_into().unwrap());
        assert!(range.is_finite() && range > 0.0 && (range - 1.0).abs() > 1e-3);
    }
    // A file that has ranges needs no data.
    let again =
        "import --kind lenet --bits 8 --weights few/checkpoint/model.safetensors --out again";
    good(folder, again);
    assert_eq!(read("again/checkpoint/model.safetensors"), bytes);
    let line = bad(folder, &format!("{again} --data digits --calibration 9"));
    assert!(
        line.contains(
            "--calibration 9: few/checkpoint/model.safetensors has ranges of activations"
        ),
        "{line}"
    );

    // An import that was interrupted before its document is done again in its folder. No other verb's is.
    std::fs::remove_file(folder.join("bare/results.json")).unwrap();
    std::fs::remove_file(folder.join("bare/checkpoint/manifest.json")).unwrap();
    good(folder, &format!("{import} --out bare"));
    assert!(folder.join("bare/results.json").is_file());
    std::fs::create_dir(folder.join("half")).unwrap();
    std::fs::copy(folder.join("r.toml"), folder.join("half/recipe.toml")).unwrap();
    std::fs::write(folder.join("half/.crossburn.lock"), "train").unwrap();
    let line = bad(folder, &format!("{import} --out half"));
    assert!(
        line.contains("half holds recipe.toml, which no import made"),
        "{line}"
    );

    // A folder belongs to its import, and one with something else to nobody.
    for run in ["same", "bare"] {
        let line = bad(folder, &format!("train r.toml --out {run}"));
        let owned = format!("{run} holds the results of `import`, which `train` would replace");
        assert!(line.contains(&owned), "{line}");
    }
    for file in ["recipe.toml", "checkpoint", "resume"] {
        let run = format!("own-{file}");
        std::fs::create_dir(folder.join(&run)).unwrap();
        std::fs::write(folder.join(&run).join(file), "mine").unwrap();
        let line = bad(folder, &format!("{import} --out {run}"));
        let owned = format!("{run} holds {file}, which no import made: choose another --out");
        assert!(line.contains(&owned), "{line}");
        assert_eq!(read(&format!("{run}/{file}")), b"mine");
    }
}

/// The calibration passes through the norms as the file has them.
#[test]
fn ranges_are_those_of_the_imported_network() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let pixels: Vec<u8> = (0..70 * 3 * 8 * 8).map(|i| (i % 251) as u8).collect();
    let labels: Vec<u8> = (0..70).map(|i| i % 2).collect();
    for part in ["train", "test"] {
        let name = |what: &str| folder.join(format!("{part}-{what}.npy"));
        write_npy(&name("x"), "|u1", &[70, 3, 8, 8], &pixels);
        write_npy(&name("y"), "|u1", &[70], &labels);
    }
    let config = CifarResNetConfig {
        depth: 8,
        classes: 2,
        bits: None,
    };
    let weights = folder.join("net.safetensors");
    save_weights(&config.init(&Device::flex()), &weights).unwrap();
    let bytes = std::fs::read(&weights).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let wide = 1e4f32.to_le_bytes().repeat(16);
    let views: Vec<(String, TensorView)> = file
        .tensors()
        .into_iter()
        .map(|(name, view)| match name.as_str() {
            "bn1.running_var" => (name, TensorView::new(Dtype::F32, vec![16], &wide).unwrap()),
            _ => (name, view),
        })
        .collect();
    safetensors::serialize_to_file(views, None, &folder.join("wide.safetensors")).unwrap();
    let range = |weights: &str| {
        let import = format!(
            "import --kind resnet --set model.depth=8 --set model.classes=2 --weights {weights}.safetensors --bits 8 \
             --data npy:train-x.npy?labels=train-y.npy --calibration 20 --items 5 --out {weights}"
        );
        good(folder, &import);
        let bytes =
            std::fs::read(folder.join(weights).join("checkpoint/model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let range = file.tensor("act.quantizer.range").unwrap();
        f32::from_le_bytes(range.data().try_into().unwrap())
    };
    let (narrow, wide) = (range("net"), range("wide"));
    // A hundred times the standard deviation; nothing comes before this range.
    assert!(
        (wide * 100.0 / narrow - 1.0).abs() < 1e-3,
        "{narrow} {wide}"
    );
}

#[test]
fn what_does_not_fit_is_named_in_one_line_and_nothing_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let raw = [0u8; 4 * 12];
    let view = |shape: &[usize]| {
        let bytes = 4 * shape.iter().product::<usize>();
        TensorView::new(Dtype::F32, shape.to_vec(), &raw[..bytes]).unwrap()
    };
    let file = folder.join("net.safetensors");
    let tensors = [("0.weight", view(&[3, 4])), ("0.bias", view(&[3]))];
    safetensors::serialize_to_file(tensors, None, &file).unwrap();
    std::fs::write(folder.join("no.safetensors"), "no tensors").unwrap();
    let mlp = "--kind mlp --set model.widths=[4,3]";
    for (arguments, part) in [
        (
            "--kind lenet --weights net.safetensors",
            "net.safetensors does not fit --kind lenet: it lacks \"conv1.weight\", \"conv1.bias\", \"conv2.weight\", \"conv2.bias\" \
             and 6 more; it has \"0.bias\", \"0.weight\", which the model does not have; name another network with --kind, its sizes with \
             --set model.KEY=VALUE, other names of tensors with --rename OLD=NEW",
        ),
        (
            &format!("{mlp} --set model.bits=4 --weights net.safetensors"),
            "has no ranges of activations, which a network of few bits needs: name data to set them on with --data",
        ),
        (
            "--kind mlp --set model.widths=[5,3] --rename 0=layers.0 --weights net.safetensors",
            "\"0.weight\" has shape [3, 4] where [3, 5] is needed; name",
        ),
        (
            &format!("{mlp} --rename 1=layers.0 --weights net.safetensors"),
            "--rename 1=layers.0 changes no name in net.safetensors: its first is 0.bias",
        ),
        (
            &format!("{mlp} --rename 0 --weights net.safetensors"),
            "--rename 0 names no part: use OLD=NEW, such as 0=layers.0",
        ),
        (
            &format!("{mlp} --rename 0=layers.0 --data digits --weights net.safetensors"),
            "mlp has 3 outputs, the data has 10 classes",
        ),
        (
            "--kind mlp --weights net.safetensors",
            "error: --kind mlp: missing field `widths`: add --set model.widths=VALUE\n",
        ),
        (
            "--kind autoencoder --weights net.safetensors",
            "error: --kind autoencoder: missing field `widths`: add --set model.widths=VALUE\n",
        ),
        (
            "--kind resnet --weights net.safetensors",
            "error: --kind resnet: missing field `depth`: add --set model.depth=VALUE\n",
        ),
        (
            "--kind resnet+20 --weights net.safetensors",
            "--kind resnet+20 is not a known network: did you mean resnet",
        ),
        (
            "--kind resnet020 --weights net.safetensors",
            "--kind resnet020 is not a known network: did you mean resnet20?",
        ),
        (
            "--kind resnet20 --set model.depth=32 --weights net.safetensors",
            "--kind resnet20 has its depth: use --kind resnet with --set model.depth=32",
        ),
        (
            "--kind lenet --set model.kind=mlp --weights net.safetensors",
            "--set model.kind=mlp: name the network with --kind",
        ),
        (
            "--kind lenet --set data.test=5 --weights net.safetensors",
            "--set data.test=5: name data with --data, the number of test items with --items, that of training items",
        ),
        (
            "--kind lenet --set training.epochs=3 --weights net.safetensors",
            "--set training.epochs=3 is no key of an import, which does not train",
        ),
        (
            "--kind lenet --set hardware.accelerator=isaac --weights net.safetensors",
            "--set hardware.accelerator=isaac is no key of an import",
        ),
        (
            "--kind lenet --data digits --calibration 9 --weights net.safetensors",
            "--calibration 9 sets ranges of quantized activations, which this network does not have: add --bits N",
        ),
        (
            &format!("{mlp} --rename 0=layers.0,bias=weight --weights net.safetensors"),
            "\"0.bias\" and \"0.weight\" would both be called \"layers.0.weight\"",
        ),
        (
            "--kind lenett --weights net.safetensors",
            "--kind lenett is not a known network: did you mean lenet?",
        ),
        (
            "--kind transformer --weights net.safetensors",
            "--kind transformer is not a known network: use one of lenet, convnet,",
        ),
        (
            "--kind resnet19 --weights net.safetensors",
            "model.depth = 19 is no multiple of 6 plus 2 from 8 to 1202: use 20, 32, 44, 56 or 110",
        ),
        (
            "--kind decoder --weights net.safetensors",
            "--kind decoder: folders and GGUF files of language models need no import",
        ),
        (
            "--kind lenet --set model.width=3 --weights net.safetensors",
            "--set model.width=3: unknown key `model.width`",
        ),
        (
            "--kind lenet --weights none.safetensors",
            "cannot read none.safetensors",
        ),
        (
            "--kind lenet --weights no.safetensors",
            "no.safetensors is not a readable safetensors file",
        ),
        (
            "--kind lenet --weights net.safetensors --data digits --items 0",
            "--items 0 leaves nothing to measure on",
        ),
    ] {
        let line = bad(folder, &format!("import {arguments} --out run"));
        assert!(line.contains(part), "{arguments}: {line}");
        assert!(!folder.join("run").exists(), "{arguments}");
    }
    // A NaN, too.
    let nan = f32::NAN.to_le_bytes().repeat(12);
    let tensors = [
        (
            "layers.0.weight",
            TensorView::new(Dtype::F32, vec![3, 4], &nan).unwrap(),
        ),
        ("layers.0.bias", view(&[3])),
    ];
    safetensors::serialize_to_file(tensors, None, &file).unwrap();
    let line = bad(
        folder,
        &format!("import {mlp} --weights net.safetensors --out run"),
    );
    assert!(line.contains("entry [0, 0] of tensor"), "{line}");
    assert!(!folder.join("run").exists());
    // The folder of another verb is left alone.
    std::fs::create_dir(folder.join("run")).unwrap();
    std::fs::write(
        folder.join("run/results.json"),
        r#"{"schema":"crossburn.results/1","command":"train"}"#,
    )
    .unwrap();
    let line = bad(
        folder,
        &format!("import {mlp} --weights net.safetensors --out run"),
    );
    assert!(line.contains("run holds the results of `train`"), "{line}");
    let output = crossburn(folder)
        .args(["import", "--kind", "lenet", "--weights", "net.safetensors"])
        .args(["--normalize", "0.5/0.5"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[cfg(not(feature = "pytorch"))]
#[test]
fn a_file_of_torch_save_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("net.pth"), b"PK\x03\x04").unwrap();
    let line = bad(
        folder.path(),
        "import --kind lenet --weights net.pth --out run",
    );
    assert!(
        line.contains("build with `--features pytorch` to read files of torch.save"),
        "{line}"
    );
}

#[cfg(feature = "pytorch")]
#[test]
fn a_file_of_torch_save_becomes_a_checkpoint() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let weight: Vec<f32> = (0..12).map(|i| i as f32 / 8.0).collect();
    let tensors = [
        torch_writer::Tensor {
            name: "0.weight",
            shape: &[3, 4],
            values: &weight,
        },
        torch_writer::Tensor {
            name: "0.bias",
            shape: &[3],
            values: &[1.0, 2.0, 3.0],
        },
    ];
    std::fs::write(folder.join("net.pth"), torch_writer::saved(&tensors)).unwrap();
    good(
        folder,
        "import --kind mlp --set model.widths=[4,3] --rename 0=layers.0 --weights net.pth --out run",
    );
    let bytes = std::fs::read(folder.join("run/checkpoint/model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let found = file.tensor("layers.0.weight").unwrap();
    let expected: Vec<u8> = weight.iter().flat_map(|x| x.to_le_bytes()).collect();
    assert_eq!((found.shape(), found.data()), (&[3, 4][..], &expected[..]));
}

/// The folders of the data that others share with the project, where they are there.
fn shared() -> Option<(PathBuf, PathBuf, PathBuf)> {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let folders = ["cifar-10", "golden-onnx", "cnn-resnet-cifar10"].map(|name| data.join(name));
    if let Some(absent) = folders.iter().find(|folder| !folder.is_dir()) {
        eprintln!("skipped: {} is not there", absent.display());
        return None;
    }
    let [images, graphs, weights] = folders;
    Some((images, graphs, weights))
}

/// Matrix weights by path.
#[derive(Default)]
struct Weights {
    path: Vec<String>,
    found: BTreeMap<String, Vec<f32>>,
}

impl ModuleVisitor for Weights {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let values = param.val().into_data().try_to_vec().unwrap();
        self.found.insert(self.path.join("."), values);
    }
}

fn weights_of<N: Network>(network: &N) -> BTreeMap<String, Vec<f32>> {
    let mut weights = Weights::default();
    network.visit(&mut weights);
    let matrices = matrix_weights(network);
    weights.found.retain(|path, _| matrices.contains(path));
    weights.found
}

#[test]
fn an_imported_resnet20_is_the_onnx_graph_of_it() {
    let Some((images, graphs, weights)) = shared() else {
        return;
    };
    let device = Device::flex();
    let config = CifarResNetConfig {
        depth: 20,
        classes: 10,
        bits: None,
    };
    let dict = StateDict::open(&weights.join("resnet20.safetensors")).unwrap();
    let imported = dict.load(config.init(&device), &[]).unwrap();
    let graph = OnnxFile::open(&graphs.join("resnet20_op20.onnx")).unwrap();
    let graph = graph.network(&device).unwrap();

    // 200 images: a label, then the red, green and blue pixels.
    let file = images.join("cifar-10-batches-bin/test_batch.bin");
    let bytes = std::fs::read(file).unwrap();
    let (mean, std) = ([0.485f32, 0.456, 0.406], [0.229f32, 0.224, 0.225]);
    let pixels: Vec<f32> = bytes
        .chunks_exact(3073)
        .take(200)
        .flat_map(|item| item[1..].iter().enumerate())
        .map(|(i, byte)| (f32::from(*byte) / 255.0 - mean[i / 1024]) / std[i / 1024])
        .collect();
    assert_eq!(pixels.len(), 200 * 3072);
    let shape = [200, 3, 32, 32];
    let input = Tensor::from_data(TensorData::new(pixels.clone(), shape), &device);
    let found: Vec<f32> = imported.forward(input).into_data().try_to_vec().unwrap();
    let expected = graph.run_values(&shape, pixels, &device).unwrap();
    assert_eq!(expected.shape, [200, 10]);
    let pairs = found.iter().zip(&expected.values);
    let gap = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
    eprintln!("logits of 200 images: {gap:e}");
    assert!(gap < 1e-4, "{gap}");

    // A chip of both: exporters fold batch norms into convolutions, so that the weights differ, but not their deviations in parts of the
    // largest weight. The last layer has no norm and is the same.
    let variation = Variation::from(Distribution::gaussian(0.05));
    let seed = ChipSeed::new(7, 3);
    let deviations = |clean: BTreeMap<String, Vec<f32>>, chip: BTreeMap<String, Vec<f32>>| {
        let relative = clean.into_iter().map(|(path, clean)| {
            let largest = clean.iter().map(|w| w.abs()).fold(0.0, f32::max);
            let deviations = chip[&path].iter().zip(&clean);
            let deviations: Vec<f32> = deviations.map(|(a, b)| (a - b) / largest).collect();
            (path, deviations)
        });
        relative.collect::<BTreeMap<_, _>>()
    };
    let ours = manufacture(&imported, None, &variation, seed);
    let theirs = manufacture(&graph, None, &variation, seed);
    let (ours_weights, theirs_weights) = (weights_of(&ours), weights_of(&theirs));
    assert_eq!(
        ours_weights["linear.weight"],
        theirs_weights["linear.weight"]
    );
    let ours = deviations(weights_of(&imported), ours_weights);
    let theirs = deviations(weights_of(&graph), theirs_weights);
    assert_eq!(ours.len(), 20);
    assert!(ours.keys().eq(theirs.keys()));
    for (path, ours) in &ours {
        for (a, b) in ours.iter().zip(&theirs[path]) {
            // Deviations of up to five times 0.05 were added to weights of up to 1: rounding is 1e-7 of these.
            assert!((a - b).abs() < 1e-6, "{path}: {a} {b}");
        }
    }
}

#[test]
fn an_imported_resnet20_has_its_published_accuracy_and_runs_at_both_fidelities() {
    let Some((images, _, weights)) = shared() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let normalize = "0.485,0.456,0.406/0.229,0.224,0.225";
    let import = format!(
        "import --kind resnet20 --weights {}/resnet20.safetensors --data cifar10:{} --normalize {normalize} --out r20",
        weights.display(),
        images.display()
    );
    good(folder, &import);
    let clean = measured(folder, "r20");
    // 91.8 % by its authors on 10,000 images. Of 2,000 of them, two standard errors are 1.2 points.
    assert!((clean - 0.918).abs() < 0.012, "{clean}");
    for fidelity in ["weight", "array"] {
        let command = format!(
            "evaluate r20 --hardware papers --fidelity {fidelity} --items 20 --chips 1 --calibration 20 --json --out {fidelity}"
        );
        let document = json(&good(folder, &command));
        let clean = document["methods"][0]["clean"].as_f64().unwrap();
        assert!(clean > 0.7, "{fidelity}: {clean}");
    }
}
