//! How a network learns to survive variation, and how good its chips are.
//!
//! [`train`] runs a [`Recipe`] on a network. Every step draws the deviation of one chip; the forward pass computes with it, and the gradient reaches the clean
//! weights. [`Evaluation`] then judges the trained network on manufactured chips. Each chip keeps its deviation for the whole test set.
//!
//! ```
//! use std::sync::atomic::AtomicBool;
//!
//! use burn::tensor::Device;
//! use crossburn_models::{MlpConfig, initialize};
//! use crossburn_noise::{Distribution, Population, Variation};
//! use crossburn_training::data::digits;
//! use crossburn_training::{Batches, Classification, Evaluation, Recipe, Run, Silent, Task, train};
//!
//! let device = Device::flex();
//! let autodiff = device.clone().autodiff();
//! let (learn, rest) = Classification::new(digits(1, 0, 800)).split_at(600);
//! let (validation, test) = rest.split_at(100);
//! let mut recipe = Recipe::own(1);
//! recipe.training.epochs = 1;
//! recipe.noise = Variation::from(Distribution::gaussian(0.1));
//! let network = MlpConfig { widths: vec![784, 16, 10], bits: None }.init(&autodiff);
//! let run = Run::new(&learn, &validation, &autodiff);
//! let trained = train(initialize(network, 1), &recipe, &run, &mut Silent)?.network;
//!
//! let judged = Evaluation::new(&trained, None, Batches::new(&test, 100, &device)?);
//! let (fab, stop) = (judged.varied(&recipe.noise), AtomicBool::new(false));
//! let (chips, _) = judged.population(&fab, 7, 0..20, |_, _| {}, &stop)?;
//! let population = Population::new(7, 0, chips.into_iter().map(|chip| chip.1).collect());
//! println!("clean {}, KPP(5) {}", judged.clean()?, population.kpp(5.0)?);
//! # assert_eq!(population.chips(), 20);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is here
//!
//! - [`data`]: readers of files, procedural sets that need no file, splits and normalization.
//! - [`Task`] and [`Learn`]: loss and metric of classification, anomaly detection, arrhythmia detection, lesion detection, language modelling,
//!   retrieval and face verification. A task of your own implements both.
//! - [`Method`]: noise injection, TRICE, A-TRICE, adversarial weight perturbation, orthogonality, distillation.
//! - [`HardwareAware`]: training whose every step computes on a programmed chip of a hardware.
//! - [`WeightAttack`] and [`Certificate`]: the worst chip of a network within a bound, found and bounded.
//! - [`mod@search`]: spaces of designs, and proposers that search them.
//!
//! # Limits
//!
//! Training runs in software: the crate does not simulate training on a chip. One process computes on one device. A metric that is not a sum over items, such as
//! an area under a curve, has no race and no certificate.
//!
//! Nothing here prints, picks a device or picks a seed. Progress goes to a [`TrainingObserver`]; device and seed are arguments.
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
mod weights_digest;
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
    AddedPeople, Bias, Cleansed, Cleansing, CleansingConfig, Compared, CurvePoint, FaceOutput,
    FaceVectors, Faces, Head, Sampling, Verification, VerificationConfig, VerificationMetric,
    accuracy_by_folds, best_threshold, cosine, curve, fnmr_at_fmr, gap_to_real, group_accuracies,
    interval_over_people, intervals_over_people, mean_direction, trade_off,
};
pub use task::{
    Alarms, AnomalyConfig, AnomalyDetection, AnomalyMetric, AnomalySurrogate, ArrhythmiaConfig,
    ArrhythmiaDetection, ArrhythmiaMetric, AttackLoss, Attacked, Batch, CandidateResult,
    CandidateTrials, Chart, Chosen, Classification, Confusion, CorruptionNoise, Counts,
    DecidedSegment, DecidedSequence, Decision, Detector, Diagnosis, Distance, Embedded, Figures,
    Labelled, LanguageMetric, LanguageModelling, LanguageModellingConfig, Learn, LesionConfig,
    LesionDetection, LesionIntervals, LesionMaps, LesionMetric, MeanTally, Moment,
    MorphologyConfig, Part, Picture, PictureRow, Pictures, Queries, RaisedLoss, Ranks,
    Reconstruction, ReconstructionLoss, Retrieval, RetrievalConfig, Role, Rows, ScannedSlices,
    Searched, SegmentScale, Segments, Sequence, Shape, Slices, Surrogate, SurrogateList, Tally,
    Task, TaskConfig, TaskParts, TaughtTexts, Trace, Triplets, Vote, Voter, WithTask, auprc, auroc,
    contest_score, contest_score_2023, kept_threshold, margin_loss, personalisation,
    stored_prompts,
};
pub use trainer::{Run, Trained, kept_epochs, kept_recipe, train};
pub use weight_gradients::values;
pub use weights::{ActivationScale, ArraysConfig, BitsOfPath, QuantizationConfig};
pub use weights_digest::weights_digest;
pub use worst_case::{AttackActivations, WeightAttack};
