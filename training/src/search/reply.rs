//! The one grammar of replies, whoever replies: a language model, a recorded transcript or an external program.
//!
//! ```text
//! reply   text without {, the object, text without { or }
//! object  a JSON object with every axis of the space once: a value for a single axis, a list for one of several positions
//! ```
//!
//! Text around the object is allowed, because language models explain themselves. Everything else is an error in words that the
//! proposer can be told.

use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};

use super::axis::Choice;
use super::space::{Design, Space};

/// Bytes of a reply that are read; a longer reply is refused.
pub const MOST_REPLY: usize = 64 * 1024;

/// The design that a reply names.
///
/// # Errors
/// What is wrong with the reply, in words that it can be answered with.
///
/// ```
/// # use crossburn_training::search::{Space, SpaceConfig, read_reply};
/// # let config: SpaceConfig = toml::from_str("name = \"a\"\nnetwork.kernels = { times = 2, of = [3, 5] }")?;
/// # let space = Space::new(config)?;
/// let design = read_reply(&space, "I suggest {\"kernels\": [3, 5]}, which is small.")?;
/// assert_eq!(space.text(&design), "kernels=3,5");
/// let error = read_reply(&space, "{\"kernels\": [3, 9]}").unwrap_err();
/// assert_eq!(error, "axis `kernels` has no choice 9: it has 3, 5");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn read_reply(space: &Space, reply: &str) -> Result<Design, String> {
    if reply.len() > MOST_REPLY {
        return Err(format!(
            "the reply has {} bytes, above {MOST_REPLY}: reply with the JSON object only",
            reply.len()
        ));
    }
    let object = only_object(reply)?;
    let Object(entries) = serde_json::from_str(object)
        .map_err(|error| format!("the object is not the JSON of a design: {error}"))?;
    let mut given = Vec::with_capacity(entries.len());
    for (name, value) in entries {
        let single = space.axis(&name).map(|axis| axis.is_single());
        let choices = match (value, single) {
            (Given::One(choice), Some(true) | None) => vec![choice],
            (Given::Several(choices), Some(false) | None) => choices,
            (Given::One(_), Some(false)) => return Err(format!("axis `{name}` needs a list")),
            (Given::Several(_), Some(true)) => {
                return Err(format!("axis `{name}` needs one value, not a list"));
            }
        };
        given.push((name, choices));
    }
    space.of_choices(&given)
}

/// The one object of a text.
fn only_object(text: &str) -> Result<&str, String> {
    let start = text
        .find('{')
        .ok_or("there is no JSON object: reply with one line {…}")?;
    let (mut depth, mut in_string, mut escaped) = (0usize, false, false);
    for (at, byte) in text.bytes().enumerate().skip(start) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b'{' if !in_string => depth += 1,
            b'}' if !in_string => {
                depth -= 1;
                if depth == 0 {
                    return match text[at + 1..].contains(['{', '}']) {
                        false => Ok(&text[start..=at]),
                        true => Err("there is more than one object: reply with one".to_string()),
                    };
                }
            }
            _ => {}
        }
    }
    Err("the JSON object does not end".to_string())
}

/// The entries of an object in their order, with names that come twice.
struct Object(Vec<(String, Given)>);

#[derive(Deserialize)]
#[serde(untagged, expecting = "a number, a word, or a list of them")]
enum Given {
    One(Choice),
    Several(Vec<Choice>),
}

impl<'de> Deserialize<'de> for Object {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Entries;

