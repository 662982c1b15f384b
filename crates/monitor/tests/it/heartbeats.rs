//! Heartbeats: what counts, and what is dropped and counted.

use std::time::Duration;

use syncline_monitor::heartbeat::{BYTES_MAX, Heartbeat, Key, Says};
use syncline_monitor::peers::{Dropped, Patience};
use syncline_monitor::{PeerState, Peers};

const fn at(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn peers(counted: Option<(u64, u64)>) -> Peers {
    let chad = ("chad".to_owned(), Key::of("ours"), counted);
    Peers::new("helios", Patience::new(at(60), at(180)), [chad], at(0))
}

fn beat(node: &str, boot: u64, counter: u64) -> Heartbeat {
    Heartbeat { node: node.to_owned(), says: Says::Alive, boot, counter, state: [3; 32] }
}

#[test]
fn only_what_is_signed_and_new_counts() {
    let ours = Key::of("ours");
    let mut peers = peers(Some((6, 40)));
    let good = beat("chad", 7, 5).seal(&ours);
    assert_eq!(peers.receive(&good, at(1)), Ok(beat("chad", 7, 5)));
    let mut flipped = beat("chad", 7, 9).seal(&ours);
    flipped[10] ^= 1;
    let table = [
        (good.clone(), Dropped::Old),
        (beat("chad", 7, 4).seal(&ours), Dropped::Old),
        (beat("chad", 6, 41).seal(&ours), Dropped::Old),
        (beat("chad", 7, 6).seal(&Key::of("theirs")), Dropped::Forged),
        (flipped, Dropped::Forged),
        (beat("mallory", 7, 6).seal(&ours), Dropped::Stranger),
        (beat("helios", 7, 6).seal(&ours), Dropped::Reflected),
        (good[..good.len() - 1].to_vec(), Dropped::Malformed),
        (Vec::new(), Dropped::Malformed),
        (vec![b'S'; BYTES_MAX + 1], Dropped::TooLong),
    ];
    for (bytes, why) in &table {
        assert_eq!(peers.receive(bytes, at(2)), Err(*why));
    }
    assert_eq!(peers.dropped.values().sum::<u64>(), 10);
    assert_eq!(peers.receive(&beat("chad", 8, 1).seal(&ours), at(3)), Ok(beat("chad", 8, 1)));
}

#[test]
fn a_flood_is_dropped_and_ends_with_its_second() {
    let mut peers = peers(None);
    let forged = beat("chad", 1, 1).seal(&Key::of("theirs"));
    let dropped: Vec<_> = (0..6_000).map(|_| peers.receive(&forged, at(5)).unwrap_err()).collect();
    assert_eq!(dropped.iter().filter(|why| **why == Dropped::Flood).count(), 1_000);
    assert!(peers.receive(&beat("chad", 1, 1).seal(&Key::of("ours")), at(6)).is_ok());
}

#[test]
fn a_peer_is_suspected_before_it_is_down_and_heard_often_before_it_is_back() {
    let ours = Key::of("ours");
    let mut peers = peers(None);
    let state = |peers: &Peers, now: u64| peers.seen(at(now))[0].state;
    assert_eq!(state(&peers, 10), PeerState::Awaited);
    for (counter, now) in [(1, 10), (2, 12), (3, 14), (4, 17), (5, 20), (6, 60)] {
        peers.receive(&beat("chad", 1, counter).seal(&ours), at(now)).unwrap();
    }
    assert_eq!(state(&peers, 100), PeerState::Alive);
    assert_eq!(state(&peers, 60 + 140), PeerState::Suspected);
    assert_eq!(state(&peers, 60 + 200), PeerState::Down);
    // One that answers in another way is not down.
    peers.answered("chad", at(250));
    assert_eq!(state(&peers, 260), PeerState::Suspected);
    for (counter, now) in [(7, 600), (8, 602), (9, 604), (10, 607), (11, 610), (12, 613)] {
        peers.receive(&beat("chad", 1, counter).seal(&ours), at(now)).unwrap();
        assert_eq!(state(&peers, now), PeerState::Suspected);
    }
    peers.receive(&beat("chad", 1, 13).seal(&ours), at(660)).unwrap();
    assert_eq!(state(&peers, 661), PeerState::Alive);
    peers.receive(&Heartbeat { says: Says::Leaving, ..beat("chad", 1, 14) }.seal(&ours), at(670)).unwrap();
    assert_eq!(state(&peers, 670 + 600), PeerState::Left);
    assert_eq!(state(&peers, 670 + 16 * 60), PeerState::Down);
}

#[test]
fn what_was_held_back_brings_nobody_back() {
    let ours = Key::of("ours");
    let mut peers = peers(None);
    // Many, but never many of them within two minutes: that is no peer that lives.
    let late = [600, 640, 700, 760, 800, 850, 900, 910, 920, 1030, 1040];
    for (counter, now) in (1..).zip(late) {
        peers.receive(&beat("chad", 1, counter).seal(&ours), at(now)).unwrap();
        assert_eq!(peers.seen(at(now))[0].state, PeerState::Suspected, "at {now}");
    }
    assert_eq!(peers.seen(at(1040 + 200))[0].state, PeerState::Down);
}

#[test]
fn no_output_shows_a_key() {
    assert_eq!(format!("{:?}", Key::of("ours")), "Key(..)");
}
