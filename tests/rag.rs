//! Documents are stored in arrays and answer questions; a store changes with its documents.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod command;

use std::path::{Path, PathBuf};
use std::process::Output;

use command::{bad, crossburn, good, json};
use serde_json::Value;

const CELLS: &str = "# Cells\n\nMemory cells drift with time. A later read finds another conductance.\n\n\
     Programming a cell takes several pulses. Each of them is verified by a read.\n";
const BREAD: &str =
    "Bread is baked at dawn. The oven is hot.\n\nFlour and water make dough. It rests overnight.\n";

/// A folder with two documents.
fn workplace() -> tempfile::TempDir {
    let place = tempfile::tempdir().unwrap();
    let docs = place.path().join("docs");
    std::fs::create_dir(&docs).unwrap();
    std::fs::write(docs.join("cells.md"), CELLS).unwrap();
    std::fs::write(docs.join("bread.txt"), BREAD).unwrap();
    place
}

/// The folder `name` of the data beside the project, if it is there.
fn data(name: &str) -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there", folder.display());
        return None;
    }
    folder.canonicalize().ok()
}

/// Asks `question` with further arguments.
fn asked(folder: &Path, question: &str, more: &[&str]) -> Output {
    let mut command = crossburn(folder);
    command.args(["rag", "ask", "store", question]).args(more);
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{question}: {text}");
    output
}

/// The passages that are found for `question`.
fn found(folder: &Path, question: &str, more: &[&str]) -> Vec<Value> {
    let document = json(&asked(folder, question, &[more, &["--json"]].concat()));
    document["passages"].as_array().unwrap().clone()
}

fn text(passage: &Value) -> &str {
    passage["text"].as_str().unwrap()
}

#[test]
fn documents_are_stored_asked_and_reported() {
    let place = workplace();
    let folder = place.path();
    let report = json(&good(folder, "rag index docs --out store --chips 3 --json"));
    assert_eq!(
        (&report["passages"], &report["documents"]),
        (&4.into(), &2.into())
    );
    assert_eq!(report["changes"]["added"], 4);
    // Every passage has two sentences, and its first one is most like itself.
    assert_eq!(
        (&report["questions"]["count"], &report["questions"]["ideal"]),
        (&4.into(), &1.0.into())
    );
    assert_eq!(report["questions"]["chips"]["chips"], 3);
    assert!(report["cost"]["arrays"].as_u64().unwrap() > 0, "{report}");

    let best = found(folder, "How do cells drift?", &["-k", "1"]);
    assert!(
        text(&best[0]).starts_with("Cells Memory cells drift"),
        "{best:?}"
    );
    let place_of = &best[0]["places"][0];
    assert!(
        place_of["file"]
            .as_str()
            .unwrap()
            .ends_with("docs/cells.md")
    );
    assert_eq!(place_of["at"], "line 1");
    for standing in [&best[0]["chip"], &best[0]["ideal"]] {
        assert_eq!(standing["rank"], 1);
        assert!(
            (0.1..1.0).contains(&standing["score"].as_f64().unwrap()),
            "{best:?}"
        );
    }
    // Each chip has draws of its own, and they are the same for every question.
    let score = |chip: &str| {
        let all = found(folder, "How do cells drift?", &["-k", "4", "--chip", chip]);
        assert_eq!(all.len(), 4);
        all[0]["chip"]["score"].clone()
    };
    assert_eq!(score("0"), best[0]["chip"]["score"]);
    assert_ne!(score("0"), score("1"));

    let shown = String::from_utf8(asked(folder, "When is bread baked?", &[]).stdout).unwrap();
    let first = shown.lines().next().unwrap();
    assert_eq!(first, "1. docs/bread.txt, line 1");
    assert!(shown.contains("Bread is baked at dawn."), "{shown}");

    let table = good(folder, "report store");
    let table = String::from_utf8(table.stdout).unwrap();
    assert!(table.contains("4 of 2 documents"), "{table}");
    assert!(folder.join("store/report.html").is_file());
}

#[test]
fn the_cells_of_a_device_without_error_find_what_the_integers_say() {
    let place = workplace();
    let folder = place.path();
    good(
        folder,
        "rag index docs --out store --device ideal --chips 2",
    );
    for passage in found(folder, "dough and cells", &["-k", "4"]) {
        assert_eq!(passage["chip"], passage["ideal"], "{passage}");
    }
}

