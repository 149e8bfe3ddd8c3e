//! A language model is tuned on what a user wrote: a small part learns, the model rests.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::path::Path;

use command::{bad, crossburn, good, json};
use serde_json::Value;

/// A small decoder in `base`, which has learned to answer any question with `yes` or with `no`.
fn train_base(folder: &Path) {
    let line = |i: usize| {
        let answer = if i * i % 7 < 3 { "yes" } else { "no" };
        format!("ask {}:\nsay {answer}\n", i % 10)
    };
    std::fs::write(folder.join("a.txt"), (0..600).map(line).collect::<String>()).unwrap();
    let recipe = "seed = 2\n[task]\nkind = \"language-modelling\"\nwindow = 24\n\
         [model]\nkind = \"decoder\"\nvocabulary = 270\nwidth = 32\nlayers = 1\ncontext = 64\n\
         [data]\nsource = \"text:a.txt\"\nvalidation = 20\n\
         [training]\nepochs = 3\nbatch = 8\noptimizer = { kind = \"adam\", learning_rate = 5e-3 }\n";
    std::fs::write(folder.join("base.toml"), recipe).unwrap();
    good(folder, "train base.toml --out base");
}

/// The answers of a user who always says no.
fn write_user(folder: &Path) {
    let line = |i: usize| {
        format!(
            "{{\"prompt\": \"ask {}:\\n\", \"completion\": \"say no\\n\"}}\n",
            i % 10
        )
    };
    std::fs::write(
        folder.join("user.jsonl"),
        (0..60).map(line).collect::<String>(),
    )
    .unwrap();
}

fn number(document: &Value, key: &str) -> f64 {
    document["methods"][0][key].as_f64().unwrap()
}

#[test]
fn every_method_learns_what_a_user_says_and_leaves_the_model_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_base(folder);
    write_user(folder);
    let weights = std::fs::read(folder.join("base/checkpoint/model.safetensors")).unwrap();
    let before = "evaluate base --data jsonl:user.jsonl --noise none --chips 1 --json --out before";
    let before = number(&json(&good(folder, before)), "clean");
    for method in ["prompt", "prefix", "lora", "ia3"] {
        let command = format!(
            "tune {method} --model base --data user.jsonl --epochs 20 --out {method} --json"
        );
        let tuned = json(&good(folder, &command));
        let after = number(&tuned, "clean");
        // The end of a completion is new to the model, too.
        assert!(after < 0.6 * before, "{method}: {before} {after}");
        let parts =
            ["train", "validation", "test"].map(|part| tuned["data"][part].as_u64().unwrap());
        assert_eq!(parts, [49, 5, 6]);
        let run = folder.join(method);
        // What was learned, and nothing of the model.
        let written = std::fs::read(run.join("checkpoint/adapter_model.safetensors")).unwrap();
        assert!(
            written.len() < weights.len() / 4,
            "{method}: {}",
            written.len()
        );
        let kept = std::fs::metadata(run.join("checkpoint/model.safetensors"))
            .unwrap()
            .len();
        assert!(kept < weights.len() as u64 / 4);
        let config = std::fs::read_to_string(run.join("checkpoint/adapter_config.json")).unwrap();
        assert!(
            config.contains("\"base_model_name_or_path\": \"base\""),
            "{config}"
        );
        // The checkpoint is the network that was judged.
        let again = format!("evaluate {method} --noise none --chips 1 --json --out again-{method}");
        assert_eq!(number(&json(&good(folder, &again)), "clean"), after);
        // The model varies, the adapter does not.
        let mapped = json(&good(
            folder,
            &format!("map {method} --items 4 --json --out map-{method}"),
        ));
        let layers = mapped["layers"].as_array().unwrap();
        let path = |layer: &Value| layer["path"].as_str().unwrap().to_string();
        assert!(
            layers.len() == 7
                && layers
                    .iter()
                    .all(|layer| path(layer).starts_with("base.layers."))
        );
    }
    assert_eq!(
        std::fs::read(folder.join("base/checkpoint/model.safetensors")).unwrap(),
        weights
    );
    let worst = "worst-case lora --bound 0.05 --budget 6 --random-chips 2 --json --out worst";
    let found = json(&good(folder, worst));
    assert!(found["worst"].as_f64() > found["clean"].as_f64());
    let replay = "evaluate worst/worst-chip --noise none --chips 1 --json --out replay";
    let replayed = number(&json(&good(folder, replay)), "clean");
    assert!((replayed / found["worst"].as_f64().unwrap() - 1.0).abs() < 1e-9);

    // A base that has learned more is another base.
    good(
        folder,
        "train base.toml --set seed=3 --set training.epochs=1 --out base",
    );
    let message = bad(folder, "evaluate lora --noise none --chips 1 --out refused");
    assert!(
        message.contains("was tuned for other weights than those in base"),
        "{message}"
    );
}

