//! How bad a chip can be: the worst that a search found, beside random chips and a certificate.

mod certificate;
mod document;
mod page;
mod plots;
mod summary;
mod table;

pub use certificate::CertificateResults;
pub use document::{
    BoundPoint, FoundBy, LegSummary, RandomChips, SearchSummary, Transfer, TransferFrom,
    WorstCaseHardware, WorstCaseResults,
};