#[test]
fn a_store_follows_its_documents() {
    let place = workplace();
    let folder = place.path();
    let index = |arguments: &str| {
        let command = format!("rag index {arguments} --out store --chips 0 --json");
        json(&good(folder, &command))
    };
    index("docs");
    let entries = || {
        let all = found(folder, "bread cells dough pulses", &["-k", "4"]);
        let entry = |passage: &Value| (text(passage).to_string(), passage["entry"].clone());
        all.iter()
            .map(entry)
            .collect::<std::collections::BTreeMap<_, _>>()
    };
    let before = entries();

    // The same documents again change nothing.
    let same = index("docs");
    assert_eq!(
        (&same["changes"]["added"], &same["changes"]["erased"]),
        (&0.into(), &0.into())
    );
    assert_eq!(entries(), before);

    // One of two paragraphs is replaced. The other keeps its entry, and so its cells.
    std::fs::write(
        folder.join("docs/bread.txt"),
        "Bread is baked at dawn. The oven is hot.\n\nSalt comes last. It keeps the crust.\n",
    )
    .unwrap();
    let changed = index("docs/bread.txt");
    assert_eq!(
        (&changed["changes"]["added"], &changed["changes"]["erased"]),
        (&1.into(), &1.into())
    );
    let after = entries();
    let kept = "Bread is baked at dawn. The oven is hot.";
    assert_eq!(after[kept], before[kept]);
    assert!(!after.keys().any(|text| text.starts_with("Flour")));

    // The passages of the store are no documents, although they are lines of JSON.
    let all = index(".");
    assert_eq!(
        (&all["changes"]["added"], &all["changes"]["erased"]),
        (&0.into(), &0.into())
    );
    assert_eq!(
        (&all["passages"], &all["documents"]),
        (&4.into(), &2.into())
    );

    // A passage that another file repeats is stored once, and stays while one of them has it.
    std::fs::write(folder.join("copy.txt"), kept).unwrap();
    let copied = index("copy.txt");
    assert_eq!(
        (&copied["changes"]["duplicates"], &copied["passages"]),
        (&1.into(), &4.into())
    );
    let dropped = index("--drop docs/bread.txt");
    assert_eq!(
        (&dropped["changes"]["erased"], &dropped["passages"]),
        (&1.into(), &3.into())
    );
    let best = found(folder, "When is bread baked?", &["-k", "1"]);
    assert_eq!(text(&best[0]), kept);
    assert!(
        best[0]["places"][0]["file"]
            .as_str()
            .unwrap()
            .ends_with("copy.txt")
    );

    // A file that is no longer there is dropped as well.
    std::fs::remove_file(folder.join("copy.txt")).unwrap();
    assert_eq!(index("--drop copy.txt")["passages"], 2);
    // One generation of files is left.
    let names: Vec<String> = std::fs::read_dir(folder.join("store"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    let of = |start: &str| names.iter().filter(|name| name.starts_with(start)).count();
    assert_eq!(
        (of("passages-"), of("vectors-"), of(".unfinished")),
        (1, 1, 0),
        "{names:?}"
    );
}

#[test]
fn what_cannot_be_done_is_said_in_one_line_and_loses_nothing() {
    let place = workplace();
    let folder = place.path();
    std::fs::write(folder.join("void.txt"), "\n \n").unwrap();
    std::fs::write(folder.join("marks.txt"), "-- !!\n").unwrap();
    std::fs::write(folder.join("lines.jsonl"), "{\"title\": \"a\"}\n").unwrap();
    std::fs::write(folder.join("more.txt"), "One.\n\nTwo.\n\nThree.\n").unwrap();
    good(
        folder,
        "rag index docs --out store --chips 0 --capacity 6 --device rram1",
    );
    let state = || {
        let read = |name: &str| std::fs::read(folder.join("store").join(name)).unwrap();
        (read("store.json"), read("passages-1.jsonl"))
    };
    let before = state();
    for (arguments, expected) in [
        ("rag index", "nothing to index; hint: "),
        (
            "rag index nowhere --out new",
            "there is no file or folder nowhere; hint: ",
        ),
        (
            "rag index void.txt --out new",
            "void.txt holds no text; hint: ",
        ),
        (
            "rag index marks.txt --out new",
            "the encoder finds no word in any passage; hint: ",
        ),
        (
            "rag index lines.jsonl --out new",
            "lines.jsonl, line 1: it has no field \"text\", only \"title\"; hint: ",
        ),
        (
            "rag index docs --device tea --out new",
            "`tea` is neither a file nor one of the devices",
        ),
        ("rag index docs --bits 9 --out new", "bits"),
        (
            "rag index docs --max-words 0 --out new",
            "--max-words 0 leaves no passage; hint: ",
        ),
        (
            "rag index docs --device fefet2 --out store",
            "--device: the store in store was made with rram1; hint: ",
        ),
        (
            "rag index docs --bits 4 --out store",
            "--bits: the store in store was made with 8; hint: ",
        ),
        (
            "rag index docs --max-words 9 --out store",
            "--max-words: the store in store was made with 120; hint: ",
        ),
        (
            "rag index more.txt --out store",
            "store is full: it takes 6 passages and would hold 7; hint: ",
        ),
        (
            "rag index --drop elsewhere --out store",
            "--drop: no passage of store is from ",
        ),
        (
            "rag index --drop docs --out store",
            "nothing would be left in store; hint: ",
        ),
        ("rag index docs --model docs --out store", "docs"),
        (
            "rag ask nowhere cells",
            "there is no store in nowhere; hint: ",
        ),
        (
            "rag ask store cells -k 5",
            "-k 5: the store holds 4 passages; hint: ",
        ),
        (
            "rag ask store cells -k 0",
            "-k 0: the store holds 4 passages; hint: ",
        ),
        (
            "rag ask store ??",
            "the encoder finds no word in the question",
        ),
        ("map store", "store"),
    ] {
        let message = bad(folder, arguments);
        assert!(message.contains(expected), "{arguments}: {message}");
        assert_eq!(state(), before, "{arguments}");
    }
    // Another verb does not write into the folder of a store.
    let other = bad(folder, "demo --quick --out store");
    assert!(
        other.contains("holds the results of `rag index`"),
        "{other}"
    );

    // Damaged files are named.
    let passages = folder.join("store/passages-1.jsonl");
    let text = std::fs::read_to_string(&passages).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    std::fs::write(&passages, lines[1..].join("\n")).unwrap();
    let message = bad(folder, "rag ask store cells");
    assert!(
        message.contains("does not hold the passages of the vectors"),
        "{message}"
    );
    std::fs::write(&passages, "{\n").unwrap();
    let message = bad(folder, "rag ask store cells");
    assert!(
        message.contains("passages-1.jsonl, line 1 is damaged; hint: "),
        "{message}"
    );
}

#[cfg(unix)]
#[test]
fn an_interrupted_index_goes_on() {
    let place = workplace();
    let folder = place.path();
    // So much text that the index is not done before the signal comes.
    let passage = |number: usize| {
        let words = (0..100).map(|word| format!("w{}", number * 100 + word));
        words.collect::<Vec<_>>().join(" ") + "\n\n"
    };
    std::fs::write(
        folder.join("long.txt"),
        (0..20_000).map(passage).collect::<String>(),
    )
    .unwrap();
    let mut child = std::process::Command::new(assert_cmd::cargo::cargo_bin("crossburn"))
        .current_dir(folder)
        .args("rag index docs long.txt --out store".split_whitespace())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let unfinished = folder.join("store/.unfinished.jsonl");
    let begun = || std::fs::metadata(&unfinished).is_ok_and(|file| file.len() > 100_000);
    while !begun() {
        let ended = child.try_wait().unwrap();
        assert!(
            ended.is_none(),
            "it ended before it was interrupted: {ended:?}"
        );
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let output = command::interrupt(child);
    let notes = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{notes}");
    assert!(
        notes.contains("vectors are kept: the same command goes on"),
        "{notes}"
    );
    assert!(!folder.join("store/store.json").exists());

    // An index that was killed in the middle of a line goes on as well. The vectors of `docs` come first among those that are kept.
    let kept = std::fs::read(&unfinished).unwrap();
    std::fs::write(&unfinished, &kept[..kept.len() - 7]).unwrap();
    let again = good(folder, "rag index docs --out store --chips 0");
    let notes = String::from_utf8(again.stderr).unwrap();
    assert!(notes.contains("continuing: "), "{notes}");
    good(folder, "rag index docs --out at-once --chips 0");
    let read = |store: &str, file: &str| std::fs::read(folder.join(store).join(file)).unwrap();
    assert_eq!(
        read("store", "passages-1.jsonl"),
        read("at-once", "passages-1.jsonl")
    );
    let vectors = "vectors-1/store.safetensors";
    assert_eq!(read("store", vectors), read("at-once", vectors));
    assert!(!unfinished.exists());
}

#[test]
fn lines_of_json_and_profiles_are_documents() {
    let place = workplace();
    let folder = place.path();
    std::fs::write(
        folder.join("news.jsonl"),
        "{\"headline\": \"Snow falls\", \"body\": \"In the hills.\"}\n{\"headline\": \"Sun shines\", \"body\": \"\"}\n",
    )
    .unwrap();
    std::fs::write(
        folder.join("dev_questions.json"),
        r#"[{"id": "7", "input": "?", "profile": [{"id": "a", "text": "A film about rain", "score": "4"}]},
            {"id": "8", "input": "?", "profile": [{"id": "b", "text": "A film about wind", "score": "2"}]}]"#,
    )
    .unwrap();
    let index = "rag index news.jsonl dev_questions.json --field headline --field body --user 8 --out store --chips 0 --json";
    let report = json(&good(folder, index));
    assert_eq!(
        (&report["passages"], &report["documents"]),
        (&3.into(), &2.into())
    );
    // One sentence each: nothing asks.
    assert!(report["questions"].is_null(), "{report}");
    let best = found(folder, "snow", &["-k", "1"]);
    assert_eq!(
        (text(&best[0]), &best[0]["places"][0]["at"]),
        ("Snow falls In the hills.", &"line 1".into())
    );
    let best = found(folder, "wind", &["-k", "1"]);
    assert_eq!(
        (text(&best[0]), &best[0]["places"][0]["at"]),
        ("A film about wind 2", &"question 8, profile 0".into())
    );
}

#[test]
fn a_sentence_encoder_compares_meanings() {
    let Some(model) = data("embed-all-minilm-l6-v2") else {
        return;
    };
    let place = workplace();
    let folder = place.path();
    let index = format!(
        "rag index docs --model {} --out store --chips 2",
        model.display()
    );
    good(folder, &index);
    // No word of the question is in the passage.
    let best = found(
        folder,
        "At what hour do loaves go into the stove?",
        &["-k", "1"],
    );
    assert!(text(&best[0]).starts_with("Bread is baked"), "{best:?}");
    let message = bad(folder, "rag index docs --model hashed-ngrams --out store");
    assert!(
        message.contains("the store was made by the encoder"),
        "{message}"
    );
}

#[test]
fn a_language_model_answers_from_the_passages() {
    let Some(model) = data("llm-stories260k-hf") else {
        return;
    };
    let place = workplace();
    let folder = place.path();
    good(folder, "rag index docs --out store --chips 0");
    let model = model.display().to_string();
    let arguments = ["-k", "1", "--llm", &model, "--max-new-tokens", "8"];
    let output = asked(folder, "When is bread baked?", &arguments);
    let (answer, notes) = (
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    );
    // The answer alone goes to stdout, the passages to stderr.
    assert!(
        !answer.trim().is_empty() && !answer.contains("Bread is baked at dawn"),
        "{answer}"
    );
    assert!(notes.contains("1. docs/bread.txt, line 1"), "{notes}");
    let again = asked(folder, "When is bread baked?", &arguments);
    assert_eq!(String::from_utf8(again.stdout).unwrap(), answer);
}

#[test]
fn the_verbs_of_stores_explain_themselves() {
    let folder = tempfile::tempdir().unwrap();
    for verb in ["index", "ask"] {
        let help = good(folder.path(), &format!("rag {verb} --help"));
        let help = String::from_utf8(help.stdout).unwrap();
        insta::assert_snapshot!(format!("help_of_rag_{verb}"), help);
    }
}
