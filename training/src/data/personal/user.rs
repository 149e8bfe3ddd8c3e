//! A person: what they like and how they write.

use crossburn_noise::{Philox, path_hash};

use super::words::{SIDES, TOPICS};

/// A person, drawn from (seed, number).
///
/// One text does not reveal a person's preferences: a model of all people must guess, and a model that has learned this person knows.
///
/// ```
/// use crossburn_training::data::personal::User;
///
/// assert_eq!(User::draw(1, 7), User::draw(1, 7));
/// assert!(User::draw(1, 7).card().starts_with("user likes "));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct User {
    pub(super) seed: u64,
    pub(super) number: u64,
    /// Two topics whose papers the user cites.
    pub(super) topics: [usize; 2],
    /// The aspect of a film that the user names in a tag.
    pub(super) side: usize,
    /// How many stars the user adds to what the words say; may be negative.
    pub(super) leniency: i8,
    /// How the user forms the title of a paper.
    pub(super) title: TitleStyle,
    /// How the user talks.
    pub(super) voice: Voice,
}

/// How a user forms the title of a paper.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TitleStyle {
    Plain,
    Question,
    On,
    Theory,
    Study,
    Revisited,
}

impl TitleStyle {
    const ALL: [(Self, &str); 6] = [
        (Self::Plain, "plain"),
        (Self::Question, "questions"),
        (Self::On, "short"),
        (Self::Theory, "theories"),
        (Self::Study, "studies"),
        (Self::Revisited, "old friends"),
    ];

    /// The title of a paper about `thing` under `circumstance`.
    pub(super) fn of(self, thing: &str, circumstance: &str) -> String {
        match self {
            Self::Plain => format!("{thing} {circumstance}"),
            Self::Question => format!("why {thing} {circumstance}?"),
            Self::On => format!("on {thing}"),
            Self::Theory => format!("towards a theory of {thing}"),
            Self::Study => format!("{thing}: a study {circumstance}"),
            Self::Revisited => format!("{thing} revisited"),
        }
    }
}

/// How a user talks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Voice {
    Dry,
    Loud,
    Honest,
    Joking,
    Noble,
    Cheerful,
    Tired,
    Chatty,
}

impl Voice {
    const ALL: [(Self, &str); 8] = [
        (Self::Dry, "dry"),
        (Self::Loud, "loud"),
        (Self::Honest, "honest"),
        (Self::Joking, "joking"),
        (Self::Noble, "noble"),
        (Self::Cheerful, "cheerful"),
        (Self::Tired, "tired"),
        (Self::Chatty, "chatty"),
    ];

    /// `sentence` in this voice.
    pub(super) fn says(self, sentence: &str) -> String {
        match self {
            Self::Dry => format!("{sentence}."),
            Self::Loud => format!("{sentence}!!!"),
            Self::Honest => format!("honestly, {sentence}."),
            Self::Joking => format!("{sentence}, haha"),
            Self::Noble => format!("indeed, {sentence}, i dare say."),
            Self::Cheerful => format!("hey, {sentence} :)"),
            Self::Tired => format!("{sentence}... sigh"),
            Self::Chatty => format!("well, {sentence}, you know"),
        }
    }
}

/// For each number of added stars, the word that a card uses.
const LENIENCIES: [(i8, &str); 3] = [(-1, "harsh"), (0, "fair"), (1, "generous")];

impl User {
    /// The user with this number, of all users of `seed`.
    pub fn draw(seed: u64, number: u64) -> Self {
        let draws = Philox::new(seed ^ path_hash("users"), number);
        let first = draws.below(0, TOPICS.len() as u32) as usize;
        let step = 1 + draws.below(1, TOPICS.len() as u32 - 1) as usize;
        Self {
            seed,
            number,
            topics: [first, (first + step) % TOPICS.len()],
            side: draws.below(2, SIDES.len() as u32) as usize,
            leniency: LENIENCIES[draws.below(3, LENIENCIES.len() as u32) as usize].0,
            title: TitleStyle::ALL[draws.below(4, TitleStyle::ALL.len() as u32) as usize].0,
            voice: Voice::ALL[draws.below(5, Voice::ALL.len() as u32) as usize].0,
        }
    }

    /// A line that describes this user.
    pub fn card(&self) -> String {
        let [first, second] = self.topics.map(|topic| TOPICS[topic].0);
        let side = SIDES[self.side].0;
        let leniency = LENIENCIES
            .iter()
            .find(|(stars, _)| *stars == self.leniency)
            .map_or("", |(_, word)| word);
        let title = TitleStyle::ALL
            .iter()
            .find(|(style, _)| *style == self.title)
            .map_or("", |(_, word)| word);
        let voice = Voice::ALL
            .iter()
            .find(|(voice, _)| *voice == self.voice)
            .map_or("", |(_, word)| word);
        format!(
            "user likes {first} and {second}, tags by {side}, rates {leniency}, titles {title}, talks {voice}"
        )
    }
}
