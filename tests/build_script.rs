//! The build script, compiled and run as Cargo does it, in folders of its own.
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

use std::path::Path;
use std::process::Command;

fn run(program: impl AsRef<std::ffi::OsStr>, arguments: &[&str], folder: &Path) -> Option<String> {
    let output = Command::new(program)
        .args(arguments)
        .current_dir(folder)
        .output()
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    output.status.success().then_some(text)
}

#[test]
fn the_commit_is_recorded_for_the_top_of_a_repository_alone() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/build.rs");
    let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
    let compile = ["--edition", "2024", "-o", "script", script];
    let Some(_) = run(rustc, &compile, folder) else {
        eprintln!("skipped: rustc is not there");
        return;
    };
    let repository = folder.join("repository");
    std::fs::create_dir_all(repository.join("unpacked")).unwrap();
    let git = |arguments: &[&str]| {
        let who = ["-c", "user.name=a", "-c", "user.email=a@b"];
        run("git", &[&who[..], arguments].concat(), &repository)
    };
    let Some(_) = git(&["init", "-q"]) else {
        eprintln!("skipped: git is not there");
        return;
    };
    git(&["commit", "-q", "--allow-empty", "-m", "one"]).unwrap();
    let commit = git(&["rev-parse", "HEAD"]).unwrap();
    let script = folder.join("script");
    let recorded = |folder: &Path| run(&script, &[], folder).unwrap();
    let here = recorded(&repository);
    assert!(
        here.contains(&format!("CROSSBURN_COMMIT={}\n", &commit[..12])),
        "{here}"
    );
    let inside = recorded(&repository.join("unpacked"));
    assert!(!inside.contains("CROSSBURN_COMMIT"), "{inside}");
    let outside = recorded(folder);
    assert!(!outside.contains("CROSSBURN_COMMIT"), "{outside}");
    // A file that is no source neither marks the commit nor is watched; a source does both.
    let label = |folder: &Path| {
        let printed = recorded(folder);
        let labels = printed
            .lines()
            .filter_map(|line| line.split_once("CROSSBURN_COMMIT="));
        labels.map(|(_, label)| label.to_string()).next().unwrap()
    };
    let write = |path: &str, text: &str| {
        let path = repository.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    for path in [
        "README.md",
        "src/lib.rs",
        "part/src/deep/lib.rs",
        "part/src/deep/tests.rs",
        "part/src/deep/tests/one.rs",
        "part/Cargo.toml",
        "configs/a.toml",
        "configs/recipes/a.toml",
    ] {
        write(path, "one\n");
    }
    git(&["add", "."]).unwrap();
    git(&["commit", "-q", "-m", "two"]).unwrap();
    let commit = git(&["rev-parse", "HEAD"]).unwrap()[..12].to_string();
    let marked = format!("{commit}+modified");
    let watched = recorded(&repository);
    for (path, is_source) in [
        ("README.md", false),
        ("src/lib.rs", true),
        ("part/src/deep/lib.rs", true),
        ("part/src/deep/tests.rs", false),
        ("part/src/deep/tests/one.rs", false),
        ("part/Cargo.toml", true),
        ("configs/a.toml", true),
        ("configs/recipes/a.toml", false),
    ] {
        let line = format!("rerun-if-changed={path}\n");
        assert_eq!(watched.contains(&line), is_source, "{path}: {watched}");
        assert_eq!(label(&repository), commit);
        write(path, "two\n");
        let expected = if is_source { &marked } else { &commit };
        assert_eq!(label(&repository), *expected, "{path}");
        write(path, "one\n");
        assert_eq!(label(&repository), commit, "{path} as it was");
    }
    // A file that git does not know is no source yet. What is staged is not committed yet.
    write("src/new.rs", "one\n");
    assert_eq!(label(&repository), commit);
    git(&["add", "src/new.rs"]).unwrap();
    assert_eq!(label(&repository), marked);
    std::fs::remove_file(repository.join("configs/a.toml")).unwrap();
    let index = || std::fs::read(repository.join(".git/index")).unwrap();
    let before = index();
    assert_eq!(label(&repository), marked);
    assert!(!recorded(&repository).contains("rerun-if-changed=configs/a.toml"));
    assert_eq!(index(), before, "git is only asked");
    git(&["commit", "-q", "-a", "-m", "three"]).unwrap();
    let commit = git(&["rev-parse", "HEAD"]).unwrap()[..12].to_string();
    assert_eq!(label(&repository), commit);
    git(&["clone", "-q", ".", "../clone"]).unwrap();
    assert_eq!(label(&folder.join("clone")), commit);
    // A worktree is a top of its own.
    git(&["worktree", "add", "-q", "../tree"]).unwrap();
    let tree = recorded(&folder.join("tree"));
    assert!(
        tree.contains("CROSSBURN_COMMIT=") && tree.contains("rerun-if-changed="),
        "{tree}"
    );
}
