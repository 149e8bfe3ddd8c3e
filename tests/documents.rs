//! The commands and files that `README.md`, `RESULTS.md`, `ARCHITECTURE.md`, `CONTRIBUTING.md` and `docs/` show.
//!
//! Every command is parsed by the program's own parser, so that a renamed verb or option fails here. Commands are not run. The Rust code of
//! `README.md` and `docs/results.md` is compiled as documentation tests of `src/lib.rs`.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test, and a skipped test says so"
)]

mod command;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use clap::Command;
use crossburn::prelude::Recipe;
use toml::Table;

use command::good;

/// Options of other programs that documents mention.
const OPTIONS_OF_OTHERS: [&str; 4] = ["all-targets", "features", "timings", "workspace"];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The Markdown files of a folder and of the folders in it.
fn markdown(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(markdown(&path));
        } else if path.extension().is_some_and(|ending| ending == "md") {
            files.push(path);
        }
    }
    files
}

/// The documents by their path, with their text.
fn documents() -> Vec<(String, String)> {
    let mut paths = markdown(&root().join("docs"));
    for name in [
        "README.md",
        "RESULTS.md",
        "ARCHITECTURE.md",
        "CONTRIBUTING.md",
    ] {
        paths.push(root().join(name));
    }
    paths.sort();
    let named = paths.into_iter().map(|path| {
        let name = path.strip_prefix(root()).unwrap().display().to_string();
        (name, fs_err::read_to_string(path).unwrap())
    });
    named.collect()
}

/// The parts of a document.
#[derive(Default)]
struct Parts {
    /// Blocks of code: their language (empty where none is named) and their text.
    blocks: Vec<(String, String)>,
    /// Code inside sentences.
    spans: Vec<String>,
}

impl Parts {
    fn of(text: &str) -> Self {
        let mut parts = Self::default();
        let mut prose = String::new();
        let mut fenced = false;
        let mut indented = false;
        for line in text.lines() {
            if let Some(language) = line.strip_prefix("```") {
                fenced = !fenced;
                indented = false;
                if fenced {
                    parts.blocks.push((language.to_string(), String::new()));
                }
            } else if fenced {
                parts.blocks.last_mut().unwrap().1 += &format!("{line}\n");
            } else if let Some(line) = line.strip_prefix("    ") {
                if !indented {
                    parts.blocks.push(Default::default());
                }
                indented = true;
                parts.blocks.last_mut().unwrap().1 += &format!("{line}\n");
            } else {
                indented = false;
                prose += &format!("{line}\n");
            }
        }
        let marks = prose.matches('`').count();
        assert!(marks.is_multiple_of(2), "a backtick has no other one");
        let spans = prose.split('`').skip(1).step_by(2);
        parts.spans = spans.map(str::to_string).collect();
        parts
    }

    /// The commands of this program in the blocks, as words without the name of the program. A variable has the value that was assigned last. In a
    /// loop it has the first of its values.
    fn commands(&self) -> Vec<Vec<String>> {
        let mut values: BTreeMap<String, String> = BTreeMap::new();
        let mut commands = Vec::new();
        let shells = self.blocks.iter();
        let shells = shells.filter(|(language, _)| matches!(language.as_str(), "" | "sh"));
        for words in shells.flat_map(|(_, text)| shell(text)) {
            if let [word, name, inside, value, ..] = &words[..]
                && (word.as_str(), inside.as_str()) == ("for", "in")
            {
                values.insert(name.clone(), value.clone());
            }
            let mut rest = &words[..];
            while let Some((word, others)) = rest.split_first() {
                match word.split_once('=') {
                    Some((name, value)) => {
                        values.insert(name.to_string(), value.to_string());
                    }
                    None if matches!(word.as_str(), "do" | "time") => {}
                    None => break,
                }
                rest = others;
            }
            let known = |word: &String| {
                let named = values.iter().rev();
                named.fold(word.clone(), |word, (name, value)| {
                    word.replace(&format!("${name}"), value)
                })
            };
            commands.extend(arguments(&rest.iter().map(known).collect::<Vec<_>>()));
        }
        commands
    }
}

/// The commands of a shell script, as words. Quotes, comments, continued lines and pipes are understood; nothing is expanded.
fn shell(script: &str) -> Vec<Vec<String>> {
    let mut commands = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut letters = script.chars().peekable();
    while let Some(letter) = letters.next() {
        match (quote, letter) {
            (Some(open), _) if letter == open => quote = None,
            (Some(_), _) => word.get_or_insert_default().push(letter),
            // `$'…'` is a quote in which a backslash and a letter are one sign.
            (None, '$') if letters.peek() == Some(&'\'') => {}
            (None, '\'' | '"') => {
                quote = Some(letter);
                word.get_or_insert_default();
            }
            (None, '\\') if letters.next_if_eq(&'\n').is_some() => {}
            (None, '#') if word.is_none() => {
                while letters.next_if(|letter| *letter != '\n').is_some() {}
            }
            (None, ' ' | '\n' | '|' | ';' | '&' | '>' | '<') => {
                commands.last_mut().unwrap().extend(word.take());
                if letter != ' ' {
                    commands.push(Vec::new());
                }
            }
            (None, _) => word.get_or_insert_default().push(letter),
        }
    }
    commands.last_mut().unwrap().extend(word.take());
    commands.retain(|words| !words.is_empty());
    commands
}

