//! The people of a study: drawn, or those of files.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use anyhow::{Result, bail};
use crossburn_noise::path_hash;
use crossburn_training::data::personal::{Example, ExampleKind, Profile};
use crossburn_training::data::{DataSource, Passage};

use super::rates::OTHER_PEOPLE;
use super::study_file::{StudyFile, kind_of};
use crate::apps::passages::{by_profile, passages};

/// The people whom files describe, task by task: those with the most texts first. People of other tasks are drawn.
#[derive(Debug, Default)]
pub(crate) struct People {
    read: BTreeMap<String, Vec<Profile>>,
}

impl People {
    /// Reads the people of every task for which `study` names texts.
    ///
    /// # Errors
    /// Texts that cannot be read or say no profile, and too few people with enough texts.
    pub(super) fn read(study: &StudyFile) -> Result<Self> {
        let mut read = BTreeMap::new();
        for (task, source) in &study.texts {
            let kind = kind_of(task)?;
            read.insert(kind.name().to_string(), people_of(study, kind, source)?);
        }
        Ok(Self { read })
    }

    /// What `person` wrote and asks for `task`. Learning rates are chosen on the last people of a file, and on people of their own where people are drawn.
    ///
    /// # Errors
    /// An unknown task.
    pub(super) fn profile(&self, study: &StudyFile, task: &str, person: u64) -> Result<Profile> {
        let kind = kind_of(task)?;
        let sizes = [study.longest_history(), study.questions];
        let Some(people) = self.read.get(kind.name()) else {
            return Ok(Profile::draw(study.seed, person, kind, sizes)?);
        };
        let place = match person.checked_sub(OTHER_PEOPLE) {
            Some(other) => (people.len() as u64).checked_sub(1 + other),
            None => Some(person),
        };
        let found = place.and_then(|place| people.get(usize::try_from(place).ok()?));
        match found {
            Some(profile) => Ok(profile.clone()),
            None => bail!("person {person} is not among the people of the task {task}"),
        }
    }

    /// A digest of the texts that were read; `None` if all people are drawn.
    pub(super) fn digest(&self) -> Option<String> {
        let read = || format!("{:016x}", path_hash(&format!("{:?}", self.read)));
        (!self.read.is_empty()).then(read)
    }
}

/// The people of `source` who have as many texts as `study` needs.
fn people_of(study: &StudyFile, kind: ExampleKind, source: &DataSource) -> Result<Vec<Profile>> {
    let [history, questions] = [study.longest_history(), study.questions];
    let parts = [source.training_corpus(1)?, source.test_corpus(1)?];
    let [learn, asked] = parts.map(|corpus| passages(corpus, source));
    let [learn, mut asked] = [by_profile(learn?), by_profile(asked?)];
    let mut people = Vec::new();
    for (name, written) in learn {
        let asked = asked.remove(&name).unwrap_or_default();
        let of = |passages: Vec<Passage>| -> Vec<Example> {
            let examples = passages.iter().filter_map(|one| example(kind, one));
            examples.collect()
        };
        let profile = Profile::new(of(written), of(asked));
        let texts = profile.recent(usize::MAX).len();
        if texts >= history && profile.questions().len() >= questions {
            let asked = profile.questions()[..questions].to_vec();
            people.push((texts, Profile::new(profile.recent(texts).to_vec(), asked)));
        }
    }
    // Those with as many texts stay in the order of their names.
    people.sort_by_key(|(texts, _)| Reverse(*texts));
    let needed = study.people + study.rates.people;
    if (people.len() as u64) < needed {
        bail!(
            "{source} has {} people with {history} texts to learn from and {questions} to ask, the study takes {needed}: {} are measured, and learning rates are chosen on {}; hint: name the key of people, as in jsonl:FILE?prompt=short_description&completion=headline&profile=authors&test_share=0.2, or take fewer people, questions or shorter histories",
            people.len(),
            study.people,
            study.rates.people
        );
    }
    Ok(people.into_iter().map(|(_, profile)| profile).collect())
}

/// A passage as a question and an answer of one line; `None` where it has no question or no answer. A question that does not end with a colon is followed by
/// a line with the name of the task.
fn example(kind: ExampleKind, passage: &Passage) -> Option<Example> {
    let line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let (prompt, answer) = (passage.prompt.trim(), line(&passage.completion));
    if prompt.is_empty() || answer.is_empty() {
        return None;
    }
    Some(Example {
        kind,
        prompt: match prompt.ends_with(':') {
            true => prompt.to_string(),
            false => format!("{prompt}\n{}:", kind.name()),
        },
        completion: format!(" {answer}\n"),
    })
}
