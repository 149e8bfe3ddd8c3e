//! A language model that becomes personal on a device: what a person wrote is retrieved, learned by an adapter, or both.
//!
//! ```text
//! Profile ─┬─ history ─┬─ ExampleMemory: a store in arrays ── the nearest examples stand before the question ──┐
//!          │           └─ AdapterTuning: LoRA, prompt, prefix, IA3 ── an adapter beside a resting decoder ─────┤
//!          └─ questions ───────────────────────────────────────────────────────────────────────────────────────┴─▶ answers ─▶ AnswerMetric
//! ```
//!
//! # Source
//! Qin et al., "Empirical guidelines for deploying LLMs onto resource-constrained edge devices", ACM TODAES 30(5), 2025
//! (arXiv 2406.03777). Sizes and data are our own.

mod answer_metric;
mod demand;
mod learning_method;
mod memory;
mod texts;
mod tuning;
mod writing;

pub use answer_metric::{AnswerMetric, STARS};
pub use demand::Demand;
pub use learning_method::LearningMethod;
pub use memory::ExampleMemory;
pub use texts::PersonalTexts;
pub use tuning::{AdapterTuning, TuningPoint};
pub use writing::{Writer, answer_of};
