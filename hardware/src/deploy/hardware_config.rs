//! The description of a hardware: one file.

use burn::module::Module;
use crossburn_noise::{Placement, matrix_weights};
use serde::{Deserialize, Deserializer, Serialize};

use super::{InputRange, Operation};
use crate::array::{ArrayConfig, Conversion, Dac, InputSign};
use crate::cost::{self, Accumulation, ArrayShape, CostConfig, Layout, accelerator_text};
use crate::device::MemoryDevice;
use crate::ir_drop::{PairArrangement, Wires};
use crate::map::{Mapping, Scheme};
use crate::program::Verification;
use crate::units::Second;
use crate::{HardwareError, toml_problem};

/// The description of a hardware, as a file says it.
///
/// ```toml
/// pair_arrangement = "separate"      # where wires are given: do pairs share output lines?
///
/// [device]
/// preset = "pcm-mushroom"            # or a table with `kind`; see `crossburn devices`
///
/// [mapping]
/// scheme = "one-sided-pair"
/// weight_bits = 8
///
/// [array]
/// rows = 128
/// columns = 128
/// input = { bits = 8 }
/// adc = { bits = 8, range = { calibrated = { percentile = 99.9 } } }
///
/// [wires]                            # optional
/// input_segment = "1 Ohm"
/// output_segment = "1 Ohm"
///
/// [programming]                      # optional: writes are verified
/// tolerance = 0.05
/// sigma_before = 0.1
/// maximum_pulses = 100
///
/// [operation]                        # optional
/// after = "1 d"
///
/// [[layer]]                          # optional, any number
/// path = "fc3.weight"
/// digital = true
/// ```
///
/// and optionally `[cost]`, a [`CostConfig`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HardwareConfig {
    /// Where the cells of pairs lie; only used with wires.
    #[serde(default)]
    pub pair_arrangement: PairArrangement,
    /// The memory cell.
    #[serde(deserialize_with = "device")]
    pub device: MemoryDevice,
    /// How weights become conductances.
    pub mapping: Mapping,
    /// Arrays and converters.
    pub array: ArrayConfig,
    /// Resistance of the wires; ideal if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wires: Option<Wires>,
    /// Verified writes, which replace the device's own programming error.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub programming: Option<Verification>,
    /// How chips are used.
    #[serde(default)]
    pub operation: Operation,
    /// Settings of single layers.
    #[serde(default, rename = "layer", skip_serializing_if = "Vec::is_empty")]
    pub layers: Vec<LayerOverride>,
    /// Its cost.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost: Option<CostConfig>,
}

/// The settings of one layer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LayerOverride {
    /// Path of its weight.
    pub path: String,
    /// Whether it stays digital.
    #[serde(default)]
    pub digital: bool,
    /// Another mapping.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapping: Option<Mapping>,
    /// Other arrays and converters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub array: Option<ArrayConfig>,
    /// Full scale of its inputs, in the units of the network. It replaces that of `operation.input_range`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input_scale: Option<f32>,
    /// The slices of its weights whose cells deviate from their targets, counted from 0, the lowest. Without the key, all
    /// slices deviate; with an empty list, none. No real chip is like this; the key shows which layers and slices cost most
    /// accuracy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errors: Option<Vec<usize>>,
}

impl LayerOverride {
    /// An empty section for the layer at `path`.
    pub(super) fn of(path: &str) -> Self {
        Self {
            path: path.to_string(),
            digital: false,
            mapping: None,
            array: None,
            input_scale: None,
            errors: None,
        }
    }
}

/// A device table, or the name of a preset, with `faults` if there are any.
fn device<'de, D: Deserializer<'de>>(deserializer: D) -> Result<MemoryDevice, D::Error> {
    use serde::de::Error;
    let mut table = toml::Table::deserialize(deserializer)?;
    let Some(preset) = table.remove("preset") else {
        return MemoryDevice::deserialize(table).map_err(|error| Error::custom(error.message()));
    };
    let Some(name) = preset.as_str() else {
        return Err(Error::custom(
            "device.preset is the name of a device, in quotes",
        ));
    };
    if let Some(key) = table.keys().find(|key| *key != "faults") {
        return Err(Error::custom(format!(
            "unknown field `{key}` beside device.preset: give `kind` and every figure, or the preset alone"
        )));
    }
    let text = MemoryDevice::preset_text(name).map_err(Error::custom)?;
    let mut described: toml::Table = text.parse().map_err(Error::custom)?;
    described.extend(table);
    MemoryDevice::deserialize(described).map_err(|error| Error::custom(error.message()))
}

