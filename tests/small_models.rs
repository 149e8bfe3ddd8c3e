//! Language models that take less: a base in few bits that is tuned beside, ROUGE of what it writes, and one that loses heads and channels.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use command::{bad, good, json};
use serde_json::Value;

/// A small decoder in the folder `hf` that has learned to say yes to some questions and no to others, and a user who always says no.
fn prepare(folder: &Path) {
    let line = |i: usize| {
        let answer = if i * i % 7 < 3 { "yes" } else { "no" };
        format!("ask {}:\nsay {answer}\n", i % 10)
    };
    std::fs::write(folder.join("a.txt"), (0..600).map(line).collect::<String>()).unwrap();
    let recipe = "seed = 2\n[task]\nkind = \"language-modelling\"\nwindow = 24\n\
         [model]\nkind = \"decoder\"\nvocabulary = 270\nwidth = 32\nlayers = 1\ncontext = 64\nhidden_width = 64\n\
         [data]\nsource = \"text:a.txt\"\nvalidation = 20\n\
         [training]\nepochs = 3\nbatch = 8\noptimizer = { kind = \"adam\", learning_rate = 5e-3 }\n";
    std::fs::write(folder.join("base.toml"), recipe).unwrap();
    good(folder, "train base.toml --out base");
    good(folder, "export base --out hf");
    let answer = |i: usize| {
        format!(
            "{{\"prompt\": \"ask {}:\\n\", \"completion\": \"say no\\n\"}}\n",
            i % 10
        )
    };
    let answers: String = (0..60).map(answer).collect();
    std::fs::write(folder.join("user.jsonl"), answers).unwrap();
}

fn run(folder: &Path, command: &str) -> Value {
    json(&good(folder, &format!("{command} --json")))
}

fn clean(document: &Value, row: usize) -> f64 {
    document["methods"][row]["clean"].as_f64().unwrap()
}

#[test]
fn a_base_in_few_bits_is_tuned_beside_judged_and_pruned() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    prepare(folder);
    let base = std::fs::read(folder.join("hf/model.safetensors")).unwrap();
    let before = clean(
        &run(
            folder,
            "evaluate hf --data jsonl:user.jsonl --noise none --chips 1 --out before",
        ),
        0,
    );
    let untuned = clean(
        &run(
            folder,
            "evaluate hf --data jsonl:user.jsonl --metric rouge-l --noise none --chips 1 --out untuned",
        ),
        0,
    );
    for form in ["q8_0", "q4_0", "stored"] {
        let command = format!(
            "tune lora --model hf --data user.jsonl --weights {form} --epochs 20 --metric rouge-l --out {form}"
        );
        let tuned = run(folder, &command);
        assert_eq!(tuned["metric"]["name"], "ROUGE-L");
        assert_eq!(tuned["training_metric"]["name"], "perplexity");
        let rouge = clean(&tuned, 0);
        assert!(rouge > untuned && rouge <= 1.0, "{form}: {untuned} {rouge}");
        let again = |rest: &str| {
            let command = format!("evaluate {form} --noise none --chips 1 {rest}");
            clean(&run(folder, &command), 0)
        };
        // The checkpoint writes the same words as the network that was judged.
        assert_eq!(again(&format!("--out again-{form}")), rouge);
        let after = again(&format!("--metric perplexity --out perplexity-{form}"));
        assert!(after < 0.6 * before, "{form}: {before} {after}");
    }
    // A chip is made of the numbers that the blocks stand for.
    let noisy = run(folder, "evaluate q4_0 --sigma 0.05 --chips 3 --out noisy");
    assert!(noisy["methods"][0]["population"].is_object(), "{noisy}");
    assert_eq!(
        std::fs::read(folder.join("hf/model.safetensors")).unwrap(),
        base
    );

    good(
        folder,
        "train base.toml --set training.epochs=1 --set arrays.bits=[{path=\"layers.*\",bits=4}] --out quantized",
    );
    for (command, part) in [
        (
            "compress quantized --prune mlp=0.5 --out no",
            "the recipe of quantized has arrays.bits",
        ),
        (
            "tune lora --model hf --data user.jsonl --weights q8_0 --set noise.kind=gaussian --set noise.sigma_rel_wmax=0.02 --out no",
            "model.weights = q8_0 is not allowed: use 32-bit numbers where weights deviate",
        ),
        (
            "evaluate hf --data text:a.txt --metric rouge-l --out no",
            "it is a running text, and rouge-l judges what a network writes after a prompt",
        ),
        (
            "worst-case q8_0 --bound 0.01 --out no",
            "a worst-case search needs a metric that follows a gradient",
        ),
        (
            "compress hf --data text:a.txt --prune mlp=0.5 --items 9999 --out no",
            "--items 9999: text:a.txt has",
        ),
        (
            "compress hf --data text:a.txt --prune heads=0.1 --out no",
            "--prune heads=0.1 removes none of 4",
        ),
    ] {
        let message = bad(folder, command);
        assert!(message.contains(part), "{message}");
    }

    let command = "compress hf --data text:a.txt --prune heads=0.5,mlp=0.25 --out small";
    let table = run(folder, command);
    assert_eq!(table["methods"][1]["name"], "pruned");
    let config = |out: &str| -> Value {
        let config = std::fs::read(folder.join(out).join("model/config.json")).unwrap();
        serde_json::from_slice(&config).unwrap()
    };
    let counts = [
        "num_attention_heads",
        "num_key_value_heads",
        "head_dim",
        "intermediate_size",
    ];
    assert_eq!(
        counts.map(|key| config("small")[key].as_u64().unwrap()),
        [2, 2, 8, 48]
    );
    // The folder is the network of the table.
    let command = "evaluate small/model --data text:a.txt --noise none --chips 1 --out of-small";
    let (found, pruned) = (clean(&run(folder, command), 0), clean(&table, 1));
    // Weights of a file lie in another order, in which sums may round differently.
    assert!((found / pruned - 1.0).abs() < 1e-5, "{found} {pruned}");
    assert!(pruned > clean(&table, 0));
    // Weights alone decide.
    let command = "compress hf --data text:a.txt --prune mlp=0.25 --calibration 0 --out by-weights";
    let table = run(folder, command);
    assert_eq!(table["methods"][1]["name"], "pruned");
    assert_eq!(table["data"]["train"], 0);
    assert_eq!(config("by-weights")["intermediate_size"], 48);
    good(
        folder,
        "generate --model small/model --weights q8_0 --prompt ask --max-new-tokens 3",
    );
}
