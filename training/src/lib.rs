//! Data sets, noise-aware training, and the evaluation of populations of chips.
//!
//! [`train`] runs a [`Recipe`] on a network: every step draws the deviation of one chip, the forward pass sees it, the
//! gradient reaches the clean weights. [`Evaluation`] judges a trained network on manufactured chips, each held for the
//! whole test set.
//!
//! Nothing here prints, picks a device or picks a seed: progress goes to a [`TrainingObserver`], the rest are arguments.
#![warn(missing_docs)]

mod activation_ranges;
mod batch_norm_refresh;
mod batches;
mod bit_widths;
mod certificate;
pub mod data;
mod draws;
mod error;
mod evaluation;
mod graph;
mod hardware_aware;
mod held_weights;
mod learner;
mod method;
mod observer;
mod optimizer;
mod passes;
mod pretrained;
mod pruning;
mod recipe;
mod schedule;
pub mod search;
mod sensitivity;
mod start;
mod task;
#[cfg(test)]
mod testing;
mod trainable;
mod trainer;
mod weight_clip;
mod weight_gradients;
mod weights;
mod worst_case;

pub use activation_ranges::set_activation_ranges;
pub use batches::Batches;
pub use bit_widths::{
    LEAST_AT_ENDS, LayerWidths, WidthBudget, WidthOption, bit_sensitivities, choose_widths,
    chosen_widths, mean_loss,
};
pub use certificate::{Certificate, LayerCertificate};
pub use error::TrainingError;
pub use evaluation::{Details, Evaluation, evaluate};
pub use graph::GRAPH_FILE;
pub use hardware_aware::{AcceleratorChoice, HardwareAware};
pub use method::{ATrice, Awp, AwpNorm, Distillation, Method, Orthogonality, Trice, Trisection};
pub use observer::{EpochRecord, Silent, TrainingObserver};
pub use optimizer::OptimizerConfig;
pub use passes::Passes;
pub use pretrained::BaseModel;
pub use pruning::{PatternOfPath, PruningConfig};
pub use recipe::{DataConfig, Deployment, Recipe, Selection, TrainingConfig};
pub use schedule::Schedule;
pub use sensitivity::sensitivities;
pub use task::{
    Alarms, AnomalyConfig, AnomalyDetection, AnomalyMetric, AnomalySurrogate, ArrhythmiaConfig,
    ArrhythmiaDetection, ArrhythmiaMetric, AttackLoss, Attacked, Batch, CandidateResult,
    CandidateTrials, Chart, Classification, Confusion, CorruptionNoise, Counts, DecidedSegment,
    DecidedSequence, Decision, Detector, Diagnosis, Distance, Embedded, Figures, Labelled,
    LanguageMetric, LanguageModelling, LanguageModellingConfig, Learn, LesionConfig,
    LesionDetection, LesionMaps, LesionMetric, MeanTally, Moment, MorphologyConfig, Part, Picture,
    PictureRow, Pictures, Queries, RaisedLoss, Ranks, Reconstruction, ReconstructionLoss,
    Retrieval, RetrievalConfig, Role, Rows, ScannedSlices, Searched, SegmentScale, Segments,
    Sequence, Shape, Slices, Surrogate, SurrogateList, Tally, Task, TaskConfig, TaskParts, Trace,
    Triplets, Vote, Voter, WithTask, auprc, auroc, contest_score, contest_score_2023,
    kept_threshold, margin_loss, personalisation, stored_prompts,
};
pub use task::{
    Bias, Compared, CurvePoint, FaceOutput, FaceVectors, Faces, Head, Sampling, Verification,
    VerificationConfig, VerificationMetric, accuracy_by_folds, best_threshold, cosine, curve,
    fnmr_at_fmr, gap_to_real, group_accuracies, interval_over_people, trade_off,
};
pub use trainer::{Run, Trained, kept_recipe, train};
pub use weight_gradients::values;
pub use weights::{ActivationScale, ArraysConfig, BitsOfPath, QuantizationConfig};
pub use worst_case::{AttackActivations, WeightAttack};
