//! `generate`, `chat`, `embed` and `bench` as a user meets them, on a small pretrained model.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod command;

use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use burn::tensor::Device;
use crossburn::checkpoints::{LanguageModel, save_adapter};
use crossburn::models::decoder::{AdapterConfig, AdapterKind};
use serde_json::Value;

use command::{crossburn, good};

/// The folder `name` of the data beside the project, if it is there.
fn data(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

/// A folder with a link `stories` to the model of that name.
fn workplace() -> Option<tempfile::TempDir> {
    let model = data("llm-stories260k-hf")?.canonicalize().unwrap();
    let place = tempfile::tempdir().unwrap();
    let copy = place.path().join("stories");
    std::fs::create_dir(&copy).unwrap();
    for file in [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ] {
        std::fs::copy(model.join(file), copy.join(file)).unwrap();
    }
    Some(place)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Runs a command with `input` on stdin.
fn run(folder: &Path, arguments: &[&str], input: &str) -> Output {
    let mut command = crossburn(folder);
    command
        .env("HF_HUB_OFFLINE", "1")
        .env("HF_HOME", folder.join("hf"));
    command.args(arguments).write_stdin(input).output().unwrap()
}

/// What a command that must succeed prints on stdout.
fn said(folder: &Path, arguments: &[&str], input: &str) -> String {
    let output = run(folder, arguments, input);
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

/// The one line of a command that must fail.
fn refused(folder: &Path, arguments: &[&str], input: &str) -> String {
    let output = run(folder, arguments, input);
    let line = text(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {line}");
    assert!(output.stdout.is_empty(), "{arguments:?}");
    let errors: Vec<&str> = line.lines().collect();
    assert!(
        errors.len() == 1 && line.starts_with("error: "),
        "{arguments:?}: {line}"
    );
    line.trim_end().to_string()
}

fn generate<'a>(more: &[&'a str]) -> Vec<&'a str> {
    [
        &[
            "generate",
            "--model",
            "stories",
            "--prompt",
            "Once upon a time",
        ],
        more,
    ]
    .concat()
}

#[test]
fn a_text_is_continued_on_stdout_and_nothing_else_is_there() {
    let Some(place) = workplace() else {
        return;
    };
    let folder = place.path();
    let sentence = ", there was a little girl named Lily. She loved to play outside in the park.";
    let stopped = run(
        folder,
        &generate(&["--stop", " One", "--temperature", "0"]),
        "",
    );
    assert_eq!(text(&stopped.stdout), sentence);
    let notes = text(&stopped.stderr);
    assert!(
        notes.contains("0.260 million parameters") && notes.contains("tokens/s"),
        "{notes}"
    );
    let quiet = run(
        folder,
        &generate(&["--stop", " One", "--quiet", "--threads", "1"]),
        "",
    );
    assert_eq!(quiet.stdout, stopped.stdout);
    assert!(quiet.stderr.is_empty());
    let from_stdin = [
        "generate", "--model", "stories", "--prompt", "-", "--stop", "park",
    ];
    let story = said(folder, &from_stdin, "Once upon a time");
    assert_eq!(story, sentence[..sentence.len() - 5]);
    let draw = |seed: &str| {
        let options = [
            "--temperature",
            "1",
            "--top-k",
            "40",
            "--top-p",
            "0.95",
            "--seed",
            seed,
        ];
        said(folder, &generate(&options), "")
    };
    assert_eq!(draw("1"), draw("1"));
    assert_ne!(draw("1"), draw("2"));
    // Without a word on how many, as many tokens as the positions leave.
    let long = "the ".repeat(400);
    let last = said(
        folder,
        &[
            "generate",
            "--model",
            "stories",
            "--prompt",
            &long,
            "--temperature",
            "1",
        ],
        "",
    );
    assert!(!last.is_empty());
}

#[test]
fn an_adapter_of_the_model_is_taken_and_one_of_another_refused() {
    let Some(place) = workplace() else {
        return;
    };
    let folder = place.path();
    let model = LanguageModel::open(&folder.join("stories")).unwrap();
    let (config, names) = model.decoder_config().unwrap();
    let adapter_config = AdapterConfig {
        kind: AdapterKind::Prompt { tokens: 4 },
    };
    let adapter = adapter_config.init(&config, &Device::flex()).unwrap();
    let path = folder.join("adapter");
    save_adapter(&path, &adapter, &adapter_config, &config, &names, "stories").unwrap();
    let with = said(folder, &generate(&["--adapter", "adapter"]), "");
    assert_ne!(with, said(folder, &generate(&[]), ""));
    let other = path.join("adapter_config.json");
    let document = std::fs::read_to_string(&other).unwrap();
    let document = document.replace("\"num_virtual_tokens\": 4", "\"num_virtual_tokens\": 5");
    std::fs::write(&other, document).unwrap();
    insta::assert_snapshot!(refused(
        folder,
        &generate(&["--adapter", "adapter", "--quiet"]),
        ""
    ));
}

#[test]
fn a_conversation_goes_on_line_by_line_and_forgets_what_does_not_fit() {
    let Some(place) = workplace() else {
        return;
    };
    let folder = place.path();
    let chat = ["chat", "--model", "stories", "--max-new-tokens", "20"];
    let output = run(folder, &chat, "Hello\n\n/what\n/exit\nnever read\n");
    let notes = text(&output.stderr);
    assert!(output.status.success(), "{notes}");
    assert_eq!(
        text(&output.stdout)
            .lines()
            .filter(|line| !line.is_empty())
            .count(),
        1
    );
    for part in [
        "plain turns of User and Assistant",
        "there are /clear and /exit",
    ] {
        assert!(notes.contains(part), "{notes}");
    }
    // What was said before counts, and is forgotten by /clear.
    let answers = |input: &str| {
        let chat = [&chat[..], &["--quiet", "--stop", "\n"]].concat();
        let all = said(folder, &chat, input);
        all.lines().map(str::to_string).collect::<Vec<_>>()
    };
    let (first, second) = ("Lily had a cat.", "Tom saw a dog.");
    let alone = answers(&format!("{second}\n"));
    let after = answers(&format!("{first}\n{second}\n"));
    let cleared = answers(&format!("{first}\n/clear\n{second}\n"));
    assert_eq!(cleared.last(), alone.last());
    assert_ne!(after.last(), alone.last());
    let long = "She went to the park to play with her friends and her dog.\n".repeat(20);
    let notes = text(&run(folder, &chat, &long).stderr);
    assert!(
        notes.contains("no longer fits 512 positions: its 2 oldest messages"),
        "{notes}"
    );
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_a_conversation_and_a_measurement() {
    let Some(place) = workplace() else {
        return;
    };
    let start = |arguments: &[&str]| {
        std::process::Command::new(assert_cmd::cargo::cargo_bin("crossburn"))
            .args(arguments)
            .current_dir(place.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut child = start(&[
        "chat",
        "--model",
        "stories",
        "--quiet",
        "--max-new-tokens",
        "5",
    ]);
    // The answer to a line says that Ctrl-C is listened for.
    let mut input = child.stdin.take().unwrap();
    input.write_all(b"Hello\n").unwrap();
    let mut byte = [0];
    child
        .stdout
        .as_mut()
        .unwrap()
        .read_exact(&mut byte)
        .unwrap();
    let output = command::interrupt(child);
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    drop(input);
    let child = start(&["bench", "--model", "stories", "--repeats", "1000000"]);
    std::thread::sleep(std::time::Duration::from_millis(500));
    let output = command::interrupt(child);
    assert_eq!(output.status.code(), Some(130), "{}", text(&output.stderr));
    assert!(output.stdout.is_empty());
}

#[test]
fn sentences_become_vectors() {
    let Some(model) = data("embed-all-minilm-l6-v2") else {
        return;
    };
    let model = model.canonicalize().unwrap();
    let model = model.to_str().unwrap();
    let place = tempfile::tempdir().unwrap();
    let folder = place.path();
    let sentences = "A man is playing a guitar.\nSomeone plays an instrument.\nShares fell.\n";
    std::fs::write(folder.join("s.txt"), sentences).unwrap();
    let lines = said(folder, &["embed", "--model", model, "s.txt"], "");
    let lines: Vec<Value> = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3);
    for (line, sentence) in lines.iter().zip(sentences.lines()) {
        assert_eq!(line["text"], sentence);
        let vector = line["embedding"].as_array().unwrap();
        assert_eq!(vector.len(), 384);
        let square: f64 = vector
            .iter()
            .map(|value| value.as_f64().unwrap().powi(2))
            .sum();
        assert!((square - 1.0).abs() < 1e-5, "{square}");
    }
    let table = ["embed", "--model", model, "-", "--similarity"];
    insta::assert_snapshot!(said(folder, &table, sentences));
    let long = format!("{}\n", "word ".repeat(600));
    let cut = said(
        folder,
        &["embed", "--model", model, "-", "--truncate"],
        &long,
    );
    assert_eq!(cut.lines().count(), 1);
    let embed = ["embed", "--model", model, "-"];
    let messages = [
        refused(folder, &embed, ""),
        refused(folder, &embed, "one\n\ntwo\n"),
        refused(folder, &embed, &long),
        refused(folder, &table, &"word\n".repeat(51)),
        refused(folder, &["embed", "--model", model, "absent.txt"], ""),
        refused(folder, &["embed", "--model", "absent", "-"], "one"),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn speeds_are_measured_in_every_form() {
    let Some(place) = workplace() else {
        return;
    };
    let folder = place.path();
    let bench = |more: &[&str]| {
        let tests = [
            "--prompt-tokens",
            "32",
            "--new-tokens",
            "8",
            "--repeats",
            "3",
        ];
        said(
            folder,
            &[&["bench", "--model", "stories"], &tests[..], more].concat(),
            "",
        )
    };
    let table = bench(&[]);
    let rows: Vec<&str> = table.lines().collect();
    assert_eq!(rows.len(), 4, "{table}");
    assert!(
        rows[0].contains("tokens/s") && rows[2].contains("pp32"),
        "{table}"
    );
    assert!(rows[3].contains("tg8") && rows[3].contains('%'), "{table}");
    let csv = bench(&["--format", "csv"]);
    let rows: Vec<Vec<&str>> = csv.lines().map(|line| line.split(',').collect()).collect();
    assert!(
        rows.len() == 3 && rows.iter().all(|row| row.len() == rows[0].len()),
        "{csv}"
    );
    let document: Value = serde_json::from_str(&bench(&["--format", "json"])).unwrap();
    assert_eq!(document["parameters"], 260_032);
    for (test, name) in document["tests"]
        .as_array()
        .unwrap()
        .iter()
        .zip(["pp32", "tg8"])
    {
        assert_eq!(test["test"], name);
        let repeats = test["repeats"].as_array().unwrap();
        let speeds: Vec<f64> = repeats
            .iter()
            .map(|speed| speed.as_f64().unwrap())
            .collect();
        let mean = speeds.iter().sum::<f64>() / 3.0;
        assert!(
            speeds.len() == 3
                && (test["tokens_per_second"].as_f64().unwrap() - mean).abs() < 1e-6 * mean
        );
    }
}

#[test]
fn bad_models_prompts_and_settings_are_named_in_one_line() {
    let Some(place) = workplace() else {
        return;
    };
    let folder = place.path();
    let stories = folder.join("stories");
    // A copy of the model in which `change` has changed something.
    let changed = |name: &str, change: &dyn Fn(&Path)| {
        let copy = folder.join(name);
        std::fs::create_dir(&copy).unwrap();
        for file in std::fs::read_dir(&stories).unwrap() {
            let file = file.unwrap();
            std::fs::copy(file.path(), copy.join(file.file_name())).unwrap();
        }
        change(&copy);
        refused(
            folder,
            &["generate", "--quiet", "--model", name, "--prompt", "Once"],
            "",
        )
    };
    let edited = |file: PathBuf, from: &str, to: &str| {
        let text = std::fs::read_to_string(&file).unwrap();
        assert!(text.contains(from));
        std::fs::write(file, text.replace(from, to)).unwrap();
    };
    let generate = |more: &[&str]| refused(folder, &[&generate(&["--quiet"]), more].concat(), "");
    std::fs::write(folder.join("cut.gguf"), b"GGUF\x03\0\0\0\x01").unwrap();
    std::fs::write(folder.join("other.gguf"), "PK\u{3}\u{4} a zip").unwrap();
    let on = |model: &str| {
        refused(
            folder,
            &["generate", "--model", model, "--prompt", "Once"],
            "",
        )
    };
    let messages = [
        changed("no-config", &|copy| {
            std::fs::remove_file(copy.join("config.json")).unwrap()
        }),
        changed("other-kind", &|copy| {
            edited(copy.join("config.json"), "\"llama\"", "\"mamba\"")
        }),
        changed("no-weights", &|copy| {
            std::fs::remove_file(copy.join("model.safetensors")).unwrap()
        }),
        changed("cut-weights", &|copy| {
            let file = copy.join("model.safetensors");
            let bytes = std::fs::read(&file).unwrap();
            std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
        }),
        changed("other-width", &|copy| {
            edited(
                copy.join("config.json"),
                "\"intermediate_size\": 172",
                "\"intermediate_size\": 170",
            );
        }),
        changed("one-more-layer", &|copy| {
            edited(
                copy.join("config.json"),
                "\"num_hidden_layers\": 5",
                "\"num_hidden_layers\": 6",
            );
        }),
        changed("no-tokenizer", &|copy| {
            std::fs::remove_file(copy.join("tokenizer.json")).unwrap()
        }),
        changed("other-tokenizer", &|copy| {
            edited(
                copy.join("config.json"),
                "\"vocab_size\": 512",
                "\"vocab_size\": 500",
            );
        }),
        changed("bad-template", &|copy| {
            edited(
                copy.join("tokenizer_config.json"),
                "{",
                "{\"chat_template\": \"{% for %}\",",
            );
            let chat = ["chat", "--quiet", "--model", "bad-template"];
            assert!(
                refused(folder, &chat, "Hello\n")
                    .contains("the chat template is not readable Jinja")
            );
            // The template is of no use to `generate`.
            std::fs::write(copy.join("tokenizer.json"), "{}").unwrap();
        }),
        on("cut.gguf"),
        on("other.gguf"),
        on("absent.gguf"),
        generate(&["--max-new-tokens", "600"]),
        generate(&["--max-new-tokens", "0"]),
        generate(&["--temperature", "-1"]),
        generate(&["--top-p", "2"]),
        generate(&["--top-k", "0"]),
        generate(&["--stop", ""]),
        generate(&["--adapter", "absent"]),
        generate(&["--device", "ndarray"]),
        refused(
            folder,
            &["bench", "--model", "stories", "--prompt-tokens", "513"],
            "",
        ),
        refused(
            folder,
            &["bench", "--model", "stories", "--repeats", "0"],
            "",
        ),
        refused(
            folder,
            &[
                "bench",
                "--model",
                "stories",
                "--prompt-tokens",
                "0",
                "--new-tokens",
                "0",
            ],
            "",
        ),
        refused(folder, &["embed", "--model", "stories", "-"], "one\n"),
    ];
    insta::assert_snapshot!(messages.join("\n"));
}

#[test]
fn the_verbs_of_language_models_explain_themselves() {
    let folder = tempfile::tempdir().unwrap();
    for verb in ["generate", "chat", "embed", "bench"] {
        let help = text(&good(folder.path(), &format!("{verb} --help")).stdout);
        insta::assert_snapshot!(format!("help_of_{verb}"), help);
    }
}
