//! The recipe of `train`: a TOML file, and the settings of the command line applied to it.

use std::path::Path;

use anyhow::{Context, Error, Result, anyhow, bail};
use crossburn_hardware::cost::accelerators;
use crossburn_hardware::toml_problem;
use crossburn_training::Recipe;
use serde::Deserialize;
use toml::value::Datetime;
use toml::{Table, Value};

use super::command_line::quoted;
use super::nearest::nearest;
use crate::apps::hardware::open_hardware;

/// The key that says which other keys a table has.
const KIND: &str = "kind";

/// One key of a recipe and its value, from the command line.
#[derive(Clone, Debug)]
pub(super) struct Setting {
    /// The tables, outermost first, and the key.
    path: Vec<String>,
    value: Value,
    /// The option and its value, for messages.
    option: String,
}

impl Setting {
    /// The setting of `--set text`: `KEY=VALUE` with a dotted key. The value is TOML; text that is no TOML is taken as a
    /// string.
    ///
    /// # Errors
    /// A text without `=`, a key with an empty part, and a table, an array or a string that does not end.
    pub(super) fn parse(text: &str) -> Result<Self> {
        let option = quoted(["--set", text]);
        let Some((key, value)) = text.split_once('=') else {
            bail!("{option} has no value: use --set KEY=VALUE, such as --set training.epochs=3");
        };
        let path: Vec<String> = key.split('.').map(|part| part.trim().to_string()).collect();
        if path.iter().any(String::is_empty) {
            bail!("{option} names no key: use --set KEY=VALUE, such as --set training.epochs=3");
        }
        let word = value.trim();
        let value = match word.parse() {
            Ok(value) => value,
            Err(error) if word.starts_with(['{', '[', '"', '\'']) => {
                bail!("{option}: {}", toml_problem(word, &error))
            }
            Err(_) => Value::String(word.to_string()),
        };
        Ok(Self {
            path,
            value,
            option,
        })
    }

    /// The setting of `--init file`.
    pub(super) fn init(file: &Path) -> Self {
        let file = file.display().to_string();
        let model = [("kind", "onnx"), ("file", &file)];
        let model = model.map(|(key, value)| (key.to_string(), Value::String(value.to_string())));
        Self {
            path: vec!["model".to_string()],
            value: Value::Table(model.into_iter().collect()),
            option: quoted(["--init", &file]),
        }
    }

    /// The setting of `--kind name`: a network of the kind `kind`, with a depth if the name has one.
    pub(super) fn kind(name: &str, kind: &str, depth: Option<i64>) -> Self {
        let kind = (KIND.to_string(), Value::String(kind.to_string()));
        let depth = depth.map(|depth| ("depth".to_string(), Value::Integer(depth)));
        Self {
            path: vec!["model".to_string()],
            value: Value::Table(std::iter::once(kind).chain(depth).collect()),
            option: quoted(["--kind", name]),
        }
    }

    /// The setting of `--data source`.
    pub(super) fn data(source: &str) -> Self {
        Self {
            path: vec!["data".to_string(), "source".to_string()],
            value: Value::String(source.to_string()),
            option: quoted(["--data", source]),
        }
    }

    /// The setting of `--hardware text`: the name of an accelerator, or the table in a file.
    ///
    /// # Errors
    /// Those of [`open_hardware`].
    pub(super) fn hardware(text: &str) -> Result<Self> {
        let named = open_hardware(text)?;
        let value = match accelerators().any(|name| name == text) {
            true => Value::String(named.name),
            false => Value::try_from(named.hardware.config())?,
        };
        Ok(Self {
            path: vec!["hardware".to_string(), "accelerator".to_string()],
            value,
            option: quoted(["--hardware", text]),
        })
    }

    /// The dotted key.
    pub(super) fn key(&self) -> String {
        self.path.join(".")
    }

    /// The dotted keys that it gives a value to: its own, or those of its table.
    fn leaves(&self) -> Vec<String> {
        let mut leaves = Vec::new();
        add_keys(&self.key(), &self.value, &mut leaves, Keys::Leaves);
        leaves
    }

