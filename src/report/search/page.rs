//! The page of a search.

use super::document::{DesignPoint, SearchResults};
use super::layers::layers;
use super::summary::{definitions, quantity, terms};
use super::table::proposers;
use crate::report::draw::{Drawing, Page, Table};

/// What was found, by whom and how fast, the plots, the winning design, and what was said.
pub(super) fn page(results: &SearchResults, plots: &[Drawing]) -> Page {
    let mut page = Page::new()
        .terms(&terms(results))
        .heading("Proposers")
        .table(&proposers(results))
        .plots(plots, &definitions(results));
    let shown = [
        ("The design of the highest score", &results.winner),
        ("The best design by priority", &results.by_priority),
    ];
    for (heading, point) in shown {
        if let Some(point) = point {
            page = page
                .heading(heading)
                .table(&choices(point))
                .table(&measured(results, point));
        }
    }
    if !results.layers.is_empty() {
        page = page
            .heading("Layers of the design of the highest score")
            .remark("A layer is a matrix: its rows are the inputs of one position, its columns the outputs. Arrays count all copies.")
            .table(&layers(results));
    }
    if !results.conversation.is_empty() {
        page = page
            .heading("Conversation")
            .remark("Each reply as it came, and what is wrong with it if it names no design. The prompts are in the run folder.")
            .table(&conversation(results));
    }
    page
}

/// The choices of a design, one row per axis.
fn choices(point: &DesignPoint) -> Table {
    let axes = point
        .design
        .split(' ')
        .filter_map(|axis| axis.split_once('='));
    let rows = axes.map(|(name, choices)| [name.to_string(), choices.replace(',', ", ")]);
    Table::new(["Axis", "Choice at each position"]).rows(rows)
}

fn measured(results: &SearchResults, point: &DesignPoint) -> Table {
    let measures = results.measures.iter().zip(&point.values);
    let rows =
        measures.map(|(measure, value)| [measure.name.clone(), quantity(*value, &measure.unit)]);
    let score = [["score".to_string(), format!("{:.4}", point.score)]];
    Table::new(["Measure", "Value"]).rows(rows).rows(score)
}

fn conversation(results: &SearchResults) -> Table {
    let rows = results.conversation.iter().map(|exchange| {
        [
            format!("{} {}", exchange.proposer, exchange.evaluation),
            exchange.reply.clone(),
            exchange.problem.clone().unwrap_or_default(),
        ]
    });
    Table::new(["Evaluation", "Reply", "What is wrong with it"]).rows(rows)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use crate::report::{Document, example};

    #[test]
    fn the_page_holds_every_part_and_no_text_as_markup() {
        let mut results = example::search();
        let page = results.html().unwrap();
        for part in [
            "The best of 3 searches of 40 evaluations has the score 0.7000: array=64 channels=4",
            "The design of the highest score",
            "Choice at each position",
            "Layers of the design of the highest score",
            "Conversation",
            "axis `array` has no choice 65",
            "Regret is the highest score",
            "not a language model",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg").count(), 3);
        let evil = "<script>alert(1)</script>";
        results.about = evil.into();
        results.space = evil.into();
        results.conversation[0].reply = evil.into();
        results.points[0].design = evil.into();
        results.winner.as_mut().unwrap().design = evil.into();
        results.proposers[0].name = evil.into();
        assert!(!results.html().unwrap().contains("<script"));
    }
}
