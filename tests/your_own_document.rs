//! A kind of run that the library has never heard of: one type and one `impl`, and it has a run folder like all others.
#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use crossburn::report::draw::{
    Axis, ConfusionMatrix, Drawing, Layer, Mark, Page, Plot, Row, RowChart, Table,
};
use crossburn::report::{
    Document, Origin, PLOTS_FOLDER, REPORT_FILE, RESULTS_FILE, ReportError, Timing, write_run,
};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// How long cells keep what was written into them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Retention {
    schema: String,
    config: Value,
    /// By cell: the share of the conductance that is left after each hour.
    cells: Vec<(String, Vec<f64>)>,
    timing: Timing,
}

impl Document for Retention {
    const SCHEMA: &'static str = "example.retention/1";
    const NOUN: &'static str = "a measurement of retention";
    const PLOTS: &'static [&'static str] = &["decay", "last"];

    fn verb(_: &Value) -> Option<String> {
        Some("retain".into())
    }

    fn origin(&self) -> Origin<'_> {
        Origin {
            schema: &self.schema,
            version: "0.1.0",
            commit: None,
            reproduce: "retain --cells all",
            config: &self.config,
            timing: &self.timing,
        }
    }

    fn check_fields(&self) -> Result<(), ReportError> {
        match self.cells.is_empty() {
            false => Ok(()),
            true => Err(ReportError::Invalid {
                field: "cells".into(),
                problem: "is empty".into(),
            }),
        }
    }

    fn title(&self) -> String {
        "Retention".into()
    }

    fn summary(&self) -> String {
        format!("{} cells were measured.", self.cells.len())
    }

    fn table(&self) -> Result<String, ReportError> {
        Ok(self.by_cell().text())
    }

    fn plots(&self) -> Result<Vec<Drawing>, ReportError> {
        let decay = Plot {
            id: "decay",
            title: format!("Retention, n = {} cells", self.cells.len()),
            note: "One line per cell.".into(),
            description: "The share of the conductance that is left, hour by hour.".into(),
            meaning: "A line that falls early is a cell that forgets early.".into(),
            x: Axis::covering("Hours", [0.0, 2.0], (0.0, 2.0), 1.0),
            y: Axis::covering("Left (%)", [0.0, 100.0], (0.0, 100.0), 0.0),
            layers: self
                .cells
                .iter()
                .enumerate()
                .map(|(series, (_, left))| Layer::Line {
                    series,
                    points: (0..)
                        .map(f64::from)
                        .zip(left.iter().map(|l| 100.0 * l))
                        .collect(),
                })
                .collect(),
            legend: self
                .cells
                .iter()
                .map(|cell| cell.0.clone())
                .enumerate()
                .collect(),
        };
        let last = RowChart {
            id: "last",
            title: "After the last hour".into(),
            note: "One bar per cell.".into(),
            description: "The share that is left in the end.".into(),
            meaning: "The longer the bar, the longer the cell can be read.".into(),
            x: Axis::covering("Left (%)", [0.0, 100.0], (0.0, 100.0), 0.0),
            rows: self
                .cells
                .iter()
                .map(|(name, left)| Row {
                    name: name.clone(),
                    marks: vec![Mark::Segment {
                        series: 0,
                        from: 0.0,
                        to: 100.0 * left[left.len() - 1],
                    }],
                    text: String::new(),
                })
                .collect(),
            legend: Vec::new(),
        };
        Ok(vec![decay.drawing(), last.drawing()])
    }

    fn page(&self, plots: &[Drawing]) -> Result<Page, ReportError> {
        let names = vec!["low".into(), "<high>".into()];
        let states = ConfusionMatrix::of_rows(names, &[vec![9, 1], vec![0, 10]]);
        states.check()?;
        Ok(Page::new()
            .heading("Cells")
            .table(&self.by_cell())
            .confusion("States after a day", &states)
            .plots(
                plots,
                &["Left: relative to the conductance after the write."],
            ))
    }
}

impl Retention {
    fn by_cell(&self) -> Table {
        let rows = self
            .cells
            .iter()
            .map(|(name, left)| [name.clone(), format!("{:.1}", 100.0 * left[left.len() - 1])]);
        Table::new(["Cell", "Left (%)"]).rows(rows).numbers(1)
    }
}

fn retention() -> Retention {
    Retention {
        schema: Retention::SCHEMA.into(),
        config: json!({"hours": 2}),
        cells: vec![
            ("pcm".into(), vec![1.0, 0.9, 0.85]),
            ("<b>rram</b>".into(), vec![1.0, 0.99, 0.98]),
        ],
        timing: Timing::default(),
    }
}

#[test]
fn it_is_written_read_and_shown_as_every_other_kind() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let mut written = retention();
    write_run(folder.path(), &written).unwrap();
    assert_eq!(Retention::read(folder.path()).unwrap(), written);
    assert_eq!(Retention::read(&path(RESULTS_FILE)).unwrap(), written);
    let page = fs_err::read_to_string(path(REPORT_FILE)).unwrap();
    assert_eq!(page, written.html().unwrap());
    // Two plots and the confusion matrix.
    assert_eq!(page.matches("<svg ").count(), 3);
    assert!(!page.contains("<b>") && !page.contains("<high>"), "{page}");
    assert!(page.contains("retain --cells all") && page.contains("2 cells were measured."));
    for id in Retention::PLOTS {
        assert!(
            path(PLOTS_FOLDER).join(format!("{id}.svg")).exists(),
            "{id}"
        );
    }
    let table = written.table().unwrap();
    assert!(table.contains("│ pcm         ┆     85.0 │"), "{table}");
    // Durations change the document alone.
    written.timing.seconds.insert("wait".into(), 7200.0);
    assert_eq!(written.html().unwrap(), page);
}

#[test]
fn what_it_cannot_be_is_refused_before_anything_is_written() {
    let folder = tempfile::tempdir().unwrap();
    let run = folder.path().join("run");
    let mut wrong = retention();
    wrong.cells.clear();
    let message = write_run(&run, &wrong).unwrap_err().to_string();
    assert!(message.contains("cells is empty"), "{message}");
    let mut old = retention();
    old.schema = "example.retention/0".into();
    let message = write_run(&run, &old).unwrap_err().to_string();
    assert!(message.contains("`example.retention/0`"), "{message}");
    assert!(!run.exists());
    let text = serde_json::to_string(&old).unwrap();
    let message = Retention::from_json(&text, &run).unwrap_err().to_string();
    assert!(
        message.contains("this version reads `example.retention/1`"),
        "{message}"
    );
}
