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
    #[arg(long)]
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
            if !wgpu {
                text.push_str(
                    "\nGPU        not in this build: cargo build --release --features wgpu",
                );
            } else if devices.len() == 2 {
                text.push_str(
                    "\nGPU        none found: a Vulkan, Metal or DirectX 12 driver is needed",
                );
            }
            print(&text)?;
        }
        Ok(Outcome::Done)
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
