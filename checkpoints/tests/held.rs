//! Weights of language models that are held in halves or blocks, against the 32-bit numbers that they stand for.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod gguf_writer;
mod golden;

use std::collections::BTreeMap;
use std::path::Path;

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::{Device, Tensor};
use crossburn_checkpoints::gguf::{EncodedFormat, WeightFormat};
use crossburn_checkpoints::{
    CheckpointError, HeldAs, LanguageModel, Loaded, Manifest, save_checkpoint,
};
use crossburn_models::decoder::family::{self, llama_document};
use crossburn_models::decoder::{Decoder, DecoderSizes};
use crossburn_noise::Philox;
use gguf_writer::{Meta, Weights, Writer};
use golden::folder;
use half::{bf16, f16};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

use EncodedFormat::{BF16, F16, Q8_0};

const EVERY_FORM: [HeldAs; 5] = [
    HeldAs::Floats,
    HeldAs::Stored,
    HeldAs::Encoded(F16),
    HeldAs::Encoded(BF16),
    HeldAs::Encoded(Q8_0),
];

/// A Llama of one block.
fn config(width: usize) -> Value {
    let sizes =
        json!({ "vocabulary": 40, "width": width, "heads": 2, "layers": 1, "hidden_width": 96 });
    let sizes: DecoderSizes = serde_json::from_value(sizes).unwrap();
    llama_document(&sizes.config().unwrap()).unwrap()
}

/// Random weights of [`config`].
fn weights(width: usize) -> Vec<Weights> {
    let layer = |name: &str| format!("model.layers.0.{name}.weight");
    let shapes = [
        ("model.embed_tokens.weight".to_string(), vec![40, width]),
        ("model.norm.weight".to_string(), vec![width]),
        (layer("input_layernorm"), vec![width]),
        (layer("post_attention_layernorm"), vec![width]),
        (layer("self_attn.q_proj"), vec![width, width]),
        (layer("self_attn.k_proj"), vec![width, width]),
        (layer("self_attn.v_proj"), vec![width, width]),
        (layer("self_attn.o_proj"), vec![width, width]),
        (layer("mlp.gate_proj"), vec![96, width]),
        (layer("mlp.up_proj"), vec![96, width]),
        (layer("mlp.down_proj"), vec![width, 96]),
    ];
    let random = |index: usize, count: usize| {
        let generator = Philox::new(7, index as u64);
        let values = (0..count as u64).map(|at| generator.uniform(at) as f32 - 0.5);
        values.collect::<Vec<f32>>()
    };
    let tensors = shapes.into_iter().enumerate();
    let tensors = tensors.map(|(index, (name, shape))| Weights {
        values: random(index, shape.iter().product()),
        name,
        shape,
    });
    tensors.collect()
}

/// Writes a model folder with the numbers in the type `dtype`.
fn write(folder: &Path, config: &Value, weights: &[Weights], dtype: Dtype) {
    std::fs::create_dir_all(folder).unwrap();
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let bytes = |weights: &Weights| -> Vec<u8> {
        let values = weights.values.iter();
        match dtype {
            Dtype::BF16 => values
                .flat_map(|x| bf16::from_f32(*x).to_le_bytes())
                .collect(),
            Dtype::F16 => values
                .flat_map(|x| f16::from_f32(*x).to_le_bytes())
                .collect(),
            _ => values.flat_map(|x| x.to_le_bytes()).collect(),
        }
    };
    let bytes: Vec<Vec<u8>> = weights.iter().map(bytes).collect();
    let views = weights.iter().zip(&bytes).map(|(weights, bytes)| {
        let view = TensorView::new(dtype, weights.shape.clone(), bytes).unwrap();
        (weights.name.as_str(), view)
    });
    safetensors::serialize_to_file(views, None, &folder.join("model.safetensors")).unwrap();
}

