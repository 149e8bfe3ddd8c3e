//! The documents of `results/`, and that `README.md`, `RESULTS.md` and `docs/results/*.md` quote them to the shown digits.
//!
//! `docs/results.md` describes the comment before a table that says what it quotes.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

mod command;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

/// The largest document, in bytes.
const LARGEST: usize = 300_000;
const OPEN: &str = "<!-- quotes";
const CLOSE: &str = "-->";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn read(path: &Path) -> String {
    fs_err::read_to_string(path).unwrap()
}

/// Files with this ending in a folder, by name.
fn files(folder: &str, ending: &str) -> BTreeMap<String, String> {
    let entries = fs_err::read_dir(root().join(folder)).unwrap();
    let paths = entries.map(|entry| entry.unwrap().path());
    paths
        .filter(|path| path.extension().is_some_and(|found| found == ending))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().to_string();
            (name, read(&path))
        })
        .collect()
}

fn documents() -> BTreeMap<String, Value> {
    let texts = files("results", "json").into_iter();
    texts
        .map(|(name, text)| (name, serde_json::from_str(&text).unwrap()))
        .collect()
}

/// The pages that may quote, by their path.
fn pages() -> BTreeMap<String, String> {
    let tables = files("docs/results", "md").into_iter();
    let mut pages: BTreeMap<String, String> = tables
        .map(|(name, text)| (format!("docs/results/{name}"), text))
        .collect();
    for name in ["README.md", "RESULTS.md"] {
        pages.insert(name.into(), read(&root().join(name)));
    }
    pages
}

/// A number as a cell shows it.
#[derive(Debug, PartialEq)]
enum Shown {
    /// Its value, and half of the unit of its last digit.
    Number(f64, f64),
    /// A side of an interval that nothing bounds.
    Unbounded,
}

/// The numbers of a cell in order: `64.69 [58.70, …]` has three.
fn shown(cell: &str) -> Vec<Shown> {
    let text: Vec<char> = cell.replace('−', "-").chars().collect();
    let digit = |at: usize| text.get(at).is_some_and(char::is_ascii_digit);
    let (mut found, mut at) = (Vec::new(), 0);
    while at < text.len() {
        if text[at] == '…' {
            found.push(Shown::Unbounded);
            at += 1;
            continue;
        }
        if !digit(at) {
            at += 1;
            continue;
        }
        let word = at > 0 && text[at - 1].is_alphabetic();
        let minus = at > 0 && text[at - 1] == '-' && !(at > 1 && text[at - 2].is_alphanumeric());
        let (mut number, mut places, mut point) = (String::new(), 0, false);
        loop {
            let thousand = text.get(at) == Some(&',')
                && (1..=3).all(|next| digit(at + next))
                && !digit(at + 4)
                && !point;
            if digit(at) {
                number.push(text[at]);
                places += i32::from(point);
            } else if text.get(at) == Some(&'.') && digit(at + 1) && !point {
                number.push('.');
                point = true;
            } else if !thousand {
                break;
            }
            at += 1;
        }
        if text.get(at) == Some(&'e') && (digit(at + 1) || text.get(at + 1) == Some(&'-')) {
            let exponent: String = text[at + 1..]
                .iter()
                .take_while(|c| c.is_ascii_digit() || **c == '-')
                .collect();
            places -= exponent.parse::<i32>().unwrap();
            number = format!("{number}e{exponent}");
            at += 1 + exponent.len();
        }
        let value: f64 = number.parse().unwrap();
        // A digit in a word, such as that of `F2`, is no number.
        if !word {
            let value = if minus { -value } else { value };
            found.push(Shown::Number(value, 0.5 * 10f64.powi(-places)));
        }
    }
    found
}

/// What a document has for a cell.
enum Measured {
    Number(f64),
    Words(String),
    Nothing,
}

fn list(value: &Value) -> Vec<f64> {
    let values = value.as_array().into_iter().flatten();
    values.filter_map(Value::as_f64).collect()
}

/// What a search of the document had found on average after `evaluations`, less than the best of the whole space.
fn regret(document: &Value, proposer: &Value, evaluations: f64) -> Option<f64> {
    let runs = proposer["runs"].as_array()?;
    let best = |run: &Value| {
        let rises = run["best"].as_array()?.iter();
        let mut before = rises.filter(|rise| rise[0].as_f64().is_some_and(|at| at <= evaluations));
        before.next_back()?[1].as_f64()
    };
    let best: Option<Vec<f64>> = runs.iter().map(best).collect();
    let best = best?;
    Some(document["optimum"].as_f64()? - best.iter().sum::<f64>() / best.len() as f64)
}

