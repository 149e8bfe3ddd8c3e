//! The job of a search: every proposer with every seed on one space, and a document of what they found.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, bail};
use crossburn_training::search::{
    Design, Draws, Goal, Judged, Limit, Measure, Proposer, Score, ScoreConfig, Search, Searched,
    Space, Speaker, Spoken, best, best_by_priority, best_so_far, built_in, hypervolume, pareto_set,
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::conversation::{Kept, read_transcript};
use super::space_file::{Measurer, SpaceFile};
use crate::apps::kept_file::{KeptFile, Work};
use crate::apps::study::{Clock, version};
use crate::apps::workplace::JobObserver;
use crate::report::{
    DesignPoint, Document, ProposerResults, SearchResults, SearchRun, ShownExchange,
};

/// Spaces of at most this many designs are looked through for the best, where that needs no training.
const LOOKED_THROUGH: f64 = 50_000.0;
/// Designs that are drawn to see whether any keeps the limits.
const LIMIT_DRAWS: usize = 500;
/// Designs of a document beside those of the Pareto sets.
const MOST_POINTS: usize = 400;
/// Exchanges of a document.
const MOST_EXCHANGES: usize = 200;
/// Characters of a reply that a document shows.
const MOST_REPLY: usize = 2000;

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
    /// Whether names and values of the space are hidden from proposers.
    pub(crate) hidden: bool,
    pub(crate) contestants: Vec<Contestant>,
    pub(crate) config: Value,
    pub(crate) reproduce: String,
    pub(crate) out: &'a Path,
    pub(crate) resume: bool,
    pub(crate) stop: &'a AtomicBool,
    pub(crate) observer: &'a dyn JobObserver,
}

/// Everything that all searches of a contest share.
pub(crate) struct Contest {
    space: Space,
    view: Space,
    measurer: Measurer,
    score: Score,
    limits: Vec<Limit>,
}

/// A finished search.
struct Finished {
    proposer: String,
    seed: Option<u64>,
    searched: Searched,
}

/// What is known of a design, on disk.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum KeptJudgement {
    Values(Vec<f64>),
    Refused(String),
}

const KEPT: Work = Work {
    key: "evaluations",
    is: "a file of evaluated designs",
    holds: "evaluated designs",
};
const KEPT_NAME: &str = "evaluations.json";

impl Contest {
    /// Checks everything before anything is searched.
    ///
    /// # Errors
    /// What cannot be used, and limits that no design seems to keep.
    pub(crate) fn new(
        file: &SpaceFile,
        score: &ScoreConfig,
        limits: &[(String, f64)],
        hidden: bool,
    ) -> Result<Self> {
        let space = file.space()?;
        let measurer = file.judge(&space)?;
        let measures = measurer.judge.measures();
        let limits = limits
            .iter()
            .map(|(name, most)| Limit::new(name, *most, measures));
        let contest = Self {
            view: match hidden {
                true => space.anonymous(),
                false => space.clone(),
            },
            score: Score::new(score.clone(), measures)?,
            limits: limits.collect::<Result<_, _>>()?,
            space,
            measurer,
        };
        best_by_priority(&[], &file.priorities, contest.measures())?;
        contest.check_limits()?;
        Ok(contest)
    }

    fn measures(&self) -> &[Measure] {
        self.measurer.judge.measures()
    }

    /// Refuses limits that none of many random designs keeps.
    fn check_limits(&self) -> Result<()> {
        if self.limits.is_empty() {
            return Ok(());
        }
        let mut draws = Draws::new(0, "limits");
        let mut least: Option<Vec<f64>> = None;
        for _ in 0..LIMIT_DRAWS {
            let Some(design) = self.space.draw(&mut draws) else {
                break;
            };
            let Judged::Measured(values) = self.measurer.judge.judge(&self.space, &design)? else {
                continue;
            };
            if self
                .limits
                .iter()
                .all(|limit| limit.refuses(&values).is_none())
            {
                return Ok(());
            }
            least = Some(match least {
                None => values,
                Some(least) => least.iter().zip(&values).map(|(a, b)| a.min(*b)).collect(),
            });
        }
        let words: Vec<String> = self.limits.iter().map(Limit::words).collect();
        let Some(least) = least else {
            bail!(
                "none of {LIMIT_DRAWS} random designs can be built: check the hardware axes of the space"
            );
        };
        let seen = self.measures().iter().zip(least).filter(|(measure, _)| {
            self.limits
                .iter()
                .any(|limit| limit.measure() == measure.name)
        });
        let seen: Vec<String> = seen
            .map(|(measure, least)| format!("{} {least:.4e} {}", measure.name, measure.unit))
            .collect();
        bail!(
            "none of {LIMIT_DRAWS} random designs keeps --limit {}: the least that was seen is {}",
            words.join(" and "),
            seen.join(", ")
        )
    }