/// The words after the name of this program, or after the `--` of `cargo run`; `None` for a command of another program.
fn arguments(words: &[String]) -> Option<Vec<String>> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let rest = match words.as_slice() {
        ["crossburn", rest @ ..] => rest,
        ["cargo", "run", ..] => words.split(|word| *word == "--").nth(1)?,
        _ => return None,
    };
    Some(rest.iter().map(ToString::to_string).collect())
}

/// The parser, with the options that all verbs share added to each.
fn parser() -> Command {
    let mut parser = crossburn::cli::parser();
    parser.build();
    parser
}

/// The long options of a command, with their other names.
fn options(command: &Command) -> BTreeSet<String> {
    let named = command.get_arguments().flat_map(|argument| {
        let others = argument.get_all_aliases().unwrap_or_default();
        argument.get_long().into_iter().chain(others)
    });
    named.map(str::to_string).collect()
}

/// The long options of a command and of its verbs.
fn all_options(command: &Command) -> BTreeSet<String> {
    let mut all = options(command);
    for verb in command.get_subcommands() {
        all.extend(all_options(verb));
    }
    all
}

/// The option that a word names, without dashes and value.
fn option(word: &str) -> Option<&str> {
    let name = word.strip_prefix("--")?.split(['=', ' ', '\n']).next()?;
    (!name.is_empty()).then_some(name)
}

/// The first verb or option among `words` that the program does not have. A word in capitals stands for any verb, and `a|b` for either.
fn unknown<'a>(parser: &Command, words: &[&'a str]) -> Option<&'a str> {
    let mut command = parser;
    for word in words {
        if let Some(name) = option(word) {
            if !options(command).contains(name) {
                return Some(word);
            }
        } else if let Some(verb) = word
            .split('|')
            .try_fold(command, |_, name| command.find_subcommand(name))
        {
            command = verb;
        } else if command.has_subcommands() {
            let is_name = word.starts_with(|letter: char| letter.is_ascii_lowercase());
            return is_name.then_some(word);
        }
    }
    None
}

#[test]
fn the_program_parses_every_command_of_the_documents() {
    let (parser, mut parsed) = (parser(), 0);
    for (document, text) in documents() {
        for words in Parts::of(&text).commands() {
            assert!(
                words.iter().all(|word| !word.contains('$')),
                "{document}: no variable has the value of {words:?}"
            );
            let typed = std::iter::once("crossburn").chain(words.iter().map(String::as_str));
            if let Err(error) = parser.clone().try_get_matches_from(typed) {
                panic!("{document}: crossburn {}: {error}", words.join(" "));
            }
            for file in words.iter().filter(|word| word.starts_with("configs/")) {
                assert!(root().join(file).exists(), "{document}: {file}");
            }
            parsed += 1;
        }
    }
    assert!(parsed > 150, "only {parsed} commands were found");
}

#[test]
fn sentences_name_verbs_and_options_that_there_are() {
    let parser = parser();
    let known = all_options(&parser);
    let (mut commands, mut alone, mut papers) = (0, 0, 0);
    for (document, text) in documents() {
        for span in Parts::of(&text).spans {
            if let Some(rest) = span.strip_prefix("crossburn ") {
                let words: Vec<&str> = rest.split_whitespace().collect();
                let unknown = unknown(&parser, &words);
                assert_eq!(unknown, None, "{document}: `{span}`");
                commands += 1;
                // A paper is named by a value, and these commands are whole.
                if words.first() == Some(&"reproduce") && words.len() > 1 && !rest.contains('…') {
                    let typed = shell(&span).remove(0);
                    let parsed = parser.clone().try_get_matches_from(typed);
                    assert!(parsed.is_ok(), "{document}: `{span}`: {:?}", parsed.err());
                    papers += 1;
                }
            } else if let Some(name) = option(&span) {
                let is_known = known.contains(name) || OPTIONS_OF_OTHERS.contains(&name);
                assert!(is_known, "{document}: `{span}`");
                alone += 1;
            }
        }
    }
    assert!(
        commands > 50 && alone > 100 && papers > 10,
        "{commands} {alone} {papers}"
    );
}

/// The TOML in a document, block by block.
fn tables(document: &str) -> Vec<Table> {
    let text = fs_err::read_to_string(root().join(document)).unwrap();
    let blocks = Parts::of(&text).blocks.into_iter();
    let blocks = blocks.filter(|(language, text)| {
        language == "toml" || language.is_empty() && text.starts_with('[')
    });
    let tables = blocks.map(|(_, text)| {
        let table = text.parse::<Table>();
        table.unwrap_or_else(|error| panic!("{document}: {error}: {text}"))
    });
    tables.collect()
}

