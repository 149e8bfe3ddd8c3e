//! Runs an integer detector on a simulated accelerator.

use std::path::Path;

use anyhow::{Context, Result, bail};
use burn::tensor::Device;
use crossburn_hardware::accelerator::{
    AcceleratorConfig, AcceleratorCost, Execution, Memory, Simulator,
};
use crossburn_hardware::units::Second;
use crossburn_training::data::signal::{SEGMENT_POINTS, SEGMENT_RATE};
use crossburn_training::{Alarms, ArrhythmiaDetection, Tally, Task};
use rayon::prelude::*;

use super::{BATCH, IntegerDetector};
use crate::report::SimulatedLayer;

/// Time from one segment to the next.
const PERIOD: Second = Second::new(SEGMENT_POINTS as f64 / SEGMENT_RATE);

/// A sparse accelerator, and its name in reports.
pub(crate) struct NamedAccelerator {
    pub(super) name: String,
    pub(super) config: AcceleratorConfig,
}

/// The sparse accelerator that `text` names: one that comes with the program, or a file.
///
/// # Errors
/// If the text is neither, or the file cannot be read or describes no accelerator.
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

/// The cost of inferences on the accelerator, and whether its results equal those of the network.
#[derive(Debug)]
pub(crate) struct Simulated {
    pub(crate) layers: Vec<SimulatedLayer>,
    pub(crate) cost: AcceleratorCost,
    /// Number of segments whose results equal the network's to the bit.
    pub(crate) equal: usize,
    /// The accelerator's decisions.
    pub(crate) alarms: Alarms,
}

/// Runs the segments of `test` on `accelerator`, with one inference every five seconds.
///
/// # Errors
/// If the accelerator cannot hold the network, or a segment has a value that is not finite.
pub(crate) fn simulate(
    detector: &IntegerDetector,
    accelerator: &NamedAccelerator,
    test: &ArrhythmiaDetection,
    device: &Device,
) -> Result<Simulated> {
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
    let layers = network.layers().iter().zip(counts).zip(dense.counts());
    Ok(Simulated {
        layers: layers
            .map(|((layer, counts), dense)| SimulatedLayer {
                shape: layer.shape,
                sparsity: layer.sparsity,
                kept: layer.kept_weights(),
                counts: counts.clone(),
                dense_cycles: dense.total_cycles(),
            })
            .collect(),
        cost: AcceleratorCost::new(counts, config, PERIOD)?,
        equal,
        alarms,
    })
}

/// The same accelerator with the largest weight memory. The dense baseline is about cycles, and its weights may need more memory.
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
