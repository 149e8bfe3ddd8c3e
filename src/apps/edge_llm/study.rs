//! Runs a study: models, learning rates, every person under every condition, and the document.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::Ordering;
use std::sync::{Mutex, MutexGuard, PoisonError};

use anyhow::{Result, bail};
use burn::module::Module;
use crossburn_training::data::personal::ExampleKind;
use crossburn_training::personalisation::{AnswerMetric, LearningMethod};
use serde_json::{Value, json};

use super::base::{Base, Bases, Given};
use super::cell::Laboratory;
use super::cells::{CellStore, Measured};
use super::claims::claims;
use super::compression::Compression;
use super::conditions::Condition;
use super::costs::CostStore;
use super::people::People;
use super::rates::{chosen, rate_of, trials};
use super::study_file::{ModelFile, StudyFile, kind_of};
use crate::apps::lanes::in_lanes;
use crate::apps::study::{Clock, StudyObserver, json, version};
use crate::apps::workplace::Workplace;
use crate::report::{
    Document, EdgeStudy, StudyCell, StudyModel, StudyPart, StudyPoint, StudyTask, mean,
};

/// Where a study runs.
#[derive(Clone, Copy)]
pub(crate) struct StudyPlace<'a> {
    pub(crate) work: Workplace<'a>,
    /// Number of people at a time.
    pub(crate) lanes: usize,
    /// The verb that runs it.
    pub(crate) made_by: &'a str,
    /// What is measured.
    pub(crate) extent: StudyExtent<'a>,
}

/// What is measured of a study.
#[derive(Clone, Copy)]
pub(crate) struct StudyExtent<'a> {
    /// The people: all of the study, or those of a shard.
    pub(crate) people: &'a Range<u64>,
    /// Whether memory and time of every condition are measured as well.
    pub(crate) costs: bool,
}

/// One person under some conditions of one model and task, and the learning rate of each condition.
struct Job {
    person: u64,
    cells: Vec<(Condition, Option<f64>)>,
}

/// The predicted needs of a condition.
#[derive(Clone, Copy)]
struct Predicted {
    learning_bytes: u64,
    answering_bytes: u64,
    step_operations: f64,
    answer_operations: f64,
    answer_joules: Option<f64>,
}

/// The conditions for which the device has enough memory.
struct Fitting {
    fitting: Vec<(Condition, Predicted)>,
    /// The names of the other conditions, with the bytes that they need.
    left_out: Vec<String>,
}

/// The settings of `study`, in the form of its document.
///
/// # Errors
/// Settings without a form in JSON.
pub(crate) fn config(study: &StudyFile) -> Result<Value> {
    json(study)
}

/// The settings of `study`, with digests of the texts that were read: a file may change and keep its name.
fn settings(study: &StudyFile, people: &People) -> Result<Value> {
    let mut settings = config(study)?;
    if !study.texts.is_empty() {
        settings["texts_checksums"] = json!(people.checksums());
    }
    Ok(settings)
}

/// Runs `study`; `None` if it was stopped. Finished cells are then kept.
///
/// # Errors
/// If finished cells have other settings, no cell fits the device, or a training diverges.
pub(crate) fn run<O: StudyObserver>(
    study: &StudyFile,
    place: &StudyPlace<'_>,
    observer: &O,
) -> Result<Option<EdgeStudy>> {
    let mut clock = Clock::new();
    let conditions = study.conditions()?;
    let (people, given) = (
        People::read(study, &conditions)?,
        Given::open(study, &conditions)?,
    );
    let mut of = settings(study, &people)?;
    // A study may be resumed with more people, other learning rates or other grids, unless this moves a question into a history.
    for key in ["people", "rates", "grid", "device"] {
        of[key].take();
    }
    of["longest_history"] = json!(study.longest_history());
    if !given.checksums().is_empty() {
        of["models_checksums"] = json!(given.checksums());
    }
    let store = CellStore::open(place.work.out, of.clone(), place.work.resume)?;
    let costs = CostStore::open(place.work.out, of, place.work.resume)?;
    let bases = clock.time("models", || {
        Bases::new(study, (&conditions, &given), &place.work, observer)
    })?;
    let Some(bases) = bases else {
        return Ok(None);
    };
    let laboratory = Laboratory {
        study,
        bases: &bases,
        people: &people,
        device: place.work.device,
        stop: place.work.stop,
    };
    measure(laboratory, place, (store, costs), (conditions, clock))
}

