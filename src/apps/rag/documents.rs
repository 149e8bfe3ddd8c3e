//! Documents: which files are read, and which passages they contain.

use std::collections::HashSet;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use crossburn_training::data::{is_lamp, lamp_profiles, read_utf8};
use serde_json::Value;

use super::passage::{Passage, of_entry, of_markdown, of_text};
use super::passage_store::PassageStore;

/// The format of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Text,
    Markdown,
    /// One JSON object per line.
    Lines,
    /// Questions of the LaMP benchmark; the profiles are read.
    Lamp,
}

/// The kinds of documents that are read from folders, for messages.
const KINDS: &str =
    "text (.txt), Markdown (.md), JSON lines (.jsonl) and LaMP questions (NAME_questions.json)";

/// The field of JSON lines that is read if the user names none.
const FIELD: &str = "text";

/// The files that documents are read from.
#[derive(Debug)]
pub(crate) struct Files {
    /// In the order that the user gave. The files of a folder are in order of their names.
    files: Vec<Source>,
    /// Number of files in folders that are not read, because they are of no kind of document.
    pub(crate) passed_over: usize,
}

/// A file to read.
#[derive(Debug)]
struct Source {
    path: PathBuf,
    /// Whether the user named this file, rather than a folder that contains it.
    named: bool,
}

/// How documents are read.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    /// Most words of a passage.
    pub(crate) most_words: usize,
    /// The fields of JSON lines, joined in this order. If empty, the field `text`.
    pub(crate) fields: Vec<String>,
    /// The question of a LaMP file whose profile is read. If absent, all profiles.
    pub(crate) user: Option<String>,
}

/// A file and its passages.
#[derive(Debug)]
pub(crate) struct Document {
    /// Its absolute path.
    pub(crate) file: String,
    /// If the user named the file, there is at least one.
    pub(crate) passages: Vec<Passage>,
    /// Number of lines or entries without a word.
    pub(crate) empty: usize,
}

impl Files {
    /// The files in `asked`, and the documents in the folders in `asked`.
    ///
    /// # Errors
    /// If a path does not exist, a folder cannot be read, or a folder contains no document.
    pub(crate) fn of(asked: &[PathBuf]) -> Result<Self> {
        let mut files = Self {
            files: Vec::new(),
            passed_over: 0,
        };
        for path in asked {
            if !path.exists() {
                bail!(
                    "there is no file or folder {}; hint: check its name",
                    path.display()
                );
            }
            if !path.is_dir() {
                files.files.push(Source {
                    path: path.clone(),
                    named: true,
                });
                continue;
            }
            let before = files.files.len();
            files.search(path)?;
            if files.files.len() == before {
                bail!(
                    "{} holds no document; hint: {KINDS} are read from folders; name any other text file itself",
                    path.display()
                );
            }
        }
        Ok(files)
    }

    /// Adds the documents below `folder`. Hidden files and the files of a store are not documents. Links to folders are not followed, since they may lead back.
    fn search(&mut self, folder: &Path) -> Result<()> {
        if PassageStore::owns(folder) {
            return Ok(());
        }
        let entries = fs_err::read_dir(folder)?.collect::<std::io::Result<Vec<_>>>();
        let mut entries = entries.with_context(|| folder.display().to_string())?;
        entries.sort_by_key(fs_err::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let kind = entry.file_type()?;
            if entry.file_name().to_string_lossy().starts_with('.') {
                continue;
            }
            if kind.is_dir() {
                self.search(&path)?;
            } else if path.is_file() {
                match kind_of(&path) {
                    Some(_) => self.files.push(Source { path, named: false }),
                    None => self.passed_over += 1,
                }
            }
        }
        Ok(())
    }

