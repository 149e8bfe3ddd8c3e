//! The passages of a source, and whose they are.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use crossburn_training::data::{Corpus, DataSource, Passage};

/// The passages of `corpus`, which is of `source`.
///
/// # Errors
/// A running text.
pub(super) fn passages(corpus: Corpus, source: &DataSource) -> Result<Vec<Passage>> {
    match corpus {
        Corpus::Passages(passages) => Ok(passages),
        Corpus::Running(_) => bail!("{source} is one running text: give passages"),
    }
}

/// The passages of each profile, in their order; without those that have no profile.
pub(super) fn by_profile(passages: Vec<Passage>) -> BTreeMap<String, Vec<Passage>> {
    let mut profiles: BTreeMap<String, Vec<Passage>> = BTreeMap::new();
    for passage in passages {
        if let Some(name) = passage.profile.clone() {
            profiles.entry(name).or_default().push(passage);
        }
    }
    profiles
}
