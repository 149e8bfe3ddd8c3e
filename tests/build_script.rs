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
    // A worktree is a top of its own.
    git(&["worktree", "add", "-q", "../tree"]).unwrap();
    let tree = recorded(&folder.join("tree"));
    assert!(
        tree.contains("CROSSBURN_COMMIT=") && tree.contains("rerun-if-changed="),
        "{tree}"
    );
}
