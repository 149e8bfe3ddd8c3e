//! What a refused, a second or a resumed run does to a run folder.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::collections::BTreeMap;
use std::path::Path;

use command::{GAUSSIAN, bad, good, recipe};

/// Every file below `folder` with its bytes.
fn files(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            let name = path.display().to_string();
            found.insert(name, std::fs::read(path).unwrap());
        }
    }
    found
}

#[test]
fn what_is_refused_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "one.toml", 1, GAUSSIAN);
    let text = std::fs::read_to_string(folder.join("one.toml")).unwrap();
    let write = |name: &str, from: &str, to: &str| {
        assert!(text.contains(from));
        std::fs::write(folder.join(name), text.replace(from, to)).unwrap();
    };
    write("two.toml", "seed = 3", "seed = 4");
    write("missing.toml", "\"digits\"", "\"mnist:nowhere\"");
    write("few.toml", "train = 300", "train = 100");
    good(folder, "train one.toml --out run");
    let before = files(&folder.join("run"));
    assert!(before.keys().any(|name| name.ends_with("recipe.toml")));
    for (arguments, part) in [
        (
            "train two.toml --out run --resume",
            "the state of another recipe",
        ),
        (
            "train missing.toml --out run",
            "nowhere holds no train-images",
        ),
        (
            "train missing.toml --out run --resume",
            "the state of another recipe",
        ),
        (
            "train few.toml --out run",
            "leaves nothing of 100 training items",
        ),
        (
            "evaluate run --chips 2 --out run",
            "the results of `train`, which `evaluate` would replace",
        ),
        (
            "worst-case run --out run",
            "the results of `train`, which `worst-case` would replace",
        ),
        (
            "map run --out run",
            "the results of `train`, which `map` would replace",
        ),
        (
            "demo --quick --out run",
            "the results of `train`, which `demo` would replace",
        ),
        (
            "reproduce kpp --quick --out run",
            "the results of `train`, which `reproduce` would replace",
        ),
    ] {
        let message = bad(folder, arguments);
        assert!(message.contains(part), "{arguments}: {message}");
        assert!(files(&folder.join("run")) == before, "{arguments}");
    }
    // The same verb starts afresh, and ends with a folder of one recipe.
    good(folder, "train two.toml --out run");
    let recipe = std::fs::read_to_string(folder.join("run/recipe.toml")).unwrap();
    assert!(recipe.contains("seed = 4"), "{recipe}");
    good(folder, "evaluate run --chips 2 --out chips");
    good(folder, "evaluate run --chips 3 --out chips");
    assert!(bad(folder, "train one.toml --out chips").contains("the results of `evaluate`"));
    assert!(bad(folder, "report run --out chips").contains("the results of `evaluate`"));
}

#[test]
fn nothing_to_resume_is_said_and_nothing_is_created() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "one.toml", 1, GAUSSIAN);
    good(folder, "train one.toml --out run");
    std::fs::create_dir(folder.join("empty")).unwrap();
    for verb in [
        "train one.toml",
        "evaluate run --chips 2",
        "worst-case run",
        "reproduce kpp --quick",
        "reproduce worst-case --quick",
    ] {
        for out in ["mistyped", "empty"] {
            let message = bad(folder, &format!("{verb} --out {out} --resume"));
            assert_eq!(
                message,
                format!(
                    "error: nothing to resume in {out}: check --out, or leave out --resume to start afresh\n"
                ),
                "{verb}"
            );
        }
        assert!(!folder.join("mistyped").exists());
        assert!(files(&folder.join("empty")).is_empty(), "{verb}");
    }
    // Another verb's folder holds nothing of this one's either.
    assert!(bad(folder, "evaluate run --chips 2 --out run --resume").contains("nothing to resume"));
}

#[cfg(unix)]
#[test]
fn a_second_writer_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "one.toml", 500, GAUSSIAN);
    let text = std::fs::read_to_string(folder.join("one.toml")).unwrap();
    std::fs::write(
        folder.join("two.toml"),
        text.replace("seed = 3", "seed = 4"),
    )
    .unwrap();
    let first = std::process::Command::new(assert_cmd::cargo::cargo_bin("crossburn"))
        .args(["train", "one.toml", "--out", "run"])
        .current_dir(folder)
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    while !folder.join("run/resume/resume.json").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    for arguments in [
        "train two.toml --out run",
        "train one.toml --out run --resume",
        "demo --quick --out run",
        "reproduce kpp --quick --out run",
    ] {
        let message = bad(folder, arguments);
        assert_eq!(
            message,
            "error: another process writes into run: let it end first, or choose another --out\n",
            "{arguments}"
        );
    }
    let output = command::interrupt(first);
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{text}");
    assert!(!text.contains("error"), "{text}");
    let recipe = std::fs::read_to_string(folder.join("run/recipe.toml")).unwrap();
    assert!(recipe.contains("seed = 3"), "{recipe}");
    assert!(bad(folder, "train two.toml --out run --resume").contains("another recipe"));
}
