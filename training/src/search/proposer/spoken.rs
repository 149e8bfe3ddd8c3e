//! A proposer that is spoken with: prompts go out, replies come back and are read by the one grammar of replies.

use serde::{Deserialize, Serialize};

use super::{Proposal, Proposer};
use crate::TrainingError;
use crate::search::prompt::{Goal, correction, system_prompt, user_prompt};
use crate::search::reply::{MOST_REPLY, read_reply};
use crate::search::{Space, Trial};

/// Who says a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What is said before a conversation.
    System,
    /// Who asks.
    User,
    /// Who replies.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Message {
    /// Who says it.
    pub role: Role,
    /// What is said.
    pub content: String,
}

/// One prompt with its reply.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// The evaluation that it is for, from 1.
    pub evaluation: usize,
    /// All messages that the reply answers.
    pub messages: Vec<Message>,
    /// The reply as it came; its beginning where it is longer than what is read.
    pub reply: String,
    /// What is wrong with the reply; none where it names a design.
    pub problem: Option<String>,
}

/// Why nothing is said any more: what is wrong, and what to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpeakerProblem {
    /// Who should have replied.
    pub speaker: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
}

/// Who replies to prompts: an endpoint, a program, a language model on this machine, or a transcript.
pub trait Speaker {
    /// The reply to `messages`; none where there is nothing more to say.
    ///
    /// # Errors
    /// Why nothing is said any more.
    fn reply(&mut self, messages: &[Message]) -> Result<Option<String>, SpeakerProblem>;

    /// Hears what became of an exchange. Only a speaker that keeps exchanges does something with it.
    ///
    /// # Errors
    /// Why it cannot be kept.
    fn kept(&mut self, _exchange: &Exchange) -> Result<(), SpeakerProblem> {
        Ok(())
    }
}

/// A proposer that is spoken with.
///
/// Every proposal is a conversation of its own, which begins with the whole history. A reply that is no design is answered once with what is
/// wrong with it; after that the proposal is invalid and counts as an evaluation.
pub struct Spoken<S> {
    speaker: S,
    goal: Goal,
}

/// Replies to one prompt before the proposal is invalid.
const ATTEMPTS: usize = 2;
/// Bytes that are kept of a reply that is too long to be read.
const KEPT_OF_LONG: usize = 200;

impl<S: Speaker> Spoken<S> {
    /// A proposer that speaks with `speaker` of `goal`.
    pub fn new(speaker: S, goal: Goal) -> Self {
        Self { speaker, goal }
    }
}

impl<S: Speaker> Proposer for Spoken<S> {
    fn propose(&mut self, space: &Space, history: &[Trial]) -> Result<Proposal, TrainingError> {
        let failed =
            |found: SpeakerProblem| TrainingError::data(found.speaker, found.problem, found.remedy);
        let say = |role, content: String| Message { role, content };
        let mut messages = vec![
            say(Role::System, system_prompt(&self.goal).to_string()),
            say(Role::User, user_prompt(space, &self.goal, history)),
        ];
        let mut last = String::new();
        for _ in 0..ATTEMPTS {
            let Some(reply) = self.speaker.reply(&messages).map_err(failed)? else {
                return Ok(Proposal::End("there are no more replies".to_string()));
            };
            let read = read_reply(space, &reply);
            let reply = beginning(reply);
            let exchange = Exchange {
                evaluation: history.len() + 1,
                messages: messages.clone(),
                reply: reply.clone(),
                problem: read.as_ref().err().cloned(),
            };
            self.speaker.kept(&exchange).map_err(failed)?;
            match read {
                Ok(design) => return Ok(Proposal::Design(design)),
                Err(problem) => {
                    messages.push(say(Role::Assistant, reply));
                    messages.push(say(Role::User, correction(&problem)));
                    last = problem;
                }
            }
        }
        Ok(Proposal::Invalid(last))
    }
}

/// A reply, cut where it is longer than what is read: it is sent back with what is wrong with it.
fn beginning(mut reply: String) -> String {
    if reply.len() > MOST_REPLY {
        let fits = (0..=KEPT_OF_LONG)
            .rev()
            .find(|end| reply.is_char_boundary(*end));
        reply.truncate(fits.unwrap_or(0));
        reply.push_str("...");
    }
    reply
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::search::SpaceConfig;

    struct Script {
        replies: Vec<&'static str>,
        heard: Vec<Exchange>,
    }

    impl Speaker for &mut Script {
        fn reply(&mut self, _: &[Message]) -> Result<Option<String>, SpeakerProblem> {
            match self.replies.is_empty() {
                true => Ok(None),
                false => Ok(Some(self.replies.remove(0).to_string())),
            }
        }

        fn kept(&mut self, exchange: &Exchange) -> Result<(), SpeakerProblem> {
            self.heard.push(exchange.clone());
            Ok(())
        }
    }

    #[test]
    fn an_error_is_told_once_and_counts_the_second_time() {
        let text = "name = \"a\"\nnetwork.x = [1, 2]";
        let space = Space::new(toml::from_str::<SpaceConfig>(text).unwrap()).unwrap();
        let mut script = Script {
            replies: vec!["{\"x\":3}", "Sorry: {\"x\":2}", "what?", "{", "{\"x\":1}"],
            heard: Vec::new(),
        };
        let mut spoken = Spoken::new(&mut script, Goal::hidden());
        let mut propose = || spoken.propose(&space, &[]).unwrap();
        assert_eq!(propose(), Proposal::Design(space.parse("x=2").unwrap()));
        assert_eq!(
            propose(),
            Proposal::Invalid("the JSON object does not end".to_string())
        );
        assert_eq!(propose(), Proposal::Design(space.parse("x=1").unwrap()));
        assert_eq!(
            propose(),
            Proposal::End("there are no more replies".to_string())
        );
        let heard = script.heard;
        assert_eq!(heard.len(), 5);
        let [first, second] = [&heard[0], &heard[1]];
        assert_eq!(
            first.problem.as_deref(),
            Some("axis `x` has no choice 3: it has 1, 2")
        );
        assert_eq!((first.messages.len(), second.messages.len()), (2, 4));
        assert_eq!(second.messages[2].content, "{\"x\":3}");
        assert!(second.messages[3].content.contains("no choice 3"));
        assert_eq!(second.problem, None);
        assert_eq!(beginning("é".repeat(MOST_REPLY)).len(), KEPT_OF_LONG + 3);
        // The next proposal begins anew.
        assert_eq!(heard[2].messages.len(), 2);
    }
}
