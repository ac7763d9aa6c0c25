//! Groups of requests against a peer whose answers the test gives one by one.

use std::sync::Mutex;
use std::time::Duration;

use egtp::events::Happening;
use egtp::testing::{Network, spawn};
use egtp::{
    Group, GroupProgress, Kind, Member, Message, Node, NotSent, Pieces, Queries, Query, Refusal,
    Request, RequestError,
};
use tokio::time::{Instant, timeout};

fn kind() -> Kind {
    Kind::new("piece.get/1").unwrap()
}

/// An asker, and a peer whose queries the test pulls.
fn pair(seed: u64) -> (Node, Node, Queries) {
    let network = Network::new(seed).delay(Duration::from_millis(10));
    let (alice, bob) = (spawn(network.node()).unwrap(), spawn(network.node()).unwrap());
    let queries = bob.queries(kind()).unwrap();
    (alice, bob, queries)
}

fn ask(node: &Node, peer: &Node, member: Member) -> Request {
    node.request(peer.key(), Message::new(kind(), member.index.to_string()))
}

/// The next queries, by the index that each asks for.
async fn pull(queries: &mut Queries, count: usize) -> Vec<Query> {
    let mut pulled = Vec::new();
    while pulled.len() < count {
        pulled.push(queries.next().await.unwrap());
    }
    pulled.sort_by_key(index_of);
    pulled
}

fn index_of(query: &Query) -> usize {
    std::str::from_utf8(query.body()).unwrap().parse().unwrap()
}

fn answer(query: Query) {
    let text = format!("piece {}", index_of(&query));
    query.reply(text);
}

/// A group takes part while somebody else has the word. Whoever ends first, ends both.
async fn during<T>(group: &mut Group<'_>, work: impl Future<Output = T>) -> T {
    tokio::select! {
        result = work => result,
        early = group.next() => panic!("{early:?}"),
    }
}

/// Both sides let go of what was under way: soon, and not only at the hard timeout of a minute.
async fn all_let_go(asker: &Node, withdrawn: impl IntoIterator<Item = impl Future<Output = ()>>) {
    let start = Instant::now();
    for one in withdrawn {
        one.await;
    }
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
    assert_eq!(asker.status().await.unwrap().sizes.open, 0);
}

/// Proves GRP-1: it fires when all members have fired, and not before.
#[tokio::test(start_paused = true)]
async fn a_group_ends_when_all_members_have() {
    let (alice, bob, mut queries) = pair(1);
    let mut group = std::pin::pin!(
        Group::new(5, |member| ask(&alice, &bob, member)).under_way(5).into_future()
    );
    let mut all = tokio::select! {
        all = pull(&mut queries, 5) => all,
        early = &mut group => panic!("{early:?}"),
    };
    let last = all.remove(1);
    all.into_iter().for_each(answer);
    assert!(timeout(Duration::from_secs(1), &mut group).await.is_err(), "one is missing");
    answer(last);
    let replies = group.await.unwrap();
    let bodies: Vec<_> = replies.into_iter().map(|reply| reply.body).collect();
    assert_eq!(bodies, ["piece 0", "piece 1", "piece 2", "piece 3", "piece 4"]);
    assert!(Group::new(0, |member| ask(&alice, &bob, member)).await.unwrap().is_empty());
}

/// Proves GRP-2: members end in any order, and the finished run at the beginning is retired at once.
#[tokio::test(start_paused = true)]
async fn members_end_in_any_order_and_the_finished_run_is_retired() {
    let (alice, bob, mut queries) = pair(2);
    let mut group = Group::new(6, |member| ask(&alice, &bob, member)).under_way(6);
    let all = during(&mut group, pull(&mut queries, 6)).await;
    let mut all: Vec<_> = all.into_iter().map(Some).collect();
    for (index, retired) in [(1, 0), (2, 0), (5, 0), (0, 3), (4, 3), (3, 6)] {
        answer(all[index].take().unwrap());
        let one = group.next().await.unwrap().unwrap();
        assert_eq!((one.member.index, one.tries), (index, 1));
        assert_eq!(one.reply.body, format!("piece {index}"));
        assert_eq!(group.progress().retired, retired);
    }
    assert_eq!(group.next().await.unwrap(), None);
}

