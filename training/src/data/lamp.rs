//! The LaMP benchmark (Salemi et al. 2024, arXiv 2304.11406): questions of people whose history is known.
//!
//! Each part has two files: `NAME_questions.json`, a list of `{id, input, profile}`, and `NAME_outputs.json`, `{task, golds: [{id, output}]}`.
//! A profile lists what its user wrote before. Some of it is put before or inside the question, in the words of the benchmark's
//! `LaMP/prompts/prompts.py`. Three things differ from the benchmark: the last entries of a profile are taken, not the most similar ones; no
//! entry is cut; and a line `answer:` follows the question, for models that continue a text.

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::corpus::{Corpus, Passage, TextFile, no_samples, read_text};
use super::reader::{Kind, Part, Reader};
use super::{Amount, DataSplit};
use crate::TrainingError;

pub(super) const KIND: Kind = Kind {
    name: "lamp",
    usage: "lamp:DIR",
    open: |argument| Ok(Arc::new(Lamp::open(argument)?)),
};

pub(super) const QUESTIONS: &str = "_questions.json";
const OUTPUTS: &str = "_outputs.json";

/// The data source.
#[derive(Debug)]
struct Lamp {
    file: TextFile,
    view: View,
}

/// What is learned from the files.
#[derive(Clone, Debug)]
enum View {
    /// Every question is a passage, after `history` entries of its user's profile.
    Questions { history: usize },
    /// The texts of one user are learned, and the question to this user is the test.
    User(String),
    /// The same of all users. The id of the question to a user is the name of the user's profile.
    Users,
}

/// A question of the file.
#[derive(Debug, Deserialize)]
pub(super) struct Question {
    pub(super) id: Id,
    input: String,
    pub(super) profile: Vec<Map<String, Value>>,
}

#[derive(Debug, Deserialize)]
struct Outputs {
    task: String,
    golds: Vec<Gold>,
}

#[derive(Debug, Deserialize)]
struct Gold {
    id: Id,
    output: String,
}

/// An identifier: a number in some files, a text in others.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Id {
    Text(String),
    Number(u64),
}

impl std::fmt::Display for Id {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Text(text) => f.write_str(text),
            Self::Number(number) => write!(f, "{number}"),
        }
    }
}

/// A task of the benchmark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum LampTask {
    Citation,
    Tag,
    /// The first version of `LaMP_2`, before it was about films: the category of an article.
    Category,
    Stars,
    Title,
    Tweet,
}

impl LampTask {
    const ALL: [(&'static str, Self); 5] = [
        ("LaMP_1", Self::Citation),
        ("LaMP_2", Self::Tag),
        ("LaMP_3", Self::Stars),
        ("LaMP_5", Self::Title),
        ("LaMP_7", Self::Tweet),
    ];

    /// The words in which a question quotes an entry of a history.
    fn said(self, entry: &Entry<'_>) -> Result<String, TrainingError> {
        let field = |key| entry.text(key);
        Ok(match self {
            Self::Citation => format!("\"{}\"", field("title")?),
            Self::Tag => format!(
                "the tag for the movie: \"{}\" is \"{}\" ",
                field("description")?,
                field("tag")?
            ),
            Self::Category => format!(
                "the category for the article: \"{}\" is \"{}\" ",
                field("text")?,
                field("category")?
            ),
            Self::Stars => format!(
                "{} is the score for \"{}\" ",
                field("score")?,
                field("text")?
            ),
            Self::Title => format!(
                "\"{}\" is a title for \"{}\" ",
                field("title")?,
                field("abstract")?
            ),
            Self::Tweet => format!("\"{}\" ", field("text")?),
        })
    }

    /// A question together with the words quoted from the history.
    fn after(self, said: &[String], input: &str) -> Option<String> {
        if said.is_empty() {
            return Some(input.to_string());
        }
        let said = said.join(", and ");
        Some(match self {
            // The history goes after this word, before the title of the user's paper.
            Self::Citation => {
                let end = input.find("title")? + "title".len();
                format!("{}, and {said}{}", &input[..end], &input[end..])
            }
            Self::Tag | Self::Category | Self::Stars => format!("{said}. {input}"),
            Self::Title => format!("{said}. Following the given patterns {input}"),
            Self::Tweet => {
                format!("{said} are written by a person. Following the given patterns {input}")
            }
        })
    }

    /// Three names: the words before the text that a question is about, the field of a history entry that holds such a text, and the field that
    /// holds the user's answer.
    fn answered(self) -> Option<[&'static str; 3]> {
        match self {
            Self::Tag => Some(["description: ", "description", "tag"]),
            Self::Category => Some(["article: ", "text", "category"]),
            Self::Stars => Some(["review: ", "text", "score"]),
            Self::Title => Some(["paper: ", "abstract", "title"]),
            Self::Citation | Self::Tweet => None,
        }
    }
}

/// An entry of a profile, and its place for messages.
struct Entry<'a> {
    fields: &'a Map<String, Value>,
    place: String,
}

