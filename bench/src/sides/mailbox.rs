//! EGTP's mailboxes: letters that a relay keeps on its disk until their recipients fetch them.
//!
//! A relay cannot open a letter. So each is as long as one that is sealed around such a body, and no two are the same; but
//! they are not sealed one by one, which would be the work of their senders.

use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use egtp::mailbox::{LARGEST, decode_mailboxes, encode_count};
use egtp::store::SqliteStore;
use egtp::{Allowed, ContactDraft, Kind, Message, Node, PublicKey, SecretKey, Ticket};
use egtp_proto::MailboxPrekey;
use egtp_proto::crypto::{DhKey, Suite};
use egtp_proto::session::handshake::LocalKeys;
use egtp_proto::session::letter::{self, Contents};
use egtp_proto::wire::shroud::Shroud;
use egtp_services::mailbox::{Limits, Mailboxes, deposit};

use super::Side;
use crate::outcome::Outcome;
use crate::server::announce;
use crate::system;

pub struct Mailbox;

/// For how many recipients there are letters, one for each seed of one byte, and so many streams elsewhere.
pub const RECIPIENTS: u64 = 256;

/// For which recipient a body is.
pub fn recipient_of(body: &[u8]) -> u64 {
    let number = body.first_chunk().map_or(0, |number| u64::from_le_bytes(*number));
    (number ^ (number >> 32)) % RECIPIENTS
}

/// What a sealed letter has around a body: its head, keys, tags and the contact of its sender.
pub fn letter_around() -> Outcome<Bytes> {
    let (from, to) = (SecretKey::from_seed([1; 32]), SecretKey::from_seed([2; 32]));
    let local = LocalKeys::new(&from).ok_or("no keys")?;
    let dh = |seed: u8| DhKey::from_secret(&[seed; 32]).map_err(|_| "no key");
    let prekey = MailboxPrekey { id: 7, key: *dh(3)?.public() };
    let draft = ContactDraft {
        sequence: 1,
        strategies: vec![egtp::Strategy::Relay { relay: to.public(), at: None }],
        suites: vec![1, 2],
        mailbox_prekey: Some(prekey),
        letter_store: Some(1),
        instance: 1,
        message_bytes_max: 1 << 21,
        idle_out_seconds: 3600,
        expiry_day: 20_000,
        parent: None,
    };
    let contact = draft.sign(&from, 19_990)?;
    // The heads of a dialog and of a message in it, generously.
    let contents = Contents { contact: contact.encode(), frames: &[0; 96] };
    let shroud = Shroud::new(&to.public());
    let whose = (&to.public(), &prekey);
    let sealed = letter::seal(&local, whose, Suite::CLASSICAL[0], dh(4)?, contents, &shroud);
    Ok(Bytes::from(sealed.map_err(|_| "no letter")?))
}

/// The letter around a body.
pub fn letter_of(around: &Bytes, body: &[u8]) -> Bytes {
    let mut letter = BytesMut::with_capacity(around.len() + body.len());
    letter.extend_from_slice(around);
    letter.extend_from_slice(body);
    letter.freeze()
}

#[derive(Clone)]
pub struct Link {
    node: Node,
    relay: Arc<Ticket>,
    around: Bytes,
    recipients: Arc<[PublicKey]>,
}

/// So that nothing but the disk says when it is enough.
fn limits() -> Limits {
    Limits {
        mailbox_letters_max: u32::MAX,
        mailbox_bytes_max: u64::MAX,
        share_letters_max: u32::MAX,
        share_bytes_max: u64::MAX,
        letters_max: u64::MAX,
        bytes_max: u64::MAX,
        ..Limits::default()
    }
}

impl Side for Mailbox {
    const STORES: bool = true;
    type Local = ();
    type Link = Link;

    async fn serve(_: bool) -> Outcome<()> {
        let (mailboxes, announcer) = Mailboxes::new(limits(), Allowed::Anybody);
        let mut builder = Node::builder()
            // The same one when it is started again.
            .key(SecretKey::from_seed([9; 32]))
            .only_instance()
            .listen("127.0.0.1:0".parse()?)
            .store(SqliteStore::open(system::folder()?.join("store.db"))?);
        for router in mailboxes.routers(Allowed::Anybody, Allowed::Anybody)? {
            builder = builder.serve(router);
        }
        let node = builder.start().await?;
        announce(node.ticket());
        announcer.run(node).await;
        Ok(())
    }

    async fn local(_: bool) -> Outcome<()> {
        Ok(())
    }

    async fn connect((): &(), address: &str) -> Outcome<Link> {
        let keys = (0..=u8::MAX).map(|seed| SecretKey::from_seed([seed; 32]).public());
        Ok(Link {
            node: Node::builder().start().await?,
            relay: Arc::new(address.parse()?),
            around: letter_around()?,
            recipients: keys.collect(),
        })
    }

    async fn ask(link: &Link, body: Bytes) -> Outcome<Bytes> {
        let recipient = &link.recipients[recipient_of(&body) as usize];
        deposit(&link.node, &*link.relay, recipient, &letter_of(&link.around, &body)).await?;
        Ok(body)
    }

    async fn close((): &(), link: Link) {
        drop(link);
    }

    async fn stored(address: &str) -> Outcome<u64> {
        let (node, relay) = (Node::builder().start().await?, address.parse::<Ticket>()?);
        let most = encode_count(RECIPIENTS as u32).to_vec();
        let reply = node.request(relay, Message::new(Kind::new(LARGEST)?, most)).await?;
        let mailboxes = decode_mailboxes(&reply.body).ok_or("no list of mailboxes")?;
        Ok(mailboxes.iter().map(|one| u64::from(one.letters)).sum())
    }
}
