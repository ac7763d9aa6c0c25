//! Batches: what was pushed ends once, under its tag, whatever happens to network and nodes.

use std::time::Duration;

use egtp::testing::{Network, spawn};
use egtp::{Batch, BatchFull, Completion, Kind, Message, Node, Request, RequestError, Router};
use tokio::time::{Instant, timeout_at};

fn kind() -> Kind {
    Kind::new("double/1").unwrap()
}

fn serve(node: &Node) {
    let double = |query: &egtp::QueryEvent| {
        let body = &query.message.body;
        Ok::<_, egtp::Refusal>([&body[..], &body[..]].concat())
    };
    let (node, router) = (node.clone(), Router::new().route_sync(kind(), double));
    tokio::spawn(async move { node.serve(router).await });
}

fn ask(asker: &Node, peer: &Node, number: u64) -> Request {
    asker.request(peer.key(), Message::new(kind(), number.to_string()))
}

/// Reaps all there is; the numbers in the order in which they came.
async fn all(batch: &mut Batch) -> Vec<(u64, Result<String, RequestError>)> {
    let (mut completions, mut ended) = (Vec::new(), Vec::new());
    while batch.reap(1, &mut completions).await > 0 {
        ended.extend(completions.drain(..).map(|Completion { tag, result }| {
            (tag, result.map(|reply| String::from_utf8(reply.body.to_vec()).unwrap()))
        }));
    }
    ended
}

/// Proves MSG-9 and THR-1 for batches: a tenth of all packets is lost, and 2,000 requests through a batch of 64
/// end once each by the reply to their own body.
#[tokio::test(start_paused = true)]
async fn each_ends_once_by_its_own_reply_over_a_network_that_loses_packets() {
    let network = Network::new(31).delay(Duration::from_millis(5)).loss(0.1);
    let [asker, peer] = [0; 2].map(|_| spawn(network.node()).unwrap());
    serve(&peer);
    let mut batch = asker.batch(64);
    let (mut completions, mut next, mut seen) = (Vec::new(), 0, vec![0; 2000]);
    loop {
        while next < 2000 && batch.len() < 64 {
            batch.push(next, ask(&asker, &peer, next)).unwrap();
            next += 1;
        }
        if batch.reap(16, &mut completions).await == 0 {
            break;
        }
        for Completion { tag, result } in completions.drain(..) {
            assert_eq!(result.unwrap().body, format!("{tag}{tag}"));
            seen[usize::try_from(tag).unwrap()] += 1;
        }
    }
    assert!(seen.iter().all(|times| *times == 1));
    assert_eq!(asker.status().await.unwrap().sizes.open, 0);
}

#[tokio::test(start_paused = true)]
async fn a_full_batch_gives_the_request_back_and_an_empty_one_has_nothing_to_reap() {
    let network = Network::new(32).delay(Duration::from_millis(5));
    let [asker, peer] = [0; 2].map(|_| spawn(network.node()).unwrap());
    serve(&peer);
    let (mut batch, mut completions) = (asker.batch(10), Vec::new());
    assert_eq!(batch.reap(7, &mut completions).await, 0, "nothing is under way");
    for number in 0..10 {
        batch.push(number, ask(&asker, &peer, number)).unwrap();
    }
    let BatchFull(again) = batch.push(10, ask(&asker, &peer, 10)).unwrap_err();
    assert_eq!(batch.reap(0, &mut completions).await, 0, "nothing can have ended yet");
    batch.reap(1, &mut completions).await;
    batch.push(10, *again).unwrap();
    while batch.reap(1000, &mut completions).await > 0 {}
    assert_eq!(completions.len(), 11);
    assert!(batch.is_empty());
}

#[tokio::test(start_paused = true)]
async fn what_a_closing_node_had_not_finished_ends_as_closing() {
    let network = Network::new(33).delay(Duration::from_millis(5));
    let [asker, silent] = [0; 2].map(|_| spawn(network.node()).unwrap());
    // Taken, and never answered.
    let mut queries = silent.queries(kind()).unwrap();
    let mut batch = asker.batch(3);
    batch.push(1, ask(&asker, &silent, 1)).unwrap();
    batch.submit();
    let taken = queries.next().await;
    asker.clone().close().await;
    // The node is gone before this one is submitted.
    batch.push(2, ask(&asker, &silent, 2)).unwrap();
    let ended = all(&mut batch).await;
    assert_eq!(ended, [(1, Err(RequestError::Closing)), (2, Err(RequestError::Closing))]);
    drop(taken);
}

