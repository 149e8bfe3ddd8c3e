//! The results document of a run, and the report made from it.
//!
//! A run folder holds `results.json` ([`Results`], described in `docs/results.md`), `report.html` (one file that needs
//! nothing else) and `plots/*.svg`. Everything but `results.json` follows from it alone and holds no durations: two
//! runs with one seed have the same report, byte by byte. The terminal shows [`table()`]. A [`Mapping`] is the document of
//! `crossburn map`, with [`write_mapping`] and [`mapping_table`], and [`WorstCaseResults`] that of `crossburn worst-case`,
//! with [`write_worst_case`] and [`worst_case_table()`]; a [`Reproduction`] that of `crossburn reproduce`.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use crossburn::report::{read_results, table, write_run};
//!
//! # fn main() -> Result<(), crossburn::report::ReportError> {
//! let results = read_results(Path::new("runs/demo"))?;
//! write_run(Path::new("runs/copy"), &results)?;
//! assert!(table(&results).contains("Clean"));
//! # Ok(())
//! # }
//! ```

mod atomic;
mod cost_page;
mod cost_plots;
mod cost_results;
mod cost_summary;
mod cost_table;
mod document;
mod error;
#[cfg(test)]
mod example;
mod floor_plan;
mod html;
mod last_version;
mod percentiles;
mod plots;
mod quantity;
mod reproduction;
mod reproduction_page;
mod results;
mod row_chart;
mod run_folder;
mod summary;
mod svg;
mod table;
mod worst_case_certificate;
mod worst_case_page;
mod worst_case_plots;
mod worst_case_results;
mod worst_case_summary;
mod worst_case_table;

pub use cost_page::{mapping_html, write_mapping};
pub use cost_results::{MAPPING_SCHEMA, Mapping, MappingData};
pub use cost_table::mapping_table;
pub use document::Document;
pub use error::ReportError;
pub use html::html;
pub use percentiles::{
    ImportanceQuantileSummary, ImportanceSummary, Known, LooksSummary, Percentiles,
    RaceRoundSummary, RaceSummary, RareLevelSummary, RareQuantileSummary, RareSummary,
};
pub use reproduction::{Claim, REPRODUCTION_SCHEMA, Reproduction, ReproductionRow, Verdict};
pub use reproduction_page::{reproduction_html, reproduction_table, write_reproduction};
pub(crate) use results::CONFIDENCE;
pub use results::{
    AlsoMeasured, CostSummary, DataSummary, EpochRow, KppEntry, Method, OnHardware,
    PopulationSummary, RESULTS_FILE, Results, RunCommand, SCHEMA, SweepPoint, Timing,
};
pub use run_folder::{PLOTS_FOLDER, REPORT_FILE, read_results, write_run};
pub use table::table;
pub use worst_case_certificate::CertificateResults;
pub use worst_case_page::{worst_case_html, write_worst_case};
pub use worst_case_results::{
    BoundPoint, FoundBy, LegSummary, RandomChips, SearchSummary, Transfer, TransferFrom,
    WORST_CASE_SCHEMA, WorstCaseHardware, WorstCaseResults,
};
pub use worst_case_table::worst_case_table;
