//! One network: its searches, its random chips, and what follows from the worst of them.

use std::ffi::OsStr;

use anyhow::Result;
use crossburn_checkpoints::{load_checkpoint, save_checkpoint};
use crossburn_hardware::deploy::{Fidelity, MappedNetwork};
use crossburn_models::{Classifier, WithClassifier};
use crossburn_noise::worst_case::{Search, WorstCase};
use crossburn_training::data::{Amount, DataSource, Samples};
use crossburn_training::{Batches, Evaluation, WeightAttack, accuracy};
use serde_json::Value;

use super::certify::certify;
use super::room::Room;
use super::{FindWorstCase, Kind};
use crate::apps::hardware::{CALIBRATION_IMAGES, calibration};
use crate::apps::study::{self, Clock};
use crate::cli::run_setup::RunPlace;
use crate::cli::stored_network::StoredNetwork;
use crate::cli::{Outcome, command_line, note, print_worst_case};
use crate::report::{
    Transfer, TransferFrom, WORST_CASE_SCHEMA, WorstCaseHardware, WorstCaseResults,
    write_worst_case,
};

pub(super) struct Job<'a> {
    pub(super) arguments: &'a FindWorstCase,
    pub(super) stored: &'a StoredNetwork,
    pub(super) source: DataSource,
    pub(super) room: Room,
    pub(super) search: Search,
    /// What every bound is searched by; at least one.
    pub(super) kinds: Vec<Kind>,
    pub(super) config: Value,
    pub(super) place: &'a RunPlace,
}

impl WithClassifier for Job<'_> {
    type Output = Result<Outcome>;

    fn run<C: Classifier>(self, network: C) -> Result<Outcome> {
        let (network, _) = load_checkpoint(&self.stored.folder, network)?;
        let quantization = self.stored.quantization();
        let device = &self.place.device;
        let mut clock = Clock::new();
        let images = clock.time("data", || self.images())?;
        let batches = Batches::new(&images.known, 128, device);
        let results = match (&self.room, &images.ranges) {
            (Room::Cells { hardware, .. }, Some(ranges)) => {
                let evaluation = Evaluation::new(&network, quantization, batches.clone());
                let calibration = calibration(ranges, CALIBRATION_IMAGES, device);
                let mapped = clock.time("mapping", || {
                    evaluation.mapped(hardware, Fidelity::Weight, &calibration)
                })?;
                let ideal = mapped.fab(Fidelity::Weight)?.ideal()?;
                let attack = WeightAttack::new(&ideal, None, batches)?;
                self.judge(attack, Some(&mapped), &images, &mut clock)?
            }
            _ => {
                let attack = WeightAttack::new(&network, quantization, batches)?;
                self.judge(attack, None, &images, &mut clock)?
            }
        };
        let Some(results) = results else {
            note(&format!(
                "the state of the search is kept: continue with `{}`",
                command_line::resumed()
            ));
            return Ok(Outcome::Interrupted);
        };
        let results = WorstCaseResults {
            timing: clock.timing(),
            ..results
        };
        write_worst_case(&self.place.out, &results)?;
        print_worst_case(&results, self.arguments.run.json)?;
        let chip = command_line::operand(&self.place.out.join("worst-chip"));
        let mut replay: Vec<&OsStr> = vec!["crossburn".as_ref(), "evaluate".as_ref(), &chip];
        replay.extend(["--noise", "none", "--chips", "1"].map(OsStr::new));
        note(&format!(
            "report: {}; replay: {}",
            self.place.out.join("report.html").display(),
            command_line::quoted(replay),
        ));
        Ok(Outcome::Done)
    }
}

/// The images of a run.
pub(super) struct Images {
    /// What the ranges of a hardware are set on.
    ranges: Option<Samples>,
    /// What the search knows.
    known: Samples,
    /// What it does not.
    other: Samples,
    from: TransferFrom,
}