/// What a folder of random weights is, after `change`, held as `held`.
fn loaded(
    width: usize,
    dtype: Dtype,
    held: HeldAs,
    change: impl Fn(&mut [Weights]),
) -> Result<Loaded<Decoder>, CheckpointError> {
    let folder = tempfile::tempdir().unwrap();
    let mut weights = weights(width);
    change(&mut weights);
    write(folder.path(), &config(width), &weights, dtype);
    LanguageModel::open(folder.path())?.held_decoder(&Device::flex(), held)
}

/// The numbers of a decoder by path, those of a linear layer in the order of a file: output after output.
#[derive(Default)]
struct Numbers {
    path: Vec<String>,
    container: String,
    found: BTreeMap<String, (Vec<usize>, Vec<f32>)>,
}

impl ModuleVisitor for Numbers {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.path.push(name.to_string());
        self.container = container.to_string();
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.path.pop();
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        let value = match (D, self.container.as_str()) {
            (2, "Struct:Linear") => param.val().swap_dims(0, 1),
            _ => param.val(),
        };
        let (shape, values) = (value.dims().to_vec(), value.into_data());
        let values = values.try_into_vec_as::<f32>().unwrap();
        self.found.insert(self.path.join("."), (shape, values));
    }
}

fn numbers(decoder: &Decoder) -> BTreeMap<String, (Vec<usize>, Vec<f32>)> {
    let mut numbers = Numbers::default();
    // A visitor sees what a held weight was put over, not what it holds.
    decoder.clone().materialize().visit(&mut numbers);
    numbers.found
}

fn bits(values: &[f32]) -> Vec<u32> {
    values.iter().map(|value| value.to_bits()).collect()
}

/// What blocks of eight bits hold of `values`, after the words of `quantize_row_q8_0_ref` in `ggml-quants.c`.
fn rounded_to_eight_bits(values: &[f32]) -> Vec<f32> {
    let block = |values: &[f32]| {
        let largest = values.iter().fold(0.0f32, |most, x| most.max(x.abs()));
        let scale = largest / 127.0;
        let inverse = if scale == 0.0 { 0.0 } else { 1.0 / scale };
        let held = f16::from_f32(scale).to_f32();
        let values = values.iter().map(|x| (x * inverse).round() * held);
        values.collect::<Vec<f32>>()
    };
    values.chunks(32).flat_map(block).collect()
}

/// The largest difference of the logits after `tokens`.
fn difference(a: &Decoder, b: &Decoder, tokens: &[u32]) -> f32 {
    let [a, b] = [a, b].map(|decoder| decoder.forward(decoder.tokens(tokens)));
    (a - b).abs().max().into_scalar::<f32>()
}

const TOKENS: [u32; 9] = [3, 1, 4, 1, 5, 9, 2, 6, 5];

/// The sums of products are taken in another order; logits are of size one.
const TOLERANCE: f32 = 1e-4;

