//! A peer that cannot be reached: every address that was tried is named, with what became of it.

mod common;

use std::os::unix::fs::PermissionsExt;

use common::{LOCAL, Place, closed_port};

fn key_of(place: &Place, name: &str) -> String {
    let object = place.run(&["--data", &place.at(name), "init", "--json"]).ok().object();
    object["public_key"].as_str().expect("a key").to_owned()
}

#[test]
fn a_wrong_key_at_a_live_address_is_called_so() {
    let place = Place::new();
    let node = place.start(&[&["--ephemeral", "up"], &LOCAL[..]].concat());
    let ticket = format!("egtp:{}?at=tcp/{}", key_of(&place, "other"), node.address());
    let words =
        format!("tcp/{} accepts connections, but nobody there proved to be egtp1", node.address());
    for command in [vec!["request", &ticket, "echo/1", "x"], vec!["ping", &ticket]] {
        let command = [&command[..], &["--hard", "1s"]].concat();
        let ran = place.run(&command).fails(7).says(&words).says("wrong key");
        ran.says("taken by the peer: no").says("compare the key").says("repeating it is safe");
    }
}

#[test]
fn every_address_that_refused_is_named() {
    let place = Place::new();
    let (first, second) = (closed_port(), closed_port());
    let at = format!("at=tcp/127.0.0.1:{first}&at=tcp/127.0.0.1:{second}");
    let ticket = format!("egtp:{}?{at}", key_of(&place, "other"));
    for command in [vec!["request", &ticket, "echo/1", "x"], vec!["ping", &ticket]] {
        let ran = place.run(&command).fails(5);
        ran.says(&format!("tcp/127.0.0.1:{first}: nobody listens"))
            .says(&format!("tcp/127.0.0.1:{second}: nobody listens"));
    }
}

#[test]
fn addresses_of_kinds_that_are_not_dialed_are_not_called_missing() {
    let place = Place::new();
    let key = key_of(&place, "other");
    let ticket = format!("egtp:{key}?at=udp/127.0.0.1:7700");
    let ran = place.run(&["request", &ticket, "echo/1", "x"]).fails(4);
    let ran = ran.says("this version dials tcp and relays only").says("udp/127.0.0.1:7700");
    assert!(!ran.talk.contains("give a ticket with an address"), "{ran:?}");
    // Without any, that is what is missing.
    place.run(&["request", &key, "echo/1", "x"]).fails(4).says("give a ticket with an address");
}

#[test]
fn contacts_that_cannot_be_read_are_named_where_they_are_missed() {
    let place = Place::new();
    let key = key_of(&place, "other");
    place.run(&["init"]).ok();
    // A directory in place of the file: nobody can read that, whoever runs the test.
    let contacts = place.path().join(".local/share/egtp/contacts");
    std::fs::create_dir(&contacts).expect("a directory");
    std::fs::set_permissions(&contacts, std::fs::Permissions::from_mode(0o700)).expect("its mode");
    place.run(&["ping", &key]).fails(4).says(&contacts.display().to_string()).says("readable");
}
