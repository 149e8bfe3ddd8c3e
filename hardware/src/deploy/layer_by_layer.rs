//! Hardware that treats the layers of a network differently: in their widths, or in which cells have errors.

use super::{Hardware, LayerOverride};
use crate::map::{Mapping, WeightMatrix};
use crate::{HardwareError, WeightBits};

impl Hardware {
    /// The same hardware, which stores the weights at the paths of `bits` in these widths. All else that the file says of these layers stays. A
    /// weight of one bit is stored in two, since the integers of a mapping have a zero. A layer that is digital or has a mapping of its own stays
    /// as it is. A cell that could hold more bits than the weight has holds only those of the weight
    /// ([`Mapping::with_fitting_cells`]).
    ///
    /// # Errors
    /// What no longer fits together.
    pub fn with_weight_bits(
        &self,
        bits: impl IntoIterator<Item = (String, WeightBits)>,
    ) -> Result<Self, HardwareError> {
        let mut config = self.config().clone();
        let usual = &self.config().mapping;
        for (path, bits) in bits {
            let weight_bits = match bits.is_sign() {
                true => WeightBits::new(2)?,
                false => bits,
            };
            let mapping = Mapping {
                weight_bits,
                ..usual.clone()
            };
            let mapping = Some(mapping.with_fitting_cells());
            match config.layers.iter_mut().find(|layer| layer.path == path) {
                Some(layer) if layer.digital || layer.mapping.is_some() => {}
                Some(layer) => layer.mapping = mapping,
                None => config.layers.push(LayerOverride {
                    mapping,
                    ..LayerOverride::of(&path)
                }),
            }
        }
        Self::try_from(config)
    }

    /// One hardware for each layer at `paths`, or with `by_slice` for each slice of its weights. The cells of this layer or slice deviate; all
    /// other cells of the layers at `paths` hold their targets. Layers that are digital are left out. Each hardware comes with the path and, with
    /// `by_slice`, the slice, counted from 0, the lowest.
    ///
    /// # Errors
    /// [`HardwareError::Conflict`] for a hardware that has `errors` already, and what the mapping refuses.
    pub fn with_errors_in_one(
        &self,
        paths: &[String],
        by_slice: bool,
    ) -> Result<Vec<(String, Option<usize>, Self)>, HardwareError> {
        if let Some(layer) = self.config().layers.iter().find(|l| l.errors.is_some()) {
            return Err(HardwareError::conflict(
                format!(
                    "errors in one layer or slice at a time, and `errors` of the section [[layer]] of `{}`",
                    layer.path
                ),
                "leave one of them out",
            ));
        }
        let on_arrays = |path: &&String| self.layer(path).is_none_or(|layer| !layer.digital);
        let paths: Vec<&String> = paths.iter().filter(on_arrays).collect();
        let only = |path: &str, slices: Vec<usize>| {
            let mut config = self.config().clone();
            for other in &paths {
                let errors = match *other == path {
                    true => slices.clone(),
                    false => Vec::new(),
                };
                match config.layers.iter_mut().find(|l| l.path == **other) {
                    Some(layer) => layer.errors = Some(errors),
                    None => config.layers.push(LayerOverride {
                        errors: Some(errors),
                        ..LayerOverride::of(other)
                    }),
                }
            }
            Self::try_from(config)
        };
        let mut found = Vec::new();
        for path in &paths {
            let mapping = self.layer(path).and_then(|layer| layer.mapping.as_ref());
            let mapping = mapping.unwrap_or(&self.config().mapping);
            // One weight shows how many slices every weight has.
            let one = WeightMatrix::new(1, 1, vec![1.0])?;
            let slices = mapping
                .map(&one, self.config().device.range())?
                .slices
                .len();
            match by_slice {
                false => found.push((path.to_string(), None, only(path, (0..slices).collect())?)),
                true => {
                    for slice in 0..slices {
                        found.push((path.to_string(), Some(slice), only(path, vec![slice])?));
                    }
                }
            }
        }
        Ok(found)
    }
}
