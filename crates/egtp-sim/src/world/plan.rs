//! What a world is made of: drawn from a seed, and small enough to be read, edited and kept.
//!
//! A plan names the faults that exist at all and how strong each is; everything finer is drawn from
//! its seed while the world runs. Invariant: equal plans give equal runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::chance::{dice, happens, spread};
use super::fault::Fault;

/// A world before it begins.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Decides everything that this plan leaves open. Below 2^63, so that every reader of its text
    /// can hold it.
    pub seed: u64,
    /// Honest nodes.
    pub nodes: u64,
    /// Requests and sends while there are faults.
    pub requests: u64,
    /// How long there are faults, in seconds of the world.
    pub fault_seconds: u64,
    /// Whether every node is restarted when the faults end.
    pub restart_at_end: bool,
    /// Of a thousand paths, how many keep order and lose nothing while they are up, as TCP.
    pub streams_per_mille: u64,
    /// The faults that exist, each with a strength from 1 to 100.
    pub faults: BTreeMap<Fault, u64>,
}

impl Plan {
    /// The plan of a seed.
    pub fn draw(seed: u64) -> Self {
        let seed = seed & SEED_MAX;
        let mut of = dice(seed, "plan", 0);
        let nodes = of.pick(&NODES).copied().unwrap_or(3);
        let requests = of.among(REQUESTS);
        let mut fault_seconds = spread(&mut of, FAULT_SECONDS.0, FAULT_SECONDS.1);
        let restart_at_end = happens(&mut of, 500);
        let streams_per_mille = of.pick(&[0, 0, 300, 500, 1000, 1000]).copied().unwrap_or(0);
        let mut faults = BTreeMap::new();
        for fault in Fault::ALL {
            // A sequence of its own for each, so that a new fault changes no old plan.
            let mut of = dice(seed, fault.name(), 0);
            if happens(&mut of, 500) {
                faults.insert(*fault, spread(&mut of, 5, STRENGTH_MAX));
            }
        }
        // Sleeping for days needs days.
        if faults.contains_key(&Fault::Suspend) && happens(&mut of, 40) {
            fault_seconds = TWELVE_DAYS;
        }
        Self { seed, nodes, requests, fault_seconds, restart_at_end, streams_per_mille, faults }
    }

    /// The strength of a fault; 0 if it does not exist.
    pub fn strength(&self, fault: Fault) -> u64 {
        self.faults.get(&fault).copied().unwrap_or(0).min(STRENGTH_MAX)
    }

    /// The text form.
    pub fn to_text(&self) -> String {
        let Self { seed, nodes, requests, fault_seconds, restart_at_end, .. } = self;
        let mut text = format!(
            "seed = {seed}\nnodes = {nodes}\nrequests = {requests}\n\
             fault_seconds = {fault_seconds}\nrestart_at_end = {restart_at_end}\n\
             streams_per_mille = {}\n\n[faults]\n",
            self.streams_per_mille
        );
        let faults = self.faults.iter();
        text.extend(faults.map(|(fault, strength)| format!("{} = {strength}\n", fault.name())));
        text
    }

    /// Reads the text form.
    ///
    /// # Errors
    /// What the text lacks or has too much of.
    pub fn from_text(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }
}

/// The strongest that a fault gets.
pub const STRENGTH_MAX: u64 = 100;
/// The largest seed: what a signed number of 64 bits holds.
const SEED_MAX: u64 = u64::MAX >> 1;
/// How many nodes, and how often which number.
const NODES: [u64; 8] = [2, 3, 3, 3, 4, 4, 5, 6];
/// How many requests.
const REQUESTS: std::ops::RangeInclusive<u64> = 100..=500;
/// How long faults last, in seconds: two minutes to four hours.
const FAULT_SECONDS: (u64, u64) = (120, 14_400);
/// Enough for a machine that sleeps ten days.
const TWELVE_DAYS: u64 = 12 * 86_400;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_survives_its_text() {
        for seed in 0..50 {
            let plan = Plan::draw(seed);
            assert_eq!(Plan::from_text(&plan.to_text()).unwrap(), plan);
        }
    }

    #[test]
    fn every_fault_exists_in_about_half_of_the_plans() {
        let plans: Vec<Plan> = (0..400).map(Plan::draw).collect();
        for fault in Fault::ALL {
            let count = plans.iter().filter(|plan| plan.strength(*fault) > 0).count();
            assert!((130..=270).contains(&count), "{} in {count} of 400", fault.name());
        }
    }
}
