//! The profiles of a source of passages that prompts are tuned for.

use std::cmp::Reverse;

use anyhow::{Result, bail};
use crossburn_training::data::{DataSource, Passage};

use crate::apps::passages::{by_profile, passages};

/// Profiles, each with a prompt of its own.
const PROFILES: usize = 6;

/// The passages of one profile.
#[derive(Debug)]
pub(super) struct Profile {
    name: String,
    /// Passages to tune on, and those that are asked.
    pub(super) learn: Vec<Passage>,
    pub(super) test: Vec<Passage>,
}

/// The largest profiles of a source.
#[derive(Debug)]
pub(super) struct Profiles(Vec<Profile>);

impl Profiles {
    /// The largest profiles of `source` by their passages to tune on, each with at least `least` of these and of those that are asked.
    ///
    /// # Errors
    /// A running text, passages without profiles, and too few profiles of this size.
    pub(super) fn of(source: &DataSource, least: [usize; 2]) -> Result<Self> {
        let [learn, test] = [source.training_corpus(1)?, source.test_corpus(1)?];
        let [learn, mut test] = [passages(learn, source)?, passages(test, source)?].map(by_profile);
        let pairs = learn.into_iter().filter_map(|(name, learn)| {
            let test = test.remove(&name)?;
            Some(Profile { name, learn, test })
        });
        let large =
            |profile: &Profile| profile.learn.len() >= least[0] && profile.test.len() >= least[1];
        let mut found: Vec<Profile> = pairs.filter(large).collect();
        if found.len() < PROFILES {
            bail!(
                "{source} has {} profiles with {} texts to learn from and {} to ask, the experiment takes {PROFILES}; hint: name their key, as in jsonl:FILE?prompt=short_description&completion=headline&least=1&profile=category, or give more texts",
                found.len(),
                least[0],
                least[1]
            );
        }
        // Those of one size stay in the order of their names.
        found.sort_by_key(|profile| Reverse(profile.learn.len()));
        found.truncate(PROFILES);
        Ok(Self(found))
    }

    pub(super) fn names(&self) -> Vec<String> {
        self.iter().map(|profile| profile.name.clone()).collect()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Profile> {
        self.0.iter()
    }
}

impl Profile {
    pub(super) fn name(&self) -> &str {
        &self.name
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn the_largest_profiles_are_taken_and_too_few_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.jsonl");
        // Profile p has 40 lines and ten more for each number up to 7; one has none of its own.
        let sizes = (0..8).map(|number| (format!("p{number}"), 40 + 10 * number));
        let mut lines = vec![r#"{"prompt": "q", "completion": "a", "by": " "}"#.to_string(); 200];
        for (name, size) in sizes {
            let line = format!(r#"{{"prompt": "q", "completion": "a", "by": "{name}"}}"#);
            lines.extend(std::iter::repeat_n(line, size));
        }
        std::fs::write(&path, lines.join("\n")).unwrap();
        let open = |options: &str| {
            let source = format!("jsonl:{}?test_share=0.5{options}", path.display());
            Profiles::of(&source.parse().unwrap(), [10, 5])
        };
        let found = open("&profile=by").unwrap();
        let names = found.names();
        assert_eq!(names.len(), 6);
        assert!(names.contains(&"p7".to_string()), "{names:?}");
        let sizes: Vec<usize> = found.iter().map(|profile| profile.learn.len()).collect();
        assert!(sizes.is_sorted_by(|a, b| a >= b), "{sizes:?}");
        let own = found.iter().flat_map(|profile| {
            let of = profile.learn.iter().chain(&profile.test);
            of.map(|passage| passage.profile.as_deref() == Some(profile.name()))
        });
        assert!(own.into_iter().all(|own| own));
        let message = open("").unwrap_err().to_string();
        assert!(
            message.contains("has 0 profiles with 10 texts") && message.contains("hint: name"),
            "{message}"
        );
    }
}
