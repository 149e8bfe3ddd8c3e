//! What a person writes: questions that anyone may ask, and the person's own answers.

use crossburn_noise::{Philox, path_hash};

use super::User;
use super::words::{
    ASIDES, CIRCUMSTANCES, EVENTS, OPINIONS, PRODUCTS, SIDES, STUDIES, SUBJECTS, TIMES, TOPICS,
};
use crate::draws::Draws;

/// Number of examples in a session.
const EXAMPLES: u64 = 8;

/// The kind of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExampleKind {
    /// Which of two papers the user cites, as in LaMP-1.
    Citation,
    /// Which of fifteen tags the user gives to a film, as in LaMP-2.
    Tag,
    /// How many of five stars the user gives, as in LaMP-3.
    Stars,
    /// The title that the user gives to a paper, as in LaMP-5.
    Title,
    /// The user's wording of a sentence, as in LaMP-7.
    Tweet,
}

impl ExampleKind {
    /// Every kind.
    pub const ALL: [Self; 5] = [
        Self::Citation,
        Self::Tag,
        Self::Stars,
        Self::Title,
        Self::Tweet,
    ];

    /// Its name in a data source.
    pub fn name(self) -> &'static str {
        match self {
            Self::Citation => "citation",
            Self::Tag => "tag",
            Self::Stars => "stars",
            Self::Title => "title",
            Self::Tweet => "tweet",
        }
    }
}

/// A question and the user's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    /// The kind of the question.
    pub kind: ExampleKind,
    /// The question. It ends with a colon.
    pub prompt: String,
    /// The answer. It begins with a space and ends with a line break.
    pub completion: String,
}

impl Example {
    fn new(kind: ExampleKind, prompt: String, answer: &str) -> Self {
        Self {
            kind,
            prompt,
            completion: format!(" {answer}\n"),
        }
    }

    /// The question, followed by the answer.
    pub fn text(&self) -> String {
        format!("{}{}", self.prompt, self.completion)
    }
}

impl User {
    /// Example `number` of kind `kind` of this user.
    ///
    /// ```
    /// use crossburn_training::data::personal::{ExampleKind, User};
    ///
    /// let example = User::draw(1, 7).example(ExampleKind::Stars, 0);
    /// assert!(example.prompt.starts_with("review: the ") && example.prompt.ends_with("\nstars:"));
    /// assert!([" 1\n", " 2\n", " 3\n", " 4\n", " 5\n"].contains(&example.completion.as_str()));
    /// ```
    pub fn example(&self, kind: ExampleKind, number: u64) -> Example {
        let purpose = path_hash("examples of users") ^ self.seed.rotate_left(17) ^ kind as u64;
        let mut draws = Draws::from(Philox::new(purpose ^ (self.number << 8), number));
        match kind {
            ExampleKind::Citation => self.citation(&mut draws),
            ExampleKind::Tag => self.tag(&mut draws),
            ExampleKind::Stars => self.stars(&mut draws),
            ExampleKind::Title => self.title(&mut draws),
            ExampleKind::Tweet => self.tweet(&mut draws),
        }
    }

    fn citation(&self, draws: &mut Draws) -> Example {
        let liked = draws.one_of(&self.topics);
        let others: Vec<usize> = (0..TOPICS.len())
            .filter(|topic| !self.topics.contains(topic))
            .collect();
        let mut papers = [liked, draws.one_of(&others)];
        let first = draws.below(2);
        papers.rotate_right(first);
        let [a, b] = papers.map(|topic| {
            let thing = draws.one_of(&TOPICS[topic].1);
            format!("{thing} {}", draws.one_of(&CIRCUMSTANCES))
        });
        let prompt = format!("1 {a}\n2 {b}\ncites:");
        Example::new(
            ExampleKind::Citation,
            prompt,
            if first == 0 { "1" } else { "2" },
        )
    }

    fn tag(&self, draws: &mut Draws) -> Example {
        let said = SIDES.map(|(_, tags)| {
            let (tag, cues) = draws.one_of(&tags);
            (tag, draws.one_of(&cues))
        });
        let [plot, place, mood] = said.map(|(_, cue)| cue);
        let prompt = format!("film: {plot} {place}. {mood}\ntag:");
        Example::new(ExampleKind::Tag, prompt, said[self.side].0)
    }

    fn stars(&self, draws: &mut Draws) -> Example {
        let opinion = draws.below(OPINIONS.len());
        let (product, words) = (draws.one_of(&PRODUCTS), draws.one_of(&OPINIONS[opinion]));
        let aside = draws.one_of(&ASIDES);
        let prompt = format!("review: the {product} {words}, {aside}\nstars:");
        let stars = (opinion as i8 + 1 + self.leniency).clamp(1, 5);
        Example::new(ExampleKind::Stars, prompt, &stars.to_string())
    }

    fn title(&self, draws: &mut Draws) -> Example {
        let things = draws.one_of(&TOPICS).1;
        let (study, thing) = (draws.one_of(&STUDIES), draws.one_of(&things));
        let circumstance = draws.one_of(&CIRCUMSTANCES);
        let prompt = format!("abstract: we {study} {thing} {circumstance}\ntitle:");
        let title = self.title.of(thing, circumstance);
        Example::new(ExampleKind::Title, prompt, &title)
    }

