//! `crossburn predict`

use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, Result, bail};
use burn::tensor::{Device, Tensor, TensorData};
use clap::Args;
use crossburn_checkpoints::{load_checkpoint, write_bytes};
use crossburn_hardware::{manufacture, programmed};
use crossburn_models::onnx::OnnxNetwork;
use crossburn_models::{ByForward, Forward, ModelConfig, Network, Outputs, WithForward};
use crossburn_noise::{ChipSeed, PathPattern, Variation, matrix_weights};
use crossburn_training::data::{read_npy, write_npy};
use safetensors::{Dtype, SafeTensors};

use super::device::DeviceChoice;
use super::noise::NoiseArguments;
use super::open_stored::open_stored;
use super::process::ProcessArguments;
use super::{Outcome, note};
use crate::apps::stored_network::StoredNetwork;

/// Compute the outputs of a network, or of one of its chips
///
/// The first axis of the input tensor counts items. Values must be as the network takes them, so already normalized. The output goes to a
/// file of the same kinds. With --chip, the weights are those of one chip: chip INDEX of the population SEED of `crossburn evaluate` with
/// the same variation.
///
/// Example: crossburn predict resnet20.onnx --input images.npy --output logits.npy
///
/// Example: crossburn predict resnet20.onnx --input images.npy --output chip17.npy --chip 7:17 --sigma 0.05
#[derive(Debug, Args)]
pub(super) struct Predict {
    /// A trained network: a run folder, a checkpoint, or a network as an ONNX file
    model: PathBuf,
    /// Input: a .npy file, or a .safetensors file with one tensor, or with one called `input`
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    input: PathBuf,
    /// Output: a .npy file, or a .safetensors file with the tensor `output`
    #[arg(long, value_name = "FILE", help_heading = "Data")]
    output: PathBuf,
    /// The chip that computes [default: the network without variation]
    #[arg(long, value_name = "SEED:INDEX", help_heading = "Variation")]
    chip: Option<Chip>,
    #[command(flatten)]
    noise: NoiseArguments,
    /// Weights that stay digital, so that they do not deviate, comma-separated: paths, or patterns such as 'fc*.weight'
    #[arg(
        long,
        value_name = "PATH,...",
        value_delimiter = ',',
        help_heading = "Variation"
    )]
    digital: Vec<PathPattern>,
    /// Where to compute: cpu, ndarray, wgpu or wgpu:N
    #[arg(
        long,
        value_name = "DEVICE",
        default_value_t = DeviceChoice::Cpu,
        help_heading = "Options"
    )]
    device: DeviceChoice,
    #[command(flatten)]
    pub(super) process: ProcessArguments,
}

/// Items that pass through the network at a time.
const BATCH: usize = 128;

/// A chip of a population.
#[derive(Clone, Copy, Debug)]
struct Chip {
    seed: u64,
    index: u64,
}

impl FromStr for Chip {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let numbers = text.split_once(':');
        let numbers = numbers.and_then(|(seed, index)| seed.parse().ok().zip(index.parse().ok()));
        match numbers {
            Some((seed, index)) => Ok(Self { seed, index }),
            None => Err("use SEED:INDEX, two whole numbers, such as 7:17".to_string()),
        }
    }
}

