//! Weights that carry something, are shared, are narrow, or belong to no matrix layer: chips at both fidelities.
#![allow(clippy::unwrap_used, reason = "a failed step fails the test")]

use burn::module::{Lora, Module, ModuleMapper, Param};
use burn::nn::{Embedding, EmbeddingConfig, Linear, LinearConfig};
use burn::tensor::{DType, Device, Tensor, TensorData};
use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
use crossburn_hardware::layer::linear;
use crossburn_hardware::{WeightBits, quantize_weights};
use crossburn_noise::ChipSeed;

const FIDELITIES: [Fidelity; 2] = [Fidelity::Weight, Fidelity::Array];

fn hardware(device: &str, layers: &str) -> Hardware {
    let text = format!(
        "{layers}\n[device]\n{device}\n[mapping]\nweight_bits = 8\n[array]\nrows = 16\ncolumns = 16\n[array.input]\nbits = 8\n"
    );
    Hardware::from_toml(&text).unwrap()
}

fn ideal() -> Hardware {
    hardware("kind = \"ideal\"\ng_min = \"0 S\"\ng_max = \"25 uS\"", "")
}

fn noisy(layers: &str) -> Hardware {
    hardware("preset = \"pcm-mushroom\"", layers)
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec_as().unwrap()
}

fn map<M: Module + Sync>(
    network: &M,
    hardware: &Hardware,
    run: impl Fn(&M) + Copy,
) -> MappedNetwork<M> {
    MappedNetwork::new(network, hardware, 3, run)
        .unwrap()
        .calibrated(run)
        .unwrap()
}

/// Adds a half to the second factor of an adapter, which starts at 0.
#[derive(Default)]
struct Learn {
    path: Vec<String>,
}

impl ModuleMapper for Learn {
    fn enter_module(&mut self, name: &str, _container: &str) {
        self.path.push(name.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        match self.path.last().is_some_and(|name| name == "b") {
            true => param.map(|b| b + 0.5),
            false => param,
        }
    }
}

#[test]
fn chips_hold_what_a_layer_computes_with_once() {
    let device = Device::flex();
    let plain: Linear = LinearConfig::new(20, 6).init(&device);
    let input = Tensor::<2>::ones([3, 20], &device);
    let adapted = plain
        .clone()
        .apply_lora(Lora::new(2, 4.0))
        .map(&mut Learn::default());
    let bits = Some(WeightBits::new(4).unwrap().into());
    let quantized = quantize_weights(plain.clone(), bits).unwrap();
    for carries in [adapted, quantized] {
        let computed = values(carries.weight.val());
        assert_ne!(computed, values(plain.weight.val()));
        let mut same = plain.clone();
        let data = TensorData::new(computed, [20, 6]);
        same.weight = Param::from_data(data, &device);
        let run = |network: &Linear| {
            linear(network, input.clone());
        };
        for hardware in [ideal(), noisy("")] {
            let (found, expected) = (map(&carries, &hardware, run), map(&same, &hardware, run));
            for fidelity in FIDELITIES {
                let chip = |mapped: &MappedNetwork<Linear>| {
                    let fab = mapped.fab(fidelity).unwrap();
                    linear(&fab.chip(ChipSeed::new(7, 17)).unwrap(), input.clone())
                };
                assert_eq!(values(chip(&found)), values(chip(&expected)));
            }
        }
    }
}

/// Two layers with one weight, and words.
#[derive(Module, Debug)]
struct Tied {
    words: Embedding,
    back: Linear,
    forth: Linear,
}

fn tied() -> Tied {
    let device = Device::flex();
    let forth: Linear = LinearConfig::new(5, 5).init(&device);
    let mut words: Embedding = EmbeddingConfig::new(5, 5).init(&device);
    words.weight = forth.weight.clone();
    Tied {
        words,
        back: forth.clone(),
        forth,
    }
}

#[test]
fn a_shared_weight_lies_on_one_array() {
    let network = tied();
    let eye = Tensor::<2>::eye(5, &Device::flex());
    let run = |network: &Tied| {
        linear(&network.back, eye.clone());
        linear(&network.forth, eye.clone());
    };
    let mapped = map(&network, &noisy(""), run);
    for fidelity in FIDELITIES {
        let chip = mapped.fab(fidelity).unwrap();
        let chip = chip.chip(ChipSeed::new(7, 17)).unwrap();
        let [back, forth] = [&chip.back, &chip.forth].map(|layer| values(layer.weight.val()));
        assert_eq!(back, forth);
        assert_ne!(back, values(network.back.weight.val()));
        // The embedding is digital unless it is selected.
        assert_eq!(
            values(chip.words.weight.val()),
            values(network.words.weight.val())
        );
    }
    // Mapped in two ways, it cannot be one array.
    let narrow = noisy("[[layer]]\npath = \"forth.weight\"\nmapping = { weight_bits = 4 }");
    let error = MappedNetwork::new(&network, &narrow, 3, run).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("`back.weight` and `forth.weight` are one weight, mapped in two ways"),
        "{error}"
    );
}

