//! A detector in integers on a simulated accelerator.

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_hardware::accelerator::{
    AcceleratorConfig, AcceleratorCost, Execution, LayerCounts, LayerEnergy, Memory, Simulator,
};
use crossburn_hardware::units::Second;
use crossburn_training::data::signal::{SEGMENT_POINTS, SEGMENT_RATE};
use crossburn_training::{Alarms, ArrhythmiaDetection, Tally, Task};
use rayon::prelude::*;
use serde::Serialize;

use super::IntegerDetector;

/// Segments that are simulated at a time.
const BATCH: usize = 128;
/// Time from one segment to the next.
const PERIOD: Second = Second::new(SEGMENT_POINTS as f64 / SEGMENT_RATE);

/// A sparse accelerator and the name that reports call it.
pub(crate) struct NamedAccelerator {
    name: String,
    config: AcceleratorConfig,
}

/// The sparse accelerator that `text` names: one that comes with the program, or a file.
///
/// # Errors
/// A text that is neither, and a file that cannot be read or describes none.
pub(crate) fn open_accelerator(text: &str) -> Result<NamedAccelerator> {
    let known: Vec<&str> = AcceleratorConfig::presets().collect();
    let path = Path::new(text);
    let (name, config) = match (known.contains(&text), path.exists()) {
        (true, _) => (text.to_string(), AcceleratorConfig::preset(text)?),
        (_, true) => {
            let content = fs_err::read_to_string(path)?;
            let config =
                AcceleratorConfig::from_toml(&content).with_context(|| text.to_string())?;
            let stem = path.file_stem().unwrap_or(path.as_os_str());
            (stem.to_string_lossy().into_owned(), config)
        }
        _ => bail!(
            "`{text}` is neither a file nor one of the sparse accelerators {}",
            known.join(", ")
        ),
    };
    Ok(NamedAccelerator { name, config })
}

/// What inferences take on the accelerator, and whether it computes what the network is.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Simulation {
    pub(crate) accelerator: String,
    pub(crate) layers: Vec<LayerCounts>,
    pub(crate) cycles: u64,
    /// Cycles of the same array without an index: it multiplies by the zeros of absent weights.
    pub(crate) dense_cycles: u64,
    /// `cycles / dense_cycles`.
    pub(crate) cycles_ratio: f64,
    /// Part of all processing elements that multiply while layers convolve.
    pub(crate) utilisation: f64,
    pub(crate) cost: AcceleratorCost,
    /// Test segments that were simulated.
    pub(crate) segments: usize,
    /// Those of them whose results are to the bit those of the network.
    pub(crate) equal: usize,
    pub(crate) metric: String,
    /// The metric on the accelerator; none where these segments have none.
    pub(crate) value: Option<f64>,
    /// What the accelerator decides.
    #[serde(skip)]
    pub(crate) alarms: Alarms,
}

impl Simulation {
    /// Multiplications of one inference, carried out and with absent weights.
    pub(crate) fn multiplications(&self) -> [u64; 2] {
        let sum = |of: fn(&LayerCounts) -> u64| self.layers.iter().map(of).sum();
        [sum(|l| l.executed_macs), sum(|l| l.dense_macs)]
    }

    /// Layers with their energies.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&LayerCounts, &LayerEnergy)> {
        self.layers.iter().zip(&self.cost.layers)
    }
}

/// Runs the segments of `test` on `accelerator`, one inference each five seconds.
///
/// # Errors
/// A network that the accelerator does not hold, and a segment with a value that is not finite.
pub(crate) fn simulate(
    detector: &IntegerDetector,
    accelerator: &NamedAccelerator,
    test: &ArrhythmiaDetection,
    device: &Device,
) -> Result<Simulation> {
    let (network, config) = (&detector.network, &accelerator.config);
    let simulator = Simulator::new(network, config, Execution::Sparse)?;
    let dense = Simulator::new(network, &with_room(config), Execution::Dense)?;
    let numbers: Vec<usize> = (0..test.items()).collect();
    let (mut alarms, mut equal) = (Alarms::default(), 0);
    for numbers in numbers.chunks(BATCH) {
        let batch = test.batch(numbers, device)?;
        let codes = detector.codes(&batch)?;
        let results = codes.par_iter().map(|codes| {
            let found = simulator.evaluate(codes)?;
            let same = found == network.evaluate(codes)?;
            anyhow::Ok((found, same))
        });
        let results: Vec<(Vec<i32>, bool)> = results.collect::<Result<_>>()?;
        equal += results.iter().filter(|(_, same)| *same).count();
        let results: Vec<Vec<i32>> = results.into_iter().map(|(found, _)| found).collect();
        let outputs = detector.logits(&results, device);
        alarms.merge(test.alarms(outputs, &batch)?);
    }
    let counts = simulator.counts();
    let sum = |of: fn(&LayerCounts) -> u64| counts.iter().map(of).sum::<u64>();
    let (cycles, dense_cycles) = (simulator.cycles(), dense.cycles());
    Ok(Simulation {
        accelerator: accelerator.name.clone(),
        cycles,
        dense_cycles,
        cycles_ratio: cycles as f64 / dense_cycles as f64,
        utilisation: sum(|l| l.busy_cycles) as f64 / sum(|l| l.element_cycles).max(1) as f64,
        cost: AcceleratorCost::new(counts, config, PERIOD)?,
        layers: counts.to_vec(),
        segments: test.items(),
        equal,
        metric: test.metric().name.into_owned(),
        value: test.value(&alarms).ok(),
        alarms,
    })
}

/// The same accelerator with the largest memory of weights: the dense baseline is about cycles, and its weights may need more room.
fn with_room(config: &AcceleratorConfig) -> AcceleratorConfig {
    let memory = Memory {
        weight_bytes: AcceleratorConfig::MOST_MEMORY,
        ..config.memory
    };
    AcceleratorConfig {
        memory,
        ..config.clone()
    }
}
