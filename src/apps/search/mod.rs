//! Searches for designs: from a file of a space to a document.

pub(crate) mod conversation;
#[cfg(feature = "hub")]
pub(crate) mod endpoint;
pub(crate) mod external;
mod job;
mod space_file;
mod surrogate;
mod table;

pub(crate) use job::{Contest, Contestant, SearchJob};
pub(crate) use space_file::SpaceFile;
