//! Weights written by PyTorch, read by name, and the reverse. The fixtures come from `data/make_lenet_pytorch.py`.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use std::path::PathBuf;

use burn::module::{Module, Param};
use burn::nn::conv::{Conv2d, Conv2dConfig};
use burn::nn::pool::MaxPool2dConfig;
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig, PaddingConfig2d};
use burn::tensor::activation::relu;
use burn::tensor::{DType, Device, Tensor, TensorData};
use crossburn_checkpoints::{load_weights, save_weights};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};

#[derive(Module, Debug)]
struct LeNet {
    conv1: Conv2d,
    conv2: Conv2d,
    fc1: Linear,
    fc2: Linear,
    fc3: Linear,
}

impl LeNet {
    fn new(device: &Device) -> Self {
        let conv = |channels| {
            Conv2dConfig::new(channels, [3, 3])
                .with_padding(PaddingConfig2d::Explicit(1, 1, 1, 1))
                .init(device)
        };
        Self {
            conv1: conv([1, 2]),
            conv2: conv([2, 4]),
            fc1: LinearConfig::new(196, 12).init(device),
            fc2: LinearConfig::new(12, 8).init(device),
            fc3: LinearConfig::new(8, 10).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let pool = MaxPool2dConfig::new([2, 2]).with_strides([2, 2]).init();
        let x = pool.forward(relu(self.conv1.forward(x)));
        let x: Tensor<2> = pool.forward(relu(self.conv2.forward(x))).flatten(1, 3);
        let x = relu(self.fc2.forward(relu(self.fc1.forward(x))));
        self.fc3.forward(x)
    }
}

#[derive(Module, Debug)]
struct NormNet {
    conv: Conv2d,
    norm: BatchNorm,
    fc: Linear,
}

impl NormNet {
    fn new(device: &Device) -> Self {
        Self {
            conv: Conv2dConfig::new([1, 3], [3, 3]).init(device),
            norm: BatchNormConfig::new(3).init(device),
            fc: LinearConfig::new(48, 5).init(device),
        }
    }

    fn forward(&self, x: Tensor<4>) -> Tensor<2> {
        let x = relu(self.norm.forward(self.conv.forward(x)));
        self.fc.forward(x.flatten(1, 3))
    }
}

fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/data")
        .join(name)
}

/// Input batch and PyTorch's logits.
fn io(name: &str, device: &Device) -> (Tensor<4>, TensorData) {
    let bytes = fs_err::read(fixture(name)).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let read = |name: &str| {
        let view = file.tensor(name).unwrap();
        let values: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect();
        TensorData::new(values, view.shape().to_vec())
    };
    (Tensor::from_data(read("input"), device), read("logits"))
}

/// Sums of at most 196 products of order one: f32 rounding in another order of summation stays below 1e-5.
fn assert_close(found: Tensor<2>, expected: &TensorData) {
    let found = found.into_data();
    assert_eq!(found.shape(), expected.shape());
    for (a, b) in found.iter::<f32>().zip(expected.iter::<f32>()) {
        assert!((a - b).abs() < 1e-5, "{a} is not {b}");
    }
}

#[test]
fn lenet_gives_the_logits_of_pytorch() {
    let device = Device::flex();
    let net = load_weights(LeNet::new(&device), &fixture("lenet_pytorch.safetensors")).unwrap();
    let (input, logits) = io("lenet_pytorch_io.safetensors", &device);
    assert_close(net.forward(input), &logits);
}

#[test]
fn batch_norm_gives_the_logits_of_pytorch() {
    let device = Device::flex();
    let net = load_weights(NormNet::new(&device), &fixture("norm_pytorch.safetensors")).unwrap();
    let (input, logits) = io("norm_pytorch_io.safetensors", &device);
    assert_close(net.forward(input), &logits);
}

#[test]
fn training_network_loads_and_saves_like_an_inference_network() {
    let device = Device::flex().autodiff();
    let path = fixture("norm_pytorch.safetensors");
    let net = load_weights(NormNet::new(&device), &path).unwrap();
    assert!(net.fc.weight.val().is_require_grad());
    let (input, logits) = io("norm_pytorch_io.safetensors", &Device::flex());
    assert_close(net.valid().forward(input), &logits);
}

/// What we save is what PyTorch saved, to the last byte of the file: names, order, shapes, layout and values.
#[test]
fn saved_file_is_the_file_of_pytorch() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (
        dir.path().join("lenet.safetensors"),
        fixture("lenet_pytorch.safetensors"),
    );
    let net = load_weights(LeNet::new(&Device::flex()), &theirs).unwrap();
    save_weights(&net, &ours).unwrap();
    assert_eq!(fs_err::read(&ours).unwrap(), fs_err::read(&theirs).unwrap());
}

/// As above, for all tensors but `num_batches_tracked`, which Burn does not count.
#[test]
fn saved_norm_has_the_tensors_of_pytorch() {
    let dir = tempfile::tempdir().unwrap();
    let (ours, theirs) = (
        dir.path().join("norm.safetensors"),
        fixture("norm_pytorch.safetensors"),
    );
    let net = load_weights(NormNet::new(&Device::flex()), &theirs).unwrap();
    save_weights(&net, &ours).unwrap();
    let (ours, theirs) = (fs_err::read(&ours).unwrap(), fs_err::read(&theirs).unwrap());
    let tensors = |bytes: &[u8]| -> Vec<(String, Vec<usize>, Vec<u8>)> {
        let file = SafeTensors::deserialize(bytes).unwrap();
        let mut tensors: Vec<_> = file
            .iter()
            .map(|(n, t)| (n.to_string(), t.shape().to_vec(), t.data().to_vec()))
            .collect();
        tensors.sort();
        tensors
    };
    let mut expected = tensors(&theirs);
    expected.retain(|(name, ..)| name != "norm.num_batches_tracked");
    assert_eq!(expected.len(), 8);
    assert_eq!(tensors(&ours), expected);
}

#[test]
fn loading_keeps_the_identities_of_parameters() {
    let net = NormNet::new(&Device::flex());
    let ids = |net: &NormNet| -> Vec<_> {
        let norm = [net.norm.gamma.id, net.norm.beta.id];
        [net.conv.weight.id, net.fc.weight.id]
            .into_iter()
            .chain(norm)
            .collect()
    };
    let before = ids(&net);
    let net = load_weights(net, &fixture("norm_pytorch.safetensors")).unwrap();
    assert_eq!(ids(&net), before);
}

#[derive(Module, Debug)]
struct Vector {
    values: Param<Tensor<1>>,
}

/// The values are exact in all four types, so the conversion must be exact too.
#[test]
fn other_float_types_become_f32() {
    let values = [1.0f32, -0.5, 96.0];
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("v.safetensors");
    for (dtype, stored) in [
        (DType::F32, Dtype::F32),
        (DType::F64, Dtype::F64),
        (DType::F16, Dtype::F16),
        (DType::BF16, Dtype::BF16),
    ] {
        let data = TensorData::from(values).convert_dtype(dtype);
        let view = TensorView::new(stored, vec![3], data.as_bytes()).unwrap();
        safetensors::serialize_to_file([("values", view)], None, &path).unwrap();
        let vector = Vector {
            values: Param::from_data([0.0f32; 3], &Device::flex()),
        };
        let loaded = load_weights(vector, &path).unwrap().values.val();
        assert_eq!(loaded.dtype(), DType::F32);
        assert_eq!(loaded.into_data(), TensorData::from(values));
    }
}
