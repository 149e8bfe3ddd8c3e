//! Merges the shards of a population: checks which documents belong together, and which chips are missing.

use std::collections::BTreeSet;
use std::ops::Range;
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use crossburn_noise::{Better, Population};
use serde_json::Value;

use super::differences::differences;
use crate::report::registry;
use crate::report::{Document, MethodResults, Origin, PopulationSummary, Results, RunCommand};

/// The key of the items' digests in the configuration of an evaluation.
pub(crate) const DATA_DIGEST: &str = "data_digest";

/// The settings that name the items of an evaluation. If there is a digest, it is compared instead.
const DATA: [&str; 3] = ["data", "items", "data_seed"];

/// The end of a commit's name where sources were changed (`build.rs`).
const CHANGED: &str = "+modified";

/// The setting that names the device.
const DEVICE: &str = "device";

/// A document, and its name in messages.
struct Shard {
    name: String,
    results: Results,
}

/// The whole population.
struct Merged {
    results: Results,
    /// Remarks for the user.
    notes: Vec<String>,
}

/// Merges the shards in `runs`, which are run folders or documents.
///
/// # Errors
/// Those of [`merge`], and a document that cannot be read.
pub(crate) fn merge_runs(runs: &[PathBuf]) -> Result<registry::Merged> {
    let shard = |run: &PathBuf| {
        Ok(Shard {
            name: run.display().to_string(),
            results: Results::read(run)?,
        })
    };
    let shards: Result<Vec<Shard>> = runs.iter().map(shard).collect();
    let merged = merge(shards?)?;
    Ok((Box::new(merged.results), merged.notes))
}

/// Merges the shards of one population; their order does not matter.
///
/// Shards are merged if they are of the same version and commit of Crossburn and have the same settings: network, items (compared by content if there is a
/// digest, otherwise by name), variation or hardware, seed, and number of chips. Another device computes the same chips up to the rounding of sums;
/// this is noted.
///
/// # Errors
/// If two runs do not belong together (with the setting that differs), if two runs have the same chip, or if chips are missing.
fn merge(mut shards: Vec<Shard>) -> Result<Merged> {
    let mut notes = Vec::new();
    let (first, others) = shards.split_first().context("there is no shard to merge")?;
    require_evaluation(first, first)?;
    for other in others {
        require_evaluation(other, first)?;
        require_same(other, first, &mut notes)?;
    }
    shards.sort_by_key(|shard| first_chip(&shard.results));
    let whole = shards[0].results.config["chips"].as_u64();
    require_whole(&shards, whole)?;
    let mut results = shards[0].results.clone();
    let better = results.metric.better;
    for (index, method) in results.methods.iter_mut().enumerate() {
        let parts: Vec<(&str, &MethodResults)> = shards
            .iter()
            .map(|shard| (shard.name.as_str(), &shard.results.methods[index]))
            .collect();
        method.population = Some(merged_population(&parts, better)?);
    }
    let devices: BTreeSet<&str> = shards
        .iter()
        .filter_map(|shard| shard.results.config[DEVICE].as_str())
        .collect();
    if devices.len() > 1 {
        let all = devices.into_iter().collect::<Vec<_>>().join(", ");
        notes.push(format!(
            "the chips were computed on {all}: the same chips, up to the rounding of sums"
        ));
        results.config[DEVICE] = Value::from(all);
    }
    if shards.iter().any(|shard| shard.results.commit.is_none()) {
        results.commit = None;
    }
    for shard in &shards[1..] {
        for (stage, seconds) in &shard.results.timing.seconds {
            *results.timing.seconds.entry(stage.clone()).or_default() += seconds;
        }
    }
    Ok(Merged { results, notes })
}

fn require_evaluation(shard: &Shard, first: &Shard) -> Result<()> {
    if shard.results.command != RunCommand::Evaluate {
        bail!(
            "{} is not a shard of the same population as {}: it is a run of {}, not of evaluate",
            shard.name,
            first.name,
            shard.results.command.as_str()
        );
    }
    match shard.results.methods.iter().all(|m| m.population.is_some()) {
        true => Ok(()),
        false => bail!("{} holds no population: name runs of shards", shard.name),
    }
}

/// Two runs that are merged: their names in messages, the first one first, and what they are parts of.
#[derive(Clone, Copy)]
pub(crate) struct Pair<'a> {
    pub(crate) first: &'a str,
    pub(crate) other: &'a str,
    pub(crate) whole: &'a str,
}

