//! `egtp contact`: signed contacts as text, out and in.

use clap::{Args, Subcommand};
use egtp::lookup::Lookup;
use egtp::{Contact, SecretKey};

use crate::context::Context;
use crate::directory::Directory;
use crate::failure::{Code, Failure};
use crate::json::Object;
use crate::own_contact::{self, Letters};
use crate::peer::{self, Peer};
use crate::{body, contacts, counts, text_file};

/// Hand out your signed contact as text, and take in those of others
///
/// A contact says how a key can be reached. It is signed by that key, so it does not matter by which
/// way it travels: mail, chat, paper.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp contact export > my-contact.txt
  egtp contact import @bobs-contact.txt
  egtp contact import 'EGTP2-CONTACT:...;'
  egtp contact ls
  egtp contact show @bob")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Print your contact: where your node was reachable when it was started last
    Export,
    /// Check somebody's contact and keep it, unless a newer one is known
    Import {
        /// The contact: its text, - for the standard input, @FILE for a file
        #[arg(default_value = "-", hide_default_value = true)]
        text: String,
    },
    /// List the contacts that were imported
    Ls,
    /// Show what the contact of a peer says, and its text
    Show {
        /// Whose: a key (egtp1...), a peer id (40 digits) or @name
        peer: Peer,
    },
}

/// Does it.
///
/// # Errors
/// When a contact is damaged or forged, or a file cannot be read or written.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let directory = context.directory()?;
    let key = directory.key()?;
    match &arguments.what {
        What::Export => export(context, &directory, &key),
        What::Import { text } => import(context, &directory, text).await,
        What::Ls => list(context, &directory).await,
        What::Show { peer } => show(context, &directory, peer),
    }
}

fn export(context: &Context, directory: &Directory, key: &SecretKey) -> Result<(), Failure> {
    let strategies = directory.listening()?;
    let contact = own_contact::sign(directory, key, strategies, Letters::AsBefore)?;
    if contact.is_client() {
        context.output.say(
            "This contact names no address: the node was never started here. Others cannot reach it \
             until you start it (egtp up) and export again.",
        );
    }
    let text = contact.to_text();
    context.output.data(
        &describe(&contact).text("contact", &text).text("node_id", contact.key().node_id()),
        text,
    )
}

async fn import(context: &Context, directory: &Directory, text: &str) -> Result<(), Failure> {
    let bytes = body::read(text, "text", "a contact")?;
    let contact =
        str::from_utf8(&bytes).ok().map(without_comments).map(|text| text.parse::<Contact>());
    let contact = match contact {
        Some(Ok(contact)) => contact,
        Some(Err(error)) => return Err(Failure::new(Code::Usage, error)),
        None => return Err(Failure::new(Code::Usage, "not a contact: it is not even text")),
    };
    let lookup = peer::lookup_in(directory);
    let known = lookup.resolve(contact.key()).await?;
    if known.as_ref().is_none_or(|known| contact.supersedes(known)) {
        lookup.publish(contact.clone()).await?;
    }
    // Somebody else may have been faster with a newer one.
    let is_new = known.as_ref() != Some(&contact)
        && lookup.resolve(contact.key()).await?.as_ref() == Some(&contact);
    let id = contact.key().node_id();
    let object = describe(&contact).text("peer_id", id).with("stored", is_new);
    let ways = counts::of(contact.strategies().len(), "address", "addresses");
    let done = if is_new { "kept" } else { "not kept: one as new or newer is known" };
    context.output.data(&object, format_args!("contact of {id} with {ways}: {done}"))
}

async fn list(context: &Context, directory: &Directory) -> Result<(), Failure> {
    for contact in contacts::all(directory)? {
        let id = contact.key().node_id();
        let (key, ways) = (contact.key(), strategies(&contact));
        let text = format!("peer id     {id}\n  public key  {key}\n  addresses   {ways}");
        context.output.data(&describe(&contact).text("peer_id", id), text)?;
    }
    contacts::report_damage(directory).await.map(drop)
}

fn show(context: &Context, directory: &Directory, peer: &Peer) -> Result<(), Failure> {
    let id = peer.resolve(Some(directory))?.key.node_id();
    let contact = contacts::by_id(directory, &id)?.ok_or_else(|| {
        let message = format_args!("no contact of {id} was imported here");
        Failure::with_next(Code::NotFound, message, "see which there are: egtp contact ls")
    })?;
    let (key, number, ways) = (contact.key(), contact.sequence(), strategies(&contact));
    let (day, text) = (contact.expiry_day(), contact.to_text());
    let words = format!(
        "peer id     {id}\npublic key  {key}\nnumber      {number}\naddresses   {ways}\n\
         expires     on day {day} after 1970-01-01\n{text}"
    );
    context.output.data(&describe(&contact).text("peer_id", id).text("contact", &text), words)
}

fn strategies(contact: &Contact) -> String {
    let ways: Vec<String> = contact.strategies().iter().map(ToString::to_string).collect();
    if ways.is_empty() { "none".to_owned() } else { ways.join(" ") }
}

fn describe(contact: &Contact) -> Object {
    Object::new()
        .text("public_key", contact.key())
        .with("sequence", contact.sequence())
        .with("expiry_day", contact.expiry_day())
        .list("strategies", contact.strategies())
        .with("takes_letters", contact.letter_store().is_some())
}

/// The file that `export` keeps can be imported as it is.
fn without_comments(text: &str) -> String {
    text_file::lines(text).map(|(_, line)| line).collect()
}
