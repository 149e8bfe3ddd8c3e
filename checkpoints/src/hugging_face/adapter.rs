//! Adapters in the folder layout of PEFT: `adapter_config.json` and `adapter_model.safetensors`.

use std::collections::BTreeSet;
use std::path::Path;

use burn::tensor::Device;
use crossburn_models::decoder::family::DecoderNames;
use crossburn_models::decoder::{
    Adapter, AdapterConfig, AdapterKind, AdapterTarget, DecoderConfig,
};
use crossburn_models::{Layout, Origin, TensorNames};
use serde_json::{Map, Value, json};

use super::TensorFiles;
use super::collect::{FloatType, collect};
use super::model_folder::read_json;
use crate::CheckpointError;
use crate::atomic::write_bytes;
use crate::fill::fill;

const CONFIG: &str = "adapter_config.json";
const WEIGHTS: &str = "adapter_model.safetensors";

/// The place of a target in a block of the decoder and of the adapter.
const PLACES: [(AdapterTarget, &str, &str); 7] = [
    (AdapterTarget::Query, "attention.query", "query"),
    (AdapterTarget::Key, "attention.key", "key"),
    (AdapterTarget::Value, "attention.value", "value"),
    (AdapterTarget::Output, "attention.output", "output"),
    (AdapterTarget::Gate, "feed_forward.gate", "gate"),
    (AdapterTarget::Up, "feed_forward.up", "up"),
    (AdapterTarget::Down, "feed_forward.down", "down"),
];

/// The name of a target in files of the family, such as `q_proj`; `None` where it shares a tensor with others.
fn word(names: &DecoderNames, target: AdapterTarget) -> Option<String> {
    let (_, place, _) = PLACES.iter().find(|(known, _, _)| *known == target)?;
    let path = format!("layers.0.{place}");
    names.layer(&path).and_then(|_| names.word(&path))
}

/// Names of the parameters of an adapter in PEFT's files.
struct PeftNames<'a> {
    decoder: &'a DecoderNames,
}

impl TensorNames for PeftNames<'_> {
    fn origin(&self, path: &str) -> Option<Origin> {
        let one = |name: String, layout: Layout| {
            Some(Origin {
                names: vec![name],
                layout,
                outputs: None,
            })
        };
        if path == "prompt" || path == "prefix" {
            return one("prompt_embeddings".to_string(), Layout::Same);
        }
        let (layer, parameter) = path.rsplit_once('.')?;
        let (block, part) = layer.rsplit_once('.')?;
        let (_, place, _) = PLACES.iter().find(|(_, _, known)| *known == part)?;
        let layer = self.decoder.layer(&format!("{block}.{place}"))?;
        let (end, layout) = match parameter {
            "down" => ("lora_A.weight", Layout::Transposed),
            "up" => ("lora_B.weight", Layout::Transposed),
            "input_scale" => ("ia3_l", Layout::Row),
            "output_scale" => ("ia3_l", Layout::Column),
            _ => return None,
        };
        one(format!("base_model.model.{layer}.{end}"), layout)
    }

    fn ignores(&self, _name: &str) -> bool {
        false
    }
}

/// The adapter in the folder `folder`, for a decoder that is `config` and whose tensors are called `names`.
///
/// # Errors
/// [`CheckpointError::Adapter`] for a folder without an adapter, a kind or a setting that is not supported, and an adapter
/// that another model was the base of; [`CheckpointError::Read`], [`CheckpointError::ModelConfig`],
/// [`CheckpointError::NotSafetensors`], [`CheckpointError::ElementType`], [`CheckpointError::Value`].
pub fn load_adapter(
    folder: &Path,
    config: &DecoderConfig,
    names: &DecoderNames,
    device: &Device,
) -> Result<(AdapterConfig, Adapter), CheckpointError> {
    let refuse = |cause: String| CheckpointError::Adapter {
        path: folder.into(),
        cause,
    };
    for file in [CONFIG, WEIGHTS] {
        if !folder.join(file).is_file() {
            return Err(refuse(format!(
                "there is no {file}; give a folder that PEFT or crossburn tune wrote"
            )));
        }
    }
    let document = read_json(&folder.join(CONFIG))?;
    let kind = read_kind(&document, names).map_err(&refuse)?;
    let adapter_config = AdapterConfig { kind };
    let adapter = adapter_config
        .init(config, device)
        .map_err(|cause| refuse(cause.to_string()))?;
    let files = TensorFiles::open_file(&folder.join(WEIGHTS))?;
    let another = |cause: String| {
        refuse(format!(
            "{cause}; it was trained for another model: take the base that it names"
        ))
    };
    let loaded = fill(adapter, &PeftNames { decoder: names }, &files);
    let loaded = loaded.map_err(|error| match error {
        CheckpointError::Shape {
            tensor,
            expected,
            found,
            ..
        } => another(format!(
            "{tensor:?} has shape {found:?}, this model needs {expected:?}"
        )),
        CheckpointError::MissingTensors { tensors, .. } => {
            another(format!("it has no {:?}", tensors.first()))
        }
        error => error,
    })?;
    match loaded.unused.first() {
        Some(tensor) => Err(another(format!("{tensor:?} has no place in this model"))),
        None => Ok((adapter_config, loaded.module)),
    }
}

