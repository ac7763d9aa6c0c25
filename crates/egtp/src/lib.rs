//! EGTP v2 for programs: messages between identities, at most once, sealed, over any path.
//!
//! You name a peer by its public key; your request reaches it at most once, sealed, and the reply
//! finds its way back, also over another connection. Every request has one outcome: a [`Reply`], or a
//! [`RequestError`] that says what is known and whether trying again is safe.
//!
//! [`Node`] is a running peer, made by its [`Builder`]; a [`Router`] answers what others ask it; a
//! [`Ticket`] is a key with hints where its owner may be, and [`lookup`] finds those without. A [`Group`] is
//! many requests that are done together, such as the pieces of a long file; a [`Batch`] is for programs that keep no
//! task for each of very many. [`testing`]
//! is a network in memory for your tests; [`path`] and [`clock`] are what a node stands on, for those
//! who bring their own.
//!
//! ```
//! use egtp::{Kind, Message, Node, Router, respond};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
//! let kind = Kind::new("greet/1")?;
//!
//! // Bob answers.
//! let bob = Node::builder().listen("127.0.0.1:0".parse()?).start().await?;
//! let greet = respond(|_asker, body| async move { [&b"hello "[..], &body].concat() });
//! let serving = bob.clone();
//! let router = Router::new().route(kind.clone(), greet);
//! tokio::spawn(async move { serving.serve(router).await });
//!
//! // Alice asks. All she needs is Bob's key, and here a hint where he is.
//! let alice = Node::builder().start().await?;
//! let reply = alice.request(bob.ticket(), Message::new(kind, "world")).await?;
//! assert_eq!(reply.body, "hello world");
//! # Ok(())
//! # })
//! # }
//! ```

mod address_book;
mod batch;
mod bell;
mod builder;
pub mod clock;
mod command;
mod driver;
pub mod error;
pub mod events;
mod experience;
mod group;
pub mod keyfile;
pub mod letters;
mod lines;
pub mod lookup;
mod loops;
pub mod mailbox;
mod message;
mod node;
pub mod path;
mod queue;
mod reach;
pub mod relay;
mod request;
mod serve;
mod slot;
mod status;
pub mod store;
pub mod testing;

pub use batch::{Batch, BatchFull, Completion};
pub use builder::Builder;
pub use egtp_proto::crypto::{Cipher, Suite, Suites};
pub use egtp_proto::limits::Limits;
pub use egtp_proto::{
    Arriving, Assurance, Contact, ContactDraft, Host, HostPort, Kind, KindError, MessageEvent,
    MessageId, NodeId, PeerCard, PeerCardError, PublicKey, QueryEvent, SecretKey, Strategy, Ticket,
};
pub use error::{NotSent, Refusal, RequestError, ServeError, StartError, Taken};
pub use group::{Group, GroupError, GroupId, GroupProgress, Member, MemberReply, Pieces};
pub use message::{IntoReply, Message, Receipt, Recipient, Reply};
pub use node::Node;
pub use request::{Pending, Progress, Request};
pub use serve::{AllowList, Allowed, Handler, Hints, Queries, Query, Router, respond};
pub use status::{OpenPath, OpenedBy, Status};
