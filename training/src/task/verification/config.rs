//! How faces are learned and compared, and what a network is judged by.

use crossburn_noise::{Better, Metric};
use serde::{Deserialize, Serialize};

use super::added::AddedPeople;
use super::auxiliary::Auxiliary;
use super::cleansing::CleansingConfig;
use super::margin::{CosineMargin, Head};
use crate::{Recipe, TrainingError};

/// The false match rate at which false non-matches are counted.
pub(super) const FMR: f64 = 0.01;

/// How faces are learned and compared. In recipes the table `[task]` with `kind = "verification"`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct VerificationConfig {
    /// What networks are judged by.
    pub metric: VerificationMetric,
    /// The loss by which identities are learned.
    pub head: Head,
    /// What cosines are multiplied by; the loss `softmax` has none.
    pub scale: f64,
    /// The margin; that of the paper of the head where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin: Option<f64>,
    /// By how much the length of a vector changes the margin of AdaFace.
    pub h: f64,
    /// Whether every second image is learned from in its mirror, and vectors of an image and its mirror are added where they are compared.
    pub mirror: bool,
    /// The share of images that are learned from with a bar before the face.
    pub occlusion: f64,
    /// Which images make an epoch.
    pub sampling: Sampling,
    /// Pairs of two images of one person, and as many of two people, in each group where networks are judged; fewer where there are not so
    /// many. Pairs never cross groups.
    pub pairs: usize,
    /// Two images are of one person where their cosine is this number or more. Where absent, training finds it on the people that it holds back
    /// and keeps it with the checkpoint. It never comes from the people that a network is judged on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// People of a second set, who are learned from beside those of the data source.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub added: Option<AddedPeople>,
    /// Which images and added people are left out of training, by the vectors of another network; none where absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cleansing: Option<CleansingConfig>,
}

impl Default for VerificationConfig {
    fn default() -> Self {
        Self {
            metric: VerificationMetric::default(),
            head: Head::AdaFace,
            scale: 16.0,
            margin: None,
            h: 0.333,
            mirror: true,
            occlusion: 0.0,
            sampling: Sampling::default(),
            pairs: 500,
            threshold: None,
            added: None,
            cleansing: None,
        }
    }
}

/// Which images make an epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sampling {
    /// Each once.
    #[default]
    Each,
    /// As many of every group: those of small groups again and again, those of large ones in part.
    Balanced,
}

/// What networks are judged by.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum VerificationMetric {
    /// The mean accuracy of groups less their standard deviation.
    #[default]
    To,
    /// The mean accuracy of groups.
    Avg,
    /// The accuracy of the group that has the least.
    WorstGroup,
    /// False non-matches at a false match rate of 1 %, of all pairs together.
    Fnmr,
}

impl VerificationMetric {
    /// What the number is.
    pub fn metric(self) -> Metric {
        match self {
            // Of accuracies between 0 and 1 the standard deviation is 1/2 at most, where their mean is 1/2 as well; their difference is
            // least at a mean of 0.15, where it is -0.21.
            Self::To => Metric {
                low: Some(-0.25),
                ..Metric::share("TO")
            },
            Self::Avg => Metric::share("AVG"),
            Self::WorstGroup => Metric::share("accuracy of the worst group"),
            Self::Fnmr => Metric {
                better: Better::Lower,
                ..Metric::share("FNMR at FMR 1 %")
            },
        }
    }
}

impl VerificationConfig {
    /// Checks every value.
    ///
    /// # Errors
    /// [`TrainingError::Setting`] with the first bad key.
    pub fn check(&self) -> Result<(), TrainingError> {
        let refuse = |key, value: f64, allowed| Err(TrainingError::setting(key, value, allowed));
        if !(self.scale.is_finite() && self.scale > 0.0) {
            return refuse("task.scale", self.scale, "a number above 0");
        }
        if let Some(margin) = self.margin {
            if self.head == Head::Softmax {
                return refuse("task.margin", margin, "it with another head than softmax");
            }
            if !(0.0..1.5).contains(&margin) {
                return refuse("task.margin", margin, "a number from 0 to below 1.5");
            }
        }
        if !(self.h.is_finite() && self.h >= 0.0) {
            return refuse("task.h", self.h, "a number from 0 on");
        }
        if !(0.0..=1.0).contains(&self.occlusion) {
            return refuse("task.occlusion", self.occlusion, "a share from 0 to 1");
        }
        match self.threshold {
            Some(threshold) if !(-1.0..=1.0).contains(&threshold) => {
                return refuse("task.threshold", threshold, "a cosine from -1 to 1");
            }
            _ => {}
        }
        if self.pairs == 0 {
            return Err(TrainingError::setting("task.pairs", 0, "a number above 0"));
        }
        if let Some(added) = &self.added {
            added.check()?;
        }
        match &self.cleansing {
            Some(cleansing) => cleansing.bounds().check(),
            None => Ok(()),
        }
    }

    /// Refuses an auxiliary network that is not there, takes other images than `recipe`, or has learned from other people than `recipe` allows.
    ///
    /// # Errors
    /// Those of the checkpoint, and [`TrainingError::Data`] that names what differs.
    pub(crate) fn check_auxiliary(&self, recipe: &Recipe) -> Result<(), TrainingError> {
        match &self.cleansing {
            Some(cleansing) => Auxiliary::open(&cleansing.network)?.expect_allowed(recipe),
            None => Ok(()),
        }
    }

    /// The loss.
    pub(super) fn loss(&self) -> CosineMargin {
        CosineMargin {
            head: self.head,
            scale: self.scale,
            margin: self.margin.unwrap_or(self.head.usual_margin()),
            h: self.h,
        }
    }
}
