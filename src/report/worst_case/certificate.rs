//! The certificate beside a worst-case search: what no admissible deviation can do.

use crossburn_training::LayerCertificate;
use serde::{Deserialize, Serialize};

use crate::report::ReportError;
use crate::report::check::{finite, fraction, invalid};
use crate::report::results::percent;

/// A lower bound on the share of items that the worst chip is right on, where the search has an upper one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateResults {
    /// Items that the clean network is right on.
    pub right: usize,
    /// Items among them that no admissible deviation flips.
    pub certified: usize,
    /// Their share of all items: no admissible chip is right on less.
    pub share: f64,
    /// The largest bound that still certifies half of the items, to within one part in a hundred; left out where none does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub half: Option<f64>,
    /// What single weights take from it, by path.
    pub layers: Vec<LayerCertificate>,
}

impl CertificateResults {
    /// Whether these can be the numbers of a run that found `found`.
    pub(super) fn check(&self, found: f64) -> Result<(), ReportError> {
        fraction("certificate.share", self.share)?;
        if self.certified > self.right {
            let right = self.right;
            return Err(invalid(
                "certificate.certified",
                format!("is above certificate.right = {right}"),
            ));
        }
        if self.share > found {
            return Err(invalid(
                "certificate.share",
                format!("is above that of the worst chip found, {found}"),
            ));
        }
        if let Some(half) = self.half {
            finite("certificate.half", half)?;
        }
        for layer in &self.layers {
            fraction("certificate.layers: alone", layer.alone)?;
            fraction("certificate.layers: without", layer.without)?;
        }
        Ok(())
    }

    /// The bracket and the largest bound, as terms.
    pub(super) fn rows(&self, found: f64) -> Vec<(String, String)> {
        let half = match self.half {
            Some(half) => format!("{half:.2e}"),
            None => "none".to_string(),
        };
        vec![
            (
                "Worst chip, certified to found".to_string(),
                format!("{} to {}", percent(self.share), percent(found)),
            ),
            ("Largest bound that certifies half".to_string(), half),
        ]
    }

    /// One row per weight, in the order of [`CERTIFICATE_HEADERS`].
    pub(super) fn layer_rows(&self) -> Vec<[String; 3]> {
        let row = |layer: &LayerCertificate| {
            [
                layer.path.clone(),
                percent(layer.alone),
                percent(layer.without),
            ]
        };
        self.layers.iter().map(row).collect()
    }
}

/// Headers of the table of layers of a certificate.
pub(super) const CERTIFICATE_HEADERS: [&str; 3] = [
    "Layer",
    "Certified if it alone deviates (%)",
    "Certified if it alone rests (%)",
];

/// What a certificate says, in a sentence.
pub(super) const CERTIFICATE_DEFINITION: &str = "Certified: items that the network is right on for every admissible deviation, by interval propagation with outward rounding. \
     No admissible chip is right on fewer. The true worst case lies between certified and found.";

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test may panic")]

    use super::*;
    use crate::report::{Document, example};

    fn certificate() -> CertificateResults {
        CertificateResults {
            right: 97,
            certified: 12,
            share: 0.12,
            half: Some(0.000_912),
            layers: vec![LayerCertificate {
                path: "fc.weight".into(),
                alone: 0.61,
                without: 0.83,
            }],
        }
    }

    #[test]
    fn page_and_table_show_the_bracket() {
        let mut results = example::worst_case();
        for text in [results.html().unwrap(), results.table().unwrap()] {
            assert!(!text.contains("ertified"), "{text}");
        }
        results.certificate = Some(certificate());
        for text in [results.html().unwrap(), results.table().unwrap()] {
            for part in ["12.00 to 15.00", "9.12e-4", "61.00", "83.00", "alone rests"] {
                assert!(text.contains(part), "{part}: {text}");
            }
        }
    }

    #[test]
    fn a_bracket_that_is_not_ordered_is_refused() {
        let message = |change: fn(&mut CertificateResults)| {
            let mut results = example::worst_case();
            let mut certificate = certificate();
            change(&mut certificate);
            results.certificate = Some(certificate);
            results.to_json().unwrap_err().to_string()
        };
        assert!(message(|c| c.share = 0.16).contains("above that of the worst chip found, 0.15"));
        assert!(message(|c| c.right = 11).contains("above certificate.right = 11"));
        assert!(message(|c| c.layers[0].alone = 61.0).contains("alone is 61, outside 0..=1"));
    }
}
