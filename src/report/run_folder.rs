//! A run folder on disk: `results.json`, `report.html` and `plots/*.svg`.

use std::path::Path;

use super::ReportError;
use super::atomic::{create_folder, remove_file, write_file};
use super::document::{Document, html};
use super::draw::Drawing;
use super::registry;

/// Name of the document in a run folder.
pub const RESULTS_FILE: &str = "results.json";

/// Name of the report in a run folder.
pub const REPORT_FILE: &str = "report.html";

/// Name of the folder of plots in a run folder.
pub const PLOTS_FOLDER: &str = "plots";

/// Writes a run folder, making it if needed. Each file is written whole or not at all, the document first; plots of an
/// earlier run of any kind that this one has no data for are removed.
///
/// # Errors
///
/// [`ReportError::Invalid`] for a document that no run can have, before anything is written; [`ReportError::Write`] naming
/// the file or folder that cannot be written.
pub fn write_run<D: Document>(dir: &Path, document: &D) -> Result<(), ReportError> {
    let text = document.to_json()?;
    // Page and plots follow from what is written, which may have fewer digits.
    let written = D::from_json(&text, &dir.join(RESULTS_FILE))?;
    let plots = written.plots()?;
    let page = html(&written, &plots)?;
    create_folder(dir)?;
    write_file(&dir.join(RESULTS_FILE), &text)?;
    write_file(&dir.join(REPORT_FILE), &page)?;
    for (name, content) in written.other_files() {
        write_file(&dir.join(name), &content)?;
    }
    write_plots(&dir.join(PLOTS_FOLDER), &plots, D::PLOTS)
}

/// Writes `plots` into `folder`, and removes those of an earlier run. No type of document, so that it is compiled once.
fn write_plots(
    folder: &Path,
    plots: &[Drawing],
    own: &'static [&'static str],
) -> Result<(), ReportError> {
    let file = |id: &str| folder.join(format!("{id}.svg"));
    let known = registry::plots().chain(own);
    for id in known.filter(|id| plots.iter().all(|plot| plot.id() != **id)) {
        remove_file(&file(id))?;
    }
    if !plots.is_empty() {
        create_folder(folder)?;
    }
    for plot in plots {
        write_file(&file(plot.id()), &plot.standalone())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::report::{Results, example};

    #[test]
    fn what_is_written_is_read_from_the_folder_and_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("runs/one");
        write_run(&dir, &example::results()).unwrap();
        assert_eq!(Results::read(&dir).unwrap(), example::results());
        assert_eq!(
            Results::read(&dir.join(RESULTS_FILE)).unwrap(),
            example::results()
        );
    }

    #[test]
    fn plots_of_an_earlier_run_do_not_stay() {
        let folder = tempfile::tempdir().unwrap();
        let count = || {
            fs_err::read_dir(folder.path().join(PLOTS_FOLDER))
                .unwrap()
                .count()
        };
        let mut results = example::results();
        write_run(folder.path(), &results).unwrap();
        assert_eq!(count(), 3);
        results
            .methods
            .iter_mut()
            .for_each(|method| method.sweep.clear());
        write_run(folder.path(), &results).unwrap();
        assert_eq!(count(), 2);
    }

    #[test]
    fn a_folder_that_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("taken");
        fs_err::write(&file, "").unwrap();
        let message = write_run(&file.join("run"), &example::results())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("taken/run") && message.contains("choose a run folder"),
            "{message}"
        );
    }
}