    fn goal(&self, hidden: bool) -> Goal {
        match hidden {
            true => Goal::hidden(),
            false => Goal {
                score: self.score.words(),
                limits: self.limits.iter().map(Limit::words).collect(),
                measures: self.measures().to_vec(),
            },
        }
    }

    /// The highest score of the space, where all of it can be looked through.
    fn optimum(&self) -> Result<Option<f64>> {
        if self.space.size() > LOOKED_THROUGH {
            return Ok(None);
        }
        let designs: Vec<Design> = self.space.designs().collect();
        let scores = designs.par_iter().map(|design| {
            if self.space.check(design).is_err() {
                return Ok(f64::NEG_INFINITY);
            }
            Ok(match self.measurer.judge.judge(&self.space, design)? {
                Judged::Measured(values)
                    if self.limits.iter().all(|l| l.refuses(&values).is_none()) =>
                {
                    self.score.of(&values)
                }
                _ => f64::NEG_INFINITY,
            })
        });
        let scores = scores.collect::<Result<Vec<f64>>>()?;
        let highest = scores.into_iter().fold(f64::NEG_INFINITY, f64::max);
        Ok(highest.is_finite().then_some(highest))
    }
}

/// For how long a search goes on.
#[derive(Clone, Copy)]
struct Extent<'a> {
    budget: usize,
    stop: &'a AtomicBool,
}

impl Contest {
    /// One search. `advance` hears the highest score after every evaluation.
    fn search(
        &self,
        proposer: &mut dyn Proposer,
        extent: Extent<'_>,
        cache: &mut BTreeMap<Design, Judged>,
        advance: &dyn Fn(f64),
    ) -> Result<Searched> {
        let search = Search {
            space: &self.space,
            view: &self.view,
            score: &self.score,
            limits: &self.limits,
            budget: extent.budget,
        };
        let mut highest = f64::NEG_INFINITY;
        Ok(
            search.run(&*self.measurer.judge, proposer, cache, &mut |trials| {
                if let Some(trial) = trials.last() {
                    highest = highest.max(trial.score);
                }
                advance(highest);
                match extent.stop.load(Ordering::Relaxed) {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                }
            })?,
        )
    }
}

