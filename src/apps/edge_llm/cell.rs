//! One person under some conditions: the model learns, is asked, and answers.

use std::sync::atomic::AtomicBool;

use anyhow::{Context, Result, bail};
use burn::module::Module;
use burn::tensor::Device;
use crossburn_models::decoder::{Adapter, Decoder};
use crossburn_models::initialize;
use crossburn_noise::{ChipSeed, manufacture, path_hash};
use crossburn_training::data::personal::{Example, Profile};
use crossburn_training::personalisation::{
    AdapterTuning, AnswerMetric, Demand, ExampleMemory, PersonalTexts, TuningPoint, Writer,
    answer_of,
};
use crossburn_training::{LanguageModelling, Sequence, TrainingError};

use super::base::{Base, Bases};
use super::cells::Measured;
use super::conditions::Condition;
use super::people::People;
use super::study_file::{StudyFile, kind_of};

/// What all cells of a study share.
#[derive(Clone, Copy)]
pub(super) struct Laboratory<'a> {
    pub(super) study: &'a StudyFile,
    pub(super) bases: &'a Bases,
    pub(super) people: &'a People,
    /// The device, without autodiff.
    pub(super) device: &'a Device,
    pub(super) stop: &'a AtomicBool,
}

/// A person's texts, as tokens of one model.
pub(super) struct Given {
    /// One text per question.
    pub(super) questions: Vec<Vec<u32>>,
    /// One text per example of the history; empty if the method does not learn.
    pub(super) lessons: Vec<Sequence>,
}

impl Given {
    /// Number of tokens of the longest lesson, of the longest learned answer, and of the longest question.
    fn longest(&self) -> [usize; 3] {
        let lessons = || self.lessons.iter();
        let answers = lessons().map(|lesson| lesson.tokens.len() - lesson.first);
        let learned = lessons().map(|lesson| lesson.tokens.len());
        let questions = self.questions.iter().map(Vec::len);
        [learned.max(), answers.max(), questions.max()].map(|longest| longest.unwrap_or(0))
    }
}

