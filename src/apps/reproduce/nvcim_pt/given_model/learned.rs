//! What each method learns: a coder, and prompts that are tuned through it.

use anyhow::Result;
use burn::module::Param;
use crossburn_checkpoints::{load_weights, save_weights};
use crossburn_noise::path_hash;
use crossburn_training::stored_prompts::{CodeSizes, Stored};

use super::super::super::{Arm, Place, training_name};
use super::super::conditions::{CELLS, Condition, MAIN};
use super::super::learned::Personal;
use super::arms::{ModelArm, Prompts};
use super::scene::Scene;
use super::{GivenModelPaper, LEARNED_FOR};
use crate::apps::study::StudyObserver;

impl GivenModelPaper {
    /// What `arm` deploys, or nothing of a method without prompts; `None` where it was stopped.
    ///
    /// Reuses what an interrupted run, or another method with the same training, has saved.
    pub(super) fn learned(
        &self,
        arm: &ModelArm,
        scene: &Scene,
        place: &Place<'_>,
        observer: &impl StudyObserver,
    ) -> Result<Option<Option<Personal>>> {
        let Some(file) = arm.file() else {
            return Ok(Some(None));
        };
        let one = arm.prompts == Prompts::One;
        let device = place.device.clone().autodiff();
        let sizes = CodeSizes {
            tokens: self.tokens,
            width: self.base.config().width,
            code: self.code,
        };
        let start = scene.start(one);
        let folder = place.trained("prompts", scene.seed);
        let file = folder.join(file);
        if arm.starts_from_another() || place.resume && file.exists() {
            let room = Personal::room(sizes, start.count(), &device);
            return Ok(Some(Some(load_weights(room, &file)?)));
        }
        let learned_for = Condition {
            cell: Some(CELLS[LEARNED_FOR]),
            sigma: MAIN,
        };
        let noise = learned_for.noise().filter(|_| arm.noise());
        let key = |purpose: &str| scene.seed ^ path_hash(purpose);
        let coder = self.coder.train(
            &scene.in_shape,
            self.code,
            noise.as_ref(),
            (key("coder of prompts"), &device),
            place.stop,
        )?;
        let Some(coder) = coder else {
            return Ok(None);
        };
        let stored = Stored {
            coder: &coder,
            noise: noise.as_ref(),
            seed: key("noise in tuning"),
        };
        let tuning = self.tuning(key("order of texts"));
        let told = observer.work(
            &format!("tune {}", training_name(arm, scene.seed)),
            tuning.steps,
            "steps",
        );
        let tuned = tuning.tune(
            (&scene.network, &device),
            &start,
            (&scene.texts, &scene.prompt_of_text(one)),
            Some(stored),
            (&*told, place.stop),
        )?;
        let Some(prompts) = tuned else {
            return Ok(None);
        };
        let personal = Personal {
            prompts: Param::from_tensor(prompts.tensor(&device)),
            coder,
        };
        fs_err::create_dir_all(&folder)?;
        save_weights(&personal, &file)?;
        Ok(Some(Some(personal)))
    }
}
