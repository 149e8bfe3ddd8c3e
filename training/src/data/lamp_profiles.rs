//! The profiles of a LaMP file: what its users wrote, entry by entry, as a store that questions of a user are answered from.

use std::path::Path;

use serde_json::{Map, Value};

use super::lamp::{QUESTIONS, Question, document};
use crate::TrainingError;

/// The fields of an entry that hold its text, in the order in which they are joined.
const FIELDS: [&str; 7] = [
    "title",
    "description",
    "abstract",
    "text",
    "tag",
    "category",
    "score",
];

/// An entry of a profile.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProfileEntry {
    /// Where it comes from: the question, and the number of the entry from 0 on.
    pub place: String,
    /// Its title, description, abstract, text, tag, category and score, as far as they exist, one per line.
    pub text: String,
}

/// Whether the name of `path` is that of a file of LaMP questions.
pub fn is_lamp(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.ends_with(QUESTIONS))
}

/// The entries of all profiles in the file `NAME_questions.json`, or only of the profile of the question `user`.
///
/// # Errors
/// [`TrainingError::Read`] for a file that cannot be read. [`TrainingError::Data`] for a file that is not from LaMP, if the question `user` does
/// not exist, and for an entry without any of the fields.
pub fn lamp_profiles(path: &Path, user: Option<&str>) -> Result<Vec<ProfileEntry>, TrainingError> {
    let questions: Vec<Question> = document(path)?;
    let asked = |question: &&Question| user.is_none_or(|user| question.id.to_string() == user);
    let mut entries = Vec::new();
    let mut met = false;
    for question in questions.iter().filter(asked) {
        met = true;
        for (number, fields) in question.profile.iter().enumerate() {
            let place = format!("question {}, profile {number}", question.id);
            let text = said(fields).ok_or_else(|| {
                TrainingError::data(
                    format!("{}, {place}", path.display()),
                    format!("it has none of {}", FIELDS.join(", ")),
                    "give profiles as LaMP writes them",
                )
            })?;
            entries.push(ProfileEntry { place, text });
        }
    }
    match (met, user) {
        (false, Some(user)) => Err(TrainingError::data(
            path.display().to_string(),
            format!("no question has the id {user}"),
            "use one that the file has",
        )),
        _ => Ok(entries),
    }
}

/// The text of an entry; `None` if it has none of the fields.
fn said(fields: &Map<String, Value>) -> Option<String> {
    let parts = FIELDS.iter().filter_map(|key| match fields.get(*key) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(Value::Number(number)) => Some(number.to_string()),
        _ => None,
    });
    let parts: Vec<String> = parts.collect();
    (!parts.is_empty()).then(|| parts.join("\n"))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn entries_come_with_their_place_and_of_one_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("dev_questions.json");
        let text = r#"[
            {"id": "110", "input": "?", "profile": [
                {"id": "a", "text": "good", "score": 4, "date": "2001"},
                {"id": "b", "abstract": "On cells", "title": "Cells"}]},
            {"id": 111, "input": "?", "profile": [{"tag": "sad", "description": "A film"}]}]"#;
        std::fs::write(&path, text).unwrap();
        let entry = |place: &str, text: &str| ProfileEntry {
            place: place.to_string(),
            text: text.to_string(),
        };
        let all = [
            entry("question 110, profile 0", "good\n4"),
            entry("question 110, profile 1", "Cells\nOn cells"),
            entry("question 111, profile 0", "A film\nsad"),
        ];
        assert_eq!(lamp_profiles(&path, None).unwrap(), all);
        assert_eq!(lamp_profiles(&path, Some("111")).unwrap(), all[2..]);
        let message = lamp_profiles(&path, Some("7")).unwrap_err().to_string();
        assert!(message.contains("no question has the id 7"), "{message}");

        std::fs::write(
            &path,
            r#"[{"id": 1, "input": "?", "profile": [{"date": "2001"}]}]"#,
        )
        .unwrap();
        let message = lamp_profiles(&path, None).unwrap_err().to_string();
        assert!(
            message.contains("question 1, profile 0") && message.contains("none of title"),
            "{message}"
        );
        assert!(is_lamp(&path) && !is_lamp(Path::new("questions.json")));
    }
}
