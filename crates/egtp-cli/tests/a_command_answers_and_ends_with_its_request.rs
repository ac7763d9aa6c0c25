//! `serve --exec`: what the command is given, what becomes of its output, and that it ends in time.

mod common;

use std::io::{BufRead, BufReader};

use common::{LOCAL, Node, Place, files_below, kill, until};

fn serve(place: &Place, command: &str, more: &[&str]) -> Node {
    let base = ["--ephemeral", "serve", "a/1", "--exec", command, "--allow-any"];
    place.start(&[&base, &LOCAL[..], more].concat())
}

#[test]
fn the_command_is_told_who_asks_what_and_under_which_id() {
    let place = Place::new();
    let print = r#"cat; echo "|$EGTP_PEER|$EGTP_KIND|$EGTP_ID|$EGTP_REDELIVERED""#;
    let node = serve(&place, print, &[]);
    let data = place.at("asker");
    let asker = place.run(&["--data", &data, "init", "--json"]).ok().object();
    let ask = ["--data", &data, "request", node.ticket(), "a/1", "-"];
    let ran = place.run_with_input(&ask, b"body").ok();
    let fields: Vec<&str> = ran.out.trim_end().split('|').collect();
    assert_eq!(fields[..3], ["body", asker["public_key"].as_str().expect("a key"), "a/1"]);
    assert_eq!((fields[3].len(), fields[4]), (64, "0"));
}

#[test]
fn a_command_that_fails_or_prints_too_much_refuses() {
    let place = Place::new();
    let node = serve(&place, "read n; head -c $n /dev/zero; [ $n != 3 ]", &[]);
    let reason = |body: &str| {
        let body = format!("{body}\n");
        let ran = place.run(&["request", node.ticket(), "a/1", &body, "--json"]);
        (ran.code, ran.object()["reason"].clone())
    };
    assert_eq!(reason("2097152").0, Some(0));
    assert_eq!(reason("2097153"), (Some(6), "too_large".into()));
    assert_eq!(reason("3"), (Some(6), "failed".into()));
}

/// The command starts another process; both write down who they are.
const FAMILY: &str = "sleep 600 & echo $! > child; echo $$ > shell; wait";

fn is_alive(place: &Place, name: &str) -> bool {
    // One that has ended and waits to be cleared away is not alive any more.
    let id = place.read(name).trim().to_owned();
    let state = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
    !state.is_empty() && !state.contains(") Z ")
}

fn family_at_work(place: &Place) {
    until("the command runs", || {
        ["child", "shell"].iter().all(|name| {
            std::fs::read_to_string(place.path().join(name)).is_ok_and(|text| text.ends_with('\n'))
        })
    });
    assert!(is_alive(place, "child") && is_alive(place, "shell"));
}

#[test]
fn when_the_asker_gives_up_the_whole_process_group_ends() {
    let place = Place::new();
    let mut node = serve(&place, FAMILY, &[]);
    let ask = ["request", node.ticket(), "a/1", "--soft", "500ms"];
    let mut asker = place.command(&ask).spawn().expect("it starts");
    family_at_work(&place);
    // Half a second later both sides know each other, and a farewell arrives.
    let mut talk = BufReader::new(asker.stderr.take().expect("its talk")).lines();
    assert!(talk.any(|line| line.is_ok_and(|line| line.contains("still waiting"))));
    kill(asker.id(), "INT");
    asker.wait().expect("its end");
    until("its child ends", || !is_alive(&place, "child"));
    until("the shell ends", || !is_alive(&place, "shell"));
    assert_eq!(node.next_event().expect("an event")["outcome"], "withdrawn");
}

#[test]
fn when_the_askers_time_is_over_the_command_ends() {
    let place = Place::new();
    let node = serve(&place, FAMILY, &[]);
    place.run(&["request", node.ticket(), "a/1", "--hard", "2s"]).fails(7);
    until("its child ends", || !is_alive(&place, "child"));
}

#[test]
fn a_command_that_takes_longer_than_its_limit_is_ended_and_refuses() {
    let place = Place::new();
    let mut node = serve(&place, FAMILY, &["--timeout", "1s"]);
    place.run(&["request", node.ticket(), "a/1"]).fails(6);
    until("its child ends", || !is_alive(&place, "child"));
    assert_eq!(node.next_event().expect("an event")["outcome"], "timed_out");
}

#[test]
fn when_the_node_stops_its_commands_end() {
    let place = Place::new();
    let mut node = serve(&place, FAMILY, &[]);
    let mut asker = place.command(&["request", node.ticket(), "a/1"]).spawn().expect("it starts");
    family_at_work(&place);
    assert!(node.stop("TERM").0.success());
    until("its child ends", || !is_alive(&place, "child"));
    asker.kill().expect("it can be ended");
    asker.wait().expect("its end");
}

#[test]
fn what_a_command_leaves_behind_does_not_hold_up_the_reply() {
    let place = Place::new();
    let node = serve(&place, "sleep 600 & echo $! > child; echo done", &[]);
    assert_eq!(place.run(&["request", node.ticket(), "a/1"]).ok().out, "done\n");
    until("its child ends", || !is_alive(&place, "child"));
}

#[test]
fn no_more_commands_run_at_once_than_allowed() {
    let place = Place::new();
    // Fails when another one is at work.
    let alone = "mkdir busy && cat && rmdir busy";
    let node = serve(&place, alone, &["--concurrency", "1"]);
    let many = ["request", node.ticket(), "a/1", "x", "--count", "20", "--concurrency", "10"];
    assert_eq!(place.run(&many).ok().out, "x\n".repeat(20));
}

#[test]
fn the_demonstration_holds_what_it_says_and_leaves_nothing_behind() {
    let place = Place::new();
    let mut child = place.command(&["demo", "--json"]);
    let child = child.env("TMPDIR", place.path()).spawn().expect("it starts");
    let output = child.wait_with_output().expect("its end");
    let (lines, talk) = (output.stdout, output.stderr);
    let (lines, talk) = (String::from_utf8_lossy(&lines), String::from_utf8_lossy(&talk));
    assert!(output.status.success(), "{talk}\n{lines}");
    let end = lines.lines().last().expect("an end");
    assert!(end.contains(r#""event":"end","steps":6,"held":true"#), "{end}");
    assert_eq!(files_below(place.path()), []);
}

/// A command whose node is killed reads the whole body all the same: it can never take a part, or nothing, for what
/// was asked.
#[test]
fn a_command_never_sees_a_part_of_a_body() {
    let place = Place::new();
    let slow =
        "echo > begun; while [ ! -e go ]; do sleep 0.05; done; wc -c > size.new; mv size.new size";
    let node = serve(&place, slow, &[]);
    place.write("body", vec![b'x'; 2_000_000]);
    let ask = ["request", node.ticket(), "a/1", &format!("@{}", place.at("body")), "--hard", "5s"];
    let mut asker = place.start_quietly(&ask);
    let is_there = |name: &str| place.path().join(name).exists();
    until("the command runs", || is_there("begun"));
    kill(node.id(), "KILL");
    place.write("go", "");
    until("it has read what there is", || is_there("size"));
    assert_eq!(place.read("size").trim(), "2000000");
    asker.stop("INT");
}
