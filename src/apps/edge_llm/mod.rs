//! Which way to make a language model personal suits which device? A study of methods, models, compressions, chips and histories, and recommendations for a
//! user's device.
//!
//! ```text
//! STUDY.toml ─▶ StudyFile ─┬─▶ People: drawn, or read from files ┐
//!                          └─▶ Bases: models, read or trained ───┼─▶ cells: one person, one condition ─┬─▶ EdgeStudy, the document ─▶ recommend
//!                                                                ├─▶ costs: memory and time, measured ─┤
//!                                                                └─▶ energy of arrays, estimated ──────┘
//! ```
//!
//! # Source
//! Qin et al., "Empirical guidelines for deploying LLMs onto resource-constrained edge devices", ACM TODAES 30(5), 2025
//! (arXiv 2406.03777). Models, people and texts are this project's, and small, unless the study names files.

mod base;
mod cell;
mod cells;
mod claims;
mod compression;
mod conditions;
mod costs;
mod energy;
mod law;
mod merge;
mod people;
mod rates;
mod recommend;
mod study;
mod study_file;

pub(crate) use merge::merge_runs;
pub(crate) use recommend::{Asked, Choice, Recommendation, recommend};
pub(crate) use study::{StudyExtent, StudyPlace, config, run};
pub(crate) use study_file::StudyFile;
use study_file::kind_of;
