//! How slices were prepared that a network has learned, so that those of another volume are prepared alike.

use anyhow::{Context, Result, bail};
use crossburn_training::data::mri::{Chain, PhantomConfig, Reverse};
use crossburn_training::data::{Amount, DataSource};

use crate::apps::stored_network::StoredNetwork;

/// Training slices that show whether intensities are reversed.
const LOOKED_AT: usize = 16;

/// What is asked for in place of what the training did; nothing where absent.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) down: Option<usize>,
    pub(crate) thick: Option<usize>,
    pub(crate) size: Option<usize>,
    /// Whether intensities are reversed. It may say what the training did, or what nobody knows any more.
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
        let source = &stored.recipe.data.source;
        let Some(learned) = Learned::new(source) else {
            let Some(reversed) = asked.reverse else {
                bail!(
                    "{folder} was trained on {source}, which says nothing of reversed intensities: give --reverse yes or --reverse no"
                );
            };
            return Ok(Self {
                chain: overridden(Chain::default(), asked),
                reversed,
            });
        };
        let reversed = match (learned.is_reversed(stored.recipe.seed), asked.reverse) {
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
            chain: overridden(learned.chain, asked),
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

/// What the options of a source of slices say.
#[derive(Debug)]
struct Learned<'a> {
    source: &'a DataSource,
    chain: Chain,
    reverse: Reverse,
}

impl<'a> Learned<'a> {
    /// `None` of a source that does not give slices of brains.
    fn new(source: &'a DataSource) -> Option<Self> {
        let usual = Chain::default();
        let size = match source.kind() {
            // Slices are drawn at this size.
            "mri-phantom" => Some(PhantomConfig::default().size),
            "mri-slices" | "mri" => None,
            _ => return None,
        };
        let text = source.to_string();
        // The source was opened with these options: they have values that are allowed.
        let option = |wanted: &str| {
            let mut options = options(&text);
            options.find_map(|(name, value)| (name == wanted).then_some(value))
        };
        let whole = |name| option(name).and_then(|value| value.parse().ok());
        let share = |name| option(name).and_then(|value| value.parse().ok());
        Some(Self {
            source,
            chain: Chain {
                threshold: share("threshold").unwrap_or(usual.threshold),
                down: whole("down").unwrap_or(usual.down),
                thick: whole("thick").unwrap_or(usual.thick),
                size: whole("size").or(size),
                least_brain: share("least_brain").unwrap_or(usual.least_brain),
            },
            reverse: match option("reverse") {
                Some("yes") => Reverse::Yes,
                Some("auto") => Reverse::Auto,
                _ => Reverse::No,
            },
        })
    }

    /// Whether its slices are reversed. A source that decides by its training samples is asked for some of them, and for the same as
    /// they would be without reversal.
    ///
    /// # Errors
    /// Training samples that cannot be read.
    fn is_reversed(&self, seed: u64) -> Result<bool> {
        match self.reverse {
            Reverse::Yes => Ok(true),
            Reverse::No => Ok(false),
            Reverse::Auto => {
                let text = self.source.to_string();
                let kept = options(&text).filter(|(name, _)| *name != "reverse");
                let mut plain: Vec<String> = kept
                    .map(|(name, value)| format!("{name}={value}"))
                    .collect();
                plain.push("reverse=no".to_string());
                let place = text
                    .split_once('?')
                    .map_or(text.as_str(), |(place, _)| place);
                let plain: DataSource = format!("{place}?{}", plain.join("&")).parse()?;
                let some =
                    |source: &DataSource| source.training_samples(seed, Amount::up_to(LOOKED_AT));
                Ok(some(self.source)?.values != some(&plain)?.values)
            }
        }
    }
}

/// The options at the end of the text of a source.
fn options(source: &str) -> impl Iterator<Item = (&str, &str)> {
    let text = source.split_once('?').map_or("", |(_, options)| options);
    text.split('&').filter_map(|option| option.split_once('='))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn source(text: &str) -> DataSource {
        text.parse().unwrap()
    }

    #[test]
    fn slices_are_prepared_as_the_source_of_the_training_says() {
        let given =
            source("mri:a/b?threshold=0.2&down=2&thick=3&size=96&least_brain=0.4&folds=5&fold=1");
        let learned = Learned::new(&given).unwrap();
        let expected = Chain {
            threshold: 0.2,
            down: 2,
            thick: 3,
            size: Some(96),
            least_brain: 0.4,
        };
        assert_eq!(learned.chain, expected);
        let asked = Overrides {
            down: Some(4),
            ..Overrides::default()
        };
        let down = Chain {
            down: 4,
            ..expected
        };
        assert_eq!(overridden(learned.chain, &asked), down);
        let usual = source("mri-slices:a");
        assert_eq!(Learned::new(&usual).unwrap().chain, Chain::default());
        for (text, size) in [("mri-phantom", 64), ("mri-phantom?size=32", 32)] {
            let drawn = source(text);
            assert_eq!(Learned::new(&drawn).unwrap().chain.size, Some(size));
        }
        assert!(Learned::new(&source("digits")).is_none());
    }

    /// Drawn brains of FLAIR are bright and those of T2 dark: healthy brain and lesions have means that add up to more and to less than 1.
    #[test]
    fn what_training_decided_is_decided_again() {
        let reversed = |text: &str| {
            let source = source(text);
            Learned::new(&source).unwrap().is_reversed(3)
        };
        for (text, expected) in [
            ("mri-phantom", false),
            ("mri-phantom?reverse=no", false),
            ("mri-phantom?reverse=yes", true),
            ("mri-phantom?reverse=auto", true),
            (
                "mri-phantom?contrast=t2&reverse=auto&d=0.18&het=0.06",
                false,
            ),
        ] {
            assert_eq!(reversed(text).unwrap(), expected, "{text}");
        }
        assert!(reversed("mri-slices:nowhere?reverse=auto").is_err());
    }
}
