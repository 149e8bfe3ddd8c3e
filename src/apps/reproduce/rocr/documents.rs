//! Which documents are learned from and searched, and which of them share a store.

use std::cmp::Reverse;
use std::ops::Range;

use anyhow::{Result, bail};
use crossburn_training::data::{DataSource, Passage};

use crate::apps::passages::{by_profile, passages};

/// Documents to learn from and documents that are searched: how many there must be, and how many are taken of more.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    pub(super) least: [usize; 2],
    pub(super) most: [usize; 2],
    /// Documents of one profile in its store, at least and at most.
    pub(super) of_profile: [usize; 2],
}

impl Bounds {
    pub(super) const QUICK: Self = Self {
        least: [60, 40],
        most: [60, 40],
        of_profile: [20, 20],
    };
    pub(super) const USUAL: Self = Self {
        least: [500, 500],
        most: [1000, 1000],
        of_profile: [20, 100],
    };

    /// The documents of `source` with `seed`.
    ///
    /// # Errors
    /// A running text, and fewer documents than there must be.
    pub(super) fn taken(self, source: &DataSource, seed: u64) -> Result<Taken> {
        let [learn, test] = [source.training_corpus(seed)?, source.test_corpus(seed)?];
        let (learn, test) = (passages(learn, source)?, passages(test, source)?);
        let (test, stores) = match test.iter().any(|passage| passage.profile.is_some()) {
            true => self.by_profile(test),
            false => {
                let test: Vec<Passage> = test.into_iter().take(self.most[1]).collect();
                let all = 0..test.len();
                (test, vec![all])
            }
        };
        let learn: Vec<Passage> = learn.into_iter().take(self.most[0]).collect();
        let [least_learn, least_test] = self.least;
        if learn.len() < least_learn || test.len() < least_test {
            let of_profiles = match stores.len() {
                1 => String::new(),
                _ => format!(" in profiles of {} or more", self.of_profile[0]),
            };
            bail!(
                "{source} has {} documents to learn from and {} that are searched{of_profiles}, the experiment takes at least {least_learn} and {least_test}; hint: give more documents, another test_share, or --quick",
                learn.len(),
                test.len()
            );
        }
        Ok(Taken {
            learn,
            test,
            stores,
        })
    }
}

/// The documents of an experiment.
pub(super) struct Taken {
    pub(super) learn: Vec<Passage>,
    /// Those that are searched, store after store.
    pub(super) test: Vec<Passage>,
    /// Which of them each store holds: all of them, or those of one profile.
    pub(super) stores: Vec<Range<usize>>,
}

impl Bounds {
    /// The documents that are searched, profile after profile, the largest first, and the place of each profile among them.
    fn by_profile(self, passages: Vec<Passage>) -> (Vec<Passage>, Vec<Range<usize>>) {
        let mut profiles: Vec<Vec<Passage>> = by_profile(passages).into_values().collect();
        // Profiles of one size stay in the order of their names.
        profiles.sort_by_key(|profile| Reverse(profile.len()));
        let [least, most] = self.of_profile;
        let (mut taken, mut stores) = (Vec::new(), Vec::new());
        for mut profile in profiles {
            profile.truncate(most.min(self.most[1] - taken.len()));
            if profile.len() < least {
                break;
            }
            stores.push(taken.len()..taken.len() + profile.len());
            taken.extend(profile);
        }
        (taken, stores)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn written(lines: usize, profile: impl Fn(usize) -> String) -> (tempfile::TempDir, String) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("p.jsonl");
        let line = |number: usize| {
            format!(
                r#"{{"prompt": "q{number}", "completion": "a{number}", "by": "{}"}}"#,
                profile(number)
            )
        };
        let text: Vec<String> = (0..lines).map(line).collect();
        std::fs::write(&path, text.join("\n")).unwrap();
        let source = format!("jsonl:{}?test_share=0.5", path.display());
        (folder, source)
    }

    #[test]
    fn as_many_documents_are_taken_as_there_are_between_the_bounds() {
        let (_folder, text) = written(1200, |_| "one".to_string());
        let source: DataSource = text.parse().unwrap();
        let taken = Bounds::USUAL.taken(&source, 1).unwrap();
        assert_eq!((taken.learn.len(), taken.test.len()), (600, 600));
        assert!(matches!(&taken.stores[..], [all] if *all == (0..600)));
        let taken = Bounds::QUICK.taken(&source, 1).unwrap();
        assert_eq!((taken.learn.len(), taken.test.len()), (60, 40));
        let (_folder, text) = written(990, |_| "one".to_string());
        let source: DataSource = text.parse().unwrap();
        let message = Bounds::USUAL.taken(&source, 1).err().unwrap().to_string();
        assert!(
            message.contains("495 documents to learn from and 495 that are searched, ")
                && message.contains("at least 500 and 500; hint: "),
            "{message}"
        );
    }

    #[test]
    fn a_profile_is_a_store_of_its_own_and_small_ones_are_left_out() {
        // 150, 60 and 10 documents, and some of nobody.
        let of = |number: usize| match number {
            0..150 => "large",
            150..210 => "small",
            210..220 => "tiny",
            _ => "",
        };
        let passage = |number: usize| Passage {
            place: String::new(),
            prompt: String::new(),
            completion: number.to_string(),
            profile: Some(of(number).to_string()).filter(|name| !name.is_empty()),
            ends: true,
        };
        let all = || (0..240).rev().map(passage).collect();
        let up_to = |most| {
            let bounds = Bounds {
                most: [0, most],
                ..Bounds::USUAL
            };
            bounds.by_profile(all())
        };
        let (taken, stores) = up_to(1000);
        assert_eq!(stores, [0..100, 100..160]);
        let named = |range: &Range<usize>, name: &str| {
            let own = taken[range.clone()].iter();
            own.clone().all(|p| p.profile.as_deref() == Some(name))
        };
        assert!(named(&stores[0], "large") && named(&stores[1], "small"));
        // No profile is cut below its least.
        assert!(matches!(&up_to(119).1[..], [all] if *all == (0..100)));
        assert_eq!(up_to(120).1, [0..100, 100..120]);
    }
}
