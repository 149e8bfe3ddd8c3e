//! The page of a worst-case search, and its run folder.

use std::path::Path;

use super::ReportError;
use super::atomic::{create_folder, write_file};
use super::cost_page::table;
use super::html::{Page, definitions, figure, page, terms};
use super::results::RESULTS_FILE;
use super::run_folder::{REPORT_FILE, write_plots};
use super::svg::Drawing;
use super::worst_case_plots::drawings;
use super::worst_case_results::WorstCaseResults;
use super::worst_case_summary::{DEFINITIONS, LAYER_HEADERS, facts, headline, layer_rows, rows};

/// Writes the run folder of a worst-case search as [`write_run`](super::write_run) writes that of a population.
///
/// # Errors
///
/// [`ReportError::Invalid`] for results that no search can have, before anything is written; [`ReportError::Write`] naming
/// the file or folder that cannot be written.
pub fn write_worst_case(dir: &Path, results: &WorstCaseResults) -> Result<(), ReportError> {
    results.check()?;
    let pictures = drawings(results);
    create_folder(dir)?;
    results.write(&dir.join(RESULTS_FILE))?;
    write_file(&dir.join(REPORT_FILE), &html(results, &pictures))?;
    let plots = pictures
        .iter()
        .map(|picture| (picture.id, picture.standalone()));
    write_plots(dir, &plots.collect::<Vec<_>>())
}

/// The page of a worst-case search as one HTML document, without scripts and without anything loaded from elsewhere.
pub fn worst_case_html(results: &WorstCaseResults) -> String {
    html(results, &drawings(results))
}

fn html(results: &WorstCaseResults, pictures: &[Drawing]) -> String {
    let accuracies: Vec<[String; 2]> = rows(results)
        .into_iter()
        .map(|(term, value)| [term, value])
        .collect();
    let figures: String = pictures
        .iter()
        .map(|picture| figure(&picture.inline()))
        .collect();
    let body = format!(
        "{}<h2>Accuracy (%)</h2>\n{}<h2>Layers</h2>\n{}<h2>Plots and definitions</h2>\n<div class=\"plots\">\n{figures}{}</div>\n",
        terms(&facts(results)),
        table(&["", "Accuracy (%)"], &accuracies, None),
        table(&LAYER_HEADERS, &layer_rows(results), None),
        definitions(&DEFINITIONS),
    );
    page(&Page {
        title: format!("Crossburn worst case: {}", results.data),
        lead: headline(results),
        body,
        reproduce: &results.reproduce,
        configuration: format!("{:#}", results.config),
        version: &results.version,
        commit: results.commit.as_deref(),
    })
}