/// Proves GRP-3: members are places in an array of known size; a reply finds its place by its index.
/// What came early is held, and holds up those behind it: no more than was asked for is in memory.
#[tokio::test(start_paused = true)]
async fn replies_are_given_by_position_and_early_ones_are_held_within_the_bound() {
    let (alice, bob, mut queries) = pair(3);
    let mut group = Group::new(10, |member| ask(&alice, &bob, member)).under_way(4).in_order();
    let mut first = during(&mut group, pull(&mut queries, 4)).await;
    let slow = first.remove(0);
    first.into_iter().for_each(answer);
    let more = during(&mut group, timeout(Duration::from_secs(30), queries.next())).await;
    assert!(more.is_err(), "a fifth one began before the first was given out");
    assert_eq!(group.progress().done, 3);
    answer(slow);
    let served = tokio::spawn(async move {
        while let Some(query) = queries.next().await {
            answer(query);
        }
    });
    for index in 0..10 {
        let one = group.next().await.unwrap().unwrap();
        assert_eq!((one.member.index, one.reply.body), (index, format!("piece {index}").into()));
    }
    assert_eq!(group.next().await.unwrap(), None);
    served.abort();
}

/// Proves GRP-1: the first unrecoverable failure ends the group, and the other members are dropped.
#[tokio::test(start_paused = true)]
async fn the_first_failure_ends_the_group_and_lets_go_of_the_others() {
    let (alice, bob, mut queries) = pair(4);
    let asked = Mutex::new(0);
    let mut group = Group::new(20, |member| {
        *asked.lock().unwrap() += 1;
        ask(&alice, &bob, member)
    });
    group = group.under_way(4);
    let mut all = during(&mut group, pull(&mut queries, 4)).await;
    let refused = all.remove(2);
    let withdrawn: Vec<_> = all.iter().map(Query::withdrawn).collect();
    refused.refuse(Refusal::NotAllowed);
    let error = group.next().await.unwrap_err();
    assert_eq!(error.member, Member { group: group.id(), index: 2 });
    assert_eq!((error.tries, &error.source), (1, &RequestError::Refused(Refusal::NotAllowed)));
    assert_eq!(group.next().await, Ok(None), "a group fails once");
    all_let_go(&alice, withdrawn).await;
    drop(group);
    assert_eq!(*asked.lock().unwrap(), 4);
}

/// Proves GRP-1, MSG-11: what can never be sent is not asked for again.
#[tokio::test(start_paused = true)]
async fn a_member_that_cannot_be_sent_fails_at_once() {
    let (alice, bob, _queries) = pair(5);
    let large = Message::new(kind(), vec![0; 3 * 1024 * 1024]);
    let group = Group::new(3, |_| alice.request(bob.key(), large.clone()));
    let error = group.await.unwrap_err();
    assert_eq!((error.member.index, error.tries), (0, 1));
    let RequestError::NotSent(NotSent::TooLarge { .. }) = error.source else { panic!("{error}") };
}

/// Proves GRP-1: no more members are under way than was said, and each that ends makes room for one.
#[tokio::test(start_paused = true)]
async fn no_more_members_are_under_way_than_was_said() {
    let (alice, bob, mut queries) = pair(6);
    let mut group = Group::new(12, |member| ask(&alice, &bob, member)).under_way(3);
    let mut held = during(&mut group, pull(&mut queries, 3)).await;
    for done in 0..9 {
        let more = during(&mut group, timeout(Duration::from_secs(5), queries.next())).await;
        assert!(more.is_err(), "a fourth one began");
        assert_eq!(group.progress().under_way, 3);
        answer(held.remove(0));
        assert_eq!(group.next().await.unwrap().unwrap().member.index, done);
        held.push(during(&mut group, queries.next()).await.unwrap());
    }
}

