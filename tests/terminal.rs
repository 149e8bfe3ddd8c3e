//! Ctrl-C and the keys of the dashboard, in a terminal of a kind: the pseudo-terminal of Python.
#![cfg(unix)]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod command;

use std::process::Command;

use command::{GAUSSIAN, recipe};

/// Runs a command line in a pseudo-terminal, types keys once a file is there, and prints the exit status, whether the
/// terminal is as it was before, and what the screen got after the dashboard.
const PYTHON: &str = r#"
import os, pty, select, sys, termios, time
keys, wanted, command = sys.argv[1], sys.argv[2], sys.argv[3:]
master, slave = pty.openpty()
import fcntl, struct
fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 30, 100, 0, 0))
before = termios.tcgetattr(slave)
child = os.fork()
if child == 0:
    os.setsid()
    fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
    for fd in range(3):
        os.dup2(slave, fd)
    os.environ["TERM"] = "xterm"
    os.execv(command[0], command)
screen, typed, next_key, deadline, status = b"", 0, 0.0, time.time() + 120, None
while True:
    if select.select([master], [], [], 0.02)[0]:
        screen += os.read(master, 65536)
        continue
    if status is not None:
        break
    done, code = os.waitpid(child, os.WNOHANG)
    if done:
        status = os.waitstatus_to_exitcode(code)
    elif time.time() > deadline:
        os.kill(child, 9)
    elif typed < len(keys) and os.path.exists(wanted) and time.time() > next_key:
        os.write(master, keys[typed].encode())
        # The dashboard looks at its keys ten times a second.
        typed, next_key = typed + 1, time.time() + 0.4
print(status)
print("restored" if termios.tcgetattr(slave) == before else "raw")
print("dashboard" if b"\x1b[?1049h" in screen else "lines")
print(screen.split(b"\x1b[?1049l")[-1].decode(errors="replace"))
"#;

#[test]
fn every_way_to_end_a_training_keeps_epochs_and_gives_the_terminal_back() {
    let available = Command::new("python3").args(["-c", "import pty"]).output();
    if !available.is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: python3 with its module pty is not there");
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    recipe(folder, "long.toml", 400, GAUSSIAN);
    // Without a dashboard there are lines, and with --quiet there is nothing.
    for (option, shows) in [("--no-tui", true), ("--quiet", false)] {
        let run = format!("run{option}");
        let output = Command::new("python3")
            .args(["-c", PYTHON, "\x03", &format!("{run}/resume/resume.json")])
            .arg(assert_cmd::cargo::cargo_bin("crossburn"))
            .args(["train", "long.toml", option, "--out", &run])
            .current_dir(folder)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        assert!(
            lines.starts_with(&["130", "restored", "lines"]),
            "{option}: {text}"
        );
        for part in ["lenet: epoch 1/400, loss", "of 400 epochs are kept"] {
            assert_eq!(text.contains(part), shows, "{option}: {text}");
        }
        let screen = lines[3..].join("");
        assert!(shows || screen.replace("^C", "").is_empty(), "{screen}");
    }
    // Ctrl-C; Ctrl-C in the popup, where `c` means cancel; both ends that the popup offers; Ctrl-Z is no end.
    for (index, keys) in ["\x03", "q\x03", "qs", "qk", "\x1a\x03"].iter().enumerate() {
        let run = format!("run{index}");
        let output = Command::new("python3")
            .args(["-c", PYTHON, keys, &format!("{run}/resume/resume.json")])
            .arg(assert_cmd::cargo::cargo_bin("crossburn"))
            .args(["train", "long.toml", "--out", &run])
            .current_dir(folder)
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
        let expected = ["130", "restored", "dashboard"];
        assert!(
            lines.starts_with(&expected) && text.contains("of 400 epochs are kept"),
            "{keys:?}: {text} {}",
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(!folder.join(&run).join("checkpoint").exists());
    }
}
