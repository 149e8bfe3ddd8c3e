//! The page of a worst-case search.

use super::certificate::CERTIFICATE_DEFINITION;
use super::document::WorstCaseResults;
use super::summary::{DEFINITIONS, facts, rows};
use super::table::{certified, layers, legs};
use crate::report::draw::{Drawing, Page, Table};

/// What was found, layer by layer and leg by leg, and the plots.
pub(super) fn page(results: &WorstCaseResults, plots: &[Drawing]) -> Page {
    let heading = results.metric.heading();
    let found = rows(results).into_iter().map(<[String; 2]>::from);
    let mut page = Page::new()
        .terms(&facts(results))
        .heading(&heading)
        .table(&Table::new(["", heading.as_str()]).rows(found))
        .heading("Layers")
        .table(&layers(results));
    if let Some(certificate) = &results.certificate {
        page = page
            .heading("Certificate")
            .paragraph(CERTIFICATE_DEFINITION)
            .table(&certified(certificate));
    }
    let legs = legs(results);
    if !legs.is_empty() {
        page = page.heading("Legs of the search").table(&legs);
    }
    page.plots(plots, &DEFINITIONS)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use crate::report::{Document, example, write_run};

    #[test]
    fn the_page_holds_every_part_and_no_text_as_markup() {
        let mut results = example::worst_case();
        let page = results.html().unwrap();
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
        assert_eq!(results.html().unwrap(), page);
        let evil = "<script>alert(1)</script>";
        results.data = evil.into();
        results.layers[0].path = evil.into();
        results.reproduce = evil.into();
        results.config = evil.into();
        assert!(!results.html().unwrap().contains("<script"));
    }

    #[test]
    fn the_table_says_what_the_page_says() {
        let text = example::worst_case().table().unwrap();
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
        write_run(folder.path(), &results).unwrap();
        assert_eq!(
            plots(),
            [
                "layer-sensitivity.svg",
                "search-path.svg",
                "versus-bound.svg"
            ]
        );
        results.curve.remove(0);
        write_run(folder.path(), &results).unwrap();
        assert_eq!(plots(), ["layer-sensitivity.svg", "search-path.svg"]);
        write_run(folder.path(), &example::results()).unwrap();
        assert!(plots().iter().all(|name| !name.contains("search")));
        assert_eq!(plots().len(), 3);
    }
}
