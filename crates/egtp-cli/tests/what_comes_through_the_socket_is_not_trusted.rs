//! The control socket from the side of somebody who writes to it by hand, or badly.

mod common;

use std::io::{BufRead, BufReader, ErrorKind, Write};
use std::os::unix::net::UnixStream;

use common::{LIMIT, LOCAL, Node, Place};
use serde_json::{Value, json};

fn up(place: &Place) -> Node {
    place.start(&[&["--data", &place.at("data"), "up"], &LOCAL[..]].concat())
}

/// A connection to the socket, by hand.
struct Hand {
    stream: UnixStream,
    lines: BufReader<UnixStream>,
}

impl Hand {
    fn attach(place: &Place) -> Self {
        let stream =
            UnixStream::connect(place.at("data/control.sock")).expect("it can be attached");
        stream.set_read_timeout(Some(LIMIT)).expect("a limit");
        let lines = BufReader::new(stream.try_clone().expect("the same"));
        Self { stream, lines }
    }

    /// Attached, and greeted.
    fn greeted(place: &Place) -> Self {
        let mut hand = Self::attach(place);
        assert_eq!(hand.next().expect("a greeting")["event"], "hello");
        hand
    }

    /// The next object; `None` at the end.
    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            // Closed while something of ours was unread.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
            read => read.expect("a line within the limit"),
        };
        (!line.is_empty()).then(|| serde_json::from_str(&line).expect("an object"))
    }

    fn say(&mut self, object: &Value) {
        self.write(format!("{object}\n").as_bytes());
    }

    fn write(&mut self, bytes: &[u8]) {
        // Who is refused in the middle need not take the rest.
        let _ = self.stream.write_all(bytes);
    }
}

#[test]
fn the_documented_conversation_works_by_hand() {
    let place = Place::new();
    let node = up(&place);
    let bob = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    let mut hand = Hand::attach(&place);
    let hello = hand.next().expect("a greeting");
    assert_eq!((&hello["schema"], &hello["public_key"]), (&json!(1), &json!(node.key())));
    assert_eq!(hello["owner"], format!("process {} (egtp up)", node.id()));

    let ask = json!({"schema": 1, "call": 7, "do": "request", "peer": bob.ticket(),
                     "kind": "echo/1", "body_base64": "aGVsbG8="});
    hand.say(&ask);
    let ended = std::iter::from_fn(|| hand.next()).find(|object| object["event"] == "ended");
    let ended = ended.expect("an end");
    assert_eq!((&ended["call"], &ended["outcome"]), (&json!(7), &json!("reply")));
    assert_eq!(ended["reply_base64"], "aGVsbG8=");

    hand.say(&json!({"schema": 1, "call": 8, "do": "status"}));
    let status = hand.next().expect("a status");
    assert_eq!((&status["event"], &status["call"]), (&json!("status"), &json!(8)));
    assert_eq!(status["paths"][0]["peer"], bob.key());

    hand.say(&json!({"schema": 1, "call": 9, "do": "request", "peer": "@bob", "kind": "echo/1"}));
    let failed = hand.next().expect("a failure");
    assert_eq!((&failed["event"], &failed["error"]["code"]), (&json!("failed"), &json!("usage")));
    // A cancelled call that has ended long ago, or never was, is nobody's mistake.
    hand.say(&json!({"schema": 1, "call": 7, "do": "cancel"}));
    hand.say(&json!({"schema": 1, "call": 99, "do": "reply", "query": 1, "body_base64": ""}));
    hand.say(&json!({"schema": 1, "call": 10, "do": "status"}));
    assert_eq!(hand.next().expect("a status")["call"], 10);
}

/// Proves PRG-2: how far a large body is, and its reply, is told also to whoever asks through another's node.
#[test]
fn how_far_a_large_body_is_comes_through_the_socket() {
    let place = Place::new();
    let _node = up(&place);
    let bob = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    let mut hand = Hand::greeted(&place);
    let total = 1_536 << 10;
    hand.say(&json!({"schema": 1, "call": 1, "do": "request", "peer": bob.ticket(), "kind": "echo/1",
                     "body_base64": "AAAA".repeat(total / 3), "hard_ms": 30_000, "hard_max_ms": 60_000}));
    let (mut sent, mut received) = (Vec::new(), Vec::new());
    loop {
        let object = hand.next().expect("an end");
        match object["event"].as_str().expect("an event") {
            "sent" => sent.push(object),
            "received" => received.push(object),
            "ended" => {
                assert_eq!(object["outcome"], "reply", "{object}");
                break;
            }
            _ => {}
        }
    }
    for told in [sent, received] {
        let bytes: Vec<u64> = told.iter().filter_map(|one| one["bytes"].as_u64()).collect();
        assert!(!bytes.is_empty() && bytes.is_sorted(), "{bytes:?}");
        assert!(told.iter().all(|one| one["total"] == total), "{told:?}");
    }
}

#[test]
fn a_kind_can_be_answered_by_hand() {
    let place = Place::new();
    let node = up(&place);
    let mut hand = Hand::greeted(&place);
    hand.say(&json!({"schema": 1, "call": 1, "do": "serve", "kind": "a/1"}));
    assert_eq!(hand.next().expect("ready")["kinds"][0], "a/1");
    let ask = ["--ephemeral", "request", node.ticket(), "a/1", "hello", "--json"];
    let answers = [
        (json!({"do": "reply", "body_base64": "aGk="}), Some(0)),
        (json!({"do": "refuse", "status": 5}), Some(6)),
    ];
    for (answer, code) in answers {
        let asker = place.command(&ask).spawn().expect("it starts");
        let query = hand.next().expect("a query");
        assert_eq!((&query["event"], &query["body_base64"]), (&json!("query"), &json!("aGVsbG8=")));
        let mut answer = answer;
        answer["schema"] = json!(1);
        answer["call"] = json!(1);
        answer["query"] = query["query"].clone();
        hand.say(&answer);
        let output = common::output_of(asker);
        assert_eq!(output.status.code(), code, "{output:?}");
    }
    hand.say(&json!({"schema": 1, "call": 1, "do": "cancel"}));
    assert_eq!(hand.next().expect("an end")["event"], "ended");
    // Free again as soon as that is said.
    hand.say(&json!({"schema": 1, "call": 2, "do": "serve", "kind": "a/1"}));
    assert_eq!(hand.next().expect("ready")["event"], "ready");
}

