//! Everything that can go wrong in a world, by name.
//!
//! A plan says which of them exist and how strong they are; a run counts how often each fired.
//! Knows only names: what a fault does stands where it does it.

use serde::{Deserialize, Serialize};

/// Writes the enumeration, its list and its names in one place, so that none can be forgotten.
macro_rules! faults {
    ($($fault:ident $name:literal $says:literal,)*) => {
        /// One kind of trouble.
        #[derive(Clone, Copy, Debug, Deserialize, Eq, Ord, PartialEq, PartialOrd, Serialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Fault {
            $(#[doc = $says] $fault,)*
        }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$fault,)*];

            /// Its name in plans and reports.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$fault => $name,)*
                }
            }
        }
    };
}

faults! {
    Loss "loss" "Packets vanish one by one.",
    LossBurst "loss_burst" "Packets vanish many at a time.",
    Delay "delay" "Packets take longer.",
    LongTail "long_tail" "A few packets take up to a minute.",
    OneSided "one_sided" "One direction of a path is slower than the other.",
    Reorder "reorder" "Packets are overtaken.",
    Duplicate "duplicate" "Packets arrive twice.",
    LateCopy "late_copy" "A copy arrives up to an hour later.",
    Corrupt "corrupt" "Bits are flipped.",
    Truncate "truncate" "Packets are cut short.",
    Grow "grow" "Packets become longer.",
    Splice "splice" "The front of one packet and the end of another.",
    Reflect "reflect" "A packet comes back to its sender.",
    Replay "replay" "Recordings are played again, also to a later life.",
    Partition "partition" "Some nodes do not reach others.",
    OneWayPartition "one_way_partition" "One direction between two nodes is dead.",
    Clog "clog" "A path stops and releases everything later in another order.",
    PathDeath "path_death" "A path breaks.",
    SilentPath "silent_path" "A path swallows everything and tells nobody.",
    AddressChange "address_change" "All paths of a node break, and new ones come.",
    DialFailure "dial_failure" "Nobody answers a dial, or refuses it.",
    Claimed "claimed" "Some paths have unverified sources.",
    FullPath "full_path" "A path takes nothing for a while.",
    SlowPath "slow_path" "Paths take only so many bytes a second.",
    WrongWall "wrong_wall" "Wall clocks are wrong by years.",
    WallJump "wall_jump" "Wall clocks jump by up to ten years.",
    Drift "drift" "Boot clocks run up to 500 millionths fast or slow.",
    Suspend "suspend" "A machine sleeps up to ten days, and its boot clock has counted them.",
    ClockStop "clock_stop" "A boot clock stands still for a while.",
    Crash "crash" "A node dies and begins a new life with empty memory.",
    Pause "pause" "A node stops up to an hour and goes on as if nothing had happened.",
    NoAge "no_age" "Nodes are not certain to be the only instance of their identity.",
    Client "client" "One node cannot be called.",
    TinyLimits "tiny_limits" "Limits are so small that everything behind them happens.",
    Hostile "hostile" "Somebody with a valid key breaks the rules.",
    Stranger "stranger" "Somebody without a key sends junk, and recordings, and what he made of them.",
    LargeBody "large_body" "Bodies of up to the limit.",
    ShortTimeout "short_timeout" "Timeouts from a millisecond on.",
    SoftTimeout "soft_timeout" "Requests with a soft timeout.",
    SlowHandler "slow_handler" "Handlers answer late, also too late.",
    SilentHandler "silent_handler" "Handlers never answer.",
    Refusal "refusal" "Handlers refuse, or their reply is too long.",
    Cancel "cancel" "Askers give up.",
    Send "send" "Messages that want no reply.",
    BothSides "both_sides" "Pairs that begin from both sides at once.",
    Burst "burst" "Many requests at one moment.",
    Crowd "crowd" "Several nodes send to one that remembers one or two dialogs.",
    LargeReply "large_reply" "Replies that are much larger than their requests.",
    Rebirth "rebirth" "A node dies at the worst moment and begins anew at once, after all other faults.",
    Disk "disk" "Disks that are slow, and forget what they were writing when their node died.",
    FullDisk "full_disk" "A disk refuses every write for a while.",
    Relayed "relayed" "Some pairs of nodes reach each other only through relays.",
    RelayCrash "relay_crash" "A relay dies and begins anew, and knows nobody.",
    RelayGone "relay_gone" "A relay dies for ever, and another one is left.",
    RelaySilent "relay_silent" "A relay says that everybody is there, and passes nothing.",
    RelayDrops "relay_drops" "Relays drop what they like.",
    RelayDelays "relay_delays" "Relays keep packets back for up to a minute.",
    RelayRepeats "relay_repeats" "Relays repeat what they have seen: later, to others, in other orders.",
    RelayForges "relay_forges" "Relays alter what they pass on.",
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_written_in_plans_by_its_name() {
        for fault in Fault::ALL {
            let text = format!("{} = 1", fault.name());
            let read: std::collections::BTreeMap<Fault, u64> = toml::from_str(&text).unwrap();
            assert_eq!(read, [(*fault, 1)].into());
        }
    }
}
