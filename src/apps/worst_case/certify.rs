//! Certificates, which are shown beside the search.

use anyhow::Result;
use crossburn_hardware::deploy::MappedNetwork;
use crossburn_models::Network;
use crossburn_noise::worst_case::DeviationBounds;
use crossburn_training::{Learn, TrainingError, WeightAttack};

use super::room::Room;
use crate::report::CertificateResults;

/// What is certified within `bound`, the largest bound at which half of the items are certified, and the tolerance of single layers.
pub(super) fn certify<N: Network, T: Learn<N>>(
    attack: &WeightAttack<N, T>,
    mapped: Option<&MappedNetwork<N>>,
    bound: f64,
) -> Result<CertificateResults> {
    let bounds = Room::boxes(attack, mapped, bound)?;
    let certificate = attack.certify(&bounds)?;
    let boxes = |bound: f64| -> Result<DeviationBounds, TrainingError> {
        match mapped {
            Some(mapped) => Ok(mapped.deviation_bounds(bound)?),
            None => attack.bounds(bound),
        }
    };
    Ok(CertificateResults {
        right: certificate.right,
        certified: certificate.certified(),
        share: certificate.share(),
        half: attack.largest_certified(0.5, 1.0, boxes)?,
        layers: attack.certify_layers(&bounds)?,
    })
}