/// The kind of adapter in an `adapter_config.json`.
fn read_kind(document: &Value, names: &DecoderNames) -> Result<AdapterKind, String> {
    let count = |key: &str| {
        let value = document.get(key).and_then(Value::as_u64);
        let value = value.and_then(|value| usize::try_from(value).ok());
        value.ok_or_else(|| {
            format!("{CONFIG} has no whole number {key:?}; write it again with PEFT")
        })
    };
    let targets = |key: &str| targets(document, key, names);
    let kind = document.get("peft_type").and_then(Value::as_str);
    match kind.unwrap_or_default() {
        "PROMPT_TUNING" => Ok(AdapterKind::Prompt {
            tokens: count("num_virtual_tokens")?,
        }),
        "PREFIX_TUNING" => Ok(AdapterKind::Prefix {
            tokens: count("num_virtual_tokens")?,
        }),
        "LORA" => {
            for key in ["use_dora", "lora_bias", "use_qalora", "use_bdlora"] {
                only(document, key, &[json!(false)])?;
            }
            only(document, "bias", &[json!("none")])?;
            for key in [
                "rank_pattern",
                "alpha_pattern",
                "modules_to_save",
                "layers_to_transform",
            ] {
                only(document, key, &[json!({}), json!([])])?;
            }
            let rank = count("r")?;
            let alpha = document.get("lora_alpha").and_then(Value::as_f64);
            let alpha = alpha.ok_or_else(|| format!("{CONFIG} has no number \"lora_alpha\""))?;
            // PEFT's other scale is alpha / √rank.
            let rooted = document.get("use_rslora") == Some(&json!(true));
            let alpha = if rooted {
                alpha * (rank as f64).sqrt()
            } else {
                alpha
            };
            Ok(AdapterKind::Lora {
                rank,
                alpha,
                targets: targets("target_modules")?,
            })
        }
        "IA3" => {
            only(document, "modules_to_save", &[json!([])])?;
            let inputs = targets("feedforward_modules")?;
            let all = targets("target_modules")?;
            Ok(AdapterKind::Ia3 {
                outputs: all.difference(&inputs).copied().collect(),
                inputs,
            })
        }
        other => Err(format!(
            "peft_type {other:?} is not supported; supported are PROMPT_TUNING, PREFIX_TUNING, LORA and IA3"
        )),
    }
}

/// Refuses a key that is there with another value.
fn only(document: &Value, key: &str, allowed: &[Value]) -> Result<(), String> {
    match document.get(key) {
        Some(value) if !value.is_null() && !allowed.contains(value) => Err(format!(
            "{key} = {value} is not supported; train the adapter without it"
        )),
        _ => Ok(()),
    }
}

/// The layers that a key names.
fn targets(
    document: &Value,
    key: &str,
    names: &DecoderNames,
) -> Result<BTreeSet<AdapterTarget>, String> {
    let listed: Option<Vec<&str>> = match document.get(key) {
        Some(Value::Array(words)) => words.iter().map(Value::as_str).collect(),
        Some(Value::String(word)) => Some(vec![word]),
        _ => None,
    };
    let listed = listed.ok_or_else(|| format!("{CONFIG} has no list {key:?}"))?;
    let known: Vec<(AdapterTarget, String)> = AdapterTarget::ALL
        .into_iter()
        .filter_map(|target| word(names, target).map(|word| (target, word)))
        .collect();
    let mut found = BTreeSet::new();
    for word in listed {
        // A path of which the last word is the layer.
        let last = word.rsplit('.').next().unwrap_or(word);
        let target = known.iter().find(|(_, known)| known == last);
        let Some((target, _)) = target else {
            let known: Vec<&str> = known.iter().map(|(_, word)| word.as_str()).collect();
            return Err(format!(
                "{key} names {word:?}, which cannot be adapted in this model; supported are {}",
                known.join(", ")
            ));
        };
        found.insert(*target);
    }
    Ok(found)
}

