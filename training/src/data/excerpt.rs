//! What an error shows of a text that cannot be used.

/// Characters that are shown.
const SHOWN: usize = 40;

/// The beginning of `text`: a damaged file may have lines without an end.
pub(super) fn excerpt(text: &str) -> String {
    text.chars().take(SHOWN).collect()
}
