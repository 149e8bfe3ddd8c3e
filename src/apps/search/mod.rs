//! Searches for designs: from the file of a space to a document.

mod axes;
mod contest;
pub(crate) mod conversation;
#[cfg(feature = "hub")]
pub(crate) mod endpoint;
pub(crate) mod external;
mod findings;
mod job;
mod keeping;
mod layers;
mod once;
mod space_file;
mod surrogate;
mod table;
mod table_rows;
mod trained;
mod trained_config;

pub(crate) use contest::{Contest, Extent};
pub(crate) use job::{Contestant, SearchJob};
pub(crate) use space_file::{SpaceFile, spaces};
pub(crate) use table_rows::TableRows;
pub(crate) use trained::Trained;
pub(crate) use trained_config::{JudgedOn, TrainedAs};
