//! Chips that training steps compute on.

use std::collections::BTreeMap;

use burn::module::Module;
use burn::tensor::{Gradients, Tensor};
use crossburn_noise::{ChipSeed, PathPattern, host_weights_at, require_unattached};

use super::mapped_network::MappedWeight;
use super::network_weights::attach;
use super::{Fab, Fidelity, Hardware, InputRange, LearnedScale, MappedNetwork, Operation, SeenUse};
use crate::layer::in_layout;
use crate::units::Second;
use crate::{
    HardwareError, WeightPlan, deviate_weights, programmed, quantize_weights, weight_scales,
};

/// Chips of one hardware for training steps. Each chip is programmed from the current weights, and gradients reach these
/// weights straight through quantizer, cells and converters.
///
/// [`Self::look`] passes items through the network to find the use of every layer and the ranges of its output converters,
/// which hold until the next look. The full scale of a layer's inputs is the largest input of the first look, and is learned
/// from then on ([`Self::learn`]); a hardware with `operation.input_range = "fixed"` keeps its own.
///
/// ```
/// use std::collections::BTreeMap;
///
/// use burn::nn::LinearConfig;
/// use burn::optim::GradientsParams;
/// use burn::tensor::{Device, Tensor};
/// use crossburn_hardware::deploy::{Fidelity, Hardware, TrainingChips};
/// use crossburn_hardware::{MemoryDevice, WeightPlan};
/// use crossburn_hardware::layer::linear;
/// use crossburn_noise::ChipSeed;
///
/// let device = Device::flex().autodiff();
/// let network = LinearConfig::new(20, 3).init(&device);
/// let (batch, plan) = (Tensor::<2>::ones([4, 20], &device), WeightPlan::default());
///
/// let hardware = Hardware::preset("papers")?.with(Some(MemoryDevice::preset("pcm-mushroom")?), None)?;
/// let ages = ["1 h".parse()?, "1 d".parse()?];
/// let mut chips = TrainingChips::new(&hardware, Fidelity::Array, &ages)?;
/// chips.look(&network, &plan, 4, |network| {
///     linear(network, batch.clone().inner());
/// })?;
/// let chip = chips.attach(network.clone(), &plan, ChipSeed::new(7, 1))?;
/// let gradients = linear(&chip.network, batch).powi_scalar(2).sum().backward();
/// let mut by_scales = BTreeMap::new();
/// chip.add_scale_gradients(&gradients, &mut by_scales);
/// let gradients = GradientsParams::from_grads(gradients, &network);
/// assert!(gradients.get::<2>(network.weight.id).is_some());
/// chips.learn(&by_scales, 0.01);
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
///
/// # Source
/// Training through the simulated periphery with straight-through gradients: Rasch et al., "Hardware-aware training for
/// large-scale and diverse deep learning inference workloads using in-memory computing-based accelerators", Nature
/// Communications 14 (2023), 5282, where full scales are learned as well. Their gradient here is that of Esser et al., "Learned
/// step size quantization", ICLR 2020, which sees errors of rounding beside what is clipped.
#[derive(Clone, Debug)]
pub struct TrainingChips {
    /// One for each time since programming.
    hardware: Vec<Hardware>,
    fidelity: Fidelity,
    seen: Option<Seen>,
    /// Full scales of inputs by path, at array fidelity.
    scales: BTreeMap<String, LearnedScale>,
}

/// The result of a look.
#[derive(Clone, Debug)]
struct Seen {
    usage: SeenUse,
    /// The hardware of every age, with the weights of the network where they are placed.
    placed: Vec<Hardware>,
}

/// A network for one training step, on a chip.
#[derive(Debug)]
pub struct OnChip<M> {
    /// Computes as the chip; gradients reach its stored weights.
    pub network: M,
    /// Tensors that receive the gradients of full scales, by path.
    scales: BTreeMap<String, Tensor<1>>,
    /// Tensors that receive the gradients of the scales of weights.
    weight_scales: BTreeMap<String, Tensor<1>>,
}

impl<M: Module> OnChip<M> {
    /// A network without learned full scales of inputs. It may learn [scales of weights](crate::weight_scales).
    pub fn without_scales(network: M) -> Self {
        Self::new(network, BTreeMap::new())
    }

    fn new(network: M, scales: BTreeMap<String, Tensor<1>>) -> Self {
        Self {
            weight_scales: weight_scales(&network),
            network,
            scales,
        }
    }

