//! Running `crossburn` in a folder, for the tests that meet it as a user does.
#![allow(dead_code, reason = "every test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::Path;
use std::process::Output;

use assert_cmd::Command;
use serde_json::Value;

pub(crate) fn crossburn(folder: &Path) -> Command {
    let mut command = Command::cargo_bin("crossburn").unwrap();
    command.current_dir(folder);
    command
}

pub(crate) fn run(folder: &Path, arguments: &str) -> Output {
    crossburn(folder)
        .args(arguments.split_whitespace())
        .output()
        .unwrap()
}

/// Runs a command that must succeed.
pub(crate) fn good(folder: &Path, arguments: &str) -> Output {
    let output = run(folder, arguments);
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments}: {text}");
    output
}

/// Runs a command that must fail, with one line on stderr, and gives that line.
pub(crate) fn bad(folder: &Path, arguments: &str) -> String {
    let output = run(folder, arguments);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{arguments}: {text}");
    assert!(
        text.starts_with("error: ") && text.trim_end().lines().count() == 1,
        "{arguments}: {text}"
    );
    assert!(output.stdout.is_empty(), "{arguments}");
    text
}

/// Writes the recipe of a perceptron of 16 units on digits, which learns within a second.
pub(crate) fn perceptron(folder: &Path, name: &str) {
    let text = "seed = 3
        model = { kind = \"mlp\", widths = [784, 16, 10] }
        data = { source = \"digits\", train = 400, validation = 100, test = 200 }
        training = { epochs = 10, batch = 50 }";
    std::fs::write(folder.join(name), text).unwrap();
}

/// Sends the signal of Ctrl-C and waits for the end.
#[cfg(unix)]
pub(crate) fn interrupt(child: std::process::Child) -> Output {
    let signal = std::process::Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status()
        .unwrap();
    assert!(signal.success());
    child.wait_with_output().unwrap()
}

/// Writes an array of elements of the type `kind`, such as `<f4`, as `numpy.save` does.
pub(crate) fn write_npy(path: &Path, kind: &str, shape: &[usize], elements: &[u8]) {
    let shape: Vec<String> = shape.iter().map(|axis| format!("{axis},")).collect();
    let header = format!(
        "{{'descr': '{kind}', 'fortran_order': False, 'shape': ({}), }}",
        shape.concat()
    );
    let header = format!("{header:<117}\n");
    let start = [b"\x93NUMPY\x01\0\x76\0", header.as_bytes()].concat();
    std::fs::write(path, [start, elements.to_vec()].concat()).unwrap();
}

/// The document that a command printed.
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap()
}

/// The document of a run without its timing.
pub(crate) fn results(path: &Path) -> Value {
    let text = std::fs::read_to_string(path.join("results.json")).unwrap();
    let mut document: Value = serde_json::from_str(&text).unwrap();
    document["timing"].take();
    document
}

/// Writes the recipe of a small LeNet on digits.
pub(crate) fn recipe(folder: &Path, name: &str, epochs: usize, noise: &str) {
    let text = format!(
        "seed = 3\n[model]\nkind = \"lenet\"\nbits = 4\n[data]\nsource = \"digits\"\ntrain = 300\nvalidation = 100\ntest = 100\n\
         [training]\nepochs = {epochs}\nbatch = 32\n[noise]\n{noise}\n"
    );
    std::fs::write(folder.join(name), text).unwrap();
}

pub(crate) const GAUSSIAN: &str = "kind = \"gaussian\"\nsigma_rel_wmax = 0.1";