impl Entry<'_> {
    /// The text of a field that holds a text or a number.
    fn text(&self, key: &str) -> Result<String, TrainingError> {
        match self.fields.get(key) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            found => {
                let problem = match found {
                    None => format!("it has no {key:?}"),
                    Some(_) => format!("{key:?} is neither a text nor a number"),
                };
                Err(TrainingError::data(
                    &self.place,
                    problem,
                    "give questions and outputs of the same task, as LaMP writes them",
                ))
            }
        }
    }
}

/// The questions of a file with their answers.
struct Asked {
    path: PathBuf,
    task: LampTask,
    questions: Vec<(Question, String)>,
}

impl Asked {
    fn read(path: &Path) -> Result<Self, TrainingError> {
        let name = path.file_name().and_then(|name| name.to_str());
        let Some(stem) = name.and_then(|name| name.strip_suffix(QUESTIONS)) else {
            return Err(TrainingError::data(
                path.display().to_string(),
                format!("its name does not end with {QUESTIONS}"),
                format!("name such a file; its answers are in the file that ends with {OUTPUTS}"),
            ));
        };
        let questions: Vec<Question> = document(path)?;
        let answers = path.with_file_name(format!("{stem}{OUTPUTS}"));
        let outputs: Outputs = document(&answers)?;
        let known = LampTask::ALL.iter().find(|(name, _)| *name == outputs.task);
        let Some((_, task)) = known else {
            let names = LampTask::ALL.map(|(name, _)| name).join(", ");
            return Err(TrainingError::data(
                answers.display().to_string(),
                format!("its \"task\" is {:?}", outputs.task),
                format!("give one of {names}"),
            ));
        };
        let golds = outputs.golds.into_iter();
        let mut golds: HashMap<String, String> = golds
            .map(|gold| (gold.id.to_string(), gold.output))
            .collect();
        let answered = questions.into_iter().map(|question| {
            let gold = golds.remove(&question.id.to_string());
            let gold = gold.filter(|gold| !gold.trim().is_empty());
            match gold {
                Some(gold) => Ok((question, gold)),
                None => Err(TrainingError::data(
                    answers.display().to_string(),
                    format!("it has no output for question {}", question.id),
                    format!("give one for every question of {}", path.display()),
                )),
            }
        });
        let questions: Vec<_> = answered.collect::<Result<_, _>>()?;
        match questions.is_empty() {
            true => Err(TrainingError::data(
                path.display().to_string(),
                "it has no question",
                "give one at least",
            )),
            false => Ok(Self {
                path: path.to_path_buf(),
                task: match task {
                    LampTask::Tag if of_articles(&questions) => LampTask::Category,
                    task => *task,
                },
                questions,
            }),
        }
    }

    fn place(&self, question: &Question) -> String {
        format!("{}, question {}", self.path.display(), question.id)
    }

    /// The entries of the profile of `question`, in the order of the file.
    fn entries<'a>(&'a self, question: &'a Question) -> impl ExactSizeIterator<Item = Entry<'a>> {
        let place = self.place(question);
        let entries = question.profile.iter().enumerate();
        entries.map(move |(index, fields)| Entry {
            fields,
            place: format!("{place}, profile {index}"),
        })
    }

