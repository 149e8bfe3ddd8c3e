//! A size in memory on the command line.

use std::str::FromStr;

/// A size in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Size {
    bits: u64,
}

impl Size {
    /// Whole bits.
    pub(super) fn bits(self) -> u64 {
        self.bits
    }

    /// Whole bytes.
    pub(super) fn bytes(self) -> u64 {
        self.bits / 8
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let refused = || {
            "is no size: use a number with B, KB, MB, GB, KiB, MiB or GiB, such as 30KiB"
                .to_string()
        };
        let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
        let (number, unit) = text.split_at(end.unwrap_or(text.len()));
        let bytes = match unit.trim_start() {
            "B" => 1.0,
            "KB" => 1e3,
            "MB" => 1e6,
            "GB" => 1e9,
            "KiB" => 1024.0,
            "MiB" => 1024f64.powi(2),
            "GiB" => 1024f64.powi(3),
            _ => return Err(refused()),
        };
        let number: f64 = number.parse().map_err(|_| refused())?;
        let bits = (8.0 * bytes * number).floor();
        // Whole numbers up to here are exact.
        match bits >= 1.0 && bits <= 2f64.powi(53) {
            true => Ok(Self { bits: bits as u64 }),
            false => Err(refused()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units() {
        for (text, bits) in [
            ("30KiB", 30 * 8192),
            ("1.5 KiB", 12288),
            ("100B", 800),
            ("2MiB", 1 << 24),
            ("1GiB", 1 << 33),
            ("1.5 MB", 12_000_000),
            ("2GB", 16_000_000_000),
        ] {
            assert_eq!(text.parse(), Ok(Size { bits }), "{text}");
        }
        assert_eq!("512KiB".parse().map(Size::bytes), Ok(524_288));
        for text in [
            "30", "KiB", "30kB", "-1KiB", "0B", "1e30MiB", "..KiB", "1e9B", "2Gb",
        ] {
            assert!(text.parse::<Size>().is_err(), "{text}");
        }
    }
}
