//! What questions get from chips on which prompts are stored, and how long a search takes.

use anyhow::Result;
use burn::module::Module;
use crossburn_hardware::deploy::Hardware;
use crossburn_hardware::search::{SearchConfig, SearchScale, VectorStore};
use crossburn_noise::path_hash;
use crossburn_training::stored_prompts::{
    KeyForm, PromptStore, Prompts, answered, sensitivities_of_codes, verified,
};
use crossburn_training::values;

use super::super::Place;
use super::PromptPaper;
use super::arms::{Mitigation, PromptArm};
use super::conditions::Condition;
use super::learned::Personal;
use super::scene::Scene;

/// Stored prompts that the time of a search is stated for.
pub(super) const STORED: usize = 1000;
/// The accelerator of that search: its cost model is the only one of pairs of 2-bit cells.
const ACCELERATOR: &str = "papers";
/// Products per second of the processor that it is compared with: one per cycle of a scalar core at 2.2 GHz, the clock of the Jetson Orin that
/// the paper compares with, without any wait for memory.
const SCALAR_RATE: f64 = 2.2e9;

/// What questions get on cells of one kind.
pub(super) struct Answers {
    /// The share of questions that are answered.
    pub(super) right: f64,
    /// The share of questions whose prompt is of their domain.
    pub(super) fetched: f64,
    /// How many questions of a domain fetched a prompt of a domain; zeros with one prompt for all.
    pub(super) fetched_for: Vec<Vec<u64>>,
}

impl PromptPaper {
    /// How many times longer a scalar processor takes for a search among [`STORED`] prompts than arrays do, by the models of both.
    pub(super) fn faster(&self, arm: &PromptArm) -> Result<f64> {
        let dimension = self.tokens * self.code;
        let config = SearchConfig {
            scales: self.scales_of(arm),
            capacity: Some(STORED),
            ..SearchConfig::on(Hardware::preset(ACCELERATOR)?.config().clone())
        };
        let numbers = config.scales.iter().map(|scale| dimension / scale.pool);
        let products = (STORED * numbers.sum::<usize>()) as f64;
        let cost = VectorStore::new(dimension, &config)?.cost()?;
        Ok(products / SCALAR_RATE / cost.query_latency.get())
    }

    /// What `arm` searches.
    fn scales_of(&self, arm: &PromptArm) -> Vec<SearchScale> {
        match arm.scaled {
            true => self.scales.clone(),
            false => vec![SearchScale::default()],
        }
    }

    /// What questions get on the cells of `condition`; `None` where it was stopped.
    pub(super) fn judged(
        &self,
        arm: &PromptArm,
        scene: &Scene,
        personal: &Personal,
        condition: &Condition,
        (place, told): (&Place<'_>, &(dyn Fn() + Sync)),
    ) -> Result<Option<Answers>> {
        let device = place.device;
        let tracked = device.clone().autodiff();
        let network = scene.network.valid();
        let coder = personal.coder.valid();
        let shape = personal.prompts.dims();
        let prompts = Prompts::new(values(personal.prompts.val().inner())?, shape);
        let codes = coder.codes(&prompts, device)?;
        let dimension = coder.sizes().dimension();
        let config = condition.search(self.scales_of(arm))?;
        let keys = match arm.keys {
            KeyForm::Beside if !arm.one => Some(coder.codes(&scene.keys, device)?),
            _ => None,
        };
        let store = PromptStore::new(&codes, keys.as_deref(), dimension, &config)?;
        let queries = store.queries(&coder.codes(&scene.queries, device)?)?;
        let probes = store.queries(&coder.codes(&scene.probes, device)?)?;
        let ideal = store.rounded()?;
        let of_text = scene.prompt_of_text(arm.one);
        let sensitivities = match arm.mitigation {
            Mitigation::Verify(_) => {
                let network = (&scene.network, &tracked);
                let texts = (&scene.texts, of_text.as_slice());
                sensitivities_of_codes(network, &personal.coder, &codes, texts)?
            }
            _ => Vec::new(),
        };
        let chips = match condition.cell {
            Some(_) => self.chips,
            None => 1,
        };
        // Chips are other ones than training draws.
        let population = scene.seed ^ path_hash("chips with prompts") ^ condition.key();
        let (mut right, mut found) = (0usize, 0usize);
        let mut fetched_for = vec![vec![0; self.domains.domains]; self.domains.domains];
        for number in 0..chips {
            if place.is_stopped() {
                return Ok(None);
            }
            let chip = store.program(population, number)?;
            let lines = match arm.mitigation {
                Mitigation::Correct(compensation) => Some(chip.calibrate(&probes, compensation)?),
                _ => None,
            };
            let fetched = chip.fetch(&queries, lines.as_deref())?;
            let read = chip.read()?;
            let read = match arm.mitigation {
                Mitigation::None => read,
                Mitigation::Verify(fraction) => verified(&read, &ideal, &sensitivities, fraction),
                Mitigation::Correct(compensation) => {
                    compensation.corrected(&read, &ideal, dimension)
                }
            };
            let prompts = coder.prompts(&read, device)?;
            let said = answered((&network, device), &prompts, &scene.questions, &fetched)?;
            right += said.iter().filter(|right| **right).count();
            found += scene.hits(&fetched, arm.one);
            if !arm.one {
                scene.count(&fetched, &mut fetched_for);
            }
            told();
        }
        let all = (chips as usize * scene.domains.len()) as f64;
        Ok(Some(Answers {
            right: right as f64 / all,
            fetched: found as f64 / all,
            fetched_for,
        }))
    }
}
