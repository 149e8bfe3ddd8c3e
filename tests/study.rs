//! `crossburn study edge-llm` and `crossburn recommend` as a user meets them, in the smallest form.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::fmt::Write;
use std::path::Path;

use command::{bad, good, run};
use crossburn::training::data::personal::{Example, ExampleKind, Profile};
use serde_json::{Value, json};

/// A document without its timing and what names the run.
fn document(folder: &Path, arguments: &str) -> Value {
    let mut document = command::json(&good(folder, arguments));
    for key in ["timing", "reproduce", "made_by"] {
        document[key].take();
    }
    document
}

#[test]
fn a_study_goes_on_where_it_was_is_the_same_on_one_core_and_answers_about_a_device() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let first = document(folder, "study edge-llm tiny --out a --json --threads 2");
    // Two tasks, three methods with two histories, and one that uses none.
    assert_eq!(first["cells"].as_array().unwrap().len(), 14);
    for file in ["report.html", "cells.json", "plots/budget-1.svg"] {
        assert!(folder.join("a").join(file).is_file(), "{file}");
    }
    let other = document(
        folder,
        "reproduce edge-llm --quick --out b --json --threads 1",
    );
    assert_eq!(other, first);

    // Cells of one condition are measured again, to the same numbers.
    let path = folder.join("a/cells.json");
    let mut kept: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let cells = kept["cells"].as_object_mut().unwrap();
    cells
        .remove("shipped, fp32, ideal, title, lora, 8, rate 0.003")
        .unwrap();
    std::fs::write(&path, kept.to_string()).unwrap();
    let again = document(folder, "study edge-llm tiny --out a --resume --json");
    assert_eq!(again, first);

    // With another learning rate it goes on as well: what was learned with the rate of before does not count.
    let tiny = include_str!("../configs/studies/tiny.toml");
    let faster = tiny.replace("lora = [3e-3]", "lora = [1e-1]");
    std::fs::write(folder.join("faster.toml"), faster).unwrap();
    let fresh = document(folder, "study edge-llm faster.toml --out c --json");
    assert_ne!(fresh["cells"], first["cells"]);
    let again = document(folder, "study edge-llm faster.toml --out a --resume --json");
    assert_eq!(again, fresh);

    let ask = "recommend --study a --hours 1 --history 8 --task titling --ram";
    let answer = String::from_utf8(good(folder, &format!("{ask} 2GB")).stdout).unwrap();
    for part in [
        "by 2 people with a history of 8",
        "Below the best",
        "not measured: memory: the largest cell takes",
    ] {
        assert!(answer.contains(part), "{answer}");
    }
    let message = bad(folder, &format!("{ask} 2KB"));
    assert!(
        message.contains("not measured: no cell of title fits in 2000 bytes"),
        "{message}"
    );
    let message = bad(
        folder,
        "recommend --study a --hours 1 --history 500 --task titling --ram 2GB",
    );
    assert!(
        message.contains("not measured: a history of 500"),
        "{message}"
    );
}

#[test]
fn the_shards_of_a_study_are_the_study_to_the_byte() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let whole = document(folder, "study edge-llm tiny --out w --json");
    for shard in [1, 2] {
        let part = document(
            folder,
            &format!("study edge-llm tiny --shard {shard}/2 --out s{shard} --json"),
        );
        assert_eq!(part["people"], 1);
        assert_eq!(part["part"]["first"], shard - 1);
        assert!(part["claims"].as_array().unwrap().is_empty());
    }
    let merged = document(folder, "report s2 s1 --out m --json");
    assert_eq!(merged.to_string(), whole.to_string());
    assert!(folder.join("m/report.html").is_file());
    let population = r#"{"schema": "crossburn.results/3"}"#;
    std::fs::write(folder.join("population"), population).unwrap();

    for (arguments, part) in [
        ("report s1 s1 --out x", "s1 and s1 both hold person 0"),
        (
            "report s1 w --out x",
            "w is a whole study and no shard: name it alone",
        ),
        (
            "report s1 population --out x",
            "s1 is a study of language models on edge devices and population is a population: name shards of one kind",
        ),
        (
            "study edge-llm tiny --shard 1/3",
            "cuts 2 people into 3 parts",
        ),
        (
            "recommend --study s1 --hours 1 --history 8 --task titling --ram 2GB",
            "merge all parts with `crossburn report`",
        ),
    ] {
        let message = bad(folder, arguments);
        assert!(message.contains(part), "{arguments}: {message}");
    }
}

