//! `egtp relay`: passes packets on to nodes that cannot be called.

use clap::Args;
use egtp::mailbox::PUT;
use egtp::{Allowed, Kind};
use egtp_services::{mailbox, relay};

use super::serve::echo_service;
use crate::config;
use crate::context::Context;
use crate::counts;
use crate::failure::{Code, Failure};
use crate::keeper::{Admission, Keeper, Terms};
use crate::key_lists;
use crate::listening::Listening;
use crate::ready::Role;
use crate::standing::{Duty, Risk, Standing};

/// Pass packets on to nodes that cannot be called, until Ctrl-C (or SIGTERM)
///
/// A node registers here (egtp up --relay TICKET), and others reach it by a ticket that names this relay. The relay
/// sees who talks to whom, when and how much; it can delay and drop packets, and read or change none. It keeps sealed
/// letters for those who are away (--max-letters). It answers echo/1 as well. SIGHUP makes it read again who
/// may: --allow, --operator and --ban in a configuration file, and the files that they name.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp relay --listen tcp/0.0.0.0:7700            everybody who knows its ticket may register
  egtp relay --allow egtp1... --allow @bob        only these may
  egtp relay --ban ./banned --metrics tcp/127.0.0.1:9300
  egtp relay --ephemeral --listen tcp/127.0.0.1:0 to try it out on this machine")]
pub(crate) struct Arguments {
    /// Who may register: a key, a ticket, a @name, or a file with one of them on each line; several times
    ///
    /// Without it: everybody. Whoever wants to reach a registered node may always ask.
    #[arg(long, value_name = "KEY|@NAME|FILE")]
    allow: Vec<String>,

    /// How many nodes may be registered at a time; a further one is told that the relay is busy
    #[arg(long, value_name = "N", default_value = "16384", value_parser = counts::parse::<usize>)]
    max_registered: usize,

    /// Keep letters for those who may register, while they are away: how many in all; 0 for none
    ///
    /// Each has room for 1,024 letters and 64 MiB, and each sender for a quarter of that. A letter is kept for 14 days. With
    /// --ephemeral none are kept: there is no disk to keep them on.
    #[arg(long, value_name = "N", default_value = "1048576", value_parser = counts::parse::<u64>)]
    max_letters: u64,

    /// Who may list the largest mailboxes (egtp mailbox ls): a key, a ticket, a @name, or a file; several times
    #[arg(long, value_name = "KEY|@NAME|FILE")]
    operator: Vec<String>,

    /// Who may do nothing here, neither register, talk to others nor leave letters: a key, a ticket, a @name, or a file
    #[arg(long, value_name = "KEY|@NAME|FILE")]
    ban: Vec<String>,

    #[command(flatten)]
    listening: Listening,
}

/// Runs it.
///
/// # Errors
/// When the directory or an address cannot be had.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    if arguments.listening.is_nowhere() {
        return Err(Failure::with_next(
            Code::Usage,
            "a relay that listens nowhere could pass nothing on",
            "leave --listen none out, or say where: --listen tcp/0.0.0.0:7700",
        ));
    }
    if arguments.listening.has_relays() {
        return Err(Failure::with_next(
            Code::Usage,
            "--relay makes a node that is reached through a relay, and a relay is reached directly",
            "leave --relay out, or run egtp up --relay TICKET",
        ));
    }
    let keeps_letters = arguments.max_letters > 0 && context.directory_if_kept()?.is_some();
    let letters_max = arguments.max_letters;
    let terms = Terms {
        limits: relay::Limits { registered_max: arguments.max_registered, ..Default::default() },
        mailboxes: keeps_letters
            .then(|| mailbox::Limits { letters_max, ..mailbox::Limits::default() }),
        read: {
            let context = context.clone();
            // As the command line and its file say now.
            Box::new(move || admission(&context, &config::again()?))
        },
    };
    let (keeper, mut routers, beside) = Keeper::new(terms)?;
    let (echo_kind, echo) = echo_service()?;
    routers.push(echo);
    let kind = |name| Kind::new(name).map_err(|error| Failure::new(Code::Internal, error));
    let mut kinds = vec![kind(egtp::relay::REGISTER)?, kind(egtp::relay::OPEN)?, echo_kind];
    if keeper.keeps_letters() {
        kinds.push(kind(PUT)?);
    }
    let duty = Duty { routers, kinds, risk: Risk::Ask, role: Role::Relay, keeper: Some(keeper) };
    let standing = Standing::start(context, "relay", &arguments.listening, duty, None).await?;
    beside.begin(standing.node());
    standing.stay().await
}

/// Who may what, as it is written now.
fn admission(context: &Context, arguments: &Arguments) -> Result<Admission, Failure> {
    let registering = key_lists::allowed(context, "--allow", &arguments.allow)?.into();
    let operating = Allowed::Only(key_lists::keys(context, "--operator", &arguments.operator)?);
    let banned = key_lists::keys(context, "--ban", &arguments.ban)?;
    Ok(Admission { registering, operating, banned })
}
