//! Decoders of random weights: sizes, caches, frozen bases, arrays.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use burn::module::{Module, ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_hardware::deploy::{Fab, Fidelity, Hardware, MappedNetwork};
use crossburn_hardware::layer::about_items;
use crossburn_models::decoder::{
    AdapterConfig, AdapterKind, AdapterTarget, Cache, Decoder, family, next_token_loss,
};
use crossburn_models::initialize;
use crossburn_noise::{ChipSeed, matrix_weights};
use serde_json::{Value, json};

/// A small decoder of a family.
fn document(family: &str) -> Value {
    match family {
        "gpt2" => json!({
            "model_type": "gpt2", "vocab_size": 50, "n_embd": 16, "n_layer": 2, "n_head": 2, "n_positions": 32,
            "activation_function": "gelu_new",
        }),
        "opt" => json!({
            "model_type": "opt", "vocab_size": 50, "hidden_size": 16, "ffn_dim": 24, "num_hidden_layers": 2,
            "num_attention_heads": 2, "max_position_embeddings": 32, "activation_function": "relu",
        }),
        _ => json!({
            "model_type": family, "vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 6,
            "num_attention_heads": 4, "num_key_value_heads": if family == "gpt_neox" { 4 } else { 2 },
            "head_dim": if family == "gpt_neox" || family == "phi" { 4 } else { 8 }, "max_position_embeddings": 32,
            "hidden_act": "gelu", "sliding_window": 4, "use_sliding_window": true, "max_window_layers": 3,
            "attn_logit_softcapping": 5.0, "final_logit_softcapping": 3.0,
        }),
    }
}

const FAMILIES: [&str; 10] = [
    "llama",
    "mistral",
    "qwen2",
    "qwen3",
    "gemma3_text",
    "phi",
    "gpt_neox",
    "gpt2",
    "opt",
    "stablelm",
];

/// Embeddings from a formula: [`initialize`] draws the weights of linear layers.
struct Embeddings(Vec<String>);

impl ModuleMapper for Embeddings {
    fn enter_module(&mut self, _name: &str, container: &str) {
        self.0.push(container.to_string());
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.0.pop();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        if self
            .0
            .last()
            .is_none_or(|layer| layer != "Struct:Embedding")
        {
            return param;
        }
        let (shape, id) = (param.lazy_shape(), param.id);
        let values: Vec<f32> = (0..shape.num_elements())
            .map(|i| (i as f64 * 1.7 + (i * i % 101) as f64).sin() as f32)
            .collect();
        let values = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
        param.transform_for_load(values, id)
    }
}

fn decoder(family: &str, device: &Device) -> Decoder {
    let (config, _) = family::read(&document(family)).unwrap();
    let decoder = initialize(config.init(device).unwrap(), 7);
    decoder.map(&mut Embeddings(Vec::new()))
}

fn tokens(batch: usize, places: usize, device: &Device) -> Tensor<2, Int> {
    let values: Vec<i64> = (0..batch * places).map(|i| (i * 37 % 50) as i64).collect();
    Tensor::from_data(TensorData::new(values, [batch, places]), device)
}

#[test]
fn parameters_are_counted_without_making_them() {
    for family in FAMILIES {
        let decoder = decoder(family, &Device::flex());
        let counted = decoder.config().parameters();
        assert_eq!(decoder.num_params() as u128, counted, "{family}");
    }
}

/// Ten tokens, more than the window of four, in parts of every kind.
#[test]
fn a_cache_with_windows_gives_what_the_whole_text_gives() {
    let device = Device::flex();
    for family in FAMILIES {
        let decoder = decoder(family, &device);
        let tokens = tokens(2, 10, &device);
        let whole = decoder.hidden(tokens.clone(), None, &mut Cache::new());
        let mut cache = Cache::new();
        let parts = [(0, 1), (1, 6), (7, 1), (8, 2)].map(|(first, count)| {
            decoder.hidden(tokens.clone().narrow(1, first, count), None, &mut cache)
        });
        let difference = (whole - Tensor::cat(parts.to_vec(), 1)).abs().max();
        let difference = difference.into_scalar::<f32>();
        assert!(difference < 1e-5, "{family}: {difference}");
    }
}

#[test]
fn soft_caps_bound_the_logits() {
    let device = Device::flex();
    let decoder = decoder("gemma3_text", &device);
    let logits = decoder.forward(tokens(1, 8, &device));
    assert!(logits.abs().max().into_scalar::<f32>() <= 3.0);
}

#[test]
fn a_frozen_base_has_no_gradients_and_its_adapter_has_all() {
    let device = Device::flex().autodiff();
    let decoder = decoder("llama", &device).freeze();
    let labels: Vec<Option<u32>> = (0..12).map(|i| (i % 6 > 2).then_some(i)).collect();
    let targets = || [AdapterTarget::Query, AdapterTarget::Down].into();
    for (kind, count) in [
        (AdapterKind::Prompt { tokens: 3 }, 1),
        (AdapterKind::Prefix { tokens: 3 }, 1),
        (
            AdapterKind::Lora {
                rank: 2,
                alpha: 4.0,
                targets: targets(),
            },
            6 * 2 * 2,
        ),
        (
            AdapterKind::Ia3 {
                outputs: [AdapterTarget::Key].into(),
                inputs: targets(),
            },
            6 * 3,
        ),
    ] {
        let config = AdapterConfig { kind };
        let adapter = config.init(decoder.config(), &device).unwrap();
        let loss =
            || next_token_loss(&decoder, Some(&adapter), tokens(2, 6, &device), &labels).unwrap();
        let gradients = loss().backward();
        assert_eq!(
            GradientsParams::from_grads(gradients, &adapter).len(),
            count
        );
        let gradients = loss().backward();
        assert_eq!(GradientsParams::from_grads(gradients, &decoder).len(), 0);
    }
}

