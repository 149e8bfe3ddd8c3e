//! `crossburn doctor`

use anyhow::Result;
use clap::Args;
use serde_json::json;

use super::{Outcome, device, print};

/// Show devices, versions and what this build can do
///
/// Example: crossburn doctor --json
#[derive(Debug, Args)]
pub(super) struct Doctor {
    /// Print JSON
    #[arg(long, help_heading = "Options")]
    json: bool,
}

impl Doctor {
    pub(super) fn run(self) -> Result<Outcome> {
        let threads = rayon::current_num_threads();
        let devices = device::available();
        let wgpu = cfg!(feature = "wgpu");
        let commit = option_env!("CROSSBURN_COMMIT");
        let simd = widest_simd();
        if self.json {
            let document = json!({
                "version": env!("CARGO_PKG_VERSION"), "commit": commit, "burn": "0.22.1", "threads": threads,
                "simd": simd, "devices": devices, "features": { "wgpu": wgpu },
            });
            print(&serde_json::to_string_pretty(&document)?)?;
        } else {
            let mut text = format!(
                "crossburn {} ({}), Burn 0.22.1\nthreads    {threads}\nSIMD       {simd}\ndevices    {}",
                env!("CARGO_PKG_VERSION"),
                commit.unwrap_or("no commit"),
                devices.join(", "),
            );
            if let Some(problem) = without_gpu(wgpu, &devices) {
                text.push_str(&format!("\nGPU        {problem}"));
            }
            print(&text)?;
        }
        Ok(Outcome::Done)
    }
}

/// Why there is no GPU among `devices`; nothing where there is one. `built` says whether this build has the backend.
fn without_gpu(built: bool, devices: &[String]) -> Option<&'static str> {
    match built {
        false => Some("not in this build: cargo build --release --features wgpu"),
        true if devices.iter().any(|name| device::is_gpu(name)) => None,
        true => Some("none found: a Vulkan, Metal or DirectX 12 driver is needed"),
    }
}

/// The widest vector instructions that the kernels find on this processor.
fn widest_simd() -> &'static str {
    #[cfg(target_arch = "x86_64")]
    {
        if std::arch::is_x86_feature_detected!("avx512f") {
            return "AVX-512";
        }
        if std::arch::is_x86_feature_detected!("avx2") && std::arch::is_x86_feature_detected!("fma")
        {
            return "AVX2 and FMA";
        }
        "SSE2"
    }
    #[cfg(target_arch = "aarch64")]
    {
        "NEON"
    }
    #[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
    {
        "none known"
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gpus_are_counted_by_kind() {
        for (devices, found) in [
            (&["cpu"][..], false),
            (&["cpu", "ndarray"], false),
            (&["cpu", "wgpu:0"], true),
            (&["cpu", "ndarray", "wgpu:0", "wgpu:1"], true),
            (&[], false),
        ] {
            let devices: Vec<String> = devices.iter().map(ToString::to_string).collect();
            let said = without_gpu(true, &devices);
            assert_eq!(said.is_none(), found, "{devices:?}");
            assert!(said.is_none_or(|said| said.starts_with("none found")));
            assert!(
                without_gpu(false, &devices).is_some_and(|said| said.contains("--features wgpu"))
            );
        }
    }
}
