//! Tuned prompts in an in-memory store: one for each kind of text that a user writes, fetched by a search in the array.
//!
//! ```text
//! texts ── representatives ──▶ groups ── tune ──▶ prompts ── coder ──▶ codes ──▶ PromptStore ── program ──▶ one chip
//!                                                                                                  │
//! a user's text ── in the shape of a prompt ── coder ──▶ query ── search on that chip ──▶ entry ── read, decode ──▶ prompt
//! ```
//!
//! A prompt is tuned as it is read: through the coder, and for noise-aware tuning with a deviation of its code that is drawn anew at every
//! step. The language model itself runs digitally and rests.
//!
//! # Source
//! Qin et al., "NVCiM-PT: An NVCiM-assisted prompt tuning framework for edge LLMs", DATE 2025 (arXiv 2411.08244).

mod clusters;
mod coder;
mod deployment;
mod mitigation;
mod prompts;
mod representatives;
mod scores;
mod shape;
mod tuning;

use burn::module::Module;
use burn::tensor::Tensor;

use crate::TrainingError;

pub use clusters::{Clusters, clusters, k_means, silhouette};
pub use coder::{CodeSizes, CoderTraining, PromptCoder};
pub use deployment::{KeyForm, PromptChip, PromptStore};
pub use mitigation::{Compensation, Line, sensitivities_of_codes, verified};
pub use prompts::Prompts;
pub use representatives::{Representative, representative, representatives};
pub use scores::{TextScore, answered, scored};
pub use shape::EmbeddedTexts;
pub use tuning::{PromptTuning, Stored, TextBatch};

/// A copy of `module` on a device with autodiff that takes no gradient. Every thread needs one of its own: graphs of one tensor wait for each
/// other.
pub(super) fn resting<M: Module>(module: &M) -> M {
    module.valid().freeze().train()
}

/// The number that a loss is; one that is not finite is refused. Steps count from 0.
///
/// # Errors
/// [`TrainingError::Diverged`].
pub(super) fn finite_loss(loss: &Tensor<1>, step: u64) -> Result<f64, TrainingError> {
    let loss = f64::from(loss.clone().into_scalar::<f32>());
    match loss.is_finite() {
        true => Ok(loss),
        false => Err(TrainingError::Diverged {
            epoch: 1,
            step: step as usize + 1,
            loss,
        }),
    }
}
