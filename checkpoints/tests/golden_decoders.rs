//! Decoders and an encoder of every public family against logits that other programs computed.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod golden;

use std::ops::ControlFlow;

use burn::tensor::{Device, Int, Tensor};
use crossburn_checkpoints::ModelFolder;
use crossburn_models::decoder::{Cache, Generation};
use golden::{Golden, folder};

const FAMILIES: [&str; 11] = [
    "llama", "mistral", "qwen2", "qwen3", "gemma", "phi", "phi3", "gpt_neox", "opt", "gpt2",
    "stablelm",
];

/// Both sides compute in 32-bit floats, in another order; logits are of size one.
const TOLERANCE: f32 = 2e-4;

#[test]
fn every_family_gives_the_logits_and_tokens_of_its_reference() {
    let Some(models) = folder("golden-decoders") else {
        return;
    };
    let device = Device::flex();
    for family in FAMILIES {
        let path = models.join(family);
        let loaded = ModelFolder::open(&path).unwrap().decoder(&device).unwrap();
        assert_eq!(loaded.unused, Vec::<String>::new(), "{family}");
        let decoder = loaded.module;
        let read = |name: &str| Golden::read(&path.join("expected.safetensors"), name);
        let tokens = read("input_ids");
        let logits = decoder.forward(Tensor::<2, Int>::from_data(tokens.data(), &device));
        let difference = read("logits").difference(logits.into_data());
        eprintln!("{family}: {difference:e}");
        assert!(difference <= TOLERANCE, "{family}: {difference}");

        let (prompt, expected) = (read("greedy_prompt").tokens(), read("greedy_ids").tokens());
        let continued = &expected[prompt.len()..];
        let generation = Generation {
            max_new_tokens: continued.len(),
            ..Default::default()
        };
        let mut seen = Vec::new();
        let generated = decoder
            .generate(&prompt, None, &generation, |token| {
                seen.push(token);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(generated, continued, "{family}");
        assert_eq!(seen, generated);
        // A shorter text beside it changes neither.
        let short = prompt[..2].to_vec();
        let alone = decoder
            .generate(&short, None, &generation, |_| ControlFlow::Continue(()))
            .unwrap();
        let both = decoder
            .generate_batch(&[short, prompt], None, &generation)
            .unwrap();
        assert_eq!(both, [alone, generated], "{family}");
    }
}

#[test]
fn a_cache_gives_what_the_whole_text_gives() {
    let Some(models) = folder("golden-decoders") else {
        return;
    };
    let device = Device::flex();
    for family in FAMILIES {
        let path = models.join(family);
        let decoder = ModelFolder::open(&path)
            .unwrap()
            .decoder(&device)
            .unwrap()
            .module;
        let tokens = Golden::read(&path.join("expected.safetensors"), "input_ids");
        let tokens = Tensor::<2, Int>::from_data(tokens.data(), &device);
        let whole = decoder.hidden(tokens.clone(), None, &mut Cache::new());
        let mut cache = Cache::new();
        let mut parts = Vec::new();
        for (first, count) in [(0, 5), (5, 1), (6, 3), (9, 3)] {
            let part = tokens.clone().narrow(1, first, count);
            parts.push(decoder.hidden(part, None, &mut cache));
        }
        assert_eq!(cache.length(), 12);
        let difference = (whole - Tensor::cat(parts, 1)).abs().max();
        assert!(difference.into_scalar::<f32>() < 1e-5, "{family}");
    }
}

#[test]
fn an_encoder_gives_the_vectors_of_its_reference() {
    let Some(models) = folder("golden-decoders") else {
        return;
    };
    let device = Device::flex();
    let path = models.join("bert");
    let encoder = ModelFolder::open(&path)
        .unwrap()
        .encoder(&device)
        .unwrap()
        .module;
    let read = |name: &str| Golden::read(&path.join("expected.safetensors"), name);
    let (tokens, mask) = (read("input_ids"), read("attention_mask"));
    let lengths: Vec<usize> = mask
        .integers
        .chunks(mask.shape[1])
        .map(|row| row.iter().sum::<i64>() as usize)
        .collect();
    let tokens = Tensor::<2, Int>::from_data(tokens.data(), &device);
    let vectors = encoder.forward(tokens, &lengths);
    let difference = read("last_hidden_state").difference(vectors.into_data());
    eprintln!("bert: {difference:e}");
    assert!(difference <= TOLERANCE, "{difference}");
}
