//! Evaluates the chips of one network in the requested ways.

use std::cell::RefCell;

use anyhow::{Context, Result};
use crossburn_hardware::deploy::{Fab, Fidelity, MappedNetwork};
use crossburn_models::Network;
use crossburn_noise::{ChipSeed, Direction, Looks, Race, SubsetSimulation, Variation};
use crossburn_training::{Batches, Evaluation, Learn, Task};
use serde_json::json;

use super::chip_source::{OnTargets, Target};
use super::job::{EvaluationJob, Sweep};
use super::record::{Found, file, shown};
use super::worst_chip::WorstChip;
use crate::apps::population::{self, Draw};
use crate::apps::study::{self, Clock};
use crate::apps::{hardware, race, rare};
use crate::report::{
    AlsoMeasured, Figures, ImportanceSummary, MethodResults, OnHardware, Percentiles,
    PopulationSummary, RareSummary,
};

/// Judges one network.
pub(super) struct Judge<'a, N, T: Task> {
    pub(super) job: &'a EvaluationJob<'a>,
    pub(super) evaluation: &'a Evaluation<N, T>,
    /// The metric without variation.
    pub(super) clean: f64,
    /// Further metrics without variation.
    pub(super) also: Vec<AlsoMeasured>,
    pub(super) race: Option<Race>,
    /// The direction of importance sampling.
    pub(super) direction: Option<Direction>,
    /// The figures that the task shows of the items; those of some chips are added.
    pub(super) figures: RefCell<Figures>,
}