impl Pair<'_> {
    /// The error that the second run does not belong to the first, with the setting that was `found` to differ.
    ///
    /// # Errors
    /// Always.
    pub(crate) fn refuse(self, found: &str) -> Result<()> {
        bail!(
            "{} is not a shard of the same {} as {}: their settings differ ({found})",
            self.other,
            self.whole,
            self.first
        )
    }

    /// Refuses documents of different versions or commits of Crossburn. A commit that is not known is noted, and so is one whose sources were changed: its
    /// name does not say how.
    ///
    /// # Errors
    /// Names both versions or commits.
    pub(crate) fn require_same_build(
        self,
        there: &Origin<'_>,
        here: &Origin<'_>,
        notes: &mut Vec<String>,
    ) -> Result<()> {
        if there.version != here.version {
            return self.refuse(&format!(
                "Crossburn {} there, {} here: run both with one version",
                there.version, here.version
            ));
        }
        match (there.commit, here.commit) {
            (Some(a), Some(b)) if a != b => {
                return self.refuse(&format!(
                    "commit {a} of Crossburn there, {b} here: run both with one commit"
                ));
            }
            (Some(commit), Some(_)) if commit.ends_with(CHANGED) => notes.push(format!(
                "{} and {} were built from changed sources of one commit: make sure that the changes were the same",
                self.first, self.other
            )),
            (None, Some(_)) | (Some(_), None) => notes.push(format!(
                "{} and {} may be of different commits of Crossburn: one of them does not say",
                self.first, self.other
            )),
            _ => {}
        }
        Ok(())
    }
}

/// Refuses a run whose settings differ from those of the first.
fn require_same(other: &Shard, first: &Shard, notes: &mut Vec<String>) -> Result<()> {
    let (there, here) = (&first.results, &other.results);
    let pair = Pair {
        first: &first.name,
        other: &other.name,
        whole: "population",
    };
    pair.require_same_build(&there.origin(), &here.origin(), notes)?;
    let digests = [there, here]
        .iter()
        .all(|run| !run.config[DATA_DIGEST].is_null());
    let compared = |run: &Results| {
        let mut config = run.config.clone();
        if let Some(settings) = config.as_object_mut() {
            settings.remove(DEVICE);
            if digests {
                DATA.iter().for_each(|key| {
                    settings.remove(*key);
                });
            }
        }
        config
    };
    let found = differences(&compared(there), &compared(here));
    if !found.is_empty() {
        return pair.refuse(&found.join("; "));
    }
    let names = |run: &Results| -> Vec<String> {
        run.methods
            .iter()
            .map(|method| method.name.clone())
            .collect()
    };
    let (a, b) = (names(there), names(here));
    if a != b {
        return pair.refuse(&format!("{} there, {} here", a.join(", "), b.join(", ")));
    }
    Ok(())
}

fn first_chip(run: &Results) -> u64 {
    let populations = run.methods.iter().filter_map(|m| m.population.as_ref());
    populations.map(|p| p.first).min().unwrap_or(0)
}

fn chips(population: &PopulationSummary) -> Range<u64> {
    population.first..population.first.saturating_add(population.chips as u64)
}

/// Refuses shards that share chips, and shards that lack chips of `whole`. The shards are in the order of their chips.
fn require_whole(shards: &[Shard], whole: Option<u64>) -> Result<()> {
    const CHIPS: Pieces = Pieces {
        one: "chip",
        several: "chips",
        whole: "population",
    };
    for index in 0..shards[0].results.methods.len() {
        let held = |shard: &Shard| shard.results.methods[index].population.as_ref().map(chips);
        let parts: Vec<(&str, Range<u64>)> = shards
            .iter()
            .filter_map(|shard| Some((shard.name.as_str(), held(shard)?)))
            .collect();
        CHIPS.require_whole(&parts, whole)?;
    }
    Ok(())
}

/// The numbered pieces that shards hold, in words.
pub(crate) struct Pieces {
    pub(crate) one: &'static str,
    pub(crate) several: &'static str,
    /// What they are pieces of.
    pub(crate) whole: &'static str,
}

