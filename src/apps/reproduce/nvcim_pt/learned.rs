//! What is learned: the language model, and for each method the coder and the prompts.

use anyhow::{Context, Result};
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor};
use crossburn_checkpoints::{load_weights, save_weights};
use crossburn_models::decoder::Decoder;
use crossburn_models::initialize;
use crossburn_noise::path_hash;
use crossburn_training::data::Domains;
use crossburn_training::stored_prompts::{CodeSizes, PromptCoder, PromptTuning, Prompts, Stored};
use crossburn_training::{LanguageModelling, Recipe, Run, Sequence, Task, train};
use rayon::prelude::*;

use super::super::{Arm, Place};
use super::PromptPaper;
use super::arms::{FULL, PromptArm};
use super::conditions::Condition;
use super::scene::Scene;
use crate::apps::study::StudyObserver;

/// What a deployment needs besides the language model.
#[derive(Module, Debug)]
pub(super) struct Personal {
    pub(super) coder: PromptCoder,
    pub(super) prompts: Param<Tensor<3>>,
}

impl Personal {
    /// Room for `prompts` prompts and the coder of `sizes`, to load weights into.
    pub(super) fn room(sizes: CodeSizes, prompts: usize, device: &Device) -> Self {
        let zeros = Tensor::zeros([prompts, sizes.tokens, sizes.width], device);
        Self {
            coder: sizes.init(device),
            prompts: Param::from_tensor(zeros),
        }
    }
}

impl PromptPaper {
    /// The language model, trained on lessons; `None` where it was stopped.
    pub(super) fn pretrained(
        &self,
        domains: &Domains,
        seed: u64,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Decoder>> {
        let lesson = |number| Sequence {
            tokens: domains.lesson(number),
            first: 1,
        };
        let all = (0..self.lessons as u64 + 64).map(lesson).collect();
        let all = LanguageModelling::new(all)?;
        let (learn, validation) = all.split_at(self.lessons);
        let recipe = Recipe {
            training: self.training.clone(),
            ..Recipe::own(seed)
        };
        let device = place.device.clone().autodiff();
        let run = Run::new(&learn, &validation, &device);
        let name = format!("language model, seed {seed}");
        let mut follower = observer.training(&name);
        let network = initialize(self.model.init(&device)?, seed);
        let trained = train(network, &recipe, &run, &mut follower)
            .with_context(|| format!("cannot train `{name}`"))?;
        Ok((!trained.interrupted).then_some(trained.network))
    }

    /// What `arm` deploys under each of `conditions`: under noise something of its own for each, otherwise one for all of them. `None` where
    /// it was stopped.
    ///
    /// Noise-aware methods differ in their search alone: the full one keeps what it has learned, and the others load it.
    pub(super) fn deployed(
        &self,
        arm: &PromptArm,
        scene: &Scene,
        conditions: &[Condition],
        place: &Place<'_>,
    ) -> Result<Option<Vec<Personal>>> {
        let folder = place.trained("prompts", scene.seed);
        let file =
            |condition: &Condition| folder.join(format!("{:016x}.safetensors", condition.key()));
        if arm.noise && arm.name() != FULL {
            let count = scene.start(false).count();
            let device = place.device.clone().autodiff();
            let sizes = CodeSizes {
                tokens: self.tokens,
                width: self.model.width,
                code: self.code,
            };
            let load = |condition: &Condition| {
                let room = Personal::room(sizes, count, &device);
                Ok(load_weights(room, &file(condition))?)
            };
            return conditions.iter().map(load).collect::<Result<_>>().map(Some);
        }
        let Some(pool) = self.coder_pool(scene, place)? else {
            return Ok(None);
        };
        let own = match arm.noise {
            true => conditions,
            false => &conditions[..1],
        };
        let train = |condition: &Condition| self.personal(arm, scene, &pool, condition, place);
        let trained: Vec<Option<Personal>> = own.par_iter().map(train).collect::<Result<_>>()?;
        let trained: Option<Vec<Personal>> = trained.into_iter().collect();
        if let (Some(trained), FULL) = (&trained, arm.name()) {
            for (condition, personal) in conditions.iter().zip(trained) {
                save_weights(personal, &file(condition))?;
            }
        }
        Ok(trained)
    }

    /// What a coder is trained on: prompts that were tuned without storage, and the texts of the user. `None` where it was stopped.
    fn coder_pool(&self, scene: &Scene, place: &Place<'_>) -> Result<Option<Prompts>> {
        let of_text = scene.prompt_of_text(false);
        let tuned = self.pool.tune(
            (&scene.network, &place.device.clone().autodiff()),
            &scene.start(false),
            (&scene.texts, &of_text),
            None,
            (&|| (), place.stop),
        )?;
        Ok(tuned.map(|prompts| prompts.with(&scene.in_shape)))
    }

    /// What `arm` deploys on the cells of `condition`; `None` where it was stopped.
    fn personal(
        &self,
        arm: &PromptArm,
        scene: &Scene,
        pool: &Prompts,
        condition: &Condition,
        place: &Place<'_>,
    ) -> Result<Option<Personal>> {
        let device = place.device.clone().autodiff();
        let noise = condition.noise().filter(|_| arm.noise);
        let seed = scene.seed ^ path_hash("coder of prompts");
        let coder =
            self.coder
                .train(pool, self.code, noise.as_ref(), (seed, &device), place.stop)?;
        let Some(coder) = coder else {
            return Ok(None);
        };
        let tuning = PromptTuning {
            orthogonality: arm.penalty,
            ..self.tuning
        };
        let stored = Stored {
            coder: &coder,
            noise: noise.as_ref(),
            seed: scene.seed ^ path_hash("noise in tuning") ^ condition.key(),
        };
        let of_text = scene.prompt_of_text(arm.one);
        let tuned = tuning.tune(
            (&scene.network, &device),
            &scene.start(arm.one),
            (&scene.texts, &of_text),
            Some(stored),
            (&|| (), place.stop),
        )?;
        Ok(tuned.map(|prompts| Personal {
            prompts: Param::from_tensor(prompts.tensor(&device)),
            coder,
        }))
    }
}
