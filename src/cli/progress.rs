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
use crossburn_noise::{Better, Metric};
use crossburn_training::{EpochRecord, TrainingObserver};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::run_setup::RunPlace;
use super::{note, terminal};
use crate::apps::study::StudyObserver;
use crate::apps::workplace::Stage;

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

/// A bar that is dropped is cleared.
impl Stage for ProgressBar {
    fn advance(&self, pieces: u64) {
        self.inc(pieces);
    }

    fn advance_to(&self, pieces: u64) {
        self.set_position(pieces);
    }

    fn lengthen(&self, pieces: u64) {
        self.inc_length(pieces);
    }

    fn leave(&self, pieces: u64) {
        self.set_length(self.position() + pieces);
    }

    fn say(&self, text: String) {
        self.set_message(text);
    }
}

/// The bar of the items that a training looks at before it starts.
struct Choice {
    bars: MultiProgress,
    bar: Option<ProgressBar>,
}

impl Choice {
    fn new(bars: &MultiProgress) -> Self {
        Self {
            bars: bars.clone(),
            bar: None,
        }
    }

    fn show(&mut self, name: &str, done: usize, total: usize) {
        let bars = &self.bars;
        let shown = self.bar.get_or_insert_with(|| {
            bar(
                bars,
                &format!("{name}: choose what to learn from"),
                total as u64,
                "items",
            )
        });
        shown.set_position(done as u64);
        if done == total {
            self.clear();
        }
    }

    fn clear(&mut self) {
        if let Some(bar) = self.bar.take() {
            bar.finish_and_clear();
        }
    }
}

/// A choice that has failed leaves no bar.
impl Drop for Choice {
    fn drop(&mut self) {
        self.clear();
    }
}

/// Training progress as a bar on a terminal and as one line per epoch elsewhere.
pub(crate) struct EpochLines {
    name: String,
    bars: MultiProgress,
    bar: Option<ProgressBar>,
    choice: Choice,
    /// Whether a terminal gets a bar.
    with_bar: bool,
    epochs: usize,
    items: usize,
    /// Known once the training has started.
    metric: Option<Metric>,
    stop: Arc<AtomicBool>,
}

impl EpochLines {
    pub(crate) fn new(name: &str, bars: &MultiProgress, stop: &Arc<AtomicBool>) -> Self {
        Self {
            name: name.to_string(),
            bars: bars.clone(),
            bar: None,
            choice: Choice::new(bars),
            with_bar: true,
            epochs: 0,
            items: 0,
            metric: None,
            stop: Arc::clone(stop),
        }
    }