impl Pieces {
    /// Refuses parts that share pieces, and parts that lack pieces of `whole`; the parts, by name, are in the order of their pieces. Without `whole` they
    /// end with the last.
    ///
    /// # Errors
    /// Names the parts, and pieces that are missing or held twice.
    pub(crate) fn require_whole(
        &self,
        parts: &[(&str, Range<u64>)],
        whole: Option<u64>,
    ) -> Result<()> {
        let Self { one, several, .. } = self;
        let (mut end, mut before, mut lacking) = (0, "", 0);
        let mut missing = Vec::new();
        let mut gap = |from: u64, to: u64| {
            let count = to.saturating_sub(from);
            lacking += count;
            match count {
                0 => {}
                1 => missing.push(format!("{one} {from}")),
                _ => missing.push(format!("{several} {from} to {}", to - 1)),
            }
        };
        for (name, held) in parts {
            if held.start < end {
                bail!(
                    "{before} and {name} both hold {one} {}: name every shard once",
                    held.start
                );
            }
            gap(end, held.start);
            (end, before) = (held.end, *name);
        }
        let whole = whole.unwrap_or(end);
        gap(end, whole);
        if !missing.is_empty() {
            let verb = if lacking == 1 { "is" } else { "are" };
            bail!(
                "{} of {whole} {verb} missing: name the shards that hold them, too",
                missing.join(" and ")
            );
        }
        if end > whole {
            bail!(
                "{before} holds {several} up to {}, more than the {whole} of its {}",
                end - 1,
                self.whole
            );
        }
        Ok(())
    }
}

