//! `crossburn recommend`: what a study says about a device of one's own.

use std::path::{Path, PathBuf};

use anyhow::{Result, bail};
use clap::Args;
use crossburn_hardware::units::Joule;

use super::size::Size;
use super::{Outcome, print};
use crate::apps::edge_llm::{Asked, Choice, Recommendation, recommend};
use crate::report::draw::quantity::Shown;
use crate::report::draw::{Cell, Table};
use crate::report::{Document, EdgeStudy};

/// The study that comes with the program: `crossburn study edge-llm full`.
const INCLUDED: &str = include_str!("../../results/edge-llm-full.json");

/// Recommend how to make a language model personal on your device, from a study
///
/// The command takes the measurements of your task with the nearest length of history. Those count that fit into the memory, the time and,
/// with --energy, the energy of the device. The best method comes first. Each other method follows with its distance from the best and a 95 % interval of
/// that distance over people. If the study has not measured what you ask, the answer says so. Without --study, the answer is about the models of this
/// project and drawn people.
///
/// Example: crossburn recommend --ram 2GB --hours 1 --history 32 --task tagging
#[derive(Debug, Args)]
pub(super) struct Recommend {
    /// Memory of the device, such as 2GB or 512KiB
    #[arg(long, value_name = "SIZE", help_heading = "Device")]
    ram: Size,
    /// Hours that the device may spend on learning
    #[arg(
        long,
        value_name = "HOURS",
        help_heading = "Device",
        allow_negative_numbers = true
    )]
    hours: f64,
    /// Billions of operations per second of the device; a multiplication or an addition is one operation [default: that of the study, 2 in `full`]
    #[arg(long, value_name = "GOPS", help_heading = "Device")]
    gops: Option<f64>,
    /// Law by which the weights of the model deviate: ideal, or a law of the study, such as gaussian-0.1
    #[arg(
        long,
        value_name = "CELLS",
        default_value = "ideal",
        help_heading = "Device"
    )]
    chip: String,
    /// Energy that the arrays may take for one answer, such as "2 mJ"; it is estimated for weights on cells that deviate (--chip)
    #[arg(long, value_name = "ENERGY", help_heading = "Device")]
    energy: Option<Joule>,
    /// Number of examples that the device has of the person
    #[arg(long, value_name = "N", help_heading = "Person")]
    history: u64,
    /// The kind of question: choice, tagging, rating, titling or paraphrase
    #[arg(long, value_name = "TASK", help_heading = "Person")]
    task: String,
    /// Run folder of a study, or its results.json [default: the study `full`, whose results come with the program]
    #[arg(long, value_name = "PATH", help_heading = "Options")]
    study: Option<PathBuf>,
}

impl Recommend {
    pub(super) fn run(self) -> Result<Outcome> {
        if !(self.hours.is_finite() && self.hours >= 0.0) {
            bail!("--hours {}: use 0 or a number above", self.hours);
        }
        if let Some(gops) = self.gops.filter(|gops| !(gops.is_finite() && *gops > 0.0)) {
            bail!("--gops {gops}: use a number above 0");
        }
        if let Some(energy) = self.energy.filter(|energy| energy.get() <= 0.0) {
            bail!("--energy \"{energy}\": use an energy above 0");
        }
        let study = match &self.study {
            None => EdgeStudy::from_json(INCLUDED, Path::new("results/edge-llm-full.json"))?,
            Some(path) if !path.exists() => bail!(
                "{} does not exist; hint: make a study with `crossburn study edge-llm quick`, or leave --study out",
                path.display()
            ),
            Some(path) => EdgeStudy::read(path)?,
        };
        let asked = Asked {
            ram: self.ram.bytes(),
            hours: self.hours,
            history: self.history,
            task: self.task,
            speed: self.gops.map(|gops| 1e9 * gops),
            chip: self.chip,
            energy: self.energy.map(Joule::get),
        };
        let found = recommend(&study, &asked)?;
        if self.study.is_none() {
            print(
                "from the study `full` that comes with the program: drawn people, and models of at most 1.05 million weights; --study names another",
            )?;
        }
        print(&shown(&study, &found))?;
        Ok(Outcome::Done)
    }
}