/// Halves of a file of BF16 and blocks made of them, against the 32-bit numbers that they stand for.
fn agrees(folder: &Path, name: &str) {
    let device = Device::flex();
    let model = LanguageModel::open(folder).unwrap();
    let floats = model.decoder(&device).unwrap().module;
    let expected = numbers(&floats);

    let stored = model.held_decoder(&device, HeldAs::Stored).unwrap();
    for (path, (format, bytes)) in &stored.bytes {
        let (shape, values) = &expected[path];
        let (wanted, each) = match shape.len() {
            2 => (WeightFormat::BF16, 2),
            _ => (WeightFormat::F32, 4),
        };
        assert_eq!(
            (*format, *bytes),
            (wanted, each * values.len()),
            "{name}: {path}"
        );
    }
    assert_eq!(stored.bytes.len(), expected.len(), "{name}");
    for (path, (shape, values)) in numbers(&stored.module) {
        assert_eq!(shape, expected[&path].0, "{name}: {path}");
        let same = bits(&values) == bits(&expected[&path].1);
        assert!(same, "{name}: {path}");
    }
    // Many tokens and few, which are multiplied in different ways.
    for tokens in [&TOKENS[..], &TOKENS[..3]] {
        let apart = difference(&floats, &stored.module, tokens);
        assert!(apart <= TOLERANCE, "{name}: {apart}");
    }

    let eight = model.held_decoder(&device, HeldAs::Encoded(Q8_0)).unwrap();
    let mut blocks = 0;
    for (path, (_, values)) in numbers(&eight.module) {
        let (shape, whole) = &expected[&path];
        let format = eight.bytes[&path].0;
        match shape.as_slice() {
            [_, inputs] if inputs.is_multiple_of(32) => {
                assert_eq!(format, WeightFormat::Q8_0, "{name}: {path}");
                let same = values == rounded_to_eight_bits(whole);
                assert!(same, "{name}: {path}");
                blocks += 1;
            }
            // Rows that are not whole blocks stay as they are stored.
            [_, _] => assert_eq!(format, WeightFormat::BF16, "{name}: {path}"),
            _ => assert_eq!(format, WeightFormat::F32, "{name}: {path}"),
        }
    }
    assert!(blocks > 0, "{name}");
    let unpacked = eight.module.clone().materialize();
    let apart = difference(&unpacked, &eight.module, &TOKENS);
    assert!(apart <= TOLERANCE, "{name}: {apart}");
    assert!(difference(&floats, &eight.module, &TOKENS) > 0.0, "{name}");
}

#[test]
fn a_small_model_in_halves_and_blocks_is_that_of_its_numbers() {
    for width in [48, 64] {
        let folder = tempfile::tempdir().unwrap();
        write(folder.path(), &config(width), &weights(width), Dtype::BF16);
        agrees(folder.path(), &format!("width {width}"));
    }
}

#[test]
fn every_family_in_halves_and_blocks_is_that_of_its_numbers() {
    let Some(models) = folder("golden-decoders") else {
        return;
    };
    for name in family::supported() {
        let path = models.join(name);
        if !path.is_dir() {
            continue;
        }
        let document = std::fs::read(path.join("config.json")).unwrap();
        let bytes = std::fs::read(path.join("model.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        // Tables of masks, which are of integers in some files, are no weights.
        let floats = file.iter().filter(|(_, view)| view.dtype() == Dtype::F32);
        let weights: Vec<Weights> = floats
            .map(|(name, view)| Weights {
                name: name.to_string(),
                shape: view.shape().to_vec(),
                values: (view.data().as_chunks::<4>().0.iter())
                    .map(|bytes| f32::from_le_bytes(*bytes))
                    .collect(),
            })
            .collect();
        let place = tempfile::tempdir().unwrap();
        let document = serde_json::from_slice(&document).unwrap();
        write(place.path(), &document, &weights, Dtype::BF16);
        agrees(place.path(), name);
    }
}

#[test]
fn matrices_are_held_as_what_was_asked_for() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        for asked in [F16, BF16, Q8_0] {
            let held = loaded(64, dtype, HeldAs::Encoded(asked), |_| {}).unwrap();
            for (path, (_, values)) in numbers(&held.module) {
                let (format, bytes) = held.bytes[&path];
                let expected = match path.ends_with("norm.weight") {
                    true => WeightFormat::F32,
                    false => asked.into(),
                };
                assert_eq!(format, expected, "{dtype} {path}");
                assert_eq!(format.row_bytes(values.len()), Some(bytes));
            }
        }
    }
}

#[test]
fn what_a_format_cannot_hold_stays_as_it_is_stored() {
    let embedding = |dtype, held, change: fn(&mut [Weights])| {
        let loaded = loaded(64, dtype, held, change).unwrap();
        let numbers = &numbers(&loaded.module)["embedding.weight"].1;
        (loaded.bytes["embedding.weight"].0, numbers[70])
    };
    // Beyond half precision; beyond the scales of blocks.
    let large = |weights: &mut [Weights]| weights[0].values[70] = 65_536.0;
    let larger = |weights: &mut [Weights]| weights[0].values[70] = f32::powi(2.0, 24);
    let (half, eight) = (HeldAs::Encoded(F16), HeldAs::Encoded(Q8_0));
    for (dtype, format) in [
        (Dtype::F32, WeightFormat::F32),
        (Dtype::BF16, WeightFormat::BF16),
    ] {
        assert_eq!(embedding(dtype, half, large), (format, 65_536.0));
        assert_eq!(embedding(dtype, eight, larger), (format, 16_777_216.0));
    }
}