    /// The same, where a terminal gets a bar or, as everything else, one line per epoch.
    pub(super) fn with_bar(self, with_bar: bool) -> Self {
        Self { with_bar, ..self }
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

    fn work(&self, what: &str, total: u64, unit: &'static str) -> Box<dyn Fn() + Sync + '_> {
        let bar = bar(&self.bars, what, total, unit);
        Box::new(move || {
            bar.inc(1);
            if bar.position() == total {
                bar.finish_and_clear();
            }
        })
    }
}

/// One epoch in words.
fn epoch_line(name: &str, epochs: usize, metric: &Metric, record: &EpochRecord) -> String {
    let noisy = record
        .validation_noisy
        .map(|noisy| format!(", with noise {}", metric.show(noisy)))
        .unwrap_or_default();
    let searched = record
        .validation_percentile
        .map(|percentile| {
            let sigma = record.noise.sigma();
            format!(
                ", low percentile {} at sigma {sigma:.4}",
                metric.show(percentile)
            )
        })
        .unwrap_or_default();
    let training = record
        .train_metric
        .map(|value| format!(", training {}", metric.show(value)))
        .unwrap_or_default();
    format!(
        "{name}: epoch {}/{epochs}, loss {:.4}{training}, validation {}{noisy}{searched}",
        record.epoch,
        record.train_loss,
        metric.show(record.validation),
    )
}

impl TrainingObserver for EpochLines {
    fn choosing(&mut self, done: usize, total: usize) {
        if self.with_bar {
            self.choice.show(&self.name, done, total);
        }
    }

    fn started(&mut self, done: usize, total: usize, items: usize, metric: &Metric) {
        (self.epochs, self.items) = (total, items);
        self.metric = Some(metric.clone());
        if self.with_bar && std::io::stderr().is_terminal() {
            let bar = bar(
                &self.bars,
                &format!("train {}", self.name),
                (total * items) as u64,
                "items",
            );
            bar.set_position((done * items) as u64);
            self.bar = Some(bar);
        } else if done > 0 {
            note(&format!(
                "{}: resuming after epoch {done}/{total}",
                self.name
            ));
        }
    }

    fn batch(&mut self, epoch: usize, items: usize, loss: f64, _metric: Option<f64>) {
        if let Some(bar) = &self.bar {
            bar.set_message(format!("· epoch {epoch}/{} · loss {loss:.3}", self.epochs));
            bar.set_position(((epoch - 1) * self.items + items) as u64);
        }
    }

    fn epoch(&mut self, record: &EpochRecord) {
        if let (None, Some(metric)) = (&self.bar, &self.metric) {
            note(&epoch_line(&self.name, self.epochs, metric, record));
        }
    }

    fn ended(&mut self) {
        self.choice.clear();
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
    choice: Choice,
    interrupter: Interrupter,
    epochs: usize,
    /// Known once the training has started.
    metric: Option<Metric>,
    stop: Arc<AtomicBool>,
}

/// The panic message of burn-train after `q` and `k`, in the thread that draws next.
const KILLED: &str = "Killing training from user input.";

/// The curves of the dashboard.
const LOSS: &str = "Loss";

impl Dashboard {
    pub(crate) fn new(name: &str, bars: &MultiProgress, stop: &Arc<AtomicBool>) -> Self {
        Self {
            name: name.to_string(),
            renderer: None,
            choice: Choice::new(bars),
            interrupter: Interrupter::new(),
            epochs: 0,
            metric: None,
            stop: Arc::clone(stop),
        }
    }

    /// Values of the metric with their names: as they are, and under variation.
    fn values<const K: usize>(&self, values: [(bool, Option<f64>); K]) -> Vec<MetricState> {
        let Some(metric) = &self.metric else {
            return Vec::new();
        };
        let state = |(noisy, found): (bool, Option<f64>)| {
            let [plain, under_variation] = curves(metric);
            let name = if noisy { under_variation } else { plain };
            found.map(|found| value(&name, metric.scale() * found))
        };
        values.into_iter().filter_map(state).collect()
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

/// The names of the curves of a metric.
fn curves(metric: &Metric) -> [String; 2] {
    let title = metric.title();
    [title.clone(), format!("{title} under variation")]
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
    fn choosing(&mut self, done: usize, total: usize) {
        self.choice.show(&self.name, done, total);
    }

    fn started(&mut self, done: usize, total: usize, items: usize, metric: &Metric) {
        self.epochs = total;
        self.metric = Some(metric.clone());
        let mut renderer: Box<dyn MetricsRenderer> = Box::new(TuiMetricsRendererWrapper::new(
            self.interrupter.clone(),
            (done > 0).then_some(done),
        ));
        let unit = (!metric.unit.is_empty()).then(|| metric.unit.to_string());
        let higher = metric.better == Better::Higher;
        let [plain, under_variation] = curves(metric);
        for (name, unit, higher_is_better) in [
            (LOSS.to_string(), None, false),
            (plain, unit.clone(), higher),
            (under_variation, unit, higher),
        ] {
            renderer.register_metric(MetricDefinition {
                metric_id: metric_id(&name),
                name: Arc::new(name),
                description: None,
                attributes: MetricAttributes::Numeric(NumericAttributes {
                    unit,
                    higher_is_better,
                }),
            });
        }
        renderer.start(total, done, None, Some(&self.name));
        renderer.start_split("train", items);
        self.renderer = Some(renderer);
        terminal::keep_ctrl_c();
    }

    fn batch(&mut self, _epoch: usize, items: usize, loss: f64, metric: Option<f64>) {
        let values = self.values([(false, metric)]);
        self.draw(|mut renderer| {
            renderer.update_train(value(LOSS, loss));
            values
                .into_iter()
                .for_each(|value| renderer.update_train(value));
            renderer.update_split(items);
            Some(renderer)
        });
    }

    fn epoch(&mut self, record: &EpochRecord) {
        let values = self.values([
            (false, Some(record.validation)),
            (true, record.validation_noisy),
        ]);
        self.draw(|mut renderer| {
            values
                .into_iter()
                .for_each(|value| renderer.update_valid(value));
            renderer.update_epoch(record.epoch);
            Some(renderer)
        });
    }

    fn ended(&mut self) {
        self.choice.clear();
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
