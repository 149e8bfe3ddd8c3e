//! The brains of the experiment, and the ways of giving them back.

use crossburn_training::data::mri::{Contrast, PhantomConfig, Reverse};
use crossburn_training::{CorruptionNoise, LesionConfig, Reconstruction};
use serde::Serialize;

use super::super::Arm;
use super::maps::{ALPHA, MAPS, OWN};

/// Lesions, and what a reconstruction does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub(super) struct Regime {
    pub(super) name: &'static str,
    t2: bool,
    d: f64,
    het: f64,
    /// Standard deviation of the smooth relative error; the fine one is a quarter of it.
    pub(super) error: f64,
    /// Whether the reversal of intensities raises the ratio of lesions and healthy brain.
    pub(super) reversal_helps: bool,
    /// Whether lesions are so hard to see against the error that the fusion beats the absolute difference.
    pub(super) fusion_wins: bool,
}

const SUBTLE: Regime = Regime {
    name: "subtle",
    t2: false,
    d: 0.05,
    het: 0.12,
    error: 0.12,
    reversal_helps: true,
    fusion_wins: true,
};

const OF_T2: Regime = Regime {
    name: "T2",
    t2: true,
    d: 0.18,
    het: 0.06,
    error: 0.06,
    reversal_helps: false,
    fusion_wins: false,
};

/// The regimes of the pilot study: two of lesions that are hard to see against a smooth error, one of bright lesions, and one of T2.
pub(super) const REGIMES: [Regime; 4] = [
    SUBTLE,
    Regime {
        name: "faint",
        t2: false,
        d: 0.10,
        het: 0.10,
        error: 0.18,
        reversal_helps: true,
        fusion_wins: true,
    },
    Regime {
        name: "bright",
        t2: false,
        d: 0.16,
        het: 0.06,
        error: 0.06,
        reversal_helps: true,
        fusion_wins: false,
    },
    OF_T2,
];

impl Regime {
    pub(super) fn phantom(self, reversed: bool, size: usize) -> PhantomConfig {
        PhantomConfig {
            contrast: if self.t2 {
                Contrast::T2
            } else {
                Contrast::Flair
            },
            d: self.d,
            het: self.het,
            size,
            reverse: if reversed { Reverse::Yes } else { Reverse::No },
        }
    }
}

/// What gives slices back.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Given {
    /// A network that learned with this share of structural similarity.
    Trained {
        reconstruction: Reconstruction,
        alpha: f64,
    },
    /// Healthy brains with an error.
    Healthy,
}

/// One way of giving slices back, on one kind of brains.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub(crate) struct MriArm {
    pub(super) name: String,
    pub(super) regime: Regime,
    pub(super) reversed: bool,
    pub(super) given: Given,
    /// Whether it is judged on chips as well.
    pub(super) on_chips: bool,
}

impl MriArm {
    /// How it gives slices back, by the map of its own share.
    pub(super) fn config(&self, noise: CorruptionNoise) -> LesionConfig {
        let (reconstruction, alpha) = match self.given {
            Given::Trained {
                reconstruction,
                alpha,
            } => (reconstruction, alpha),
            Given::Healthy => (Reconstruction::Whole, ALPHA),
        };
        LesionConfig {
            alpha,
            reconstruction,
            noise,
            ..LesionConfig::default()
        }
    }

    /// The share that its network learns with.
    pub(super) fn own(&self) -> Option<f64> {
        match self.given {
            Given::Trained { alpha, .. } => Some(alpha),
            Given::Healthy => None,
        }
    }

    /// The maps that it is judged by: each of [`MAPS`], and its own where that is none of these.
    pub(super) fn maps(&self) -> Vec<(&'static str, f64)> {
        let mut maps = Vec::from(MAPS);
        if let Some(own) = self.own()
            && MAPS.iter().all(|(_, share)| *share != own)
        {
            maps.push((OWN, own));
        }
        maps
    }
}

impl Arm for MriArm {
    fn name(&self) -> &str {
        &self.name
    }

    fn family(&self) -> &str {
        &self.name
    }
}

pub(super) const AUTOENCODER: &str = "autoencoder";
pub(super) const WHOLE: &str = "whole image";
pub(super) const T2: &str = "T2 patched FQ";
pub(super) const PATCHED: &str = "patched FQ";

/// The shares of structural similarity that patched networks learn with: the paper's, and those that it is compared with.
pub(super) const ALPHAS: [f64; 4] = [ALPHA, 0.0, 0.5, 1.0];

/// The arm of a patched network that learned with this share.
pub(super) fn patched(alpha: f64) -> String {
    match MAPS.iter().find(|(_, share)| *share == alpha) {
        Some((name, _)) => format!("patched {name}"),
        None => format!("patched α = {alpha}"),
    }
}

pub(super) fn reversed(name: &str) -> String {
    format!("{name}, reversed")
}

/// The arm of a regime without a network.
pub(super) fn untrained(regime: &Regime) -> String {
    format!("map alone: {}", regime.name)
}

/// All arms.
pub(super) fn arms() -> Vec<MriArm> {
    let trained = |name: String, regime, is_reversed, reconstruction, alpha| MriArm {
        name,
        regime,
        reversed: is_reversed,
        given: Given::Trained {
            reconstruction,
            alpha,
        },
        on_chips: false,
    };
    let of_patches = |name: String, regime, is_reversed| {
        trained(name, regime, is_reversed, Reconstruction::Patched, ALPHA)
    };
    let whole = |name: &str, reconstruction| {
        trained(name.to_string(), SUBTLE, false, reconstruction, ALPHA)
    };
    let ablation = ALPHAS.map(|alpha| MriArm {
        // The paper's share, and the absolute difference alone.
        on_chips: alpha == ALPHA || alpha == 0.0,
        ..trained(
            patched(alpha),
            SUBTLE,
            false,
            Reconstruction::Patched,
            alpha,
        )
    });
    let mut arms = Vec::from(ablation);
    arms.extend([
        of_patches(reversed(PATCHED), SUBTLE, true),
        of_patches(T2.to_string(), OF_T2, false),
        of_patches(reversed(T2), OF_T2, true),
        whole(WHOLE, Reconstruction::Denoising),
        whole(AUTOENCODER, Reconstruction::Whole),
    ]);
    for regime in REGIMES {
        for is_reversed in [false, true] {
            let name = untrained(&regime);
            arms.push(MriArm {
                name: if is_reversed { reversed(&name) } else { name },
                regime,
                reversed: is_reversed,
                given: Given::Healthy,
                on_chips: false,
            });
        }
    }
    arms
}
