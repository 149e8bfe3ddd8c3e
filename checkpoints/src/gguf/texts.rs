//! Many texts in one allocation, as a vocabulary needs them.

/// A list of texts: all of them in one string, and where each ends. A list takes no more memory than the array in the
/// file that it came from (8 bytes for the length of each text, then its bytes).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Texts {
    all: String,
    ends: Vec<usize>,
}

impl Texts {
    /// Number of texts.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The text at `index`.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        let end = *self.ends.get(index)?;
        let start = match index.checked_sub(1) {
            Some(before) => self.ends[before],
            None => 0,
        };
        Some(&self.all[start..end])
    }

    /// The texts in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        let mut start = 0;
        self.ends.iter().map(move |end| {
            let text = &self.all[start..*end];
            start = *end;
            text
        })
    }

    /// Adds a text.
    pub(super) fn push(&mut self, text: &str) {
        self.all.push_str(text);
        self.ends.push(self.all.len());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_keep_their_order_and_bounds() {
        let mut texts = Texts::default();
        for text in ["a", "", "Ġthe", "é"] {
            texts.push(text);
        }
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["a", "", "Ġthe", "é"]);
        assert_eq!((texts.len(), texts.get(2)), (4, Some("Ġthe")));
        assert_eq!((texts.get(0), texts.get(4)), (Some("a"), None));
    }
}
