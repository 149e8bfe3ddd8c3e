//! Passages, the pieces into which documents are cut.

use serde::{Deserialize, Serialize};

/// The place of a passage.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Place {
    /// The file, as an absolute path.
    pub(crate) file: String,
    /// The place in the file: `line 12`, or an entry of a profile.
    pub(crate) at: String,
}

/// A piece of a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Passage {
    /// The place in its file.
    pub(crate) at: String,
    /// Its words, separated by single blanks.
    pub(crate) text: String,
}

/// A word, and the number of its line from 1 on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Word<'a> {
    line: usize,
    text: &'a str,
}

/// The passages of a plain text are its paragraphs, which blank lines separate. A paragraph of more than `most` words is cut. The cut is after the last
/// sentence that ends in the second half of the words that fit; if none does, after `most` words.
pub(crate) fn of_text(text: &str, most: usize) -> Vec<Passage> {
    let mut paragraphs = vec![Vec::new()];
    for (line, number) in text.lines().zip(1..) {
        match line.trim().is_empty() {
            true => paragraphs.push(Vec::new()),
            false => extend(&mut paragraphs, line, number),
        }
    }
    cut_all(&paragraphs, most)
}

/// The passages of a Markdown text. They are made as those of a plain text, with two differences: a heading belongs to the paragraph after it, and blank
/// lines in a fenced block do not separate.
pub(crate) fn of_markdown(text: &str, most: usize) -> Vec<Passage> {
    let mut paragraphs = vec![Vec::new()];
    let mut fence: Option<&str> = None;
    // The last words were a heading, so the next paragraph continues them.
    let mut after_heading = false;
    for (line, number) in text.lines().zip(1..) {
        let trimmed = line.trim();
        if let Some(end) = fence {
            match trimmed.starts_with(end) {
                true => fence = None,
                false => extend(&mut paragraphs, line, number),
            }
            continue;
        }
        let opened = ["```", "~~~"]
            .into_iter()
            .find(|mark| trimmed.starts_with(mark));
        if opened.is_some() {
            fence = opened;
            after_heading = false;
        } else if let Some(heading) = heading(line) {
            if !after_heading {
                paragraphs.push(Vec::new());
            }
            extend(&mut paragraphs, heading, number);
            after_heading = true;
        } else if trimmed.is_empty() {
            if !after_heading {
                paragraphs.push(Vec::new());
            }
        } else {
            extend(&mut paragraphs, line, number);
            after_heading = false;
        }
    }
    cut_all(&paragraphs, most)
}

/// The passages of a text at the place `at`, regardless of its lines.
pub(crate) fn of_entry(text: &str, at: &str, most: usize) -> Vec<Passage> {
    let words = text.split_whitespace().map(|text| Word { line: 0, text });
    let passages = cut(&words.collect::<Vec<_>>(), most);
    let placed = passages.into_iter().map(|passage| Passage {
        at: at.to_string(),
        ..passage
    });
    placed.collect()
}

/// The first sentence of a passage, if another one follows. It must have at least two words, so that the number of a list item does not count.
pub(crate) fn first_sentence(text: &str) -> Option<&str> {
    let mut end = 0;
    for (word, number) in text.split_inclusive(' ').zip(1..) {
        end += word.len();
        if number > 1 && ends_sentence(word.trim_end()) {
            break;
        }
    }
    let (first, rest) = text.split_at(end);
    (!rest.is_empty()).then(|| first.trim_end())
}

/// The words of a heading.
fn heading(line: &str) -> Option<&str> {
    let words = line.trim_start_matches('#');
    let marks = line.len() - words.len();
    ((1..=6).contains(&marks) && words.starts_with([' ', '\t'])).then_some(words)
}

/// Adds the words of a line to the last paragraph.
fn extend<'a>(paragraphs: &mut [Vec<Word<'a>>], text: &'a str, line: usize) {
    if let Some(last) = paragraphs.last_mut() {
        last.extend(text.split_whitespace().map(|text| Word { line, text }));
    }
}

