//! The crate arrows, and what library crates must not do.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};

use cargo_metadata::{DependencyKind, MetadataCommand};

/// From the ground up: a crate may depend on those before it.
const ORDER: [&str; 7] = [
    "crossburn-kernels",
    "crossburn-noise",
    "crossburn-hardware",
    "crossburn-models",
    "crossburn-checkpoints",
    "crossburn-training",
    "crossburn",
];

/// What only the root package's `src/` may do.
const FORBIDDEN: [&str; 9] = [
    "println!",
    "print!(",
    "eprintln!",
    "eprint!(",
    "std::env",
    "env::var",
    "process::exit",
    "clap::",
    "Device::default()",
];

#[test]
fn crates_depend_downwards_only() {
    let metadata = MetadataCommand::new().no_deps().exec().unwrap();
    assert_eq!(metadata.packages.len(), ORDER.len());
    for package in &metadata.packages {
        let level = ORDER.iter().position(|name| *name == package.name.as_str());
        let level = level.unwrap_or_else(|| panic!("{} is not in the architecture", package.name));
        for dependency in &package.dependencies {
            if dependency.kind != DependencyKind::Normal
                || !dependency.name.starts_with("crossburn")
            {
                continue;
            }
            let below = ORDER
                .iter()
                .position(|name| *name == dependency.name)
                .unwrap();
            assert!(
                below < level,
                "{} must not depend on {}",
                package.name,
                dependency.name
            );
        }
    }
}

#[test]
fn library_crates_neither_print_nor_read_the_environment() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for folder in [
        "kernels",
        "noise",
        "hardware",
        "models",
        "checkpoints",
        "training",
    ] {
        for file in rust_files(&root.join(folder).join("src")) {
            // Unit tests stand in files of their own or at the end of a file, and may say why they skip.
            let inside = file.strip_prefix(root).unwrap();
            if inside.components().any(|part| part.as_os_str() == "tests")
                || inside.ends_with("tests.rs")
            {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            let library = text.split("#[cfg(test)]").next().unwrap();
            for (number, line) in library.lines().enumerate() {
                if line.trim_start().starts_with("//") {
                    continue;
                }
                for word in FORBIDDEN {
                    assert!(
                        !line.contains(word),
                        "{}:{} uses {word}",
                        file.display(),
                        number + 1
                    );
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 20, "only {seen} files were read");
}

/// What a job of a verb leaves to the command line.
const OF_THE_COMMAND_LINE: [&str; 4] = ["crate::cli", "clap::", "indicatif::", "println!"];

#[test]
fn jobs_know_no_command_line() {
    let apps = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/apps");
    let files = rust_files(&apps);
    assert!(files.len() > 20, "only {} files were read", files.len());
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        for word in OF_THE_COMMAND_LINE {
            assert!(!text.contains(word), "{} uses {word}", file.display());
        }
    }
}

/// The values of `const NAME` in a file.
fn names_in(text: &str) -> impl Iterator<Item = &str> {
    let names = text.split("const NAME: &'static str = \"").skip(1);
    names.filter_map(|rest| rest.split('"').next())
}

#[test]
fn the_verb_of_papers_names_none() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let texts = rust_files(&src.join("apps/reproduce"));
    let texts: Vec<String> = texts
        .iter()
        .map(|file| std::fs::read_to_string(file).unwrap())
        .collect();
    let names: Vec<&str> = texts.iter().flat_map(|text| names_in(text)).collect();
    assert!(names.len() >= 10 && names.contains(&"kpp"), "{names:?}");
    let verb = std::fs::read_to_string(src.join("cli/reproduce.rs")).unwrap();
    // The help shows an example.
    let code = verb.lines().filter(|line| !line.contains("/// Example:"));
    for line in code {
        let mut words = line.split(|of: char| !of.is_alphanumeric() && of != '-');
        let named = words.find(|word| names.contains(word));
        assert_eq!(named, None, "src/cli/reproduce.rs: {line}");
    }
}

/// Words that belong to one task, by which nothing is named that serves all of them.
const OF_ONE_TASK: [&str; 7] = [
    "image",
    "accurac",
    "classes",
    "classif",
    "cross_entropy",
    "crossentropy",
    "logit",
];

/// What may say so: the files of a task and of data, what reads documents of the last version, what draws
/// with an element of SVG that is called so, and the experiments of papers.
const MAY_SAY: [&str; 17] = [
    "training/src/task/classification",
    "training/src/task/anomaly",
    "training/src/task/arrhythmia",
    "training/src/task/language_modelling",
    "training/src/task/lesion",
    "training/src/task/verification",
    "training/src/data",
    "src/report/last_version.rs",
    "src/report/draw/pictures.rs",
    "src/cli/bench.rs",
    "src/cli/ecg",
    "src/apps/ecg",
    "src/cli/mri",
    "src/apps/mri",
    "src/cli/face.rs",
    "src/apps/face",
    "src/apps/reproduce",
];

/// Lines that may: the registry of tasks, what a crate gives to the outside, names of random streams, which are what they are
/// called for good, and an option that once was called so.
fn may_say(file: &Path, line: &str) -> bool {
    let registry = file.ends_with("training/src/task/registry.rs");
    let outside = file.ends_with("lib.rs") || file.ends_with("task/mod.rs");
    registry
        || outside && (line.contains("pub use") || line.contains("mod ") || line.ends_with(','))
        || line.contains("path_hash(\"")
        || line.contains("alias = \"images\"")
}

#[test]
fn what_serves_every_task_is_named_after_none() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut seen = 0;
    for folder in ["noise/src", "training/src", "src"] {
        for file in rust_files(&root.join(folder)) {
            let within = file.strip_prefix(root).unwrap();
            let tests = ["tests.rs", "testing.rs", "example.rs"];
            let test = tests.iter().any(|name| within.ends_with(name));
            if test || MAY_SAY.iter().any(|allowed| within.starts_with(allowed)) {
                continue;
            }
            let text = std::fs::read_to_string(&file).unwrap();
            // Unit tests may be about anything.
            let shared = text.split("#[cfg(test)]").next().unwrap();
            for (number, line) in shared.lines().enumerate() {
                // Words for people may give examples; names may not.
                if line.trim_start().starts_with("//") || may_say(within, line) {
                    continue;
                }
                let lower = line.to_lowercase();
                for word in OF_ONE_TASK {
                    assert!(
                        !lower.contains(word),
                        "{}:{} says {word}: {line}",
                        within.display(),
                        number + 1
                    );
                }
            }
            seen += 1;
        }
    }
    assert!(seen > 100, "only {seen} files were read");
}

#[test]
fn the_code_of_the_readme_is_an_example() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |name: &str| std::fs::read_to_string(root.join(name)).unwrap();
    let (readme, example) = (read("README.md"), read("examples/07_your_own_network.rs"));
    let shown = readme.split("```rust\n").nth(1).unwrap();
    let shown = shown.split("```").next().unwrap();
    assert!(example.ends_with(shown), "README and example differ");
    assert!(shown.lines().count() < 80, "{}", shown.lines().count());
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            files.push(path);
        }
    }
    files
}
