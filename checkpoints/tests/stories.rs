//! A small pretrained language model, from its folder to its text.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod golden;

use std::ops::ControlFlow;
use std::path::Path;

use burn::tensor::{Device, Int, Tensor, TensorData};
use crossburn_checkpoints::{ModelFolder, Tokenizer};
use crossburn_models::decoder::{Cache, Decoder, Generation, Sampling, Stop};
use crossburn_noise::{matrix_weights, require_unattached};
use golden::folder;

const PROMPT: &str = "Once upon a time";
const CONTINUATION: &str =
    ", there was a little girl named Lily. She loved to play outside in the park.";

fn load(path: &Path) -> (Decoder, Tokenizer) {
    let folder = ModelFolder::open(path).unwrap();
    let decoder = folder.decoder(&Device::flex()).unwrap();
    assert_eq!(decoder.unused, Vec::<String>::new());
    let vocabulary = decoder.module.config().vocabulary;
    (decoder.module, folder.tokenizer(vocabulary).unwrap())
}

#[test]
fn a_story_is_continued_with_and_without_a_cache() {
    let Some(path) = folder("llm-stories260k-hf") else {
        return;
    };
    let (decoder, tokenizer) = load(&path);
    assert_eq!((tokenizer.begin(), tokenizer.end()), (Some(1), &[2][..]));
    let prompt = tokenizer.encode(PROMPT, true).unwrap();
    assert_eq!(prompt[0], 1);
    let count = tokenizer
        .encode(&format!("{PROMPT}{CONTINUATION}"), true)
        .unwrap()
        .len()
        - prompt.len();
    let generation = Generation {
        max_new_tokens: count,
        stop: Stop {
            tokens: tokenizer.end().to_vec(),
            sequences: Vec::new(),
        },
        ..Default::default()
    };
    let mut stream = tokenizer.stream(&prompt);
    let mut text = String::new();
    let generated = decoder
        .generate(&prompt, None, &generation, |token| {
            text.push_str(&stream.push(token).unwrap());
            ControlFlow::Continue(())
        })
        .unwrap();
    assert_eq!(text, CONTINUATION);
    let all = [prompt.clone(), generated].concat();
    assert_eq!(
        tokenizer.decode(&all).unwrap(),
        format!("{PROMPT}{CONTINUATION}")
    );

    let mut tokens = prompt.clone();
    for _ in 0..count {
        let data = tokens.iter().map(|token| i64::from(*token)).collect();
        let shape = [1, tokens.len()];
        let input = Tensor::<2, Int>::from_data(TensorData::new(data, shape), &Device::flex());
        let logits = decoder.forward(input).narrow(1, tokens.len() - 1, 1);
        let logits = logits.into_data().try_to_vec::<f32>().unwrap();
        tokens.push(Sampling::greedy().choose(&logits, 0, tokens.len()).unwrap());
    }
    assert_eq!(tokens, all);
}

#[test]
fn a_conversation_reads_only_what_is_new() {
    let Some(path) = folder("llm-stories260k-hf") else {
        return;
    };
    let (decoder, tokenizer) = load(&path);
    let prompt = tokenizer.encode(PROMPT, true).unwrap();
    let generation = Generation {
        max_new_tokens: 10,
        ..Default::default()
    };
    let on = |_| ControlFlow::Continue(());
    let mut cache = Cache::new();
    let first = decoder
        .generate_after(&mut cache, 0, &prompt, None, &generation, on)
        .unwrap();
    let more = tokenizer.encode("Then", false).unwrap();
    let all = [prompt, first, more].concat();
    let seen = cache.length();
    let again = decoder
        .generate_after(&mut cache, seen, &all, None, &generation, on)
        .unwrap();
    let whole = decoder.generate(&all, None, &generation, on).unwrap();
    assert_eq!(again, whole);
    let nothing_new = decoder.generate_after(&mut cache, all.len(), &all, None, &generation, on);
    assert!(nothing_new.is_err());
}

#[test]
fn texts_end_where_they_are_told_to() {
    let Some(path) = folder("llm-stories260k-hf") else {
        return;
    };
    let (decoder, tokenizer) = load(&path);
    let prompt = tokenizer.encode(PROMPT, true).unwrap();
    let run = |stop: Stop| {
        let generation = Generation {
            max_new_tokens: 30,
            stop,
            ..Default::default()
        };
        decoder
            .generate(&prompt, None, &generation, |_| ControlFlow::Continue(()))
            .unwrap()
    };
    let free = run(Stop::default());
    let at_token = run(Stop {
        tokens: vec![free[5]],
        sequences: Vec::new(),
    });
    let first = free.iter().position(|token| *token == free[5]).unwrap();
    assert_eq!(at_token, free[..first]);
    let at_sequence = run(Stop {
        tokens: Vec::new(),
        sequences: vec![Vec::new(), free[3..6].to_vec()],
    });
    assert_eq!(at_sequence, free[..6]);
    let mut seen = 0;
    let generation = Generation {
        max_new_tokens: 30,
        ..Default::default()
    };
    let broken = decoder.generate(&prompt, None, &generation, |_| {
        seen += 1;
        if seen == 4 {
            ControlFlow::Break(())
        } else {
            ControlFlow::Continue(())
        }
    });
    assert_eq!(broken.unwrap(), free[..4]);

    let refused = |prompt: &[u32], count: usize| {
        let generation = Generation {
            max_new_tokens: count,
            ..Default::default()
        };
        let result = decoder.generate(prompt, None, &generation, |_| ControlFlow::Continue(()));
        result.unwrap_err().to_string()
    };
    assert_eq!(
        refused(&prompt, 600),
        format!(
            "{} tokens do not fit the model's 512 positions: shorten the text or generate fewer tokens",
            prompt.len() + 600
        )
    );
    assert_eq!(
        refused(&[], 1),
        "there is no token to start from: give a prompt of at least one token"
    );
    assert_eq!(
        refused(&[512], 1),
        "token 512 is outside the vocabulary of 512: take the tokenizer that belongs to the model"
    );
}

#[test]
fn samples_are_those_of_their_seed_and_matrices_may_vary() {
    let Some(path) = folder("llm-stories260k-hf") else {
        return;
    };
    let (decoder, tokenizer) = load(&path);
    let prompt = tokenizer.encode(PROMPT, true).unwrap();
    let run = |seed: u64| {
        let generation = Generation {
            max_new_tokens: 20,
            sampling: Sampling {
                temperature: 1.0,
                top_k: Some(40),
                top_p: Some(0.95),
                seed,
            },
            ..Default::default()
        };
        decoder
            .generate(&prompt, None, &generation, |_| ControlFlow::Continue(()))
            .unwrap()
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));

    // Seven matrices in each of five blocks; the embedding, which is the head as well, stays digital.
    let weights = matrix_weights(&decoder);
    assert_eq!(weights.len(), 35);
    assert!(weights.contains("layers.4.feed_forward.down.weight"));
    assert!(require_unattached(&decoder, &weights).is_ok());
    let variation = crossburn_noise::Variation::from(crossburn_noise::Distribution::gaussian(0.1));
    let chip = crossburn_noise::ChipSeed::new(7, 0);
    let chip = crossburn_noise::manufacture(&decoder, &variation, chip);
    let probe = decoder.tokens(&prompt);
    let difference = (chip.forward(probe.clone()) - decoder.forward(probe))
        .abs()
        .max();
    let difference = difference.into_scalar::<f32>();
    assert!(difference > 0.01 && difference.is_finite(), "{difference}");
}
