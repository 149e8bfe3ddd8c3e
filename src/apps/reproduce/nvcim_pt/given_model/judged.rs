//! What the model says after prompts that were fetched and read from chips.

use std::collections::BTreeMap;

use anyhow::Result;
use burn::module::Module;
use burn::tensor::{Device, Tensor, TensorData};
use crossburn_hardware::search::SearchScale;
use crossburn_models::decoder::{Adapter, Decoder};
use crossburn_noise::path_hash;
use crossburn_training::personalisation::{AnswerMetric, Writer};
use crossburn_training::stored_prompts::{PromptStore, Prompts as Values, TextScore, scored};
use crossburn_training::values;

use super::super::super::Place;
use super::super::columns::{fetched_for, hits};
use super::super::conditions::{Condition, MAIN, SIGMAS};
use super::super::learned::Personal;
use super::GivenModelPaper;
use super::arms::{ModelArm, Prompts};
use super::numbers::{JUDGED, accuracy, perplexity, rouge};
use super::scene::Scene;

/// Questions that are judged at a time.
const AT_ONCE: usize = 8;

/// Sums over the chips of one σ.
#[derive(Default)]
struct Sums {
    score: TextScore,
    rouge: Vec<f64>,
    found: u64,
    asked: u64,
}

impl Sums {
    fn add(&mut self, scores: &[TextScore]) {
        for score in scores {
            self.score.nats += score.nats;
            self.score.right += score.right;
            self.score.tokens += score.tokens;
        }
    }
}

impl GivenModelPaper {
    /// The numbers of `arm`, which deploys `personal`; `None` where it was stopped.
    pub(super) fn judged(
        &self,
        arm: &ModelArm,
        scene: &Scene,
        personal: Option<&Personal>,
        conditions: &[Condition],
        (place, told): (&Place<'_>, &(dyn Fn() + Sync)),
    ) -> Result<Option<BTreeMap<String, f64>>> {
        let network = scene.network.valid();
        let writer = Writer::new(self.tokenizer(), self.answer_tokens)?;
        let judge = Judge {
            paper: self,
            scene,
            network: (&network, place.device),
            writer: &writer,
        };
        let mut numbers = BTreeMap::new();
        let Some(personal) = personal else {
            // There is nothing that cells could change.
            let mut sums = Sums::default();
            judge.read(None, &[], true, &mut sums)?;
            for sigma in JUDGED {
                insert(&mut numbers, sigma, &sums);
            }
            conditions.iter().for_each(|_| told());
            return Ok(Some(numbers));
        };
        let coder = personal.coder.valid();
        let shape = personal.prompts.dims();
        let prompts = Values::new(values(personal.prompts.val().inner())?, shape);
        let codes = coder.codes(&prompts, place.device)?;
        let keys = coder.codes(&scene.keys, place.device)?;
        let queries = coder.codes(&scene.queries, place.device)?;
        let (keys, scales) = match arm.prompts {
            Prompts::OfProfiles { scaled: true, .. } => (Some(&keys), self.scales.clone()),
            Prompts::OfProfiles { .. } => (Some(&keys), vec![SearchScale::default()]),
            _ => (None, vec![SearchScale::default()]),
        };
        for sigma in std::iter::once(0.0).chain(SIGMAS) {
            let mut sums = Sums::default();
            for condition in conditions.iter().filter(|of| of.sigma == sigma) {
                let config = condition.search(scales.clone())?;
                let dimension = coder.sizes().dimension();
                let store = PromptStore::new(&codes, keys.map(Vec::as_slice), dimension, &config)?;
                let queries = store.queries(&queries)?;
                // Chips are other ones than training draws.
                let population = scene.seed ^ path_hash("chips with prompts") ^ condition.key();
                let (chips, read_chips) = match condition.cell {
                    Some(_) => (self.chips, self.read_chips),
                    None => (1, 1),
                };
                for number in 0..chips {
                    if place.is_stopped() {
                        return Ok(None);
                    }
                    let chip = store.program(population, number)?;
                    let fetched = chip.fetch(&queries, None)?;
                    if keys.is_some() {
                        judge.count(&fetched, sigma, (&mut sums, &mut numbers));
                    }
                    if JUDGED.contains(&sigma) && number < read_chips {
                        let prompts = coder.prompts(&chip.read()?, place.device)?;
                        judge.read(Some(&prompts), &fetched, number == 0, &mut sums)?;
                    }
                }
                told();
            }
            if JUDGED.contains(&sigma) {
                insert(&mut numbers, sigma, &sums);
            }
            if sums.asked > 0 {
                numbers.insert(hits(sigma), sums.found as f64 / sums.asked as f64);
            }
        }
        Ok(Some(numbers))
    }
}

/// What is asked, and who answers.
struct Judge<'a> {
    paper: &'a GivenModelPaper,
    scene: &'a Scene,
    /// Without autodiff.
    network: (&'a Decoder, &'a Device),
    writer: &'a Writer<'a>,
}

