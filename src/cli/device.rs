//! `--device`: a backend by name, or a clear word that it is not there.

use anyhow::{Result, bail};
use burn::tensor::{Device, DeviceType};

/// Where tensors live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum DeviceChoice {
    /// Burn's CPU backend, `flex`.
    Cpu,
    /// The older CPU backend.
    NdArray,
    /// A GPU through WGSL shaders.
    Wgpu(Option<usize>),
}

impl std::str::FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once(':') {
            None if text == "cpu" => Ok(Self::Cpu),
            None if text == "ndarray" => Ok(Self::NdArray),
            None if text == "wgpu" => Ok(Self::Wgpu(None)),
            Some(("wgpu", index)) => index
                .parse()
                .map(|index| Self::Wgpu(Some(index)))
                .map_err(|_| format!("`{index}` is not a GPU number")),
            _ => Err("use cpu, ndarray, wgpu or wgpu:N".to_string()),
        }
    }
}

impl std::fmt::Display for DeviceChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::NdArray => f.write_str("ndarray"),
            Self::Wgpu(None) => f.write_str("wgpu"),
            Self::Wgpu(Some(index)) => write!(f, "wgpu:{index}"),
        }
    }
}

impl DeviceChoice {
    /// Chips of a population that compute side by side on it: one on a processor, whose cores take one chip each; several on
    /// a GPU, which a small network does not fill.
    pub(crate) fn side_by_side(self) -> usize {
        match self {
            Self::Cpu | Self::NdArray => 1,
            Self::Wgpu(_) => 16,
        }
    }

    /// The backend, as documents name it.
    pub(crate) fn backend(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::NdArray => "ndarray",
            Self::Wgpu(_) => GPU,
        }
    }

    /// Trainings that it takes at a time: one per core, as one small network does not fill several; one on a GPU, where they
    /// would take turns.
    pub(crate) fn lanes(self) -> usize {
        match self {
            Self::Cpu | Self::NdArray => rayon::current_num_threads(),
            Self::Wgpu(_) => 1,
        }
    }

    /// The device, without autodiff.
    ///
    /// # Errors
    /// A backend that is not compiled in, or a GPU that is not there, with the list of what is.
    pub(crate) fn open(self) -> Result<Device> {
        match self {
            Self::Cpu => Ok(Device::flex()),
            Self::NdArray => open_ndarray(),
            Self::Wgpu(index) => open_wgpu(index),
        }
    }
}

/// The backend of GPUs.
const GPU: &str = "wgpu";

/// Whether `name`, one of [`available`], is a GPU.
pub(crate) fn is_gpu(name: &str) -> bool {
    name.split(':').next() == Some(GPU)
}

/// Names for `--device` that work in this build on this machine.
pub(crate) fn available() -> Vec<String> {
    let gpus = gpus();
    let mut names = vec!["cpu".to_string()];
    if cfg!(feature = "ndarray") {
        names.push("ndarray".to_string());
    }
    names.extend((0..gpus.len()).map(|index| format!("wgpu:{index}")));
    names
}

#[cfg(feature = "wgpu")]
fn gpus() -> Vec<Device> {
    Device::enumerate(DeviceType::Wgpu).into_vec()
}

#[cfg(not(feature = "wgpu"))]
fn gpus() -> Vec<Device> {
    // Named so that both builds use the same imports: a build without the feature has no such devices.
    let _ = DeviceType::Flex;
    Vec::new()
}

#[cfg(feature = "ndarray")]
#[allow(deprecated, reason = "Burn's ndarray backend stays selectable")]
fn open_ndarray() -> Result<Device> {
    Ok(Device::ndarray())
}

#[cfg(not(feature = "ndarray"))]
fn open_ndarray() -> Result<Device> {
    bail!(
        "this build has no ndarray backend: build with `cargo build --release --features ndarray`; available here: {}",
        available().join(", ")
    )
}

fn open_wgpu(index: Option<usize>) -> Result<Device> {
    if !cfg!(feature = "wgpu") {
        bail!(
            "this build has no wgpu backend: build with `cargo build --release --features wgpu`; available here: {}",
            available().join(", ")
        );
    }
    match gpus().into_iter().nth(index.unwrap_or(0)) {
        Some(device) => Ok(device),
        None => bail!(
            "there is no device wgpu{}; available here: {}",
            index.map(|index| format!(":{index}")).unwrap_or_default(),
            available().join(", ")
        ),
    }
}
