//! Commands as a user types them: numbers that begin with a minus, and commands that are printed, quoted for a shell.

use std::any::TypeId;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::str::FromStr;

use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches, Command, CommandFactory};

use super::Arguments;

/// Options that say where a result goes, how a run is followed or which part of it is done, but not what comes out.
const NOT_REPEATED: [&str; 8] = [
    "out",
    "shard",
    "resume",
    "json",
    "print_config",
    "quiet",
    "threads",
    "no_tui",
];

/// Name of the program in printed commands.
const PROGRAM: &str = "crossburn";

/// Last line of every `--help`.
const GLOSSARY: &str = concat!(
    "Glossary of terms: ",
    env!("CARGO_PKG_REPOSITORY"),
    "/blob/main/docs/glossary.md"
);

/// The parser of the command line. It names values that are no numbers, and its help ends with a link to the glossary.
pub(super) fn parser() -> Command {
    with_words(Arguments::command())
}

/// A command with its own commands, such as a verb.
fn with_words(command: Command) -> Command {
    command
        .after_long_help(GLOSSARY)
        .mut_args(numeric)
        .mut_subcommands(with_words)
}

fn numeric(argument: Arg) -> Arg {
    if !argument.get_action().takes_values() {
        return argument;
    }
    let kind = argument.get_value_parser().type_id();
    match () {
        () if kind == TypeId::of::<f64>() => argument.value_parser(number),
        () if kind == TypeId::of::<u64>() => argument.value_parser(whole::<u64>),
        () if kind == TypeId::of::<usize>() => argument.value_parser(whole::<usize>),
        () => argument,
    }
}

/// The words of this process's command line. A negative number or time after an option is its value: whether it may be
/// negative is said by the check of the option, which knows its range.
pub(super) fn typed() -> Vec<OsString> {
    joined(std::env::args_os())
}

fn joined(words: impl IntoIterator<Item = OsString>) -> Vec<OsString> {
    let mut all: Vec<OsString> = Vec::new();
    let mut options = true;
    for word in words {
        let text = |word: &OsString| word.to_string_lossy().into_owned();
        match all.last_mut() {
            Some(last) if options && is_open(&text(last)) && is_negative(&text(&word)) => {
                last.push("=");
                last.push(word);
            }
            _ => {
                options &= word != "--";
                all.push(word);
            }
        }
    }
    all
}

/// Whether it is an option whose value may follow.
fn is_open(word: &str) -> bool {
    word.len() > 2 && word.starts_with("--") && !word.contains('=')
}

/// Whether it begins as a negative number does.
fn is_negative(word: &str) -> bool {
    let Some(rest) = word.strip_prefix('-') else {
        return false;
    };
    let rest = rest.to_ascii_lowercase();
    let digits = rest.strip_prefix('.').unwrap_or(&rest);
    digits.starts_with(|c: char| c.is_ascii_digit())
        || ["inf", "nan"].iter().any(|name| rest.starts_with(name))
}

fn number(text: &str) -> Result<f64, String> {
    text.parse()
        .map_err(|_| "use a number, such as 0.1".to_string())
}

fn whole<N: FromStr>(text: &str) -> Result<N, String> {
    text.parse()
        .map_err(|_| "use a whole number from 0 on, such as 10".to_string())
}

/// The command that repeats the run of this process: what was typed, and the defaults that hold beside it, so that a
/// version with other defaults repeats the same run. What says where results go, such as `--out`, is left out.
///
/// `resolved` are options by their names (without dashes) whose value was neither typed nor a default, but found on the
/// way.
pub(super) fn repeated(resolved: &[(&str, String)]) -> String {
    repeated_from(typed(), resolved)
}

/// The command that goes on with the interrupted run of this process.
pub(super) fn resumed() -> String {
    resumed_from(typed())
}

/// `words` as one line that a POSIX shell takes apart into the same words.
pub(super) fn quoted<W: AsRef<OsStr>>(words: impl IntoIterator<Item = W>) -> String {
    let words: Vec<String> = words.into_iter().map(|word| quote(word.as_ref())).collect();
    words.join(" ")
}

/// `path` as an argument that no command takes for an option.
pub(super) fn operand(path: &Path) -> OsString {
    not_an_option(path.as_os_str())
}

fn not_an_option(value: &OsStr) -> OsString {
    let mut word = OsString::new();
    if begins_with_minus(value) {
        word.push("./");
    }
    word.push(value);
    word
}

fn begins_with_minus(value: &OsStr) -> bool {
    value.as_encoded_bytes().first() == Some(&b'-')
}

