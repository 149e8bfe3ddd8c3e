//! Conversations on disk: every prompt with its reply is kept, an interrupted search goes on with them, and another search replays them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use crossburn_training::search::{Exchange, Message, Speaker, SpeakerProblem};

/// The most bytes of a transcript that are read.
const MOST_BYTES: u64 = 1 << 30;

/// The exchanges of a transcript, a line of JSON each. A last line that does not end is what an interrupted run left, and is not read.
///
/// # Errors
/// A file that cannot be read, and a line that is no exchange.
pub(crate) fn read_transcript(path: &Path) -> Result<Vec<Exchange>> {
    let bytes = fs_err::metadata(path)?.len();
    if bytes > MOST_BYTES {
        bail!("{} has {bytes} bytes, above {MOST_BYTES}", path.display());
    }
    let text = fs_err::read_to_string(path)?;
    let whole = text.rfind('\n').map_or("", |end| &text[..=end]);
    let mut exchanges = Vec::new();
    for (number, line) in whole.lines().enumerate() {
        match serde_json::from_str(line) {
            Ok(exchange) => exchanges.push(exchange),
            Err(error) => bail!(
                "{}, line {}: not a prompt with its reply ({error}): give a conversation.jsonl",
                path.display(),
                number + 1
            ),
        }
    }
    Ok(exchanges)
}

/// A speaker whose exchanges are kept in a file, and that first repeats those of an earlier run.
///
/// As long as the prompts are those of the earlier run, its replies are repeated. From the first other prompt on, the speaker itself is asked.
pub(crate) struct Kept<S> {
    speaker: S,
    path: PathBuf,
    file: File,
    earlier: VecDeque<Exchange>,
}

impl<S: Speaker> Kept<S> {
    /// `speaker` with its exchanges in the file at `path`, which begins with `earlier`, those of the earlier run.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn new(speaker: S, path: &Path, earlier: Vec<Exchange>) -> Result<Self> {
        Ok(Self {
            speaker,
            path: path.to_path_buf(),
            file: fs_err::File::create(path)?.into_file(),
            earlier: earlier.into(),
        })
    }
}

impl<S: Speaker> Speaker for Kept<S> {
    fn reply(&mut self, messages: &[Message]) -> Result<Option<String>, SpeakerProblem> {
        match self.earlier.pop_front() {
            Some(exchange) if exchange.messages == messages => Ok(Some(exchange.reply)),
            _ => {
                self.earlier.clear();
                self.speaker.reply(messages)
            }
        }
    }

    fn kept(&mut self, exchange: &Exchange) -> Result<(), SpeakerProblem> {
        let written = serde_json::to_string(exchange)
            .map_err(std::io::Error::from)
            .and_then(|line| writeln!(self.file, "{line}"));
        written.map_err(|error| SpeakerProblem {
            speaker: self.path.display().to_string(),
            problem: format!("cannot be written ({error})"),
            remedy: "choose a run folder with space left".to_string(),
        })?;
        self.speaker.kept(exchange)
    }
}

/// Replies of a transcript, one after the other, whatever is asked.
pub(crate) struct Replay {
    replies: VecDeque<String>,
}

impl Replay {
    /// The replies of the transcript at `path`.
    ///
    /// # Errors
    /// As [`read_transcript`], and a transcript without a reply.
    pub(crate) fn open(path: &Path) -> Result<Self> {
        let exchanges = read_transcript(path)?;
        if exchanges.is_empty() {
            bail!(
                "{} has no reply: give the conversation.jsonl of a search",
                path.display()
            );
        }
        Ok(Self {
            replies: exchanges
                .into_iter()
                .map(|exchange| exchange.reply)
                .collect(),
        })
    }
}

impl Speaker for Replay {
    fn reply(&mut self, _: &[Message]) -> Result<Option<String>, SpeakerProblem> {
        Ok(self.replies.pop_front())
    }

    fn kept(&mut self, _: &Exchange) -> Result<(), SpeakerProblem> {
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crossburn_training::search::Role;

    use super::*;

    fn exchange(prompt: &str, reply: &str) -> Exchange {
        Exchange {
            evaluation: 1,
            messages: message(prompt),
            reply: reply.to_string(),
            problem: None,
        }
    }

    fn message(prompt: &str) -> Vec<Message> {
        vec![Message {
            role: Role::User,
            content: prompt.to_string(),
        }]
    }

    #[test]
    fn an_interrupted_conversation_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("conversation.jsonl");
        let source = folder.path().join("source.jsonl");
        let lines = ["new", "newer"]
            .map(|reply| serde_json::to_string(&exchange("any", reply)).unwrap() + "\n");
        std::fs::write(&source, lines.concat()).unwrap();
        let earlier = vec![
            exchange("a", "old a"),
            exchange("b", "old b"),
            exchange("c", "old c"),
        ];
        let mut kept = Kept::new(Replay::open(&source).unwrap(), &path, earlier).unwrap();
        let mut said = |prompt: &str| {
            let reply = kept.reply(&message(prompt)).unwrap()?;
            kept.kept(&exchange(prompt, &reply)).unwrap();
            Some(reply)
        };
        assert_eq!(said("a").as_deref(), Some("old a"));
        // Another prompt than before: what follows is new, whatever the earlier run had.
        assert_eq!(said("other").as_deref(), Some("new"));
        assert_eq!(said("c").as_deref(), Some("newer"));
        assert_eq!(said("d"), None);
        // A line that was cut off is not read.
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, format!("{text}{{\"evaluation\"")).unwrap();
        let replies: Vec<String> = read_transcript(&path)
            .unwrap()
            .into_iter()
            .map(|exchange| exchange.reply)
            .collect();
        assert_eq!(replies, ["old a", "new", "newer"]);
        std::fs::write(&path, "{}\n").unwrap();
        let message = read_transcript(&path).unwrap_err().to_string();
        assert!(
            message.contains("line 1: not a prompt with its reply"),
            "{message}"
        );
        std::fs::write(&path, "").unwrap();
        assert!(Replay::open(&path).is_err());
    }
}
