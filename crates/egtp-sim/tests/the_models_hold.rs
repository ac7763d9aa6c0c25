//! The models of the exchange and of the sessions, in a size that takes a second, and the code on as
//! many random walks as fit. `cargo run --release -p egtp-sim --example models` does all of it.

use egtp_sim::model::exchange::checks::{check, need};
use egtp_sim::model::exchange::rules::{Rule, Rules};
use egtp_sim::model::exchange::scope::Scope;
use egtp_sim::model::exchange::state::Each;
use egtp_sim::model::replay::{THE_CODE, replay};
use egtp_sim::model::sessions::{self, CROSSED, SessionRule};

/// Proves.
#[test]
fn nothing_is_taken_twice_and_no_outcome_lies_in_any_reachable_state() {
    let scope = Scope { losses: 0, timeouts: Each::default(), ..Scope::records() };
    let finding = check(Rules::ALL, &scope);
    assert!(finding.broken.is_none(), "{:?}", finding.broken);
    assert!(finding.states > 1000, "only {} states were visited", finding.states);
}

/// Proves.
#[test]
fn without_one_of_its_rules_the_exchange_breaks() {
    let quick = [
        Rule::DuplicateCheck,
        Rule::Floor,
        Rule::BindingKept,
        Rule::EachRefused,
        Rule::AgeRule,
        Rule::ReplayWindow,
        Rule::BusyIsCertain,
        Rule::ClosedIsVoid,
    ];
    for rule in quick {
        assert!(need(rule).broken.is_some(), "{rule:?} is not needed");
    }
}

/// Proves S-12, S-13, S-18, S-19.
#[test]
fn two_peers_always_find_a_way_to_each_other() {
    let small = sessions::Scope { restarts: 1, faults: 0, time: false, ..CROSSED };
    let finding = sessions::check(None, small);
    assert!(finding.broken.is_none(), "{:?}", finding.broken);
    let without = sessions::check(Some(SessionRule::HandshakeAfterSilence), small);
    assert!(without.broken.is_some());
}

/// Proves.
#[test]
fn the_code_does_what_the_model_does_on_random_walks() {
    match replay(THE_CODE, 0, WALKS) {
        Ok(tally) => assert_eq!(tally.walks, WALKS),
        Err(disagreement) => panic!("{disagreement}"),
    }
}

#[test]
fn a_model_with_another_rule_is_told_from_the_code() {
    for rule in [Rule::DuplicateCheck, Rule::Floor, Rule::AgeRule] {
        assert!(replay(THE_CODE.without(rule), 0, WALKS).is_err(), "{rule:?} makes no difference");
    }
}

/// Walks of one test.
const WALKS: u64 = 1000;
