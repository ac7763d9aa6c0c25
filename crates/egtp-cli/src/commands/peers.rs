//! `egtp peers`: names for others.

use clap::{Args, Subcommand};
use egtp::Ticket;

use crate::context::Context;
use crate::failure::Failure;
use crate::json::Object;
use crate::peer;
use crate::petnames::{Petname, Petnames};

/// Give names to peers, and list them
///
/// Names are yours alone; they are kept in the text file `peers` of the data directory.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp peers add bob TICKET         from now on: egtp ping @bob
  egtp peers ls
  egtp peers rm bob")]
pub(crate) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    /// Give a name to whoever has this ticket or key
    Add {
        /// The name, with or without its @
        name: Petname,
        /// The ticket or key
        #[arg(value_parser = peer::ticket)]
        ticket: Ticket,
    },
    /// List names, keys and peer ids
    Ls,
    /// Forget a name
    Rm {
        /// The name, with or without its @
        name: Petname,
    },
}

/// Does it.
///
/// # Errors
/// When the file cannot be read or written, or the name is somebody else's.
pub(crate) fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let directory = context.directory()?;
    // A directory without an identity has no owner who could name anybody.
    directory.key()?;
    match &arguments.what {
        What::Add { name, ticket } => {
            Petnames::add(&directory, name, ticket)?;
            context.output.data(&describe(name, ticket), format_args!("{name} is {}", ticket.key))
        }
        What::Rm { name } => {
            Petnames::remove(&directory, name)?;
            let object = Object::new().text("removed", name);
            context.output.data(&object, format_args!("{name} is forgotten"))
        }
        What::Ls => {
            for (name, ticket) in Petnames::read(&directory)?.entries() {
                let id = ticket.key.node_id();
                let text = format!("{name}\n  peer id  {id}\n  ticket   {ticket}");
                context.output.data(&describe(name, ticket), text)?;
            }
            Ok(())
        }
    }
}

fn describe(name: &Petname, ticket: &Ticket) -> Object {
    Object::new()
        .text("name", name)
        .text("public_key", ticket.key)
        .text("peer_id", ticket.key.node_id())
        .text("ticket", ticket)
}
