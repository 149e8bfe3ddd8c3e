//! The page of a run of `demo`, `train`, `import` or `evaluate`.

use super::document::{Results, RunCommand};
use super::percentiles::{percentile_definitions, percentile_measures};
use super::summary::{DEFINITIONS, describe, further_measures, hardware_measures, measures};
use super::table::{Noise, by_method, further_by_method};
use crate::report::draw::{ConfusionMatrix, Drawing, Page, PictureSheet};

/// What was measured, method by method, and the plots.
pub(super) fn page(results: &Results, plots: &[Drawing]) -> Page {
    let mut page = Page::new().terms(&facts(results));
    if !results.methods.is_empty() {
        // What is the same of all stands above them, and how others have trained a network is not known.
        let noise = match results.command {
            RunCommand::Import => Noise::Hidden,
            _ if noise_of_all(results).is_some() => Noise::Hidden,
            _ => Noise::Shown,
        };
        let table = by_method(results, &measures(results), noise);
        page = page.heading(&results.metric.heading()).table(&table);
    }
    let further = further_measures(results);
    if !further.is_empty() {
        page = page
            .heading("Without variation, judged further")
            .table(&further_by_method(results, &further));
    }
    let percentiles = percentile_measures(results);
    if !percentiles.is_empty() {
        page = page.heading("Percentiles of chips").table(&by_method(
            results,
            &percentiles,
            Noise::Hidden,
        ));
    }
    if let Some((name, measures)) = hardware_measures(results) {
        let judged = &results.metric.name;
        page = page
            .heading(&format!("On the hardware {name}: {judged} and cost"))
            .remark(&hardware_facts(results))
            .table(&by_method(results, &measures, Noise::Hidden));
    }
    // They are about chips.
    let mut definitions = match results.deployment {
        Some(_) => DEFINITIONS.map(str::to_string).to_vec(),
        None => Vec::new(),
    };
    definitions.extend(percentile_definitions(results));
    // The matrix and the pictures have parts of their own.
    let apart = [ConfusionMatrix::ID, PictureSheet::ID];
    let beside = |plot: &&Drawing| !apart.contains(&plot.id());
    let page = page.plots(plots.iter().filter(beside), &definitions);
    let page = match plots.iter().find(|plot| plot.id() == PictureSheet::ID) {
        Some(pictures) => page.broad(pictures),
        None => page,
    };
    match &results.confusion {
        Some(matrix) => page.confusion("Confusion matrix without variation", matrix),
        None => page,
    }
}

/// What was run, as a list of terms.
fn facts(results: &Results) -> Vec<(&'static str, String)> {
    let data = &results.data;
    let learned = match (data.train, data.validation) {
        // A network that was not trained in this run.
        (0, 0) => String::new(),
        (train, validation) => format!("{train} training, {validation} validation, "),
    };
    let mut facts = vec![(
        "Data",
        format!("{}: {learned}{} test items", data.source, data.test),
    )];
    if let Some(noise) = noise_of_all(results) {
        facts.push(("Training noise", describe(noise)));
    }
    let tried = results.methods.iter().flat_map(|method| &method.tried);
    let tried: Vec<String> = tried
        .map(|tried| {
            let noise = describe(&tried.training_noise);
            let kpp5 = results.metric.show(tried.kpp5);
            format!("{noise}: {kpp5} of {} chips", tried.chips)
        })
        .collect();
    if !tried.is_empty() {
        facts.push((
            "Noises tried",
            format!(
                "each method keeps the noise with the best KPP(5) on the validation items, of chips that are not judged. {}",
                tried.join("; ")
            ),
        ));
    }
    if let Some(deployment) = &results.deployment {
        facts.push(("Deployment", describe(deployment)));
    }
    let mut chips: Vec<String> = results
        .methods
        .iter()
        .filter_map(|method| method.population.as_ref())
        .map(|p| {
            format!(
                "{} from number {} of seed {}, {} items each",
                p.chips, p.first, p.seed, p.items
            )
        })
        .collect();
    chips.dedup();
    if !chips.is_empty() {
        facts.push(("Chips", chips.join("; ")));
    }
    facts
}

/// The noise that several methods were trained with, where it is the same: one network on several cells.
fn noise_of_all(results: &Results) -> Option<&serde_json::Value> {
    let (first, others) = results.methods.split_first()?;
    let same = others
        .iter()
        .all(|other| other.training_noise == first.training_noise);
    (same && !others.is_empty() && results.command != RunCommand::Import)
        .then_some(&first.training_noise)
}

