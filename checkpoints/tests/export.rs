//! Language models written for other programs: the same tensors under the same names.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod golden;

use std::collections::BTreeMap;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor};
use crossburn_checkpoints::{FloatType, LanguageModel, export_language_model};
use crossburn_models::decoder::family::llama_document;
use crossburn_models::decoder::{DecoderSizes, family};
use golden::folder;
use half::{bf16, f16};
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

/// Two words and what ends a text: every network has as many tokens.
const TOKENIZER: &str = r#"{
    "version": "1.0", "truncation": null, "padding": null, "added_tokens": [], "normalizer": null,
    "pre_tokenizer": { "type": "Whitespace" }, "post_processor": null, "decoder": null,
    "model": { "type": "WordLevel", "vocab": { "a": 0, "b": 1, "end": 2 }, "unk_token": "a" }
}"#;

/// The tensors of a file: type, shape and bytes.
type Tensors = BTreeMap<String, (Dtype, Vec<usize>, Vec<u8>)>;

fn tensors(folder: &Path) -> Tensors {
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let entry = |(name, view): (&str, safetensors::tensor::TensorView)| {
        let content = (view.dtype(), view.shape().to_vec(), view.data().to_vec());
        (name.to_string(), content)
    };
    file.iter().map(entry).collect()
}

fn document(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A folder of a Llama whose weights are 0, 1/8, 2/8 and so on, times `scale`.
fn llama(folder: &Path, scale: f32) {
    let sizes: DecoderSizes =
        serde_json::from_value(json!({ "vocabulary": 5, "width": 8, "heads": 2, "layers": 1 }))
            .unwrap();
    let config = sizes.config().unwrap();
    std::fs::create_dir(folder).unwrap();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.join(name), bytes).unwrap();
    write(
        "config.json",
        llama_document(&config).unwrap().to_string().as_bytes(),
    );
    write("tokenizer.json", TOKENIZER.as_bytes());
    write(
        "tokenizer_config.json",
        br#"{ "eos_token": "end", "chat_template": "{{ messages[0].content }}" }"#,
    );
    let hidden = config.hidden_width;
    let shapes = [
        ("model.embed_tokens.weight", vec![5, 8]),
        ("model.norm.weight", vec![8]),
        ("model.layers.0.input_layernorm.weight", vec![8]),
        ("model.layers.0.post_attention_layernorm.weight", vec![8]),
        ("model.layers.0.self_attn.q_proj.weight", vec![8, 8]),
        ("model.layers.0.self_attn.k_proj.weight", vec![8, 8]),
        ("model.layers.0.self_attn.v_proj.weight", vec![8, 8]),
        ("model.layers.0.self_attn.o_proj.weight", vec![8, 8]),
        ("model.layers.0.mlp.gate_proj.weight", vec![hidden, 8]),
        ("model.layers.0.mlp.up_proj.weight", vec![hidden, 8]),
        ("model.layers.0.mlp.down_proj.weight", vec![8, hidden]),
    ];
    let contents = shapes.map(|(name, shape)| {
        let count: usize = shape.iter().product();
        let values = (0..count).map(|index| index as f32 / 8.0 * scale);
        let bytes: Vec<u8> = values.flat_map(f32::to_le_bytes).collect();
        (name, shape, bytes)
    });
    let views = contents.iter().map(|(name, shape, bytes)| {
        let view = safetensors::tensor::TensorView::new(Dtype::F32, shape.clone(), bytes);
        (*name, view.unwrap())
    });
    write(
        "model.safetensors",
        &safetensors::serialize(views, None).unwrap(),
    );
}

#[test]
fn every_family_comes_out_as_it_went_in() {
    let Some(models) = folder("golden-decoders") else {
        return;
    };
    let device = Device::flex();
    for name in family::supported() {
        let stored = models.join(name);
        if !stored.is_dir() {
            continue;
        }
        let place = tempfile::tempdir().unwrap();
        let (given, out) = (place.path().join("given"), place.path().join("out"));
        std::fs::create_dir(&given).unwrap();
        for file in ["config.json", "model.safetensors"] {
            std::fs::copy(stored.join(file), given.join(file)).unwrap();
        }
        std::fs::write(given.join("tokenizer.json"), TOKENIZER).unwrap();
        let model = LanguageModel::open(&given).unwrap();
        export_language_model(&model, &out, FloatType::F32).unwrap();

        let (before, mut after) = (tensors(&given), tensors(&out));
        // Some files leave out the name of the part that the network is.
        let rooted = after
            .keys()
            .next()
            .is_some_and(|name| before.contains_key(name));
        if !rooted {
            after = (after.into_iter())
                .map(|(name, content)| match name.split_once('.') {
                    Some((_, rest)) if !before.contains_key(&name) => (rest.to_string(), content),
                    _ => (name, content),
                })
                .collect();
        }
        for (tensor, content) in &after {
            assert_eq!(before.get(tensor), Some(content), "{name}: {tensor}");
        }
        // What is missing is made of the configuration, or is a second copy.
        for tensor in before.keys().filter(|tensor| !after.contains_key(*tensor)) {
            let tables = ["bias", "masked_bias", "inv_freq"];
            let table = tables
                .iter()
                .any(|table| tensor.ends_with(&format!("attn.{table}")));
            assert!(table || tensor == "lm_head.weight", "{name}: {tensor}");
        }
        let again = LanguageModel::open(&out).unwrap();
        let tokens = || Tensor::<2, Int>::from_data([[1, 2, 0, 3, 1]], &device);
        let logits =
            |model: &LanguageModel| model.decoder(&device).unwrap().module.forward(tokens());
        assert_eq!(
            logits(&again).into_data(),
            logits(&model).into_data(),
            "{name}"
        );
    }
}

