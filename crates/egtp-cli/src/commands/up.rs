//! `egtp up`: a node that others can ask.

use clap::Args;

use super::serve::echo_service;
use crate::context::Context;
use crate::failure::Failure;
use crate::listening::Listening;
use crate::ready::Role;
use crate::standing::{Duty, Risk, Standing};

/// Run a node that answers echo/1, until Ctrl-C (or SIGTERM, or SIGHUP)
///
/// Prints what to type on the other side. Publishes its address nowhere, and sends nothing unasked.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp up                                         an identity that is kept, a port that stays
  egtp up --ephemeral --listen tcp/127.0.0.1:0    in memory, for this machine only
  egtp --data ./alice up --json                   the ticket for a program
  egtp up --relay TICKET                          reached through a relay as well")]
pub(crate) struct Arguments {
    #[command(flatten)]
    listening: Listening,
}

/// Runs it.
///
/// # Errors
/// When the directory or an address cannot be had.
pub(crate) async fn run(context: &Context, arguments: &Arguments) -> Result<(), Failure> {
    let (kind, router) = echo_service()?;
    let duty = Duty {
        routers: vec![router],
        kinds: vec![kind],
        risk: Risk::Ask,
        role: Role::Node,
        keeper: None,
    };
    Standing::start(context, "up", &arguments.listening, duty, None).await?.stay().await
}
