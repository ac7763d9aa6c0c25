//! Bob: this program again, as a child that serves and can be killed.
//!
//! Invariant: he does not outlive whoever holds him.

use std::net::SocketAddr;
use std::process::Stdio;

use egtp::{HostPort, PublicKey, Strategy, Ticket};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use super::scratch::Scratch;
use crate::failure::{Code, Failure};

/// A running `egtp serve`.
#[derive(Debug)]
pub(super) struct Child {
    process: tokio::process::Child,
    ticket: Ticket,
    address: SocketAddr,
}

impl Child {
    /// Starts him and waits until he is ready: at `address`, or wherever the system lets him.
    pub(super) async fn start(
        scratch: &Scratch,
        asker: PublicKey,
        address: Option<SocketAddr>,
    ) -> Result<Self, Failure> {
        let address = address.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 0)));
        let program = std::env::current_exe().map_err(|error| could_not_start(&error))?;
        let mut command = Command::new(program);
        command.arg("--data").arg(scratch.data()).args(["--json", "--quiet", "serve", KIND]);
        command.arg("--exec").arg(HANDLER).arg("--allow").arg(asker.to_string());
        command.arg("--listen").arg(Strategy::Tcp(address.into()).to_string());
        command.env("MARKS", scratch.marks_file()).env_remove("EGTP_DATA");
        command.env_remove("EGTP_CONFIG");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().map_err(|error| could_not_start(&error))?;
        let stdout = process.stdout.take().ok_or_else(not_ready)?;
        let line = BufReader::new(stdout)
            .lines()
            .next_line()
            .await
            .map_err(|error| could_not_start(&error))?;
        let ready: Value =
            serde_json::from_str(&line.unwrap_or_default()).map_err(|_| not_ready())?;
        let ticket = ready.get("ticket").and_then(Value::as_str).and_then(|text| text.parse().ok());
        let ticket: Ticket = ticket.ok_or_else(not_ready)?;
        let at = ticket.strategies.first().and_then(Strategy::host_port);
        let address = at.and_then(HostPort::socket_addr).ok_or_else(not_ready)?;
        Ok(Self { process, ticket, address })
    }

    /// How he says that he can be reached.
    pub(super) const fn ticket(&self) -> &Ticket {
        &self.ticket
    }

    /// Where he listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Kills him, as `kill -9` does. His data directory stays.
    pub(super) async fn kill(mut self) -> Result<(), Failure> {
        let killed = self.process.kill().await;
        killed.map_err(|error| {
            Failure::new(Code::Internal, format_args!("could not kill the other node: {error}"))
        })
    }
}

fn could_not_start(error: &std::io::Error) -> Failure {
    Failure::new(Code::Internal, format_args!("could not start another egtp: {error}"))
}

fn not_ready() -> Failure {
    Failure::new(Code::Internal, "the other node ended before it was ready")
}

/// What Bob serves.
pub(super) const KIND: &str = "count/1";

/// Bob's handler: writes down which process it is, adds its mark, takes its time if it is asked to,
/// and replies with the number of marks.
const HANDLER: &str = r#"
    body=$(cat)
    echo $$ > "$MARKS.handler"
    printf x >> "$MARKS"
    if [ "$body" = slow ]; then sleep 20; fi
    wc -c < "$MARKS"
"#;