        impl<'de> Visitor<'de> for Entries {
            type Value = Object;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with the axes of a design")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Object, A::Error> {
                let mut entries = Vec::new();
                while let Some(entry) = map.next_entry()? {
                    entries.push(entry);
                }
                Ok(Object(entries))
            }
        }

        deserializer.deserialize_map(Entries)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::search::{Draws, SpaceConfig};

    fn space() -> Space {
        let text = r#"
            name = "small"
            network.layers = [1, 2]
            network.channels = { times = "layers", of = [4, 8] }
            network.norm = ["none", "batch"]
            network.dropout = [0, 0.1]
        "#;
        Space::new(toml::from_str::<SpaceConfig>(text).unwrap()).unwrap()
    }

    #[test]
    fn replies_are_read_or_refused_in_words() {
        let good = r#"{"channels":[4,8],"dropout":0.1,"layers":2,"norm":"batch"}"#;
        let wrapped = format!("Sure! Here it is:\n```json\n{good}\n```\nIt widens with depth.");
        let spaced = good.replace([',', ':'], " , ").replace(" , [", ": [");
        for (reply, expected) in [
            (
                good.to_string(),
                Ok("channels=4,8 dropout=0.1 layers=2 norm=batch"),
            ),
            (wrapped, Ok("channels=4,8 dropout=0.1 layers=2 norm=batch")),
            (
                r#"{"norm": "none", "layers": 1.0, "dropout": 0, "channels": [8]}"#.to_string(),
                Ok("channels=8 dropout=0 layers=1 norm=none"),
            ),
            (String::new(), Err("there is no JSON object")),
            ("[4, 8]".to_string(), Err("there is no JSON object")),
            (good[..20].to_string(), Err("does not end")),
            (format!("{good} or {good}"), Err("more than one object")),
            (format!("{good}}}"), Err("more than one object")),
            (spaced, Err("is not the JSON of a design")),
            (
                good.replace("0.1", "0.3"),
                Err("axis `dropout` has no choice 0.3"),
            ),
            (
                good.replace("\"batch\"", "\"layer\""),
                Err("axis `norm` has no choice layer"),
            ),
            (
                good.replace("[4,8]", "[4]"),
                Err("axis `channels` has 1 choices, not 2"),
            ),
            (
                good.replace("[4,8]", "4"),
                Err("axis `channels` needs a list"),
            ),
            (
                good.replace(":2", ":[2]"),
                Err("axis `layers` needs one value"),
            ),
            (
                good.replace("[4,8]", "[\"4\",8]"),
                Err("axis `channels` has no choice 4"),
            ),
            (
                good.replace("[4,8]", "[[4],8]"),
                Err("a number, a word, or a list of them"),
            ),
            (
                good.replace("norm", "norms"),
                Err("there is no axis `norms`"),
            ),
            (
                good.replace("{", "{\"layers\":2,"),
                Err("axis `layers` is given twice"),
            ),
            (
                good.replace("\"layers\":2,", ""),
                Err("axis `layers` is missing"),
            ),
            (
                "<html><body>502</body></html>".to_string(),
                Err("there is no JSON object"),
            ),
            ("{".repeat(2000), Err("does not end")),
            (
                format!("{{\"norm\":\"{}\"}}", "x".repeat(2000)),
                Err("is missing"),
            ),
            ("x".repeat(1 << 20), Err("has 1048576 bytes, above 65536")),
        ] {
            let found = read_reply(&space(), &reply).map(|design| space().text(&design));
            match expected {
                Ok(text) => assert_eq!(found.as_deref(), Ok(text), "{reply}"),
                Err(part) => {
                    let message = found.unwrap_err();
                    assert!(
                        message.contains(part) && message.len() < 300,
                        "{part}: {message}"
                    );
                }
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "\\PC{0,200}") {
            let _ = read_reply(&space(), &text);
        }

        #[test]
        fn any_damage_is_read_or_refused(
            seed in 0u64..1000,
            at in 0usize..70,
            with in "[\\[\\]{}\",:0-9a-z\\\\.-]{0,4}",
        ) {
            let space = space();
            let design = space.draw(&mut Draws::new(seed, "fuzz")).unwrap();
            let mut text = space.json(&design);
            prop_assert_eq!(read_reply(&space, &text), Ok(design));
            let at = at.min(text.len());
            let end = (at + with.len()).min(text.len());
            text.replace_range(at..end, &with);
            // What is still read is a design of the space.
            if let Ok(found) = read_reply(&space, &text) {
                prop_assert!(space.check(&found).is_ok());
                prop_assert_eq!(space.parse(&space.text(&found)).unwrap(), found);
            }
        }
    }
}