    /// Adds the gradients by the learned scales of weights, by the path of the weight, that `gradients` holds to `sums`.
    pub fn add_weight_scale_gradients(
        &self,
        gradients: &Gradients,
        sums: &mut BTreeMap<String, Vec<f64>>,
    ) {
        for (path, scales) in &self.weight_scales {
            let Some(gradient) = scales.grad(gradients) else {
                continue;
            };
            let gradient: Vec<f32> = gradient
                .into_data()
                .try_into_vec_as()
                .expect("a gradient is a tensor of floats");
            let sums = sums
                .entry(path.clone())
                .or_insert_with(|| vec![0.0; gradient.len()]);
            let pairs = sums.iter_mut().zip(gradient);
            pairs.for_each(|(sum, gradient)| *sum += f64::from(gradient));
        }
    }

    /// Adds the gradients of the logarithms of full scales, by the path of their layer, that `gradients` holds to `sums`.
    pub fn add_scale_gradients(&self, gradients: &Gradients, sums: &mut BTreeMap<String, f64>) {
        for (path, scale) in &self.scales {
            if let Some(gradient) = scale.grad(gradients) {
                let gradient: f32 = gradient.into_scalar();
                *sums.entry(path.clone()).or_default() += f64::from(gradient);
            }
        }
    }
}

impl TrainingChips {
    /// Chips of `hardware` at `fidelity`. The seed of a chip draws its age from the times `after`; without any, chips are as old as
    /// the hardware says.
    ///
    /// # Errors
    /// [`HardwareError`] for a time that the device does not know, and for `operation.rescale`, whose factors would change in every step.
    pub fn new(
        hardware: &Hardware,
        fidelity: Fidelity,
        after: &[Second],
    ) -> Result<Self, HardwareError> {
        if hardware.config().operation.rescale.is_some() {
            return Err(HardwareError::conflict(
                "operation.rescale in training, whose weights change the factors in every step",
                "leave it out, and rescale the trained network with evaluate --rescale",
            ));
        }
        let aged = |after: &Second| {
            let operation = Operation {
                after: *after,
                ..hardware.config().operation
            };
            hardware.with(None, Some(operation))
        };
        Ok(Self {
            hardware: match after {
                [] => vec![hardware.clone()],
                times => times.iter().map(aged).collect::<Result<_, _>>()?,
            },
            fidelity,
            seen: None,
            scales: BTreeMap::new(),
        })
    }

    /// The full scales of inputs by path; none at weight fidelity and before a first look.
    pub fn scales(&self) -> &BTreeMap<String, LearnedScale> {
        &self.scales
    }

    /// The same chips with the full scales of an interrupted run.
    #[must_use]
    pub fn with_scales(self, scales: BTreeMap<String, LearnedScale>) -> Self {
        Self { scales, ..self }
    }

    /// Moves full scales down their gradients, each by `rate` parts of itself at most.
    pub fn learn(&mut self, gradients: &BTreeMap<String, f64>, rate: f64) {
        for (path, gradient) in gradients {
            if let Some(scale) = self.scales.get_mut(path) {
                scale.step(*gradient, rate);
            }
        }
    }

    /// Looks at a pass of `items` items: how `run` uses the layers of `network`, whose weights `plan` places and quantizes, and, where
    /// converters ask for it, in another pass the currents in arrays of ideal cells. `run` is given a copy of the network in
    /// evaluation mode. Returns how many passes it took.
    ///
    /// # Errors
    /// Those of [`MappedNetwork::new`], [`MappedNetwork::calibrated`] and [`MappedNetwork::fab`].
    pub fn look<M: Module + Sync>(
        &mut self,
        network: &M,
        plan: &WeightPlan,
        items: usize,
        run: impl Fn(&M),
    ) -> Result<u64, HardwareError> {
        self.look_in(network, plan, items, &run)
    }

    fn look_in<M: Module + Sync>(
        &mut self,
        network: &M,
        plan: &WeightPlan,
        items: usize,
        run: &dyn Fn(&M),
    ) -> Result<u64, HardwareError> {
        let plain = programmed(network, plan);
        let place = |hardware: &Hardware| hardware.with_placement(plan.placement(), &plain);
        let placed: Vec<Hardware> = self.hardware.iter().map(place).collect::<Result<_, _>>()?;
        let mut mapped = MappedNetwork::new(&plain, &placed[0], items, run)?;
        let mut passes = 1;
        if self.fidelity == Fidelity::Array {
            self.start_scales(&mapped);
            let usage = mapped.seen().with_scales(self.full_scales());
            mapped = MappedNetwork::as_seen(&plain, &placed[0], &usage)?;
            if mapped.weights.values().any(MappedWeight::uncalibrated) {
                mapped = mapped.calibrated(run)?;
                passes += 1;
            }
        }
        mapped.fab(self.fidelity)?;
        let usage = mapped.seen();
        self.seen = Some(Seen { usage, placed });
        Ok(passes)
    }

