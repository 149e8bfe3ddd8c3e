//! Records the commit that the binary is built from, where the package is the top of a git repository of its own: a source
//! package that is unpacked inside another repository has no part in the commits of that one. `+modified` follows the commit where
//! the sources are no longer those of the commit.

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
    // A change of a source compiles the package again in any case. Documents and tests are not watched.
    let sources = git(&[&["ls-files", "-z", "--"][..], &SOURCES].concat()).unwrap_or_default();
    let sources = sources.split('\0').filter(|path| Path::new(path).exists());
    for path in sources {
        println!("cargo::rerun-if-changed={path}");
    }
    if let Some(commit) = git(&["rev-parse", "--short=12", "HEAD"]) {
        // Without its optional locks git leaves the index as it is, which may be what is watched.
        let status = [
            "--no-optional-locks",
            "status",
            "--porcelain",
            "--untracked-files=no",
            "--",
        ];
        let modified =
            git(&[&status[..], &SOURCES].concat()).is_some_and(|files| !files.is_empty());
        let mark = match modified {
            true => "+modified",
            false => "",
        };
        println!("cargo::rustc-env=CROSSBURN_COMMIT={commit}{mark}");
    }
}

/// What the binary is compiled from, as patterns of git: every file of a `src` but its unit tests, and of the other folders that sources
/// include.
const SOURCES: [&str; 12] = [
    "build.rs",
    "rust-toolchain.toml",
    "Cargo.lock",
    "Cargo.toml",
    "*/Cargo.toml",
    "src",
    "*/src/*",
    "configs",
    "checkpoints/models",
    ":(exclude)configs/recipes",
    ":(exclude)*/tests.rs",
    ":(exclude)*/tests/*",
];

/// What git answers, without the line break; nothing where it fails or is not there.
fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim_end().to_string())
}
