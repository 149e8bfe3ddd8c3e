//! Runs a contest: every proposer with every seed on one space, in a run folder.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context, Result, bail};
use crossburn_training::search::{
    Design, Judge, Judged, Limit, Searched, Speaker, Spoken, built_in,
};
use serde_json::Value;

use super::contest::{Contest, Extent};
use super::conversation::{Kept, read_transcript};
use super::findings::{Finished, Points, proposers, shown_exchanges};
use super::keeping::Keeping;
use super::space_file::SpaceFile;
use crate::apps::kept_file::{KeptFile, Work};
use crate::apps::lanes::in_lanes;
use crate::apps::study::{Clock, version};
use crate::apps::workplace::{JobObserver, Stage};
use crate::report::{Document, SearchResults, ShownExchange};

/// A participant.
pub(crate) enum Contestant {
    /// A proposer that needs only a seed, by its name.
    BuiltIn(String),
    /// A proposer with a conversation. It searches once.
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
    /// Searches; nothing if it was stopped. All evaluations and replies are then kept in the run folder.
    ///
    /// # Errors
    /// If a proposer cannot continue, or files cannot be written.
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
        let known = self.evaluated(contest, &kept)?;
        let keep = |evaluations: &BTreeMap<Design, Judged>| {
            let evaluations: BTreeMap<String, &Judged> = evaluations
                .iter()
                .map(|(design, judged)| (contest.space.text(design), judged))
                .collect();
            kept.write(&evaluations)
        };
        let (result, evaluations) = match contest.measurer.trains {
            false => {
                let mut cache = known;
                let judge = contest.judge();
                let result = clock.time("search", || {
                    self.all(contest, judge, contestants, &mut cache)
                });
                (result, cache)
            }
            true => {
                let judge = Keeping::new(contest.judge(), known, &keep);
                // The cache holds the evaluations of all searches, so that none starts with an empty one.
                let result = clock.time("search", || {
                    self.all(contest, &judge, contestants, &mut BTreeMap::new())
                });
                (result, judge.finished())
            }
        };
        keep(&evaluations)?;
        if self.stop.load(Ordering::Relaxed) {
            return Ok(None);
        }
        let finished = result?;
        let optimum = clock.time("optimum", || contest.optimum())?;
        let mut results = self.document(contest, &finished, optimum)?;
        results.timing = clock.timing();
        Ok(Some(results))
    }

    /// The designs that an earlier run has evaluated.
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

    /// All searches, in the order of the participants. Their evaluations are added to `cache`, even if one search fails.
    fn all(
        &self,
        contest: &Contest,
        judge: &dyn Judge,
        contestants: Vec<Contestant>,
        cache: &mut BTreeMap<Design, Judged>,
    ) -> Result<Vec<Finished>> {
        let built_in: Vec<&str> = contestants
            .iter()
            .filter_map(|contestant| match contestant {
                Contestant::BuiltIn(name) => Some(name.as_str()),
                Contestant::Spoken { .. } => None,
            })
            .collect();
        let mut searches = self
            .with_every_seed(contest, judge, &built_in, cache)?
            .into_iter();
        let mut finished = Vec::new();
        for contestant in contestants {
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
            match contestant {
                Contestant::BuiltIn(_) => finished.extend(searches.by_ref().take(self.seeds.len())),
                Contestant::Spoken { name, speaker } => {
                    finished.push(self.spoken(contest, judge, (name, speaker), cache)?);
                }
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

    /// The searches of the built-in proposers `names` with every seed, grouped by name. As many run at a time as there are cores.
    fn with_every_seed(
        &self,
        contest: &Contest,
        judge: &dyn Judge,
        names: &[&str],
        cache: &mut BTreeMap<Design, Judged>,
    ) -> Result<Vec<Finished>> {
        let total = (self.seeds.len() * self.budget) as u64;
        let stages: Vec<Box<dyn Stage>> = names
            .iter()
            .map(|name| self.observer.stage(name, total, "evaluation"))
            .collect();
        let jobs: Vec<(usize, u64)> = (0..names.len())
            .flat_map(|place| self.seeds.iter().map(move |seed| (place, *seed)))
            .collect();
        let best: Vec<Mutex<f64>> = stages.iter().map(|_| Mutex::new(f64::MIN)).collect();
        let (known, extent) = (&*cache, self.extent());
        let judged: Mutex<BTreeMap<Design, Judged>> = Mutex::default();
        let found: Mutex<BTreeMap<(usize, u64), Searched>> = Mutex::default();
        let lanes = rayon::current_num_threads();
        let ended = in_lanes(lanes, self.stop, &jobs, |&(place, seed)| {
            let mut own = known.clone();
            let advance = |highest: f64| {
                stages[place].advance(1);
                let mut best = best[place].lock().unwrap_or_else(PoisonError::into_inner);
                if highest > *best {
                    *best = highest;
                    stages[place].say(format!("best {highest:.4}"));
                }
            };
            let searched = built_in(names[place], seed)
                .with_context(|| format!("there is no proposer `{}`", names[place]))
                .and_then(|mut proposer| {
                    contest.search(judge, &mut *proposer, extent, &mut own, &advance)
                });
            let mut judged = judged.lock().unwrap_or_else(PoisonError::into_inner);
            judged.extend(own);
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            found.insert((place, seed), searched?);
            Ok(())
        });
        cache.extend(judged.into_inner().unwrap_or_else(PoisonError::into_inner));
        // All evaluations are in the cache now, so an error may end the job.
        ended?;
        let mut found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
        let finished = jobs.into_iter().filter_map(|(place, seed)| {
            Some(Finished {
                proposer: names[place].to_string(),
                seed: Some(seed),
                searched: found.remove(&(place, seed))?,
            })
        });
        Ok(finished.collect())
    }

    /// The search of a proposer with a conversation.
    fn spoken(
        &self,
        contest: &Contest,
        judge: &dyn Judge,
        (name, speaker): (String, Box<dyn Speaker>),
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
        let searched = contest.search(judge, &mut spoken, self.extent(), cache, &advance)?;
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
        let winner = points.highest();
        let layers = match &winner {
            Some(point) => contest.layers(&point.design)?,
            None => Vec::new(),
        };
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
            winner,
            layers,
            by_priority: by_priority.map(|place| points.all[place].clone()),
            points: points.shown(),
            conversation,
            timing: crate::report::Timing::default(),
        })
    }
}
