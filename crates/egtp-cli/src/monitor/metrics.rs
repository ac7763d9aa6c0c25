//! What a node has counted, in the text form of Prometheus.
//!
//! Knows the numbers, not where they come from. Invariant: a name, once published, keeps its meaning; `docs/operating.md`
//! lists all of them.

use std::fmt::Error;

use egtp::Status;
use egtp_services::{mailbox, relay};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

/// The content type of the text.
pub(super) const CONTENT: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// All numbers at one moment.
#[derive(Clone, Debug)]
pub(super) struct Snapshot {
    pub(super) status: Status,
    pub(super) relay: Option<relay::Counts>,
    pub(super) mail: Option<mailbox::Counts>,
}

impl Snapshot {
    /// The text.
    pub(super) fn text(self) -> String {
        let mut registry = Registry::with_prefix("egtp");
        registry.register_collector(Box::new(self));
        let mut text = String::new();
        // Nothing but the writing can fail, and a string takes everything.
        let _ = prometheus_client::encoding::text::encode(&mut text, &registry);
        text
    }
}

impl Collector for Snapshot {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let mut page = Page(&mut encoder);
        node(&mut page, &self.status)?;
        if let Some(relay) = &self.relay {
            passing(&mut page, relay)?;
        }
        if let Some(mail) = &self.mail {
            keeping(&mut page, mail)?;
        }
        Ok(())
    }
}

fn node(page: &mut Page<'_, '_>, status: &Status) -> Result<(), Error> {
    let sizes = &status.sizes;
    let under_way = sizes.sessions.saturating_sub(sizes.confirmed);
    let sessions =
        [("confirmed", sizes.confirmed), ("under_way", under_way), ("at_rest", sizes.frozen)];
    page.gauges("sessions", "Sessions", "state", &sessions)?;
    page.gauge("connections", "Open connections", status.connections)?;
    page.gauge("dialogs", "Dialogs remembered so that nothing is taken twice", sizes.dialogs)?;
    let waiting = [("asked", sizes.open), ("to_answer", sizes.queries), ("in_hand", sizes.held)];
    page.gauges("messages", "Messages that wait, by what they wait for", "state", &waiting)?;
    let counters = &status.counters;
    page.counter("packets_received", "Packets that came", counters.packets_received)?;
    page.counter("packets_sent", "Packets that were sent", counters.packets_sent)?;
    page.counter("sent_bytes", "Bytes of packets that were sent", counters.bytes_sent)?;
    page.counter("handshakes", "Handshakes that were finished", counters.handshakes_finished)?;
    page.counter("messages_submitted", "Messages of this node", counters.submitted)?;
    page.counter("messages_taken", "Messages of others that were taken", counters.taken)?;
    page.counter("messages_again", "Messages that came again", counters.duplicates)?;
    page.counter("letters_sealed", "Letters that were written", counters.letters_sealed)?;
    page.counter("letters_opened", "Letters that were read", counters.letters_opened)?;
    let dropped = &counters.dropped;
    let by_reason = [
        ("budget", dropped.budget),
        ("forged", dropped.forged),
        ("replayed", dropped.replayed.saturating_add(dropped.flight_seen)),
        ("not_for_us", dropped.shroud.saturating_add(dropped.target)),
        ("unknown_session", dropped.unknown_session),
    ];
    let named = by_reason.iter().map(|(_, count)| count).sum::<u64>();
    let other = dropped.total().saturating_sub(named);
    let help = "Packets that were dropped, by what refused them";
    page.counters(
        "packets_dropped",
        help,
        "reason",
        &[&by_reason[..], &[("other", other)]].concat(),
    )
}

fn passing(page: &mut Page<'_, '_>, counts: &relay::Counts) -> Result<(), Error> {
    page.gauge("relay_registered", "Nodes that are registered", counts.registered)?;
    page.gauge("relay_circuits", "Pairs that talk, or did so lately", counts.circuits)?;
    let registrations =
        [("entered", counts.registrations), ("refused", counts.registrations_refused)];
    page.counters("relay_registrations", "Registrations", "outcome", &registrations)?;
    page.counter("relay_passed_packets", "Packets that were passed on", counts.passed_packets)?;
    page.counter("relay_passed_bytes", "Bytes that were passed on", counts.passed_bytes)?;
    let dropped = [
        ("rate", counts.dropped_rate),
        ("strangers", counts.dropped_strangers),
        ("busy", counts.dropped_busy),
        ("unreachable", counts.dropped_unreachable),
    ];
    page.counters("relay_dropped_packets", "Packets that were not passed on", "reason", &dropped)
}

fn keeping(page: &mut Page<'_, '_>, counts: &mailbox::Counts) -> Result<(), Error> {
    if let Some(held) = counts.held {
        page.gauge("mailboxes", "Recipients for whom letters are kept", held.mailboxes)?;
        page.gauge("mailbox_letters", "Letters that are kept", held.letters)?;
        page.gauge("mailbox_bytes", "Bytes of the letters that are kept", held.bytes)?;
    }
    let deposits = [
        ("stored", counts.stored),
        ("share_full", counts.share_full),
        ("mailbox_full", counts.mailbox_full),
        ("relay_full", counts.relay_full),
        ("unknown_recipient", counts.unknown_recipient),
        ("too_large", counts.too_large),
    ];
    page.counters("mailbox_deposits", "Deposits, by what became of them", "outcome", &deposits)?;
    let gone = [("collected", counts.collected), ("expired", counts.expired)];
    page.counters("mailbox_deleted_letters", "Letters that were deleted", "reason", &gone)
}

/// Writes one family after the other.
struct Page<'a, 'b>(&'a mut DescriptorEncoder<'b>);

impl Page<'_, '_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl Number) -> Result<(), Error> {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        ConstGauge::new(value.signed()).encode(encoder)
    }

    fn gauges(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, impl Number)],
    ) -> Result<(), Error> {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (of, value) in values {
            let labels = [(label, *of)];
            ConstGauge::new(value.signed()).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: u64) -> Result<(), Error> {
        let encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        ConstCounter::new(value).encode(encoder)
    }

    fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[(&str, u64)],
    ) -> Result<(), Error> {
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (of, value) in values {
            let labels = [(label, *of)];
            ConstCounter::new(*value).encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }
}

/// Gauges are signed.
trait Number: Copy {
    fn signed(self) -> i64;
}

impl Number for usize {
    fn signed(self) -> i64 {
        i64::try_from(self).unwrap_or(i64::MAX)
    }
}

impl Number for u64 {
    fn signed(self) -> i64 {
        i64::try_from(self).unwrap_or(i64::MAX)
    }
}
