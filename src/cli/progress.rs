//! Progress on stderr: a bar with the stage and the remaining time, or plain lines where there is no terminal.

use std::io::IsTerminal;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use burn::train::Interrupter;
use burn::train::metric::{
    MetricAttributes, MetricDefinition, MetricEntry, MetricId, NumericAttributes, NumericEntry,
    SerializedEntry,
};
use burn::train::renderer::{MetricState, MetricsRenderer, tui::TuiMetricsRendererWrapper};
use crossburn_training::{EpochRecord, TrainingObserver};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::run_setup::RunPlace;
use super::{note, terminal};
use crate::apps::study::StudyObserver;

/// A bar that names its stage; silent where stderr is no terminal.
pub(crate) fn bar(bars: &MultiProgress, stage: &str, total: u64, unit: &str) -> ProgressBar {
    let style = ProgressStyle::with_template(&format!(
        "{{prefix:<28}} {{wide_bar}} {unit} {{pos}}/{{len}} · {{eta}} left {{msg}}"
    ))
    .unwrap_or_else(|_| ProgressStyle::default_bar());
    bars.add(ProgressBar::new(total))
        .with_style(style)
        .with_prefix(stage.to_string())
}

/// Training progress as a bar on a terminal and as one line per epoch elsewhere.
pub(crate) struct EpochLines {
    name: String,
    bars: MultiProgress,
    bar: Option<ProgressBar>,
    epochs: usize,
    images: usize,
    stop: Arc<AtomicBool>,
}

impl EpochLines {
    pub(crate) fn new(name: &str, bars: &MultiProgress, stop: &Arc<AtomicBool>) -> Self {
        Self {
            name: name.to_string(),
            bars: bars.clone(),
            bar: None,
            epochs: 0,
            images: 0,
            stop: Arc::clone(stop),
        }
    }
}

/// Follows a study of several trainings with bars.
pub(super) struct Follower {
    bars: MultiProgress,
    stop: Arc<AtomicBool>,
}

impl Follower {
    pub(super) fn new(place: &RunPlace) -> Self {
        Self {
            bars: place.bars.clone(),
            stop: Arc::clone(&place.stop),
        }
    }
}

impl StudyObserver for Follower {
    type Training = EpochLines;

    fn training(&self, method: &str) -> EpochLines {
        EpochLines::new(method, &self.bars, &self.stop)
    }

    fn chips(&self, method: &str, chips: u64) -> Box<dyn Fn() + Sync + '_> {
        let bar = bar(&self.bars, &format!("evaluate {method}"), chips, "chip");
        Box::new(move || {
            bar.inc(1);
            if bar.position() == chips {
                bar.finish_and_clear();
            }
        })
    }
}

/// One epoch in words.
fn epoch_line(name: &str, epochs: usize, record: &EpochRecord) -> String {
    let noisy = record
        .validation_noisy_accuracy
        .map(|noisy| format!(", with noise {:.2} %", 100.0 * noisy))
        .unwrap_or_default();
    let searched = record
        .validation_percentile
        .map(|percentile| {
            let sigma = record.noise.sigma();
            format!(
                ", low percentile {:.2} % at sigma {sigma:.4}",
                100.0 * percentile
            )
        })
        .unwrap_or_default();
    format!(
        "{name}: epoch {}/{epochs}, loss {:.4}, training {:.2} %, validation {:.2} %{noisy}{searched}",
        record.epoch,
        record.train_loss,
        100.0 * record.train_accuracy,
        100.0 * record.validation_accuracy,
    )
}

impl TrainingObserver for EpochLines {
    fn started(&mut self, done: usize, total: usize, images: usize) {
        (self.epochs, self.images) = (total, images);
        if std::io::stderr().is_terminal() {
            let bar = bar(
                &self.bars,
                &format!("train {}", self.name),
                (total * images) as u64,
                "images",
            );
            bar.set_position((done * images) as u64);
            self.bar = Some(bar);
        } else if done > 0 {
            note(&format!(
                "{}: resuming after epoch {done}/{total}",
                self.name
            ));
        }
    }

