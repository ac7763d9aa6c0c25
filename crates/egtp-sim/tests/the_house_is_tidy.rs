//! House rules over every file of the checkout, with the exceptions that are granted and why.

use egtp_sim::checkout;
use egtp_sim::tidy::{self, Exception};

#[test]
fn no_source_file_holds_two_ideas() {
    let files = checkout::read().expect("the checkout can be read");
    assert_clean(&tidy::files_are_short(&files, LINES_MAX, LONG));
}

#[test]
fn every_file_says_what_it_is_for() {
    let files = checkout::read().expect("the checkout can be read");
    assert_clean(&tidy::files_say_what_they_are_for(&files));
}

#[test]
fn no_test_is_switched_off_and_none_waits_for_the_clock() {
    let files = checkout::read().expect("the checkout can be read");
    assert_clean(&tidy::no_test_is_ignored(&files));
    assert_clean(&tidy::no_test_sleeps(&files, SLEEPING));
}

#[test]
fn every_decoder_has_a_fuzz_target_and_every_target_is_wired() {
    let files = checkout::read().expect("the checkout can be read");
    assert_clean(&tidy::every_fuzz_target_is_wired(&files));
    assert_clean(&tidy::every_decoder_is_fuzzed(&files));
}

#[test]
fn nothing_names_a_place_outside_of_the_checkout() {
    let files = checkout::read().expect("the checkout can be read");
    // Put together here, so that this file does not find itself.
    let places = [["..", "/shared"].concat(), ["/wo", "rk/"].concat(), ["/ro", "ot/"].concat()];
    let places = places.iter().map(String::as_str).collect::<Vec<_>>();
    assert_clean(&tidy::no_file_names_a_private_place(&files, &places));
}

fn assert_clean(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

/// Far above the usual 150 to 250: this is where a file has certainly become two.
const LINES_MAX: usize = 500;

/// Files that may be longer.
const LONG: &[Exception] = &[];

/// Tests that may sleep.
const SLEEPING: &[Exception] = &[
    Exception {
        path: "crates/egtp/tests/impatience_is_an_event.rs",
        reason: "its runtime's time is paused: the slow peer sleeps in no time",
    },
    Exception {
        path: "crates/egtp/tests/what_is_slow_is_learned.rs",
        reason: "its runtime's time is paused: the slow peer sleeps in no time",
    },
    Exception {
        path: "crates/egtp/tests/silence_closes_connections_and_the_next_message_opens_one.rs",
        reason: "its runtime's time is paused: an hour of silence passes in no time",
    },
    Exception {
        path: "crates/egtp-services/tests/a_circuit_outlives_silence.rs",
        reason: "its runtime's time is paused: minutes of silence pass in no time",
    },
    Exception {
        path: "crates/egtp-services/tests/a_relay_that_lies_is_asked_last.rs",
        reason: "its runtime's time is paused: the slow relay sleeps in no time",
    },
];
