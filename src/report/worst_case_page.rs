//! The page of a worst-case search, and its run folder.

use std::path::Path;

use super::ReportError;
use super::atomic::{create_folder, write_file};
use super::cost_page::table;
use super::document::Document;
use super::html::{Page, definitions, figure, page, terms};
use super::results::RESULTS_FILE;
use super::run_folder::{REPORT_FILE, write_plots};
use super::svg::Drawing;
use super::worst_case_certificate::{CERTIFICATE_DEFINITION, CERTIFICATE_HEADERS};
use super::worst_case_plots::drawings;
use super::worst_case_results::WorstCaseResults;
use super::worst_case_summary::{
    DEFINITIONS, LAYER_HEADERS, facts, headline, layer_rows, leg_headers, leg_rows, rows,
};

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
    let heading = results.metric.heading();
    let found: Vec<[String; 2]> = rows(results)
        .into_iter()
        .map(|(term, value)| [term, value])
        .collect();
    let figures: String = pictures
        .iter()
        .map(|picture| figure(&picture.inline()))
        .collect();
    let legs = leg_rows(results);
    let legs = match legs.is_empty() {
        true => String::new(),
        false => format!(
            "<h2>Legs of the search</h2>\n{}",
            table(
                &leg_headers(&results.metric).each_ref().map(String::as_str),
                &legs,
                None
            )
        ),
    };
    let certificate = results
        .certificate
        .as_ref()
        .map_or_else(String::new, |certificate| {
            let layers = table(&CERTIFICATE_HEADERS, &certificate.layer_rows(), None);
            format!("<h2>Certificate</h2>\n<p>{CERTIFICATE_DEFINITION}</p>\n{layers}")
        });
    let body = format!(
        "{}<h2>{heading}</h2>\n{}<h2>Layers</h2>\n{}{certificate}{legs}<h2>Plots and definitions</h2>\n<div class=\"plots\">\n{figures}{}</div>\n",
        terms(&facts(results)),
        table(&["", &heading], &found, None),
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::super::example;
    use super::super::{worst_case_table, write_run};
    use super::*;

    #[test]
    fn the_page_holds_every_part_and_no_text_as_markup() {
        let mut results = example::worst_case();
        let page = worst_case_html(&results);
        for part in [
            "2 searches of together 6 evaluations take the accuracy from 97.00 % to 15.00 %, where the worst of 20 random chips has 97.00 %",
            "Transfer to 100 training items",
            "99.00 → 20.00",
            "by margin: 3 evaluations, 2 with a gradient",
            "by cross-entropy: 3 evaluations, 2 with a gradient",
            "sign by margin",
            "The true worst case is at least as bad",
            "fc.weight",
        ] {
            assert!(page.contains(part), "{part}");
        }
        assert_eq!(page.matches("<svg").count(), 3);
        results.timing.seconds.insert("search".into(), 3.0);
        assert_eq!(worst_case_html(&results), page);
        let evil = "<script>alert(1)</script>";
        results.data = evil.into();
        results.layers[0].path = evil.into();
        results.reproduce = evil.into();
        results.config = evil.into();
        assert!(!worst_case_html(&results).contains("<script"));
    }

    #[test]
    fn the_table_says_what_the_page_says() {
        let text = worst_case_table(&example::worst_case());
        for part in [
            "Worst case found",
            "15.00",
            "- by margin",
            "- by cross-entropy",
            "25.00",
            "Found by      sign by margin",
            "Worst of 20 random chips",
            "Spent",
            "2.0000",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }

    #[test]
    fn a_folder_holds_the_plots_of_its_last_run_alone() {
        let folder = tempfile::tempdir().unwrap();
        let plots = || {
            let entries = fs_err::read_dir(folder.path().join("plots")).unwrap();
            let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
            let mut names: Vec<String> = names.collect();
            names.sort();
            names
        };
        let mut results = example::worst_case();
        write_worst_case(folder.path(), &results).unwrap();
        assert_eq!(
            plots(),
            [
                "layer-sensitivity.svg",
                "search-path.svg",
                "versus-bound.svg"
            ]
        );
        results.curve.remove(0);
        write_worst_case(folder.path(), &results).unwrap();
        assert_eq!(plots(), ["layer-sensitivity.svg", "search-path.svg"]);
        write_run(folder.path(), &example::results()).unwrap();
        assert!(plots().iter().all(|name| !name.contains("search")));
        assert_eq!(plots().len(), 3);
    }
}