/// A checked description of a hardware.
///
/// ```
/// use crossburn_hardware::deploy::Hardware;
///
/// let isaac = Hardware::preset("isaac")?;
/// assert_eq!((isaac.config().array.rows, isaac.config().mapping.slice_bits), (128, Some(2)));
/// assert!(Hardware::from_toml("[device]\npreset = \"flux-capacitor\"").is_err());
/// # Ok::<(), crossburn_hardware::HardwareError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Hardware {
    config: HardwareConfig,
}

impl TryFrom<HardwareConfig> for Hardware {
    type Error = HardwareError;

    fn try_from(config: HardwareConfig) -> Result<Self, HardwareError> {
        let conflict =
            |settings: &str, remedy: &str| Err(HardwareError::conflict(settings, remedy));
        let hardware = Self { config };
        let config = &hardware.config;
        config.array.check()?;
        let operation = &config.operation;
        config.device.check_after(operation.after)?;
        if operation.drift_compensation != crate::device::DriftCompensation::None
            && operation.after == Second::default()
        {
            return conflict(
                "operation.drift_compensation with operation.after = 0 s: nothing has drifted",
                "set operation.after, or leave drift_compensation out",
            );
        }
        if operation.read_noise == Some(true) && !config.device.has_read_noise() {
            return conflict(
                "operation.read_noise = true with a device whose reads do not scatter",
                "leave read_noise out, or choose a device with read noise",
            );
        }
        if operation.input_range == InputRange::Calibrated && config.array.input.x_max != 1.0 {
            return conflict(
                "array.input.x_max with operation.input_range = calibrated",
                "set operation.input_range = \"fixed\", or leave x_max out",
            );
        }
        if let Some(exponent) = operation.rescale {
            if !(0.0..=1.0).contains(&exponent) {
                return Err(HardwareError::limit(
                    "operation.rescale",
                    exponent,
                    "the numbers from 0 to 1",
                    "0.5 moves half of the range of inputs into the weights",
                ));
            }
            let given = config.layers.iter().find(|l| l.input_scale.is_some());
            if let Some(layer) = given {
                return conflict(
                    &format!(
                        "operation.rescale and a full scale of the inputs of `{}`, which holds before they are rescaled",
                        layer.path
                    ),
                    "leave one of them out; a checkpoint may have learned its full scales in training",
                );
            }
            if operation.input_range == InputRange::Fixed {
                return conflict(
                    "operation.rescale with operation.input_range = fixed",
                    "set operation.input_range = \"calibrated\", or leave rescale out",
                );
            }
        }
        if config.wires.is_none() && config.pair_arrangement != PairArrangement::default() {
            return conflict(
                "pair_arrangement without [wires]: ideal wires make no difference",
                "give [wires], or leave pair_arrangement out",
            );
        }
        for (index, layer) in config.layers.iter().enumerate() {
            if config.layers[..index].iter().any(|l| l.path == layer.path) {
                return conflict(
                    &format!("two sections [[layer]] for the path `{}`", layer.path),
                    "keep one of them, with everything that the layer does differently",
                );
            }
            let on_array = layer.mapping.is_some() || layer.array.is_some();
            if layer.digital && (on_array || layer.input_scale.is_some() || layer.errors.is_some())
            {
                return conflict(
                    &format!(
                        "layer `{}` is digital and has a mapping, an array, an input_scale or errors",
                        layer.path
                    ),
                    "leave one of them out",
                );
            }
            if let Some(array) = &layer.array {
                array.check()?;
            }
            if let Some(scale) = layer.input_scale {
                let array = layer.array.as_ref().unwrap_or(&config.array);
                let x_max = scale;
                Dac {
                    x_max,
                    ..array.input
                }
                .check()?;
            }
        }
        if let Some(cost) = &config.cost {
            cost::Accelerator::new(cost.clone(), hardware.array_shape(&config.mapping)?)?;
        }
        Ok(hardware)
    }
}

