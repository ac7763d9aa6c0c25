//! EGTP v2 as a state machine: bytes and decisions.

mod card;
pub mod codes;
mod contact;
mod contact_value;
mod counters;
pub mod crypto;
mod endpoint;
pub mod exchange;
mod host_port;
mod key;
mod key_text;
pub mod limits;
pub mod message;
mod node_id;
mod output;
mod part;
mod peer_card;
#[cfg(planted)]
pub mod planted;
#[cfg(not(planted))]
mod planted;
pub mod session;
mod slots;
mod strategy;
mod ticket;
pub mod time;
pub mod timers;
pub mod wire;

pub use card::{LiveCard, PrekeyCard, StoreCard, StoreKind};
pub use codes::Table;
pub use contact::{Contact, ContactError};
pub use contact_value::{ContactDraft, MailboxPrekey};
pub use counters::{Counters, Dropped};
pub use endpoint::{
    Config, Elsewhere, Endpoint, LetterError, Letters, Lost, OwnMailbox, Reading, Sizes, Source,
    Stray, Submission,
};
pub use host_port::{Host, HostName, HostPort, HostPortError};
pub use key::{KeyError, PublicKey, SecretKey, ShortKey};
pub use message::{Kind, KindError, MessageClass, MessageId};
pub use node_id::{NodeId, NodeIdError};
pub use output::{
    Arriving, Assurance, Event, EventCode, IdentityId, MessageEvent, NotSent, Outcome, PathId,
    Policy, Posted, QueryEvent, QueryId, RefusedWhy, Sink, Taken, Way,
};
pub use part::{Part, Stripe};
pub use peer_card::{PeerCard, PeerCardError};
pub use strategy::{Strategy, StrategyError};
pub use ticket::{Ticket, TicketError};
