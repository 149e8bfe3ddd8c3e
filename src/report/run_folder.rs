//! A run folder on disk: `results.json`, `report.html` and `plots/*.svg`.

use std::path::Path;

use super::ReportError;
use super::atomic::{create_folder, remove_file, write_file};
use super::cost_plots::DRAWING_IDS;
use super::document::Document;
use super::html::html;
use super::plots::{PLOT_IDS, plots};
use super::results::{RESULTS_FILE, Results};
use super::worst_case_plots::WORST_CASE_IDS;

/// Name of the report in a run folder.
pub const REPORT_FILE: &str = "report.html";

/// Name of the folder of plots in a run folder.
pub const PLOTS_FOLDER: &str = "plots";

/// Writes a run folder, making it if needed. Each file is written whole or not at all, the results first; plots of an
/// earlier run that this one has no data for are removed.
///
/// # Errors
///
/// [`ReportError::Invalid`] for results that no run can have, before anything is written; [`ReportError::Write`] naming
/// the file or folder that cannot be written.
pub fn write_run(dir: &Path, results: &Results) -> Result<(), ReportError> {
    results.check()?;
    create_folder(dir)?;
    results.write(&dir.join(RESULTS_FILE))?;
    write_file(&dir.join(REPORT_FILE), &html(results))?;
    let drawn = plots(results);
    let drawn = drawn.iter().map(|plot| (plot.id, plot.standalone()));
    write_plots(dir, &drawn.collect::<Vec<_>>())
}

/// Writes the plots of a run folder, by file stem, and removes those that an earlier run of any kind left there.
pub(super) fn write_plots(dir: &Path, drawn: &[(&str, String)]) -> Result<(), ReportError> {
    let folder = dir.join(PLOTS_FOLDER);
    create_folder(&folder)?;
    let known = PLOT_IDS.iter().chain(&DRAWING_IDS).chain(&WORST_CASE_IDS);
    for id in known.filter(|id| drawn.iter().all(|(name, _)| name != *id)) {
        remove_file(&folder.join(format!("{id}.svg")))?;
    }
    for (id, svg) in drawn {
        write_file(&folder.join(format!("{id}.svg")), svg)?;
    }
    Ok(())
}

/// Reads the results at `path`, a `results.json` or the run folder that holds one.
///
/// # Errors
///
/// As [`Results::read`].
pub fn read_results(path: &Path) -> Result<Results, ReportError> {
    Results::read(path)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::super::example;
    use super::*;

    #[test]
    fn what_is_written_is_read_from_the_folder_and_from_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let dir = folder.path().join("runs/one");
        write_run(&dir, &example::results()).unwrap();
        assert_eq!(read_results(&dir).unwrap(), example::results());
        assert_eq!(
            read_results(&dir.join(RESULTS_FILE)).unwrap(),
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