/// Joins the parts of a population, in the order of their chips.
fn merged_population(
    parts: &[(&str, &MethodResults)],
    better: Better,
) -> Result<PopulationSummary> {
    let mut populations = Vec::new();
    let mut items = None;
    for (name, method) in parts {
        let part = method
            .population
            .as_ref()
            .with_context(|| format!("{name} holds no population"))?;
        if *items.get_or_insert(part.items) != part.items {
            bail!(
                "{name} is not a shard of the same population as {}: its chips saw {} items",
                parts[0].0,
                part.items
            );
        }
        let population = Population::new(part.seed, part.first, part.values.clone());
        populations.push(population.judged_by(better));
    }
    let merged = Population::merge(populations)?;
    Ok(PopulationSummary::of(&merged, items.unwrap_or(0))?)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::*;
    use crate::report::{DataSummary, Figures, Timing};
    use crossburn_noise::Metric;

    /// The metric of a chip with a method.
    fn metric_of(method: usize, chip: u64) -> f64 {
        ((chip * 7 + method as u64 * 3) % 100) as f64 / 100.0
    }

    /// A shard of a run of 30 chips with two methods.
    fn shard(chips: Range<u64>) -> Shard {
        let method = |index: usize| MethodResults {
            name: format!("cell{index}"),
            training_noise: Value::Null,
            tried: Vec::new(),
            clean: 0.9,
            also: Vec::new(),
            curve: Vec::new(),
            population: Some({
                let metric = chips.clone().map(|chip| metric_of(index, chip)).collect();
                PopulationSummary::of(&Population::new(7, chips.start, metric), 50).unwrap()
            }),
            sweep: Vec::new(),
            hardware: None,
            percentiles: None,
        };
        Shard {
            name: format!("s{}", chips.start),
            results: Results {
                schema: Results::SCHEMA.to_string(),
                command: RunCommand::Evaluate,
                version: "1".to_string(),
                commit: Some("abc".to_string()),
                reproduce: "crossburn evaluate run".to_string(),
                config: json!({
                    "weights": "w", "data": "mnist:a", "items": 50, "data_seed": 1, "chips": 30, "seed": 7,
                    "device": "cpu", "data_digest": { "test": "t" },
                }),
                data: DataSummary {
                    source: "mnist:a".to_string(),
                    train: 0,
                    validation: 0,
                    test: 50,
                },
                metric: Metric::share("accuracy"),
                training_metric: None,
                deployment: None,
                methods: vec![method(0), method(1)],
                confusion: None,
                figures: Figures::default(),
                timing: Timing {
                    seconds: BTreeMap::from([("chips".to_string(), 2.0)]),
                },
            },
        }
    }

    fn refused(shards: Vec<Shard>) -> String {
        merge(shards).map(|_| ()).unwrap_err().to_string()
    }

    #[test]
    fn shards_in_any_order_are_the_population_of_every_method() {
        let whole = shard(0..30).results;
        for order in [[0, 1, 2], [2, 0, 1]] {
            let parts = [0..4, 4..20, 20..30];
            let merged = merge(order.map(|i| shard(parts[i].clone())).into()).unwrap();
            assert_eq!(merged.results.methods, whole.methods);
            assert_eq!(merged.results.timing.seconds["chips"], 6.0);
            assert_eq!(merged.notes, [""; 0]);
        }
    }

    #[test]
    fn a_part_is_not_taken_for_the_whole() {
        for (parts, missing) in [
            (vec![0..10, 10..20], "chips 20 to 29 of 30 are missing"),
            (vec![10..20, 20..30], "chips 0 to 9 of 30 are missing"),
            (vec![0..10, 20..30], "chips 10 to 19 of 30 are missing"),
            (
                vec![1..10, 12..29],
                "chip 0 and chips 10 to 11 and chip 29 of 30 are missing",
            ),
            (vec![0..10, 10..29], "chip 29 of 30 is missing"),
        ] {
            let message = refused(parts.into_iter().map(shard).collect());
            assert!(message.starts_with(missing), "{message}");
        }
        assert!(
            refused(vec![shard(0..20), shard(10..30)]).contains("s0 and s10 both hold chip 10")
        );
        assert!(refused(vec![shard(0..20), shard(20..40)]).contains("more than the 30"));
    }

    #[test]
    fn what_differs_is_refused_by_name() {
        let with = |change: fn(&mut Results)| {
            let mut other = shard(10..30);
            change(&mut other.results);
            vec![shard(0..10), other]
        };
        type Case = (fn(&mut Results), &'static str);
        let cases: [Case; 8] = [
            (|r| r.config["seed"] = json!(8), "seed is 7 there, 8 here"),
            (
                |r| r.config["chips"] = json!(60),
                "chips is 30 there, 60 here",
            ),
            (
                |r| r.config["data_digest"]["test"] = json!("u"),
                "data_digest.test is t there, u here",
            ),
            (|r| r.version = "2".to_string(), "Crossburn 1 there, 2 here"),
            (
                |r| r.commit = Some("d".to_string()),
                "commit abc of Crossburn there, d here",
            ),
            (|r| r.command = RunCommand::Train, "a run of train"),
            (
                |r| r.methods[1].name = "x".to_string(),
                "cell0, cell1 there, cell0, x here",
            ),
            (
                |r| r.methods[1].population = None,
                "s10 holds no population",
            ),
        ];
        for (change, part) in cases {
            let message = refused(with(change));
            assert!(
                message.contains(part) && message.contains("s10"),
                "{message}"
            );
        }
    }

    #[test]
    fn images_are_compared_by_content_where_it_is_known() {
        let mut other = shard(10..30);
        other.results.config["data"] = json!("mnist:b");
        other.results.config["items"] = Value::Null;
        assert!(merge(vec![shard(0..10), other]).is_ok());
        // Documents without a digest, where only names can be compared.
        let old = |chips: Range<u64>, data: &str| {
            let mut shard = shard(chips);
            shard.results.config["data"] = json!(data);
            shard
                .results
                .config
                .as_object_mut()
                .unwrap()
                .remove(DATA_DIGEST);
            shard
        };
        assert!(merge(vec![old(0..10, "a"), old(10..30, "a")]).is_ok());
        assert!(refused(vec![old(0..10, "a"), old(10..30, "b")]).contains("data is a there"));
    }

    #[test]
    fn changed_sources_of_one_commit_are_noted() {
        let of = |chips: Range<u64>, commit: &str| {
            let mut shard = shard(chips);
            shard.results.commit = Some(commit.to_string());
            shard
        };
        let merged = merge(vec![of(0..10, "abc+modified"), of(10..30, "abc+modified")]).unwrap();
        let expected = "s0 and s10 were built from changed sources of one commit: make sure that the changes were the same";
        assert_eq!(merged.notes, [expected]);
        let message = refused(vec![of(0..10, "abc"), of(10..30, "abc+modified")]);
        assert!(
            message.contains("commit abc of Crossburn there, abc+modified here"),
            "{message}"
        );
    }

    #[test]
    fn other_devices_and_unknown_commits_are_noted() {
        let mut other = shard(10..30);
        other.results.config["device"] = json!("wgpu");
        other.results.commit = None;
        let merged = merge(vec![other, shard(0..10)]).unwrap();
        assert_eq!(merged.results.config["device"], "cpu, wgpu");
        assert_eq!(merged.results.commit, None);
        let notes = merged.notes.join("\n");
        assert!(
            notes.contains("computed on cpu, wgpu")
                && notes.contains("s10 and s0 may be of different commits"),
            "{notes}"
        );
    }
}