    /// The dotted key that ends in the part `name`, if one does.
    fn key_of(&self, name: &str) -> Option<String> {
        self.leaves().iter().find_map(|leaf| {
            let parts: Vec<&str> = leaf.split('.').collect();
            let at = parts.iter().rposition(|part| *part == name)?;
            Some(parts[..=at].join("."))
        })
    }

    /// Puts the value into `document`, a recipe. A table that the recipe does not give is of the kind that it has by default.
    fn apply(&self, document: &mut Table) -> Result<()> {
        let Some((last, tables)) = self.path.split_last() else {
            return Ok(());
        };
        let resolved = Recipe::deserialize(document.clone()).ok();
        let mut default = resolved.and_then(|recipe| Value::try_from(recipe).ok());
        let mut inner = document;
        for (depth, name) in tables.iter().enumerate() {
            default = default.and_then(|table| table.get(name).cloned());
            let kind = default.as_ref().and_then(|table| table.get(KIND)).cloned();
            let entry = inner.entry(name).or_insert_with(|| {
                let kind = kind.map(|kind| (KIND.to_string(), kind));
                Value::Table(kind.into_iter().collect())
            });
            let Value::Table(next) = entry else {
                bail!(
                    "{}: `{}` is a value, not a table",
                    self.option,
                    self.path[..=depth].join(".")
                );
            };
            inner = next;
        }
        inner.insert(last.clone(), self.value.clone());
        Ok(())
    }
}

/// The recipe in the file at `path` with `settings` applied in their order, checked.
///
/// # Errors
/// A file that is no recipe, a key that recipes do not have, a value that the key does not take, a key that is set twice.
pub(super) fn read_recipe(path: &Path, settings: &[Setting]) -> Result<Recipe> {
    let text = fs_err::read_to_string(path)?;
    resolve(&path.display().to_string(), &text, settings)
}

/// The recipe `text`, which is called `name`, with `settings` applied in their order, checked.
///
/// # Errors
/// As [`read_recipe`].
pub(super) fn resolve(name: &str, text: &str, settings: &[Setting]) -> Result<Recipe> {
    let recipe = parsed(name, text, settings)?;
    recipe.check().with_context(|| match settings.is_empty() {
        true => format!("in {name}"),
        false => format!("in {name} with {}", options(settings)),
    })?;
    Ok(recipe)
}

/// The same, where network and data are not checked yet.
///
/// # Errors
/// As [`read_recipe`], but for values that only a check refuses.
pub(super) fn parsed(name: &str, text: &str, settings: &[Setting]) -> Result<Recipe> {
    let no_recipe = |error: &toml::de::Error| {
        let problem = toml_problem(text, error);
        anyhow!("{name} is not a recipe: {problem}")
    };
    if settings.is_empty() {
        return toml::from_str(text).map_err(|error| no_recipe(&error));
    }
    refuse_repetition(settings)?;
    let file: Table = toml::from_str(text).map_err(|error| no_recipe(&error))?;
    let document = with(&file, settings)?;
    let recipe = Recipe::deserialize(document.clone()).map_err(|error| {
        let alone = toml::from_str::<Recipe>(text).err();
        match alone.filter(|alone| alone.message() == error.message()) {
            Some(alone) => no_recipe(&alone),
            None => refusal(name, &file, settings, &error),
        }
    })?;
    for setting in settings {
        if let Some(key) = unread(&document, setting)? {
            return Err(unknown_key(&file, settings, setting, &key, &[]));
        }
    }
    Ok(recipe)
}

/// A second value for a key would silently replace the first.
fn refuse_repetition(settings: &[Setting]) -> Result<()> {
    for (index, later) in settings.iter().enumerate() {
        let earlier = &settings[..index];
        if let Some(earlier) = earlier.iter().find(|one| one.path.starts_with(&later.path)) {
            bail!(
                "{} replaces {}: set every key once",
                later.option,
                earlier.option
            );
        }
    }
    Ok(())
}

fn options(settings: &[Setting]) -> String {
    let options: Vec<&str> = settings.iter().map(|one| one.option.as_str()).collect();
    options.join(" ")
}