/// One word. What a shell could take for something else stands in single quotes; a name with control characters, or one
/// that is no text, stands in `$'…'` (POSIX.1-2024), so that it stays on the line and whole.
fn quote(word: &OsStr) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:,=+@%".contains(c);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.chars().all(plain) => text.to_string(),
        Some(text) if !text.chars().any(char::is_control) => {
            format!("'{}'", text.replace('\'', r"'\''"))
        }
        _ => {
            let escape = |byte: &u8| match byte {
                b'\'' | b'\\' => format!("\\{}", char::from(*byte)),
                b' '..=b'~' => char::from(*byte).to_string(),
                // Octal, because any digits after `\x` would count.
                _ => format!("\\{byte:03o}"),
            };
            let bytes: String = word.as_encoded_bytes().iter().map(escape).collect();
            format!("$'{bytes}'")
        }
    }
}

fn repeated_from(typed: Vec<OsString>, resolved: &[(&str, String)]) -> String {
    let parser = parser();
    let Ok(matches) = parser.clone().try_get_matches_from(&typed) else {
        return resumed_from(typed);
    };
    // Some verbs have verbs of their own, such as `ecg simulate`.
    let (mut verbs, mut matches, mut verb) = (Vec::<OsString>::new(), &matches, Some(&parser));
    while let Some((name, inner)) = matches.subcommand() {
        verb = verb.and_then(|verb| verb.find_subcommand(name));
        verbs.push(name.into());
        matches = inner;
    }
    if verbs.is_empty() {
        return PROGRAM.to_string();
    }
    let arguments = verb
        .map(|verb| verb.get_arguments().collect::<Vec<_>>())
        .unwrap_or_default();
    let mut pieces: Vec<Piece> = arguments
        .iter()
        .filter(|argument| !NOT_REPEATED.contains(&argument.get_id().as_str()))
        .filter_map(|argument| Piece::new(argument, matches, resolved))
        .collect();
    // Positional arguments first, as in the help.
    pieces.sort_by_key(|piece| !piece.positional);
    let command = |pieces: &[Piece], also: usize| -> Vec<OsString> {
        let stays = |(index, piece): (usize, &Piece)| {
            (!piece.default || index == also || piece.kept).then(|| piece.words.clone())
        };
        let words = pieces.iter().enumerate().filter_map(stays).flatten();
        let verbs = verbs.iter().cloned();
        std::iter::once(PROGRAM.into())
            .chain(verbs)
            .chain(words)
            .collect()
    };
    // A default is written out where the command takes it: the default of an option that is of no use beside those that
    // were typed would be refused.
    for index in 0..pieces.len() {
        if pieces[index].default {
            let words = command(&pieces, index);
            pieces[index].kept = parser.clone().try_get_matches_from(words).is_ok();
        }
    }
    quoted(command(&pieces, usize::MAX))
}

fn resumed_from(typed: Vec<OsString>) -> String {
    let resume = OsString::from("--resume");
    let mut words: Vec<OsString> = typed.into_iter().skip(1).collect();
    if !words.contains(&resume) {
        // After `--` it would be an operand.
        let end = words.iter().position(|word| word == "--");
        words.insert(end.unwrap_or(words.len()), resume);
    }
    quoted(std::iter::once(PROGRAM.into()).chain(words))
}

/// One argument in the words of a command line.
struct Piece {
    words: Vec<OsString>,
    positional: bool,
    /// Not typed.
    default: bool,
    /// A default that the command takes.
    kept: bool,
}