impl Predict {
    pub(super) fn run(self) -> Result<Outcome> {
        let kind = Kind::of(&self.output)?;
        require_folder("--output", &self.output)?;
        let varies = match self.chip {
            Some(chip) => Some((
                ChipSeed::new(chip.seed, chip.index),
                self.noise.variation()?,
            )),
            None if self.noise.is_given() => {
                bail!("a variation has no effect without a chip: add --chip SEED:INDEX")
            }
            None => None,
        };
        let stored = open_stored(&self.model)?.with_digital(&self.digital);
        let input = read(&self.input)?;
        if let Some(place) = input.values.iter().position(|value| !value.is_finite()) {
            bail!(
                "value {place} of {} is {}, not a finite number: remove it, or replace it by a number",
                self.input.display(),
                input.values[place]
            );
        }
        let device = self.device.open()?;
        let items = match input.shape.first() {
            Some(items) if !input.values.is_empty() => *items,
            _ => bail!("{} holds no items", self.input.display()),
        };
        let pass = Pass {
            stored: &stored,
            varies: varies.as_ref(),
            digital: &self.digital,
            input: &input,
            device: &device,
            path: &self.input,
        };
        let output = match &stored.model {
            ModelConfig::Onnx(config) => {
                let network = stored.graph(&config.file)?.network(&device)?;
                pass.graph(network)?
            }
            ModelConfig::Pretrained(_) => bail!(TOKENS),
            model => model.build(stored.recipe.seed, &device, ByForward(pass))??,
        };
        if let Some(place) = output.values.iter().position(|value| !value.is_finite()) {
            bail!(
                "value {place} of the output is no finite number: look for values in {} that the network has never seen",
                self.input.display()
            );
        }
        write(&self.output, &output, kind)?;
        note(&format!(
            "{}: {items} items, shape {:?}",
            self.output.display(),
            output.shape
        ));
        Ok(Outcome::Done)
    }
}

/// Passes the input through a network.
#[derive(Clone, Copy)]
struct Pass<'a> {
    stored: &'a StoredNetwork,
    varies: Option<&'a (ChipSeed, Variation)>,
    digital: &'a [PathPattern],
    input: &'a Outputs,
    device: &'a Device,
    path: &'a Path,
}

impl Pass<'_> {
    /// The network with its weights, or those of the chip.
    fn ready<N: Network>(&self, network: N) -> Result<N> {
        let network = self.stored.recipe.quantization.activations(network);
        let network = match self.stored.checkpoint() {
            Some(folder) => load_checkpoint(folder, network)?.0,
            None => network,
        };
        let weights = self.stored.weights::<N>();
        weights.check(&network)?;
        let quantized = |path: &String| weights.quantization(path).is_some();
        if self.varies.is_none()
            && !self.digital.is_empty()
            && !matrix_weights(&network).iter().any(quantized)
        {
            bail!(
                "--digital has no effect here: no weight of the network is quantized, and none deviates without a chip; add --chip \
                 SEED:INDEX, or leave --digital out"
            );
        }
        Ok(match self.varies {
            Some((chip, variation)) => manufacture(&network, weights, variation, *chip),
            None => programmed(&network, weights),
        })
    }

    /// The outputs of all items, some at a time.
    fn batches(
        &self,
        at_a_time: usize,
        compute: impl Fn(&[usize], Vec<f32>) -> Result<Outputs>,
    ) -> Result<Outputs> {
        let item = self.input.values.len() / self.input.shape[0];
        let (mut values, mut shape) = (Vec::new(), Vec::new());
        for part in self.input.values.chunks(at_a_time * item) {
            let mut part_shape = self.input.shape.clone();
            part_shape[0] = part.len() / item;
            let output = compute(&part_shape, part.to_vec())?;
            if output.shape.first() != Some(&part_shape[0]) {
                bail!(
                    "the network gives no row for each item: for {part_shape:?} its output has the shape {:?}",
                    output.shape
                );
            }
            values.extend(output.values);
            shape = output.shape;
        }
        shape[0] = self.input.shape[0];
        Ok(Outputs { shape, values })
    }

    fn graph(&self, network: OnnxNetwork) -> Result<Outputs> {
        let graph = network.input();
        let fixed = graph.shape.first().copied().flatten();
        if let Some(fixed) = fixed
            && !self.input.shape[0].is_multiple_of(fixed)
        {
            bail!(
                "{} holds {} items, and the network takes batches of {fixed} alone: add or take out items to a multiple of {fixed}, or \
                 export the network with a free batch (dynamic_axes or dynamic_shapes)",
                self.path.display(),
                self.input.shape[0]
            );
        }
        let mut batch = self.input.shape.clone();
        batch[0] = fixed.unwrap_or(batch[0]);
        graph.check(&batch)?;
        network.check_items(&self.input.shape[1..])?;
        let network = self.ready(network)?;
        self.batches(fixed.unwrap_or(BATCH), |shape, values| {
            Ok(network.run_values(shape, values, self.device)?)
        })
    }
}

