//! A digest of the weights of a network.

use burn::module::Module;
use crossburn_checkpoints::Checksum;
use crossburn_noise::host_weights;

/// A digest of the matrix weights of `network`, by their paths.
pub fn weights_digest<M: Module>(network: &M) -> String {
    let mut sum = Checksum::default();
    for (path, weight) in host_weights(network) {
        sum.add(path.as_bytes());
        for values in weight.values.chunks(1 << 12) {
            let bytes: Vec<u8> = values.iter().copied().flat_map(f32::to_le_bytes).collect();
            sum.add(&bytes);
        }
    }
    sum.to_string()
}
