//! `--shard`: a contiguous part of numbered pieces of work, such as the chips of a population.

use std::ops::Range;
use std::str::FromStr;

use anyhow::{Result, bail};

/// One of `of` contiguous parts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Shard {
    index: u64,
    of: u64,
}

impl FromStr for Shard {
    type Err = String;

    fn from_str(text: &str) -> std::result::Result<Self, String> {
        let parsed = text
            .split_once('/')
            .and_then(|(index, of)| Some((index.parse().ok()?, of.parse().ok()?)));
        match parsed {
            Some((index, of)) if (1..=of).contains(&index) => Ok(Self { index, of }),
            _ => Err("use I/N with I from 1 to N, such as 1/4".to_string()),
        }
    }
}

impl Shard {
    /// Refuses more parts than there are `pieces`, which `several` names: some would be empty.
    ///
    /// # Errors
    /// Says how many parts there can be.
    pub(super) fn check(self, pieces: u64, several: &str) -> Result<()> {
        if self.of > pieces {
            bail!(
                "--shard {}/{} cuts {pieces} {several} into {} parts, of which some are empty: use at most {pieces} parts",
                self.index,
                self.of,
                self.of
            );
        }
        Ok(())
    }

    /// Its part of the name of a run folder, so that two shards do not share one.
    pub(super) fn name(self) -> String {
        format!("shard-{}-of-{}", self.index, self.of)
    }

    /// The numbers of this part of `pieces`.
    pub(super) fn range(self, pieces: u64) -> Range<u64> {
        let cut = |part: u64| (u128::from(pieces) * u128::from(part) / u128::from(self.of)) as u64;
        cut(self.index - 1)..cut(self.index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_cut_pieces_into_contiguous_parts() {
        for of in 1..7 {
            let parts: Vec<_> = (1..=of)
                .map(|index| Shard { index, of }.range(100))
                .collect();
            assert_eq!((parts[0].start, parts[parts.len() - 1].end), (0, 100));
            assert!(parts.windows(2).all(|pair| pair[0].end == pair[1].start));
        }
        let whole = Shard { index: 1, of: 30 };
        assert!(whole.check(30, "chips").is_ok() && whole.check(29, "chips").is_err());
        for index in 1..=30 {
            assert!(!Shard { index, ..whole }.range(30).is_empty());
        }
        assert!(
            "0/4".parse::<Shard>().is_err()
                && "5/4".parse::<Shard>().is_err()
                && "1".parse::<Shard>().is_err()
        );
    }
}
