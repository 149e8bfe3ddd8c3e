//! Conversations on disk. Every prompt and reply is kept; an interrupted search continues with them, and another search can replay them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use crossburn_checkpoints::write_bytes;
use crossburn_training::search::{Exchange, Message, Speaker, SpeakerProblem};

/// Most bytes of a transcript that are read.
const MOST_BYTES: u64 = 1 << 30;

/// The exchanges of a transcript, one line of JSON each. A last line without an end was left by an interrupted run, and is ignored.
///
/// # Errors
/// If the file cannot be read, or a line is no exchange.
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

/// A speaker whose exchanges are kept in a file. It first repeats the replies of an earlier run.
///
/// As long as prompts equal those of the earlier run, its replies are repeated. From the first different prompt on, the speaker itself is asked.
pub(crate) struct Kept {
    speaker: Box<dyn Speaker>,
    path: PathBuf,
    /// The open file, from the first new exchange on.
    file: Option<File>,
    earlier: VecDeque<Exchange>,
    /// The exchanges of `earlier` that were repeated.
    repeated: Vec<Exchange>,
    /// Whether the last reply was repeated.
    repeats: bool,
}

impl Kept {
    /// `speaker`, with its exchanges kept in the file at `path`. `earlier` are the exchanges of an earlier run.
    ///
    /// # Errors
    /// A file that cannot be written.
    pub(crate) fn new(
        speaker: Box<dyn Speaker>,
        path: &Path,
        earlier: Vec<Exchange>,
    ) -> Result<Self> {
        if earlier.is_empty() {
            write_bytes(path, &[])?;
        }
        Ok(Self {
            speaker,
            path: path.to_path_buf(),
            file: None,
            earlier: earlier.into(),
            repeated: Vec::new(),
            repeats: false,
        })
    }

    /// Adds an exchange to the file. Before the first new exchange, those of the earlier run that were not repeated are removed. Until then, an interruption loses
    /// none of them.
    fn append(&mut self, exchange: &Exchange) -> Result<()> {
        if self.file.is_none() {
            let mut lines = String::new();
            for exchange in &self.repeated {
                lines.push_str(&serde_json::to_string(exchange)?);
                lines.push('\n');
            }
            write_bytes(&self.path, lines.as_bytes())?;
            let mut options = fs_err::OpenOptions::new();
            let (file, _) = options.append(true).open(&self.path)?.into_parts();
            self.file = Some(file);
        }
        let line = serde_json::to_string(exchange)?;
        if let Some(file) = &mut self.file {
            writeln!(file, "{line}")?;
        }
        Ok(())
    }
}

impl Speaker for Kept {
    fn reply(&mut self, messages: &[Message]) -> Result<Option<String>, SpeakerProblem> {
        match self.earlier.pop_front() {
            Some(exchange) if exchange.messages == messages => {
                let reply = exchange.reply.clone();
                self.repeated.push(exchange);
                self.repeats = true;
                Ok(Some(reply))
            }
            _ => {
                self.earlier.clear();
                self.repeats = false;
                self.speaker.reply(messages)
            }
        }
    }

    fn kept(&mut self, exchange: &Exchange) -> Result<(), SpeakerProblem> {
        if self.repeats {
            return Ok(());
        }
        self.append(exchange).map_err(|error| SpeakerProblem {
            speaker: self.path.display().to_string(),
            problem: format!("cannot be written ({error})"),
            remedy: "choose a run folder with space left".to_string(),
        })
    }
}

/// Gives the replies of a transcript in their order, regardless of the prompts.
pub(crate) struct Replay {
    replies: VecDeque<String>,
}

impl Replay {
    /// The replies of the transcript at `path`.
    ///
    /// # Errors
    /// As [`read_transcript`], and if the transcript has no reply.
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
        let replay = Box::new(Replay::open(&source).unwrap());
        let mut kept = Kept::new(replay, &path, earlier).unwrap();
        std::fs::write(&path, "what the earlier run left\n").unwrap();
        let mut said = |prompt: &str| {
            let reply = kept.reply(&message(prompt)).unwrap()?;
            kept.kept(&exchange(prompt, &reply)).unwrap();
            Some(reply)
        };
        assert_eq!(said("a").as_deref(), Some("old a"));
        let untouched = std::fs::read_to_string(&path).unwrap();
        assert_eq!(untouched, "what the earlier run left\n");
        // After a different prompt everything is new, whatever the earlier run had.
        assert_eq!(said("other").as_deref(), Some("new"));
        assert_eq!(said("c").as_deref(), Some("newer"));
        assert_eq!(said("d"), None);
        // A line without an end is ignored.
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
