//! State dicts of PyTorch: names, what does not fit, and every network against the same values put in by hand.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_checkpoints::StateDict;
use crossburn_models::{ByForward, Forward, ModelConfig, Network, WithForward};
use crossburn_noise::{Philox, path_hash};
use safetensors::Dtype;
use safetensors::tensor::TensorView;

#[derive(Module, Debug)]
struct Net {
    fc: Linear,
    norm: BatchNorm,
}

fn net() -> Net {
    let device = Device::flex();
    Net {
        fc: LinearConfig::new(3, 2).init(&device),
        norm: BatchNormConfig::new(2).init(&device),
    }
}

/// Shapes and values by name.
type Values = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn write(path: &Path, values: &Values) {
    let raw: BTreeMap<&String, Vec<u8>> = values
        .iter()
        .map(|(name, (_, values))| (name, values.iter().flat_map(|x| x.to_le_bytes()).collect()))
        .collect();
    let views = values.iter().map(|(name, (shape, _))| {
        let view = TensorView::new(Dtype::F32, shape.clone(), &raw[name]).unwrap();
        (name.as_str(), view)
    });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

fn values(tensors: &[(&str, &[usize])]) -> Values {
    let value = |(name, shape): &(&str, &[usize])| {
        let count: usize = shape.iter().product();
        let value = (0..count).map(|i| 0.25 + i as f32).collect();
        (name.to_string(), (shape.to_vec(), value))
    };
    tensors.iter().map(value).collect()
}

fn file() -> (tempfile::TempDir, PathBuf) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("net.safetensors");
    (dir, path)
}

#[test]
fn wrappers_and_other_names_are_seen_through() {
    let (_dir, path) = file();
    let tensors: [(&str, &[usize]); 7] = [
        ("module._orig_mod.head.0.weight", &[2, 3]),
        ("module._orig_mod.head.0.bias", &[2]),
        ("module._orig_mod.norm.weight", &[2]),
        ("module._orig_mod.norm.bias", &[2]),
        ("module._orig_mod.norm.running_mean", &[2]),
        ("module._orig_mod.norm.running_var", &[2]),
        ("module._orig_mod.norm.num_batches_tracked", &[]),
    ];
    write(&path, &values(&tensors));
    let dict = StateDict::open(&path).unwrap();
    assert_eq!(dict.names().next(), Some("head.0.bias"));
    // No part of it is `hea`, and what is taken is not given again.
    let open = || StateDict::open(&path).unwrap();
    let same = open().renamed("hea", "fc").unwrap();
    assert!(same.names().eq(dict.names()));
    let taken = open().renamed("norm.weight", "norm.bias").unwrap_err();
    let taken = taken.to_string();
    assert!(
        taken.ends_with(
            r#""module._orig_mod.norm.bias" and "module._orig_mod.norm.weight" would both be called "norm.bias"; rename another part"#
        ),
        "{taken}"
    );
    let net = dict
        .renamed("head.0", "fc")
        .unwrap()
        .load(net(), &[])
        .unwrap();
    let weight: Vec<f32> = net.fc.weight.val().into_data().try_to_vec().unwrap();
    assert_eq!(weight, [0.25, 3.25, 1.25, 4.25, 2.25, 5.25]);
    let variance = net.norm.running_var.value().into_data();
    assert_eq!(variance.try_to_vec::<f32>().unwrap(), [0.25, 1.25]);
}

#[test]
fn parts_are_compared_whole_and_may_be_taken_off() {
    let (_dir, path) = file();
    let tensors: [(&str, &[usize]); 4] = [
        ("model.0.0.0.weight", &[1]),
        ("model.10.weight", &[1]),
        ("model.0.1.0.1.0.weight", &[1]),
        ("other", &[1]),
    ];
    write(&path, &values(&tensors));
    let names = |from: &str, to: &str| {
        let dict = StateDict::open(&path).unwrap().renamed(from, to).unwrap();
        dict.names().map(str::to_string).collect::<Vec<_>>()
    };
    let found = names("0", "a");
    assert_eq!(
        found,
        [
            "model.a.a.a.weight",
            "model.a.1.a.1.a.weight",
            "model.10.weight",
            "other"
        ]
    );
    let found = names("0.1", "a.b");
    assert_eq!(found[1], "model.a.b.a.b.0.weight");
    let found = names("model", "");
    assert_eq!(
        found,
        ["0.0.0.weight", "0.1.0.1.0.weight", "10.weight", "other"]
    );
    assert_eq!(names("other", "")[3], "other");
}