    /// Full scales of the layers that have none yet and whose hardware does not say one: their largest input.
    fn start_scales<M: Module + Sync>(&mut self, mapped: &MappedNetwork<M>) {
        if self.hardware[0].config().operation.input_range == InputRange::Fixed {
            return;
        }
        for used in mapped.layers() {
            let said = mapped.hardware().layer(&used.path);
            if said.is_none_or(|layer| !layer.digital && layer.input_scale.is_none()) {
                let scale = LearnedScale::new(used.largest_input());
                self.scales.entry(used.path.clone()).or_insert(scale);
            }
        }
    }

    /// The full scales of inputs by path.
    fn full_scales(&self) -> BTreeMap<String, f32> {
        let scales = self.scales.iter();
        scales
            .map(|(path, scale)| (path.clone(), scale.value))
            .collect()
    }

    /// The chip of `seed`, as evaluation makes it from the weights of `network`.
    ///
    /// # Errors
    /// Those of [`MappedNetwork::as_seen`] and of its chips, and [`HardwareError::Conflict`] before [`Self::look`].
    pub fn chip<M: Module + Sync>(
        &self,
        network: &M,
        plan: &WeightPlan,
        seed: ChipSeed,
    ) -> Result<M, HardwareError> {
        let mapped = self.mapped(network, plan, seed)?;
        mapped.fab(self.fidelity)?.chip(seed)
    }

    /// `network` for a training step on the chip of `seed`: it computes as [`Self::chip`], to a rounding of the weights at
    /// weight fidelity, and the gradient of an effective weight is that of the stored one.
    ///
    /// Collect the gradients for the clean network, which keeps its parameter ids.
    ///
    /// # Errors
    /// As [`Self::chip`], and [`NoiseError::Attached`](crossburn_noise::NoiseError::Attached) for a weight that carries a reparameterization already.
    pub fn attach<M: Module + Sync>(
        &self,
        network: M,
        plan: &WeightPlan,
        seed: ChipSeed,
    ) -> Result<OnChip<M>, HardwareError> {
        let mapped = self.mapped(&network, plan, seed)?;
        let fab = mapped.fab(self.fidelity)?;
        let paths = mapped.weights.keys().cloned().collect();
        match self.fidelity {
            Fidelity::Weight => {
                let mut plain = host_weights_at(mapped.network(), &paths);
                let mut deviations = BTreeMap::new();
                for (path, rows) in fab.held(Some(&seed))? {
                    let Some(plain) = plain.remove(&path) else {
                        continue;
                    };
                    let held = in_layout(&plain.shape, rows).into_iter();
                    let pairs = held.zip(plain.values);
                    deviations.insert(path, pairs.map(|(held, plain)| held - plain).collect());
                }
                let network = deviate_weights(network, plan, &deviations)?;
                Ok(OnChip::without_scales(network))
            }
            Fidelity::Array => {
                require_unattached(&network, &paths)?;
                // Weights on arrays are quantized already; digital weights are quantized here.
                let exact = |plan: WeightPlan, path: &String| {
                    plan.with_stored(PathPattern::new(path.as_str()))
                };
                let digital = paths.iter().fold(plan.clone(), exact);
                let network = quantize_weights(network, &digital)?;
                let mut arrays = fab.on_arrays(Some(&seed))?;
                let Some(device) = network.devices().into_iter().next() else {
                    return Ok(OnChip::without_scales(network));
                };
                let scale = || Tensor::<1>::zeros([1], &device).require_grad();
                let paths = self.scales.keys().filter(|path| arrays.contains_key(*path));
                let scales: BTreeMap<_, _> = paths.map(|path| (path.clone(), scale())).collect();
                let network = attach(network, |path| {
                    let arrays = arrays.remove(path)?;
                    Some(match scales.get(path) {
                        Some(scale) => arrays.learning_input_scale(scale.clone()),
                        None => arrays,
                    })
                });
                Ok(OnChip::new(network, scales))
            }
        }
    }