impl WithForward for Pass<'_> {
    type Output = Result<Outputs>;

    fn run<N: Network>(self, network: N, forward: Forward<N>) -> Result<Outputs> {
        let [_, channels, height, width] = self.input.shape[..] else {
            bail!(
                "{} has the shape {:?}, the network takes items, channels, height and width",
                self.path.display(),
                self.input.shape
            );
        };
        self.stored.model.check([channels, height, width])?;
        let network = self.ready(network)?;
        self.batches(BATCH, |shape, values| {
            let input = TensorData::new(values, shape.to_vec());
            let input = Tensor::from_data(input, self.device);
            Ok(forward(&network, input))
        })
    }

    fn of_tokens(self) -> Result<Outputs> {
        bail!(TOKENS)
    }
}

/// Why a language model predicts nothing here.
const TOKENS: &str = "language models predict tokens: use crossburn generate";

/// How a tensor is written.
#[derive(Clone, Copy, Debug)]
enum Kind {
    Npy,
    Safetensors,
}

impl Kind {
    /// # Errors
    /// A file of another kind.
    fn of(path: &Path) -> Result<Self> {
        match path.extension().and_then(|ending| ending.to_str()) {
            Some("npy") => Ok(Self::Npy),
            Some("safetensors") => Ok(Self::Safetensors),
            _ => bail!("{} is no .npy or .safetensors file", path.display()),
        }
    }
}

/// Refuses an output whose folder is not there, before the work.
///
/// # Errors
/// The folder.
pub(super) fn require_folder(option: &str, path: &Path) -> Result<()> {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() && !folder.is_dir() => bail!(
            "the folder {} of {option} is not there: create it first",
            folder.display()
        ),
        _ => Ok(()),
    }
}

/// The tensor in a file.
///
/// # Errors
/// A file of another kind, without a tensor that can be meant, or of elements that are no numbers of their own.
fn read(path: &Path) -> Result<Outputs> {
    if let Kind::Npy = Kind::of(path)? {
        let (shape, values) = read_npy(path)?;
        return Ok(Outputs { shape, values });
    }
    let bytes = fs_err::read(path)?;
    let place = || format!("in {}", path.display());
    let file = SafeTensors::deserialize(&bytes).with_context(place)?;
    let names = file.names();
    let name = match names.as_slice() {
        [only] => *only,
        _ if names.contains(&"input") => "input",
        _ => bail!(
            "{} holds {} tensors and none called `input`",
            path.display(),
            names.len()
        ),
    };
    let view = file.tensor(name).with_context(place)?;
    if view.dtype() != Dtype::F32 {
        bail!(
            "`{name}` in {} holds {}, 32-bit floats are read",
            path.display(),
            view.dtype()
        );
    }
    let values = view.data().as_chunks::<4>().0;
    Ok(Outputs {
        shape: view.shape().to_vec(),
        values: values.iter().map(|x| f32::from_le_bytes(*x)).collect(),
    })
}

/// Writes the tensor to a file, replacing it as a whole.
///
/// # Errors
/// A file that cannot be written.
fn write(path: &Path, output: &Outputs, kind: Kind) -> Result<()> {
    if let Kind::Npy = kind {
        return Ok(write_npy(path, &output.shape, &output.values)?);
    }
    let raw: Vec<u8> = output.values.iter().flat_map(|x| x.to_le_bytes()).collect();
    let shape = output.shape.clone();
    let view = safetensors::tensor::TensorView::new(Dtype::F32, shape, &raw)?;
    let bytes = safetensors::serialize([("output", view)], None)?;
    Ok(write_bytes(path, &bytes)?)
}
