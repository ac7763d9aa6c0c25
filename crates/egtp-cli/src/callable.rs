//! Whether others can call this node: what its relay has found by calling it back, and what that means for what it tells.
//!
//! Knows no relay and no node. Invariant: an address of the kind that the relay has tried is told only if the node has
//! answered there; of others, such as those of a home network seen from outside, the relay knows nothing.

use std::net::{IpAddr, SocketAddr};

use egtp::relay::{DialedBack, PORTS_MAX};
use egtp::{HostPort, Strategy};

/// The ports at which a node listens: so many as a relay tries.
pub(crate) fn ports(listening: &[Strategy]) -> Vec<u16> {
    let mut ports: Vec<u16> =
        listening.iter().filter_map(Strategy::host_port).map(|at| at.port).collect();
    ports.sort_unstable();
    ports.dedup();
    ports.truncate(PORTS_MAX);
    ports
}

/// What is left of a node's addresses, the ones first at which it has answered.
pub(crate) fn confirmed(advertised: Vec<Strategy>, found: &DialedBack) -> Vec<Strategy> {
    let open = found.open.iter().map(|port| SocketAddr::new(found.seen, *port));
    let open = open.map(|at| Strategy::Tcp(at.into()));
    let mut left: Vec<Strategy> = open.collect();
    let was_tried = |at: &Strategy| {
        let address = at.host_port().and_then(HostPort::socket_addr);
        address.is_some_and(|address| Reach::of(address.ip()) == Reach::of(found.seen))
    };
    left.extend(advertised.into_iter().filter(|at| !was_tried(at)));
    left
}

/// From where an address can be reached, if nothing is in the way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reach {
    Machine,
    Network,
    World,
}

impl Reach {
    const fn of(ip: IpAddr) -> Self {
        match ip {
            _ if ip.is_loopback() => Self::Machine,
            IpAddr::V4(ip) if ip.is_private() || ip.is_link_local() => Self::Network,
            IpAddr::V6(ip) if ip.is_unique_local() || ip.is_unicast_link_local() => Self::Network,
            _ => Self::World,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(addresses: &[&str]) -> Vec<Strategy> {
        addresses.iter().map(|at| at.parse().unwrap()).collect()
    }

    fn found(seen: &str, open: &[u16]) -> DialedBack {
        DialedBack { seen: seen.parse().unwrap(), open: open.to_vec() }
    }

    #[test]
    fn what_the_relay_has_tried_is_told_if_it_is_open_and_what_it_cannot_try_is_told_as_it_was() {
        let own = || all(&["tcp/192.168.1.7:7700", "tcp/198.51.100.7:7700", "tcp/127.0.0.1:7700"]);
        let near = all(&["tcp/192.168.1.7:7700", "tcp/127.0.0.1:7700"]);
        assert_eq!(confirmed(own(), &found("203.0.113.9", &[])), near);
        let open = confirmed(own(), &found("203.0.113.9", &[7_700]));
        assert_eq!(open, [all(&["tcp/203.0.113.9:7700"]), near].concat(), "a port is forwarded");
        let inside = confirmed(own(), &found("192.168.1.7", &[7_700]));
        assert_eq!(inside, own());
        let blocked = confirmed(own(), &found("192.168.1.7", &[]));
        assert_eq!(blocked, all(&["tcp/198.51.100.7:7700", "tcp/127.0.0.1:7700"]));
        assert_eq!(confirmed(all(&["tcp/[::1]:7700"]), &found("127.0.0.1", &[])), []);
    }

    #[test]
    fn each_port_is_tried_once_and_no_more_than_a_relay_takes() {
        let listening = ["tcp/0.0.0.0:9", "tcp/[::]:9", "tcp/127.0.0.1:7", "relay/x"];
        let listening: Vec<Strategy> = listening.iter().filter_map(|at| at.parse().ok()).collect();
        assert_eq!(ports(&listening), [7, 9]);
        let many: Vec<String> = (1..=9).map(|port| format!("tcp/127.0.0.1:{port}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(ports(&all(&many)), [1, 2, 3, 4]);
    }
}
