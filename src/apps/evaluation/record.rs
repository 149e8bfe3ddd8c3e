//! What an evaluation keeps and reports. Nothing here depends on the type of the network, so it is compiled only once.

use anyhow::Result;
use crossburn_hardware::deploy::Fidelity;
use crossburn_hardware::device::MemoryDevice;
use crossburn_noise::{Better, Looks, Metric, Population};
use serde_json::Value;

use super::job::EvaluationJob;
use crate::apps::population::ChipStore;
use crate::apps::study;
use crate::apps::workplace::{Stage, Workplace};
use crate::report::{
    AlsoMeasured, KppEntry, LooksSummary, MethodResults, Percentiles, PopulationSummary,
};

/// Results about the chips of one fab: a population, unless the chips raced.
pub(super) type Found = (Option<PopulationSummary>, Percentiles);

impl EvaluationJob<'_> {
    pub(super) fn stage(&self, name: &str, total: u64, unit: &str) -> Box<dyn Stage> {
        self.place.observer.stage(name, total, unit)
    }

    fn note(&self, line: &str) {
        self.place.observer.note(line);
    }

    /// The store of finished chips in `file`; `of` are the settings that they depend on.
    pub(super) fn store(&self, file: &str, of: Value) -> Result<ChipStore> {
        let Workplace { out, resume, .. } = self.place;
        ChipStore::open(out.join(file), of, resume)
    }

    /// Notes what chips at `fidelity` do not simulate. The weights `unseen` are used by no layer that supports arrays.
    pub(super) fn note_limits(&self, fidelity: Fidelity, unseen: &[&str], device: &MemoryDevice) {
        if fidelity == Fidelity::Weight && !unseen.is_empty() {
            self.note(&format!(
                "no array-aware layer uses {}: their cost is left out",
                unseen.join(", ")
            ));
        }
        if fidelity == Fidelity::Weight && device.has_read_noise() {
            self.note(&format!(
                "{}: it has read noise, which weight fidelity leaves out and --fidelity array includes",
                device.config().kind()
            ));
        }
        if device.iv_curve().is_some() {
            self.note(&format!(
                "{}: its current is not linear in the voltage, but chips compute with conductances, as if it were",
                device.config().kind()
            ));
        }
    }

    /// Computes the interval of KPP(k) of a population, and notes its width.
    pub(super) fn look(
        &self,
        population: &Population,
        (k, half_width, looks): (f64, f64, &Looks),
        metric: &Metric,
        progress: &dyn Stage,
    ) -> Result<LooksSummary> {
        let chips = population.chips();
        let interval = population.kpp_interval(k, looks.each())?;
        let (low, high) = interval.bounds(metric.range());
        let open = 0.5 * (high - low);
        let reached = open <= half_width;
        progress.say(format!("· KPP({k}) ± {}", metric.show(open)));
        if !reached && chips as u64 == self.chips {
            self.note(&format!(
                "KPP({k}) is known to {} {} after {chips} chips, not to {}: use more --chips, with --resume to keep these",
                metric.digits(open),
                metric.step(),
                metric.digits(half_width)
            ));
        }
        Ok(LooksSummary {
            k,
            half_width,
            looks: looks.chips().to_vec(),
            chips,
            confidence: looks.confidence(),
            each: looks.each(),
            kpp: KppEntry {
                value: population.kpp(k)?,
                low: interval.low,
                high: interval.high,
            },
            reached,
        })
    }

    /// One row of the document. Its name is that of the cell, or of the training if the cell is the hardware's own. `clean` and `also` are the metrics without
    /// variation.
    pub(super) fn row(
        &self,
        cell: Option<&str>,
        (clean, also): (f64, &[AlsoMeasured]),
        (population, percentiles): Found,
    ) -> Result<MethodResults> {
        let noise = self.stored.training_noise()?;
        Ok(MethodResults {
            name: cell.map_or_else(|| study::method_name(&self.stored.recipe), str::to_string),
            training_noise: study::training_noise(&self.stored.recipe, &noise)?,
            tried: Vec::new(),
            clean,
            also: also.to_vec(),
            curve: Vec::new(),
            population,
            sweep: Vec::new(),
            hardware: None,
            percentiles: (percentiles != Percentiles::default()).then_some(percentiles),
        })
    }
}

/// The best, the median and the worst chip of a population, with their numbers; fewer if the population is small. For one cell among several only the
/// worst.
pub(super) fn shown(
    population: &PopulationSummary,
    better: Better,
    cell: Option<&str>,
) -> Vec<(String, u64)> {
    let mut order: Vec<usize> = (0..population.values.len()).collect();
    let oriented = |chip: &usize| better.orient(population.values[*chip]);
    order.sort_by(|a, b| oriented(b).total_cmp(&oriented(a)));
    let ranks = match (order.len(), cell) {
        (0, _) => Vec::new(),
        (chips, Some(_)) | (chips @ 1, None) => vec![("worst", chips - 1)],
        (2, None) => vec![("best", 0), ("worst", 1)],
        (chips, None) => vec![("best", 0), ("median", chips / 2), ("worst", chips - 1)],
    };
    let named = |(name, rank): (&str, usize)| {
        let number = population.first + order[rank] as u64;
        match cell {
            Some(cell) => (format!("{cell}: {name} chip ({number})"), number),
            None => (format!("{name} chip ({number})"), number),
        }
    };
    ranks.into_iter().map(named).collect()
}

/// The file for the chips of one kind of evaluation, and of one cell if there are several. A cell may have the name of a weight in a graph, which may contain
/// slashes.
pub(super) fn file(what: &str, cell: Option<&str>) -> String {
    match cell {
        Some(cell) => format!("{what}-{}.json", cell.replace(['/', '\\'], "-")),
        None => format!("{what}.json"),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn kept_chips_lie_in_the_folder_of_the_run() {
        assert_eq!(file("chips", None), "chips.json");
        let found = file("chips", Some("model/dense/kernel:0 slice 1"));
        assert_eq!(found, "chips-model-dense-kernel:0 slice 1.json");
    }

    #[test]
    fn shown_chips_are_ranked_by_the_better_end() {
        let check = |values: &[f64], better, cell, expected: &[(&str, u64)]| {
            let population = Population::new(1, 10, values.to_vec());
            let summary = PopulationSummary::of(&population, 4).unwrap();
            let found = shown(&summary, better, cell);
            let found: Vec<(&str, u64)> = found.iter().map(|(n, at)| (n.as_str(), *at)).collect();
            assert_eq!(found, expected);
        };
        let values = [0.5, 0.9, 0.1, 0.7, 0.6];
        let [best, median, worst] = [
            ("best chip (11)", 11),
            ("median chip (14)", 14),
            ("worst chip (12)", 12),
        ];
        check(&values, Better::Higher, None, &[best, median, worst]);
        let [best, worst] = [("best chip (12)", 12), ("worst chip (11)", 11)];
        check(&values, Better::Lower, None, &[best, median, worst]);
        let of_cell = ("rram1: worst chip (12)", 12);
        check(&values, Better::Higher, Some("rram1"), &[of_cell]);
        let two = [("best chip (10)", 10), ("worst chip (11)", 11)];
        check(&[0.9, 0.5], Better::Higher, None, &two);
        check(&[0.3], Better::Lower, None, &[("worst chip (10)", 10)]);
    }
}
