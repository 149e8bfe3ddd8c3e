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
            let text = std::fs::read_to_string(&file).unwrap();
            // Unit tests stand at the end of a file and may say why they skip.
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
