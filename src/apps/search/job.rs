//! The job of a search: every proposer with every seed on one space, in a run folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use crossburn_training::search::{Design, Judged, Limit, Speaker, Spoken, built_in};
use rayon::prelude::*;
use serde_json::Value;

use super::contest::{Contest, Extent};
use super::conversation::{Kept, read_transcript};
use super::findings::{Finished, Points, proposers, shown_exchanges};
use super::space_file::SpaceFile;
use crate::apps::kept_file::{KeptFile, Work};
use crate::apps::study::{Clock, version};
use crate::apps::workplace::JobObserver;
use crate::report::{Document, SearchResults, ShownExchange};

/// Who takes part.
pub(crate) enum Contestant {
    /// A proposer that needs nothing but a seed, by its name.
    BuiltIn(String),
    /// A proposer that is spoken with, and searches once.
    Spoken {
        name: String,
        speaker: Box<dyn Speaker>,
    },
}

/// A contest of proposers on one space.
pub(crate) struct SearchJob<'a> {
    pub(crate) file: &'a SpaceFile,
    pub(crate) budget: usize,
    pub(crate) seeds: Vec<u64>,
    pub(crate) config: Value,
    pub(crate) reproduce: String,
    pub(crate) out: &'a Path,
    pub(crate) resume: bool,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) observer: &'a dyn JobObserver,
}

const KEPT: Work = Work {
    key: "evaluations",
    is: "a file of evaluated designs",
    holds: "evaluated designs",
};
const KEPT_NAME: &str = "evaluations.json";