/// The median of some numbers.
fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[test]
fn measured_memory_is_near_the_predictions_and_kept() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let study = "study edge-llm tiny --out a --measure-costs --json";
    let first = document(folder, study);
    let cells = first["cells"].as_array().unwrap();
    let errors = |predicted: &str, measured: &str| -> Vec<f64> {
        let of_cell = |cell: &Value| {
            let measured = cell["cost"][measured].as_f64()?;
            Some((cell[predicted].as_f64().unwrap() / measured - 1.0).abs())
        };
        cells.iter().filter_map(of_cell).collect()
    };
    let answering = errors("answering_bytes", "answering_bytes");
    assert_eq!(answering.len(), 14);
    assert!(median(answering) <= 0.15);
    // LoRA and prompt of two tasks with two histories.
    let learning = errors("learning_bytes", "learning_bytes");
    assert_eq!(learning.len(), 8);
    assert!(median(learning) <= 0.15);
    let weights = first["models"][0]["bytes"].as_u64().unwrap();
    for cell in cells {
        let cost = &cell["cost"];
        assert!(cost["answering_bytes"].as_u64().unwrap() > weights);
        assert!(cost["answer_seconds"].as_f64().unwrap() > 0.0);
        let learns = !cell["rate"].is_null();
        assert_eq!(cost["step_seconds"].is_number(), learns, "{cell}");
    }
    // Times of another run would differ.
    let again = document(folder, &format!("{study} --resume"));
    assert_eq!(again, first);
    let page = std::fs::read_to_string(folder.join("a/report.html")).unwrap();
    assert!(page.contains("memory of learning without the weights"));
    // They are only shown where they were asked for.
    let without = document(folder, "study edge-llm tiny --out a --resume --json");
    assert!(without["cells"][0].get("cost").is_none());
}

#[test]
fn a_distilled_model_on_noisy_arrays_has_an_energy() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let mut study = include_str!("../configs/studies/tiny.toml").to_string();
    for (from, to) in [
        ("[device]", "[device]\naccelerator = \"isaac\""),
        (
            "[models]",
            "[models]\nsmall = { family = \"gated\", width = 16, layers = 1, heads = 2, sessions = 4, epochs = 1, learning_rate = 3e-3, teacher = \"shipped\" }",
        ),
        (
            "models = [\"shipped\"]",
            "models = [\"small\"]\nchips = [\"ideal\", \"gaussian-0.1\"]",
        ),
        (
            "tasks = [\"citation\", \"title\"]",
            "tasks = [\"citation\"]",
        ),
        ("histories = [4, 8]", "histories = [8]"),
    ] {
        assert!(study.contains(from), "{from}");
        study = study.replacen(from, to, 1);
    }
    std::fs::write(folder.join("distilled.toml"), study).unwrap();
    let found = document(folder, "study edge-llm distilled.toml --out a --json");
    let (models, cells) = (&found["models"], found["cells"].as_array().unwrap());
    assert_eq!(models.as_array().unwrap().len(), 1);
    assert_eq!(models[0]["name"], "small");
    assert_eq!(models[0]["teacher"], "shipped");
    assert_eq!(models[0]["digest"].as_str().unwrap().len(), 16);
    assert!(models[0]["token_joules"].as_f64().unwrap() > 0.0);
    // Four methods on two kinds of cells. Weights on ideal cells are taken to lie in a digital memory.
    assert_eq!(cells.len(), 8);
    let joules = |method: &str| {
        let mut noisy = cells.iter().filter(|cell| cell["chip"] != "ideal");
        let cell = noisy.find(|cell| cell["method"] == method);
        cell.unwrap()["answer_joules"].as_f64().unwrap()
    };
    let ideal = |cell: &&Value| cell["chip"] == "ideal";
    assert!(
        cells
            .iter()
            .filter(ideal)
            .all(|cell| cell.get("answer_joules").is_none())
    );
    // Retrieved examples are tokens that pass as well.
    assert!(joules("rag") > joules("none"));
    // The student was trained, kept, and is taken from there.
    assert!(folder.join("a/models/small.safetensors").is_file());
    let again = document(
        folder,
        "study edge-llm distilled.toml --out a --resume --json",
    );
    assert_eq!(again, found);

    let ask = "recommend --study a --hours 1 --history 8 --task choice --ram 2GB";
    let answer = good(folder, &format!("{ask} --chip gaussian-0.1 --energy 1kJ"));
    let answer = String::from_utf8(answer.stdout).unwrap();
    for part in [
        "by 2 people with a history of 8 on cells gaussian-0.1",
        "Energy of an answer",
        "not measured: energy: that of arrays for an answer is estimated",
    ] {
        assert!(answer.contains(part), "{answer}");
    }
    for (further, part) in [
        (
            "--chip gaussian-0.1 --energy 1fJ",
            "and 1 fJ for an answer, of which the least is ",
        ),
        (
            "--energy 1J",
            "is estimated for weights on cells that deviate",
        ),
        ("--chip gaussian-0.1 --energy 0J", "use an energy above 0"),
    ] {
        let message = bad(folder, &format!("{ask} {further}"));
        assert!(message.contains(part), "{further}: {message}");
    }
}

/// The cells of a document without what is predicted of them: in a file, needs are predicted from the person whose texts are longest.
fn answers(document: &Value) -> Vec<Value> {
    let mut cells = document["cells"].as_array().unwrap().clone();
    for cell in &mut cells {
        for key in ["learning_bytes", "answering_bytes", "answer_operations"] {
            assert!(cell[key].take().is_number(), "{key}");
        }
        for point in cell["points"].as_array_mut().unwrap() {
            point["operations"].take();
        }
    }
    cells
}