/// Proves GRP-1: dropping a group gives up all that it had under way, on both sides.
#[tokio::test(start_paused = true)]
async fn a_dropped_group_leaves_nothing_behind() {
    let (alice, bob, mut queries) = pair(7);
    let mut group = Group::new(30, |member| ask(&alice, &bob, member));
    let all = during(&mut group, pull(&mut queries, 8)).await;
    let withdrawn: Vec<_> = all.iter().map(Query::withdrawn).collect();
    drop(group);
    all_let_go(&alice, withdrawn).await;
}

/// Proves GRP-1: a member that a busy peer did not begin is asked for again, after pauses of a quarter and of
/// half a second, and the group goes on.
#[tokio::test(start_paused = true)]
async fn a_member_is_asked_for_again_when_the_peer_was_busy() {
    let (alice, bob, mut queries) = pair(8);
    let mut group = Group::new(2, |member| ask(&alice, &bob, member)).in_order();
    let start = Instant::now();
    let busy = Refusal::Busy { retry_after: Duration::ZERO };
    let served = async {
        let mut both = pull(&mut queries, 2).await;
        answer(both.remove(1));
        both.remove(0).refuse(busy);
        queries.next().await.unwrap().refuse(busy);
        answer(queries.next().await.unwrap());
    };
    during(&mut group, served).await;
    let one = group.next().await.unwrap().unwrap();
    assert_eq!((one.member.index, one.tries), (0, 3));
    assert!(start.elapsed() >= Duration::from_millis(750), "{:?}", start.elapsed());
    let two = group.next().await.unwrap().unwrap();
    assert_eq!((two.member.index, two.tries), (1, 1));
}

/// Proves GRP-1: a peer that stays busy is asked a bounded number of times.
#[tokio::test(start_paused = true)]
async fn a_peer_that_stays_busy_ends_the_group() {
    let (alice, bob, mut queries) = pair(9);
    let mut group = Group::new(1, |member| ask(&alice, &bob, member));
    let served = tokio::spawn(async move {
        let mut count = 0_u32;
        while let Ok(Some(query)) = timeout(Duration::from_mins(1), queries.next()).await {
            query.refuse(Refusal::Busy { retry_after: Duration::ZERO });
            count += 1;
        }
        count
    });
    let error = group.next().await.unwrap_err();
    let RequestError::Refused(Refusal::Busy { .. }) = error.source else { panic!("{error}") };
    assert_eq!(error.tries, 8);
    assert_eq!(served.await.unwrap(), 8);
}

/// Proves GRP-1: a member that may have been acted on ends the group instead of being asked twice.
#[tokio::test(start_paused = true)]
async fn a_member_that_the_peer_may_have_acted_on_is_not_asked_again() {
    let (alice, bob, mut queries) = pair(10);
    let patience = Duration::from_secs(4);
    let mut group = Group::new(1, |member| ask(&alice, &bob, member).hard_timeout(patience));
    let silent = during(&mut group, queries.next()).await.unwrap();
    let error = group.next().await.unwrap_err();
    let RequestError::TimedOut { .. } = error.source else { panic!("{error}") };
    assert_eq!(error.tries, 1);
    let again = timeout(Duration::from_mins(2), queries.next()).await;
    assert!(again.is_err(), "it was asked again");
    drop(silent);
}