    /// A question after the last `history` entries of its user's profile, and its answer.
    fn passage(
        &self,
        (question, gold): &(Question, String),
        history: usize,
    ) -> Result<Passage, TrainingError> {
        let skipped = question.profile.len().saturating_sub(history);
        let entries = self.entries(question).skip(skipped);
        let said = entries.map(|entry| self.task.said(&entry));
        let said: Vec<String> = said.collect::<Result<_, _>>()?;
        let prompt = self.task.after(&said, &question.input);
        let prompt = prompt.ok_or_else(|| {
            TrainingError::data(
                self.place(question),
                "its \"input\" does not say \"title\"",
                "give the question as LaMP writes it, or use history=0",
            )
        })?;
        Ok(asked(self.place(question), &prompt, gold))
    }

    /// The texts of the user of one question: to learn from, what the user wrote; as the test, the question.
    fn of_user(
        &self,
        found: &(Question, String),
        part: Part,
    ) -> Result<Vec<Passage>, TrainingError> {
        match part {
            Part::Train => self.written(&found.0),
            Part::Test => Ok(vec![self.passage(found, 0)?]),
        }
    }

    /// What the user of `question` wrote: questions with answers if the history has answers, otherwise texts.
    fn written(&self, question: &Question) -> Result<Vec<Passage>, TrainingError> {
        let Some([marker, given, answer]) = self.task.answered() else {
            let key = match self.task {
                LampTask::Citation => "title",
                _ => "text",
            };
            let entries = self.entries(question);
            let texts = entries.map(|entry| {
                Ok(Passage {
                    prompt: String::new(),
                    completion: entry.text(key)?,
                    profile: None,
                    place: entry.place,
                    ends: true,
                })
            });
            return texts.collect();
        };
        let Some(end) = question.input.find(marker) else {
            return Err(TrainingError::data(
                self.place(question),
                format!("its \"input\" has no {marker:?}"),
                "give the question as LaMP writes it",
            ));
        };
        let instruction = &question.input[..end + marker.len()];
        let entries = self.entries(question);
        let pairs = entries.map(|entry| {
            let prompt = format!("{instruction}{}", entry.text(given)?);
            let answer = entry.text(answer)?;
            Ok(asked(entry.place, &prompt, &answer))
        });
        pairs.collect()
    }
}

/// Whether the profiles are about articles, as in the first version of `LaMP_2`.
fn of_articles(questions: &[(Question, String)]) -> bool {
    let mut entries = questions.iter().flat_map(|(question, _)| &question.profile);
    let first = entries.next();
    first.is_some_and(|entry| entry.contains_key("category") && !entry.contains_key("tag"))
}

/// A question and its answer as a passage.
fn asked(place: String, question: &str, answer: &str) -> Passage {
    Passage {
        place,
        prompt: format!("{question}\nanswer:"),
        completion: format!(" {answer}"),
        profile: None,
        ends: true,
    }
}

/// Reads the JSON document of a file.
pub(super) fn document<T: DeserializeOwned>(path: &Path) -> Result<T, TrainingError> {
    serde_json::from_str(&read_text(path)?).map_err(|error| {
        TrainingError::data(
            path.display().to_string(),
            error.to_string(),
            "give [{id, input, profile}] as questions and {task, golds: [{id, output}]} as outputs",
        )
    })
}