#[test]
fn counters_are_no_tensors_of_the_network_and_names_are_those_of_the_file() {
    let (_dir, path) = file();
    let mut tensors: Vec<(&str, &[usize])> = vec![
        ("n_averaged", &[]),
        ("module.fc.weight", &[2, 3]),
        ("module.fc.bias", &[2]),
        ("module.bn.weight", &[2]),
        ("module.bn.bias", &[2]),
        ("module.bn.running_mean", &[2]),
        ("module.bn.running_var", &[2]),
        ("module.bn.num_batches_tracked", &[]),
    ];
    let load = |tensors: &[(&str, &[usize])]| {
        write(&path, &values(tensors));
        let dict = StateDict::open(&path).unwrap().renamed("bn", "norm");
        dict.unwrap().load(net(), &[])
    };
    load(&tensors).unwrap();
    tensors[4].1 = &[3];
    tensors.push(("module.bn.more", &[1]));
    let message = load(&tensors).unwrap_err().to_string();
    assert!(
        message.contains(
            r#"it has "module.bn.more", which the model does not have; "module.bn.bias" has shape [3] where [2] is needed"#
        ),
        "{message}"
    );
}

#[test]
fn what_is_no_state_dict_is_named_with_what_to_give() {
    let dir = tempfile::tempdir().unwrap();
    let message = |name: &str| {
        let message = StateDict::open(&dir.path().join(name)).unwrap_err();
        let folder = format!("{}/", dir.path().display());
        message.to_string().replace(&folder, "")
    };
    let write = |name: &str, bytes: &[u8]| fs_err::write(dir.path().join(name), bytes).unwrap();
    fs_err::create_dir(dir.path().join("model")).unwrap();
    assert_eq!(
        message("model"),
        "model is a folder without weights: give a .safetensors, .pth or .pt file"
    );
    write("model/b.safetensors", b"1");
    write("model/a.txt", b"1");
    assert_eq!(
        message("model"),
        "model is a folder: give the file, such as model/b.safetensors"
    );
    write("empty.pth", b"");
    assert_eq!(
        message("empty.pth"),
        "empty.pth is empty: save the state dict again"
    );
    write("net.onnx", b"\x08\x08\x12\x07pytorch");
    write("net.bin", b"GGUF\x03\0\0\0\0\0");
    for (name, part) in [
        (
            "net.onnx",
            "net.onnx is an ONNX file, which needs no import",
        ),
        ("net.bin", "net.bin is a GGUF file, which needs no import"),
    ] {
        assert!(message(name).starts_with(part), "{}", message(name));
    }
    // A file of torch.save is one whatever it is called; a header of 640 bytes begins as a pickle does.
    write("net.safetensors", b"PK\x03\x04 a zip archive");
    assert!(!message("net.safetensors").contains("readable safetensors"));
    write("long.pth", b"\x80\x02\0\0\0\0\0\0{");
    assert!(message("long.pth").contains("not a readable safetensors file"));
}