/// Proves TMO-3 for batches, and that nothing is kept for one that was dropped.
#[tokio::test(start_paused = true)]
async fn each_has_its_own_timeout_and_a_dropped_batch_leaves_nothing_behind() {
    let network = Network::new(34).delay(Duration::from_millis(5));
    let [asker, silent] = [0; 2].map(|_| spawn(network.node()).unwrap());
    let queries = silent.queries(kind()).unwrap();
    let mut batch = asker.batch(3);
    for seconds in [3, 1, 2] {
        let request = ask(&asker, &silent, seconds).hard_timeout(Duration::from_secs(seconds));
        batch.push(seconds, request).unwrap();
    }
    let ended = all(&mut batch).await;
    assert_eq!(ended.iter().map(|(tag, _)| *tag).collect::<Vec<_>>(), [1, 2, 3]);
    assert!(ended.iter().all(|(_, end)| matches!(end, Err(RequestError::TimedOut { .. }))));

    batch.push(4, ask(&asker, &silent, 4)).unwrap();
    batch.submit();
    assert_eq!(asker.status().await.unwrap().sizes.open, 1);
    drop(batch);
    assert_eq!(asker.status().await.unwrap().sizes.open, 0);
    drop(queries);
}

#[tokio::test(start_paused = true)]
async fn a_batch_also_takes_requests_of_another_node() {
    let network = Network::new(35).delay(Duration::from_millis(5));
    let [one, other, peer] = [0; 3].map(|_| spawn(network.node()).unwrap());
    serve(&peer);
    let mut batch = one.batch(2);
    batch.push(1, ask(&one, &peer, 1)).unwrap();
    batch.push(2, ask(&other, &peer, 2)).unwrap();
    let mut ended = all(&mut batch).await;
    ended.sort_by_key(|(tag, _)| *tag);
    assert_eq!(ended, [(1, Ok("11".into())), (2, Ok("22".into()))]);
}

/// Requests that end after one, two, three and four seconds: nobody answers them.
#[tokio::test(start_paused = true)]
async fn reaping_waits_for_as_many_as_are_wanted_and_can_be_given_up_and_begun_again() {
    let network = Network::new(38).delay(Duration::from_millis(5));
    let [asker, silent] = [0; 2].map(|_| spawn(network.node()).unwrap());
    let queries = silent.queries(kind()).unwrap();
    let (mut batch, mut completions, begun) = (asker.batch(4), Vec::new(), Instant::now());
    for seconds in 1..=4 {
        let request = ask(&asker, &silent, seconds).hard_timeout(Duration::from_secs(seconds));
        batch.push(seconds, request).unwrap();
    }
    let after = |millis| begun + Duration::from_millis(millis);
    assert_eq!(batch.reap(2, &mut completions).await, 2);
    assert!(Instant::now() >= after(2000) && Instant::now() < after(2900));
    // Two are wanted, and one has ended when this is given up.
    timeout_at(after(3500), batch.reap(2, &mut completions)).await.unwrap_err();
    assert_eq!(completions.len(), 2);
    assert_eq!(batch.reap(0, &mut completions).await, 1);
    assert_eq!(batch.reap(9, &mut completions).await, 1);
    assert!(Instant::now() >= after(4000));
    assert_eq!(completions.iter().map(|one| one.tag).collect::<Vec<_>>(), [1, 2, 3, 4]);
    drop(queries);
}

/// No more than the queue behind it takes at a time, whatever was asked for.
#[tokio::test(start_paused = true)]
async fn a_batch_for_very_many_is_full_when_the_queue_would_be() {
    let network = Network::new(39);
    let [asker, peer] = [0; 2].map(|_| spawn(network.node()).unwrap());
    let mut batch = asker.batch(usize::MAX);
    let pushed = (0..).take_while(|number| batch.push(*number, ask(&asker, &peer, 1)).is_ok());
    assert_eq!(pushed.count(), 65_536);
}
