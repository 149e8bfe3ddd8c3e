//! Records the commit that the binary is built from, where the package is the top of a git repository of its own: a source
//! package that is unpacked inside another repository has no part in the commits of that one.

use std::path::Path;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    // Cargo runs build scripts in the folder of the package.
    let top = git(&["rev-parse", "--show-toplevel"]);
    let is_here =
        |top: &String| match (Path::new(top).canonicalize(), Path::new(".").canonicalize()) {
            (Ok(top), Ok(here)) => top == here,
            _ => false,
        };
    if !top.as_ref().is_some_and(is_here) {
        return;
    }
    // Every commit and checkout adds to the log of HEAD, where git keeps one; the index also changes when nothing has
    // happened. In a worktree neither is in .git.
    let watched = ["logs/HEAD", "index"].map(|file| git(&["rev-parse", "--git-path", file]));
    let watched = watched.into_iter().flatten();
    if let Some(path) = watched.into_iter().find(|path| Path::new(path).exists()) {
        println!("cargo::rerun-if-changed={path}");
    }
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        println!("cargo::rustc-env=CROSSBURN_COMMIT={commit}");
    }
}

/// What git answers, without the line break; nothing where it fails or is not there.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_string())
}