fn cut_all(paragraphs: &[Vec<Word<'_>>], most: usize) -> Vec<Passage> {
    let pieces = paragraphs.iter().map(|words| cut(words, most));
    pieces.flatten().collect()
}

/// Cuts a paragraph into passages of at most `most` words; at least 1.
fn cut(mut words: &[Word<'_>], most: usize) -> Vec<Passage> {
    let most = most.max(1);
    let mut found = Vec::new();
    while let Some(first) = words.first() {
        let end = match words.len() <= most {
            true => words.len(),
            false => {
                let late = most / 2..most;
                let sentence = late.rev().find(|at| ends_sentence(words[*at].text));
                sentence.map_or(most, |at| at + 1)
            }
        };
        let (piece, rest) = words.split_at(end);
        let texts: Vec<&str> = piece.iter().map(|word| word.text).collect();
        found.push(Passage {
            at: format!("line {}", first.line),
            text: texts.join(" "),
        });
        words = rest;
    }
    found
}

/// Whether a sentence ends with `word`.
fn ends_sentence(word: &str) -> bool {
    word.trim_end_matches(['"', '\'', ')', ']', '”', '’', '»', '*', '_'])
        .ends_with(['.', '!', '?', '…', '。'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(passages: &[Passage]) -> Vec<(&str, &str)> {
        let shown = passages
            .iter()
            .map(|passage| (passage.at.as_str(), passage.text.as_str()));
        shown.collect()
    }

    #[test]
    fn paragraphs_of_a_text_keep_their_first_line() {
        let text = "\n one two\nthree \n\n\n  \nfour\r\nfive\n";
        let found = of_text(text, 10);
        assert_eq!(
            shown(&found),
            [("line 2", "one two three"), ("line 7", "four five")]
        );
        assert!(of_text(" \n\n", 10).is_empty());
    }

    #[test]
    fn long_paragraphs_are_cut_after_a_sentence_where_one_ends_late_enough() {
        let text = "a b c.\nd e f g h.) i j k l m n o";
        let found = of_text(text, 6);
        // Sentences end after three words, and after two words of the rest. Both ends are in the first half of the six words that fit.
        assert_eq!(
            shown(&found),
            [
                ("line 1", "a b c. d e f"),
                ("line 2", "g h.) i j k l"),
                ("line 2", "m n o"),
            ]
        );
        let found = of_text("a b c d. e f g h", 6);
        assert_eq!(
            shown(&found),
            [("line 1", "a b c d."), ("line 1", "e f g h")]
        );
    }

    #[test]
    fn headings_belong_to_what_follows_and_fenced_blocks_stay_whole() {
        let text =
            "# A\n\n## B\n\ntext\nmore\n\n- item\n# C\nlast\n\n```sh\nx\n\ny\n```\n#hash\n# D\n";
        let found = of_markdown(text, 20);
        assert_eq!(
            shown(&found),
            [
                ("line 1", "A B text more"),
                ("line 8", "- item"),
                ("line 9", "C last"),
                ("line 13", "x y #hash"),
                ("line 18", "D"),
            ]
        );
    }

    #[test]
    fn entries_keep_their_place_and_first_sentences_need_a_second() {
        let found = of_entry("a b\nc d", "question 1, profile 0", 3);
        assert_eq!(
            shown(&found),
            [
                ("question 1, profile 0", "a b c"),
                ("question 1, profile 0", "d"),
            ]
        );
        assert_eq!(
            first_sentence("Cells drift. They age."),
            Some("Cells drift.")
        );
        assert_eq!(first_sentence("Cells drift."), None);
        assert_eq!(first_sentence("no end here"), None);
        assert_eq!(
            first_sentence("1. Write a cell. 2. Read it."),
            Some("1. Write a cell.")
        );
        assert_eq!(first_sentence("1. Write a cell."), None);
    }
}
