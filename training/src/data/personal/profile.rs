//! What a device knows about a person, and what the person will ask.

use std::collections::BTreeSet;

use super::source::{FIRST_PERSON, FIRST_TEST_EXAMPLE};
use super::{Example, ExampleKind, User};
use crate::TrainingError;

/// One person's history of one kind of example, in order of time, and later questions. No question is in the history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// What the person wrote, the oldest first.
    history: Vec<Example>,
    /// The questions that the person asks afterwards.
    questions: Vec<Example>,
}

/// Number of examples that may be drawn for each wanted question.
const DRAWN: u64 = 64;

impl Profile {
    /// Person `number` of `seed`, who is in no [session](super::session): a history of `history` examples of `kind`, and `questions` questions. A
    /// question that is in the history, or was asked before, is drawn again.
    ///
    /// ```
    /// use crossburn_training::data::personal::{ExampleKind, Profile};
    ///
    /// let profile = Profile::draw(1, 7, ExampleKind::Title, [32, 8])?;
    /// assert_eq!((profile.recent(8).len(), profile.questions().len()), (8, 8));
    /// # Ok::<(), crossburn_training::TrainingError>(())
    /// ```
    ///
    /// # Errors
    /// [`TrainingError::Data`] if there are not as many different questions.
    pub fn draw(
        seed: u64,
        number: u64,
        kind: ExampleKind,
        [history, questions]: [usize; 2],
    ) -> Result<Self, TrainingError> {
        let user = User::draw(seed, FIRST_PERSON.wrapping_add(number));
        let history: Vec<Example> = (0..history as u64)
            .map(|example| user.example(kind, example))
            .collect();
        let mut known: BTreeSet<String> = history.iter().map(|e| e.prompt.clone()).collect();
        let all = (0..DRAWN * questions as u64)
            .map(|example| user.example(kind, FIRST_TEST_EXAMPLE + example));
        let others = all.filter(|example| known.insert(example.prompt.clone()));
        let asked: Vec<Example> = others.take(questions).collect();
        match asked.len() == questions {
            true => Ok(Self {
                history,
                questions: asked,
            }),
            false => Err(TrainingError::data(
                format!("person {number}"),
                format!(
                    "there are {} questions of kind {} that a history of {} does not hold, {questions} were asked for",
                    asked.len(),
                    kind.name(),
                    history.len()
                ),
                "ask fewer questions, or shorten the history",
            )),
        }
    }

    /// A person who wrote `history`, the oldest example first, and asks `questions` afterwards. A question that was asked before is left out, and so are
    /// examples of the history with the prompt of a question: they would give the answer away.
    pub fn new(history: Vec<Example>, questions: Vec<Example>) -> Self {
        let mut asked = BTreeSet::new();
        let questions: Vec<Example> = questions
            .into_iter()
            .filter(|example| asked.insert(example.prompt.clone()))
            .collect();
        let others = history.into_iter();
        let history = others.filter(|example| !asked.contains(&example.prompt));
        Self {
            history: history.collect(),
            questions,
        }
    }

    /// The last `count` examples of the history, or all if there are fewer; the oldest comes first.
    pub fn recent(&self, count: usize) -> &[Example] {
        &self.history[self.history.len().saturating_sub(count)..]
    }

    /// The questions after the history.
    pub fn questions(&self) -> &[Example] {
        &self.questions
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn no_question_of_any_person_is_in_a_history() {
        let mut repeats = 0;
        for kind in ExampleKind::ALL {
            for number in 0..50 {
                let profile = Profile::draw(1, number, kind, [512, 16]).unwrap();
                let asked = profile.questions().iter().map(|example| &example.prompt);
                let asked: BTreeSet<&String> = asked.collect();
                assert_eq!(asked.len(), 16, "{kind:?} {number}");
                let of_history = profile.recent(512).iter();
                let found = of_history.filter(|example| asked.contains(&example.prompt));
                assert_eq!(found.count(), 0, "{kind:?} {number}");
                // Without the rule, some questions would be in the history.
                let user = User::draw(1, FIRST_PERSON + number);
                let known: BTreeSet<String> =
                    (0..512).map(|n| user.example(kind, n).prompt).collect();
                let plain = (0..16).map(|n| user.example(kind, FIRST_TEST_EXAMPLE + n).prompt);
                repeats += plain.filter(|prompt| known.contains(prompt)).count();
            }
        }
        assert!(repeats > 0, "the rule was never needed");
    }

    #[test]
    fn what_a_person_asks_is_not_in_the_history_and_asked_once() {
        let example = |prompt: &str, answer: &str| Example {
            kind: ExampleKind::Title,
            prompt: prompt.to_string(),
            completion: format!(" {answer}\n"),
        };
        let history = vec![example("a:", "1"), example("b:", "2"), example("c:", "3")];
        let questions = vec![example("b:", "4"), example("d:", "5"), example("b:", "6")];
        let profile = Profile::new(history, questions);
        assert_eq!(profile.recent(9), [example("a:", "1"), example("c:", "3")]);
        assert_eq!(
            profile.questions(),
            [example("b:", "4"), example("d:", "5")]
        );
    }

    #[test]
    fn shorter_histories_are_the_end_of_longer_ones_and_too_many_questions_are_refused() {
        let profile = Profile::draw(1, 3, ExampleKind::Tag, [32, 4]).unwrap();
        assert_eq!(profile.recent(8), &profile.recent(32)[24..]);
        assert_eq!(profile.recent(99).len(), 32);
        let error = Profile::draw(1, 3, ExampleKind::Tag, [0, 5000]).unwrap_err();
        let message = error.to_string();
        assert!(message.starts_with("person 3: there are "), "{message}");
        assert!(message.contains("ask fewer questions"), "{message}");
    }
}