#[test]
fn the_loss_without_an_adapter_is_that_of_the_logits() {
    let device = Device::flex();
    let decoder = decoder("qwen3", &device);
    let tokens = tokens(2, 6, &device);
    let labels: Vec<Option<u32>> = (0..12).map(|i| (i % 6 > 2).then_some(i)).collect();
    let loss = next_token_loss(&decoder, None, tokens.clone(), &labels).unwrap();
    let logits = decoder.forward(tokens.clone()).into_data();
    let logits = logits.try_to_vec::<f32>().unwrap();
    let mut sum = 0.0;
    for (at, label) in labels.iter().enumerate() {
        if let Some(label) = label {
            let row = &logits[(at - 1) * 50..at * 50];
            let total: f64 = row.iter().map(|x| f64::from(*x).exp()).sum();
            sum += total.ln() - f64::from(row[*label as usize]);
        }
    }
    // A mean of six numbers of size four in 32-bit floats.
    assert!((f64::from(loss.into_scalar::<f32>()) - sum / 6.0).abs() < 1e-5);
    for (labels, message) in [
        (vec![Some(1); 5], "labels: 5 do not fit 2 texts of 6 tokens"),
        (
            vec![None; 12],
            "labels: none names a token to learn; give texts of two tokens or more",
        ),
        (
            vec![Some(50); 12],
            "labels: 50 is outside the vocabulary of 50",
        ),
    ] {
        let error = next_token_loss(&decoder, None, tokens.clone(), &labels).unwrap_err();
        assert_eq!(error.to_string(), message);
    }
}

/// Every matrix of every block lies on arrays, and arrays without error compute what the network computes.
#[test]
fn a_decoder_lies_on_arrays() {
    let device = Device::flex();
    let hardware = Hardware::from_toml(
        r#"
        device = { kind = "ideal", g_min = "1 uS", g_max = "50 uS" }
        mapping = { scheme = "one-sided-pair", weight_bits = 8 }
        array = { rows = 64, columns = 64, input = { bits = 14 } }
        "#,
    )
    .unwrap();
    for family in ["llama", "gemma3_text", "gpt2"] {
        let decoder = decoder(family, &device);
        let run = |decoder: &Decoder| {
            decoder.forward(tokens(2, 8, &device));
        };
        let mapped = MappedNetwork::new(&decoder, &hardware, 2, run).unwrap();
        let expected = matrix_weights(&decoder).len();
        assert_eq!(
            (mapped.layers().len(), mapped.unseen().len()),
            (expected, 0)
        );
        let [weights, arrays] = [Fidelity::Weight, Fidelity::Array].map(|fidelity| {
            let fab = mapped.fab(fidelity).unwrap();
            let chip = fab.chip(ChipSeed::new(1, 0)).unwrap();
            chip.forward(tokens(2, 8, &device))
        });
        let size = arrays.clone().abs().max().into_scalar::<f32>();
        // Both hold the same rounded weights. Arrays round their inputs as well: with 8 bits the two were up to 0.09 of the
        // size apart, with 14 up to 0.002.
        let apart = (weights - arrays.clone()).abs().max().into_scalar::<f32>();
        assert!(apart < 0.01 * size, "{family}: {apart} of {size}");
        let rounding = (decoder.forward(tokens(2, 8, &device)) - arrays)
            .abs()
            .max();
        let rounding = rounding.into_scalar::<f32>();
        assert!(
            rounding > 0.0 && rounding < 0.1 * size,
            "{family}: {rounding} of {size}"
        );
    }
}

/// Reads of a text scatter by its number, whichever texts were read before.
#[test]
fn read_noise_of_a_text_follows_its_number() {
    let device = Device::flex();
    let hardware = Hardware::from_toml(
        r#"
        device = { preset = "pcm-mushroom" }
        mapping = { weight_bits = 8 }
        array = { rows = 64, columns = 64, input = { bits = 8 } }
        "#,
    )
    .unwrap();
    let decoder = decoder("llama", &device);
    let mapped = MappedNetwork::new(&decoder, &hardware, 2, |decoder: &Decoder| {
        decoder.forward(tokens(2, 8, &device));
    })
    .unwrap();
    let fab = mapped.fab(Fidelity::Array).unwrap();
    let chip = fab.chip(ChipSeed::new(1, 0)).unwrap();
    let logits = |text: u64| {
        let logits = about_items(&[text], || chip.forward(tokens(1, 8, &device)));
        logits.into_data().try_into_vec_as::<f32>().unwrap()
    };
    let (third, fourth) = (logits(3), logits(4));
    assert_ne!(third, fourth);
    assert_eq!([logits(3), logits(4)], [third, fourth]);
}