/// Hundredths, with their interval.
fn hundredths((mean, interval): (f64, Option<[f64; 2]>)) -> Cell {
    let value = format!("{:.1}", 100.0 * mean);
    match interval {
        None => value.into(),
        Some([low, high]) => {
            Cell::with_detail(value, format!("[{:.1}, {:.1}]", 100.0 * low, 100.0 * high))
        }
    }
}

/// The best in a sentence, the choices as a table, and how far the question lies from the study.
fn shown(study: &EdgeStudy, found: &Recommendation) -> String {
    let mut lines = Vec::new();
    if let Some(best) = found.options.first() {
        let steps = match best.steps {
            0 => String::new(),
            steps => format!(" for {steps} steps"),
        };
        let cells = found.chip.as_ref().map(|chip| format!(" on cells {chip}"));
        lines.push(format!(
            "{}{steps} with {} ({}), by {} people with a history of {}{}",
            best.method,
            best.model,
            best.compression,
            study.people,
            found.history,
            cells.unwrap_or_default()
        ));
    }
    let apart = |choice: &Choice| {
        let interval = choice.behind.and_then(|(_, interval)| interval);
        interval.is_some_and(|[low, _]| low > 0.0)
    };
    let equal = found
        .options
        .iter()
        .skip(1)
        .filter(|choice| !apart(choice))
        .count();
    if equal > 0 {
        let others = if equal == 1 { "other" } else { "others" };
        lines.push(format!(
            "the study cannot tell {equal} {others} apart from the best"
        ));
    }
    let estimated = found.options.iter().any(|choice| choice.joules.is_some());
    let rows = found.options.iter().map(|choice| {
        [
            Cell::from(choice.method.clone()),
            format!("{}, {}", choice.model, choice.compression).into(),
            choice.steps.to_string().into(),
            hundredths(choice.quality),
            choice.behind.map_or_else(Cell::missing, hundredths),
            format!("{:.2}", choice.bytes as f64 / 1e6).into(),
            format!("{:.1}", choice.seconds).into(),
        ]
        .into_iter()
        .chain(estimated.then(|| {
            let joules = choice.joules.map(|joules| Joule::new(joules).shown());
            joules.map_or_else(Cell::missing, Cell::from)
        }))
        .collect::<Vec<Cell>>()
    });
    let headers = [
        "Method",
        "Model, form",
        "Steps",
        "Quality",
        "Below the best",
        "Memory (MB)",
        "Learning (s)",
    ];
    let energy = estimated.then_some("Energy of an answer");
    let table = Table::new(headers.into_iter().chain(energy).collect::<Vec<_>>());
    lines.push(table.rows(rows).text());
    lines.extend(
        found
            .distances
            .iter()
            .map(|distance| format!("not measured: {distance}")),
    );
    lines.join("\n")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::report::example;

    #[test]
    fn an_answer_names_the_best_its_rivals_and_what_was_not_measured() {
        let study = example::edge_study();
        let asked = Asked {
            ram: 1 << 31,
            hours: 1.0,
            history: 8,
            task: "tagging".to_string(),
            speed: None,
            chip: "ideal".to_string(),
            energy: None,
        };
        assert!(recommend(&study, &asked).is_err());
        let found = recommend(
            &study,
            &Asked {
                task: "titling".to_string(),
                ..asked
            },
        );
        let text = shown(&study, &found.unwrap());
        for part in [
            "lora for 8 steps with small (fp32), by 2 people with a history of 8",
            "not measured: memory: the largest cell",
            "not measured: time: the longest learning",
        ] {
            assert!(text.contains(part), "{text}");
        }
        assert!(!text.contains("on cells"), "{text}");
    }
}
