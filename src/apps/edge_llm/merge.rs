//! Merges the shards of a study: the people of all, in the order of their numbers.

use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use super::claims::claims;
use crate::apps::differences::differences;
use crate::apps::shards::{Pair, Pieces};
use crate::report::registry::Merged;
use crate::report::{Document, EdgeStudy, StudyCell, StudyPoint, mean};

/// What shards of a study hold.
const PEOPLE: Pieces = Pieces {
    one: "person",
    several: "people",
    whole: "study",
};

/// A shard, and its name in messages.
type Shard = (String, EdgeStudy);

/// Merges the shards in `runs`, which are run folders or documents.
///
/// # Errors
/// Those of [`merge`], and a document that cannot be read.
pub(crate) fn merge_runs(runs: &[PathBuf]) -> Result<Merged> {
    let shard = |run: &PathBuf| Ok((run.display().to_string(), EdgeStudy::read(run)?));
    let shards: Result<Vec<Shard>> = runs.iter().map(shard).collect();
    let (study, notes) = merge(shards?)?;
    Ok((Box::new(study), notes))
}

/// The study whose shards these are, in any order, and remarks for the user. It is what one machine would have measured.
///
/// # Errors
/// If two shards do not belong together (with what differs), if two have the same person, or if people are missing.
fn merge(mut shards: Vec<Shard>) -> Result<(EdgeStudy, Vec<String>)> {
    let mut notes = Vec::new();
    shards.sort_by_key(|(_, shard)| shard.part.map(|part| part.first));
    let mut parts: Vec<(&str, Range<u64>)> = Vec::new();
    let (first, others) = shards.split_first().context("there is no shard to merge")?;
    for (name, shard) in &shards {
        let Some(part) = shard.part else {
            bail!("{name} is a whole study and no shard: name it alone");
        };
        parts.push((name, part.first..part.first + shard.people));
    }
    for other in others {
        require_same(first, other, &mut notes)?;
    }
    PEOPLE.require_whole(&parts, first.1.part.map(|part| part.of))?;
    let all: Vec<&EdgeStudy> = shards.iter().map(|(_, shard)| shard).collect();
    let mut whole = first.1.clone();
    whole.part = None;
    whole.people = all.iter().map(|shard| shard.people).sum();
    for (index, cell) in whole.cells.iter_mut().enumerate() {
        for (place, point) in cell.points.iter_mut().enumerate() {
            let of = all.iter().map(|shard| &shard.cells[index].points[place]);
            *point = joined(point, of);
        }
    }
    if all.iter().any(|shard| shard.commit.is_none()) {
        whole.commit = None;
    }
    for shard in &all[1..] {
        for (stage, seconds) in &shard.timing.seconds {
            *whole.timing.seconds.entry(stage.clone()).or_default() += seconds;
        }
    }
    (whole.claims, whole.not_measured) = claims(&whole)?;
    Ok((whole, notes))
}

/// The point of all people from the points of their shards. `one` is any of these.
fn joined<'a>(
    one: &StudyPoint,
    shards: impl Iterator<Item = &'a StudyPoint> + Clone,
) -> StudyPoint {
    let losses: Vec<f64> = shards
        .clone()
        .flat_map(|point| point.losses.iter().copied())
        .collect();
    StudyPoint {
        loss: one.loss.map(|_| mean(&losses)),
        losses: Vec::new(),
        quality: shards
            .flat_map(|point| point.quality.iter().copied())
            .collect(),
        ..*one
    }
}

/// Refuses a shard that differs from the first in anything but the people, what was measured of them, and times.
fn require_same(
    (first_name, first): &Shard,
    (name, other): &Shard,
    notes: &mut Vec<String>,
) -> Result<()> {
    let pair = Pair {
        first: first_name,
        other: name,
        whole: "study",
    };
    pair.require_same_build(&first.origin(), &other.origin(), notes)?;
    let mut found = differences(&first.config, &other.config);
    if found.is_empty() {
        found = differences(&shared(first), &shared(other));
    }
    match found.first() {
        // A long list would not help: one difference brings many others.
        Some(found) => pair.refuse(found),
        None => Ok(()),
    }
}