/// What `token` means for the row that begins at `pointer` of `document`.
fn measured(document: &Value, pointer: &str, token: &str) -> Result<Measured, String> {
    let at = |path: &str| {
        let path = format!("{pointer}{}", path.trim_start_matches('.'));
        let found = document.pointer(&path);
        found.ok_or_else(|| format!("the document has no {path}"))
    };
    let of_list = |path: &str, what: &dyn Fn(&[f64]) -> f64| {
        let values = list(at(path)?);
        Ok(match values.is_empty() {
            true => Measured::Nothing,
            false => Measured::Number(what(&values)),
        })
    };
    if let Some(path) = token.strip_prefix("mean:") {
        return of_list(path, &|values| {
            values.iter().sum::<f64>() / values.len() as f64
        });
    }
    if let Some(path) = token.strip_prefix("min:") {
        return of_list(path, &|values| {
            values.iter().copied().fold(f64::INFINITY, f64::min)
        });
    }
    if let Some(path) = token.strip_prefix("max:") {
        let most = |values: &[f64]| values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        return of_list(path, &most);
    }
    if let Some(evaluations) = token.strip_prefix("regret:") {
        let evaluations = evaluations
            .parse()
            .map_err(|_| format!("{token}: no number"))?;
        let regret = regret(document, at("")?, evaluations);
        return regret
            .map(Measured::Number)
            .ok_or_else(|| format!("no {token}"));
    }
    match at(token)? {
        Value::Null => Ok(Measured::Nothing),
        Value::String(words) => Ok(Measured::Words(words.clone())),
        value => value
            .as_f64()
            .map(Measured::Number)
            .ok_or_else(|| format!("{token} is no number")),
    }
}

/// What is wrong with a cell that quotes `tokens`.
fn wrong(document: &Value, row: &Row, column: &Column, cell: &str) -> Result<(), String> {
    let (mut numbers, mut said) = (Vec::new(), false);
    for token in &column.tokens {
        let pointers: Vec<&String> = match token.as_str() {
            "." => row.pointers.iter().collect(),
            _ => row.pointers.iter().take(1).collect(),
        };
        for pointer in pointers {
            // A claim of one seed has no interval.
            let (token, optional) = match token.strip_prefix('?') {
                Some(token) => (token, true),
                None => (token.as_str(), false),
            };
            if optional && measured(document, pointer, token).is_err() {
                continue;
            }
            // A factor of its own.
            let (factor, token) = match token.split_once('*') {
                Some((factor, token)) => (factor.parse().unwrap_or(f64::NAN), token),
                None => (1.0, token),
            };
            match measured(document, pointer, token)? {
                Measured::Words(words) if cell == words => said = true,
                Measured::Words(words) => return Err(format!("does not say `{words}`")),
                Measured::Number(value) => numbers.push(Some(factor * column.factor * value)),
                Measured::Nothing => numbers.push(None),
            }
        }
    }
    // Words may hold digits.
    if said && numbers.is_empty() {
        return Ok(());
    }
    let shown = shown(cell);
    if shown.is_empty() && numbers.iter().all(Option::is_none) {
        return Ok(());
    }
    let agree = |shown: &Shown, number: &Option<f64>| match (shown, number) {
        (Shown::Number(value, half), Some(number)) => {
            (value - number).abs() <= half * (1.0 + 1e-9) + 1e-12 * number.abs()
        }
        (Shown::Unbounded, None) => true,
        _ => false,
    };
    let same = match (&shown[..], numbers.len()) {
        // A range whose ends are alike is one number.
        ([one], 2..) => numbers.iter().all(|number| agree(one, number)),
        (all, count) => all.len() == count && all.iter().zip(&numbers).all(|(a, b)| agree(a, b)),
    };
    match same {
        true => Ok(()),
        false => Err(format!("the document has {numbers:?}")),
    }
}

/// A row of a table, and where its numbers begin.
struct Row {
    file: String,
    pointers: Vec<String>,
}

/// A column of a table: by what its numbers are multiplied, and what they are.
struct Column {
    factor: f64,
    tokens: Vec<String>,
}

/// Rows and columns of a comment; `None` for those that are not quoted. The first column is that of the names.
fn parsed(comment: &str) -> (Vec<Option<Row>>, Vec<Option<Column>>) {
    let lines: Vec<&str> = comment
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let at = lines.iter().position(|line| *line == "columns");
    let (rows, columns) = lines.split_at(at.unwrap_or(lines.len()));
    let row = |line: &&str| {
        let mut words = line.split_whitespace().map(String::from);
        let file = words.next().filter(|file| file != "-")?;
        let mut pointers: Vec<String> = words.collect();
        if pointers.is_empty() {
            pointers.push(String::new());
        }
        Some(Row { file, pointers })
    };
    let column = |line: &&str| {
        let mut tokens: Vec<String> = line.split_whitespace().map(String::from).collect();
        if tokens == ["-"] {
            return None;
        }
        let factor = tokens.first().and_then(|token| token.parse().ok());
        if factor.is_some() {
            tokens.remove(0);
        }
        Some(Column {
            factor: factor.unwrap_or(1.0),
            tokens,
        })
    };
    // Names are those of the document where the comment says which ones.
    let mut columns: Vec<&str> = columns.iter().skip(1).copied().collect();
    let names = match columns.first().and_then(|line| line.strip_prefix("name ")) {
        None => None,
        Some(token) => {
            columns.remove(0);
            column(&token)
        }
    };
    let others = columns.iter().map(column);
    (
        rows.iter().map(row).collect(),
        std::iter::once(names).chain(others).collect(),
    )
}

