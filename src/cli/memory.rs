//! Memory of this process and of the machine, where the system says it (Linux).

use std::path::Path;

use anyhow::{Result, bail};
use crossburn_models::decoder::DecoderConfig;

/// What a program takes before it has loaded anything.
const PROGRAM: u64 = 64 << 20;

/// Bytes that a new process can have without making others wait; `None` where the system does not say.
pub(super) fn available() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:")
}

/// The most bytes that this process has held; `None` where the system does not say.
pub(super) fn peak() -> Option<u64> {
    field("/proc/self/status", "VmHWM:")
}

/// A number of kibibytes in a file of the system, in bytes.
fn field(path: &str, name: &str) -> Option<u64> {
    number_in(&fs_err::read_to_string(path).ok()?, name)
}

/// The number of kibibytes after `name` in the words of Linux, in bytes.
fn number_in(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}

/// `bytes` in mebibytes.
pub(super) fn shown(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Refuses to load the weights of `path` where they take more than the free memory. Where the system does not say how much
/// is free, nothing is refused.
///
/// # Errors
/// The bytes that are needed and those that are free.
pub(super) fn require_memory(path: &Path, bytes: u128) -> Result<()> {
    match available() {
        Some(free) if bytes > u128::from(free) => bail!(
            "{}: its weights take {:.1} GB as 32-bit numbers, {:.1} GB of memory are free: close other programs or take a \
             smaller model",
            path.display(),
            bytes as f64 / 1e9,
            free as f64 / 1e9
        ),
        _ => Ok(()),
    }
}

/// What tuning takes: the batch, and whether every step makes a chip of the weights.
#[derive(Clone, Copy, Debug)]
pub(super) struct Tuning {
    /// Texts of a step.
    pub(super) batch: usize,
    /// Tokens of the longest text, learned ones included.
    pub(super) places: usize,
    /// Tokens that are predicted in a text, at most.
    pub(super) predicted: usize,
    /// Whether the weights deviate.
    pub(super) varies: bool,
}

impl Tuning {
    /// Bytes that tuning an adapter beside a decoder takes at its peak, to within a factor of about 1.5.
    ///
    /// ```text
    /// weights, twice where they deviate + places · layers · (10 width + 3 query + 4 key + 5 hidden)
    ///     + 3 · predicted tokens · vocabulary
    /// ```
    ///
    /// in 32-bit floats: what a block keeps of a token for the gradient, and logits with their gradient. A frozen weight has no
    /// gradient and no moments.
    pub(super) fn bytes(&self, config: &DecoderConfig) -> u64 {
        let copies = if self.varies { 2 } else { 1 };
        let weights = u64::try_from(config.parameters()).unwrap_or(u64::MAX);
        let size = |size: usize| size as u64;
        let block = 10 * size(config.width)
            + 3 * size(config.query_width())
            + 4 * size(config.key_value_width())
            + 5 * size(config.hidden_width);
        let batch = size(self.batch);
        let floats = weights
            .saturating_mul(copies)
            .saturating_add((batch * size(self.places) * size(config.layers)).saturating_mul(block))
            .saturating_add(
                (3 * batch * size(self.predicted)).saturating_mul(size(config.vocabulary)),
            );
        floats.saturating_mul(4).saturating_add(PROGRAM)
    }

    /// Refuses what does not fit, and gives the bytes.
    ///
    /// # Errors
    /// Both numbers, with a remedy.
    pub(super) fn check(&self, config: &DecoderConfig) -> Result<u64> {
        let needed = self.bytes(config);
        match available() {
            Some(free) if needed > free => bail!(
                "tuning takes about {}, {} are free: use a smaller --batch or shorter texts",
                shown(needed),
                shown(free)
            ),
            _ => Ok(needed),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;
    use crossburn_models::decoder::DecoderSizes;

    #[test]
    fn free_memory_is_read_and_weights_beyond_it_are_refused() {
        let text = "MemTotal:       16000 kB\nMemAvailable:   8000 kB\n";
        let free = |text: &str| number_in(text, "MemAvailable:");
        assert_eq!(free(text), Some(8_192_000));
        assert_eq!(free("MemTotal: 1 kB"), None);
        assert_eq!(free("MemAvailable: much"), None);
        let path = Path::new("m.gguf");
        assert!(require_memory(path, 1).is_ok());
        if available().is_some() {
            let message = require_memory(path, 1 << 70).unwrap_err().to_string();
            assert!(
                message.starts_with("m.gguf: its weights take 1180591620717.4 GB"),
                "{message}"
            );
        }
    }

    #[test]
    fn what_cannot_fit_is_refused_with_both_numbers() {
        let sizes: DecoderSizes = serde_json::from_str("{}").unwrap();
        let config = sizes.config().unwrap();
        let tuning = Tuning {
            batch: 8,
            places: 64,
            predicted: 16,
            varies: false,
        };

        let block = 10 * 64 + 3 * 64 + 4 * 64 + 5 * 176;
        let floats = config.parameters() as u64 + 8 * 64 * 2 * block + 3 * 8 * 16 * 512;
        assert_eq!(tuning.bytes(&config), 4 * floats + PROGRAM);
        let varies = Tuning {
            varies: true,
            ..tuning
        };
        let more = 4 * config.parameters() as u64;
        assert_eq!(varies.bytes(&config), tuning.bytes(&config) + more);
        if available().is_some() {
            let huge = Tuning {
                batch: 1 << 30,
                ..tuning
            };
            let message = huge.check(&config).unwrap_err().to_string();
            assert!(
                message.contains("are free: use a smaller --batch"),
                "{message}"
            );
            assert!(peak().unwrap() > 0);
        }
    }
}