#[test]
fn the_program_reads_the_files_of_the_documents() {
    let folder = tempfile::tempdir().unwrap();
    let read = |table: &Table, command: &str| {
        fs_err::write(folder.path().join("own.toml"), table.to_string()).unwrap();
        good(folder.path(), command);
    };
    read(
        &tables("docs/recipes.md")[0],
        "train own.toml --print-config",
    );
    for study in tables("docs/study.md") {
        read(&study, "study edge-llm own.toml --print-config");
    }
    read(&tables("docs/hardware.md")[0], "devices own.toml");
    let spaces = tables("docs/search-designs.md");
    let mut space = spaces[0].clone();
    read(&space, "search own.toml --print-config");
    space.extend(spaces[1].clone());
    read(&space, "search own.toml --print-config");
}

#[test]
fn parts_of_recipes_in_documents_fit_a_recipe() {
    let whole = tables("docs/recipes.md").remove(0);
    let mut parts = tables("docs/recipes.md");
    parts.extend(tables("docs/tuning.md"));
    parts.extend(tables("docs/search-designs.md").pop());
    assert!(parts.len() > 8, "only {} parts were found", parts.len());
    for part in parts {
        let mut recipe = whole.clone();
        recipe.extend(part.clone());
        let read: Result<Recipe, _> = recipe.try_into();
        assert!(read.is_ok(), "{}: {part}", read.unwrap_err());
    }
}

#[test]
fn the_recipe_of_faces_takes_the_cleansing_beside_it() {
    let [mut recipe, cleansing] = <[Table; 2]>::try_from(tables("docs/faces.md")).unwrap();
    let read: Result<Recipe, _> = recipe.clone().try_into();
    assert!(read.is_ok(), "{}", read.unwrap_err());
    let task = recipe["task"].as_table_mut().unwrap();
    task.extend(cleansing["task"].as_table().unwrap().clone());
    let read: Result<Recipe, _> = recipe.try_into();
    assert!(read.is_ok(), "{}", read.unwrap_err());
}

#[test]
fn a_renamed_verb_or_option_is_noticed() {
    let text = "Text with `crossburn map`.\n\n    crossburn trian a.toml\n\n```sh\necho \"a # b\" | crossburn generate \\\n    --model a --prompt 'x y' # why\n```\n";
    let parts = Parts::of(text);
    assert_eq!(parts.spans, ["crossburn map"]);
    let generate = ["generate", "--model", "a", "--prompt", "x y"];
    assert_eq!(parts.commands(), [&["trian", "a.toml"][..], &generate]);

    let looped = Parts::of("    for n in 3 4; do S=0.1 time crossburn map run-$n --seed $S; done");
    assert_eq!(looped.commands(), [["map", "run-3", "--seed", "0.1"]]);

    let parser = parser();
    let parse = |words: &[&str]| {
        let typed = std::iter::once("crossburn").chain(words.iter().copied());
        parser.clone().try_get_matches_from(typed).is_ok()
    };
    assert!(parse(&generate) && !parse(&["trian", "a.toml"]));
    assert!(!parse(&["generate", "--modle", "a"]));

    let first = |words: &'static str| unknown(&parser, &words.split(' ').collect::<Vec<_>>());
    assert_eq!(first("report A B …"), None);
    assert_eq!(first("VERB --help"), None);
    assert_eq!(first("ecg compile|simulate --accelerator FILE"), None);
    assert_eq!(first("ecg compile|simulat"), Some("compile|simulat"));
    assert_eq!(first("ecg simulate --accelerator FILE"), None);
    assert_eq!(first("ecg simulat"), Some("simulat"));
    assert_eq!(first("map --acelerator FILE"), Some("--acelerator"));
}

/// Numbers that are not those of a question without an answer, such as test points that are all alike.
#[test]
fn the_example_of_the_readme_judges_a_network_that_learns_and_suffers() {
    // Cargo puts tests into `deps` and examples beside it.
    let test = std::env::current_exe().unwrap();
    let example = test.parent().unwrap().parent().unwrap();
    let example = example.join("examples/07_your_own_network");
    if !example.exists() {
        eprintln!("skipped: the examples are not built; run `cargo test` without a name");
        return;
    }
    let output = std::process::Command::new(example).output().unwrap();
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    let numbers: Vec<f64> = text
        .split(|c: char| !(c.is_ascii_digit() || c == '.'))
        .filter_map(|word| word.parse().ok())
        .collect();
    // "KPP(1)" and "within 0.03" have numbers as well.
    let [clean, one, kpp, bound, worst, programmed] = numbers[..] else {
        panic!("{text}");
    };
    assert_eq!((one, bound), (1.0, 0.03), "{text}");
    // 44 % of the points lie in the ring.
    assert!(clean > 0.7 && clean < 1.0, "{text}");
    assert!(kpp < clean && worst < clean, "{text}");
    assert!(worst > 0.5 && programmed > 0.5, "{text}");
}
