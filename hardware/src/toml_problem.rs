//! Errors in TOML texts, in one line.

/// The error in `text`, with its line and column if they are known. The `toml` crate shows a picture of several lines
/// instead, which a message of one line cannot hold.
///
/// ```
/// use crossburn_hardware::toml_problem;
///
/// let text = "[array]\nrows = ]\n";
/// let error = text.parse::<toml::Table>().unwrap_err();
/// assert!(toml_problem(text, &error).ends_with(" (line 2, column 8)"));
/// ```
pub fn toml_problem(text: &str, error: &toml::de::Error) -> String {
    let message = error.message().lines().collect::<Vec<_>>().join(" ");
    let before = error.span().and_then(|span| text.get(..span.start));
    let Some(before) = before else {
        return message;
    };
    let line = before.matches('\n').count() + 1;
    let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
    format!("{message} (line {line}, column {column})")
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Settings {
        #[serde(default, rename = "seed")]
        _seed: u64,
    }

    #[test]
    fn the_place_is_counted_from_one_in_characters() {
        let problem = |text: &str| {
            let error = toml::from_str::<Settings>(text).unwrap_err();
            let problem = toml_problem(text, &error);
            assert!(
                !problem.contains('\n') && !problem.contains('^'),
                "{problem}"
            );
            problem
        };
        assert_eq!(
            problem("sead = 1\n"),
            "unknown field `sead`, expected `seed` (line 1, column 1)"
        );
        assert!(problem("# µ\nseed = \"µ\"\n").ends_with("(line 2, column 8)"));
        assert!(problem("seed = 1\nseed = 2\n").contains("(line 2, column "));
        assert!(problem("\n\n  seed = [\n").contains("(line "));
    }
}