/// The cells of a line of a table, without emphasis.
fn cells(line: &str) -> Vec<String> {
    let inside = line.trim().trim_start_matches('|').trim_end_matches('|');
    inside
        .split('|')
        .map(|cell| cell.replace('*', "").trim().to_string())
        .collect()
}

/// What is wrong with the quotes of `page`, and the documents that it quotes.
fn checked(page: &str, documents: &BTreeMap<String, Value>) -> (Vec<String>, BTreeSet<String>) {
    let (mut errors, mut quoted) = (Vec::new(), BTreeSet::new());
    for part in page.split(OPEN).skip(1) {
        let Some((comment, rest)) = part.split_once(CLOSE) else {
            errors.push("a comment does not end".to_string());
            continue;
        };
        let (rows, columns) = parsed(comment);
        let table = rest
            .trim_start()
            .lines()
            .take_while(|line| line.starts_with('|'));
        let table: Vec<Vec<String>> = table.map(cells).collect();
        let body = table.get(2..).unwrap_or_default();
        if (body.len(), body.first().map_or(0, Vec::len)) != (rows.len(), columns.len()) {
            let (found, heads) = (body.len(), body.first().map_or(0, Vec::len));
            errors.push(format!(
                "{} rows and {} columns are quoted, the table after the comment has {found} and {heads}, with the names: {comment}",
                rows.len(),
                columns.len() - 1
            ));
            continue;
        }
        for (row, line) in rows.iter().zip(body) {
            let Some(row) = row else { continue };
            quoted.insert(row.file.clone());
            let Some(document) = documents.get(&row.file) else {
                errors.push(format!("results/{} is not there", row.file));
                continue;
            };
            for (column, cell) in columns.iter().zip(line) {
                let Some(column) = column else { continue };
                if let Err(problem) = wrong(document, row, column, cell) {
                    errors.push(format!("{}, `{}`: `{cell}`: {problem}", row.file, line[0]));
                }
            }
        }
    }
    (errors, quoted)
}

