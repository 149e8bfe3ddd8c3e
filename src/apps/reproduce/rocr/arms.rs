//! The ways of storing documents that are compared.

use crossburn_models::{EmbeddingHeadConfig, Shaping};
use crossburn_noise::{Distribution, FEFET2, FEFET3, FEFET6, FourLevel, RRAM1, RRAM4, Variation};
use crossburn_training::{Method, Orthogonality, RetrievalConfig, Triplets};
use serde::Serialize;

use super::super::Arm;

/// The paper's devices: name, and ratio of inner to outer standard deviation.
pub(super) const DEVICES: [(&str, f64); 5] = [
    ("RRAM1", RRAM1),
    ("FeFET2", FEFET2),
    ("FeFET3", FEFET3),
    ("RRAM4", RRAM4),
    ("FeFET6", FEFET6),
];

/// σ that heads learn with.
const TRAINING_SIGMA: f64 = 0.2;

pub(super) const CDE: &str = "RoCR-CDE";
pub(super) const CDI: &str = "RoCR-CDI";
pub(super) const VANILLA: &str = "vanilla";
pub(super) const NO_NOISE: &str = "CDE without noise";
pub(super) const NO_CONTRAST: &str = "CDE without contrast";

pub(super) const VERIFIED: &str = "vanilla, selective write-verify";
pub(super) const COMPENSATED: &str = "vanilla, output compensation";
const LINEAR: &str = "CDE, linear head";

/// The arms that curves show.
pub(super) const DRAWN: [&str; 7] = [CDE, CDI, LINEAR, NO_NOISE, VANILLA, VERIFIED, COMPENSATED];

/// The devices of the test of a mismatch: those that differ most.
pub(super) const FIRST: &str = DEVICES[0].0;
pub(super) const LAST: &str = DEVICES[4].0;

/// The arm that learns with the deviation of `device`.
pub(super) fn trained_for(device: &str) -> String {
    format!("CDE for {device}")
}

/// The deviation of stored numbers on a device.
pub(super) fn variation(ratio: f64, sigma: f64) -> Variation {
    Variation::from(Distribution::FourLevel(FourLevel {
        sigma_rel_wmax: sigma,
        ratio,
    }))
}

/// What is done about deviations after training.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Mitigation {
    None,
    /// The numbers that count most are verified.
    SelectiveWriteVerify,
    /// A factor and an offset for each entry, from queries of the training documents.
    OutputCompensation,
}

/// One way of storing documents.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct RocrArm {
    pub(super) name: String,
    pub(super) head: EmbeddingHeadConfig,
    /// How the head learns; it stays the plain cut where absent.
    pub(super) learned: Option<RetrievalConfig>,
    pub(super) method: Method,
    pub(super) mitigation: Mitigation,
}

impl Arm for RocrArm {
    fn name(&self) -> &str {
        &self.name
    }

    fn family(&self) -> &str {
        &self.name
    }
}

/// All arms, of which those that learn do so by `task`.
pub(super) fn arms(task: &RetrievalConfig, head: EmbeddingHeadConfig) -> Vec<RocrArm> {
    let on = |ratio| RetrievalConfig {
        noise: variation(ratio, TRAINING_SIGMA),
        ..task.clone()
    };
    let full = on(FEFET3);
    let learned = |name: &str, learned: &RetrievalConfig| RocrArm {
        name: name.to_string(),
        head,
        learned: Some(learned.clone()),
        method: Method::default(),
        mitigation: Mitigation::None,
    };
    let plain = |name: &str, mitigation| RocrArm {
        name: name.to_string(),
        head,
        learned: None,
        method: Method::default(),
        mitigation,
    };
    let without_noise = RetrievalConfig {
        noise: Variation::default(),
        ..full.clone()
    };
    let projected = EmbeddingHeadConfig {
        shaping: Shaping::Projection,
        ..head
    };
    let linear = EmbeddingHeadConfig::linear(head.inputs, head.outputs);
    vec![
        learned(CDE, &full),
        learned(
            CDI,
            &RetrievalConfig {
                triplets: Triplets::Data,
                ..full.clone()
            },
        ),
        plain(VANILLA, Mitigation::None),
        plain(VERIFIED, Mitigation::SelectiveWriteVerify),
        plain(COMPENSATED, Mitigation::OutputCompensation),
        RocrArm {
            method: Method::Orthogonality(Orthogonality::default()),
            ..learned("CDE without noise, orthogonality", &without_noise)
        },
        RocrArm {
            head: linear,
            ..learned(LINEAR, &full)
        },
        RocrArm {
            head: projected,
            ..learned("CDE, learned projection", &full)
        },
        learned(NO_NOISE, &without_noise),
        learned(
            NO_CONTRAST,
            &RetrievalConfig {
                contrast: false,
                ..full.clone()
            },
        ),
        learned(&trained_for(FIRST), &on(DEVICES[0].1)),
        learned(&trained_for(LAST), &on(DEVICES[4].1)),
    ]
}