/// Writes `adapter` to the folder `folder` as PEFT does, so that PEFT and [`load_adapter`] read it.
///
/// `base` is the name or the path of the model that it belongs to.
///
/// # Errors
/// [`CheckpointError::Write`], [`CheckpointError::Tensor`], [`CheckpointError::Adapter`] for a layer that shares a tensor with
/// others in this family.
pub fn save_adapter(
    folder: &Path,
    adapter: &Adapter,
    adapter_config: &AdapterConfig,
    config: &DecoderConfig,
    names: &DecoderNames,
    base: &str,
) -> Result<(), CheckpointError> {
    let refuse = |cause: String| CheckpointError::Adapter {
        path: folder.into(),
        cause,
    };
    let document = document(&adapter_config.kind, config, names, base).map_err(&refuse)?;
    let path = folder.join(WEIGHTS);
    let bytes = collect(
        adapter.clone(),
        &PeftNames { decoder: names },
        FloatType::F32,
    );
    let bytes = bytes.map_err(|cause| CheckpointError::Tensor {
        path: path.clone(),
        cause,
    })?;
    std::fs::create_dir_all(folder).map_err(CheckpointError::writing(folder))?;
    let text = serde_json::to_vec_pretty(&document).map_err(|cause| CheckpointError::Encode {
        path: folder.join(CONFIG),
        cause: cause.to_string(),
    })?;
    write_bytes(&path, &bytes)?;
    write_bytes(&folder.join(CONFIG), &text)
}

/// The `adapter_config.json` of what was learned.
fn document(
    kind: &AdapterKind,
    config: &DecoderConfig,
    names: &DecoderNames,
    base: &str,
) -> Result<Value, String> {
    let words = |targets: &BTreeSet<AdapterTarget>| {
        let words = targets.iter().map(|target| {
            word(names, *target).ok_or_else(|| {
                format!("{target:?} shares a tensor with others in this model, which PEFT's layout has no place for")
            })
        });
        words.collect::<Result<Vec<String>, String>>()
    };
    let mut document = Map::new();
    let mut set = |key: &str, value: Value| document.insert(key.to_string(), value);
    set("task_type", json!("CAUSAL_LM"));
    set("base_model_name_or_path", json!(base));
    set("inference_mode", json!(true));
    match kind {
        AdapterKind::Prompt { tokens } | AdapterKind::Prefix { tokens } => {
            let prompt = matches!(kind, AdapterKind::Prompt { .. });
            set("num_virtual_tokens", json!(tokens));
            set("num_layers", json!(config.layers));
            set("num_transformer_submodules", json!(1));
            if prompt {
                set("peft_type", json!("PROMPT_TUNING"));
                set("token_dim", json!(config.width));
                set("num_attention_heads", json!(config.heads));
                set("prompt_tuning_init", json!("RANDOM"));
            } else {
                set("peft_type", json!("PREFIX_TUNING"));
                set("token_dim", json!(config.key_value_width()));
                set("num_attention_heads", json!(config.key_value_heads));
                set("encoder_hidden_size", json!(config.key_value_width()));
                set("prefix_projection", json!(false));
            }
        }
        AdapterKind::Lora {
            rank,
            alpha,
            targets,
        } => {
            set("peft_type", json!("LORA"));
            set("r", json!(rank));
            // PEFT expects a whole number where it is one.
            let whole = alpha.fract() == 0.0 && alpha.abs() < 1e9;
            set(
                "lora_alpha",
                if whole {
                    json!(*alpha as i64)
                } else {
                    json!(alpha)
                },
            );
            set("lora_dropout", json!(0.0));
            set("bias", json!("none"));
            set("target_modules", json!(words(targets)?));
        }
        AdapterKind::Ia3 { outputs, inputs } => {
            set("peft_type", json!("IA3"));
            set(
                "target_modules",
                json!(words(&outputs.union(inputs).copied().collect())?),
            );
            set("feedforward_modules", json!(words(inputs)?));
        }
    }
    Ok(Value::Object(document))
}
