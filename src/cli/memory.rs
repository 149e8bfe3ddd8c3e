//! How much memory there is, so that what cannot fit is refused before it is loaded.

use std::path::Path;

use anyhow::{Result, bail};

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

/// Bytes that a process can still take, where the system says so.
fn available() -> Option<u64> {
    let text = fs_err::read_to_string("/proc/meminfo").ok()?;
    free_in(&text)
}

/// The free memory in the words of Linux.
fn free_in(text: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("MemAvailable:"))?;
    let kilobytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn free_memory_is_read_and_too_much_is_refused() {
        let text = "MemTotal:       16000 kB\nMemAvailable:   8000 kB\n";
        assert_eq!(free_in(text), Some(8_192_000));
        assert_eq!(free_in("MemTotal: 1 kB"), None);
        assert_eq!(free_in("MemAvailable: much"), None);
        let path = Path::new("m.gguf");
        assert!(require_memory(path, 1).is_ok());
        if available().is_some() {
            let message = require_memory(path, 1 << 70).map_err(|error| error.to_string());
            let message = message.err().unwrap_or_default();
            assert!(
                message.starts_with("m.gguf: its weights take 1180591620717.4 GB"),
                "{message}"
            );
        }
    }
}
