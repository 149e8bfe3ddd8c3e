//! How the weights of a language model are held in memory: `--weights`.

use std::collections::BTreeMap;

use anyhow::{Result, bail};
use clap::ValueEnum;
use crossburn_checkpoints::HeldAs;
use crossburn_checkpoints::gguf::{EncodedFormat, WeightFormat};
use crossburn_models::HeldForm;

/// How matrices are held, as the command line names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum HeldWeights {
    /// As in the file: blocks and 16-bit numbers keep their format
    Stored,
    /// 32-bit numbers
    F32,
    /// 16-bit numbers, 11 bits of them significant
    F16,
    /// 16-bit numbers, 8 bits of them significant
    Bf16,
    /// 8 bits per number; 32 numbers share a scale. Blocks with no more bits stay
    #[value(name = "q8_0")]
    Q8_0,
    /// 4 bits per number; 32 numbers share a scale. Blocks with no more bits stay
    #[value(name = "q4_0")]
    Q4_0,
}

impl HeldWeights {
    /// The form that was asked for, or that of the file where a plain model runs on the CPU. An adapter, another device and a run of this
    /// program take 32-bit numbers.
    ///
    /// # Errors
    /// Another form than 32-bit numbers where only these work; `only` says where.
    pub(super) fn resolve(asked: Option<Self>, only: Option<&'static str>) -> Result<HeldAs> {
        match (asked, only) {
            (None | Some(Self::F32), Some(_)) => Ok(HeldAs::Floats),
            (None, None) => Ok(HeldAs::Stored),
            (Some(asked), Some(only)) => {
                let asked = asked.to_possible_value();
                let asked = asked.map_or(String::new(), |value| value.get_name().to_string());
                bail!("--weights {asked} does not go with {only}: leave it out, or use f32")
            }
            (Some(asked), None) => Ok(asked.form().map_or(HeldAs::Floats, HeldAs::from)),
        }
    }

    /// The form of weights that rest; none for 32-bit numbers.
    pub(super) fn form(self) -> Option<HeldForm> {
        match self {
            Self::F32 => None,
            Self::Stored => Some(HeldForm::Stored),
            Self::F16 => Some(HeldForm::F16),
            Self::Bf16 => Some(HeldForm::Bf16),
            Self::Q8_0 => Some(HeldForm::Q8_0),
            Self::Q4_0 => Some(HeldForm::Q4_0),
        }
    }
}

/// Smaller formats for `--weights` if 32-bit or 16-bit numbers take too much memory, the most exact one first.
pub(super) const SMALLER: [(&str, HeldAs); 2] = [
    ("--weights stored", HeldAs::Stored),
    ("--weights q8_0", HeldAs::Encoded(EncodedFormat::Q8_0)),
];

/// Bytes of parameters by path, each with the format that it has in memory.
#[derive(Clone, Debug)]
pub(super) struct HeldBytes(BTreeMap<String, (WeightFormat, usize)>);

impl HeldBytes {
    pub(super) fn new(of_paths: BTreeMap<String, (WeightFormat, usize)>) -> Self {
        Self(of_paths)
    }

    /// Bytes of all parameters.
    pub(super) fn all(&self) -> u64 {
        self.0.values().map(|(_, bytes)| *bytes as u64).sum()
    }

    /// Bytes of the embedding, where they are known apart.
    pub(super) fn embedding(&self) -> Option<u64> {
        let found = self.0.get("embedding.weight");
        found.map(|(_, bytes)| *bytes as u64)
    }

    /// The formats, that of the most bytes first: `Q4_1, Q8_0`. One that takes no more than a hundredth of the bytes is left out, as the
    /// 32-bit numbers of vectors are in all but small models.
    pub(super) fn formats(&self) -> String {
        let mut formats: BTreeMap<String, usize> = BTreeMap::new();
        for (format, bytes) in self.0.values() {
            *formats.entry(format.to_string()).or_default() += bytes;
        }
        let whole: usize = formats.values().sum();
        let mut named: Vec<(String, usize)> = formats.into_iter().collect();
        named.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
        named.retain(|(_, bytes)| 100 * bytes > whole);
        let names: Vec<String> = named.into_iter().map(|(name, _)| name).collect();
        names.join(", ")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    #[test]
    fn what_only_takes_floats_gets_them_and_refuses_the_rest() {
        use HeldWeights::{F32, Q8_0, Stored};
        let resolve = HeldWeights::resolve;
        assert_eq!(resolve(None, None).unwrap(), HeldAs::Stored);
        assert_eq!(resolve(Some(F32), None).unwrap(), HeldAs::Floats);
        assert_eq!(
            resolve(Some(Q8_0), None).unwrap(),
            HeldAs::Encoded(EncodedFormat::Q8_0)
        );
        for asked in [None, Some(F32)] {
            assert_eq!(resolve(asked, Some("--adapter")).unwrap(), HeldAs::Floats);
        }
        for (asked, name) in [(Q8_0, "q8_0"), (Stored, "stored")] {
            let error = resolve(Some(asked), Some("--adapter")).unwrap_err();
            let expected =
                format!("--weights {name} does not go with --adapter: leave it out, or use f32");
            assert_eq!(error.to_string(), expected);
        }
    }

    #[test]
    fn formats_are_named_by_their_part() {
        let bytes = [
            ("embedding.weight", (WeightFormat::Q8_0, 300)),
            ("a", (WeightFormat::Q4_1, 400)),
            ("b", (WeightFormat::Q4_1, 400)),
            ("norm", (WeightFormat::F32, 5)),
        ];
        let bytes = bytes.map(|(path, bytes)| (path.to_string(), bytes));
        let held = HeldBytes::new(bytes.into());
        assert_eq!(held.formats(), "Q4_1, Q8_0");
        assert_eq!((held.all(), held.embedding()), (1105, Some(300)));
    }
}
