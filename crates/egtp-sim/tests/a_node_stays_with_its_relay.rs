//! An hour of a node that may register at two equal relays: what decides is that of `egtp-services`, what the relays answer
//! and when is drawn from a seed. Controls: two hasty nodes, which are seen to go from relay to relay.

mod hour;

use std::time::Duration;

use hour::{Haste, Hour, Visit};

const fn seconds(number: u64) -> Duration {
    Duration::from_secs(number)
}

fn visits(seed: u64, haste: Haste) -> Vec<Visit> {
    Hour::new(seed, haste).play()
}

/// Proves B-18: relays that are now quick and now slow, hang for seconds, lose what is asked and forget the node are no reason
/// to go.
#[test]
fn between_two_equal_relays_that_are_well_a_node_does_not_go_to_and_fro_in_an_hour() {
    for seed in 0..SEEDS {
        let visits = visits(seed, Haste::None);
        let places: Vec<usize> = visits.iter().map(|visit| visit.relay).collect();
        assert_eq!(places, [0], "seed {seed}");
        assert!(visits[0].registered.is_some_and(|at| at < seconds(20)), "seed {seed}");
    }
}

#[test]
fn a_node_that_went_where_it_is_quicker_now_or_waited_for_a_second_would_go_to_and_fro() {
    for haste in [Haste::Quickest, Haste::Impatient] {
        let counts = (0..SEEDS).map(|seed| visits(seed, haste).len());
        let fewest = counts.min().unwrap();
        assert!(fewest > 10, "{haste:?}: {fewest} visits in an hour");
    }
}

/// Proves B-18: a relay that dies is left within seconds, and that it is there again is no reason to come back.
#[test]
fn a_relay_that_dies_is_left_once_and_not_come_back_to_before_there_is_need() {
    for seed in 0..SEEDS {
        let (dies, lives) = (seconds(1_200), seconds(1_260));
        for is_noticed in [true, false] {
            let mut hour = Hour::new(seed, Haste::None);
            hour.dies(0, dies, lives, is_noticed);
            let visits = hour.play();
            let places: Vec<usize> = visits.iter().map(|visit| visit.relay).collect();
            assert_eq!(places, [0, 1], "seed {seed}");
            let away = visits[1].registered.unwrap().saturating_sub(dies);
            // Until it asks, which it does at once if it sees the connection break; ten seconds for an answer; and the
            // time that the next one takes.
            let asks = if is_noticed { seconds(10) } else { seconds(25) };
            assert!(away < asks + seconds(10) + seconds(20), "seed {seed}: {away:?}");
        }
    }
}

#[test]
fn there_is_need_when_the_second_relay_dies_as_well() {
    for seed in 0..SEEDS {
        let mut hour = Hour::new(seed, Haste::None);
        hour.dies(0, seconds(1_200), seconds(1_260), true);
        hour.dies(1, seconds(2_400), seconds(3_600), true);
        let visits = hour.play();
        let places: Vec<usize> = visits.iter().map(|visit| visit.relay).collect();
        assert_eq!(places, [0, 1, 0], "seed {seed}");
    }
}

const SEEDS: u64 = 100;