/// What the shards of a study have in common beside its settings.
fn shared(study: &EdgeStudy) -> Value {
    let cells: Vec<StudyCell> = study
        .cells
        .iter()
        .map(|cell| {
            let points = cell.points.iter().map(|point| StudyPoint {
                loss: point.loss.map(|_| 0.0),
                losses: Vec::new(),
                quality: Vec::new(),
                ..*point
            });
            StudyCell {
                cost: None,
                points: points.collect(),
                ..cell.clone()
            }
        })
        .collect();
    json!({
        "people": study.part.map(|part| part.of),
        "models": study.models,
        "left_out": study.left_out,
        "rounding": study.rounding,
        "cells": cells,
    })
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::report::{StudyPart, Timing, example};

    /// A study of five people with losses, and the shard of some of them.
    fn shard(people: Range<u64>) -> Shard {
        let mut study = example::edge_study();
        study.people = people.end - people.start;
        study.part = Some(StudyPart {
            first: people.start,
            of: 5,
        });
        (study.claims, study.not_measured) = (Vec::new(), Vec::new());
        study.timing = Timing {
            seconds: [("people".to_string(), 2.0)].into(),
        };
        for (index, cell) in study.cells.iter_mut().enumerate() {
            for point in &mut cell.points {
                let of = |person: u64| (person * 7 + index as u64 * 3) as f64 % 10.0 / 10.0;
                point.quality = people.clone().map(of).collect();
                if point.loss.is_some() {
                    point.losses = people.clone().map(|person| of(person) + 0.1).collect();
                    point.loss = Some(mean(&point.losses));
                }
            }
        }
        (format!("s{}", people.start), study)
    }

    /// The same study in one piece.
    fn whole() -> EdgeStudy {
        let (_, mut study) = shard(0..5);
        study.part = None;
        for point in study.cells.iter_mut().flat_map(|cell| &mut cell.points) {
            point.losses = Vec::new();
        }
        (study.claims, study.not_measured) = claims(&study).unwrap();
        study
    }

    fn refused(shards: Vec<Shard>) -> String {
        merge(shards).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn shards_in_any_order_are_the_study_to_the_byte() {
        let mut expected = whole();
        expected.timing.seconds.insert("people".to_string(), 6.0);
        for order in [[0, 1, 2], [2, 0, 1]] {
            let parts = [0..1, 1..3, 3..5];
            let shards = order.map(|part| shard(parts[part].clone())).into();
            let (merged, notes) = merge(shards).unwrap();
            assert_eq!(merged.to_json().unwrap(), expected.to_json().unwrap());
            assert_eq!(notes, [""; 0]);
        }
    }

    #[test]
    fn shards_that_overlap_lack_people_or_differ_are_refused() {
        for (parts, message) in [
            (vec![0..3, 2..5], "s0 and s2 both hold person 2"),
            (vec![0..3, 0..3, 3..5], "s0 and s0 both hold person 0"),
            (vec![0..2, 3..5], "person 2 of 5 is missing"),
            (vec![2..3, 3..5], "people 0 to 1 of 5 are missing"),
        ] {
            let found = refused(parts.into_iter().map(shard).collect());
            assert!(found.starts_with(message), "{found}");
        }
        let with = |change: fn(&mut EdgeStudy)| {
            let mut other = shard(3..5);
            change(&mut other.1);
            refused(vec![shard(0..3), other])
        };
        type Case = (fn(&mut EdgeStudy), &'static str);
        let cases: [Case; 6] = [
            (
                |study| study.config["seed"] = 2.into(),
                "s3 is not a shard of the same study as s0: their settings differ (seed is 1 there, 2 here)",
            ),
            (
                |study| study.version = "2".into(),
                "Crossburn 0.1.0 there, 2 here",
            ),
            (
                |study| study.cells[2].rate = Some(0.5),
                "cells.2.rate is 0.01 there, 0.5 here",
            ),
            (
                |study| study.models[0].bytes = 7,
                "models.0.bytes is 1000 there, 7 here",
            ),
            (
                |study| study.models[0].digest = Some("b2".into()),
                "models.0.digest is 00000000000000a1 there, b2 here",
            ),
            (
                |study| study.part = None,
                "s3 is a whole study and no shard",
            ),
        ];
        for (change, message) in cases {
            let found = with(change);
            assert!(found.contains(message), "{found}");
        }
    }
}