#[test]
fn a_number_that_is_not_finite_is_refused_in_every_form() {
    for dtype in [Dtype::F32, Dtype::F16, Dtype::BF16] {
        for held in EVERY_FORM {
            for bad in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let refused = |change: &dyn Fn(&mut [f32])| {
                    let result = loaded(64, dtype, held, |weights| change(&mut weights[0].values));
                    match result.unwrap_err() {
                        CheckpointError::Value {
                            tensor,
                            place,
                            value,
                            ..
                        } => {
                            assert_eq!(tensor, "model.embed_tokens.weight");
                            assert_eq!(value.to_bits(), bad.to_bits());
                            place
                        }
                        other => panic!("{dtype} {held:?}: {other}"),
                    }
                };
                // One, and a whole block.
                assert_eq!(refused(&|values| values[70] = bad), [1, 6]);
                assert_eq!(refused(&|values| values[64..96].fill(bad)), [1, 0]);
            }
        }
    }
}

#[test]
fn the_memory_that_is_foreseen_is_that_which_is_held() {
    let folder = tempfile::tempdir().unwrap();
    let kept = |held: &Loaded<Decoder>| -> u128 {
        held.bytes.values().map(|(_, bytes)| *bytes as u128).sum()
    };
    let (device, vectors, largest) = (Device::flex(), 3 * 64 * 4, 96 * 64 * 4);
    write(folder.path(), &config(64), &weights(64), Dtype::BF16);
    let model = LanguageModel::open(folder.path()).unwrap();
    for held in EVERY_FORM {
        let loaded = model.held_decoder(&device, held).unwrap();
        let expected = match held {
            HeldAs::Floats => kept(&loaded),
            HeldAs::Stored | HeldAs::Encoded(BF16) => vectors,
            // The numbers of the largest matrix beside.
            HeldAs::Encoded(_) => kept(&loaded) + largest,
        };
        assert_eq!(model.held_bytes(held).unwrap(), expected, "{held:?}");
    }
    // A matrix that the format cannot hold stays as it is, and is counted so.
    let mut beyond = weights(64);
    beyond[0].values[70] = f32::powi(2.0, 24);
    for (dtype, held) in [
        (Dtype::F32, HeldAs::Encoded(F16)),
        (Dtype::F32, HeldAs::Encoded(Q8_0)),
        (Dtype::BF16, HeldAs::Encoded(Q8_0)),
    ] {
        write(folder.path(), &config(64), &beyond, dtype);
        let model = LanguageModel::open(folder.path()).unwrap();
        let loaded = model.held_decoder(&device, held).unwrap();
        let mapped = match dtype {
            Dtype::BF16 => loaded.bytes["embedding.weight"].1 as u128,
            _ => 0,
        };
        let expected = kept(&loaded) - mapped + largest;
        assert_eq!(
            model.held_bytes(held).unwrap(),
            expected,
            "{dtype:?} {held:?}"
        );
    }
}

/// The file of [`weights`] in blocks.
fn blocks(path: &Path) {
    let (config, mut writer) = (config(64), Writer::default());
    writer.set("general.architecture", Meta::Text("llama".to_string()));
    for (key, value) in [
        ("context_length", &config["max_position_embeddings"]),
        ("embedding_length", &config["hidden_size"]),
        ("block_count", &config["num_hidden_layers"]),
        ("feed_forward_length", &config["intermediate_size"]),
        ("attention.head_count", &config["num_attention_heads"]),
    ] {
        let value = u32::try_from(value.as_u64().unwrap()).unwrap();
        writer.set(&format!("llama.{key}"), Meta::U32(value));
    }
    writer.set("llama.attention.layer_norm_rms_epsilon", Meta::F32(1e-5));
    writer.eight_bits = true;
    writer.convert(&weights(64), [2, 2], false);
    writer.write(path);
}

