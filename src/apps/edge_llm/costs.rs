//! What cells take on this machine: memory at its peak, and time of a step of learning and of an answer.
//!
//! Cells are measured one at a time and each on one thread, because the memory of a piece of work is the memory of the process meanwhile.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Instant;

use anyhow::{Context, Result};
use burn::module::Module;
use burn::tensor::Device;
use crossburn_models::decoder::{Adapter, Decoder, Generation, Sampling};
use crossburn_models::initialize;
use crossburn_training::personalisation::{AdapterTuning, TuningPoint};
use crossburn_training::{LanguageModelling, Sequence};
use rayon::ThreadPoolBuilder;
use serde_json::Value;

use super::cell::Laboratory;
use super::conditions::Condition;
use crate::allocations::peak_of;
use crate::apps::kept_file::{KeptFile, Work};
use crate::apps::workplace::JobObserver;
use crate::report::{StudyCost, median};

/// The person whose adapter and draws are measured.
const PERSON: u64 = 0;
/// Steps of learning. The first is not timed: it also makes the moments of the optimizer.
const STEPS: u64 = 4;
/// Answers that are timed. Others were written before.
const ANSWERS: usize = 2;

/// Name of the file in a run folder.
const COSTS_FILE: &str = "costs.json";

const COSTS: Work = Work {
    key: "costs",
    is: "a file of measured costs",
    holds: "costs",
};

/// Measured costs by condition, kept in a file.
pub(super) struct CostStore {
    file: KeptFile,
    costs: BTreeMap<String, StudyCost>,
}

impl CostStore {
    /// The costs in `folder`, which must have the settings `of`; none without `resume`.
    ///
    /// # Errors
    /// Those of [`KeptFile::read`].
    pub(super) fn open(folder: &Path, of: Value, resume: bool) -> Result<Self> {
        let file = KeptFile::new(folder.join(COSTS_FILE), of, COSTS);
        Ok(Self {
            costs: file.read(resume)?.unwrap_or_default(),
            file,
        })
    }

    pub(super) fn get(&self, condition: &str) -> Option<StudyCost> {
        self.costs.get(condition).copied()
    }

    /// Measures those of `conditions`, each with its learning rate, that are missing. After each the file is written. It ends early if the laboratory is
    /// stopped.
    ///
    /// # Errors
    /// Those of [`Laboratory::cost`], and a file that cannot be written.
    pub(super) fn measure<'a>(
        &mut self,
        laboratory: &Laboratory<'_>,
        conditions: impl Iterator<Item = (&'a Condition, Option<f64>)>,
        observer: &dyn JobObserver,
    ) -> Result<()> {
        let missing: Vec<_> = conditions
            .filter(|(condition, _)| !self.costs.contains_key(&condition.to_string()))
            .collect();
        let progress = observer.stage("memory and time", missing.len() as u64, "cell");
        let pool = ThreadPoolBuilder::new().num_threads(1).build()?;
        for (condition, rate) in missing {
            let Some(cost) = pool.install(|| laboratory.cost(condition, rate))? else {
                break;
            };
            self.costs.insert(condition.to_string(), cost);
            self.file.write(&self.costs)?;
            progress.advance(1);
        }
        Ok(())
    }
}

impl Laboratory<'_> {
    /// What `condition` takes: the memory of its weights in their format, and what learning and answering take beside them. `None` if it was stopped.
    ///
    /// Learning takes the longest texts, and an answer is as long as the study allows: what the predictions are about.
    ///
    /// # Errors
    /// Texts that the model does not take, a loss that is not finite, or a program that does not count its memory.
    pub(super) fn cost(
        &self,
        condition: &Condition,
        rate: Option<f64>,
    ) -> Result<Option<StudyCost>> {
        let weights = self.base(condition)?.bytes;
        let (given, person) = self.longest_given(condition)?;
        let decoder = self.decoder(condition, person)?;
        let uncounted = "this program does not count its memory";
        let (mut learning_bytes, mut step_seconds) = (None, None);
        if let Some(rate) = rate {
            let mut lessons = given.lessons;
            lessons.sort_by_key(|lesson| Reverse(lesson.tokens.len()));
            lessons.truncate(self.study.batch);
            // The buffers that a thread keeps for its products are no part of the step: they are there before it is counted.
            let step = || self.step(condition, &decoder, lessons.clone(), rate);
            if step()?.is_none() {
                return Ok(None);
            }
            let (seconds, peak) = peak_of(step);
            let Some(seconds) = seconds? else {
                return Ok(None);
            };
            learning_bytes = Some(weights + peak.context(uncounted)?);
            step_seconds = Some(seconds);
        }
        if self.stop.load(Ordering::SeqCst) {
            return Ok(None);
        }
        let longest = given.questions.into_iter().max_by_key(Vec::len);
        let question = longest.context("a person asks no question")?;
        let answer = || self.answer(condition, &decoder, question.clone());
        answer()?;
        let (seconds, peak) = peak_of(answer);
        Ok(Some(StudyCost {
            learning_bytes,
            answering_bytes: weights + peak.context(uncounted)?,
            step_seconds,
            answer_seconds: seconds?,
        }))
    }

    /// An adapter that has learned nothing; `None` if the method has none.
    fn fresh(
        &self,
        condition: &Condition,
        decoder: &Decoder,
        device: &Device,
    ) -> Result<Option<Adapter>> {
        let Some(adapter) = condition.method.adapter() else {
            return Ok(None);
        };
        let adapter = adapter.init(decoder.config(), device)?;
        Ok(Some(initialize(adapter, self.key(PERSON))))
    }

    /// Seconds of a step of learning from all of `lessons`, the median of several; `None` if it was stopped.
    fn step(
        &self,
        condition: &Condition,
        decoder: &Decoder,
        lessons: Vec<Sequence>,
        rate: f64,
    ) -> Result<Option<f64>> {
        let device = self.device.clone().autodiff();
        let adapter = self.fresh(condition, decoder, &device)?;
        let adapter = adapter.context("a method without an adapter does not learn")?;
        let tuning = AdapterTuning {
            steps: STEPS,
            batch: lessons.len(),
            learning_rate: rate,
            seed: self.key(PERSON),
        };
        let lessons = LanguageModelling::new(lessons)?;
        let (mut begun, mut seconds) = (Instant::now(), Vec::new());
        let mut told = |point: TuningPoint<'_>| {
            if point.step > 1 {
                seconds.push(begun.elapsed().as_secs_f64());
            }
            begun = Instant::now();
            Ok(())
        };
        let at: Vec<u64> = (1..=STEPS).collect();
        let network = decoder.clone().train();
        let learned = tuning.tune(
            (&network, &device),
            adapter,
            &lessons,
            &at,
            &mut told,
            self.stop,
        )?;
        Ok(learned.map(|_| median(seconds)))
    }

    /// Seconds of an answer to `question`, the median of several.
    fn answer(&self, condition: &Condition, decoder: &Decoder, question: Vec<u32>) -> Result<f64> {
        let adapter = self.fresh(condition, decoder, self.device)?;
        let generation = Generation {
            max_new_tokens: self.study.answer_tokens,
            sampling: Sampling::greedy(),
            ..Generation::default()
        };
        let questions = [question];
        let mut seconds = Vec::new();
        for _ in 0..ANSWERS {
            let begun = Instant::now();
            decoder.generate_batch(&questions, adapter.as_ref(), &generation)?;
            seconds.push(begun.elapsed().as_secs_f64());
        }
        Ok(median(seconds))
    }
}
