//! The known name that a mistyped one was meant to be.

/// The one of `known` that `typed` was probably meant to be, by edit distance; `None` where none is near.
///
/// Names are dotted paths. A name is also near where it is longer but begins the same way, and where only its tables are
/// missing.
pub(super) fn nearest<'a>(
    typed: &str,
    known: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let reach = (typed.chars().count() / 3).max(1);
    known
        .into_iter()
        .filter_map(|name| {
            let distance = edits(typed, name);
            let same_end = name.ends_with(&format!(".{}", last(typed)));
            let is_near = distance <= reach || same_end || name.starts_with(typed);
            is_near.then_some((distance, name))
        })
        .min()
        .map(|(_, name)| name)
}

/// The name without its tables.
fn last(path: &str) -> &str {
    path.rsplit('.').next().unwrap_or(path)
}

/// The Levenshtein distance: insertions, deletions and replacements of one character.
fn edits(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (above, a) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = above + 1;
        for (index, b) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(a != *b);
            diagonal = row[index + 1];
            row[index + 1] = replaced.min(row[index] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_are_counted() {
        for (from, to, count) in [
            ("", "", 0),
            ("", "abc", 3),
            ("abc", "", 3),
            ("kitten", "sitting", 3),
            ("epoch", "epochs", 1),
            ("größe", "grösse", 2),
        ] {
            assert_eq!(edits(from, to), count, "{from} {to}");
            assert_eq!(edits(to, from), count, "{to} {from}");
        }
    }

    #[test]
    fn the_nearest_name_is_found_if_one_is_near() {
        let known = [
            "seed",
            "training.batch",
            "training.epochs",
            "training.optimizer.learning_rate",
            "noise.sigma_rel_wmax",
        ];
        for (typed, meant) in [
            ("sead", Some("seed")),
            ("trainng.epochs", Some("training.epochs")),
            ("training.epoch", Some("training.epochs")),
            ("epochs", Some("training.epochs")),
            (
                "training.learning_rate",
                Some("training.optimizer.learning_rate"),
            ),
            ("noise.sigma", Some("noise.sigma_rel_wmax")),
            ("wavelength", None),
            ("x", None),
        ] {
            assert_eq!(nearest(typed, known), meant, "{typed}");
        }
        assert_eq!(nearest("seed", []), None);
    }
}
