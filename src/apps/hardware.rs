//! A network on a hardware: from a name or a file to what the results document says.

use std::path::Path;

use anyhow::{Context, Result};
use crossburn_hardware::cost::accelerators;
use crossburn_hardware::deploy::{Hardware, MappedNetwork};
use crossburn_models::Network;
use crossburn_training::{Batches, Task};

use crate::report::CostSummary;

/// Training items that ranges are set on, unless told.
pub(crate) const CALIBRATION_ITEMS: usize = 128;

/// A hardware and the name that reports call it.
#[derive(Clone, Debug)]
pub(crate) struct NamedHardware {
    pub(crate) name: String,
    pub(crate) hardware: Hardware,
}

/// The hardware that `text` names: a preset, or a file.
///
/// # Errors
/// A text that is neither, a file that cannot be read or is no hardware.
pub(crate) fn open_hardware(text: &str) -> Result<NamedHardware> {
    if accelerators().any(|name| name == text) {
        return Ok(NamedHardware {
            name: text.to_string(),
            hardware: Hardware::preset(text)?,
        });
    }
    let path = Path::new(text);
    if !path.exists() {
        let known: Vec<&str> = accelerators().collect();
        anyhow::bail!(
            "`{text}` is neither a file nor one of the accelerators {}",
            known.join(", ")
        );
    }
    let content = fs_err::read_to_string(path)?;
    let hardware = Hardware::from_toml(&content).with_context(|| path.display().to_string())?;
    let stem = path.file_stem().unwrap_or(path.as_os_str());
    Ok(NamedHardware {
        name: stem.to_string_lossy().into_owned(),
        hardware,
    })
}

/// The first `items` items of `training`, which ranges are set on.
pub(crate) fn calibration<T: Task>(
    training: &T,
    items: usize,
    device: &burn::tensor::Device,
) -> Batches<T> {
    let (items, _) = training.split_at(items);
    Batches::new(&items, CALIBRATION_ITEMS, device)
}

/// What `mapped` costs, where its hardware says and a layer lies on it: a network that is digital throughout takes no array.
///
/// # Errors
/// What the cost model refuses.
pub(crate) fn cost<N: Network>(mapped: &MappedNetwork<N>) -> Result<Option<CostSummary>> {
    let hardware = mapped.hardware();
    let layers = mapped.shapes();
    if hardware.config().cost.is_none() || layers.is_empty() {
        return Ok(None);
    }
    let report = hardware.accelerator()?.cost(&layers)?;
    let total = report.total;
    Ok(Some(CostSummary {
        adc_estimator: report.adc_estimator.name().to_string(),
        arrays: total.arrays,
        energy: total.energy_total.get(),
        adc_share_of_energy: total.adc_share_of_energy,
        latency: total.latency_sequential.get(),
        area: total.area_total.get(),
        programming_energy: total.programming.energy.get(),
    }))
}