/// What the chips on a hardware are, in a sentence for all cells of which the same is said.
fn hardware_facts(results: &Results) -> String {
    let mut facts: Vec<(String, Vec<&str>)> = Vec::new();
    let hardware = results.methods.iter();
    for hardware in hardware.filter_map(|method| method.hardware.as_ref()) {
        let said = {
            let fidelity = match hardware.fidelity.as_str() {
                "array" => "every product on its arrays",
                _ => "the weights that programmed cells hold",
            };
            let cost = hardware.cost.as_ref().map_or_else(String::new, |cost| {
                format!("; energy by the converters of {}", cost.adc_estimator)
            });
            format!("chips compute with {fidelity}{cost}.")
        };
        let cell = hardware.device.as_str();
        match facts.iter_mut().find(|(other, _)| *other == said) {
            Some((_, cells)) if cells.contains(&cell) => {}
            Some((_, cells)) => cells.push(cell),
            None => facts.push((said, vec![cell])),
        }
    }
    let sentences = facts.into_iter();
    let sentences = sentences.map(|(said, cells)| format!("Cells: {}; {said}", cells.join(", ")));
    sentences.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use crossburn_noise::Metric;
    use serde_json::json;

    use crate::report::{AlsoMeasured, Document, RunCommand, example};

    #[test]
    fn text_from_the_results_is_escaped() {
        let mut results = example::results();
        let evil = "<script>alert(1)</script>";
        results.methods[0].name = evil.into();
        results.methods[0].training_noise = json!(evil);
        results.data.source = evil.into();
        results.reproduce = evil.into();
        results.version = evil.into();
        results.commit = Some(evil.into());
        results.config = json!({ evil: evil });
        results.deployment = Some(json!({"kind": evil}));
        assert!(!results.html().unwrap().contains("<script"));
    }

    #[test]
    fn durations_do_not_change_the_page() {
        let mut results = example::results();
        let before = results.html().unwrap();
        results.timing.seconds.clear();
        assert_eq!(results.html().unwrap(), before);
    }

    #[test]
    fn holds_every_part() {
        let page = example::results().html().unwrap();
        for part in [
            "<h1>Crossburn demo: digits",
            "Worst of 50",
            "KPP(50)",
            "type 7",
            "distribution-free",
            "0123abc",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg").count(), 3);
        assert!(page.contains("crossburn demo --quick --seed 1") && page.contains("<details>"));
    }

    #[test]
    fn a_run_without_chips_says_nothing_about_them() {
        let mut results = example::results();
        results.deployment = None;
        results.command = RunCommand::Import;
        for method in &mut results.methods {
            (method.population, method.sweep, method.percentiles) = (None, Vec::new(), None);
        }
        let page = results.html().unwrap();
        assert!(!page.contains("How the numbers are defined") && !page.contains("training noise"));
    }

    #[test]
    fn what_all_methods_share_is_said_once() {
        let mut results = example::results();
        for (method, device) in results.methods.iter_mut().zip(["rram4", "fefet2"]) {
            method.training_noise = json!({"kind": "gaussian"});
            method.hardware = Some(crate::report::OnHardware {
                name: "papers".into(),
                device: device.into(),
                fidelity: "weight".into(),
                ideal: 0.9,
                population: None,
                cost: None,
            });
        }
        let page = results.html().unwrap();
        assert!(page.contains("<dt>Training noise</dt><dd>gaussian</dd>"));
        assert!(!page.contains("training noise:"));
        assert!(page.contains("Cells: rram4, fefet2; chips compute with the weights"));
        results.methods[1].hardware.as_mut().unwrap().fidelity = "array".into();
        results.methods[1].training_noise = json!({"kind": "none"});
        let page = results.html().unwrap();
        assert!(page.contains("training noise: none") && page.contains("Cells: fefet2; chips"));
    }

    #[test]
    fn further_metrics_have_a_table_of_their_own() {
        let mut results = example::results();
        let heading = "Without variation, judged further";
        assert!(!results.html().unwrap().contains(heading));
        results.methods[0].also = ["BAC", "PPV"]
            .map(|name| AlsoMeasured {
                metric: Metric::share(name),
                value: 0.5,
            })
            .to_vec();
        let page = results.html().unwrap();
        let (before, after) = page.split_once(heading).unwrap();
        assert!(!before.contains("BAC") && after.contains("Clean: BAC (%)"));
        assert_eq!(page.matches("Clean: PPV (%)").count(), 1);
    }

    #[test]
    fn an_empty_run_still_has_a_page() {
        let mut results = example::results();
        results.methods.clear();
        results.deployment = None;
        assert!(results.html().unwrap().contains("No method was measured."));
    }
}