    /// The quantized weights of `network` on the hardware, at the age that `seed` draws.
    fn mapped<M: Module + Sync>(
        &self,
        network: &M,
        plan: &WeightPlan,
        seed: ChipSeed,
    ) -> Result<MappedNetwork<M>, HardwareError> {
        let Some(seen) = &self.seen else {
            return Err(HardwareError::conflict(
                "chips for training before a look at a pass",
                "call TrainingChips::look with some data first",
            ));
        };
        let times = self.hardware.len() as u32;
        let time = seed.generator("time since programming").below(0, times);
        let plain = programmed(network, plan);
        let usage = seen.usage.clone().with_scales(self.full_scales());
        MappedNetwork::as_seen(&plain, &seen.placed[time as usize], &usage)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crate::WeightBits;
    use crate::layer::linear;
    use burn::nn::{Linear, LinearConfig};
    use burn::optim::GradientsParams;
    use burn::tensor::{Device, Distribution, Tensor};
    use crossburn_noise::{NoiseError, Placement};
    use rstest::rstest;

    /// Two layers, of which one may stay digital.
    #[derive(Module, Debug)]
    struct Two {
        first: Linear,
        last: Linear,
    }

    impl Two {
        fn new(device: &Device) -> Self {
            Self {
                first: LinearConfig::new(30, 12).init(device),
                last: LinearConfig::new(12, 5).init(device),
            }
        }

        fn forward(&self, x: Tensor<2>) -> Tensor<2> {
            linear(&self.last, linear(&self.first, x).tanh())
        }
    }

    fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    fn pcm(operation: &str) -> Hardware {
        Hardware::from_toml(&format!(
            "device = {{ preset = \"pcm-mushroom\" }}
            mapping = {{ weight_bits = 8 }}
            array = {{ rows = 16, columns = 8, input = {{ bits = 8 }}, adc = {{ bits = 8, range = {{ calibrated = {{ percentile = 100.0 }} }} }} }}
            operation = {{ {operation} }}"
        ))
        .unwrap()
    }

    fn plan() -> WeightPlan {
        let digital = Placement::default().digital([PathPattern::new("last.*")]);
        WeightPlan::from(WeightBits::new(6).unwrap()).with_placement(digital)
    }

    /// The chip of a step is the chip of its seed that an evaluation makes of the same weights, read noise included.
    #[rstest]
    fn a_step_computes_on_the_chip_of_its_seed(
        #[values(Fidelity::Weight, Fidelity::Array)] fidelity: Fidelity,
    ) {
        let device = Device::flex().autodiff();
        let network = Two::new(&device);
        let x = Tensor::<2>::random([9, 30], Distribution::Uniform(-1.0, 1.0), &device);
        let run = |network: &Two| {
            network.forward(x.clone().inner());
        };
        let hardware = pcm("after = \"1 d\"");
        let mut chips = TrainingChips::new(&hardware, fidelity, &[]).unwrap();
        assert!(
            chips
                .attach(network.clone(), &plan(), ChipSeed::new(3, 4))
                .is_err()
        );
        chips.look(&network, &plan(), 9, run).unwrap();

        let plain = programmed(&network, plan());
        let placed = hardware.with_placement(plan().placement(), &plain).unwrap();
        let mapped = MappedNetwork::new(&plain, &placed, 9, run).unwrap();
        let mapped = mapped.calibrated(run).unwrap();
        let chip = mapped
            .fab(fidelity)
            .unwrap()
            .chip(ChipSeed::new(3, 4))
            .unwrap();
        let expected = values(chip.forward(x.clone().inner()));

        let same = chips.chip(&network, &plan(), ChipSeed::new(3, 4)).unwrap();
        assert_eq!(values(same.forward(x.clone().inner())), expected);
        let attached = chips
            .attach(network.clone(), &plan(), ChipSeed::new(3, 4))
            .unwrap();
        let attached = attached.network;
        let found = values(attached.forward(x.clone()));
        let clean = values(plain.forward(x.clone().inner()));
        let apart = |a: &[f32]| {
            let pairs = a.iter().zip(&expected);
            pairs.map(|(a, b)| (a - b).abs()).fold(0.0, f32::max)
        };
        // Weights below 1 that are put together from two numbers, and sums of 30 of them.
        assert!(apart(&found) < 1e-5, "{}", apart(&found));
        assert!(apart(&clean) > 1e-3, "{}", apart(&clean));
        let twice = chips.attach(attached, &plan(), ChipSeed::new(3, 4));
        assert!(matches!(
            twice,
            Err(HardwareError::Noise(NoiseError::Attached { .. }))
        ));
    }

    /// By hand, for inputs up to 1 in full scale s: with L = Σ y² / 2 and y of the arrays, ∂L/∂W = xᵀ y + W Σ (y - x V) y / Σ W², where x is clipped as its converters
    /// clip it and V are the weights that the cells hold, ∂L/∂x = y Vᵀ, and nothing where x is clipped, and s ∂L/∂s = Σ (y Vᵀ) g
    /// with g = round(127 x / s) s / 127 - x, and ±s where x is clipped.
    #[test]
    fn gradients_pass_converters_straight_through_but_for_what_they_clip() {
        let device = Device::flex().autodiff();
        let network = LinearConfig::new(3, 2).with_bias(false).init(&device);
        let x = Tensor::<2>::from_floats([[0.5, -0.25, 3.0], [-2.0, 0.75, 1.0]], &device);
        let x = x.require_grad();
        let hardware = pcm("read_noise = false");
        let plan = WeightPlan::default();
        let one = BTreeMap::from([("weight".to_string(), LearnedScale::new(1.0))]);
        let chips = TrainingChips::new(&hardware, Fidelity::Array, &[]).unwrap();
        let mut chips = chips.with_scales(one);
        let run = |network: &Linear| {
            linear(network, x.clone().inner());
        };
        chips.look(&network, &plan, 2, run).unwrap();
        let chip = chips
            .attach(network.clone(), &plan, ChipSeed::new(1, 2))
            .unwrap();
        let held = values(chip.network.weight.val().inner());
        let y = linear(&chip.network, x.clone());
        let loss = (y.clone().powi_scalar(2) * 0.5).sum();
        let gradients = loss.backward();
        let mut by_scale = BTreeMap::new();
        chip.add_scale_gradients(&gradients, &mut by_scale);
        let by_x = values(x.grad(&gradients).unwrap());
        let by_w = GradientsParams::from_grads(gradients, &network);
        let by_w = values(by_w.get::<2>(network.weight.id).unwrap());
        let y = values(y.inner());
        let clipped = [[0.5, -0.25, 1.0], [-1.0, 0.75, 1.0]];
        let passes = [[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]];
        let stored = values(network.weight.val().inner());
        let square: f32 = stored.iter().map(|w| w * w).sum();
        let mut growth = 0.0;
        for (row, x) in clipped.iter().enumerate() {
            for output in 0..2 {
                let exact: f32 = (0..3)
                    .map(|input| x[input] * held[2 * input + output])
                    .sum();
                let y = y[2 * row + output];
                growth += (y - exact) * y / square;
            }
        }
        assert!(growth.abs() > 1e-4, "{growth}");
        let mut grown = 0.0;
        for input in 0..3 {
            for output in 0..2 {
                let straight: f32 = (0..2)
                    .map(|row| clipped[row][input] * y[2 * row + output])
                    .sum();
                let expected = straight + growth * stored[2 * input + output];
                let found = by_w[2 * input + output];
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
            }
            for row in 0..2 {
                let x = clipped[row][input];
                let rounded = match passes[row][input] > 0.0 {
                    true => (127.0 * x).round() / 127.0 - x,
                    false => x,
                };
                let sum: f32 = (0..2)
                    .map(|output| y[2 * row + output] * held[2 * input + output])
                    .sum();
                let (found, expected) = (by_x[3 * row + input], passes[row][input] * sum);
                assert!((found - expected).abs() < 1e-6, "{found} {expected}");
                grown += sum * rounded;
            }
        }
        let found = by_scale["weight"];
        assert!((found - f64::from(grown)).abs() < 1e-6, "{found} {grown}");
        chips.learn(&by_scale, 0.01);
        let moved = chips.scales()["weight"].value.ln();
        assert!((moved + 0.01 * grown.signum()).abs() < 1e-6, "{moved}");
        let fixed = pcm("input_range = \"fixed\"");
        let mut chips = TrainingChips::new(&fixed, Fidelity::Array, &[]).unwrap();
        chips.look(&network, &plan, 2, run).unwrap();
        assert!(chips.scales().is_empty());
    }

    /// What drifts has lost more after a year than after a second, and each seed has one of the two ages.
    #[test]
    fn a_chip_is_as_old_as_one_of_the_times() {
        let device = Device::flex();
        let network = LinearConfig::new(40, 20).with_bias(false).init(&device);
        let times = [1.0, 3e7].map(Second::new);
        let plan = WeightPlan::default();
        let mut chips = TrainingChips::new(&pcm(""), Fidelity::Weight, &times).unwrap();
        chips
            .look(&network, &plan, 1, |network| {
                linear(network, Tensor::<2>::ones([1, 40], &device));
            })
            .unwrap();
        let size = |weight: Tensor<2>| -> f32 { values(weight).iter().map(|w| w.abs()).sum() };
        let full = size(network.weight.val());
        let old = (0..30)
            .filter(|chip| {
                let chip = chips.chip(&network, &plan, ChipSeed::new(5, *chip));
                size(chip.unwrap().weight.val()) < 0.8 * full
            })
            .count();
        // Of 30 fair coins, all but a few in a million have more than 3 and less than 27 heads.
        assert!((4..27).contains(&old), "{old}");
    }
}