#[test]
fn rubbish_gets_one_error_and_the_end_and_disturbs_nobody_else() {
    let place = Place::new();
    let node = up(&place);
    let mut witness = Hand::greeted(&place);
    let serve = r#"{"schema":1,"call":1,"do":"serve","kind":"a/1"}"#;
    let twice = format!("{serve}\n{serve}\n");
    for rubbish in [
        &b"hello\n"[..],
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"[]\n",
        b"{}\n",
        b"\xff\xff\xff\n",
        b"\0\n",
        br#"{"schema":1,"call":1,"do":"fly"}"#,
        br#"{"schema":2,"call":1,"do":"status"}"#,
        br#"{"schema":1,"call":1e400,"do":"status"}"#,
        br#"{"schema":1,"call":1,"do":"request","kind":"a/1","peer":"@b","hard_ms":-1}"#,
        br#"{"schema":1,"call":1,"do":"refuse","query":1,"status":300}"#,
        twice.as_bytes(),
        &vec![b'['; 1_000_000],
        &vec![b'x'; 4_000_000],
    ] {
        let mut hand = Hand::greeted(&place);
        hand.write(rubbish);
        hand.write(b"\n");
        // What was asked properly before it may have had its answer.
        let rest: Vec<Value> = std::iter::from_fn(|| hand.next()).collect();
        let start = rubbish.get(..rubbish.len().min(60)).map(String::from_utf8_lossy);
        let errors = rest.iter().filter(|object| object.get("error").is_some()).count();
        let last = rest.last().unwrap_or_else(|| panic!("{start:?}: nothing was said"));
        assert_eq!((errors, &last["error"]["code"]), (1, &json!("usage")), "{start:?}: {rest:?}");
        assert!(
            last["error"]["next"].as_str().is_some_and(|next| next.contains("docs/control.md"))
        );
    }
    witness.say(&json!({"schema": 1, "call": 1, "do": "status"}));
    let status = witness.next().expect("a status");
    // Also the kind that came with rubbish is gone.
    assert_eq!(
        status["kinds"],
        json!([{"kind": "echo/1",
        "answered_by": format!("process {} (egtp up)", node.id())}])
    );
}

#[test]
fn when_the_node_closes_everybody_attached_is_told_and_what_is_open_ends() {
    let place = Place::new();
    let mut node = up(&place);
    let mut idle = Hand::greeted(&place);
    let mut busy = Hand::greeted(&place);
    busy.say(&json!({"schema": 1, "call": 1, "do": "serve", "kind": "a/1"}));
    assert_eq!(busy.next().expect("ready")["event"], "ready");
    node.stop("TERM");
    assert_eq!(idle.next().expect("a farewell")["event"], "closing");
    assert_eq!(idle.next(), None);
    assert_eq!(busy.next().expect("a farewell")["event"], "closing");
    let failed = busy.next().expect("the end of the call");
    assert_eq!((&failed["call"], &failed["error"]["code"]), (&json!(1), &json!("closing")));
    assert_eq!(busy.next(), None);
}

#[test]
fn a_number_for_how_many_at_once_can_be_as_large_as_it_likes() {
    let place = Place::new();
    let node = up(&place);
    let mut hand = Hand::greeted(&place);
    let serve = json!({"schema": 1, "call": 1, "do": "serve", "kind": "a/1",
                       "concurrency": u64::MAX});
    hand.say(&serve);
    assert_eq!(hand.next().expect("ready")["event"], "ready");
    let ask = ["--ephemeral", "request", node.ticket(), "a/1", "--json"];
    let asker = place.command(&ask).spawn().expect("it starts");
    let query = hand.next().expect("a query");
    hand.say(&json!({"schema": 1, "call": 1, "do": "ignore", "query": query["query"]}));
    drop(hand);
    common::kill(asker.id(), "KILL");
    common::output_of(asker);
}

#[test]
fn who_does_not_read_holds_up_nobody() {
    let place = Place::new();
    let node = up(&place);
    let mut deaf = Hand::attach(&place);
    // Far more answers than any buffer holds; what does not fit is not even read.
    deaf.stream.set_nonblocking(true).expect("it can be set");
    let status = |call: u32| format!("{}\n", json!({"schema": 1, "call": call, "do": "status"}));
    let said =
        (0..100_000).take_while(|call| deaf.stream.write_all(status(*call).as_bytes()).is_ok());
    assert!(said.count() < 100_000);
    place.run(&["--ephemeral", "ping", node.ticket()]).ok();
    let data = place.at("data");
    place.run(&["--data", &data, "status", "--check"]).ok();
}

#[test]
fn more_than_so_many_at_once_are_told_so() {
    let place = Place::new();
    let _node = up(&place);
    let guests: Vec<Hand> = std::iter::repeat_with(|| Hand::greeted(&place)).take(64).collect();
    let data = place.at("data");
    let ask = ["--data", &data, "status"];
    place.run(&ask).fails(1).says("64 commands use this node already");
    drop(guests);
    common::until("there is room again", || place.run(&ask).code == Some(0));
}
