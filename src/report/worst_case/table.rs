//! The tables of a worst-case search.

use super::certificate::{CERTIFICATE_HEADERS, CertificateResults};
use super::document::WorstCaseResults;
use super::summary::{LAYER_HEADERS, facts, layer_rows, leg_headers, leg_rows, rows};
use crate::report::draw::{Table, listed};

/// One row per layer.
pub(super) fn layers(results: &WorstCaseResults) -> Table {
    Table::new(LAYER_HEADERS)
        .rows(layer_rows(results))
        .numbers(LAYER_HEADERS.len() - 1)
}

/// One row per layer of the certificate.
pub(super) fn certified(certificate: &CertificateResults) -> Table {
    Table::new(CERTIFICATE_HEADERS)
        .rows(certificate.layer_rows())
        .numbers(CERTIFICATE_HEADERS.len() - 1)
}

/// One row per leg of the searches.
pub(super) fn legs(results: &WorstCaseResults) -> Table {
    Table::new(leg_headers(&results.metric)).rows(leg_rows(results))
}

/// The tables of the terminal: what was found, the budget, layers and the certificate.
pub(super) fn tables(results: &WorstCaseResults) -> String {
    let found = Table::new([results.metric.heading(), String::new()])
        .rows(rows(results).into_iter().map(<[String; 2]>::from))
        .numbers(1);
    let mut parts = vec![
        found.text(),
        listed(&facts(results)),
        layers(results).text(),
    ];
    parts.extend(results.certificate.iter().map(|c| certified(c).text()));
    parts.join("\n\n")
}