impl SearchJob<'_> {
    /// Searches; nothing where it was stopped, which leaves all evaluations and replies in the run folder.
    ///
    /// # Errors
    /// A proposer that cannot go on, and files that cannot be written.
    pub(crate) fn run(mut self, contest: &Contest) -> Result<Option<SearchResults>> {
        let mut clock = Clock::new();
        let kept = KeptFile::new(
            self.out.join(KEPT_NAME),
            serde_json::json!({
                "space": self.file,
                "table": contest.measurer.digest,
            }),
            KEPT,
        );
        let known: BTreeMap<String, KeptJudgement> = kept.read(self.resume)?.unwrap_or_default();
        let mut cache: BTreeMap<Design, Judged> = BTreeMap::new();
        for (text, judgement) in known {
            let judged = match judgement {
                KeptJudgement::Values(values) if values.len() == contest.measures().len() => {
                    Judged::Measured(values)
                }
                KeptJudgement::Values(_) => bail!(
                    "{}: `{text}` has other measures: leave out --resume",
                    self.out.join(KEPT_NAME).display()
                ),
                KeptJudgement::Refused(reason) => Judged::Refused(reason),
            };
            cache.insert(contest.space.parse(&text)?, judged);
        }
        let contestants = std::mem::take(&mut self.contestants);
        let result = clock.time("search", || self.all(contest, contestants, &mut cache));
        let evaluations: BTreeMap<String, KeptJudgement> = cache
            .into_iter()
            .map(|(design, judged)| {
                let judgement = match judged {
                    Judged::Measured(values) => KeptJudgement::Values(values),
                    Judged::Refused(reason) => KeptJudgement::Refused(reason),
                };
                (contest.space.text(&design), judgement)
            })
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

    /// All searches. What they judged is added to `cache`, also where one fails.
    fn all(
        &self,
        contest: &Contest,
        contestants: Vec<Contestant>,
        cache: &mut BTreeMap<Design, Judged>,
    ) -> Result<Vec<Finished>> {
        let mut finished = Vec::new();
        let extent = Extent {
            budget: self.budget,
            stop: self.stop,
        };
        for contestant in contestants {
            match contestant {
                Contestant::BuiltIn(name) => {
                    let total = (self.seeds.len() * self.budget) as u64;
                    let stage = self.observer.stage(&name, total, "evaluation");
                    let known = &*cache;
                    let searches: Vec<_> = self
                        .seeds
                        .par_iter()
                        .map(|seed| {
                            let mut own = known.clone();
                            let advance = |_: f64| stage.advance(1);
                            let searched = built_in(&name, *seed)
                                .with_context(|| format!("there is no proposer `{name}`"))
                                .and_then(|mut proposer| {
                                    contest.search(&mut *proposer, extent, &mut own, &advance)
                                });
                            (*seed, searched, own)
                        })
                        .collect();
                    drop(stage);
                    for (seed, searched, own) in searches {
                        cache.extend(own);
                        finished.push(Finished {
                            proposer: name.clone(),
                            seed: Some(seed),
                            searched: searched?,
                        });
                    }
                }
                Contestant::Spoken { name, speaker } => {
                    let path = self.conversation(&name);
                    let earlier = match self.resume && path.exists() {
                        true => read_transcript(&path)?,
                        false => Vec::new(),
                    };
                    let speaker = Kept::new(speaker, &path, earlier)?;
                    let mut spoken = Spoken::new(speaker, contest.goal(self.hidden));
                    let stage = self.observer.stage(&name, self.budget as u64, "evaluation");
                    let advance = |best: f64| {
                        stage.advance(1);
                        stage.say(format!("best {best:.4}"));
                    };
                    let searched = contest.search(&mut spoken, extent, cache, &advance)?;
                    let stopped = self.stop.load(Ordering::Relaxed);
                    if let Some(reason) = searched.ended.as_ref().filter(|_| !stopped) {
                        self.observer.note(&format!(
                            "{name} ended after {} evaluations: {reason}",
                            searched.trials.len()
                        ));
                    }
                    finished.push(Finished {
                        proposer: name,
                        seed: None,
                        searched,
                    });
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(finished)
    }

    fn conversation(&self, name: &str) -> std::path::PathBuf {
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
        let winner = points.highest();
        let valid: Vec<&[f64]> = points.all.iter().map(|point| &point.values[..]).collect();
        let by_priority = match self.file.priorities.is_empty() {
            true => None,
            false => best_by_priority(&valid, &self.file.priorities, contest.measures())?,
        };
        let mut conversation = Vec::new();
        for search in finished.iter().filter(|search| search.seed.is_none()) {
            let path = self.conversation(&search.proposer);
            let asked = search.searched.trials.len();
            let exchanges = read_transcript(&path)?.into_iter();
            // The transcript of a longer run that was resumed has more.
            for exchange in exchanges.filter(|exchange| exchange.evaluation <= asked) {
                conversation.push(ShownExchange {
                    proposer: search.proposer.clone(),
                    evaluation: exchange.evaluation,
                    reply: exchange.reply.chars().take(MOST_REPLY).collect(),
                    problem: exchange.problem,
                });
            }
        }
        conversation.truncate(MOST_EXCHANGES);
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
            hidden: self.hidden,
            budget: self.budget,
            optimum,
            measures: contest.measures().to_vec(),
            proposers: proposers(contest, finished, &points),
            winner,
            by_priority: by_priority.map(|place| points.all[place].clone()),
            points: points.shown(),
            conversation,
            timing: crate::report::Timing::default(),
        })
    }
}

/// The valid designs of all searches, each once.
struct Points {
    all: Vec<DesignPoint>,
    measures: Vec<Measure>,
}

impl Points {
    fn of(contest: &Contest, finished: &[Finished]) -> Self {
        let mut seen: BTreeMap<&Design, DesignPoint> = BTreeMap::new();
        for search in finished {
            for (number, trial) in search.searched.trials.iter().enumerate() {
                let Some(design) = trial.design.as_ref().filter(|_| trial.is_valid()) else {
                    continue;
                };
                seen.entry(design).or_insert_with(|| DesignPoint {
                    design: contest.space.text(design),
                    values: trial.values.clone(),
                    score: trial.score,
                    proposer: search.proposer.clone(),
                    seed: search.seed,
                    evaluation: number + 1,
                });
            }
        }
        Self {
            all: seen.into_values().collect(),
            measures: contest.measures().to_vec(),
        }
    }

    fn highest(&self) -> Option<DesignPoint> {
        let highest = self
            .all
            .iter()
            .reduce(|best, point| match point.score > best.score {
                true => point,
                false => best,
            });
        highest.cloned()
    }

    /// The places of the points that are best by the first measure and the one at `with`.
    fn front(&self, with: usize) -> Vec<usize> {
        let pairs: Vec<[f64; 2]> = self
            .all
            .iter()
            .map(|point| [point.values[0], point.values[with]])
            .collect();
        let pairs: Vec<&[f64]> = pairs.iter().map(|pair| &pair[..]).collect();
        let better = [self.measures[0].better, self.measures[with].better];
        pareto_set(&pairs, &better)
    }

    /// Those that a document has: the Pareto sets of the first measure with each other one, and some of the rest.
    fn shown(&self) -> Vec<DesignPoint> {
        let mut chosen: Vec<usize> = (1..self.measures.len())
            .flat_map(|with| self.front(with))
            .collect();
        let stride = self.all.len().div_ceil(MOST_POINTS).max(1);
        chosen.extend((0..self.all.len()).step_by(stride));
        chosen.sort_unstable();
        chosen.dedup();
        chosen
            .into_iter()
            .map(|place| self.all[place].clone())
            .collect()
    }

    /// The worst and the best value of a measure.
    fn ends(&self, place: usize) -> Option<(f64, f64)> {
        let better = self.measures.get(place)?.better;
        let values = self.all.iter().map(|point| point.values[place]);
        let (least, most) = values
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), value| {
                (low.min(value), high.max(value))
            });
        (least < most).then(|| better.ends(least, most))
    }
}

