//! Memory of this process and of the machine, where the system says it (Linux).

use std::path::Path;

use anyhow::{Result, bail};

/// Bytes that a new process can have without making others wait; `None` where the system does not say.
pub(crate) fn available() -> Option<u64> {
    field("/proc/meminfo", "MemAvailable:")
}

/// The most bytes that this process has held; `None` where the system does not say.
pub(crate) fn peak() -> Option<u64> {
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
pub(crate) fn shown(bytes: u64) -> String {
    format!("{} MiB", bytes.div_ceil(1 << 20))
}

/// Refuses to load the weights of `path` where they take more than the free memory. `others` are options that hold them in another way, with
/// the bytes that these take; one that fits is named. Where the system does not say how much is free, nothing is refused.
///
/// # Errors
/// The bytes that are needed and those that are free; those of `others`.
pub(crate) fn require_memory(
    path: &Path,
    bytes: u128,
    others: impl FnOnce() -> Result<Vec<(&'static str, u128)>>,
) -> Result<()> {
    let free = match available() {
        Some(free) if bytes > u128::from(free) => free,
        _ => return Ok(()),
    };
    let others = others()?;
    let fits = others
        .iter()
        .find(|(_, bytes)| *bytes <= u128::from(free))
        .map(|(option, _)| format!("use {option}, "));
    bail!(
        "{}: its weights take {:.1} GB, {:.1} GB of memory are free: {}close other programs or take a smaller model",
        path.display(),
        bytes as f64 / 1e9,
        free as f64 / 1e9,
        fits.unwrap_or_default()
    )
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_and_weights_beyond_it_are_refused() {
        let text = "MemTotal:       16000 kB\nMemAvailable:   8000 kB\n";
        let free = |text: &str| number_in(text, "MemAvailable:");
        assert_eq!(free(text), Some(8_192_000));
        assert_eq!(free("MemTotal: 1 kB"), None);
        assert_eq!(free("MemAvailable: much"), None);
        let path = Path::new("m.gguf");
        let unasked = || panic!("what fits has no need of another form");
        assert!(require_memory(path, 1, unasked).is_ok());
        if available().is_some() {
            let refused = |others: Vec<(&'static str, u128)>| {
                let error = require_memory(path, 1 << 70, || Ok(others)).unwrap_err();
                error.to_string()
            };
            let message = refused(vec![("--weights stored", 1 << 69)]);
            assert!(
                message.starts_with("m.gguf: its weights take 1180591620717.4 GB, "),
                "{message}"
            );
            assert!(
                message.ends_with(
                    " GB of memory are free: close other programs or take a smaller model"
                ),
                "{message}"
            );
            let message = refused(vec![("--weights stored", 1 << 69), ("--weights q8_0", 1)]);
            assert!(
                message.contains(" are free: use --weights q8_0, close other programs"),
                "{message}"
            );
        }
    }
}