    fn batch(&mut self, epoch: usize, images: usize, loss: f64, _accuracy: f64) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("· epoch {epoch}/{} · loss {loss:.3}", self.epochs));
            bar.set_position(((epoch - 1) * self.images + images) as u64);
        }
    }

    fn epoch(&mut self, record: &EpochRecord) {
        if self.bar.is_none() {
            note(&epoch_line(&self.name, self.epochs, record));
        }
    }

    fn ended(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Training progress in burn-train's terminal interface. Ctrl-C asks for an orderly end, as elsewhere, and so do both ends
/// that its popup after `q` offers.
pub(crate) struct Dashboard {
    name: String,
    renderer: Option<Box<dyn MetricsRenderer>>,
    interrupter: Interrupter,
    epochs: usize,
    stop: Arc<AtomicBool>,
}

/// What burn-train panics with, in the thread that draws next, after `q` and `k`.
const KILLED: &str = "Killing training from user input.";

/// The curves of the dashboard.
const LOSS: &str = "Loss";
const ACCURACY: &str = "Accuracy";
const NOISY_ACCURACY: &str = "Accuracy under variation";

impl Dashboard {
    pub(crate) fn new(name: &str, stop: &Arc<AtomicBool>) -> Self {
        Self {
            name: name.to_string(),
            renderer: None,
            interrupter: Interrupter::new(),
            epochs: 0,
            stop: Arc::clone(stop),
        }
    }

    /// Draws, if the dashboard is there. `q` and `k` end it by a panic, after which the terminal is as it was before:
    /// that becomes an orderly end, since what is finished is kept either way.
    fn draw(
        &mut self,
        work: impl FnOnce(Box<dyn MetricsRenderer>) -> Option<Box<dyn MetricsRenderer>>,
    ) {
        let Some(renderer) = self.renderer.take() else {
            return;
        };
        match catch_unwind(AssertUnwindSafe(|| work(renderer))) {
            Ok(renderer) => self.renderer = renderer,
            Err(panic) if panic.downcast_ref::<&str>() == Some(&KILLED) => {
                self.interrupter.stop(None)
            }
            Err(panic) => resume_unwind(panic),
        }
    }
}

fn metric_id(name: &str) -> MetricId {
    MetricId::new(Arc::new(name.to_string()))
}

fn value(name: &str, value: f64) -> MetricState {
    let text = format!("{value:.4}");
    let entry = MetricEntry::new(metric_id(name), SerializedEntry::new(text.clone(), text));
    MetricState::Numeric(entry, Some(NumericEntry::Value(value)))
}

impl TrainingObserver for Dashboard {
    fn started(&mut self, done: usize, total: usize, images: usize) {
        self.epochs = total;
        let mut renderer: Box<dyn MetricsRenderer> = Box::new(TuiMetricsRendererWrapper::new(
            self.interrupter.clone(),
            (done > 0).then_some(done),
        ));
        for (name, unit, higher_is_better) in [
            (LOSS, None, false),
            (ACCURACY, Some("%"), true),
            (NOISY_ACCURACY, Some("%"), true),
        ] {
            renderer.register_metric(MetricDefinition {
                metric_id: metric_id(name),
                name: Arc::new(name.to_string()),
                description: None,
                attributes: MetricAttributes::Numeric(NumericAttributes {
                    unit: unit.map(str::to_string),
                    higher_is_better,
                }),
            });
        }
        renderer.start(total, done, None, Some(&self.name));
        renderer.start_split("train", images);
        self.renderer = Some(renderer);
        terminal::keep_ctrl_c();
    }

    fn batch(&mut self, _epoch: usize, images: usize, loss: f64, accuracy: f64) {
        self.draw(|mut renderer| {
            renderer.update_train(value(LOSS, loss));
            renderer.update_train(value(ACCURACY, 100.0 * accuracy));
            renderer.update_split(images);
            Some(renderer)
        });
    }

    fn epoch(&mut self, record: &EpochRecord) {
        self.draw(|mut renderer| {
            renderer.update_valid(value(ACCURACY, 100.0 * record.validation_accuracy));
            if let Some(noisy) = record.validation_noisy_accuracy {
                renderer.update_valid(value(NOISY_ACCURACY, 100.0 * noisy));
            }
            renderer.update_epoch(record.epoch);
            Some(renderer)
        });
    }

    fn ended(&mut self) {
        self.draw(|mut renderer| {
            renderer.end_split();
            renderer.end();
            // Dropping it gives the terminal back.
            None
        });
    }

    fn should_stop(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.interrupter.should_stop()
    }
}
