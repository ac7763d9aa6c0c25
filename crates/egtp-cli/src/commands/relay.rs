//! `egtp relay`: passes packets on to nodes that cannot be called.

use clap::Args;
use egtp::Kind;
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
/// sees who talks to whom, when and how much; it can delay and drop packets, and read or change none. It keeps none
/// either: who is not connected is not reached. It answers echo/1 as well.
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
    let register = Kind::new(egtp::relay::REGISTER).map_err(internal)?;
    let open = Kind::new(egtp::relay::OPEN).map_err(internal)?;
    let duty =
        Duty { routers, kinds: vec![register, open, kind], risk: Risk::Ask, role: Role::Relay };
    Standing::start(context, "relay", &arguments.listening, duty, None).await?.stay().await
}
