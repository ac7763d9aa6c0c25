//! `egtp relay`: passes packets on to nodes that cannot be called.

use clap::Args;
use egtp::mailbox::PUT;
use egtp::{Allowed, Kind};
use egtp_services::mailbox::{self, Mailboxes};
use egtp_services::relay::{Limits, Relay};

use super::serve::{allowed, echo_service};
use crate::context::Context;
use crate::counts;
use crate::failure::{Code, Failure};
use crate::listening::Listening;
use crate::ready::Role;
use crate::standing::{Duty, Risk, Standing};

/// Pass packets on to nodes that cannot be called, until Ctrl-C (or SIGTERM, or SIGHUP)
///
/// A node registers here (egtp up --relay TICKET), and others reach it by a ticket that names this relay. The relay
/// sees who talks to whom, when and how much; it can delay and drop packets, and read or change none. It keeps sealed
/// letters for those who are away (--max-letters). It answers echo/1 as well.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp relay --listen tcp/0.0.0.0:7700            everybody who knows its ticket may register
  egtp relay --allow egtp1... --allow @bob        only these may
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
    let limits = Limits { registered_max: arguments.max_registered, ..Limits::default() };
    let internal = |error| Failure::new(Code::Internal, error);
    let routers = Relay::new(limits).routers(allowed(context, &arguments.allow)?);
    let (kind, echo) = echo_service()?;
    let mut routers = Vec::from(routers.map_err(internal)?);
    routers.push(echo);
    let keeps_letters = arguments.max_letters > 0 && context.directory_if_kept()?.is_some();
    let mut announcer = None;
    if keeps_letters {
        let limits =
            mailbox::Limits { letters_max: arguments.max_letters, ..mailbox::Limits::default() };
        let (kept, telling) = Mailboxes::new(limits, allowed(context, &arguments.allow)?);
        let operators = if arguments.operator.is_empty() {
            Allowed::from_iter([])
        } else {
            allowed(context, &arguments.operator)?
        };
        routers.extend(kept.routers(Allowed::Anybody, operators).map_err(internal)?);
        announcer = Some(telling);
    }
    let register = Kind::new(egtp::relay::REGISTER).map_err(internal)?;
    let open = Kind::new(egtp::relay::OPEN).map_err(internal)?;
    let mut kinds = vec![register, open, kind];
    if keeps_letters {
        kinds.push(Kind::new(PUT).map_err(internal)?);
    }
    let duty = Duty { routers, kinds, risk: Risk::Ask, role: Role::Relay };
    let standing = Standing::start(context, "relay", &arguments.listening, duty, None).await?;
    if let Some(announcer) = announcer {
        tokio::spawn(announcer.run(standing.node()));
    }
    standing.stay().await
}
