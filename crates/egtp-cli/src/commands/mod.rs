//! The verbs of the command line, one in each file.
//!
//! Knows which there are, not what they do. Invariant: every verb has three examples in its help.

mod backup;
mod completions;
mod config;
mod contact;
mod errors;
mod events;
mod id;
mod inbox;
mod init;
mod mailbox;
mod mailbox_test;
mod peers;
mod ping;
mod relay;
mod request;
mod restore;
mod send;
mod serve;
mod status;
mod trace;
mod up;

use std::process::ExitCode;

use clap::Subcommand;

use crate::context::Context;
use crate::demo;
use crate::failure::Failure;

/// What to do.
#[derive(Subcommand, Debug)]
pub(crate) enum Verb {
    Init(init::Arguments),
    Id(id::Arguments),
    Up(up::Arguments),
    Serve(serve::Arguments),
    Relay(relay::Arguments),
    Request(request::Arguments),
    Send(send::Arguments),
    Inbox(inbox::Arguments),
    Mailbox(mailbox::Arguments),
    Ping(ping::Arguments),
    Peers(peers::Arguments),
    Contact(contact::Arguments),
    Status(status::Arguments),
    Events(events::Arguments),
    Trace(trace::Arguments),
    Backup(backup::Arguments),
    Restore(restore::Arguments),
    Demo(demo::Arguments),
    Config(config::Arguments),
    Completions(completions::Arguments),
    Errors(errors::Arguments),
}

impl Verb {
    /// Does it. `command` describes the whole command line, for those who print it.
    ///
    /// # Errors
    /// What the verb says.
    pub(crate) async fn run(
        self,
        context: &Context,
        command: impl FnOnce() -> clap::Command,
    ) -> Result<ExitCode, Failure> {
        let done = |()| ExitCode::SUCCESS;
        match self {
            Self::Init(_) => init::run(context).map(done),
            Self::Id(_) => id::run(context).map(done),
            Self::Up(arguments) => up::run(context, &arguments).await.map(done),
            Self::Relay(arguments) => relay::run(context, &arguments).await.map(done),
            Self::Serve(arguments) => serve::run(context, arguments).await.map(done),
            Self::Request(arguments) => request::run(context, arguments).await,
            Self::Send(arguments) => send::run(context, &arguments).await,
            Self::Mailbox(arguments) => mailbox::run(context, &arguments).await.map(done),
            Self::Inbox(arguments) => inbox::run(context, &arguments).await.map(done),
            Self::Ping(arguments) => ping::run(context, &arguments).await,
            Self::Peers(arguments) => peers::run(context, &arguments).map(done),
            Self::Contact(arguments) => contact::run(context, &arguments).await.map(done),
            Self::Status(arguments) => status::run(context, &arguments).await,
            Self::Events(arguments) => events::run(context, &arguments).await,
            Self::Trace(arguments) => trace::run(context, &arguments).await.map(done),
            Self::Backup(arguments) => backup::run(context, &arguments).await.map(done),
            Self::Restore(arguments) => restore::run(context, &arguments).map(done),
            Self::Demo(_) => Box::pin(demo::run(context)).await.map(done),
            Self::Config(arguments) => config::run(context, arguments, &command()),
            Self::Completions(arguments) => completions::run(&arguments, command()).map(done),
            Self::Errors(arguments) => errors::run(context, &arguments).map(done),
        }
    }
}