/// The searches by proposer, in the order in which they were asked for.
fn proposers(contest: &Contest, finished: &[Finished], points: &Points) -> Vec<ProposerResults> {
    let ends = points.ends(0).zip(points.ends(1));
    let mut found: Vec<ProposerResults> = Vec::new();
    for search in finished {
        let trials = &search.searched.trials;
        let valid: Vec<&[f64]> = trials
            .iter()
            .filter(|trial| trial.is_valid())
            .map(|trial| &trial.values[..2.min(trial.values.len())])
            .collect();
        let share = ends.map(|((worst0, best0), (worst1, best1))| {
            let better = [points.measures[0].better, points.measures[1].better];
            let whole = ((best0 - worst0) * (best1 - worst1)).abs();
            hypervolume(&valid, &[worst0, worst1], &better) / whole
        });
        let count = |of: fn(&crossburn_training::search::Trial) -> bool| {
            trials.iter().filter(|trial| of(trial)).count()
        };
        let run = SearchRun {
            seed: search.seed,
            evaluations: trials.len(),
            repeated: count(|trial| trial.repeated),
            invalid: count(|trial| trial.design.is_none()),
            refused: count(|trial| trial.design.is_some() && !trial.is_valid()),
            best: best_so_far(trials),
            best_design: best(trials)
                .and_then(|trial| trial.design.as_ref())
                .map(|design| contest.space.text(design)),
            hypervolume: share,
            ended: search.searched.ended.clone(),
        };
        match found
            .iter_mut()
            .find(|proposer| proposer.name == search.proposer)
        {
            Some(proposer) => proposer.runs.push(run),
            None => found.push(ProposerResults {
                name: search.proposer.clone(),
                runs: vec![run],
            }),
        }
    }
    found
}
