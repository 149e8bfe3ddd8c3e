//! A GGUF file in place of a model folder, for every verb that judges, attacks, tunes and quantizes language models.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;
#[path = "../checkpoints/tests/gguf_writer/mod.rs"]
mod gguf_writer;

use std::path::Path;

use command::{bad, good, json};
use gguf_writer::{Meta, Weights, Writer};
use safetensors::SafeTensors;
use serde_json::Value;

fn document(path: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// The model in `folder`, a Llama with a byte-level tokenizer, as a GGUF file.
fn convert(folder: &Path) -> Writer {
    let config = document(&folder.join("config.json"));
    let mut writer = Writer::default();
    let text = |text: &str| Meta::Text(text.to_string());
    writer.set("general.architecture", text("llama"));
    for (key, name) in [
        ("context_length", "max_position_embeddings"),
        ("embedding_length", "hidden_size"),
        ("block_count", "num_hidden_layers"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
        ("attention.head_count_kv", "num_key_value_heads"),
    ] {
        let value = config[name].as_u64().unwrap() as u32;
        writer.set(&format!("llama.{key}"), Meta::U32(value));
    }
    for (key, name) in [
        ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
        ("rope.freq_base", "rope_theta"),
    ] {
        let value = config[name].as_f64().unwrap() as f32;
        writer.set(&format!("llama.{key}"), Meta::F32(value));
    }
    let bytes = std::fs::read(folder.join("model.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors: Vec<Weights> = file
        .iter()
        .map(|(name, view)| {
            let values = view.data().as_chunks::<4>().0.iter();
            Weights {
                name: name.to_string(),
                shape: view.shape().to_vec(),
                values: values.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
            }
        })
        .collect();
    let heads = ["num_attention_heads", "num_key_value_heads"];
    let heads = heads.map(|key| config[key].as_u64().unwrap() as usize);
    writer.convert(&tensors, heads, false);
    let tokenizer = document(&folder.join("tokenizer.json"));
    let vocabulary = tokenizer["model"]["vocab"].as_object().unwrap();
    let mut tokens: Vec<(u64, String)> = vocabulary
        .iter()
        .map(|(token, id)| (id.as_u64().unwrap(), token.clone()))
        .collect();
    tokens.sort();
    let merges = tokenizer["model"]["merges"].as_array().unwrap().iter();
    let merges = merges.map(|pair| {
        let [left, right] = [0, 1].map(|side| pair[side].as_str().unwrap());
        format!("{left} {right}")
    });
    // The first token, of no text, ends one.
    let kinds = (0..tokens.len()).map(|id| if id == 0 { 3 } else { 1 });
    writer
        .set("tokenizer.ggml.model", text("gpt2"))
        .set("tokenizer.ggml.pre", text("gpt-2"))
        .set("tokenizer.ggml.token_type", Meta::I32s(kinds.collect()))
        .set("tokenizer.ggml.merges", Meta::Texts(merges.collect()))
        .set("tokenizer.ggml.eos_token_id", Meta::U32(0))
        .set(
            "tokenizer.ggml.tokens",
            Meta::Texts(tokens.into_iter().map(|(_, token)| token).collect()),
        );
    writer
}

#[test]
fn a_file_is_judged_attacked_tuned_and_quantized_as_the_folder_that_it_is_from() {
    let place = tempfile::tempdir().unwrap();
    let place = place.path();
    // Any verb that needs no model of its own puts the one that comes with the program there.
    good(place, "tune prompt --epochs 1 --out first");
    good(place, "export runs/models/personal --out folder");
    convert(&place.join("folder")).write(&place.join("m.gguf"));
    let clean = |command: &str| {
        let found = json(&good(place, command));
        found["methods"][0]["clean"].as_f64().unwrap()
    };
    let both = |command: &str| {
        let of =
            |model: &str, out: &str| clean(&command.replace("MODEL", model).replace("OUT", out));
        [of("folder", "of-folder"), of("m.gguf", "of-file")]
    };
    let [folder, file] =
        both("evaluate MODEL --data person:3 --items 20 --noise none --chips 1 --json --out e-OUT");
    assert_eq!(folder, file);
    let [folder, file] =
        both("tune lora --model MODEL --data person:3 --epochs 2 --json --out t-OUT");
    assert_eq!(folder, file);
    let worst = "worst-case m.gguf --data person:3 --items 10 --bound 0.01 --budget 6 --random-chips 2 --json --out worst";
    let worst = json(&good(place, worst));
    assert!(worst["worst"].as_f64() > worst["clean"].as_f64());
    good(place, "map m.gguf --data person:3 --items 2 --out mapped");
    good(
        place,
        "compress m.gguf --data person:3 --items 10 --bits 4 --out small",
    );
    let message = bad(place, "evaluate n.gguf --data person:3");
    assert!(message.contains("n.gguf"), "{message}");
}