impl Laboratory<'_> {
    pub(super) fn base(&self, condition: &Condition) -> Result<&Base> {
        let key = (condition.model.clone(), condition.compression);
        self.bases.of.get(&key).context("a model is missing")
    }

    pub(super) fn profile(&self, condition: &Condition, person: u64) -> Result<Profile> {
        self.people.profile(self.study, &condition.task, person)
    }

    /// The chip of a person. It is the same under all conditions.
    fn chip(&self, person: u64) -> ChipSeed {
        ChipSeed::new(self.study.seed ^ path_hash("chips of people"), person)
    }

    /// The key of what a person's adapter draws.
    pub(super) fn key(&self, person: u64) -> u64 {
        self.study.seed ^ path_hash(&format!("adapter of person {person}"))
    }

    /// The model of `condition`, on the chip of `person` if its weights deviate.
    pub(super) fn decoder(&self, condition: &Condition, person: u64) -> Result<Decoder> {
        let whole = &self.base(condition)?.decoder;
        Ok(match condition.law.variation() {
            Some(variation) => manufacture(whole, &variation, self.chip(person)),
            None => whole.clone(),
        })
    }

    pub(super) fn given(
        &self,
        condition: &Condition,
        profile: &Profile,
        person: u64,
    ) -> Result<Given> {
        let method = condition.method;
        let history = profile.recent(condition.history);
        let memory = match method.retrieves() {
            true => Some(ExampleMemory::new(
                history,
                condition.law.variation(),
                self.chip(person),
            )?),
            false => None,
        };
        let context = |asked: &[Example]| match &memory {
            Some(memory) => memory.nearest(asked, self.study.retrieved),
            None => Ok(vec![Vec::new(); asked.len()]),
        };
        let texts = PersonalTexts {
            tokenizer: self.bases.tokenizer(&condition.model)?,
            positions: self.base(condition)?.decoder.config().max_positions,
        };
        let tokens = method.virtual_tokens();
        let asked = profile.questions();
        let further = self.study.answer_tokens + tokens;
        let questions = asked
            .iter()
            .zip(context(asked)?)
            .map(|(example, context)| texts.question(&context, example, further));
        let questions = questions.collect::<Result<_, _>>()?;
        let lessons = match method.learns() {
            true => history
                .iter()
                .zip(context(history)?)
                .map(|(example, context)| texts.lesson(&context, example, tokens))
                .collect::<Result<_, _>>()?,
            false => Vec::new(),
        };
        Ok(Given { questions, lessons })
    }

    /// The texts of the person whose texts are longest, and who that is: needs are predicted and measured from these.
    ///
    /// # Errors
    /// Texts of any person that the model does not take.
    pub(super) fn longest_given(&self, condition: &Condition) -> Result<(Given, u64)> {
        let mut found: Option<(usize, Given, u64)> = None;
        for person in self.people.predicted(self.study, &condition.task) {
            let profile = self.profile(condition, person)?;
            let given = self
                .given(condition, &profile, person)
                .with_context(|| format!("{condition}, person {person}"))?;
            let [learned, _, asked] = given.longest();
            if found
                .as_ref()
                .is_none_or(|(most, _, _)| learned + asked > *most)
            {
                found = Some((learned + asked, given, person));
            }
        }
        let (_, given, person) = found.context("the study has no people")?;
        Ok((given, person))
    }

    /// What the cell of `condition` needs from a device, computed from the texts of the person whose texts are longest.
    ///
    /// # Errors
    /// Texts that a model does not take.
    pub(super) fn demand(&self, condition: &Condition) -> Result<Demand<'_>> {
        let base = self.base(condition)?;
        let (given, _) = self.longest_given(condition)?;
        let [tokens, predicted, asked] = given.longest();
        let virtual_tokens = condition.method.virtual_tokens();
        Ok(Demand {
            config: base.decoder.config(),
            weights: base.bytes,
            method: condition.method,
            batch: self.study.batch.min(given.lessons.len().max(1)),
            tokens: tokens + virtual_tokens,
            predicted,
            asked: asked + virtual_tokens,
            answer: self.study.answer_tokens,
        })
    }

    /// The cell of `person` under `condition`, trained with `rate`; `None` if it was stopped.
    ///
    /// # Errors
    /// A loss or outputs that are not finite; texts that the model does not take.
    pub(super) fn measured(
        &self,
        condition: &Condition,
        person: u64,
        rate: Option<f64>,
    ) -> Result<Option<Measured>> {
        let decoder = self.decoder(condition, person)?;
        let profile = self.profile(condition, person)?;
        let given = self.given(condition, &profile, person)?;
        let judge = Judge {
            metric: AnswerMetric::of(kind_of(&condition.task)?),
            decoder: &decoder,
            writer: Writer::new(
                self.bases.tokenizer(&condition.model)?,
                self.study.answer_tokens,
            )?,
            questions: &given.questions,
            said: profile.questions(),
        };
        let (Some(adapter), Some(rate)) = (condition.method.adapter(), rate) else {
            if condition.method.learns() {
                bail!("{condition} has no learning rate");
            }
            return Ok(Some(Measured {
                quality: vec![judge.quality(None)?],
                loss: Vec::new(),
            }));
        };
        let device = self.device.clone().autodiff();
        let key = self.key(person);
        let adapter = initialize(adapter.init(decoder.config(), &device)?, key);
        let lessons = LanguageModelling::new(given.lessons)?;
        let tuning = AdapterTuning {
            steps: self.study.steps.last().copied().unwrap_or(0),
            batch: self.study.batch,
            learning_rate: rate,
            seed: key,
        };
        let mut found = Measured {
            quality: Vec::new(),
            loss: Vec::new(),
        };
        let mut told = |point: TuningPoint<'_>| {
            found
                .quality
                .push(judge.quality(Some(&point.adapter.valid()))?);
            found.loss.push(point.loss);
            Ok(())
        };
        let learned = tuning.tune(
            (&decoder.clone().train(), &device),
            adapter,
            &lessons,
            &self.study.steps,
            &mut told,
            self.stop,
        )?;
        Ok(learned.map(|_| found))
    }
}

/// Asks a person's questions.
struct Judge<'a> {
    metric: AnswerMetric,
    decoder: &'a Decoder,
    writer: Writer<'a>,
    questions: &'a [Vec<u32>],
    said: &'a [Example],
}

impl Judge<'_> {
    /// The quality of the answers, from 0 (worst) to 1 (best).
    fn quality(&self, adapter: Option<&Adapter>) -> Result<f64, TrainingError> {
        let answers = self.writer.answers(self.decoder, adapter, self.questions)?;
        let said = self
            .said
            .iter()
            .map(|example| answer_of(&example.completion));
        let pairs: Vec<(&str, &str)> = answers.iter().map(String::as_str).zip(said).collect();
        let value = self.metric.value(&pairs);
        Ok(self.metric.quality(value.unwrap_or(f64::NAN)))
    }
}