#[test]
fn tuning_is_a_recipe_knows_noise_and_goes_on_as_if_nothing_had_been() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_base(folder);
    write_user(folder);
    let tune = "tune lora --model base --data user.jsonl --epochs 3 --patience 3 \
                --set noise.kind=gaussian --set noise.sigma_rel_wmax=0.05";
    let printed = good(folder, &format!("{tune} --print-config"));
    std::fs::write(folder.join("tune.toml"), printed.stdout).unwrap();
    good(folder, &format!("{tune} --out short --threads 1"));
    good(folder, "train tune.toml --out long --threads 2");
    let weights = |run: &str| {
        let file = folder
            .join(run)
            .join("checkpoint/adapter_model.safetensors");
        std::fs::read(file).unwrap()
    };
    assert_eq!(weights("short"), weights("long"));
    // The noise reaches what is learned.
    let quiet = "tune lora --model base --data user.jsonl --epochs 3 --patience 3 --out quiet";
    good(folder, quiet);
    let first = weights("quiet");
    assert_ne!(weights("short"), first);
    // A second run replaces the first.
    good(folder, quiet);
    assert_eq!(weights("quiet"), first);
    // A state holds the adapter alone.
    let state = std::fs::read_dir(folder.join("long/resume")).unwrap();
    let state: Vec<_> = state
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .collect();
    let size = std::fs::metadata(state[0].join("model.bpk")).unwrap().len();
    let base = std::fs::metadata(folder.join("base/checkpoint/model.safetensors"))
        .unwrap()
        .len();
    assert!(size < base, "{size} {base}");
    // Nothing is left to do, and the same comes out.
    good(folder, "train tune.toml --out long --resume");
    assert_eq!(weights("short"), weights("long"));
}

#[test]
fn bad_data_and_options_are_refused_before_any_work() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_base(folder);
    write_user(folder);
    let user = std::fs::read_to_string(folder.join("user.jsonl")).unwrap();
    std::fs::write(
        folder.join("bad.jsonl"),
        format!("{user}{{\"prompt\": 3}}\n"),
    )
    .unwrap();
    let long = format!("{{\"text\": \"{}\"}}\n", "say no ".repeat(60));
    std::fs::write(folder.join("long.jsonl"), format!("{user}{long}")).unwrap();
    for (options, part) in [
        (
            "prompt --model base --data bad.jsonl",
            "bad.jsonl, line 61: \"prompt\" is not a text",
        ),
        (
            "prompt --model base --data long.jsonl",
            "long.jsonl, line 61: it has",
        ),
        (
            "prompt --model base --data none.jsonl",
            "there is no file none.jsonl",
        ),
        (
            "prompt --model base --data digits",
            "`digits` has samples, text is needed",
        ),
        ("prompt --model none --data user.jsonl", "none"),
        (
            "prompt --model base --data user.jsonl --rank 4",
            "--rank is for lora, not for prompt",
        ),
        (
            "lora --model base --data user.jsonl --tokens 4",
            "--tokens is for a prompt or a prefix",
        ),
        (
            "prompt --model base --data user.jsonl --tokens 0",
            "it has no virtual token",
        ),
        (
            "prompt --model base --data user.jsonl --learning-rate 0",
            "training.optimizer.learning_rate = 0",
        ),
        (
            "prompt --model base --data user.jsonl --set data.valid=3",
            "did you mean `data.validation`",
        ),
    ] {
        let message = bad(folder, &format!("tune {options} --out refused"));
        assert!(message.contains(part), "{message}");
    }
    // A batch holds no more texts than there are, however large it may be.
    let all = format!("--batch {} --epochs 1 --out all", usize::MAX / 2);
    good(
        folder,
        &format!("tune prompt --model base --data user.jsonl {all}"),
    );
}

