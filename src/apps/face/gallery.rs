//! Enrolled people on disk, each with one vector.

use std::collections::BTreeMap;
use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use crossburn_checkpoints::write_bytes;
use crossburn_training::mean_direction;
use serde::{Deserialize, Serialize};

/// The file of a gallery, inside its folder.
const FILE: &str = "gallery.json";
const SCHEMA: &str = "crossburn-gallery/1";

/// Enrolled people, and the network that computed their vectors.
#[derive(Debug)]
pub(crate) struct Gallery {
    file: PathBuf,
    document: Document,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Document {
    schema: String,
    /// Checksum of the weights of the network.
    network: String,
    /// Length of a vector.
    numbers: usize,
    people: BTreeMap<String, Enrolled>,
}

/// One person.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Enrolled {
    /// Number of images whose mean the vector is.
    images: usize,
    /// The mean of the images' vectors, scaled to length 1.
    vector: Vec<f32>,
}

impl Gallery {
    /// The gallery in `folder`, of the network with this checksum; an empty gallery if there is none.
    ///
    /// # Errors
    /// If the file is no gallery, or if it belongs to another network.
    pub(crate) fn open(folder: &Path, network: &str) -> Result<Self> {
        let file = folder.join(FILE);
        let place = file.display().to_string();
        let bytes = match fs::read(&file) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == ErrorKind::NotFound => {
                let document = Document {
                    schema: SCHEMA.to_string(),
                    network: network.to_string(),
                    numbers: 0,
                    people: BTreeMap::new(),
                };
                return Ok(Self { file, document });
            }
            Err(cause) => return Err(cause).with_context(|| format!("cannot read {place}")),
        };
        let document: Document = serde_json::from_slice(&bytes)
            .with_context(|| format!("{place} is no gallery: enroll people into another folder"))?;
        if document.schema != SCHEMA {
            bail!(
                "{place} has the schema {}, this version reads {SCHEMA}",
                document.schema
            );
        }
        if document.network != network {
            bail!(
                "{place} was made with another network, whose vectors cannot be compared: name its checkpoint, or enroll people into another folder"
            );
        }
        let fits = |enrolled: &Enrolled| {
            let finite = enrolled.vector.iter().all(|number| number.is_finite());
            enrolled.vector.len() == document.numbers && finite
        };
        if let Some((person, _)) = document.people.iter().find(|(_, one)| !fits(one)) {
            bail!("{place}: the vector of {person} is damaged: enroll this person again");
        }
        Ok(Self { file, document })
    }

    /// Enrolls `person`, from the vectors of images. Each vector has length 1.
    ///
    /// # Errors
    /// If the person is enrolled already and `replace` is not set, or if the sum of the vectors is zero.
    pub(crate) fn enroll(
        &mut self,
        person: &str,
        vectors: &[Vec<f32>],
        replace: bool,
    ) -> Result<()> {
        if person.trim().is_empty() {
            bail!("a person needs a name: use at least one letter");
        }
        if !replace && self.document.people.contains_key(person) {
            bail!("{person} is enrolled already: use another name, or --replace");
        }
        let Some(vector) = mean_direction(vectors.iter().map(Vec::as_slice)) else {
            bail!("the images of {person} have opposite vectors: enroll images of one person");
        };
        self.document.numbers = vector.len();
        let enrolled = Enrolled {
            images: vectors.len(),
            vector,
        };
        self.document.people.insert(person.to_string(), enrolled);
        Ok(())
    }

    /// The vector of a person.
    ///
    /// # Errors
    /// If the person is not enrolled, with the names of some who are.
    pub(crate) fn vector(&self, person: &str) -> Result<&[f32]> {
        if let Some(enrolled) = self.document.people.get(person) {
            return Ok(&enrolled.vector);
        }
        let place = self.file.display();
        let known: Vec<&str> = self.document.people.keys().map(String::as_str).collect();
        match known[..] {
            [] => bail!("{place} is empty: enroll {person} with `crossburn face enroll`"),
            _ => bail!("{person} is not in {place}, which has {}", listed(&known)),
        }
    }

    /// Number of enrolled people.
    pub(crate) fn len(&self) -> usize {
        self.document.people.len()
    }

    /// Writes the gallery to its folder.
    ///
    /// # Errors
    /// If the folder or the file cannot be written.
    pub(crate) fn write(&self) -> Result<()> {
        if let Some(folder) = self.file.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        }
        Ok(write_bytes(
            &self.file,
            serde_json::to_string(&self.document)?.as_bytes(),
        )?)
    }
}

/// Most names that a message lists.
const SHOWN: usize = 5;

fn listed(names: &[&str]) -> String {
    let shown = names[..names.len().min(SHOWN)].join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn people_are_kept_as_the_mean_of_their_images() {
        let folder = tempfile::tempdir().unwrap();
        let gallery = folder.path().join("gallery");
        let mut first = Gallery::open(&gallery, "abc").unwrap();
        assert!(
            first
                .vector("ann")
                .unwrap_err()
                .to_string()
                .contains("is empty")
        );
        let vectors = [vec![1.0, 0.0], vec![0.0, 1.0]];
        first.enroll("ann", &vectors, false).unwrap();
        first.write().unwrap();
        let mut again = Gallery::open(&gallery, "abc").unwrap();
        let half = 0.5f32.sqrt();
        assert!(
            again
                .vector("ann")
                .unwrap()
                .iter()
                .all(|x| (x - half).abs() < 1e-6)
        );
        for (refused, part) in [
            (
                again.enroll("ann", &vectors, false),
                "ann is enrolled already",
            ),
            (again.enroll(" ", &vectors, false), "a person needs a name"),
            (
                again.enroll("bob", &[vec![1.0, 0.0], vec![-1.0, 0.0]], false),
                "have opposite vectors",
            ),
            (again.vector("eve").map(|_| ()), "eve is not in"),
            (
                Gallery::open(&gallery, "abd").map(|_| ()),
                "made with another network",
            ),
        ] {
            let message = refused.unwrap_err().to_string();
            assert!(
                message.contains(part) && !message.contains('\n'),
                "{message}"
            );
        }
        again.enroll("ann", &vectors[..1], true).unwrap();
        assert_eq!(again.vector("ann").unwrap(), [1.0, 0.0]);
        std::fs::write(gallery.join("gallery.json"), "{}").unwrap();
        let message = Gallery::open(&gallery, "abc").unwrap_err().to_string();
        assert!(message.contains("is no gallery"), "{message}");
    }
}