#[test]
fn everything_that_does_not_fit_is_named_at_once() {
    let (_dir, path) = file();
    let message = |tensors: &[(&str, &[usize])]| {
        write(&path, &values(tensors));
        let error = StateDict::open(&path).and_then(|dict| dict.load(net(), &[]));
        let message = error.unwrap_err().to_string();
        assert!(!message.contains('\n'), "{message}");
        message.replace(&path.display().to_string(), "net.safetensors")
    };
    let messages = [
        message(&[]),
        message(&[("fc.weight", &[2, 4]), ("fc.bias", &[3]), ("head", &[1])]),
        message(&[
            ("a", &[1]),
            ("b", &[1]),
            ("c", &[1]),
            ("d", &[1]),
            ("e", &[1]),
            ("f", &[1]),
        ]),
    ];
    insta::assert_snapshot!(messages.join("\n"), @r#"
    net.safetensors holds no tensors; save the state dict of the network
    net.safetensors does not fit this model: it lacks "norm.weight", "norm.bias", "norm.running_mean", "norm.running_var"; it has "head", which the model does not have; "fc.weight" has shape [2, 4] where [2, 3] is needed, "fc.bias" has shape [3] where [2] is needed; build the model with the architecture and the widths the file was saved from
    net.safetensors does not fit this model: it lacks "fc.weight", "fc.bias", "norm.weight", "norm.bias" and 2 more; it has "a", "b", "c", "d" and 2 more, which the model does not have; build the model with the architecture and the widths the file was saved from
    "#);
}

#[cfg(not(feature = "pytorch"))]
#[test]
fn a_file_of_torch_save_needs_the_feature_and_is_named() {
    let (dir, _) = file();
    let path = dir.path().join("net.pth");
    fs_err::write(&path, b"PK\x03\x04 a zip archive").unwrap();
    let message = StateDict::open(&path).unwrap_err().to_string();
    assert!(
        message.contains("net.pth is no safetensors file; build with `--features pytorch`"),
        "{message}"
    );
}

/// The value of an element by the name that its tensor has in PyTorch: small, and positive where it is a variance or a range.
fn formula(name: &str, index: usize) -> f32 {
    let draw = Philox::new(path_hash(name), 0).uniform(index as u64) as f32;
    match name.ends_with("running_var") || name.ends_with("quantizer.range") {
        true => 0.5 + draw,
        false => 0.4 * (draw - 0.5),
    }
}

/// Puts the values of the formula into a module, and collects them as PyTorch has them.
#[derive(Default)]
struct ByHand {
    path: Vec<(String, String)>,
    written: Values,
}

impl ModuleMapper for ByHand {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push((name.to_string(), container.to_string()));
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (last, layer) = self.path.last().unwrap().clone();
        let last = match last.as_str() {
            "gamma" => "weight",
            "beta" => "bias",
            other => other,
        };
        let tables = self.path[..self.path.len() - 1].iter();
        let mut parts: Vec<&str> = tables.map(|(name, _)| name.as_str()).collect();
        parts.push(last);
        let name = parts.join(".");
        let shape = param.val().dims().to_vec();
        let count = shape.iter().product();
        let transposed = layer == "Struct:Linear" && last == "weight";
        let stored: Vec<f32> = (0..count).map(|i| formula(&name, i)).collect();
        let (held, stored_shape) = match transposed {
            true => {
                let (inputs, outputs) = (shape[0], shape[1]);
                let held = (0..count)
                    .map(|i| stored[i % outputs * inputs + i / outputs])
                    .collect();
                (held, vec![outputs, inputs])
            }
            false => (stored.clone(), shape.clone()),
        };
        self.written.insert(name, (stored_shape, stored));
        param.map(|tensor| Tensor::from_data(TensorData::new(held, shape), &tensor.device()))
    }
}

/// Compares a network with its values from a file with one that has them by hand.
struct Compare<'a> {
    path: &'a Path,
    shape: [usize; 3],
}

impl WithForward for Compare<'_> {
    type Output = usize;

    fn run<N: Network>(self, network: N, forward: Forward<N>) -> usize {
        // Clones share running states: the one that is loaded has its own.
        let fresh = network.valid();
        let mut hand = ByHand::default();
        let by_hand = network.map(&mut hand);
        write(self.path, &hand.written);
        let loaded = StateDict::open(self.path)
            .unwrap()
            .load(fresh, &[])
            .unwrap();
        let [channels, height, width] = self.shape;
        let pixels = (0..2 * channels * height * width).map(|i| (i % 23) as f32 / 22.0);
        let pixels: Vec<f32> = pixels.collect();
        let input = TensorData::new(pixels, [2, channels, height, width]);
        let input = Tensor::from_data(input, &Device::flex());
        let (found, expected) = (forward(&loaded, input.clone()), forward(&by_hand, input));
        assert_eq!(found, expected);
        let varied = found.values.iter().any(|x| *x != found.values[0]);
        assert!(varied && found.values.iter().all(|x| x.is_finite()));
        hand.written.len()
    }

    fn of_tokens(self) -> usize {
        unreachable!("the rows take numbers")
    }
}

