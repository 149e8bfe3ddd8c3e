//! The page of a simulation.

use super::document::Simulation;
use super::plots::{CYCLES, ENERGY, SIGNALS};
use super::summary::{DEFINITIONS, terms};
use super::table::{layers, work};
use crate::report::draw::{Drawing, Page};

/// Layers, plots, what segments are taken for, and signals with their decisions.
pub(super) fn page(found: &Simulation, plots: &[Drawing]) -> Page {
    let charts = plots
        .iter()
        .filter(|plot| [ENERGY, CYCLES].contains(&plot.id()));
    let signals = plots.iter().filter(|plot| SIGNALS.contains(&plot.id()));
    let page = Page::new()
        .terms(&terms(found))
        .heading("What layers hold")
        .table(&layers(found))
        .heading("What layers take per inference")
        .table(&work(found))
        .plots(charts, &DEFINITIONS)
        .confusion("Segments on the accelerator", &found.confusion)
        .heading("Signals and decisions");
    match found.sequences.is_empty() {
        true => page.remark(
            "The data do not say whose segments these are and which follow each other, so that no sequence is shown.",
        ),
        false => signals.fold(
            page.paragraph(
                "For each label: up to six neighbouring segments of which at least one is decided wrong, and up to six that are all decided right.",
            ),
            Page::broad,
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crate::report::{Document, example};

    #[test]
    fn a_page_shows_layers_charts_confusion_and_signals() {
        let page = example::simulation().html().unwrap();
        // Energy, cycles, the confusion matrix, two signals, each once more for narrow screens.
        assert_eq!(page.matches("<svg ").count(), 7);
        for part in [
            "VA, patient &lt;1&gt;, segments 4 to 6 of its sequence, with a wrong decision",
            "all decided right",
            "Other, wrong",
            "2:4, bitmap",
            "no measure of the efficiency at work",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert!(!page.contains("<1>"));
    }

    #[test]
    fn segments_of_nobody_are_not_shown() {
        let mut found = example::simulation();
        found.sequences.clear();
        let page = found.html().unwrap();
        assert!(page.contains("do not say whose segments these are"));
        assert_eq!(page.matches("<svg ").count(), 3);
    }
}