/// People, their questions and the model come from files that hold what the study would draw: the answers are the same.
#[test]
fn your_own_model_and_people_are_measured_like_those_that_come_along() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tiny = include_str!("../configs/studies/tiny.toml");
    let drawn = tiny.replace("tasks = [\"citation\", \"title\"]", "tasks = [\"title\"]");
    std::fs::write(folder.join("drawn.toml"), &drawn).unwrap();
    let drawn_study = document(folder, "study edge-llm drawn.toml --out a --json");

    let write = |name: &str, of: &dyn Fn(&Profile) -> Vec<Example>| {
        let mut lines = String::new();
        for person in 0..3 {
            let profile = Profile::draw(1, person, ExampleKind::Title, [8, 3]).unwrap();
            for example in of(&profile) {
                let (prompt, completion) = (example.prompt, example.completion);
                let line =
                    json!({"prompt": prompt, "completion": completion, "who": person.to_string()});
                writeln!(lines, "{line}").unwrap();
            }
        }
        std::fs::write(folder.join(name), lines).unwrap();
    };
    write("learn.jsonl", &|profile| profile.recent(8).to_vec());
    write("asked.jsonl", &|profile| profile.questions().to_vec());
    let own = drawn.replace(
        "shipped = { family = \"shipped\" }",
        "shipped = { family = \"file\", path = \"a/models/shipped\" }\n\n[texts]\ntitle = \"jsonl:learn.jsonl?profile=who&test=asked.jsonl\"",
    );
    std::fs::write(folder.join("own.toml"), &own).unwrap();
    let found = document(folder, "study edge-llm own.toml --out b --json");
    assert_eq!(answers(&found), answers(&drawn_study));
    assert!(found["models"][0]["digest"].is_string());

    // Other answers in the same file are not taken for those of before.
    write("asked.jsonl", &|profile| {
        let other = |one: &Example| Example {
            completion: " other\n".to_string(),
            ..one.clone()
        };
        profile.questions().iter().map(other).collect()
    });
    let message = bad(folder, "study edge-llm own.toml --out b --resume");
    assert!(message.contains("texts_checksums"), "{message}");
    let more = own.replace("people = 2", "people = 4");
    std::fs::write(folder.join("more.toml"), more).unwrap();
    let message = bad(folder, "study edge-llm more.toml --out c");
    assert!(
        message.contains(
            "has 3 people with 8 texts to learn from and 3 to ask, the study takes 4: 4 are measured"
        ),
        "{message}"
    );
}

#[test]
fn options_that_cannot_be_read_are_named() {
    let folder = tempfile::tempdir().unwrap();
    for (arguments, part) in [
        (
            "study edge-llm tiny --shard 1/2 --measure-costs",
            "cannot be used with",
        ),
        (
            "study edge-llm tiny --shard 3/2",
            "use I/N with I from 1 to N",
        ),
        (
            "recommend --ram 2GB --hours 1 --history 8 --task choice --energy 1s",
            "is not an energy",
        ),
    ] {
        let output = run(folder.path(), arguments);
        let text = String::from_utf8(output.stderr).unwrap();
        assert!(
            output.status.code() == Some(2) && text.contains(part),
            "{arguments}: {text}"
        );
    }
}

#[test]
fn a_device_gets_an_answer_before_any_study_was_made() {
    let folder = tempfile::tempdir().unwrap();
    let ask = "recommend --ram 2GB --hours 1 --history 32 --task tagging";
    let text = String::from_utf8(good(folder.path(), ask).stdout).unwrap();
    for part in ["from the study `full`", "by 20 people with a history of 32"] {
        assert!(text.contains(part), "{text}");
    }
    assert!(std::fs::read_dir(folder.path()).unwrap().next().is_none());
}

#[test]
fn what_cannot_be_studied_is_refused_in_a_line() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let tiny = include_str!("../configs/studies/tiny.toml");
    let write = |name: &str, from: &str, to: &str| {
        assert!(tiny.contains(from));
        std::fs::write(folder.join(name), tiny.replacen(from, to, 1)).unwrap();
    };
    write("none.toml", "people = 2", "people = 0");
    write(
        "small.toml",
        "operations_per_second = 1e9",
        "operations_per_second = 1e9\nram = 1000",
    );
    for (arguments, part) in [
        (
            "study edge-llm none.toml",
            "none.toml is no study: people = 0: use 1 to",
        ),
        (
            "study edge-llm small.toml",
            "no cell fits in device.ram = 1000 bytes, the smallest is predicted to take",
        ),
        (
            "study edge-llm tiny --measure-costs --device wgpu",
            "counts the memory that a processor takes, and none of a GPU; hint: measure with --device cpu",
        ),
        (
            "study edge-llm nowhere",
            "`nowhere` is neither a file nor one of the studies",
        ),
        (
            "reproduce edge-llm --data digits",
            "this paper's experiment is not defined on digits",
        ),
        (
            "recommend --study nowhere --ram 2GB --hours 1 --history 8 --task choice",
            "nowhere does not exist; hint: make a study with `crossburn study edge-llm quick`",
        ),
    ] {
        let message = bad(folder, arguments);
        assert!(message.contains(part), "{arguments}: {message}");
    }
}