impl Job<'_> {
    /// Test images that were not asked for show whether the deviation transfers; where none are left, training images do.
    fn images(&self) -> Result<Images> {
        let (stored, source) = (self.stored, &self.source);
        let (seed, data) = (stored.recipe.seed, &stored.recipe.data);
        let asked = self.arguments.images;
        let amount = match (asked, data.test) {
            (Some(asked), Some(test)) => Amount::between(asked, test),
            _ => stored.test_amount(source, asked),
        };
        let test = source.test_images(seed, amount)?;
        stored.recipe.model.check(test.shape)?;
        let (known, rest) = test.split_at(asked.unwrap_or(test.len()));
        let training = |most| source.training_images(seed, stored.training_amount(most));
        let (other, from) = match rest.is_empty() {
            false => (rest, TransferFrom::Test),
            true => (training(known.len())?, TransferFrom::Training),
        };
        let ranges = match &self.room {
            Room::Cells { .. } => Some(training(CALIBRATION_IMAGES)?),
            Room::Weights { .. } => None,
        };
        Ok(Images {
            ranges,
            known,
            other,
            from,
        })
    }

    /// Everything about one network; `None` where it was interrupted.
    fn judge<C: Classifier>(
        &self,
        attack: WeightAttack<C>,
        mapped: Option<&MappedNetwork<C>>,
        images: &Images,
        clock: &mut Clock,
    ) -> Result<Option<WorstCaseResults>> {
        let bound = self.room.own();
        let boxes = Room::boxes(&attack, mapped, bound)?;
        let Some((attack, found)) = self.search_bounds(attack, mapped, clock)? else {
            return Ok(None);
        };
        let certificate = match self.arguments.certify {
            true => Some(clock.time("certificate", || certify(&attack, mapped, bound))?),
            false => None,
        };
        let worst = &found.worst;
        let chip = attack.chip(&worst.deviations)?;
        let transfer = clock.time("transfer", || -> Result<Transfer> {
            let other = Batches::new(&images.other, 128, &self.place.device);
            Ok(Transfer {
                from: images.from,
                images: images.other.len(),
                clean: accuracy(&attack.chip(&boxes.zero())?, &other)?,
                accuracy: accuracy(&chip, &other)?,
            })
        })?;
        let hardware = match (mapped, &self.room) {
            (Some(mapped), Room::Cells { name, .. }) => {
                let cells = mapped.cells_of(bound, &worst.deviations)?;
                let device = mapped.hardware().config().device.config();
                Some(WorstCaseHardware {
                    name: name.clone(),
                    device: device.kind().to_string(),
                    read_back: attack.accuracy(&mapped.with_cells(&cells)?)?,
                })
            }
            _ => None,
        };
        self.keep(&chip, worst, attack.images())?;
        let shares = boxes.shares_at_bound(&worst.deviations);
        let mut layers = found.layers;
        for layer in &mut layers {
            layer.fraction_at_bound = shares[layer.path.as_str()];
        }
        let (version, commit) = study::version();
        Ok(Some(WorstCaseResults {
            schema: WORST_CASE_SCHEMA.to_string(),
            version,
            commit,
            reproduce: self.reproduce(),
            config: self.config.clone(),
            data: self.source.to_string(),
            images: attack.images(),
            search: self.search,
            bound,
            hardware,
            clean: worst.clean,
            accuracy: worst.accuracy,
            found_by: found.found_by,
            fraction_at_bound: boxes.fraction_at_bound(&worst.deviations),
            layers,
            searches: found.searches,
            curve: found.curve,
            random: found.random,
            certificate,
            transfer,
            timing: Clock::new().timing(),
        }))
    }

    /// Writes the chip as a checkpoint that is not quantized again, whose recipe names the images of the search.
    fn keep<C: Classifier>(&self, chip: &C, worst: &WorstCase, images: usize) -> Result<()> {
        let mut recipe = self.stored.recipe.clone();
        recipe.data.source = self.source.clone();
        recipe.data.test = Some(images);
        let mut manifest = self.stored.manifest.clone().with_programmed_weights();
        manifest.recipe = study::json(&recipe)?;
        let manifest = manifest
            .with_metric("clean", worst.clean)
            .with_metric("worst_case", worst.accuracy);
        let folder = self.place.out.join("worst-chip").join("checkpoint");
        Ok(save_checkpoint(&folder, chip, &manifest)?)
    }
}
