//! State that all blocks share during one pass.

use burn::tensor::{Device, Tensor};

use super::rotary::Rotation;
use super::{Cache, DecoderConfig, Positions};

/// One pass of some tokens through all blocks.
pub(super) struct Pass<'a> {
    /// Keys and values of the tokens before.
    pub(super) cache: &'a mut Cache,
    /// Rotation of layers that see everything, and of those with a window.
    rotations: [Option<Rotation>; 2],
    /// Places seen after this pass.
    seen: usize,
    device: Device,
}

impl<'a> Pass<'a> {
    /// The pass of `count` tokens after those of `cache`.
    pub(super) fn new(
        config: &DecoderConfig,
        cache: &'a mut Cache,
        count: usize,
        device: Device,
    ) -> Self {
        let first = cache.length();
        let rotations = match &config.positions {
            Positions::Learned { .. } => [None, None],
            Positions::Rotary { rotary, windowed } => {
                let all = rotary.rotation(first, count, &device);
                let windowed = match windowed.as_ref().filter(|windowed| *windowed != rotary) {
                    Some(windowed) => windowed.rotation(first, count, &device),
                    None => all.clone(),
                };
                [Some(all), Some(windowed)]
            }
        };
        Self {
            seen: first + count,
            cache,
            rotations,
            device,
        }
    }

    /// The rotation of a layer with or without a window.
    pub(super) fn rotation(&self, windowed: bool) -> Option<&Rotation> {
        self.rotations[usize::from(windowed)].as_ref()
    }

    /// The bias that hides padding among the last `keys` places.
    pub(super) fn bias(&self, keys: usize) -> Option<Tensor<4>> {
        self.cache.bias(self.seen, keys, &self.device)
    }
}