impl Hardware {
    /// A hardware from the text of its file.
    ///
    /// # Errors
    /// [`HardwareError::Text`] for a text that is no such file, and what its parts refuse.
    pub fn from_toml(text: &str) -> Result<Self, HardwareError> {
        let config: HardwareConfig = toml::from_str(text).map_err(|error| HardwareError::Text {
            what: "the hardware".to_string(),
            message: toml_problem(text, &error),
        })?;
        Self::try_from(config)
    }

    /// A hardware that comes with the crate.
    ///
    /// # Errors
    /// [`HardwareError::Unknown`].
    pub fn preset(name: &str) -> Result<Self, HardwareError> {
        Self::from_toml(accelerator_text(name)?)
    }

    /// The configuration in its file.
    pub fn config(&self) -> &HardwareConfig {
        &self.config
    }

    /// The same hardware with another cell, or used differently.
    ///
    /// # Errors
    /// What no longer fits together.
    pub fn with(
        &self,
        device: Option<MemoryDevice>,
        operation: Option<Operation>,
    ) -> Result<Self, HardwareError> {
        let mut config = self.config.clone();
        config.device = device.unwrap_or(config.device);
        config.operation = operation.unwrap_or(config.operation);
        Self::try_from(config)
    }

    /// The same hardware with the weights of `network` placed by `placement`. It wins over the hardware: a weight that it
    /// leaves digital is digital, and an embedding that it puts on arrays lies on arrays.
    ///
    /// # Errors
    /// [`HardwareError::Noise`] for a pattern that is about no weight, and what no longer fits together.
    pub fn with_placement<M: Module>(
        &self,
        placement: &Placement,
        network: &M,
    ) -> Result<Self, HardwareError> {
        placement.check(network)?;
        let mut config = self.config.clone();
        let section = |path: String, digital| LayerOverride {
            digital,
            ..LayerOverride::of(&path)
        };
        for path in placement.off_arrays(network) {
            config.layers.retain(|layer| layer.path != path);
            config.layers.push(section(path, true));
        }
        let matrices = matrix_weights(network);
        for path in placement.on_arrays(network) {
            if !matrices.contains(&path) && self.layer(&path).is_none() {
                config.layers.push(section(path, false));
            }
        }
        Self::try_from(config)
    }

    /// The same hardware, with full scales of inputs by path instead of calibration. They do not change a hardware with
    /// `operation.input_range = "fixed"`, a digital layer, or a layer whose description has a full scale.
    ///
    /// # Errors
    /// [`HardwareError::Limit`] for a full scale that is no finite number above zero.
    pub fn with_input_scales<'a>(
        &self,
        scales: impl IntoIterator<Item = (&'a String, f32)>,
    ) -> Result<Self, HardwareError> {
        if self.config.operation.input_range == InputRange::Fixed {
            return Ok(self.clone());
        }
        let mut config = self.config.clone();
        for (path, scale) in scales {
            match config.layers.iter_mut().find(|layer| layer.path == *path) {
                Some(layer) if layer.digital => {}
                Some(layer) => layer.input_scale = layer.input_scale.or(Some(scale)),
                None => config.layers.push(LayerOverride {
                    input_scale: Some(scale),
                    ..LayerOverride::of(path)
                }),
            }
        }
        Self::try_from(config)
    }

    /// Settings of single layers.
    pub(crate) fn layer(&self, path: &str) -> Option<&LayerOverride> {
        self.config.layers.iter().find(|layer| layer.path == path)
    }