    /// Reads all files. A file that is given twice is read once.
    ///
    /// # Errors
    /// If a file cannot be read or its content does not fit its name, or if a file that the user named contains no text.
    pub(crate) fn read(&self, reading: &Reading) -> Result<Vec<Document>> {
        let mut documents: Vec<Document> = Vec::new();
        let mut met = HashSet::new();
        for Source { path, named } in &self.files {
            let file = identity(path)?;
            if !met.insert(file.clone()) {
                continue;
            }
            let document = reading.read(path, file)?;
            if document.passages.is_empty() && *named {
                bail!("{} holds no text; hint: leave it out", path.display());
            }
            documents.push(document);
        }
        Ok(documents)
    }
}

impl Reading {
    fn read(&self, path: &Path, file: String) -> Result<Document> {
        let most = self.most_words;
        let mut empty = 0;
        let passages = match kind_of(path).unwrap_or(Kind::Text) {
            Kind::Text => of_text(&read_utf8(path)?, most),
            Kind::Markdown => of_markdown(&read_utf8(path)?, most),
            Kind::Lines => {
                let text = read_utf8(path)?;
                let mut passages = Vec::new();
                for (line, number) in text.lines().zip(1..) {
                    if line.trim().is_empty() {
                        continue;
                    }
                    let at = format!("line {number}");
                    let said = self
                        .said(line)
                        .with_context(|| format!("{}, {at}", path.display()))?;
                    let found = of_entry(&said, &at, most);
                    empty += usize::from(found.is_empty());
                    passages.extend(found);
                }
                passages
            }
            Kind::Lamp => {
                let mut passages = Vec::new();
                for entry in lamp_profiles(path, self.user.as_deref())? {
                    let found = of_entry(&entry.text, &entry.place, most);
                    empty += usize::from(found.is_empty());
                    passages.extend(found);
                }
                passages
            }
        };
        Ok(Document {
            file,
            passages,
            empty,
        })
    }

    /// The text of a line of JSON: its fields, one per line.
    fn said(&self, line: &str) -> Result<String> {
        let document: Value = match serde_json::from_str(line) {
            Ok(document) => document,
            Err(error) => bail!("it is not JSON ({error}); hint: write one JSON object a line"),
        };
        let Value::Object(document) = document else {
            bail!("it is not a JSON object; hint: write {{\"text\": \"...\"}}");
        };
        let usual = [FIELD.to_string()];
        let fields = match self.fields.is_empty() {
            true => &usual[..],
            false => &self.fields,
        };
        let texts = fields.iter().map(|field| match document.get(field) {
            Some(Value::String(text)) => Ok(text.clone()),
            Some(Value::Number(number)) => Ok(number.to_string()),
            Some(_) => bail!(
                "field {field:?} is neither a text nor a number; hint: name another field with --field"
            ),
            None => {
                let keys: Vec<String> = document.keys().map(|key| format!("{key:?}")).collect();
                if keys.is_empty() {
                    bail!("it has no field {field:?}, nor any other; hint: remove the line");
                }
                bail!(
                    "it has no field {field:?}, only {}; hint: name the fields to index with --field",
                    keys.join(", ")
                )
            }
        });
        let texts: Vec<String> = texts.collect::<Result<_>>()?;
        Ok(texts.join("\n"))
    }
}

/// The format of `path`, by its name.
fn kind_of(path: &Path) -> Option<Kind> {
    if is_lamp(path) {
        return Some(Kind::Lamp);
    }
    let ending = path.extension()?.to_str()?.to_ascii_lowercase();
    match ending.as_str() {
        "txt" | "text" => Some(Kind::Text),
        "md" | "markdown" => Some(Kind::Markdown),
        "jsonl" | "ndjson" => Some(Kind::Lines),
        _ => None,
    }
}