impl SearchJob<'_> {
    /// Searches; nothing where it was stopped, which leaves all evaluations and replies in the run folder.
    ///
    /// # Errors
    /// A proposer that cannot go on, and files that cannot be written.
    pub(crate) fn run(
        self,
        contest: &Contest,
        contestants: Vec<Contestant>,
    ) -> Result<Option<SearchResults>> {
        let mut clock = Clock::new();
        let kept = KeptFile::new(
            self.out.join(KEPT_NAME),
            serde_json::json!({
                "space": self.file,
                "table": contest.measurer.digest,
            }),
            KEPT,
        );
        let mut cache = self.evaluated(contest, &kept)?;
        let result = clock.time("search", || self.all(contest, contestants, &mut cache));
        let evaluations: BTreeMap<String, &Judged> = cache
            .iter()
            .map(|(design, judged)| (contest.space.text(design), judged))
            .collect();
        kept.write(&evaluations)?;
        let finished = result?;
        if self.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let optimum = clock.time("optimum", || contest.optimum())?;
        let mut results = self.document(contest, &finished, optimum)?;
        results.timing = clock.timing();
        Ok(Some(results))
    }

    /// The designs that an earlier run evaluated.
    fn evaluated(&self, contest: &Contest, kept: &KeptFile) -> Result<BTreeMap<Design, Judged>> {
        let known: BTreeMap<String, Judged> = kept.read(self.resume)?.unwrap_or_default();
        let mut cache = BTreeMap::new();
        for (text, judged) in known {
            match &judged {
                Judged::Measured(values) if values.len() != contest.measures().len() => bail!(
                    "{}: `{text}` has other measures: leave out --resume",
                    self.out.join(KEPT_NAME).display()
                ),
                _ => cache.insert(contest.space.parse(&text)?, judged),
            };
        }
        Ok(cache)
    }

    /// All searches. What they judged is added to `cache`, also where one fails.
    fn all(
        &self,
        contest: &Contest,
        contestants: Vec<Contestant>,
        cache: &mut BTreeMap<Design, Judged>,
    ) -> Result<Vec<Finished>> {
        let mut finished = Vec::new();
        for contestant in contestants {
            match contestant {
                Contestant::BuiltIn(name) => {
                    finished.extend(self.with_every_seed(contest, &name, cache)?);
                }
                Contestant::Spoken { name, speaker } => {
                    finished.push(self.spoken(contest, name, speaker, cache)?);
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(finished)
    }

    fn extent(&self) -> Extent<'_> {
        Extent {
            budget: self.budget,
            stop: self.stop,
        }
    }

    /// The searches of the built-in proposer `name`, side by side.
    fn with_every_seed(
        &self,
        contest: &Contest,
        name: &str,
        cache: &mut BTreeMap<Design, Judged>,
    ) -> Result<Vec<Finished>> {
        let total = (self.seeds.len() * self.budget) as u64;
        let stage = self.observer.stage(name, total, "evaluation");
        let (known, extent) = (&*cache, self.extent());
        let searches: Vec<_> = self
            .seeds
            .par_iter()
            .map(|seed| {
                let mut own = known.clone();
                let advance = |_: f64| stage.advance(1);
                let searched = built_in(name, *seed)
                    .with_context(|| format!("there is no proposer `{name}`"))
                    .and_then(|mut proposer| {
                        contest.search(&mut *proposer, extent, &mut own, &advance)
                    });
                (*seed, searched, own)
            })
            .collect();
        let mut finished = Vec::with_capacity(searches.len());
        for (seed, searched, own) in searches {
            cache.extend(own);
            finished.push(searched.map(|searched| Finished {
                proposer: name.to_string(),
                seed: Some(seed),
                searched,
            }));
        }
        // Only now, when everything that was judged is in the cache, may an error end this.
        finished.into_iter().collect()
    }

    /// The one search of a proposer that is spoken with.
    fn spoken(
        &self,
        contest: &Contest,
        name: String,
        speaker: Box<dyn Speaker>,
        cache: &mut BTreeMap<Design, Judged>,
    ) -> Result<Finished> {
        let path = self.conversation(&name);
        let earlier = match self.resume && path.exists() {
            true => read_transcript(&path)?,
            false => Vec::new(),
        };
        let speaker = Kept::new(speaker, &path, earlier)?;
        let mut spoken = Spoken::new(speaker, contest.goal());
        let stage = self.observer.stage(&name, self.budget as u64, "evaluation");
        let advance = |best: f64| {
            stage.advance(1);
            stage.say(format!("best {best:.4}"));
        };
        let searched = contest.search(&mut spoken, self.extent(), cache, &advance)?;
        let stopped = self.stop.load(Ordering::Relaxed);
        if let Some(reason) = searched.ended.as_ref().filter(|_| !stopped) {
            self.observer.note(&format!(
                "{name} ended after {} evaluations: {reason}",
                searched.trials.len()
            ));
        }
        Ok(Finished {
            proposer: name,
            seed: None,
            searched,
        })
    }

    fn conversation(&self, name: &str) -> PathBuf {
        self.out.join(format!("conversation-{name}.jsonl"))
    }

    fn document(
        &self,
        contest: &Contest,
        finished: &[Finished],
        optimum: Option<f64>,
    ) -> Result<SearchResults> {
        let (version, commit) = version();
        let points = Points::of(contest, finished);
        let by_priority = contest.by_priority(&points.values())?;
        let mut conversation: Vec<ShownExchange> = Vec::new();
        for search in finished.iter().filter(|search| search.seed.is_none()) {
            let exchanges = read_transcript(&self.conversation(&search.proposer))?;
            shown_exchanges(search, exchanges, &mut conversation);
        }
        Ok(SearchResults {
            schema: SearchResults::SCHEMA.into(),
            version,
            commit,
            reproduce: self.reproduce.clone(),
            config: self.config.clone(),
            space: contest.space.name().to_string(),
            about: contest.space.about().to_string(),
            designs: contest.space.size(),
            evaluation: contest.measurer.words.clone(),
            score: contest.score.words(),
            limits: contest.limits.iter().map(Limit::words).collect(),
            hidden: contest.hidden,
            budget: self.budget,
            optimum,
            measures: contest.measures().to_vec(),
            proposers: proposers(contest, finished, &points),
            winner: points.highest(),
            by_priority: by_priority.map(|place| points.all[place].clone()),
            points: points.shown(),
            conversation,
            timing: crate::report::Timing::default(),
        })
    }
}