    /// Its cost. Layers whose mapping differs in the bits of weights and cells count with the cells that their weights take.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] without a section `[cost]`, for layers with an array of their own or a scheme with other cells, and what the cost
    /// model refuses, for a layer inside [`HardwareError::Layer`].
    pub fn accelerator(&self) -> Result<cost::Accelerator, HardwareError> {
        let Some(cost) = self.config.cost.clone() else {
            return Err(HardwareError::conflict(
                "this hardware has no section [cost]",
                "add one (configs/accelerators/ has examples), or choose a preset",
            ));
        };
        let usual = self.array_shape(&self.config.mapping)?;
        require_counted(&self.config.mapping, &usual)?;
        let mut accelerator = cost::Accelerator::new(cost, usual)?;
        for layer in &self.config.layers {
            // Pairs of significance have no such shape.
            let own = match &layer.mapping {
                Some(mapping) if has_significances(mapping) => None,
                Some(mapping) => Some(self.array_shape(mapping)?),
                None => Some(usual),
            };
            let alike = own.filter(|own| {
                let with_usual_bits = ArrayShape {
                    weight_bits: usual.weight_bits,
                    slice_bits: usual.slice_bits,
                    ..*own
                };
                layer.array.is_none() && with_usual_bits == usual
            });
            let Some(own) = alike else {
                return Err(HardwareError::conflict(
                    format!(
                        "layer `{}` has an array or a mapping.scheme of its own, and the cost model counts one kind of array",
                        layer.path
                    ),
                    "leave it out, set the layer digital, or leave [cost] out",
                ));
            };
            if let Some(mapping) = &layer.mapping {
                let in_layer = |error: HardwareError| HardwareError::Layer {
                    path: layer.path.clone(),
                    error: Box::new(error),
                };
                require_counted(mapping, &own).map_err(in_layer)?;
                accelerator = accelerator
                    .with_bits_of(&layer.path, own.weight_bits, own.slice_bits)
                    .map_err(in_layer)?;
            }
        }
        Ok(accelerator)
    }

    /// The arrays as the cost model sees them: slices and signs of an output lie side by side. This placement does not
    /// change results, with two exceptions: wires, which treat slices as separate arrays, and unit columns, which hold the
    /// zero of one slice. With unit columns, every slice therefore has its own arrays here as well.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] without converters, and for mappings whose cells the cost model does not count.
    fn array_shape(&self, mapping: &Mapping) -> Result<ArrayShape, HardwareError> {
        let array = &self.config.array;
        let refuse = |settings: &str, remedy: &str| Err(HardwareError::conflict(settings, remedy));
        let Some(adc) = array.adc else {
            return refuse(
                "[cost] without array.adc: what converts the currents?",
                "give array.adc, or leave [cost] out",
            );
        };
        if has_significances(mapping) {
            return refuse(
                "[cost] with pairs of significance, which the cost model does not count",
                "choose another mapping.scheme, or leave [cost] out",
            );
        }
        let input = array.input;
        let input_bits = match input.sign {
            InputSign::Signed => input.bits - 1,
            InputSign::Unsigned => input.bits,
        };
        Ok(ArrayShape {
            rows: array.rows,
            columns: array.columns,
            weight_bits: mapping.weight_bits.get(),
            slice_bits: mapping.slice_bits,
            devices_per_weight: if mapping.scheme.is_pair() { 2 } else { 1 },
            layout: match mapping.scheme {
                Scheme::UnitColumn => Layout::Separate,
                _ => Layout::Interleaved,
            },
            reference_columns: usize::from(mapping.scheme == Scheme::UnitColumn),
            input_bits,
            input_slice_bits: input.slice_bits.unwrap_or(input_bits),
            accumulation: match adc.conversion {
                Conversion::PerSlice => Accumulation::Digital,
                Conversion::Accumulated => Accumulation::Analog,
            },
            adc_bits: adc.bits,
            output_bits: input.bits,
            ..ArrayShape::default()
        })
    }
}

/// Whether a mapping has several pairs of different weight, which the cost model does not count.
fn has_significances(mapping: &Mapping) -> bool {
    matches!(mapping.scheme, Scheme::SignificancePairs { .. })
}

