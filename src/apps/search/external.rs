//! A program that replies: it gets the prompt on stdin, and writes the reply to stdout.

use std::io::{Read, Write};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crossburn_training::search::{MOST_REPLY, Message, Speaker, SpeakerProblem};

/// Time between two checks whether a program has ended.
const LOOK: Duration = Duration::from_millis(10);

/// A command line that the shell runs for every prompt.
pub(crate) struct External {
    command: String,
    patience: Duration,
    stop: Arc<AtomicBool>,
}

impl External {
    /// A speaker that runs `command`. The command is ended if it takes longer than `patience`, or when `stop` is set.
    pub(crate) fn new(command: &str, patience: Duration, stop: &Arc<AtomicBool>) -> Self {
        Self {
            command: command.to_string(),
            patience,
            stop: Arc::clone(stop),
        }
    }

    fn problem(&self, problem: String, remedy: &str) -> SpeakerProblem {
        SpeakerProblem {
            speaker: format!("--command `{}`", self.command),
            problem,
            remedy: remedy.to_string(),
        }
    }

    fn start(&self) -> Result<Child, SpeakerProblem> {
        let mut command = match cfg!(windows) {
            true => Command::new("cmd"),
            false => Command::new("sh"),
        };
        let child = command
            .arg(if cfg!(windows) { "/C" } else { "-c" })
            .arg(&self.command)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .spawn();
        child.map_err(|error| self.problem(format!("cannot be started ({error})"), "check it"))
    }
}

impl Speaker for External {
    fn reply(&mut self, messages: &[Message]) -> Result<Option<String>, SpeakerProblem> {
        let contents: Vec<&str> = messages
            .iter()
            .map(|message| message.content.as_str())
            .collect();
        let prompt = contents.join("\n\n") + "\n";
        let mut child = self.start()?;
        let (input, output) = (child.stdin.take(), child.stdout.take());
        // A program may end without reading its whole prompt.
        std::thread::spawn(move || input.map(|mut input| input.write_all(prompt.as_bytes())));
        let reading = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            if let Some(output) = output {
                // Reads one byte more than a reply may have, so that a longer reply is refused rather than cut. The rest is read and dropped, so that the program can finish
                // writing.
                let mut beginning = output.take(MOST_REPLY as u64 + 1);
                beginning.read_to_end(&mut bytes)?;
                std::io::copy(&mut beginning.into_inner(), &mut std::io::sink())?;
            }
            Ok::<_, std::io::Error>(bytes)
        });
        let start = Instant::now();
        let status = loop {
            match child.try_wait() {
                // A process that the program has started may still hold its output open.
                Ok(Some(status)) if reading.is_finished() => break status,
                Ok(_) if start.elapsed() > self.patience => {
                    let _ = child.kill();
                    let _ = child.wait();
                    let seconds = self.patience.as_secs();
                    return Err(self.problem(
                        format!("did not end within {seconds} s"),
                        "give it more time with --timeout",
                    ));
                }
                Ok(_) if self.stop.load(Ordering::Relaxed) => {
                    let _ = child.kill();
                    let _ = child.wait();
                    return Ok(None);
                }
                Ok(_) => std::thread::sleep(LOOK),
                Err(error) => return Err(self.problem(format!("is lost ({error})"), "check it")),
            }
        };
        let bytes = match reading.join() {
            Ok(bytes) => bytes,
            Err(_) => Err(std::io::Error::other("its reader ended")),
        };
        let bytes =
            bytes.map_err(|error| self.problem(format!("cannot be read ({error})"), "check it"))?;
        if !status.success() {
            return Err(self.problem(format!("ended with {status}"), "let it end with status 0"));
        }
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}

#[cfg(all(test, unix))]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_training::search::Role;

    use super::*;

    fn reply(command: &str, patience: Duration) -> Result<Option<String>, SpeakerProblem> {
        let message = |role, content: &str| Message {
            role,
            content: content.to_string(),
        };
        let messages = [message(Role::System, "who"), message(Role::User, "what")];
        let stop = Arc::new(AtomicBool::new(false));
        External::new(command, patience, &stop).reply(&messages)
    }

    #[test]
    fn a_program_reads_the_prompt_and_its_output_is_the_reply() {
        let patience = Duration::from_secs(60);
        assert_eq!(reply("cat", patience).unwrap().unwrap(), "who\n\nwhat\n");
        assert_eq!(reply("echo {}", patience).unwrap().unwrap(), "{}\n");
        // More than is read, from a program that never reads.
        let long = reply("head -c 1000000 /dev/zero", patience);
        assert_eq!(long.unwrap().unwrap().len(), MOST_REPLY + 1);
    }

    #[test]
    fn programs_that_fail_are_named() {
        let patience = Duration::from_secs(60);
        let failed = reply("exit 3", patience).unwrap_err();
        assert!(failed.problem.contains("status: 3"), "{failed:?}");
        assert!(failed.speaker.contains("exit 3"), "{failed:?}");
        let slow = reply("sleep 60", Duration::from_millis(50)).unwrap_err();
        assert!(slow.problem.contains("did not end within"), "{slow:?}");
        // The shell ends at once, but the process that it started holds the output open.
        let held = reply("sleep 5 2>/dev/null & echo {}", Duration::from_millis(300)).unwrap_err();
        assert!(held.problem.contains("did not end within"), "{held:?}");
        let none = reply("no-such-program-here 2>/dev/null", patience).unwrap_err();
        assert!(none.problem.contains("status: 127"), "{none:?}");
    }
}
