//! The rules by which one peer keeps and chooses sessions.
//!
//! Follows sections 5.2 and 5.3 of the specification, not the code.

use super::checks::SessionRule;
use super::state::{Has, Scope, State, Who};

/// The rule that is taken away, if any.
pub(super) type Without = Option<SessionRule>;

impl State {
    /// What a peer has of a session.
    pub fn has(&self, who: Who, place: usize) -> Has {
        self.sessions.get(place).map_or(Has::Nothing, |one| *one.has.of(who))
    }

    /// Notes what a peer has of a session.
    pub fn set(&mut self, who: Who, place: usize, has: Has) {
        if let Some(session) = self.sessions.get_mut(place) {
            *session.has.at(who) = has;
        }
    }

    /// Whether a peer can open records of a session.
    pub fn opens(&self, who: Who, place: usize) -> bool {
        matches!(self.has(who, place), Has::Provisional | Has::Confirmed { .. })
    }

    /// Whether a peer waits for the answer to a first flight.
    pub fn is_shaking(&self, who: Who) -> bool {
        self.sessions.iter().any(|one| *one.has.of(who) == Has::Pending)
    }

    /// Whether there is a session that one may send on and the other opens, in both directions.
    pub fn has_common(&self) -> bool {
        let is_confirmed = |who, place| matches!(self.has(who, place), Has::Confirmed { .. });
        (0..self.sessions.len())
            .any(|place| is_confirmed(Who::Left, place) && is_confirmed(Who::Right, place))
    }

    /// S-13: the session to send on.
    pub fn choice(&self, without: Without, who: Who) -> Option<usize> {
        let peer = self.peers.of(who);
        let good = |place: &usize| self.has(who, *place) == Has::Confirmed { doubted: false };
        let mut usable: Vec<usize> = peer.confirmed.iter().copied().filter(good).collect();
        if usable.is_empty() {
            usable.clone_from(&peer.confirmed);
        }
        let latest = usable.last().copied();
        if without == Some(SessionRule::NewestHeard) {
            return latest;
        }
        let heard: Vec<usize> =
            usable.into_iter().filter(|place| peer.recent.contains(place)).collect();
        let latest = heard.last().copied().or(latest)?;
        let opened = |place: usize| self.sessions.get(place).map(|one| one.opened_by);
        let crossed = heard.into_iter().filter(|place| {
            peer.close.contains(place)
                && peer.close.contains(&latest)
                && opened(*place) != opened(latest)
        });
        crossed.chain([latest]).min()
    }

    /// A session is confirmed, and so heard.
    pub fn confirm(&mut self, without: Without, scope: Scope, who: Who, place: usize) {
        let peer = self.peers.at(who);
        if peer.confirmed.len() >= scope.kept && without == Some(SessionRule::OldestMakesRoom) {
            self.set(who, place, Has::Nothing);
            return;
        }
        peer.confirmed.push(place);
        if std::mem::take(&mut peer.long_unconfirmed) {
            peer.close.clear();
        }
        peer.close.push(place);
        let full = peer.confirmed.len() > scope.kept && without != Some(SessionRule::FewKept);
        let oldest = peer.confirmed.first().copied().filter(|_| full);
        self.set(who, place, Has::Confirmed { doubted: false });
        if let Some(oldest) = oldest {
            self.drop_session(who, oldest);
        }
        self.heard(who, place);
    }

    /// A record was opened.
    pub fn heard(&mut self, who: Who, place: usize) {
        self.set(who, place, Has::Confirmed { doubted: false });
        let peer = self.peers.at(who);
        peer.lost_trust = false;
        if std::mem::take(&mut peer.long_unheard) {
            peer.recent.clear();
        }
        if !peer.recent.contains(&place) {
            peer.recent.push(place);
            peer.recent.sort_unstable();
        }
    }

    /// A peer forgets a session.
    pub fn drop_session(&mut self, who: Who, place: usize) {
        self.set(who, place, Has::Nothing);
        let peer = self.peers.at(who);
        for list in [&mut peer.confirmed, &mut peer.recent, &mut peer.close] {
            list.retain(|one| *one != place);
        }
    }

    /// S-18, S-19: the other seems to have forgotten all: shake hands again, keep everything.
    pub fn doubt_all(&mut self, who: Who) {
        for place in self.peers.of(who).confirmed.clone() {
            self.set(who, place, Has::Confirmed { doubted: true });
        }
        self.peers.at(who).lost_trust = true;
    }
}