    fn tweet(&self, draws: &mut Draws) -> Example {
        let (subject, event) = (draws.one_of(&SUBJECTS), draws.one_of(&EVENTS));
        let sentence = format!("{subject} {event} {}", draws.one_of(&TIMES));
        let prompt = format!("note: {sentence}\ntweet:");
        Example::new(ExampleKind::Tweet, prompt, &self.voice.says(&sentence))
    }
}

/// Session `number` of the corpus `seed`: the first eight examples of the user with that number. Either all are of one kind, or each is of
/// a kind of its own. In one session of three, the user's [card](User::card) comes first.
///
/// ```
/// let text = crossburn_training::data::personal::session(1, 0);
/// // Every question ends with a colon.
/// assert!(text.matches(':').count() >= 8, "{text}");
/// ```
pub fn session(seed: u64, number: u64) -> String {
    let user = User::draw(seed, number);
    let draws = Philox::new(seed ^ path_hash("sessions of users"), number);
    let kinds = ExampleKind::ALL.len() as u32;
    let same = (draws.below(0, 2) == 0).then(|| draws.below(1, kinds));
    let mut text = String::new();
    if draws.below(2, 3) == 0 {
        text = user.card() + "\n\n";
    }
    for example in 0..EXAMPLES {
        let kind = same.unwrap_or_else(|| draws.below(3 + example, kinds));
        let example = user.example(ExampleKind::ALL[kind as usize], example);
        text += &example.text();
        text += "\n";
    }
    text
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    /// The share of right answers without knowing the user, if each question is answered as most users would.
    fn share_of_the_usual_answer(kind: ExampleKind) -> f64 {
        let users: Vec<User> = (0..300).map(|number| User::draw(5, number)).collect();
        let mut answers: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
        for number in 0..40 {
            // The questions of a user depend on the user's number. With one number, all users get the same question.
            for user in &users {
                let asked = User { number: 0, ..*user };
                let example = asked.example(kind, number);
                let all = answers.entry(example.prompt).or_default();
                *all.entry(example.completion).or_default() += 1;
            }
        }
        let most: usize = answers.values().filter_map(|all| all.values().max()).sum();
        let total: usize = answers.values().flat_map(BTreeMap::values).sum();
        most as f64 / total as f64
    }

    #[test]
    fn a_question_does_not_tell_the_answer_and_the_user_does() {
        // One side of three, one form of six, one voice of eight. Stars agree where they are clamped.
        for (kind, least, most) in [
            (ExampleKind::Tag, 0.30, 0.42),
            (ExampleKind::Stars, 0.33, 0.50),
            (ExampleKind::Title, 0.15, 0.25),
            (ExampleKind::Tweet, 0.12, 0.20),
        ] {
            let share = share_of_the_usual_answer(kind);
            assert!(least < share && share < most, "{kind:?}: {share}");
        }
        // The position of the cited paper tells nothing.
        let user = User::draw(5, 3);
        let first = (0..1000)
            .filter(|number| user.example(ExampleKind::Citation, *number).completion == " 1\n")
            .count();
        // Three standard deviations of 1,000 fair draws are 47.
        assert!((453..=547).contains(&first), "{first}");
    }

    #[test]
    fn examples_are_those_of_their_user() {
        let user = User {
            topics: [0, 1],
            side: 1,
            leniency: 1,
            ..User::draw(1, 2)
        };
        for number in 0..200 {
            let tag = user.example(ExampleKind::Tag, number);
            assert!(
                SIDES[1].1.iter().any(|(tag_of_place, cues)| {
                    tag.completion.trim() == *tag_of_place
                        && cues.iter().any(|cue| tag.prompt.contains(cue))
                }),
                "{tag:?}"
            );
            let stars = user.example(ExampleKind::Stars, number);
            let said = OPINIONS
                .iter()
                .position(|words| words.iter().any(|words| stars.prompt.contains(words)))
                .unwrap();
            assert_eq!(stars.completion.trim(), (said + 2).min(5).to_string());
            let cited = user.example(ExampleKind::Citation, number);
            let line = cited.prompt.lines().nth(match cited.completion.trim() {
                "1" => 0,
                _ => 1,
            });
            let things = [TOPICS[0].1, TOPICS[1].1].concat();
            assert!(things.iter().any(|thing| line.unwrap().contains(thing)));
        }
    }

    #[test]
    fn users_differ_and_a_seed_gives_the_same_text() {
        let users: BTreeSet<String> = (0..500).map(|n| User::draw(1, n).card()).collect();
        // 56 ordered pairs of topics, three sides, three leniencies, six titles and eight voices: 24,192 users in all.
        assert!(users.len() > 480, "{}", users.len());
        assert_eq!(session(3, 9), session(3, 9));
        assert_ne!(session(3, 9), session(4, 9));
        let cards = (0..900).filter(|n| session(1, *n).starts_with("user likes"));
        // A third of them; three standard deviations are 42.
        let cards = cards.count();
        assert!((258..=342).contains(&cards), "{cards}");
    }
}