/// Refuses a mapping with more slices than its weights need, of which the cost model knows nothing.
fn require_counted(mapping: &Mapping, array: &ArrayShape) -> Result<(), HardwareError> {
    let counted = array.slices();
    match mapping.slices {
        Some(slices) if usize::from(slices) != counted => Err(HardwareError::conflict(
            format!(
                "mapping.slices = {slices}, and the cost model counts the {counted} that a weight needs"
            ),
            "leave it out, or leave [cost] out",
        )),
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    /// Bits of weights and cells by layer are counted, whatever else differs is refused.
    #[test]
    fn costs_count_the_cells_of_every_layer() {
        let text = |layer: &str| {
            let preset = accelerator_text("papers").unwrap();
            format!("{preset}\n[[layer]]\npath = \"fc.weight\"\n{layer}")
        };
        let on = |layer: &str| Hardware::from_toml(&text(layer)).unwrap().accelerator();
        // 100 outputs of 3 bits of magnitude: two cells of 2 bits and sign, or one cell of 3 bits.
        let shapes = [
            cost::LayerShape::linear("fc.weight", 128, 100),
            cost::LayerShape::linear("out.weight", 128, 100),
        ];
        for (bits, columns) in [
            ("weight_bits = 4, slice_bits = 2", 4),
            ("weight_bits = 4, slice_bits = 3", 2),
            ("weight_bits = 8, slice_bits = 2", 8),
        ] {
            let layer = format!("mapping = {{ scheme = \"one-sided-pair\", {bits} }}");
            let cost = on(&layer).unwrap().cost(&shapes).unwrap();
            let cells: Vec<u64> = cost.layers.iter().map(|l| l.programming.cells).collect();
            // The other layer keeps the 8 bits of the file: four cells and sign.
            assert_eq!(cells, [128 * 100 * columns, 128 * 100 * 8], "{bits}");
        }
        for (layer, part) in [
            (
                "mapping = { scheme = \"digital-offset\", weight_bits = 8, slice_bits = 2 }",
                "`fc.weight` has an array or a mapping.scheme of its own",
            ),
            (
                "array = { rows = 64, columns = 64, input = { bits = 8 } }",
                "the cost model counts one kind of array",
            ),
            (
                "mapping = { scheme = { significance-pairs = { significances = [1.0] } }, weight_bits = 8 }",
                "`fc.weight` has an array or a mapping.scheme of its own",
            ),
            (
                "mapping = { weight_bits = 4, slice_bits = 2, slices = 3 }",
                "layer `fc.weight`: mapping.slices = 3, and the cost model counts the 2",
            ),
            (
                "mapping = { weight_bits = 2, slice_bits = 3 }",
                "layer `fc.weight`: slice_bits = 3 is outside",
            ),
        ] {
            let message = on(layer).unwrap_err().to_string();
            assert!(message.contains(part), "{message}");
        }
    }

    /// Every choice that has keys in some variants and none in others.
    #[test]
    fn keys_that_a_choice_does_not_have_are_refused() {
        let refused = |read: Result<(), toml::de::Error>, text: &str| {
            assert!(read.is_err(), "{text}");
        };
        fn read<T: serde::de::DeserializeOwned>(text: &str) -> Result<(), toml::de::Error> {
            #[derive(Deserialize)]
            struct Only<T> {
                #[allow(dead_code, reason = "read, and not looked at")]
                it: T,
            }
            toml::from_str::<Only<T>>(text).map(|_| ())
        }
        for kind in ["min-max", "mse"] {
            let text = format!("it = {{ kind = \"{kind}\", percent = 99.0 }}");
            read::<crate::quantize::Calibration>(&text.replace(", percent = 99.0", "")).unwrap();
            refused(read::<crate::quantize::Calibration>(&text), &text);
        }
        let text = "it = { kind = \"none\", arrays = 3 }";
        read::<cost::Replication>("it = { kind = \"none\" }").unwrap();
        refused(read::<cost::Replication>(text), text);
        for range in ["max", "granular"] {
            let text = format!("it = {{ {range} = {{ percentile = 99.0 }} }}");
            read::<crate::AdcRange>(&format!("it = \"{range}\"")).unwrap();
            refused(read::<crate::AdcRange>(&text), &text);
        }
        let text = "it = { digital-offset = { significances = [1.0] } }";
        read::<Scheme>("it = \"digital-offset\"").unwrap();
        refused(read::<Scheme>(text), text);
        for name in MemoryDevice::preset_names() {
            let text = MemoryDevice::preset_text(name).unwrap();
            toml::from_str::<MemoryDevice>(text).unwrap();
            let strange = format!("strange = 1\n{text}");
            refused(
                toml::from_str::<MemoryDevice>(&strange).map(|_| ()),
                &strange,
            );
        }
    }
}
