//! How slices were prepared that a network has learned, so that those of another volume are prepared alike.

use anyhow::{Context, Result, bail};
use crossburn_training::data::mri::Chain;

use crate::apps::stored_network::StoredNetwork;

/// What is asked for in place of what the training did; nothing where absent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) down: Option<usize>,
    pub(crate) thick: Option<usize>,
    pub(crate) size: Option<usize>,
    /// Whether intensities are reversed: it must agree with the training, and decides where the training's choice is not known.
    pub(crate) reverse: Option<bool>,
}

/// How slices are prepared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Preparation {
    pub(super) chain: Chain,
    pub(super) reversed: bool,
}

impl Preparation {
    /// That of the training of `stored`, but for what is asked for.
    ///
    /// # Errors
    /// A reversal that is not that of the training, and one that nobody knows.
    pub(super) fn of(stored: &StoredNetwork, asked: &Overrides) -> Result<Self> {
        let folder = stored.folder.display();
        let mut source = stored.recipe.data.source.clone();
        let mut kept = None;
        if let Some(conventions) = stored.conventions()? {
            kept = conventions.reversed;
            source = source.following(conventions);
        }
        let (chain, learned) = match (source.slices(stored.recipe.seed), kept.or(asked.reverse)) {
            (Some(slices), _) => slices,
            (None, Some(reversed)) => (Chain::default(), Ok(reversed)),
            (None, None) => bail!(
                "{folder} was trained on {source}, which says nothing of reversed intensities: give --reverse yes or --reverse no"
            ),
        };
        let reversed = match (learned, asked.reverse) {
            (Ok(learned), Some(asked)) if learned != asked => {
                let (option, not) = if asked { ("yes", "not ") } else { ("no", "") };
                bail!(
                    "--reverse {option}: {folder} was trained on intensities that were {not}reversed: leave the option out"
                );
            }
            (Ok(reversed), _) | (Err(_), Some(reversed)) => reversed,
            (Err(cause), None) => {
                return Err(cause).with_context(|| {
                    format!(
                        "reverse=auto of {source} was decided by training data that cannot be read: give --reverse yes or --reverse no"
                    )
                });
            }
        };
        Ok(Self {
            chain: overridden(chain, asked),
            reversed,
        })
    }
}

fn overridden(chain: Chain, asked: &Overrides) -> Chain {
    Chain {
        down: asked.down.unwrap_or(chain.down),
        thick: asked.thick.unwrap_or(chain.thick),
        size: asked.size.or(chain.size),
        ..chain
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_comes_first() {
        let learned = Chain {
            down: 2,
            size: Some(96),
            ..Chain::default()
        };
        let asked = Overrides {
            down: Some(4),
            ..Overrides::default()
        };
        let expected = Chain { down: 4, ..learned };
        assert_eq!(overridden(learned, &asked), expected);
    }
}