#[test]
fn what_is_no_weight_comes_along() {
    let place = tempfile::tempdir().unwrap();
    let (given, out) = (place.path().join("given"), place.path().join("out"));
    llama(&given, 1.0);
    let model = LanguageModel::open(&given).unwrap();
    export_language_model(&model, &out, FloatType::Bf16).unwrap();
    let config = document(&out.join("config.json"));
    assert_eq!(config["torch_dtype"], "bfloat16");
    assert_eq!(config["eos_token_id"], 2);
    assert_eq!(config["bos_token_id"], Value::Null);
    let tokenizer = document(&out.join("tokenizer_config.json"));
    assert_eq!(tokenizer["eos_token"], "end");
    assert_eq!(tokenizer["chat_template"], "{{ messages[0].content }}");
    let again = LanguageModel::open(&out).unwrap();
    assert_eq!(
        again.decoder_config().unwrap().0,
        model.decoder_config().unwrap().0
    );
    let tokenizer = again.tokenizer(5).unwrap();
    assert_eq!(tokenizer.encode("b a", true).unwrap(), [1, 0]);
    assert_eq!(tokenizer.end(), [2]);
    assert!(again.chat_template(&tokenizer).unwrap().is_some());
    let names: Vec<_> = std::fs::read_dir(&out).unwrap().collect();
    assert_eq!(names.len(), 5, "{names:?}");
}

/// A list without tokens would make transformers fail when it generates.
#[test]
fn a_tokenizer_without_an_end_gives_none() {
    let place = tempfile::tempdir().unwrap();
    let (given, out) = (place.path().join("given"), place.path().join("out"));
    llama(&given, 1.0);
    std::fs::write(given.join("tokenizer_config.json"), "{}").unwrap();
    let model = LanguageModel::open(&given).unwrap();
    assert!(model.tokenizer(5).unwrap().end().is_empty());
    export_language_model(&model, &out, FloatType::F32).unwrap();
    for file in ["config.json", "generation_config.json"] {
        let document = document(&out.join(file));
        assert_eq!(document.get("eos_token_id"), Some(&Value::Null), "{file}");
    }
    let again = LanguageModel::open(&out).unwrap();
    assert!(again.tokenizer(5).unwrap().end().is_empty());
}

#[test]
fn halves_are_the_nearest_and_what_they_cannot_hold_is_refused() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name);
    // 1/3 is between two numbers of either type.
    llama(&path("given"), 1.0 / 3.0);
    let model = LanguageModel::open(&path("given")).unwrap();
    let whole = tensors(&path("given"));
    for (float, dtype) in [(FloatType::F16, Dtype::F16), (FloatType::Bf16, Dtype::BF16)] {
        let out = path(float.name());
        export_language_model(&model, &out, float).unwrap();
        let halves = tensors(&out);
        assert_eq!(halves.len(), whole.len());
        for (name, (found, shape, bytes)) in halves {
            let (_, expected_shape, expected) = &whole[&name];
            assert_eq!((found, &shape), (dtype, expected_shape));
            let expected = expected.as_chunks::<4>().0.iter();
            for (half, whole) in bytes.as_chunks::<2>().0.iter().zip(expected) {
                let half = match float {
                    FloatType::F16 => f16::from_le_bytes(*half).to_f32(),
                    _ => bf16::from_le_bytes(*half).to_f32(),
                };
                let whole = f32::from_le_bytes(*whole);
                // Half of the last of 11 and of 8 bits.
                let bits = if dtype == Dtype::F16 { 11 } else { 8 };
                assert!(
                    (half - whole).abs() <= whole * 0.5_f32.powi(bits),
                    "{half} {whole}"
                );
            }
        }
    }
    llama(&path("large"), 1e5);
    let model = LanguageModel::open(&path("large")).unwrap();
    let error = export_language_model(&model, &path("refused"), FloatType::F16).unwrap_err();
    let message = error.to_string();
    assert!(
        message.contains("which float16 cannot; write it with numbers of another type"),
        "{message}"
    );
    assert!(!path("refused").exists());
    export_language_model(&model, &path("large-bf16"), FloatType::Bf16).unwrap();
}

/// Of GPT-2, whose file may leave out how many channels there are, and never says how wide a head is.
#[test]
fn gpt2_can_lose_channels_and_no_heads() {
    let place = tempfile::tempdir().unwrap();
    let config = json!({
        "model_type": "gpt2", "vocab_size": 5, "n_embd": 8, "n_head": 4, "n_layer": 1, "n_positions": 16,
        "activation_function": "gelu_new",
    });
    let mut with_null = config.clone();
    with_null["n_inner"] = Value::Null;
    let mut with_count = config.clone();
    with_count["n_inner"] = json!(32);
    for config in [config, with_null, with_count] {
        std::fs::write(place.path().join("config.json"), config.to_string()).unwrap();
        let model = LanguageModel::open(place.path()).unwrap();
        let whole = model.decoder_config().unwrap().0;
        let (document, _) = model.pruned_document(&whole.pruned(4, 20)).unwrap();
        let mut expected = config;
        expected["n_inner"] = json!(20);
        assert_eq!(document, expected);
        let error = model.pruned_document(&whole.pruned(2, 32)).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains("cannot say which heads and channels are left"),
            "{message}"
        );
    }
}
