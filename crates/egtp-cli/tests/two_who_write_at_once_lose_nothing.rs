//! Files that are read, changed and written again, by several processes at the same time.

mod common;

use std::collections::BTreeSet;
use std::process::Child;

use common::Place;

/// So many that two of them are between reading and writing at once, if nothing prevents it.
const AT_ONCE: usize = 12;

/// Starts all of them before it waits for any; each must succeed. What they printed.
fn all_at_once(place: &Place, commands: &[Vec<String>]) -> Vec<String> {
    let start = |words: &Vec<String>| {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        place.command(&words).spawn().expect("the program starts")
    };
    let children: Vec<Child> = commands.iter().map(start).collect();
    let ended = children.into_iter().map(|child| child.wait_with_output().expect("its end"));
    let printed = ended.map(|output| {
        let talk = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{talk}");
        String::from_utf8(output.stdout).expect("text")
    });
    printed.collect()
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').map(ToOwned::to_owned).collect()
}

#[test]
fn every_name_that_was_given_is_there_and_every_one_taken_away_is_gone() {
    let place = Place::new();
    place.run(&["init"]).ok();
    let other = place.run(&["--data", &place.at("other"), "init", "--json"]).ok().object();
    let key = other["public_key"].as_str().expect("a key");
    let names = || {
        let listed = place.run(&["peers", "ls", "--json"]).ok().objects();
        let names = listed.iter().map(|object| object["name"].as_str().map(ToOwned::to_owned));
        names.collect::<Option<BTreeSet<String>>>().expect("names")
    };
    let add = |number: usize| words(&format!("peers add n{number} {key}"));
    all_at_once(&place, &(0..AT_ONCE).map(add).collect::<Vec<_>>());
    let expected: BTreeSet<String> = (0..AT_ONCE).map(|number| format!("@n{number}")).collect();
    assert_eq!(names(), expected);

    let remove = |number: usize| words(&format!("peers rm n{number}"));
    let (even, added) = ((0..AT_ONCE).step_by(2), AT_ONCE..2 * AT_ONCE);
    let changes: Vec<Vec<String>> = even.map(remove).chain(added.map(add)).collect();
    all_at_once(&place, &changes);
    let odd = (1..AT_ONCE).step_by(2).chain(AT_ONCE..2 * AT_ONCE);
    assert_eq!(names(), odd.map(|number| format!("@n{number}")).collect());
}

#[test]
fn a_number_of_a_contact_is_signed_once() {
    let place = Place::new();
    place.run(&["init"]).ok();
    let export = vec![words("contact export"); AT_ONCE];
    let contacts: BTreeSet<String> = all_at_once(&place, &export).into_iter().collect();
    // The first export signs one contact; all others find it.
    assert_eq!(contacts.len(), 1);
}

#[test]
fn every_contact_that_was_imported_is_kept() {
    let place = Place::new();
    place.run(&["init"]).ok();
    let export = |number: usize| {
        let data = place.at(&format!("other{number}"));
        place.run(&["--data", &data, "init"]).ok();
        let text = place.run(&["--data", &data, "contact", "export"]).ok().out;
        words(&format!("contact import {}", text.trim()))
    };
    let imports: Vec<Vec<String>> = (0..AT_ONCE).map(export).collect();
    all_at_once(&place, &imports);
    assert_eq!(place.run(&["contact", "ls", "--json"]).ok().objects().len(), AT_ONCE);
}
