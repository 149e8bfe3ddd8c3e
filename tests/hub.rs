//! Models by their names at the Hugging Face hub, from a small server on this machine that answers as the hub does.
#![cfg(feature = "hub")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "a failed unwrap is a failed test; a skip says why"
)]

mod command;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::{Arc, Mutex};

use command::crossburn;

/// What the model says first.
const BEGINNING: &str = ", there was a little";

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the server was asked for, with the first byte that was wanted.
type Asked = Arc<Mutex<Vec<(String, u64)>>>;

/// A hub with one model, `tiny/stories`, of the files in `folder`. Of a request for a whole file larger than `cut` bytes, the
/// first one is cut there.
fn hub(folder: PathBuf, cut: Option<usize>) -> (String, Asked) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let asked = Asked::default();
    let seen = Arc::clone(&asked);
    let cut = Arc::new(Mutex::new(cut));
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (folder, seen, cut) = (folder.clone(), Arc::clone(&seen), Arc::clone(&cut));
            std::thread::spawn(move || serve(stream, &folder, &seen, &cut));
        }
    });
    (address, asked)
}

fn serve(stream: TcpStream, folder: &Path, seen: &Asked, cut: &Mutex<Option<usize>>) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut stream = stream;
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let path = line.split(' ').nth(1).unwrap_or_default().to_string();
    let (mut first, mut last) = (0u64, None);
    loop {
        let mut header = String::new();
        if reader.read_line(&mut header).unwrap() == 0 || header.trim().is_empty() {
            break;
        }
        let header = header.to_ascii_lowercase();
        if let Some(range) = header.trim().strip_prefix("range: bytes=") {
            let (from, to) = range.split_once('-').unwrap();
            (first, last) = (from.parse().unwrap(), to.parse::<u64>().ok());
        }
    }
    let answer = |status: &str, headers: &str, body: &[u8]| {
        let head = format!(
            "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {}\r\n{headers}\r\n",
            body.len()
        );
        [head.as_bytes(), body].concat()
    };
    let file = path.strip_prefix(&format!("/tiny/stories/resolve/{COMMIT}/"));
    let bytes = file.and_then(|file| std::fs::read(folder.join(file)).ok());
    let mut whole = true;
    let response = match (path.as_str(), bytes) {
        ("/api/models/tiny/stories/revision/main", _) => {
            let files = std::fs::read_dir(folder).unwrap();
            let files = files.map(|file| file.unwrap().file_name().into_string().unwrap());
            let files: Vec<_> = files
                .map(|name| serde_json::json!({ "rfilename": name }))
                .collect();
            let body = serde_json::json!({ "siblings": files, "sha": COMMIT }).to_string();
            answer("200 OK", "", body.as_bytes())
        }
        (_, Some(bytes)) => {
            let total = bytes.len();
            if last.is_none() {
                seen.lock()
                    .unwrap()
                    .push((file.unwrap().to_string(), first));
            }
            let end = last.map_or(total, |last| total.min(last as usize + 1));
            let body = &bytes[first as usize..end];
            let headers = format!(
                "ETag: \"{total}-{}\"\r\nX-Repo-Commit: {COMMIT}\r\nContent-Range: bytes {first}-{}/{total}\r\n",
                file.unwrap().len(),
                end - 1
            );
            let response = answer("206 Partial Content", &headers, body);
            let mut cut = cut.lock().unwrap();
            match *cut {
                Some(at) if last.is_none() && total > at => {
                    *cut = None;
                    whole = false;
                    response[..response.len() - (total - at)].to_vec()
                }
                _ => response,
            }
        }
        _ => answer("404 Not Found", "", b"not found"),
    };
    stream.write_all(&response).unwrap();
    if !whole {
        stream.shutdown(std::net::Shutdown::Both).unwrap();
    }
}

/// Runs `generate` on a model with a cache in `home` and a hub at `endpoint`.
fn generate(home: &Path, endpoint: &str, model: &str, offline: bool) -> Output {
    let mut command = crossburn(home);
    command
        .env("HF_HOME", home.join("hf"))
        .env("HF_ENDPOINT", endpoint)
        .env_remove("HF_TOKEN")
        .env("HF_HUB_OFFLINE", if offline { "1" } else { "0" })
        .args(["generate", "--model", model, "--prompt", "Once upon a time"])
        .args(["--max-new-tokens", "5"]);
    command.output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn stories() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data/llm-stories260k-hf");
    if !folder.is_dir() {
        eprintln!("skipped: {} is not there", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn a_model_is_downloaded_once_and_then_works_without_a_network() {
    let Some(folder) = stories() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let (endpoint, asked) = hub(folder, None);
    let first = generate(home, &endpoint, "tiny/stories", false);
    assert_eq!(text(&first.stdout), BEGINNING, "{}", text(&first.stderr));
    let mut files: Vec<String> = asked
        .lock()
        .unwrap()
        .iter()
        .map(|(file, _)| file.clone())
        .collect();
    files.sort();
    let all = [
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    assert_eq!(files, all);
    // Nothing is downloaded twice.
    let second = generate(home, &endpoint, "tiny/stories@main", false);
    assert_eq!(second.stdout, first.stdout);
    assert_eq!(asked.lock().unwrap().len(), all.len());
    // The copy serves where downloads are forbidden, and where there is no network, which a note says.
    let offline = generate(home, "http://127.0.0.1:1", "tiny/stories", true);
    assert_eq!(offline.stdout, first.stdout, "{}", text(&offline.stderr));
    let cut_off = generate(home, "http://127.0.0.1:1", "tiny/stories", false);
    assert_eq!(cut_off.stdout, first.stdout);
    assert!(text(&cut_off.stderr).contains("taking the copy of tiny/stories"));
}

#[test]
fn a_download_that_broke_off_goes_on_where_it_stopped() {
    let Some(folder) = stories() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let (endpoint, asked) = hub(folder, Some(300_000));
    let output = generate(home, &endpoint, "tiny/stories", false);
    assert_eq!(text(&output.stdout), BEGINNING, "{}", text(&output.stderr));
    let asked = asked.lock().unwrap();
    let starts = asked.iter().filter(|(file, _)| file == "model.safetensors");
    let starts: Vec<u64> = starts.map(|(_, first)| *first).collect();
    assert!(starts.len() == 2 && starts[0] == 0, "{starts:?}");
    assert!(starts[1] > 0 && starts[1] <= 300_000, "{starts:?}");
}

#[test]
fn what_cannot_be_downloaded_is_named_in_one_line() {
    let Some(folder) = stories() else {
        return;
    };
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    let (endpoint, _) = hub(folder, None);
    let refused = |endpoint: &str, model: &str, offline: bool| {
        let output = generate(home, endpoint, model, offline);
        let line = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{line}");
        assert_eq!(line.trim_end().lines().count(), 1, "{line}");
        assert!(output.stdout.is_empty());
        line.replace(endpoint, "ENDPOINT")
    };
    insta::assert_snapshot!(
        [
            refused(&endpoint, "tiny/absent", false),
            refused(&endpoint, "tiny/stories@v2", false),
            refused(&endpoint, "tiny/stories/model-Q4_1.gguf", false),
            refused("http://127.0.0.1:1", "tiny/stories", false),
            refused(&endpoint, "tiny/stories", true),
        ]
        .concat()
    );
}
