//! What a client asks for, and the answer.

use std::sync::Arc;
use std::time::Instant;

use httparse::{EMPTY_HEADER, Error, Request, Status};

use super::latest::Latest;

/// The longest request that is read, with all its headers. Prometheus sends some 300 bytes.
pub(super) const MOST_BYTES: usize = 8 << 10;

const MOST_HEADERS: usize = 64;

/// Version 0.0.4 is that of the text format.
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";

const TEXT: &str = "text/plain; charset=utf-8";

/// What is sent back; the connection ends with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) head: String,
    pub(super) body: Arc<[u8]>,
}

/// The answer to the bytes that have come so far; `None` where more must come.
pub(super) fn answer(bytes: &[u8], latest: &Latest) -> Option<Answer> {
    let mut headers = [EMPTY_HEADER; MOST_HEADERS];
    let mut request = Request::new(&mut headers);
    match request.parse(bytes) {
        Ok(Status::Complete(_)) => {}
        Ok(Status::Partial) if bytes.len() < MOST_BYTES => return None,
        Ok(Status::Partial) | Err(Error::TooManyHeaders) => {
            return Some(plain("431 Request Header Fields Too Large"));
        }
        Err(_) => return Some(plain("400 Bad Request")),
    }
    let path = request.path.unwrap_or_default();
    let path = path.split('?').next().unwrap_or_default();
    let found = match path {
        "/metrics" => metrics(latest),
        "/healthz" => health(latest),
        _ => plain("404 Not Found"),
    };
    Some(match request.method {
        Some("GET") => found,
        Some("HEAD") => Answer {
            body: Arc::default(),
            ..found
        },
        _ => plain("405 Method Not Allowed\r\nAllow: GET, HEAD"),
    })
}

fn metrics(latest: &Latest) -> Answer {
    match latest.text() {
        Some(text) => with_body("200 OK", METRICS, text),
        None => with_body(
            "503 Service Unavailable",
            TEXT,
            b"the first audit has not ended yet\n"[..].into(),
        ),
    }
}

fn health(latest: &Latest) -> Answer {
    if latest.is_fresh(Instant::now()) {
        with_body("200 OK", TEXT, b"ok\n"[..].into())
    } else {
        let why = b"the last audit that ended well is too old\n";
        with_body("503 Service Unavailable", TEXT, why[..].into())
    }
}

/// An answer that only has a status. Lines behind it are headers.
fn plain(status: &str) -> Answer {
    let reason = status.lines().next().unwrap_or_default();
    with_body(status, TEXT, format!("{reason}\n").into_bytes().into())
}

fn with_body(status: &str, kind: &str, body: Arc<[u8]>) -> Answer {
    let size = body.len();
    Answer {
        head: format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {size}\r\nConnection: close\r\n\r\n"
        ),
        body,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn latest() -> Latest {
        let latest = Latest::new(Duration::from_secs(3600));
        latest.set(b"x 1\n");
        latest
    }

    #[track_caller]
    fn status(request: &[u8]) -> (String, Arc<[u8]>) {
        let answer = answer(request, &latest()).expect("an answer");
        let status = answer.head.lines().next().unwrap();
        (status.to_owned(), answer.body)
    }

    #[test]
    fn metrics_are_served() {
        for request in [
            "GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n",
            "GET /metrics?x=1 HTTP/1.0\r\n\r\n",
            "GET /metrics HTTP/1.1\nHost: x\n\n",
        ] {
            let (status, body) = status(request.as_bytes());
            assert_eq!(
                (status.as_str(), &*body),
                ("HTTP/1.1 200 OK", &b"x 1\n"[..])
            );
        }
        let whole = answer(b"HEAD /metrics HTTP/1.1\r\n\r\n", &latest()).unwrap();
        assert_eq!(whole.body.len(), 0);
        assert!(whole.head.contains("\r\nContent-Length: 4\r\n"));
        assert!(
            whole
                .head
                .contains("\r\nContent-Type: text/plain; version=0.0.4;")
        );
    }

    #[test]
    fn nothing_else_is_served() {
        for (request, wanted) in [
            ("GET / HTTP/1.1\r\n\r\n", "404"),
            ("GET /metrics/ HTTP/1.1\r\n\r\n", "404"),
            ("GET /../etc/passwd HTTP/1.1\r\n\r\n", "404"),
            ("POST /metrics HTTP/1.1\r\n\r\n", "405"),
            ("\u{16}\u{3}\u{1}", "400"),
            ("GET /metrics SMTP\r\n\r\n", "400"),
            ("GET /healthz HTTP/1.1\r\n\r\n", "200"),
        ] {
            let (status, _) = status(request.as_bytes());
            assert!(status.contains(wanted), "{request:?}: {status}");
        }
    }

    #[test]
    fn a_request_is_bounded() {
        assert_eq!(answer(b"", &latest()), None);
        assert_eq!(answer(b"GET /metrics HTTP/1.1\r\nHost", &latest()), None);
        let long = format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(MOST_BYTES));
        assert!(status(&long.as_bytes()[..MOST_BYTES]).0.contains("431"));
        let headers = "A: b\r\n".repeat(MOST_HEADERS + 1);
        let many = format!("GET /metrics HTTP/1.1\r\n{headers}\r\n");
        assert!(status(many.as_bytes()).0.contains("431"));
    }

    #[test]
    fn before_the_first_audit_there_are_no_metrics() {
        let latest = Latest::new(Duration::ZERO);
        for path in ["/metrics", "/healthz"] {
            let request = format!("GET {path} HTTP/1.1\r\n\r\n");
            let answer = answer(request.as_bytes(), &latest).unwrap();
            assert!(answer.head.starts_with("HTTP/1.1 503 "), "{}", answer.head);
        }
    }
}