/// Proves GRP-2: on a bad network too, no number of the progress ever becomes smaller.
#[tokio::test(start_paused = true)]
async fn progress_only_grows() {
    let network = Network::new(11).delay(Duration::from_millis(15)).loss(0.2);
    let (alice, bob) = (spawn(network.node()).unwrap(), spawn(network.node()).unwrap());
    let mut queries = bob.queries(kind()).unwrap();
    tokio::spawn(async move {
        // Every other answer waits for the next question, so that they end in another order.
        let mut before: Option<Query> = None;
        loop {
            let next = timeout(Duration::from_secs(5), queries.next()).await.ok().flatten();
            let Some(query) = next else { break };
            match before.take() {
                None => before = Some(query),
                Some(waiting) => {
                    answer(query);
                    answer(waiting);
                }
            }
        }
    });
    let body = |member: Member| format!("{:03}", member.index);
    let mut group =
        Group::new(100, |member| alice.request(bob.key(), Message::new(kind(), body(member))));
    let mut before = group.progress();
    assert_eq!(before, GroupProgress { members: 100, ..GroupProgress::default() });
    let mut replied = 0;
    while let Some(one) = group.next().await.unwrap() {
        replied += u64::try_from(one.reply.body.len()).unwrap();
        let now = group.progress();
        assert_eq!(now.done, before.done + 1);
        assert!(now.retired >= before.retired && now.retired <= now.done);
        assert_eq!(now.bytes_asked, before.bytes_asked + 3);
        assert_eq!(now.bytes_replied, replied);
        assert!(now.under_way <= 8 && now.done + now.under_way <= 100);
        before = now;
    }
    assert_eq!((before.done, before.retired, before.under_way), (100, 100, 0));
}

/// Proves SIZ-3: without another wish something long travels in messages of about 10 KB, and is whole again at
/// the other end.
#[tokio::test(start_paused = true)]
async fn what_is_long_travels_in_pieces_of_ten_kibibytes() {
    let network = Network::new(13).delay(Duration::from_millis(10)).loss(0.05);
    let (alice, bob) = (spawn(network.node()).unwrap(), spawn(network.node()).unwrap());
    let whole: Vec<u8> = (0..1_000_000_u32).map(|n| n.to_le_bytes()[1]).collect();
    let pieces = Pieces::of_preferred_size(1_000_000);
    let mut queries = bob.queries(kind()).unwrap();
    let source = whole.clone();
    tokio::spawn(async move {
        while let Some(query) = queries.next().await {
            let range = pieces.range(index_of(&query)).unwrap();
            let range = usize::try_from(range.start).unwrap()..usize::try_from(range.end).unwrap();
            query.reply(source[range].to_vec());
        }
    });
    let members = pieces.count().unwrap();
    let replies = Group::new(members, |member| ask(&alice, &bob, member)).in_order().await.unwrap();
    let sizes: Vec<usize> = replies.iter().map(|reply| reply.body.len()).collect();
    assert_eq!((sizes.len(), sizes[0], sizes[97]), (98, 10_240, 6_720));
    assert!(sizes.iter().all(|size| *size <= 10_240));
    let joined: Vec<u8> = replies.iter().flat_map(|reply| reply.body.to_vec()).collect();
    assert!(joined == whole);
}

/// Proves GRP-4: whatever is said of a member names its group and its index, also when groups run side by
/// side, and a message that the node tells of is recognized as the member that it is.
#[tokio::test(start_paused = true)]
async fn a_member_is_recognized_by_its_group_and_index() {
    let (alice, bob, mut queries) = pair(12);
    let mut events = alice.events().await.unwrap();
    let mut one = Group::new(3, |member| ask(&alice, &bob, member));
    let mut two = Group::new(3, |member| ask(&alice, &bob, member));
    assert_ne!(one.id(), two.id());
    let of_one = during(&mut one, pull(&mut queries, 3)).await;
    let of_two = during(&mut two, pull(&mut queries, 3)).await;
    for (group, other, held) in [(&one, &two, &of_one), (&two, &one, &of_two)] {
        for (index, query) in held.iter().enumerate() {
            assert_eq!(group.member(query.id()), Some(Member { group: group.id(), index }));
            assert_eq!(other.member(query.id()), None);
        }
    }
    let mut told = 0;
    while told < 6 {
        let Happening::Asked { id, .. } = events.next().await.unwrap().unwrap().what else {
            continue;
        };
        assert!(one.member(id).is_some() != two.member(id).is_some());
        told += 1;
    }
    of_one.into_iter().chain(of_two).for_each(answer);
    for _ in 0..3 {
        assert_eq!(one.next().await.unwrap().unwrap().member.group, one.id());
        assert_eq!(two.next().await.unwrap().unwrap().member.group, two.id());
    }
    let name = Member { group: one.id(), index: 7 }.to_string();
    assert_eq!(name, format!("{}, member 7", one.id()));
}