#[test]
fn pages_quote_the_documents_to_the_shown_digits() {
    let documents = documents();
    let mut all = BTreeSet::new();
    let mut wrong = Vec::new();
    for (name, page) in pages() {
        let (errors, quoted) = checked(&page, &documents);
        wrong.extend(errors.into_iter().map(|error| format!("{name}: {error}")));
        all.extend(quoted);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    let there: BTreeSet<String> = documents.into_keys().collect();
    let unused: Vec<&String> = there.difference(&all).collect();
    assert!(unused.is_empty(), "no page quotes {unused:?}");
}

#[test]
fn documents_are_small_and_listed_with_command_version_and_machine() {
    let index = read(&root().join("results/README.md"));
    let rows: BTreeMap<String, Vec<String>> = index
        .lines()
        .filter(|line| line.starts_with("| ["))
        .map(|line| {
            let cells = cells(line);
            let name = cells[0].split(['[', ']']).nth(1).unwrap().to_string();
            (name, cells)
        })
        .collect();
    let texts = files("results", "json");
    let listed: BTreeSet<&String> = rows.keys().collect();
    assert_eq!(
        listed,
        texts.keys().collect(),
        "results/README.md lists other files"
    );
    for (name, text) in &texts {
        let document: Value = serde_json::from_str(text).unwrap();
        let of = |key: &str| document[key].as_str().unwrap_or_default().to_string();
        let [_, command, version, machine] = &rows[name][..] else {
            panic!("{name}: four columns");
        };
        assert_eq!(command.trim_matches('`'), of("reproduce"), "{name}");
        assert_eq!(
            *version,
            format!("{} ({})", of("version"), of("commit")),
            "{name}"
        );
        assert!(machine.contains("core"), "{name}: {machine}");
        assert!(text.len() <= LARGEST, "{name} has {} bytes", text.len());
        // Folders of the machine that measured it are nobody's business.
        assert_eq!(absolute_path(text), None, "{name}");
    }
}

/// The first path in `text` that begins at the root of a file system.
fn absolute_path(text: &str) -> Option<&str> {
    let starts = text.match_indices('/').map(|(at, _)| at);
    let mut absolute = starts.filter(|&at| {
        let before = text[..at].chars().next_back();
        let after = text[at + 1..].chars().next();
        // After `file://`, and after a line break in JSON, which is a letter.
        let begins = ["://", "\\n", "\\t"]
            .iter()
            .any(|end| text[..at].ends_with(end));
        let begins = begins || before.is_none_or(|c| "\"' :=,([{|`".contains(c));
        begins && after.is_some_and(char::is_alphabetic)
    });
    absolute.next().map(|at| {
        let path = &text[at..];
        &path[..path.find(['"', '\'', ' ']).unwrap_or(path.len())]
    })
}

#[test]
fn paths_from_the_root_are_found() {
    assert_eq!(
        absolute_path(r#"{"a":"iegm:/home/ann/ecg?fold=0"}"#),
        Some("/home/ann/ecg?fold=0")
    );
    assert_eq!(absolute_path(r#"{"a":"--out '/x y'"}"#), Some("/x"));
    for text in ["file:///x", "(/x", "[/x", r"line\n/x", "`/x"] {
        assert_eq!(absolute_path(text), Some("/x"), "{text}");
    }
    assert_eq!(absolute_path("https://burn.dev/book"), None);
    assert_eq!(
        absolute_path(r#"{"a":"iegm:data/ecg","b":"5 nJ / row","c":"rows/s"}"#),
        None
    );
}

#[test]
fn report_writes_the_page_of_a_document_to_a_folder_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let document = root().join("results/lcda.json");
    let mut report = command::crossburn(folder.path());
    let output = report.arg("report").arg(&document).output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    let page = read(&folder.path().join("runs/reports/lcda/report.html"));
    assert!(page.contains("12.77 [10.29, 15.25]"), "{page}");
    assert!(!document.with_file_name("report.html").exists());
}

#[test]
fn numbers_are_read_as_they_are_shown() {
    let number = |value: f64, half: f64| Shown::Number(value, half);
    assert_eq!(
        shown("64.69 [58.70, …]"),
        [number(64.69, 0.005), number(58.7, 0.005), Shown::Unbounded]
    );
    assert_eq!(
        shown("−0.3 ± 12 (-1.5 to 1,369)"),
        [
            number(-0.3, 0.05),
            number(12.0, 0.5),
            number(-1.5, 0.05),
            number(1369.0, 0.5)
        ]
    );
    assert_eq!(
        shown("3.1e5, 114 arrays of F2"),
        [number(3.1e5, 5e3), number(114.0, 0.5)]
    );
    assert!(shown("holds, – KPP").is_empty());
}

/// A page with one table of two rows over a document, in which `cell` is quoted as a mean with an interval.
fn errors(cell: &str, second: &str) -> Vec<String> {
    let document = json!({"methods": [
        {"name": "one", "mean": 0.64694, "low": 0.587, "high": null, "said": "holds", "seeds": [0.2, 0.4]},
        {"name": "two", "mean": 0.5, "low": 0.4, "high": 0.6, "said": "fails", "seeds": []},
    ]});
    let page = format!(
        "text\n<!-- quotes\na.json /methods/0\na.json /methods/1\ncolumns\nname /name\n100 /mean /low /high\n/said\nmean:/seeds min:/seeds max:/seeds\n-->\n\n\
         | name | mean | said | seeds |\n|---|---|---|---|\n| one | {cell} | **holds** | 0.3 (0.2 to 0.4) |\n{second}\ntext\n"
    );
    checked(&page, &BTreeMap::from([("a.json".to_string(), document)])).0
}

#[test]
fn another_digit_verdict_or_row_is_found() {
    let second = "| two | 50 [40, 60] | fails | |";
    assert!(errors("64.69 [58.70, …]", second).is_empty());
    assert!(errors("64.7 [58.7, …]", second).is_empty());
    for cell in [
        "64.68 [58.70, …]",
        "64.69 [58.70, 60]",
        "64.69 [58.71, …]",
        "64.69",
        "",
    ] {
        let found = errors(cell, second);
        assert!(
            found.len() == 1 && found[0].contains("`one`"),
            "{cell}: {found:?}"
        );
    }
    let verdict = errors("64.69 [58.70, …]", "| two | 50 [40, 60] | holds | |");
    assert!(verdict[0].contains("does not say `fails`"), "{verdict:?}");
    let seeds = errors("64.69 [58.70, …]", "| two | 50 [40, 60] | fails | 0.1 |");
    assert!(seeds[0].contains("`0.1`"), "{seeds:?}");
    let name = errors("64.69 [58.70, …]", "| three | 50 [40, 60] | fails | |");
    assert!(name[0].contains("does not say `two`"), "{name:?}");
    let missing = errors("64.69 [58.70, …]", "");
    assert!(missing[0].contains("2 rows"), "{missing:?}");
}
