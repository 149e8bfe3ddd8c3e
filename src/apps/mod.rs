//! The jobs behind the verbs: from settings to a results document, without a terminal.

mod comparison;
pub(crate) mod compression;
pub(crate) mod demo;
mod differences;
pub(crate) mod ecg;
pub(crate) mod evaluation;
pub(crate) mod hardware;
pub(crate) mod import;
mod kept_file;
mod lanes;
pub(crate) mod mapping;
pub(crate) mod mri;
pub(crate) mod normalize;
pub(crate) mod population;
pub(crate) mod pruning;
pub(crate) mod race;
pub(crate) mod rare;
pub(crate) mod reproduce;
pub(crate) mod search;
pub(crate) mod shards;
pub(crate) mod stored_network;
mod stored_weights;
pub(crate) mod study;
pub(crate) mod widths;
pub(crate) mod workplace;
pub(crate) mod worst_case;