/// Measures every cell that fits, and makes the document.
fn measure(
    laboratory: Laboratory<'_>,
    place: &StudyPlace<'_>,
    (store, mut costs): (CellStore, CostStore),
    (conditions, mut clock): (Vec<Condition>, Clock),
) -> Result<Option<EdgeStudy>> {
    let Laboratory { study, bases, .. } = laboratory;
    let stopped = || place.work.stop.load(Ordering::SeqCst);
    let Fitting { fitting, left_out } = fitting(&laboratory, conditions)?;
    let store = Mutex::new(store);
    let all: Vec<Condition> = fitting
        .iter()
        .map(|(condition, _)| condition.clone())
        .collect();
    let trials = trials(study, &all);
    let tried: Vec<Job> = trials
        .iter()
        .map(|trial| Job {
            person: trial.person,
            cells: vec![(trial.condition.clone(), Some(trial.rate))],
        })
        .collect();
    clock.time("learning rates", || {
        do_all(&laboratory, "learning rates", tried, &store, place)
    })?;
    if stopped() {
        return Ok(None);
    }
    let rates = chosen(study, &trials, &held(&store));
    let jobs = jobs(study, &all, &rates, place.extent.people);
    clock.time("people", || {
        do_all(&laboratory, "people", jobs, &store, place)
    })?;
    if place.extent.costs {
        let all = all.iter().map(|one| (one, rate_of(study, &rates, one)));
        clock.time("memory and time", || {
            costs.measure(&laboratory, all, place.work.observer)
        })?;
    }
    if stopped() {
        return Ok(None);
    }
    let store = held(&store);
    let cells = fitting.iter().map(|(condition, predicted)| {
        let rate = rate_of(study, &rates, condition);
        let cell = cell(study, condition, *predicted, (rate, place.extent), &store)?;
        let asked = place.extent.costs;
        Some(StudyCell {
            cost: costs.get(&condition.to_string()).filter(|_| asked),
            ..cell
        })
    });
    let Some(cells) = cells.collect::<Option<Vec<StudyCell>>>() else {
        return Ok(None);
    };
    let (version, commit) = version();
    let mut document = EdgeStudy {
        schema: EdgeStudy::SCHEMA.to_string(),
        version,
        commit,
        reproduce: String::new(),
        config: settings(study, laboratory.people)?,
        made_by: place.made_by.to_string(),
        people: place.extent.count(),
        part: place.extent.part(study),
        questions: study.questions as u64,
        operations_per_second: study.device.operations_per_second,
        tasks: tasks(&cells)?,
        models: models(study, bases),
        cells,
        left_out,
        rounding: bases.rounding.clone(),
        claims: Vec::new(),
        not_measured: Vec::new(),
        timing: clock.timing(),
    };
    // A part of a study is too little for claims.
    if document.part.is_none() {
        (document.claims, document.not_measured) = claims(&document)?;
    }
    Ok(Some(document))
}

impl StudyExtent<'_> {
    /// Number of people.
    fn count(self) -> u64 {
        self.people.end.saturating_sub(self.people.start)
    }

    /// Which part of `study` it is; `None` for all of it.
    fn part(self, study: &StudyFile) -> Option<StudyPart> {
        (*self.people != (0..study.people)).then_some(StudyPart {
            first: self.people.start,
            of: study.people,
        })
    }
}

fn held<'a>(store: &'a Mutex<CellStore>) -> MutexGuard<'a, CellStore> {
    store.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Separates the conditions that fit the device from the others.
fn fitting(laboratory: &Laboratory<'_>, conditions: Vec<Condition>) -> Result<Fitting> {
    let ram = laboratory.study.device.ram;
    let (mut fitting, mut left_out, mut least) = (Vec::new(), Vec::new(), u64::MAX);
    for condition in conditions {
        let demand = laboratory.demand(&condition)?;
        let predicted = Predicted {
            learning_bytes: demand.learning_bytes(),
            answering_bytes: demand.answering_bytes(),
            step_operations: demand.step_operations(),
            answer_operations: demand.answer_operations(),
            answer_joules: laboratory.answer_joules(&condition, &demand)?,
        };
        let most = predicted.learning_bytes.max(predicted.answering_bytes);
        least = least.min(most);
        match ram.is_some_and(|ram| most > ram) {
            true => left_out.push(format!("{condition}: {most} bytes")),
            false => fitting.push((condition, predicted)),
        }
    }
    if fitting.is_empty() {
        bail!(
            "no cell fits in device.ram = {} bytes, the smallest is predicted to take {least}: use a larger device.ram, or smaller models",
            ram.unwrap_or(0)
        );
    }
    Ok(Fitting { fitting, left_out })
}