/// The absolute path that identifies a file, also after it was removed.
///
/// # Errors
/// If there is no current folder, or if the path is not UTF-8: two such paths could become equal.
pub(crate) fn identity(path: &Path) -> Result<String> {
    let path = match path.canonicalize() {
        Ok(path) => path,
        Err(_) => {
            let path = std::path::absolute(path).with_context(|| path.display().to_string())?;
            // The folder may be a link, now or when the file was read.
            match (
                path.parent().and_then(|folder| folder.canonicalize().ok()),
                path.file_name(),
            ) {
                (Some(folder), Some(name)) => folder.join(name),
                _ => path,
            }
        }
    };
    match path.to_str() {
        Some(path) => Ok(path.to_string()),
        None => bail!(
            "the path {} is not UTF-8; hint: rename the file or its folder",
            path.display()
        ),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn reading(fields: &[&str]) -> Reading {
        Reading {
            most_words: 50,
            fields: fields.iter().map(ToString::to_string).collect(),
            user: None,
        }
    }

    fn texts(document: &Document) -> Vec<&str> {
        let texts = document.passages.iter();
        texts.map(|passage| passage.text.as_str()).collect()
    }

    #[test]
    fn folders_are_searched_for_documents_in_the_order_of_names() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        std::fs::create_dir_all(root.join("b/c")).unwrap();
        for (name, text) in [
            ("z.txt", "last"),
            ("b/c/deep.MD", "# deep"),
            ("b/a.jsonl", "{\"text\": \"line\"}\n\n{\"text\": \"\"}\n"),
            ("b/void.txt", "\n"),
            ("b/picture.png", "x"),
            (".hidden.txt", "no"),
        ] {
            std::fs::write(root.join(name), text).unwrap();
        }
        let files = Files::of(&[root.to_path_buf(), root.join("z.txt")]).unwrap();
        assert_eq!(files.passed_over, 1);
        let documents = files.read(&reading(&[])).unwrap();
        let found: Vec<Vec<&str>> = documents.iter().map(texts).collect();
        // The named file is read only once.
        assert_eq!(
            found,
            [vec!["line"], vec!["deep"], Vec::new(), vec!["last"]]
        );
        assert_eq!(documents[0].empty, 1);
        assert!(documents[3].file.ends_with("z.txt"));
    }

    #[test]
    fn what_cannot_be_read_is_named_with_the_remedy() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        let of = |name: &str, text: &[u8], fields: &[&str]| {
            let path = root.join(name);
            std::fs::write(&path, text).unwrap();
            let files = Files::of(&[path]).unwrap();
            let error = files.read(&reading(fields)).unwrap_err();
            format!("{error:#}")
        };
        for (message, expected) in [
            (
                of("a.txt", b" \n", &[]),
                "a.txt holds no text; hint: leave it out",
            ),
            (of("b.log", b"a\n\xff", &[]), "b.log, line 2"),
            (
                of("c.jsonl", b"{\"text\": \"a\"}\n{", &[]),
                "c.jsonl, line 2: it is not JSON",
            ),
            (of("d.jsonl", b"[]", &[]), "it is not a JSON object"),
            (
                of("e.jsonl", b"{\"title\": \"a\", \"n\": 1}", &[]),
                "e.jsonl, line 1: it has no field \"text\", only \"title\", \"n\"; hint: name the fields to index with --field",
            ),
            (
                of("g.jsonl", b"{}", &[]),
                "g.jsonl, line 1: it has no field \"text\", nor any other; hint: remove the line",
            ),
            (
                of("f.jsonl", b"{\"a\": []}", &["a"]),
                "field \"a\" is neither a text nor a number",
            ),
        ] {
            assert!(message.contains(expected), "{message}");
        }
        let missing = Files::of(&[root.join("none")]).unwrap_err().to_string();
        assert!(missing.contains("there is no file or folder"), "{missing}");
        std::fs::create_dir(root.join("empty")).unwrap();
        let empty = Files::of(&[root.join("empty")]).unwrap_err().to_string();
        assert!(empty.contains("holds no document; hint: "), "{empty}");
    }

    #[test]
    fn fields_are_put_together_in_the_order_of_the_user() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.jsonl");
        std::fs::write(&path, r#"{"a": "one", "b": 2, "c": null}"#).unwrap();
        let documents = Files::of(&[path]).unwrap().read(&reading(&["b", "a"]));
        assert_eq!(texts(&documents.unwrap()[0]), ["2 one"]);
    }
}