#[test]
fn blocks_of_a_file_stay_under_q8_0_and_become_halves_under_f16() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("small.gguf");
    blocks(&file);
    let (device, model) = (Device::flex(), LanguageModel::open(&file).unwrap());
    let floats = model.decoder(&device).unwrap().module;
    let expected = numbers(&floats);
    for (held, format) in [
        (HeldAs::Stored, WeightFormat::Q8_0),
        (HeldAs::Encoded(Q8_0), WeightFormat::Q8_0),
        (HeldAs::Encoded(F16), WeightFormat::F16),
        (HeldAs::Encoded(BF16), WeightFormat::BF16),
    ] {
        let loaded = model.held_decoder(&device, held).unwrap();
        for (path, (_, values)) in numbers(&loaded.module) {
            let whole = &expected[&path].1;
            if path.ends_with("norm.weight") {
                assert_eq!(loaded.bytes[&path].0, WeightFormat::F32);
                continue;
            }
            assert_eq!(loaded.bytes[&path].0, format, "{path}");
            let whole = whole.iter().map(|x| match format {
                WeightFormat::F16 => f16::from_f32(*x).to_f32(),
                WeightFormat::BF16 => bf16::from_f32(*x).to_f32(),
                _ => *x,
            });
            let same = bits(&values) == bits(&whole.collect::<Vec<_>>());
            assert!(same, "{held:?}: {path}");
        }
        let unpacked = loaded.module.clone().materialize();
        let apart = difference(&unpacked, &loaded.module, &TOKENS);
        assert!(apart <= TOLERANCE, "{held:?}: {apart}");
        if held == HeldAs::Stored {
            // Matrices are copied, with the rows of sixteen outputs side by side, but not the embedding, whose 40 rows stay mapped. Query and key were
            // copied before, in another order of rows.
            let kept: u128 = loaded.bytes.values().map(|(_, bytes)| *bytes as u128).sum();
            let (mapped, passing) = (40 * 2 * 34, 64 * 2 * 34);
            assert_eq!(model.held_bytes(held).unwrap(), kept - mapped + passing);
        }
    }
}

#[test]
fn a_run_of_this_program_is_held_as_32_bit_numbers_alone() {
    let place = tempfile::tempdir().unwrap();
    let (folder, device) = (place.path().join("checkpoint"), Device::flex());
    let sizes =
        json!({ "kind": "decoder", "vocabulary": 300, "width": 32, "heads": 2, "layers": 1 });
    let of_decoder: DecoderSizes =
        serde_json::from_value(json!({ "vocabulary": 300, "width": 32, "heads": 2, "layers": 1 }))
            .unwrap();
    let config = of_decoder.config().unwrap();
    let decoder = config.init(&device).unwrap();
    let manifest = Manifest::new(sizes, json!({}), 1, json!({}));
    save_checkpoint(&folder, &decoder, &manifest).unwrap();
    let model = LanguageModel::open(place.path()).unwrap();
    for held in [HeldAs::Floats, HeldAs::Stored] {
        let loaded = model.held_decoder(&device, held).unwrap();
        assert!(numbers(&loaded.module) == numbers(&decoder));
        let bytes = model.held_bytes(held).unwrap();
        assert_eq!(bytes, 4 * config.parameters());
    }
    let refused = model.held_decoder(&device, HeldAs::Encoded(Q8_0));
    let message = refused.unwrap_err().to_string();
    let expected = format!(
        "{} is a run of this program, which stores 32-bit numbers and is not held as Q8_0: export it and open the exported folder",
        folder.display()
    );
    assert_eq!(message, expected);
}
