//! The part of an unusable text that an error shows.

/// Most characters that are shown.
const SHOWN: usize = 40;

/// The beginning of `text`. A damaged file may have very long lines.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