#[test]
fn an_embedding_is_put_on_an_array_by_its_path() {
    let network = tied();
    let eye = Tensor::<2>::eye(5, &Device::flex());
    let run = |network: &Tied| {
        linear(&network.back, eye.clone());
        linear(&network.forth, eye.clone());
    };
    let selected = noisy("[[layer]]\npath = \"words.weight\"");
    let mapped = map(&network, &selected, run);
    let chip = mapped.fab(Fidelity::Weight).unwrap();
    let chip = chip.chip(ChipSeed::new(7, 17)).unwrap();
    let words = values(chip.words.weight.val());
    assert_ne!(words, values(network.words.weight.val()));
    assert_eq!(words, values(chip.back.weight.val()));
    let error = mapped.fab(Fidelity::Array).unwrap_err().to_string();
    assert!(
        error.contains("words.weight, which no array-aware layer uses"),
        "{error}"
    );
    // A path without a weight is still refused, with those that there are.
    let error = MappedNetwork::new(&network, &noisy("[[layer]]\npath = \"words\""), 3, run);
    assert_eq!(
        error.unwrap_err().to_string(),
        "there is no weight `words`: use one of back.weight, forth.weight"
    );
}

#[test]
fn half_precision_networks_have_chips() {
    let device = Device::flex();
    let full: Linear = LinearConfig::new(20, 6).with_bias(false).init(&device);
    for dtype in [DType::F16, DType::BF16] {
        let mut half = full.clone();
        half.weight = half.weight.map(|weight| weight.cast(dtype));
        let input = Tensor::<2>::ones([3, 20], (&device, dtype));
        let run = |network: &Linear| {
            linear(network, input.clone());
        };
        for hardware in [ideal(), noisy("")] {
            let mapped = map(&half, &hardware, run);
            for fidelity in FIDELITIES {
                let fab = mapped.fab(fidelity).unwrap();
                let chip = fab.chip(ChipSeed::new(7, 17)).unwrap();
                assert_eq!(chip.weight.val().dtype(), dtype);
                let output = linear(&chip, input.clone());
                assert_eq!(output.dtype(), dtype);
                assert!(values(output).iter().all(|value| value.is_finite()));
            }
        }
        // On ideal cells, weights are kept to half a level of 127 and the rounding to eight binary digits.
        let mapped = map(&half, &ideal(), run);
        let ideal = mapped.fab(Fidelity::Weight).unwrap().ideal().unwrap();
        let weights = values(half.weight.val());
        let largest = weights.iter().fold(0.0f32, |a, w| a.max(w.abs()));
        for (found, weight) in values(ideal.weight.val()).iter().zip(&weights) {
            let error = largest * (0.5 / 127.0 + 2f32.powi(-8));
            assert!((found - weight).abs() <= error, "{found} {weight}");
        }
    }
}

#[test]
fn values_that_are_not_finite_are_refused_before_they_are_mapped() {
    let device = Device::flex();
    let mut layer: Linear = LinearConfig::new(4, 2).init(&device);
    layer.bias = layer.bias.map(|bias| bias.map(|bias| bias * f32::NAN));
    let error = MappedNetwork::new(&layer, &ideal(), 1, |_| {}).unwrap_err();
    assert_eq!(
        error.to_string(),
        "entry [0] of `bias` is NaN, where a finite number belongs"
    );
}
