//! The documents of runs, and what is made from them.
//!
//! A run folder holds `results.json` (a [`Document`], described in `docs/results.md`), `report.html` (one file that needs
//! nothing else) and `plots/*.svg`. Everything but `results.json` follows from it alone and holds no durations: two
//! runs with one seed have the same report, byte by byte. [`write_run`] writes such a folder for every kind of run, and
//! [`Document::read`] reads it again.
//!
//! | folder | verbs | document |
//! |---|---|---|
//! | `results/` | `demo`, `train`, `evaluate` | [`Results`] |
//! | `mapping/` | `map` | [`Mapping`] |
//! | `worst_case/` | `worst-case` | [`WorstCaseResults`] |
//! | `reproduction/` | `reproduce` | [`Reproduction`] |
//! | `widths/` | `compress --bits auto` | [`Widths`] |
//! | `simulation/` | `ecg simulate` | [`Simulation`] |
//! | `search/` | `search` | [`SearchResults`] |
//! | `store/` | `rag index` | [`StoreReport`] |
//! | `edge_study/` | `study edge-llm`, `reproduce edge-llm` | [`EdgeStudy`] |
//!
//! A new kind implements [`Document`] with the parts of [`draw`], and has a line in `registry.rs`.
//!
//! ```no_run
//! use std::path::Path;
//!
//! use crossburn::report::{Document, Results, write_run};
//!
//! # fn main() -> Result<(), crossburn::report::ReportError> {
//! let results = Results::read(Path::new("runs/demo"))?;
//! write_run(Path::new("runs/copy"), &results)?;
//! assert!(results.table()?.contains("Clean"));
//! # Ok(())
//! # }
//! ```

mod atomic;
#[cfg(test)]
mod browser;
mod check;
mod document;
pub mod draw;
mod edge_study;
mod error;
#[cfg(test)]
pub(crate) mod example;
mod last_version;
mod mapping;
pub(crate) mod registry;
mod reproduction;
mod results;
mod run_folder;
mod search;
mod simulation;
mod store;
mod widths;
mod worst_case;

pub use document::{Document, Origin, Timing};
pub use edge_study::{
    EdgeStudy, RoundingErrors, StudyCell, StudyCost, StudyModel, StudyPart, StudyPoint, StudyTask,
};
pub(crate) use edge_study::{interval, interval_of, mean, median};
pub use error::ReportError;
pub use mapping::{Mapping, MappingData};
pub(crate) use reproduction::RANK_CORRELATIONS;
pub use reproduction::{
    Claim, Reproduction, ReproductionColumn, ReproductionConfusion, ReproductionCurve,
    ReproductionLine, ReproductionRow, Verdict,
};
pub(crate) use results::CONFIDENCE;
pub use results::{
    AlsoMeasured, CostSummary, DataSummary, EpochRow, Figures, ImportanceQuantileSummary,
    ImportanceSummary, Known, KppEntry, LooksSummary, MethodResults, OnHardware, Percentiles,
    PopulationSummary, RaceRoundSummary, RaceSummary, RareLevelSummary, RareQuantileSummary,
    RareSummary, Results, RunCommand, SweepPoint, TriedNoise,
};
pub use run_folder::{PLOTS_FOLDER, REPORT_FILE, RESULTS_FILE, write_run};
pub use search::{
    DesignLayer, DesignPoint, ProposerResults, SearchResults, SearchRun, ShownExchange,
};
pub(crate) use simulation::{MOST_SEGMENTS, MOST_SEQUENCES, Work, mean_bits, stored_form};
pub use simulation::{ShownSegment, ShownSequence, SimulatedLayer, Simulation};
pub(crate) use store::scan_of;
pub use store::{StoreChanges, StoreQuestions, StoreReport, StoreSize};
pub use widths::{JudgedWidths, WidthRow, Widths};
pub use worst_case::{
    BoundPoint, CertificateResults, FoundBy, LegSummary, RandomChips, SearchSummary, Transfer,
    TransferFrom, WorstCaseHardware, WorstCaseResults,
};