impl Lamp {
    fn open(argument: &str) -> Result<Self, TrainingError> {
        let mut file = TextFile::open_with(KIND.name, argument, &["history", "user", "users"])?;
        let options = &file.options;
        let history = options.number("history", "a whole number from 0 on", |_| true)?;
        let (user, users) = (options.get("user"), options.get("users"));
        if let Some(users) = users.filter(|users| *users != "all") {
            return Err(options.refuse(format!(
                "users={users}: use users=all, or user=ID for one of them"
            )));
        }
        let view = match (user, users) {
            (Some(_), Some(_)) => {
                return Err(options.refuse(
                    "user names one user and users=all takes all: give one of the two".to_string(),
                ));
            }
            (Some(user), None) => View::User(user.to_string()),
            (None, Some(_)) => View::Users,
            (None, None) => View::Questions {
                history: history.unwrap_or(0),
            },
        };
        if !matches!(view, View::Questions { .. }) {
            if options.get("test_share").is_some() {
                return Err(options.refuse(
                    "test_share has no meaning beside user and users, whose questions are the test: leave it out"
                        .to_string(),
                ));
            }
            if history.is_some() {
                return Err(options.refuse(
                    "history has no meaning beside user and users, whose whole histories are learned: leave it out"
                        .to_string(),
                ));
            }
        }
        if file
            .options
            .path
            .extension()
            .is_none_or(|end| end != "json")
        {
            if let Some(option) = ["test", "test_share"]
                .into_iter()
                .find(|option| file.options.get(option).is_some())
            {
                return Err(file.options.refuse(format!(
                    "{option} has no meaning for a folder, which has its parts: leave it out, or name one NAME_questions.json"
                )));
            }
            file = file.in_folder("train_questions.json", "dev_questions.json");
        }
        Ok(Self { file, view })
    }
}

impl Reader for Lamp {
    fn classes(&self) -> Result<usize, TrainingError> {
        Err(no_samples(KIND.usage))
    }

    fn files(&self, part: Part) -> Result<Vec<PathBuf>, TrainingError> {
        Ok(vec![self.file.file(part)])
    }

    fn both(&self, _: u64, _: Amount, _: Amount) -> Result<DataSplit, TrainingError> {
        Err(no_samples(KIND.usage))
    }

    fn check_corpus(&self) -> Result<bool, TrainingError> {
        for part in [Part::Train, Part::Test] {
            self.corpus(part, 0)?;
        }
        Ok(true)
    }