/// Groups conditions by model and task, person by person.
fn jobs(
    study: &StudyFile,
    conditions: &[Condition],
    rates: &BTreeMap<(String, LearningMethod), f64>,
    people: &Range<u64>,
) -> Vec<Job> {
    let mut groups: BTreeMap<[String; 4], Vec<&Condition>> = BTreeMap::new();
    for condition in conditions {
        let key = [
            condition.model.clone(),
            condition.compression.to_string(),
            condition.law.to_string(),
            condition.task.clone(),
        ];
        groups.entry(key).or_default().push(condition);
    }
    let of_person = |person| {
        groups.values().map(move |conditions| Job {
            person,
            cells: conditions
                .iter()
                .map(|condition| ((*condition).clone(), rate_of(study, rates, condition)))
                .collect(),
        })
    };
    people.clone().flat_map(of_person).collect()
}

/// Runs the missing part of `jobs`, several at a time. After each job its cells are kept.
fn do_all(
    laboratory: &Laboratory<'_>,
    stage: &str,
    jobs: Vec<Job>,
    store: &Mutex<CellStore>,
    place: &StudyPlace<'_>,
) -> Result<()> {
    let missing = |job: Job| {
        let held = held(store);
        let is_missing = |(condition, rate): &(Condition, Option<f64>)| {
            held.get(&condition.with_rate(*rate), job.person).is_none()
        };
        let cells: Vec<_> = job.cells.into_iter().filter(is_missing).collect();
        (!cells.is_empty()).then_some(Job {
            person: job.person,
            cells,
        })
    };
    let jobs: Vec<Job> = jobs.into_iter().filter_map(missing).collect();
    let total = jobs.iter().map(|job| job.cells.len() as u64).sum();
    let progress = place.work.observer.stage(stage, total, "cell");
    in_lanes(place.lanes, place.work.stop, &jobs, |job| {
        let mut found: Vec<(String, Measured)> = Vec::new();
        for (condition, rate) in &job.cells {
            let Some(measured) = laboratory.measured(condition, job.person, *rate)? else {
                break;
            };
            found.push((condition.with_rate(*rate), measured));
            progress.advance(1);
        }
        held(store).keep(job.person, found)
    })
}

/// A cell of the document; `None` if a person is missing.
fn cell(
    study: &StudyFile,
    condition: &Condition,
    predicted: Predicted,
    (rate, extent): (Option<f64>, StudyExtent<'_>),
    store: &CellStore,
) -> Option<StudyCell> {
    let name = condition.with_rate(rate);
    let people = extent.people.clone();
    let people = people.map(|person| store.get(&name, person));
    let people: Vec<&Measured> = people.collect::<Option<_>>()?;
    let steps: Vec<u64> = match rate {
        Some(_) => study.steps.clone(),
        None => vec![0],
    };
    let point = |(place, steps): (usize, &u64)| {
        let quality = people
            .iter()
            .map(|person| person.quality.get(place).copied());
        let losses: Option<Vec<f64>> = people
            .iter()
            .map(|person| person.loss.get(place).copied())
            .collect();
        Some(StudyPoint {
            steps: *steps,
            operations: predicted.step_operations * *steps as f64,
            loss: losses.as_deref().map(mean),
            losses: match extent.part(study) {
                Some(_) => losses.unwrap_or_default(),
                None => Vec::new(),
            },
            quality: quality.collect::<Option<_>>()?,
        })
    };
    Some(StudyCell {
        model: condition.model.clone(),
        compression: condition.compression.to_string(),
        chip: condition.law.to_string(),
        task: condition.task.clone(),
        method: condition.method.name().to_string(),
        history: condition.history as u64,
        rate,
        learning_bytes: predicted.learning_bytes,
        answering_bytes: predicted.answering_bytes,
        answer_operations: predicted.answer_operations,
        answer_joules: predicted.answer_joules,
        cost: None,
        points: steps.iter().enumerate().map(point).collect::<Option<_>>()?,
    })
}

/// The tasks of `cells`, in the order of kinds: from choice to writing.
fn tasks(cells: &[StudyCell]) -> Result<Vec<StudyTask>> {
    let mut names: Vec<&str> = cells.iter().map(|cell| cell.task.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    let mut kinds = names.into_iter().map(kind_of).collect::<Result<Vec<_>>>()?;
    kinds.sort_by_key(|kind| *kind as usize);
    let task = |kind: ExampleKind| StudyTask {
        name: kind.name().to_string(),
        metric: AnswerMetric::of(kind).name().to_string(),
    };
    Ok(kinds.into_iter().map(task).collect())
}

fn models(study: &StudyFile, bases: &Bases) -> Vec<StudyModel> {
    let row = |((name, form), base): (&(String, Compression), &Base)| {
        let file = study.models.get(name);
        StudyModel {
            name: name.clone(),
            compression: form.to_string(),
            parameters: base.decoder.num_params() as u64,
            bytes: base.bytes,
            token_joules: base.token_joules,
            teacher: file.and_then(ModelFile::teacher).cloned(),
            digest: bases.digests.get(name).cloned(),
        }
    };
    bases.of.iter().map(row).collect()
}