#[test]
fn every_network_computes_with_the_values_of_its_state_dict() {
    let (_dir, path) = file();
    for (text, shape, tensors) in [
        (r#"{"kind":"mlp","widths":[12,5,10]}"#, [3, 2, 2], 4),
        (r#"{"kind":"lenet"}"#, [1, 28, 28], 10),
        (r#"{"kind":"lenet","bits":4}"#, [1, 28, 28], 14),
        (r#"{"kind":"convnet","width":4}"#, [3, 32, 32], 18),
        // 20 convolutions, 20 norms of four tensors, one linear layer.
        (r#"{"kind":"resnet18","width":4}"#, [3, 32, 32], 102),
        // 7 convolutions, 7 norms of four tensors, one linear layer.
        (r#"{"kind":"resnet","depth":8}"#, [3, 32, 32], 37),
        (
            r#"{"kind":"cnn1d","channels":2,"classes":3}"#,
            [2, 1, 50],
            8,
        ),
        // 2 convolutions, 2 norms of four tensors, two linear layers.
        (
            r#"{"kind":"signal-cnn","classes":3,"points":30,"layers":[{"channels":4,"kernel":5},{"channels":2,"kernel":3}]}"#,
            [1, 1, 30],
            16,
        ),
        // 5 convolutions, 5 norms of four tensors, two linear layers.
        (
            r#"{"kind":"candidate","input":[2,6,8],"outputs":5,"hidden":7,"norm":"batch","pool":"avg","layers":[{"channels":4,"kernel":3},{"channels":6,"kernel":5,"block":"depthwise-separable"},{"channels":6,"kernel":3,"block":"residual"}]}"#,
            [2, 6, 8],
            29,
        ),
        // 16 convolutions, of which the two shortcuts have no norm, 15 norms of four tensors, one linear layer.
        (
            r#"{"kind":"cell","input":[2,4,8],"outputs":5,"channels":3,"cells":1,"cell":"|nor_conv_3x3~0|+|none~0|nor_conv_1x1~1|+|avg_pool_3x3~0|skip_connect~1|nor_conv_3x3~2|"}"#,
            [2, 4, 8],
            78,
        ),
        (r#"{"kind":"autoencoder","widths":[12,5,2]}"#, [3, 2, 2], 8),
        (
            r#"{"kind":"conv-autoencoder","channels":3,"width":4}"#,
            [3, 8, 12],
            12,
        ),
        // Three linear layers, of which the last has no bias.
        (
            r#"{"kind":"embedding-head","inputs":12,"hidden":5,"wide":6,"outputs":2,"shaping":"projection"}"#,
            [3, 2, 2],
            5,
        ),
        // 10 convolutions, one transposed, 9 norms of two tensors.
        (
            r#"{"kind":"unet","width":4,"multipliers":[1,2]}"#,
            [1, 8, 12],
            40,
        ),
        // 8 convolutions.
        (r#"{"kind":"vae","width":4,"levels":2}"#, [1, 8, 12], 16),
        // 10 convolutions, 15 norms of four tensors, 6 linear layers, one without bias, the class vectors.
        (
            r#"{"kind":"face","height":8,"width":12,"features":4,"numbers":3,"identities":5}"#,
            [1, 8, 12],
            84,
        ),
    ] {
        let config: ModelConfig = serde_json::from_str(text).unwrap();
        let compare = Compare { path: &path, shape };
        let found = config
            .build(1, &Device::flex(), ByForward(compare))
            .unwrap();
        assert_eq!(found, tensors, "{text}");
    }
}