impl<N: Network, T: Learn<N>> Judge<'_, N, T> {
    pub(super) fn on_variation(
        &self,
        variation: &Variation,
        clock: &mut Clock,
    ) -> Result<Option<Vec<MethodResults>>> {
        let fab = self.evaluation.varied(variation);
        let found = clock.time("chips", || self.chips(&fab, "evaluate", None))?;
        let Some((population, mut percentiles)) = found else {
            return Ok(None);
        };
        self.draw_chips(&fab, population.as_ref(), None, clock)?;
        if let Some(simulation) = &self.job.asked.rare {
            let rare = clock.time("rare", || self.rare(&fab, simulation, None))?;
            let Some(rare) = rare else {
                return Ok(None);
            };
            if let (Some(direction), Some(plain)) = (&self.direction, &population) {
                let found =
                    clock.time("rare", || self.towards(variation, direction, plain, &rare))?;
                if found.is_none() {
                    return Ok(None);
                }
                percentiles.towards = found;
            }
            percentiles.rare = Some(rare);
        }
        let mut sweep = Vec::new();
        let Sweep { variations, chips } = &self.job.sweep;
        let total = (variations.len() as u64).saturating_mul(*chips);
        let progress = self.job.stage("versus sigma", total, "chip");
        for (sigma, variation) in variations {
            let draw = Draw {
                fab: &self.evaluation.varied(variation),
                seed: self.job.seed,
                chips: 0..*chips,
                store: None,
                on_chip: &|| progress.advance(1),
                stop: self.job.place.stop,
            };
            let Some(chips) = clock.time("sweep", || population::draw(self.evaluation, &draw))?
            else {
                return Ok(None);
            };
            sweep.push(study::sweep_point(*sigma, &chips)?);
        }
        let method = (self.job).row(
            None,
            (self.clean, self.also.as_slice()),
            (population, percentiles),
        )?;
        Ok(Some(vec![MethodResults { sweep, ..method }]))
    }

    /// One row for every cell of the hardware.
    pub(super) fn on_targets(
        &self,
        on: &OnTargets,
        calibration: &Batches<T>,
        clock: &mut Clock,
    ) -> Result<Option<Vec<MethodResults>>> {
        // All cells are checked first, so that an error in one does not waste the work on those before it.
        if on.targets.len() > 1 {
            for target in &on.targets {
                let cell = target.cell.as_deref().unwrap_or(&on.name);
                self.mapped(on, target, calibration)
                    .and_then(|mapped| {
                        mapped.fab(on.fidelity)?;
                        hardware::cost(&mapped)
                    })
                    .with_context(|| cell.to_string())?;
            }
        }
        let mut methods = Vec::new();
        for target in &on.targets {
            let mapped = self.mapped(on, target, calibration)?;
            let cell = target.cell.as_deref();
            let Some(method) = self.on_hardware(&on.name, cell, &mapped, on.fidelity, clock)?
            else {
                return Ok(None);
            };
            methods.push(method);
        }
        Ok(Some(methods))
    }

    fn mapped(
        &self,
        on: &OnTargets,
        target: &Target,
        calibration: &Batches<T>,
    ) -> Result<MappedNetwork<N>> {
        Ok(self
            .evaluation
            .mapped(&target.hardware, on.fidelity, calibration)?)
    }

    /// `cell` is the name of the cell if it is not the hardware's own.
    fn on_hardware(
        &self,
        name: &str,
        cell: Option<&str>,
        mapped: &MappedNetwork<N>,
        fidelity: Fidelity,
        clock: &mut Clock,
    ) -> Result<Option<MethodResults>> {
        let fab = mapped.fab(fidelity)?;
        let cost = hardware::cost(mapped)?;
        let device = &mapped.hardware().config().device;
        self.job.note_limits(fidelity, &mapped.unseen(), device);
        let ideal = clock.time("ideal", || self.evaluation.of(&fab.ideal()?))?;
        let stage = format!("evaluate on {}", cell.unwrap_or(name));
        let found = clock.time("chips", || self.chips(&fab, &stage, cell))?;
        let Some(mut found) = found else {
            return Ok(None);
        };
        self.draw_chips(&fab, found.0.as_ref(), cell, clock)?;
        if let Some(simulation) = &self.job.asked.rare {
            let rare = clock.time("rare", || self.rare(&fab, simulation, cell))?;
            let Some(rare) = rare else {
                return Ok(None);
            };
            found.1.rare = Some(rare);
        }
        let method = (self.job).row(cell, (self.clean, self.also.as_slice()), found)?;
        Ok(Some(MethodResults {
            hardware: Some(OnHardware {
                name: name.to_string(),
                device: device.config().kind().to_string(),
                fidelity: fidelity.to_string(),
                ideal,
                population: None,
                cost,
            }),
            ..method
        }))
    }

    /// Evaluates the chips of `fab` as requested; `None` if it was interrupted.
    fn chips(&self, fab: &dyn Fab<N>, stage: &str, cell: Option<&str>) -> Result<Option<Found>> {
        if let Some(race) = &self.race {
            return self.raced(fab, race, stage, &file("race", cell));
        }
        if let Some((k, half_width, looks)) = &self.job.asked.looks {
            return self.looked_at(fab, (*k, *half_width, looks), stage, &file("chips", cell));
        }
        let population = self.population(fab, stage, &file("chips", cell))?;
        Ok(population.map(|population| (Some(population), Percentiles::default())))
    }

    /// A race of the chips. Its counts are kept in `file`.
    fn raced(
        &self,
        fab: &dyn Fab<N>,
        race: &Race,
        stage: &str,
        file: &str,
    ) -> Result<Option<Found>> {
        let items = self.evaluation.items();
        let progress = self.job.stage(stage, 0, "item");
        let store = self.job.store(file, json!({ "race": self.job.of_chips }))?;
        let racing = race::Racing {
            race,
            store: &store,
            on_round: &|chips, round| {
                // The most evaluations that can remain: all remaining chips on all remaining items.
                let most = chips as u64 * (items - round.start) as u64;
                progress.leave(most);
                progress.say(format!("· {chips} chips race"));
            },
            on_chip: &|looked| progress.advance(looked as u64),
            stop: self.job.place.stop,
        };
        let result = race::run(self.evaluation, fab, &racing)?;
        Ok(result.map(|result| {
            let percentiles = Percentiles {
                race: Some(race::summarize(race, &result)),
                ..Percentiles::default()
            };
            (None, percentiles)
        }))
    }

    /// Draws more chips, kept in `file`, until the interval of KPP(k) is narrow enough.
    fn looked_at(
        &self,
        fab: &dyn Fab<N>,
        (k, half_width, looks): (f64, f64, &Looks),
        stage: &str,
        file: &str,
    ) -> Result<Option<Found>> {
        let progress = self.job.stage(stage, self.job.chips, "chip");
        let store = self.job.store(file, self.job.of_chips.clone())?;
        let mut found = None;
        for &chips in looks.chips() {
            progress.advance_to(0);
            let draw = Draw {
                fab,
                seed: self.job.seed,
                chips: 0..chips as u64,
                store: Some(&store),
                on_chip: &|| progress.advance(1),
                stop: self.job.place.stop,
            };
            let Some(population) = population::draw(self.evaluation, &draw)? else {
                return Ok(None);
            };
            let metric = self.evaluation.metric();
            let summary =
                (self.job).look(&population, (k, half_width, looks), &metric, &*progress)?;
            let reached = summary.reached;
            let all = PopulationSummary::of(&population, self.evaluation.items())?;
            let percentiles = Percentiles {
                looks: Some(summary),
                ..Percentiles::default()
            };
            found = Some((Some(all), percentiles));
            if reached {
                break;
            }
        }
        Ok(found)
    }

    /// Rare percentiles; `None` if the simulation was interrupted.
    fn rare(
        &self,
        fab: &dyn Fab<N>,
        simulation: &SubsetSimulation,
        cell: Option<&str>,
    ) -> Result<Option<RareSummary>> {
        let chips = simulation.config().chips;
        let progress = self.job.stage("rare percentiles", 0, "chip");
        let of = json!({ "rare": self.job.of_chips, "chips": chips });
        let store = self.job.store(&file("rare", cell), of)?;
        let simulating = rare::Simulating {
            simulation,
            store: &store,
            on_level: &|level, chips| {
                progress.lengthen(chips as u64);
                progress.say(format!("· level {level}"));
            },
            on_chip: &|| progress.advance(1),
            stop: self.job.place.stop,
        };
        let result = rare::run(self.evaluation, fab, &simulating)?;
        let items = self.evaluation.items();
        Ok(result.map(|result| rare::summarize(&result, chips, items)))
    }

    /// Rare percentiles from as many chips as the simulation evaluated. They are shifted along `direction`, by an amount that `plain` chips determine. `None`
    /// if this was interrupted.
    fn towards(
        &self,
        variation: &Variation,
        direction: &Direction,
        plain: &PopulationSummary,
        simulated: &RareSummary,
    ) -> Result<Option<ImportanceSummary>> {
        let EvaluationJob {
            of_chips,
            towards,
            asked,
            ..
        } = self.job;
        let rare = asked.rare.as_ref().map(SubsetSimulation::config);
        let shifting = rare::Shifting {
            variation,
            direction,
            pilot: rare::pilot(direction, plain, self.evaluation.metric().better),
            seed: self.job.seed,
            chips: simulated.evaluations,
            percentages: rare.map_or(&[], |rare| &rare.percentages),
        };
        let chip = towards.as_ref().map(WorstChip::checksum);
        let of = json!({ "towards": of_chips, "chip": chip, "shift": shifting.shift() });
        let store = self.job.store("towards.json", of)?;
        let progress = self
            .job
            .stage("towards the worst chip", shifting.chips, "chip");
        let on_chip = || progress.advance(1);
        shifting.run(self.evaluation, &store, &on_chip, self.job.place.stop)
    }

    /// Evaluates the chips of this part of the population from `fab`, kept in `file`; `None` if it was interrupted.
    fn population(
        &self,
        fab: &dyn Fab<N>,
        stage: &str,
        file: &str,
    ) -> Result<Option<PopulationSummary>> {
        let chips = self.job.part.clone();
        let progress = self.job.stage(stage, chips.end - chips.start, "chip");
        let store = self.job.store(file, self.job.of_chips.clone())?;
        let draw = Draw {
            fab,
            seed: self.job.seed,
            chips,
            store: Some(&store),
            on_chip: &|| progress.advance(1),
            stop: self.job.place.stop,
        };
        let population = population::draw(self.evaluation, &draw)?;
        let summary =
            population.map(|chips| PopulationSummary::of(&chips, self.evaluation.items()));
        Ok(summary.transpose()?)
    }

    /// Adds the best, the median and the worst chip of a population to the charts; for one cell among several only the worst. If there are no other pictures,
    /// items that the worst chip decides differently are shown. A shard adds none, because it does not know which chips these are.
    fn draw_chips(
        &self,
        fab: &dyn Fab<N>,
        population: Option<&PopulationSummary>,
        cell: Option<&str>,
        clock: &mut Clock,
    ) -> Result<()> {
        let EvaluationJob { part, chips, .. } = self.job;
        let Some(population) = population else {
            return Ok(());
        };
        if self.figures.borrow().charts.is_empty() || *part != (0..*chips) {
            return Ok(());
        }
        let better = self.evaluation.metric().better;
        let shown = shown(population, better, cell);
        let bare = self.figures.borrow().pictures.is_none();
        for (place, (name, number)) in shown.iter().enumerate() {
            let chip = ChipSeed::new(population.seed, *number);
            let flips = bare && place + 1 == shown.len();
            let found = clock.time("charts", || {
                self.evaluation.figures_of_chip(fab, chip, flips)
            })?;
            let mut figures = self.figures.borrow_mut();
            figures.add_chip(name, found.charts);
            if let Some(pictures) = found.pictures {
                let mut sheet = study::sheet(pictures)?;
                sheet.title = format!("{}: {name}", sheet.title);
                figures.pictures = Some(sheet);
            }
        }
        Ok(())
    }
}