/// `file` with `settings` applied.
fn with<'a>(file: &Table, settings: impl IntoIterator<Item = &'a Setting>) -> Result<Table> {
    let mut table = file.clone();
    for setting in settings {
        setting.apply(&mut table)?;
    }
    Ok(table)
}

/// `file` with `settings` applied, all but `left_out`.
fn without(file: &Table, settings: &[Setting], left_out: &Setting) -> Result<Table> {
    let others = settings.iter().filter(|one| one.path != left_out.path);
    with(file, others)
}

/// The key of `setting` that no field of a recipe takes. Serde skips some keys rather than refuse them, such as those
/// beside the name of a variant that has no fields. Two values that no field takes both show which: a date, which a string
/// takes, and a list of lists. A recipe is only accepted with either where nothing looks at it.
fn unread(document: &Table, setting: &Setting) -> Result<Option<String>> {
    let date: Datetime = "1970-01-01".parse()?;
    let lists = Value::Array(vec![Value::Array(vec![Value::Boolean(true)])]);
    for key in setting.leaves() {
        let accepted = |value: &Value| -> Result<bool> {
            let probe = Setting {
                path: key.split('.').map(str::to_string).collect(),
                value: value.clone(),
                option: setting.option.clone(),
            };
            Ok(Recipe::deserialize(with(document, [&probe])?).is_ok())
        };
        if accepted(&Value::Datetime(date))? && accepted(&lists)? {
            return Ok(Some(key));
        }
    }
    Ok(None)
}

/// The names in backquotes of a message of serde, such as "unknown field `a`, expected `b` or `c`": `a`, then the others.
fn names(message: &str) -> Vec<&str> {
    message.split('`').skip(1).step_by(2).collect()
}

/// Why `file` with `settings` is no recipe, by the setting at fault.
fn refusal(called: &str, file: &Table, settings: &[Setting], error: &toml::de::Error) -> Error {
    let message = plain(error.message());
    let Some(setting) = at_fault(file, settings, error) else {
        let options = options(settings);
        return anyhow!("{called} with {options} is not a recipe: {message}");
    };
    let option = &setting.option;
    let names = names(error.message());
    let Some((name, known)) = names.split_first() else {
        return anyhow!("{option}: {message}");
    };
    match error.message() {
        unknown if unknown.starts_with("unknown field") => match setting.key_of(name) {
            Some(key) => unknown_key(file, settings, setting, &key, known),
            None => {
                let key = setting.key();
                let (table, last) = key.rsplit_once('.').unwrap_or_default();
                let whole = format!("{table}={{{last}={},...}}", setting.value);
                anyhow!(
                    "{option} does not go with the key `{name}` in {called}: replace the whole table, {}",
                    quoted(["--set", &whole]),
                )
            }
        },
        unknown if unknown.starts_with("unknown variant") => {
            match nearest(name, known.iter().copied()) {
                Some(meant) => anyhow!("{option}: {message}: did you mean `{meant}`?"),
                None => anyhow!("{option}: {message}"),
            }
        }
        missing if missing.starts_with("missing field") => {
            let key = setting.key();
            let table = if setting.value.is_table() {
                key.as_str()
            } else {
                parent(&key)
            };
            let missing = joined(table, name);
            anyhow!("{option}: {message}: add --set {missing}=VALUE")
        }
        _ => anyhow!("{option}: {message}"),
    }
}

