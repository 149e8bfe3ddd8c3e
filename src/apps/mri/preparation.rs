//! How the slices that a network has learned were prepared, so that slices of another volume are prepared in the same way.

use anyhow::{Context, Result, bail};
use crossburn_training::data::mri::Chain;

use crate::apps::stored_network::StoredNetwork;

/// Settings that replace those of the training; absent ones do not.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) down: Option<usize>,
    pub(crate) thick: Option<usize>,
    pub(crate) size: Option<usize>,
    /// Whether intensities are reversed. It must agree with the training, and is needed if the training's setting is unknown.
    pub(crate) reverse: Option<bool>,
}

/// How slices are prepared.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Preparation {
    pub(super) chain: Chain,
    pub(super) reversed: bool,
}

impl Preparation {
    /// The preparation of `stored`'s training, with the replaced settings.
    ///
    /// # Errors
    /// A reversal that differs from the training; a reversal that is unknown.
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