    fn corpus(&self, part: Part, _: u64) -> Result<Option<Corpus>, TrainingError> {
        let passages = match &self.view {
            View::Questions { history } => {
                let asked = Asked::read(&self.file.file(part))?;
                let passages = asked.questions.iter();
                let passages = passages.map(|question| asked.passage(question, *history));
                let passages: Vec<Passage> = passages.collect::<Result<_, _>>()?;
                self.file.part_of_passages(passages, part)?
            }
            View::Users => {
                // A user of both files is the one of the first, as in `user=ID`.
                let (mut all, mut known) = (Vec::new(), BTreeSet::new());
                for path in self.file.files() {
                    let asked = Asked::read(&path)?;
                    let is_new = |found: &&(Question, String)| known.insert(found.0.id.to_string());
                    for found in asked.questions.iter().filter(is_new) {
                        let of_user = asked.of_user(found, part)?.into_iter();
                        all.extend(of_user.map(|passage| Passage {
                            profile: Some(found.0.id.to_string()),
                            ..passage
                        }));
                    }
                }
                all
            }
            View::User(user) => {
                for path in self.file.files() {
                    let asked = Asked::read(&path)?;
                    let of_user =
                        |(question, _): &&(Question, String)| question.id.to_string() == *user;
                    if let Some(found) = asked.questions.iter().find(of_user) {
                        return Ok(Some(Corpus::Passages(asked.of_user(found, part)?)));
                    }
                }
                return Err(self.file.options.refuse(format!(
                    "no question has the id {user}: use one that the files have"
                )));
            }
        };
        Ok(Some(Corpus::Passages(passages)))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::data::DataSource;
    use crate::data::personal::{ExampleKind, User};
    use serde_json::json;

    /// Questions to users of the procedural corpus in the form of `task`, each with a history of three entries.
    fn write(folder: &Path, part: &str, task: &str, users: std::ops::Range<u64>) {
        let mut questions = Vec::new();
        let mut golds = Vec::new();
        for number in users {
            let user = User::draw(1, number);
            let (kind, instruction) = match task {
                "LaMP_1" => (
                    ExampleKind::Citation,
                    "For an author who has written the paper with the title \"mine\", which reference is related? ",
                ),
                "LaMP_2" => (
                    ExampleKind::Tag,
                    "Which tag does this movie relate to? description: ",
                ),
                "LaMP_3" => (
                    ExampleKind::Stars,
                    "What is the score of the following review on a scale of 1 to 5? review: ",
                ),
                "LaMP_5" => (
                    ExampleKind::Title,
                    "Generate a title for the following abstract of a paper: ",
                ),
                _ => (
                    ExampleKind::Tweet,
                    "Paraphrase the following tweet without any explanation before or after it: ",
                ),
            };
            let profile: Vec<Value> = (0..3)
                .map(|entry| {
                    let example = user.example(kind, entry);
                    let (given, answer) = (example.prompt, example.completion.trim().to_string());
                    match kind {
                        ExampleKind::Citation => json!({"id": "0", "title": answer, "abstract": given}),
                        ExampleKind::Tag => json!({"id": "0", "description": given, "tag": answer}),
                        ExampleKind::Stars => json!({"id": "0", "text": given, "score": answer.parse::<u8>().unwrap()}),
                        ExampleKind::Title => json!({"id": "0", "abstract": given, "title": answer}),
                        ExampleKind::Tweet => json!({"id": "0", "text": answer}),
                    }
                })
                .collect();
            let example = user.example(kind, 9);
            let input = format!("{instruction}{}", example.prompt);
            questions.push(json!({"id": number.to_string(), "input": input, "profile": profile}));
            golds.push(json!({"id": number.to_string(), "output": example.completion.trim()}));
        }
        let outputs = json!({"task": task, "golds": golds});
        let file = |name: &str| folder.join(format!("{part}{name}"));
        std::fs::write(file(QUESTIONS), Value::from(questions).to_string()).unwrap();
        std::fs::write(file(OUTPUTS), outputs.to_string()).unwrap();
    }

    fn passages(corpus: Corpus) -> Vec<Passage> {
        match corpus {
            Corpus::Passages(passages) => passages,
            Corpus::Running(_) => unreachable!("passages"),
        }
    }

    fn source(path: &Path, options: &str) -> DataSource {
        format!("lamp:{}{options}", path.display()).parse().unwrap()
    }

    #[test]
    fn questions_of_every_task_come_with_their_history_and_a_user_alone() {
        for (task, before) in [
            ("LaMP_1", "the title, and \""),
            ("LaMP_2", "the tag for the movie: \"film: "),
            ("LaMP_3", " is the score for \"review: "),
            ("LaMP_5", "\" is a title for \"abstract: "),
            (
                "LaMP_7",
                "\"  are written by a person. Following the given patterns Paraphrase",
            ),
        ] {
            let folder = tempfile::tempdir().unwrap();
            let folder = folder.path();
            write(folder, "train", task, 0..12);
            write(folder, "dev", task, 20..25);
            let plain = passages(source(folder, "").training_corpus(1).unwrap());
            let told = passages(source(folder, "?history=2").training_corpus(1).unwrap());
            let test = passages(source(folder, "?history=2").test_corpus(1).unwrap());
            assert_eq!((plain.len(), told.len(), test.len()), (12, 12, 5));
            for (plain, told) in plain.iter().zip(&told) {
                assert_eq!(plain.completion, told.completion);
                assert!(!plain.prompt.contains(before), "{}", plain.prompt);
                assert!(told.prompt.contains(before), "{}", told.prompt);
                assert!(told.prompt.ends_with("\nanswer:"), "{}", told.prompt);
            }
            // The last two of three entries.
            let user: u64 = told[0].place.rsplit(' ').next().unwrap().parse().unwrap();
            let kind = ExampleKind::ALL[LampTask::ALL
                .iter()
                .position(|(name, _)| *name == task)
                .unwrap()];
            let entry = |number| {
                User::draw(1, user)
                    .example(kind, number)
                    .completion
                    .trim()
                    .to_string()
            };
            if task == "LaMP_7" {
                let both = format!("\"{}\" , and \"{}\"  are written", entry(1), entry(2));
                assert!(told[0].prompt.starts_with(&both), "{}", told[0].prompt);
            }

            let one = source(folder, "?user=21");
            let learned = passages(one.training_corpus(1).unwrap());
            let asked = passages(one.test_corpus(1).unwrap());
            assert_eq!((learned.len(), asked.len()), (3, 1));
            assert!(asked[0].place.ends_with("dev_questions.json, question 21"));
            assert!(learned[1].place.ends_with("question 21, profile 1"));
            let user = User::draw(1, 21);
            let example = user.example(kind, 1);
            match task {
                "LaMP_1" | "LaMP_7" => assert_eq!(learned[1].completion, example.completion.trim()),
                _ => {
                    // The same words as in the question to this user, about a text that the user has judged.
                    let (head, tail) = learned[1].prompt.split_once(&example.prompt).unwrap();
                    assert!(asked[0].prompt.starts_with(head), "{head}");
                    assert_eq!(tail, "\nanswer:");
                    assert_eq!(
                        learned[1].completion,
                        format!(" {}", example.completion.trim())
                    );
                }
            }

            // All users at once: each as alone, with a profile.
            let all = source(folder, "?users=all");
            let [learned_of_all, asked_of_all] =
                [all.training_corpus(1), all.test_corpus(1)].map(|part| passages(part.unwrap()));
            assert_eq!((learned_of_all.len(), asked_of_all.len()), (51, 17));
            let of_21 = |all: &[Passage]| -> Vec<Passage> {
                let of_21 = all
                    .iter()
                    .filter(|one| one.profile.as_deref() == Some("21"));
                let without = of_21.map(|one| Passage {
                    profile: None,
                    ..one.clone()
                });
                without.collect()
            };
            assert_eq!(of_21(&learned_of_all), learned);
            assert_eq!(of_21(&asked_of_all), asked);

            // One file is split like other files with texts.
            let file = source(&folder.join("train_questions.json"), "?test_share=0.25");
            file.check_corpus().unwrap();
            let parts = [file.training_corpus(1), file.test_corpus(1)];
            assert_eq!(parts.map(|part| passages(part.unwrap()).len()), [9, 3]);
        }
    }

    /// Words and blanks follow `LaMP/prompts/prompts.py` and `utils.py` of the benchmark, here for two short entries.
    #[test]
    fn a_history_stands_in_the_words_of_the_benchmark() {
        let cases = [
            (
                "LaMP_1",
                [json!({"title": "A"}), json!({"title": "B"})],
                "For an author who has written the paper with the title \"T\", which reference is related?",
                "For an author who has written the paper with the title, and \"A\", and \"B\" \"T\", which reference is related?",
            ),
            (
                "LaMP_2",
                [
                    json!({"description": "A", "tag": "x"}),
                    json!({"description": "B", "tag": "y"}),
                ],
                "Which tag? description: D",
                "the tag for the movie: \"A\" is \"x\" , and the tag for the movie: \"B\" is \"y\" . Which tag? description: D",
            ),
            (
                "LaMP_2",
                [
                    json!({"text": "A", "category": "x"}),
                    json!({"text": "B", "category": "y"}),
                ],
                "Which category? article: D",
                "the category for the article: \"A\" is \"x\" , and the category for the article: \"B\" is \"y\" . Which category? article: D",
            ),
            (
                "LaMP_3",
                [
                    json!({"text": "A", "score": "1"}),
                    json!({"text": "B", "score": 5}),
                ],
                "What score? review: D",
                "1 is the score for \"A\" , and 5 is the score for \"B\" . What score? review: D",
            ),
            (
                "LaMP_5",
                [
                    json!({"abstract": "A", "title": "x"}),
                    json!({"abstract": "B", "title": "y"}),
                ],
                "Generate a title for the following abstract of a paper: D",
                "\"x\" is a title for \"A\" , and \"y\" is a title for \"B\" . Following the given patterns Generate a title for the \
                 following abstract of a paper: D",
            ),
            (
                "LaMP_7",
                [json!({"text": "A"}), json!({"text": "B"})],
                "Paraphrase the following tweet: D",
                "\"A\" , and \"B\"  are written by a person. Following the given patterns Paraphrase the following tweet: D",
            ),
        ];
        for (task, profile, input, expected) in cases {
            let folder = tempfile::tempdir().unwrap();
            for part in ["train", "dev"] {
                let question = json!([{"id": "1", "input": input, "profile": profile}]);
                let gold = json!({"task": task, "golds": [{"id": "1", "output": "O"}]});
                let file = |name: &str| folder.path().join(format!("{part}{name}"));
                std::fs::write(file(QUESTIONS), question.to_string()).unwrap();
                std::fs::write(file(OUTPUTS), gold.to_string()).unwrap();
            }
            let corpus = source(folder.path(), "?history=2").test_corpus(1).unwrap();
            assert_eq!(passages(corpus)[0].prompt, format!("{expected}\nanswer:"));
        }
    }

    #[test]
    fn what_is_missing_is_named_with_its_file_and_field() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        let check = |options: &str| {
            source(folder, options)
                .check_corpus()
                .unwrap_err()
                .to_string()
        };
        let refused = |options: &str, part: &str| {
            let message = check(options);
            assert!(message.contains(part), "{message}");
        };
        write(folder, "train", "LaMP_2", 0..3);
        refused("", "dev_questions.json");
        write(folder, "dev", "LaMP_2", 0..2);
        refused("?user=17", "no question has the id 17");
        let edit = |name: &str, from: &str, to: &str| {
            let path = folder.join(name);
            let text = std::fs::read_to_string(&path).unwrap();
            assert!(text.contains(from));
            std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        };
        for (name, from, to, options, message) in [
            (
                "dev_questions.json",
                "\"input\"",
                "\"inputs\"",
                "",
                "dev_questions.json: missing field `input`",
            ),
            (
                "dev_questions.json",
                "\"profile\"",
                "\"profiles\"",
                "",
                "dev_questions.json: missing field `profile`",
            ),
            (
                "dev_questions.json",
                "\"tag\"",
                "\"label\"",
                "?history=3",
                "dev_questions.json, question 0, profile 0: it has no \"tag\"",
            ),
            ("dev_questions.json", "[", "", "", "dev_questions.json: "),
            (
                "dev_questions.json",
                "description: ",
                "",
                "?user=0",
                "question 0: its \"input\" has no \"description: \"",
            ),
            (
                "dev_outputs.json",
                "LaMP_2",
                "LaMP_6",
                "",
                "dev_outputs.json: its \"task\" is \"LaMP_6\"; give one of LaMP_1, ",
            ),
            (
                "dev_outputs.json",
                "\"id\":\"1\"",
                "\"id\":\"7\"",
                "",
                "dev_outputs.json: it has no output for question 1",
            ),
            (
                "dev_outputs.json",
                "\"golds\"",
                "\"gold\"",
                "",
                "dev_outputs.json: missing field `golds`",
            ),
        ] {
            write(folder, "dev", "LaMP_2", 0..2);
            // The user is looked for in the training questions first.
            write(folder, "train", "LaMP_2", 10..13);
            edit(name, from, to);
            refused(options, message);
        }
        for (argument, part) in [
            (
                "a?history=x",
                "history=x is not allowed: use a whole number",
            ),
            (
                "a?history=1&user=2",
                "history has no meaning beside user and users",
            ),
            (
                "a?history=1&users=all",
                "history has no meaning beside user and users",
            ),
            ("a?user=2&users=all", "give one of the two"),
            ("a?users=some", "users=some: use users=all, or user=ID"),
            (
                "a?test_share=0.2&user=2",
                "test_share has no meaning beside user",
            ),
            ("a?test=b", "test has no meaning for a folder"),
            ("a?test_share=0.2", "test_share has no meaning for a folder"),
        ] {
            let message = format!("lamp:{argument}")
                .parse::<DataSource>()
                .unwrap_err();
            assert!(message.to_string().contains(part), "{message}");
        }
        std::fs::write(folder.join("a.json"), "[]").unwrap();
        let message = source(&folder.join("a.json"), "")
            .check_corpus()
            .unwrap_err();
        assert!(
            message
                .to_string()
                .contains("does not end with _questions.json"),
            "{message}"
        );
        write(folder, "train", "LaMP_1", 0..3);
        write(folder, "dev", "LaMP_1", 0..3);
        edit("train_questions.json", "the title", "the name");
        refused(
            "?history=1",
            "question 0: its \"input\" does not say \"title\"",
        );
    }
}