impl Piece {
    /// The words of `argument`; `None` for one that is not there.
    fn new(argument: &Arg, matches: &ArgMatches, resolved: &[(&str, String)]) -> Option<Self> {
        let id = argument.get_id().as_str();
        let positional = argument.is_positional();
        let source = matches.value_source(id);
        let found = resolved
            .iter()
            .find(|(name, _)| Some(*name) == argument.get_long());
        let default = found.is_none() && source != Some(ValueSource::CommandLine);
        let flag = argument.get_long().map(|long| format!("--{long}"));
        // Options that are repeated for each value, or operands in a row.
        let again = matches!(argument.get_action(), ArgAction::Append)
            && argument.get_value_delimiter().is_none();
        let worded = |value: &OsStr| match &flag {
            // Otherwise it would look like another option.
            Some(flag) if begins_with_minus(value) => {
                let mut word = OsString::from(flag.clone() + "=");
                word.push(value);
                vec![word]
            }
            Some(flag) => vec![flag.into(), value.to_os_string()],
            None => vec![not_an_option(value)],
        };
        let words = if matches!(argument.get_action(), ArgAction::SetTrue) {
            (!default).then(|| vec![flag.unwrap_or_default().into()])?
        } else if let Some((_, value)) = found {
            worded(OsStr::new(value))
        } else if again {
            matches.get_raw(id)?.flat_map(worded).collect()
        } else {
            let values: Vec<&OsStr> = matches.get_raw(id)?.collect();
            worded(&values.join(OsStr::new(",")))
        };
        Some(Self {
            words,
            positional,
            default,
            kept: false,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]
mod tests {
    use super::*;

    fn repeats(line: &[&str], resolved: &[(&str, String)]) -> String {
        let typed = std::iter::once("/opt/bin/crossburn").chain(line.iter().copied());
        repeated_from(typed.map(OsString::from).collect(), resolved)
    }

    /// What a shell makes of a line.
    #[cfg(unix)]
    fn words(line: &str) -> Vec<Vec<u8>> {
        let script = format!("for word in {line}; do printf '%s\\0' \"$word\"; done");
        let output = std::process::Command::new("bash")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert!(output.status.success(), "{line}");
        let mut words: Vec<Vec<u8>> = output.stdout.split(|b| *b == 0).map(Vec::from).collect();
        words.pop();
        words
    }

    #[test]
    #[cfg(unix)]
    fn a_shell_takes_a_quoted_line_apart_into_the_same_words() {
        use std::os::unix::ffi::OsStringExt;
        let names = [
            "plain/name-1.toml",
            "",
            "d/26 e: x",
            "a;b",
            "$(touch it)",
            "`touch it`",
            "it's",
            "'",
            "\"q\"",
            "a\\b",
            "*",
            "~",
            "#x",
            "a&b|c>d<e",
            "{a,b}",
            "!!",
            "größe µ",
            "two\nlines",
            "tab\there's \\ 1",
            "\u{1b}[31m7",
            "--sigma=-1",
        ];
        let mut all: Vec<OsString> = names.map(OsString::from).to_vec();
        all.push(OsString::from_vec(vec![b'a', 0xff, b'1', b'\'']));
        let line = quoted(&all);
        assert!(!line.contains('\n'), "{line}");
        let expected: Vec<Vec<u8>> = all.into_iter().map(OsString::into_vec).collect();
        assert_eq!(words(&line), expected, "{line}");
    }

    #[test]
    fn plain_words_are_not_quoted() {
        assert_eq!(
            quoted(["crossburn", "evaluate", "runs/a", "--data", "mnist:d/x"]),
            "crossburn evaluate runs/a --data mnist:d/x"
        );
        assert_eq!(quoted(["d/26 e: x", "it's"]), r"'d/26 e: x' 'it'\''s'");
    }

    #[test]
    fn what_was_typed_and_the_defaults_beside_it_are_repeated() {
        let line = [
            "evaluate", "--json", "--sigma", "0.3", "my run", "--device", "wgpu:1", "--out", "x",
            "--chips", "7", "--resume", "--shard", "1/2",
        ];
        assert_eq!(
            repeats(&line, &[("data", "mnist:d 1".to_string())]),
            "crossburn evaluate 'my run' --data 'mnist:d 1' --noise gaussian --sigma 0.3 --scale per-tensor --chips 7 \
             --seed 1 --device wgpu:1"
        );
        assert_eq!(
            repeats(&["demo", "--quick"], &[]),
            "crossburn demo --quick --seed 1 --device cpu"
        );
        let line = [
            "train",
            "--set",
            "training.epochs=3",
            "a.toml",
            "--set",
            "noise={kind=\"gaussian\",sigma_rel_wmax=0.1}",
        ];
        assert_eq!(
            repeats(&line, &[]),
            "crossburn train a.toml --set training.epochs=3 --set 'noise={kind=\"gaussian\",sigma_rel_wmax=0.1}' --device cpu"
        );
        let line = [
            "rag",
            "index",
            "a,b.md",
            "my notes",
            "--drop",
            "c",
            "--drop=-d",
            "--out",
            "x",
        ];
        assert_eq!(
            repeats(&line, &[]),
            "crossburn rag index a,b.md 'my notes' --drop c --drop=-d --chips 20 --questions 200"
        );
    }

    /// Beside a hardware the defaults of a variation would be refused, and those of a hardware hold.
    #[test]
    fn defaults_that_do_not_belong_are_left_out() {
        let line = [
            "evaluate",
            "run",
            "--hardware",
            "my hw.toml",
            "--after=-1 s",
        ];
        assert_eq!(
            repeats(&line, &[]),
            "crossburn evaluate run --hardware 'my hw.toml' --fidelity weight --calibration 128 '--after=-1 s' \
             --chips 1000 --seed 1 --device cpu"
        );
        let line = ["evaluate", "./-x", "--rare", "1,0.1", "--sweep", "0.1,0.2"];
        assert_eq!(
            repeats(&line, &[("sigma", "0.1".to_string())]),
            "crossburn evaluate ./-x --noise gaussian --sigma 0.1 --scale per-tensor --chips 1000 --seed 1 --sweep 0.1,0.2 \
             --sweep-chips 100 --rare 1,0.1 --rare-chips 1000 --device cpu"
        );
    }

    /// Whatever verb is asked for, its repetition is a command line again, and repeats itself.
    #[test]
    fn a_repeated_command_repeats_itself() {
        for line in [
            "demo --seed 3 --device ndarray --out x",
            "train recipe.toml --out a --device wgpu",
            "train recipe.toml --set seed=1 --data digits --set noise.kind=none --threads 2 --quiet --no-tui",
            "evaluate run --noise power-law --exponent 0.5 --race --kpp 1 --delta 0.02",
            "evaluate run --hardware papers --cell rram1,rram4 --digital a,b --fidelity array",
            "worst-case run --bound 0.02 --loss margin --device wgpu",
            "worst-case run --hardware papers --tolerance 0.1",
            "map run --hardware papers --items 4",
            "reproduce kpp --quick --seeds 2 --device wgpu",
            "ecg simulate run --items 4 --accelerator sparse-40nm --out x",
        ] {
            let words: Vec<&str> = line.split(' ').collect();
            let once = repeats(&words, &[]);
            let again: Vec<&str> = once.split(' ').skip(1).collect();
            assert_eq!(repeats(&again, &[]), once);
            assert_eq!(once.contains("wgpu"), line.contains("wgpu"), "{once}");
            for left_out in ["--out", "--threads", "--quiet", "--no-tui"] {
                assert!(!once.contains(left_out), "{once}");
            }
        }
    }

    #[test]
    fn an_interrupted_command_goes_on_with_resume() {
        let typed = |line: &[&str]| line.iter().map(OsString::from).collect();
        assert_eq!(
            resumed_from(typed(&["x", "train", "a b.toml", "--out", "$(b)"])),
            "crossburn train 'a b.toml' --out '$(b)' --resume"
        );
        assert_eq!(
            resumed_from(typed(&["x", "train", "--resume", "a.toml"])),
            "crossburn train --resume a.toml"
        );
        assert_eq!(
            resumed_from(typed(&["x", "train", "--out", "a", "--", "-x.toml"])),
            "crossburn train --out a --resume -- -x.toml"
        );
    }

    #[test]
    fn a_negative_number_after_an_option_is_its_value() {
        let joins = |line: &str| -> Vec<String> {
            let words = joined(line.split(' ').map(OsString::from));
            words
                .into_iter()
                .map(|word| word.into_string().unwrap())
                .collect()
        };
        for (line, expected) in [
            ("x --sigma -1 y", "x --sigma=-1 y"),
            ("x --sweep -.1,0.2 --json", "x --sweep=-.1,0.2 --json"),
            ("x --sigma -inf", "x --sigma=-inf"),
            ("x --sigma -NaN", "x --sigma=-NaN"),
            ("x --chips --seed -1", "x --chips --seed=-1"),
            ("x --sigma=-1 -2", "x --sigma=-1 -2"),
            ("x --out -h", "x --out -h"),
            ("x --json -- -1", "x --json -- -1"),
            ("x -- --sigma -1", "x -- --sigma -1"),
            ("-1 -1", "-1 -1"),
        ] {
            let expected: Vec<&str> = expected.split(' ').collect();
            assert_eq!(joins(line), expected, "{line}");
        }
        let parses = |line: &str| {
            let words = joined(line.split(' ').map(OsString::from));
            parser().try_get_matches_from(words).is_ok()
        };
        for line in [
            "x evaluate r --sigma -1",
            "x evaluate r --sigma -inf",
            "x evaluate r --sweep -0.1,0.2",
            "x worst-case r --bound -1",
        ] {
            assert!(parses(line), "{line}");
        }
        for line in [
            "x evaluate r --chips -1",
            "x evaluate r --chips --seed 1",
            "x evaluate r --out --resume",
            "x evaluate r --device -1",
            "x evaluate r --json -1",
        ] {
            assert!(!parses(line), "{line}");
        }
    }
}
