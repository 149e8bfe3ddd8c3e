//! What documents of both layouts say, and what is refused.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use serde_json::{Value, json};

use super::read;
use crate::decoder::{Positions, RotaryConfig, RotaryScaling};
use crate::{Layout, OutputBlocks, TensorNames};

fn llama(more: Value) -> Value {
    let mut document = json!({
        "model_type": "llama", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 24,
        "num_hidden_layers": 2, "num_attention_heads": 2, "max_position_embeddings": 64,
    });
    for (key, value) in more.as_object().unwrap() {
        document[key] = value.clone();
    }
    document
}

fn rotary(document: &Value) -> RotaryConfig {
    match read(document).unwrap().0.positions {
        Positions::Rotary { rotary, .. } => rotary,
        Positions::Learned { .. } => panic!("learned positions"),
    }
}

#[test]
fn both_layouts_say_the_same() {
    for (old, new) in [
        (
            json!({"rope_theta": 5e5, "rope_scaling": null}),
            json!({"rope_theta": 5e5, "rope_type": "default"}),
        ),
        (
            json!({"rope_theta": 1e4, "rope_scaling": {"type": "linear", "factor": 2.0}}),
            json!({"rope_theta": 1e4, "rope_type": "linear", "factor": 2.0}),
        ),
        (
            json!({"rope_theta": 5e5, "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 32}}),
            json!({"rope_theta": 5e5, "rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": 32}),
        ),
        (
            json!({"rope_theta": 1e4, "rope_scaling": {"rope_type": "yarn", "factor": 4.0}}),
            json!({"rope_theta": 1e4, "rope_type": "yarn", "factor": 4.0}),
        ),
    ] {
        assert_eq!(
            rotary(&llama(old)),
            rotary(&llama(json!({"rope_parameters": new})))
        );
    }
    let yarn = rotary(&llama(
        json!({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}}),
    ));
    let RotaryScaling::Yarn {
        attention,
        original_positions,
        fast,
        ..
    } = yarn.scaling
    else {
        panic!("{yarn:?}");
    };
    assert!((attention - (0.1 * 4f64.ln() + 1.0)).abs() < 1e-12);
    assert_eq!((original_positions, fast), (64, 32.0));
}

#[test]
fn gemma_3_has_windows_and_two_rotations() {
    let mut document = llama(
        json!({"model_type": "gemma3_text", "num_hidden_layers": 7, "head_dim": 8, "sliding_window": 4}),
    );
    let old = read(&document).unwrap().0;
    let expected = [Some(4), Some(4), Some(4), Some(4), Some(4), None, Some(4)];
    assert_eq!(old.attention.windows, expected);
    assert_eq!(
        (old.rotary(0).unwrap().base, old.rotary(5).unwrap().base),
        (1e4, 1e6)
    );
    assert_eq!(old.attention.scale, Some(1.0 / 16.0));
    document["rope_parameters"] = json!({
        "full_attention": {"rope_type": "default", "rope_theta": 1e6},
        "sliding_attention": {"rope_type": "default", "rope_theta": 1e4},
    });
    assert_eq!(read(&document).unwrap().0, old);
    let (both, names) = read(&json!({"model_type": "gemma3", "text_config": document})).unwrap();
    assert_eq!(both, old);
    let origin = names.origin("layers.3.feed_forward_norm.weight").unwrap();
    assert!(
        origin.names.contains(
            &"language_model.model.layers.3.pre_feedforward_layernorm.weight".to_string()
        )
    );
}

#[test]
fn shared_tensors_are_split_by_outputs() {
    let gpt2 = json!({
        "model_type": "gpt2", "vocab_size": 32, "n_embd": 12, "n_layer": 1, "n_head": 2, "n_positions": 8,
        "activation_function": "gelu_new",
    });
    let (_, names) = read(&gpt2).unwrap();
    let origin = names.origin("layers.0.attention.key.weight").unwrap();
    assert_eq!(origin.names[0], "transformer.h.0.attn.c_attn.weight");
    assert_eq!(origin.layout, Layout::Same);
    assert_eq!(origin.outputs, Some(OutputBlocks::one(12, 12, 36)));
    let neox = json!({
        "model_type": "gpt_neox", "vocab_size": 32, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 1,
        "num_attention_heads": 2, "max_position_embeddings": 8, "hidden_act": "gelu", "rotary_pct": 0.5,
        "rotary_emb_base": 5000,
    });
    let (config, names) = read(&neox).unwrap();
    assert_eq!(
        (
            config.rotary(0).unwrap().base,
            config.rotary(0).unwrap().width
        ),
        (5000.0, 4)
    );
    let value = names
        .origin("layers.0.attention.value.weight")
        .unwrap()
        .outputs
        .unwrap();
    let expected: Vec<usize> = (16..24).chain(40..48).collect();
    assert_eq!(value.indices().collect::<Vec<_>>(), expected);
    assert!(names.ignores("gpt_neox.layers.0.attention.rotary_emb.inv_freq"));
    assert!(names.origin("layers.1.attention.value.weight").is_none());
}

#[test]
fn what_cannot_be_read_is_named() {
    for (document, message) in [
        (
            json!([]),
            "config.json: the document = [] is not an object; take the file that belongs to the weights",
        ),
        (
            json!({}),
            "config.json has no \"model_type\"; take the file that belongs to the weights",
        ),
        (
            json!({"model_type": "mamba"}),
            "model_type \"mamba\" is not supported; supported are llama, mistral, qwen2, qwen3, gemma, gemma3_text, gemma3, \
             phi, phi3, gpt_neox, opt, gpt2, stablelm",
        ),
        (
            llama(json!({"hidden_size": -1})),
            "config.json: hidden_size = -1 is not a whole number; take the file that belongs to the weights",
        ),
        (
            llama(json!({"num_attention_heads": 0})),
            "heads = 0 must be above zero",
        ),
        (
            llama(json!({"num_key_value_heads": 3})),
            "key_value_heads = 3 is not possible: use a divisor of the 2 heads",
        ),
        (
            llama(json!({"rope_scaling": {"rope_type": "longrope"}})),
            "config.json: rope_type = \"longrope\" is not supported; supported scalings of rotary positions are default, \
             linear, llama3 and yarn",
        ),
        (
            llama(json!({"hidden_act": "mish"})),
            "config.json: hidden_act = \"mish\" is not supported; supported are silu, gelu, gelu_new, gelu_pytorch_tanh and relu",
        ),
    ] {
        assert_eq!(read(&document).unwrap_err().to_string(), message);
    }
}
