//! An endpoint on a local socket, which follows the protocol or breaks it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Mutex;

use crossburn_training::search::Role;

use super::*;

const KEY: &str = "secret-key-17";

/// A server that answers consecutive requests with these responses, and records the requests.
struct Mock {
    url: String,
    asked: Arc<Mutex<Vec<(String, Value)>>>,
}

/// What a server does with a request.
enum Does {
    /// Sends these bytes and closes.
    Sends(Vec<u8>),
    /// Waits before it closes.
    Sleeps(Duration),
}

fn response(status: &str, headers: &str, body: &str) -> Does {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n{headers}\r\n{body}"
    );
    Does::Sends(text.into_bytes())
}

fn says(content: &str) -> Does {
    let body = json!({ "choices": [{ "index": 0, "message": { "role": "assistant", "content": content } }] });
    response(
        "200 OK",
        "Content-Type: application/json\r\n",
        &body.to_string(),
    )
}

fn mock(script: Vec<Does>) -> Mock {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/v1/", listener.local_addr().unwrap());
    let asked = Arc::new(Mutex::new(Vec::new()));
    let heard = Arc::clone(&asked);
    std::thread::spawn(move || {
        for does in script {
            let (mut stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).unwrap() <= 2 {
                    break;
                }
                let lower = line.to_ascii_lowercase();
                if let Some(number) = lower.strip_prefix("content-length:") {
                    length = number.trim().parse().unwrap();
                }
                head.push_str(&line);
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            let body = serde_json::from_slice(&body).unwrap();
            heard.lock().unwrap().push((head, body));
            match does {
                Does::Sends(bytes) => {
                    // The client may have gone away.
                    let _ = stream.write_all(&bytes);
                }
                Does::Sleeps(time) => std::thread::sleep(time),
            }
        }
    });
    Mock { url, asked }
}

fn asked(mock: &Mock) -> Result<Option<String>, SpeakerProblem> {
    asked_within(mock, Duration::from_secs(60))
}

fn asked_within(mock: &Mock, patience: Duration) -> Result<Option<String>, SpeakerProblem> {
    let config = EndpointConfig {
        url: mock.url.clone(),
        model: "small".to_string(),
        key: Some(KEY.to_string()),
        temperature: 0.0,
        most_tokens: 100,
        patience,
    };
    let stop = Arc::new(AtomicBool::new(false));
    let mut endpoint = Endpoint::new(config, &stop).unwrap();
    endpoint.pause = Duration::from_millis(1);
    endpoint.reply(&[Message {
        role: Role::User,
        content: "which?".to_string(),
    }])
}

#[test]
fn a_request_has_the_form_of_the_protocol() {
    let server = mock(vec![says("{\"x\": 1}")]);
    assert_eq!(asked(&server).unwrap().as_deref(), Some("{\"x\": 1}"));
    let heard = server.asked.lock().unwrap();
    let (head, body) = &heard[0];
    assert!(
        head.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"),
        "{head}"
    );
    let head = head.to_ascii_lowercase();
    assert!(
        head.contains(&format!("authorization: bearer {KEY}")),
        "{head}"
    );
    assert!(head.contains("content-type: application/json"), "{head}");
    let expected = json!({
        "model": "small",
        "messages": [{ "role": "user", "content": "which?" }],
        "temperature": 0.0,
        "max_tokens": 100,
        "stream": false,
    });
    assert_eq!(*body, expected);
}

#[test]
fn what_may_pass_is_asked_again() {
    let limited = || response("429 Too Many Requests", "Retry-After: 0\r\n", "slow down");
    let cut =
        || Does::Sends(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{\"choices\"".to_vec());
    let server = mock(vec![limited(), cut(), says("here")]);
    assert_eq!(asked(&server).unwrap().as_deref(), Some("here"));
    let server = mock(vec![
        response("500 Internal Server Error", "", "oh"),
        response("200 OK", "", "{\"choices\": []}"),
        says("here"),
    ]);
    assert_eq!(asked(&server).unwrap().as_deref(), Some("here"));
    let server = mock(vec![limited(), limited(), limited(), says("too late")]);
    let failed = asked(&server).unwrap_err();
    assert!(
        failed
            .problem
            .contains("limits the rate (429): slow down (3 requests)"),
        "{failed:?}"
    );
    assert!(failed.remedy.contains("--resume"), "{failed:?}");
}

#[test]
fn what_will_not_pass_is_refused_at_once() {
    let html = "<!DOCTYPE html><html><body>Welcome</body></html>";
    for (does, part, remedy) in [
        (
            response("200 OK", "Content-Type: text/html\r\n", html),
            "sent a page of HTML",
            "--endpoint",
        ),
        (
            response("404 Not Found", "", html),
            "refuses the request (404)",
            "--chat-model",
        ),
        (
            response("302 Found", "Location: http://127.0.0.1:9/\r\n", ""),
            "refuses the request (302)",
            "--endpoint",
        ),
        (
            response("401 Unauthorized", "", &format!("bad key {KEY}\nagain")),
            "refuses the key (401): bad key (key) again",
            "--key-env",
        ),
    ] {
        let server = mock(vec![does]);
        let failed = asked(&server).unwrap_err();
        assert!(failed.problem.contains(part), "{part}: {failed:?}");
        assert!(failed.remedy.contains(remedy), "{remedy}: {failed:?}");
        let all = format!("{failed:?}");
        assert!(!all.contains(KEY), "{all}");
        assert_eq!(server.asked.lock().unwrap().len(), 1);
    }
    let silent = mock(vec![Does::Sleeps(Duration::from_secs(3600))]);
    let failed = asked_within(&silent, Duration::from_millis(200)).unwrap_err();
    assert!(
        failed.problem.contains("did not reply within 0.2 s"),
        "{failed:?}"
    );
    assert!(failed.remedy.contains("--timeout"), "{failed:?}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = Mock {
        url: format!("http://{}", listener.local_addr().unwrap()),
        asked: Arc::default(),
    };
    drop(listener);
    let failed = asked(&nobody).unwrap_err();
    assert!(failed.problem.contains("cannot be reached"), "{failed:?}");
}

#[test]
fn a_megabyte_is_read_and_more_than_enough_is_not() {
    let long = "x".repeat(1 << 20);
    let reply = asked(&mock(vec![says(&long)])).unwrap().unwrap();
    assert_eq!(reply.len(), 1 << 20);
    let endless = "x".repeat(MOST_BYTES as usize + 2);
    let failed = asked(&mock(vec![response("200 OK", "", &endless)])).unwrap_err();
    assert!(
        failed.problem.contains("sent more than 4 MiB"),
        "{failed:?}"
    );
}

#[test]
fn addresses_are_checked_before_anything_is_sent() {
    let stop = Arc::new(AtomicBool::new(false));
    for url in [
        "localhost:1",
        "ftp://a",
        "http://",
        "http://me:hunter2@host/v1",
        "me:hunter2@host/v1",
    ] {
        let config = EndpointConfig {
            url: url.to_string(),
            model: String::new(),
            key: None,
            temperature: 0.0,
            most_tokens: 1,
            patience: Duration::from_secs(1),
        };
        let message = Endpoint::new(config, &stop).err().unwrap().to_string();
        assert!(!message.contains("hunter2"), "{message}");
    }
}
