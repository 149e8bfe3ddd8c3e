//! How many words of a reference a text has: ROUGE-1 and ROUGE-L.

use std::collections::HashMap;

/// The words of `text`: runs of the letters a to z and of digits, in lower case. Everything else parts words.
///
/// # Source
/// The default tokenizer of Google's Python package `rouge_score`, without its stemmer.
pub(super) fn words(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let parts = lower.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit()));
    parts
        .filter(|word| !word.is_empty())
        .map(str::to_string)
        .collect()
}

/// ROUGE-1: the F1 of the words of `text` among those of `reference`, each counted as often as both have it.
///
/// # Source
/// Lin, "ROUGE: A package for automatic evaluation of summaries", ACL workshop 2004, section 2.
pub(super) fn rouge_1(text: &[String], reference: &[String]) -> f64 {
    let mut left: HashMap<&str, usize> = HashMap::new();
    for word in reference {
        *left.entry(word).or_default() += 1;
    }
    let mut shared = 0;
    for word in text {
        if let Some(count) = left.get_mut(word.as_str()).filter(|count| **count > 0) {
            *count -= 1;
            shared += 1;
        }
    }
    f1(shared, text.len(), reference.len())
}

/// ROUGE-L: the F1 of the longest sequence of words that `text` and `reference` have in the same order, with others between
/// them or not.
///
/// # Source
/// Lin 2004, section 3.1, with β = 1.
pub(super) fn rouge_l(text: &[String], reference: &[String]) -> f64 {
    // The longest common sequence of the words so far with the first words of the reference.
    let mut longest = vec![0; reference.len() + 1];
    for word in text {
        let mut before = 0;
        for (at, other) in reference.iter().enumerate() {
            let here = longest[at + 1];
            longest[at + 1] = match word == other {
                true => before + 1,
                false => here.max(longest[at]),
            };
            before = here;
        }
    }
    f1(longest[reference.len()], text.len(), reference.len())
}

/// The harmonic mean of `shared / found` and `shared / wanted`; 0 where nothing is shared.
fn f1(shared: usize, found: usize, wanted: usize) -> f64 {
    match shared {
        0 => 0.0,
        _ => 2.0 * shared as f64 / (found + wanted) as f64,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_letters_and_digits_in_lower_case() {
        assert_eq!(
            words("The CAT's 2nd-best!"),
            ["the", "cat", "s", "2nd", "best"]
        );
        // Letters beyond a to z part words, as in rouge_score.
        assert_eq!(words("Café, naïve\n x_1"), ["caf", "na", "ve", "x", "1"]);
        assert!(words(" ...\n").is_empty());
    }

    #[test]
    fn scores_are_those_worked_by_hand() {
        // Six and seven words. In common: the twice, cat, on, mat, of which "the cat on the mat" in this order.
        let text = words("the cat was on the mat");
        let reference = words("The cat sat on the red mat.");
        // Precision 5/6, recall 5/7.
        let expected = 2.0 * 5.0 / 13.0;
        assert!((rouge_1(&text, &reference) - expected).abs() < 1e-15);
        assert!((rouge_l(&text, &reference) - expected).abs() < 1e-15);
        // Lin 2004, section 3.1: the order counts for ROUGE-L alone.
        let reference = words("police killed the gunman");
        let [kill, turned] = ["police kill the gunman", "the gunman kill police"].map(words);
        for text in [&kill, &turned] {
            assert_eq!(rouge_1(text, &reference), 0.75);
        }
        assert_eq!(rouge_l(&kill, &reference), 0.75);
        assert_eq!(rouge_l(&turned, &reference), 0.5);
        // A word counts no more often than the reference has it: 1 of 3 and 1 of 2.
        let [text, reference] = ["a a a", "a b"].map(words);
        assert_eq!(rouge_1(&text, &reference), 0.4);
        assert_eq!(rouge_l(&text, &reference), 0.4);
    }

    #[test]
    fn what_shares_nothing_scores_nothing() {
        let [text, none] = ["a b", ""].map(words);
        for (text, reference) in [(&text, &none), (&none, &text), (&none, &none)] {
            assert_eq!(rouge_1(text, reference), 0.0);
            assert_eq!(rouge_l(text, reference), 0.0);
        }
        assert_eq!(rouge_l(&text, &text), 1.0);
    }
}
