//! A relay calls a node back at the address that it comes from, and says whether it has answered there.

use egtp::relay::{DIAL_BACK, DialedBack, encode_ports};
use egtp::{Kind, Message, Node, Refusal, RequestError};
use egtp_services::relay::{ask_back, dial_back};

/// Somebody who calls back.
async fn relay() -> Node {
    let (router, dialer) = dial_back().unwrap();
    let relay =
        Node::builder().serve(router).listen("127.0.0.1:0".parse().unwrap()).start().await.unwrap();
    tokio::spawn(dialer.run(relay.clone()));
    relay
}

fn port(node: &Node) -> u16 {
    node.listening()[0].host_port().unwrap().port
}

async fn listening(at: &str) -> Node {
    Node::builder().listen(at.parse().unwrap()).start().await.unwrap()
}

/// Proves B-14, P-20: whoever can be called learns where, and whoever only believes so learns that he cannot.
#[tokio::test]
async fn a_port_counts_as_open_only_if_the_node_itself_has_answered_there() {
    let relay = relay().await;
    let open = listening("127.0.0.1:0").await;
    let ports = [port(&open)];
    let here = "127.0.0.1".parse().unwrap();
    let back = ask_back(&open, relay.ticket(), &ports).await.unwrap();
    assert_eq!(back, Some(DialedBack { seen: here, open: ports.to_vec() }));
    // It listens, and not where it comes from.
    let elsewhere = listening("[::1]:0").await;
    let back = ask_back(&elsewhere, relay.ticket(), &[port(&elsewhere)]).await.unwrap();
    assert_eq!(back, Some(DialedBack { seen: here, open: vec![] }));
    // Somebody else answers there.
    let nowhere = Node::builder().start().await.unwrap();
    let back = ask_back(&nowhere, relay.ticket(), &ports).await.unwrap();
    assert_eq!(back, Some(DialedBack { seen: here, open: vec![] }));
}

#[tokio::test]
async fn nobody_has_himself_called_again_and_again_nor_at_what_is_no_port() {
    let relay = relay().await;
    let node = listening("127.0.0.1:0").await;
    let ask = |ports: &[u16]| {
        let kind = Kind::new(DIAL_BACK).unwrap();
        node.request(relay.ticket(), Message::new(kind, encode_ports(ports)))
    };
    let refused = ask(&[1, 2, 3, 4, 5]).await.unwrap_err();
    assert!(matches!(refused, RequestError::Refused(Refusal::Failed)), "{refused:?}");
    let refused = ask(&[port(&node)]).await.unwrap_err();
    assert!(matches!(refused, RequestError::Refused(Refusal::Busy { .. })), "{refused:?}");
}