impl Judge<'_> {
    /// Counts for which questions which prompts were fetched.
    fn count(
        &self,
        fetched: &[usize],
        sigma: f64,
        (sums, numbers): (&mut Sums, &mut BTreeMap<String, f64>),
    ) {
        for (prompt, asked) in fetched.iter().zip(&self.scene.of_question) {
            sums.found += u64::from(prompt == asked);
            sums.asked += 1;
            if sigma == MAIN {
                *numbers.entry(fetched_for(*asked, *prompt)).or_insert(0.0) += 1.0;
            }
        }
        if sigma == MAIN {
            // A pair that never came is a zero.
            let profiles = 0..self.paper.profiles.len();
            for (asked, prompt) in profiles
                .clone()
                .flat_map(|asked| profiles.clone().map(move |prompt| (asked, prompt)))
            {
                numbers.entry(fetched_for(asked, prompt)).or_insert(0.0);
            }
        }
    }

    /// Adds what the model says of all questions after the prompts that were fetched, and where it is to `write`, how good its own answers are.
    fn read(
        &self,
        prompts: Option<&Values>,
        fetched: &[usize],
        write: bool,
        sums: &mut Sums,
    ) -> Result<()> {
        let questions = (&self.scene.questions, fetched);
        sums.add(&scored(self.network, prompts, questions, AT_ONCE)?);
        if !write {
            return Ok(());
        }
        let (network, device) = self.network;
        // The first questions of every profile, with those that follow one prompt side by side.
        let mut alike: BTreeMap<Option<usize>, Vec<usize>> = BTreeMap::new();
        let all = 0..self.scene.references.len();
        for question in all.filter(|question| question % self.paper.questions < self.paper.answered)
        {
            let prompt = prompts.map(|_| fetched[question]);
            alike.entry(prompt).or_default().push(question);
        }
        for (prompt, asked) in alike {
            let adapter = prompts.zip(prompt).map(|(prompts, prompt)| {
                let [_, tokens, width] = prompts.shape();
                let own = &prompts.values()[prompt * tokens * width..][..tokens * width];
                let own = TensorData::new(own.to_vec(), [tokens, width]);
                Adapter::of_prompt(Tensor::from_data(own, device))
            });
            let sequences = self.scene.questions.sequences();
            let given = |question: &usize| {
                let sequence = &sequences[*question];
                sequence.tokens[..sequence.first].to_vec()
            };
            let given: Vec<Vec<u32>> = asked.iter().map(given).collect();
            let answers = self.writer.answers(network, adapter.as_ref(), &given)?;
            for (answer, question) in answers.iter().zip(&asked) {
                let pair = (answer.as_str(), self.scene.references[*question].as_str());
                sums.rouge.extend(AnswerMetric::Rouge1.value(&[pair]));
            }
        }
        Ok(())
    }
}

/// What the model says at one σ.
fn insert(numbers: &mut BTreeMap<String, f64>, sigma: f64, sums: &Sums) {
    let tokens = sums.score.tokens as f64;
    numbers.insert(perplexity(sigma), (sums.score.nats / tokens).exp());
    numbers.insert(accuracy(sigma), sums.score.right as f64 / tokens);
    let answers = sums.rouge.len() as f64;
    numbers.insert(rouge(sigma), sums.rouge.iter().sum::<f64>() / answers);
}
