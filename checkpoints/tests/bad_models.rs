//! Model folders that something is wrong with: one line that says what, and never a panic.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;

use burn::tensor::Device;
use crossburn_checkpoints::ModelFolder;
use safetensors::Dtype;
use safetensors::tensor::TensorView;
use serde_json::{Value, json};

/// A Llama of one block of width 4.
fn config() -> Value {
    json!({
        "model_type": "llama", "vocab_size": 5, "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 8, "tie_word_embeddings": true,
    })
}

const SHAPES: [(&str, [usize; 2]); 11] = [
    ("model.embed_tokens.weight", [5, 4]),
    ("model.layers.0.input_layernorm.weight", [4, 0]),
    ("model.layers.0.mlp.down_proj.weight", [4, 6]),
    ("model.layers.0.mlp.gate_proj.weight", [6, 4]),
    ("model.layers.0.mlp.up_proj.weight", [6, 4]),
    ("model.layers.0.post_attention_layernorm.weight", [4, 0]),
    ("model.layers.0.self_attn.k_proj.weight", [4, 4]),
    ("model.layers.0.self_attn.o_proj.weight", [4, 4]),
    ("model.layers.0.self_attn.q_proj.weight", [4, 4]),
    ("model.layers.0.self_attn.v_proj.weight", [4, 4]),
    ("model.norm.weight", [4, 0]),
];

/// Writes tensors of ones, changed by `change`: name, type, shape and values.
fn write(path: &Path, change: impl Fn(&mut Vec<(String, Dtype, Vec<usize>, Vec<f32>)>)) {
    let mut tensors: Vec<_> = SHAPES
        .iter()
        .map(|(name, shape)| {
            let shape: Vec<usize> = shape.iter().copied().filter(|size| *size > 0).collect();
            let count = shape.iter().product();
            (name.to_string(), Dtype::F32, shape, vec![1.0; count])
        })
        .collect();
    change(&mut tensors);
    let bytes: Vec<Vec<u8>> = tensors
        .iter()
        .map(|(_, _, _, values)| {
            values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect()
        })
        .collect();
    let views = tensors
        .iter()
        .zip(&bytes)
        .map(|((name, dtype, shape, _), bytes)| {
            (
                name.as_str(),
                TensorView::new(*dtype, shape.clone(), bytes).unwrap(),
            )
        });
    safetensors::serialize_to_file(views, None, path).unwrap();
}

/// What is said of a folder after `prepare`, without the folder's name.
fn refused(prepare: impl Fn(&Path)) -> String {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("config.json"), config().to_string()).unwrap();
    write(&folder.join("model.safetensors"), |_| {});
    prepare(folder);
    let result = ModelFolder::open(folder).and_then(|model| model.decoder(&Device::flex()));
    let message = result.unwrap_err().to_string();
    assert!(!message.contains('\n'), "{message}");
    message
        .replace(&format!("{}/", folder.display()), "")
        .replace(&folder.display().to_string(), "FOLDER")
}

#[test]
fn a_sound_folder_loads_and_says_what_it_did_not_need() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("config.json"), config().to_string()).unwrap();
    write(&folder.join("model.safetensors"), |tensors| {
        tensors.push(("extra.weight".into(), Dtype::F32, vec![1], vec![1.0]));
        tensors.push((
            "lm_head.weight".into(),
            Dtype::F32,
            vec![5, 4],
            vec![1.0; 20],
        ));
    });
    let loaded = ModelFolder::open(folder)
        .unwrap()
        .decoder(&Device::flex())
        .unwrap();
    assert_eq!(loaded.unused, ["extra.weight"]);
}

#[test]
fn what_is_wrong_with_a_folder_is_named_in_one_line() {
    let files = |folder: &Path| folder.join("model.safetensors");
    let config_with = |folder: &Path, key: &str, value: Value| {
        let mut config = config();
        config[key] = value;
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    };
    let messages = [
        refused(|folder| std::fs::remove_file(folder.join("config.json")).unwrap()),
        refused(|folder| std::fs::write(folder.join("config.json"), "{").unwrap()),
        refused(|folder| config_with(folder, "model_type", json!("mamba"))),
        refused(|folder| config_with(folder, "num_attention_heads", json!(0))),
        refused(|folder| config_with(folder, "num_hidden_layers", json!(u64::MAX))),
        refused(|folder| config_with(folder, "num_hidden_layers", json!(1 << 29))),
        refused(|folder| config_with(folder, "intermediate_size", json!(7))),
        refused(|folder| config_with(folder, "vocab_size", json!(1 << 29))),
        refused(|folder| config_with(folder, "tie_word_embeddings", json!(false))),
        refused(|folder| std::fs::remove_file(files(folder)).unwrap()),
        refused(|folder| write(&files(folder), |tensors| drop(tensors.drain(3..6)))),
        refused(|folder| write(&files(folder), |tensors| tensors[10].3[2] = f32::NAN)),
        refused(|folder| write(&files(folder), |tensors| tensors[10].1 = Dtype::I32)),
        refused(|folder| {
            let bytes = std::fs::read(files(folder)).unwrap();
            std::fs::write(files(folder), &bytes[..bytes.len() - 10]).unwrap();
        }),
        refused(|folder| std::fs::write(files(folder), [255; 64]).unwrap()),
        refused(|folder| std::fs::write(files(folder), "").unwrap()),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_bad_index_is_named_in_one_line() {
    let index = |places: Value| {
        refused(|folder| {
            std::fs::rename(
                folder.join("model.safetensors"),
                folder.join("part.safetensors"),
            )
            .unwrap();
            let document = json!({"weight_map": places}).to_string();
            std::fs::write(folder.join("model.safetensors.index.json"), document).unwrap();
        })
    };
    let messages = [
        index(json!(null)),
        index(json!({})),
        index(json!({"model.norm.weight": 3})),
        index(json!({"model.norm.weight": "../part.safetensors"})),
        index(json!({"model.norm.weight": "/etc/passwd"})),
        index(json!({"model.norm.weight": "absent.safetensors"})),
        index(json!({"model.other.weight": "part.safetensors"})),
        index(json!({"model.norm.weight": "part.safetensors"})),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

/// Cut anywhere, changed anywhere: an error or a model, never a panic.
#[test]
fn damaged_files_never_panic() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    std::fs::write(folder.join("config.json"), config().to_string()).unwrap();
    let path = folder.join("model.safetensors");
    write(&path, |_| {});
    let sound = std::fs::read(&path).unwrap();
    let generator = crossburn_noise::Philox::new(1, 0);
    for case in 0..300u64 {
        let mut bytes = sound.clone();
        let at = generator.word(3 * case) as usize % bytes.len();
        match case % 2 {
            0 => bytes.truncate(at),
            _ => bytes[at] = generator.word(3 * case + 1) as u8,
        }
        // A new file: the old one may still be mapped.
        let path = folder.join("model.safetensors");
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, bytes).unwrap();
        let _ = ModelFolder::open(folder).and_then(|model| model.decoder(&Device::flex()));
    }
}
