//! `egtp serve`: answers one kind of request, by echo or by a command.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use clap::Args;
use egtp::{Allowed, Kind, Router};
use egtp_services::echo;

use crate::access::{self, Access};
use crate::context::Context;
use crate::control::{Attached, Service};
use crate::exec::Exec;
use crate::failure::{Code, Failure};
use crate::listening::Listening;
use crate::query::Query;
use crate::ready::Role;
use crate::standing::{Duty, Risk, Standing};
use crate::{counts, durations, guest, key_lists};

/// Answer requests of one kind, by echo or with the output of a command
///
/// The command runs in a shell: the request's body is its standard input, its standard output is
/// the reply, and if it fails the request is refused. It finds `EGTP_PEER` (the key that asks),
/// `EGTP_KIND`, `EGTP_ID` and `EGTP_REDELIVERED` (0 or 1) in its environment. It is ended, with all that
/// it has started, when the asker gives up. A node that serves a kind answers echo/1 as well. Where a
/// node runs on the directory already, the kind is answered there until this command or that node ends; what is asked
/// while nobody answers the kind is refused, so for requests that survive restarts let this command own the directory.
/// If it is killed, commands that run go on to their end, and what they print is lost.
#[derive(Args, Debug)]
#[command(after_help = "Examples:
  egtp serve upper/1 --exec 'tr a-z A-Z' --allow-any
  egtp serve backup/1 --exec ./backup.sh --allow egtp1... --timeout 10m --concurrency 1
  egtp serve copy/1 --echo --ephemeral")]
pub(crate) struct Arguments {
    /// The kind to answer, such as upper/1
    kind: Kind,

    /// Reply with the body of the request
    #[arg(long, conflicts_with = "exec")]
    echo: bool,

    /// Reply with what this command prints
    #[arg(long, value_name = "CMD")]
    exec: Option<String>,

    /// Who may ask: a key, a ticket, a @name, or a file with one of them on each line; several times
    #[arg(long, value_name = "KEY|@NAME|FILE", conflicts_with = "allow_any")]
    allow: Vec<String>,

    /// Everybody may ask
    #[arg(long)]
    allow_any: bool,

    /// Give a request that a crash has cut off to the command again, with `EGTP_REDELIVERED=1`, perhaps while the
    /// first run still goes on. All requests of this kind are then remembered on disk
    #[arg(long)]
    redeliver: bool,

    /// How many requests are answered at once; more of them wait
    #[arg(long, value_name = "N", default_value = "64")]
    #[arg(value_parser = counts::parse::<NonZeroUsize>)]
    concurrency: NonZeroUsize,

    /// End the command after this long, as in 30s; it ends with the asker's patience anyway
    #[arg(long, value_name = "D", value_parser = durations::parse, allow_hyphen_values = true)]
    timeout: Option<Duration>,

    #[command(flatten)]
    listening: Listening,
}

/// Answers.
///
/// # Errors
/// When nobody is said to be allowed, or the directory or an address cannot be had.
pub(crate) async fn run(context: &Context, arguments: Arguments) -> Result<(), Failure> {
    if !arguments.echo && arguments.exec.as_ref().is_none_or(|command| command.trim().is_empty()) {
        return Err(Failure::with_next(
            Code::Usage,
            format_args!("nothing says how to answer {}", arguments.kind),
            "add --exec 'CMD' to reply with what a command prints, or --echo to reply with the body",
        ));
    }
    if arguments.exec.is_some() && arguments.allow.is_empty() && !arguments.allow_any {
        return Err(Failure::with_next(
            Code::Usage,
            "--exec runs a command for others, and nobody is said to be allowed to",
            "add --allow KEY for those who may, or --allow-any",
        ));
    }
    let service = Service {
        allowed: key_lists::allowed(context, "--allow", &arguments.allow)?,
        kind: arguments.kind,
        concurrency: arguments.concurrency.get(),
    };
    let risk = match arguments.exec {
        Some(_) if arguments.allow_any => Risk::RunCommand,
        Some(_) | None => Risk::Ask,
    };
    let exec = arguments.exec.map(|command| Exec::new(command, arguments.timeout, context.output));
    let exec = exec.map(Arc::new);
    let again = if arguments.redeliver { Again::Redelivered } else { Again::Unknown };
    let mut owned = None;
    if let Some(directory) = context.directory_if_kept()? {
        match access::to(&directory, "serve").await? {
            Access::Owner(ownership) => owned = Some(ownership),
            Access::Guest(attached) if again == Again::Redelivered => {
                return Err(redelivers_itself(&attached));
            }
            Access::Guest(attached) if arguments.listening.is_unsaid() => {
                return guest::serve(context, &attached, service, exec).await;
            }
            Access::Guest(attached) => return Err(listens_already(&attached)),
        }
    }
    if owned.is_none() && again == Again::Redelivered {
        return Err(Failure::with_next(
            Code::Usage,
            "--redeliver keeps requests in a data directory, and --ephemeral says to use none",
            "leave one of them out",
        ));
    }
    let duty = duty(service, exec, (risk, again))?;
    Standing::start(context, "serve", &arguments.listening, duty, owned).await?.stay().await
}

/// What a node of this process does: the service, and what every node answers.
fn duty(
    service: Service,
    exec: Option<Arc<Exec>>,
    (risk, again): (Risk, Again),
) -> Result<Duty, Failure> {
    let (echo_kind, echo_router) = echo_service()?;
    let Service { kind, allowed, concurrency } = service;
    let router = match exec {
        None => Router::new().route_sync(kind.clone(), echo::same),
        Some(exec) => {
            Router::new().concurrency(concurrency).route(kind.clone(), move |query: egtp::Query| {
                let exec = Arc::clone(&exec);
                async move { exec.answer(Query::Own(query)).await }
            })
        }
    };
    let router = match again {
        Again::Redelivered => router.redeliver(kind.clone()),
        Again::Unknown => router,
    };
    let (mut routers, mut kinds) = (vec![router.allow(Allowed::from(allowed))], vec![kind]);
    if !kinds.contains(&echo_kind) {
        routers.push(echo_router);
        kinds.push(echo_kind);
    }
    Ok(Duty { routers, kinds, risk, role: Role::Node, keeper: None })
}

/// What becomes of requests that a crash has cut off.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Again {
    /// They are answered by the next run.
    Redelivered,
    /// They end as unknown.
    Unknown,
}

fn redelivers_itself(attached: &Attached) -> Failure {
    Failure::with_next(
        Code::Usage,
        format_args!(
            "--redeliver needs the node that keeps the requests, and {} runs it",
            attached.owner()
        ),
        "stop that process and serve from here, or leave --redeliver out",
    )
}

fn listens_already(attached: &Attached) -> Failure {
    Failure::with_next(
        Code::Usage,
        format_args!("--listen chooses where a node listens, and {} runs it", attached.owner()),
        "leave --listen out, and it is answered where that node listens; or give another --data",
    )
}

/// What every node answers to everybody: its own words.
pub(super) fn echo_service() -> Result<(Kind, Router), Failure> {
    echo::service().map_err(|error| Failure::new(Code::Internal, error))
}