/// The setting that `error` is about: one whose key the error names and without which there is no such error.
fn at_fault<'a>(
    file: &Table,
    settings: &'a [Setting],
    error: &toml::de::Error,
) -> Option<&'a Setting> {
    let whole = error.to_string();
    // The last line says where, as far as serde knows: "in `training.epochs`".
    let place = whole.lines().rev().find_map(|line| {
        let place = line.strip_prefix("in `")?.strip_suffix('`')?;
        Some(place.split('.').collect::<Vec<_>>())
    });
    let is_there = |setting: &&Setting| {
        let path = setting.path.iter().map(String::as_str);
        let place = place.iter().flatten().copied();
        path.zip(place).all(|(a, b)| a == b)
    };
    let unknown = error.message().starts_with("unknown field");
    let name = names(error.message()).first().copied().unwrap_or_default();
    let names_it = |setting: &&Setting| unknown && setting.key_of(name).is_some();
    let causes_it = |setting: &&Setting| {
        let others = without(file, settings, setting);
        others.is_ok_and(|table| match Recipe::deserialize(table) {
            Ok(_) => true,
            Err(other) => other.to_string() != whole,
        })
    };
    let there: Vec<&Setting> = settings.iter().filter(is_there).collect();
    let naming: Vec<&Setting> = there.iter().copied().filter(names_it).collect();
    let suspects = if naming.is_empty() { &there } else { &naming };
    let cause = suspects.iter().copied().find(|one| causes_it(one));
    // Two settings may make the same mistake: either alone is enough of it.
    cause.or(naming.first().copied())
}

/// That recipes have no `key`, which `setting` sets; `known` are the keys that serde knows in its place.
fn unknown_key(
    file: &Table,
    settings: &[Setting],
    setting: &Setting,
    key: &str,
    known: &[&str],
) -> Error {
    let table = parent(key);
    let mut keys: Vec<String> = known.iter().map(|name| joined(table, name)).collect();
    // All keys of the recipe without this setting, defaults included.
    let others = without(file, settings, setting)
        .ok()
        .and_then(|others| Recipe::deserialize(others).ok());
    if let Some(Ok(resolved)) = others.map(Value::try_from) {
        add_keys("", &resolved, &mut keys, Keys::All);
    }
    let option = &setting.option;
    let full = setting.leaves();
    let below = format!("{key}.");
    let full = full
        .iter()
        .find(|leaf| *leaf == key || leaf.starts_with(&below));
    let full = full.map_or(key, String::as_str);
    let meant = nearest(full, keys.iter().map(String::as_str)).map(str::to_string);
    let meant = meant.or_else(|| {
        // The key may be right in a table that is not.
        let table = nearest(key, keys.iter().map(String::as_str))?;
        Some(format!("{table}{}", full.strip_prefix(key)?))
    });
    let what = format!("{option}: unknown key `{key}`");
    if let Some(meant) = meant {
        return anyhow!("{what}: did you mean `{meant}`?");
    }
    let mut beside: Vec<&str> = keys.iter().map(String::as_str).collect();
    beside.retain(|other| parent(other) == table);
    beside.sort_unstable();
    beside.dedup();
    match beside.is_empty() {
        true => anyhow!("{what}"),
        false => anyhow!("{what}: use one of `{}`", beside.join("`, `")),
    }
}

/// The dotted key of the table that `key` stands in.
fn parent(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(table, _)| table)
}

fn joined(table: &str, name: &str) -> String {
    match table {
        "" => name.to_string(),
        _ => format!("{table}.{name}"),
    }
}

/// Which keys of a document are meant.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Keys {
    /// Keys of tables too.
    All,
    /// Only keys without keys below them.
    Leaves,
}

/// Adds the dotted keys of `value`, whose own key is `key`.
fn add_keys(key: &str, value: &Value, keys: &mut Vec<String>, which: Keys) {
    let table = value.as_table().filter(|table| !table.is_empty());
    if !key.is_empty() && (which == Keys::All || table.is_none()) {
        keys.push(key.to_string());
    }
    for (name, value) in table.into_iter().flatten() {
        add_keys(&joined(key, name), value, keys, which);
    }
}

/// A message of serde without Rust's names of types.
fn plain(message: &str) -> String {
    let mut plain = message.lines().collect::<Vec<_>>().join(" ");
    for form in ["struct", "internally tagged enum", "a map"] {
        if let Some((start, _)) = plain.split_once(&format!(", expected {form}")) {
            plain = format!("{start}, expected a table");
        }
    }
    for (types, words) in [
        (&["usize", "u64", "u32", "u8"][..], "a whole number"),
        (&["f64", "f32"], "a number"),
    ] {
        for name in types {
            if let Some(start) = plain.strip_suffix(&format!("expected {name}")) {
                plain = format!("{start}expected {words}");
            }
        }
    }
    plain
}
