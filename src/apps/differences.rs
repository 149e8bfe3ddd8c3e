//! The settings that differ between two runs, by name.

use serde_json::Value;

/// Most characters of a value that are shown.
const SHOWN: usize = 40;

/// The settings that differ between `there` and `here`, by path, with both values; empty if none differ.
pub(crate) fn differences(there: &Value, here: &Value) -> Vec<String> {
    let mut found = Vec::new();
    collect("", there, here, &mut found);
    found
}

fn collect(path: &str, there: &Value, here: &Value, found: &mut Vec<String>) {
    if there == here {
        return;
    }
    let below = |key: &str| match path {
        "" => key.to_string(),
        _ => format!("{path}.{key}"),
    };
    match (there, here) {
        (Value::Object(a), Value::Object(b)) => {
            let more = b.keys().filter(|key| !a.contains_key(*key));
            for key in a.keys().chain(more) {
                let value = |of: &serde_json::Map<String, Value>| of.get(key).cloned();
                let (a, b) = (value(a), value(b));
                collect(
                    &below(key),
                    &a.unwrap_or_default(),
                    &b.unwrap_or_default(),
                    found,
                );
            }
        }
        (Value::Array(a), Value::Array(b)) if a.len() == b.len() => {
            for (index, (a, b)) in a.iter().zip(b).enumerate() {
                collect(&below(&index.to_string()), a, b, found);
            }
        }
        _ => found.push(format!(
            "{path} is {} there, {} here",
            brief(there),
            brief(here)
        )),
    }
}

/// A short form of a value.
fn brief(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        Value::Null => "none".to_string(),
        other => other.to_string(),
    };
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_differs_is_named_with_both_values() {
        let there = json!({"seed": 1, "noise": {"kind": "gaussian", "sigma": 0.1}, "list": [1, 2], "old": true});
        let here = json!({"seed": 1, "noise": {"kind": "gaussian", "sigma": 0.2}, "list": [1, 3], "new": "x"});
        assert_eq!(
            differences(&there, &here),
            [
                "noise.sigma is 0.1 there, 0.2 here",
                "list.1 is 2 there, 3 here",
                "old is true there, none here",
                "new is none there, x here"
            ]
        );
        assert!(differences(&there, &there).is_empty());
        let long = differences(&json!({"a": "b".repeat(90)}), &json!({"a": [1]}));
        assert_eq!(long, [format!("a is {}… there, [1] here", "b".repeat(40))]);
    }
}