#[test]
fn a_model_that_was_trained_on_speaks_and_leaves_for_other_programs() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_base(folder);
    write_user(folder);
    let recipe = "seed = 1\n[task]\nkind = \"language-modelling\"\n\
         [model]\nkind = \"pretrained\"\nfolder = \"base\"\n\
         [data]\nsource = \"jsonl:user.jsonl\"\nvalidation = 5\n\
         [training]\nepochs = 10\nbatch = 8\noptimizer = { kind = \"adam\", learning_rate = 3e-3 }\n";
    std::fs::write(folder.join("whole.toml"), recipe).unwrap();
    good(folder, "train whole.toml --out whole");
    let said = |model: &str| {
        let output = crossburn(folder)
            .args(["generate", "--model", model, "--prompt", "ask 1:\n"])
            .args(["--max-new-tokens", "12"])
            .output()
            .unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    // 1 * 1 % 7 < 3: the model alone says yes, the user would not.
    assert!(said("base").starts_with("say yes"), "{}", said("base"));
    assert!(said("whole").starts_with("say no"), "{}", said("whole"));

    good(folder, "export whole --out exported");
    assert_eq!(said("exported"), said("whole"));
    let clean = |model: &str| {
        let command = format!(
            "evaluate {model} --data jsonl:user.jsonl --noise none --chips 1 --json --out of-{model}"
        );
        number(&json(&good(folder, &command)), "clean")
    };
    assert_eq!(clean("exported"), clean("whole"));
    good(folder, "export base --weights f16 --out halves");
    let bytes = |folder_name: &str| {
        let path = folder.join(folder_name).join("model.safetensors");
        std::fs::metadata(path).unwrap().len()
    };
    assert!(2 * bytes("halves") < bytes("base/checkpoint") + 4096);

    let message = bad(folder, "export whole --out exported");
    assert!(
        message.contains("exported is not empty: name another folder with --out"),
        "{message}"
    );
    good(
        folder,
        "tune prompt --model base --data user.jsonl --epochs 1 --out tuned",
    );
    let message = bad(folder, "export tuned --out refused");
    assert!(
        message.contains("tuned/checkpoint holds an adapter for base; give that as the model"),
        "{message}"
    );
}

#[test]
fn the_prompt_of_a_domain_is_fetched_from_the_arrays() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    train_base(folder);
    for (domain, word) in [("no", "ask"), ("yes", "tell")] {
        let line = |i: usize| {
            format!(
                "{{\"prompt\": \"{word} {}:\\n\", \"completion\": \"say {domain}\\n\"}}\n",
                i % 10
            )
        };
        let lines: String = (0..40).map(line).collect();
        std::fs::write(folder.join(format!("{domain}.jsonl")), lines).unwrap();
        let cells = if domain == "no" { "--cells ideal" } else { "" };
        let tune = format!(
            "tune prompt --model base --data {domain}.jsonl --epochs 8 --tokens 4 --store prompts --name {domain} {cells} --out {domain}"
        );
        good(folder, &tune);
    }
    let generate = |more: &[&str]| {
        let mut command = crossburn(folder);
        command.args(["generate", "--model", "base", "--max-new-tokens", "6"]);
        command.args(more).output().unwrap()
    };
    for (domain, text) in [("no", "ask 3:\n"), ("yes", "tell 3:\n")] {
        let fetched = generate(&["--prompt", text, "--store", "prompts"]);
        let notes = String::from_utf8(fetched.stderr).unwrap();
        assert!(
            notes.contains(&format!("prompt: \"{domain}\" from chip 0")),
            "{notes}"
        );
        // Cells without errors hold the prompt to eight bits.
        let adapter = format!("{domain}/checkpoint");
        let tuned = generate(&["--prompt", text, "--adapter", &adapter]);
        assert!(!tuned.stdout.is_empty());
        assert_eq!(fetched.stdout, tuned.stdout, "{domain}");
    }
    let message = bad(
        folder,
        "tune lora --model base --data no.jsonl --store prompts",
    );
    assert!(
        message.contains("--store is for a prompt, not for lora"),
        "{message}"
    );
    let message = bad(
        folder,
        "tune prompt --model base --data no.jsonl --store prompts --cells rram4",
    );
    assert!(message.contains("was made with ideal; hint: "), "{message}");
    let message = bad(folder, "generate --model base --prompt a --store nowhere");
    assert!(
        message.contains("there is no store of prompts in nowhere; hint: "),
        "{message}"
    );
    // Another base is another model.
    good(
        folder,
        "train base.toml --set seed=3 --set training.epochs=1 --out other",
    );
    let message = bad(
        folder,
        "generate --model other --prompt ask --store prompts",
    );
    assert!(
        message.contains("holds prompts of another model; hint: "),
        "{message}"
    );
}
