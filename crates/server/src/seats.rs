//! Seats: how many connections are open at once, and how many of one source, so that whoever opens thousands of them takes
//! neither the files that runs need nor the place of anybody else.
//!
//! A connection whose client has yet to send something worth answering has its seat on sufferance: it is given up for a new one
//! when there is no other. So idle and slow connections keep nobody out, however many there are.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Extensions;
use hyper::body::{Frame, SizeHint};
use tokio::sync::{Notify, mpsc};

use crate::failures::network;

/// How long nothing is told again of connections that had to go.
const TOLD_FOR: Duration = Duration::from_secs(60);

/// All seats.
pub(crate) struct Seats {
    /// How many there are.
    limit: usize,
    all: Mutex<All>,
    /// It is gone when nobody has a seat any more, and none is given.
    _open: mpsc::Sender<()>,
}

#[derive(Default)]
struct All {
    taken: HashMap<u64, Taken>,
    /// Those on sufferance, the one first that has waited longest.
    idle: BTreeMap<u64, u64>,
    /// How many each source has.
    counts: HashMap<IpAddr, usize>,
    /// The next number; none is given twice.
    next: u64,
    told: Option<Instant>,
}

struct Taken {
    from: IpAddr,
    /// Its place among those on sufferance.
    idle: Option<u64>,
    /// Whether it is never among them again.
    stays: bool,
    given_up: Arc<Notify>,
}

/// The seat of a connection; it is free when every copy is gone.
#[derive(Clone)]
pub(crate) struct Seat(Arc<Held>);

struct Held {
    number: u64,
    seats: Arc<Seats>,
    given_up: Arc<Notify>,
}

impl Seats {
    /// So many seats; and what tells, by its end, that nobody has one any more.
    pub(crate) fn new(limit: usize) -> (Arc<Self>, mpsc::Receiver<()>) {
        let (open, left) = mpsc::channel(1);
        (Arc::new(Self { limit, all: Mutex::default(), _open: open }), left)
    }

    /// A seat for a connection from `from`, on sufferance; none, when all are taken by those who are being answered.
    pub(crate) fn take(self: &Arc<Self>, from: IpAddr) -> Option<Seat> {
        let from = network(from);
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let is_over_share = all.counts.get(&from).is_some_and(|count| *count >= self.share(from));
        let is_full = is_over_share || all.taken.len() >= self.limit;
        if is_full {
            // Whoever has more than its share makes room for itself.
            let given_up = all.give_up(is_over_share.then_some(from));
            all.tell(from, given_up);
            if !given_up {
                return None;
            }
        }
        let (number, given_up) = (all.number(), Arc::new(Notify::new()));
        *all.counts.entry(from).or_default() += 1;
        all.taken.insert(number, Taken { from, idle: None, stays: false, given_up: Arc::clone(&given_up) });
        all.rest(number);
        drop(all);
        Some(Seat(Arc::new(Held { number, seats: Arc::clone(self), given_up })))
    }

    /// How many seats one source may have. This machine is shared by all who work on it, and by whoever a proxy lets in.
    fn share(&self, from: IpAddr) -> usize {
        if from.is_loopback() { self.limit } else { (self.limit / 4).max(1) }
    }
}

impl All {
    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn rest(&mut self, number: u64) {
        let place = self.number();
        if let Some(taken) = self.taken.get_mut(&number)
            && taken.idle.is_none()
            && !taken.stays
        {
            taken.idle = Some(place);
            self.idle.insert(place, number);
        }
    }

    fn settle(&mut self, number: u64) {
        if let Some(place) = self.taken.get_mut(&number).and_then(|taken| taken.idle.take()) {
            self.idle.remove(&place);
        }
    }

    /// Gives up the seat that waits longest, of one source or of all; whether there was one.
    fn give_up(&mut self, from: Option<IpAddr>) -> bool {
        let is_of = |number: &u64| {
            from.is_none_or(|from| self.taken.get(number).is_some_and(|taken| taken.from == from))
        };
        let Some(number) = self.idle.values().copied().find(is_of) else { return false };
        if let Some(taken) = self.free(number) {
            taken.given_up.notify_one();
        }
        true
    }

    fn free(&mut self, number: u64) -> Option<Taken> {
        self.settle(number);
        let taken = self.taken.remove(&number)?;
        if let Some(count) = self.counts.get_mut(&taken.from) {
            *count -= 1;
            if *count == 0 {
                self.counts.remove(&taken.from);
            }
        }
        Some(taken)
    }

    /// Tells once that there are too many connections; a flood of them is no flood of lines.
    fn tell(&mut self, from: IpAddr, given_up: bool) {
        let is_told = self.told.is_some_and(|told| told.elapsed() < TOLD_FOR);
        if !is_told {
            let what =
                if given_up { "one that waits was ended for a new one" } else { "a new one was refused" };
            tracing::warn!(%from, open = self.taken.len(), "too many connections: {what}");
        }
        self.told = Some(Instant::now());
    }
}

impl Seat {
    /// Settles the seat of the connection of a request, which has come to its end.
    pub(crate) fn settle_of(extensions: &Extensions) {
        if let Some(seat) = extensions.get::<Self>() {
            seat.settle();
        }
    }

    /// Its client is being answered: it is given up for nobody, until it rests.
    fn settle(&self) {
        self.0.seats.all.lock().unwrap_or_else(PoisonError::into_inner).settle(self.0.number);
    }

    /// Its client is being answered until it is gone, beyond what is one answer of HTTP.
    pub(crate) fn stay(&self) {
        let mut all = self.0.seats.all.lock().unwrap_or_else(PoisonError::into_inner);
        all.settle(self.0.number);
        if let Some(taken) = all.taken.get_mut(&self.0.number) {
            taken.stays = true;
        }
    }

    /// Its client is waited for.
    fn rest(&self) {
        self.0.seats.all.lock().unwrap_or_else(PoisonError::into_inner).rest(self.0.number);
    }

    /// Ends when it is given up.
    pub(crate) async fn given_up(&self) {
        self.0.given_up.notified().await;
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.seats.all.lock().unwrap_or_else(PoisonError::into_inner).free(self.number);
    }
}

/// The body of an answer; when it has been sent, the seat rests.
pub(crate) struct Answer {
    body: Body,
    seat: Seat,
}

impl Answer {
    pub(crate) const fn new(body: Body, seat: Seat) -> Self {
        Self { body, seat }
    }
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.seat.rest();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HERE: [u8; 4] = [127, 0, 0, 1];
    const THERE: [u8; 4] = [192, 0, 2, 1];

    fn is_given_up(seat: &Seat) -> bool {
        let mut given_up = std::pin::pin!(seat.given_up());
        let waker = std::task::Waker::noop();
        given_up.as_mut().poll(&mut Context::from_waker(waker)).is_ready()
    }

    fn taken(seats: &Arc<Seats>, count: usize, from: [u8; 4]) -> Vec<Seat> {
        (0..count).map(|_| seats.take(from.into()).unwrap()).collect()
    }

    #[test]
    fn whoever_waits_longest_makes_room_and_whoever_is_answered_stays() {
        let (seats, _left) = Seats::new(8);
        let held = taken(&seats, 8, HERE);
        held[0].settle();
        held[2].settle();
        held[1].settle();
        // It was answered, and waits again, for less time than others.
        held[1].rest();
        held[3].stay();
        held[3].rest();
        let later = taken(&seats, 4, HERE);
        let gone: Vec<bool> = held.iter().map(is_given_up).collect();
        assert_eq!(gone, [false, false, false, false, true, true, true, true]);
        let later = [later, taken(&seats, 1, HERE)].concat();
        assert!(is_given_up(&held[1]));
        later.iter().for_each(Seat::settle);
        assert!(seats.take(HERE.into()).is_none(), "everybody is being answered");
        drop(later);
        assert!(seats.take(HERE.into()).is_some());
    }

    #[test]
    fn a_source_with_its_share_makes_room_for_itself_and_not_at_the_cost_of_others() {
        let (seats, _left) = Seats::new(40);
        let neighbour: IpAddr = "2001:db8::1".parse().unwrap();
        let other = seats.take(neighbour).unwrap();
        let flood = taken(&seats, 100, THERE);
        assert_eq!(flood.iter().filter(|seat| !is_given_up(seat)).count(), 10, "a quarter");
        assert!(!is_given_up(&other));
        flood.iter().for_each(Seat::settle);
        assert!(seats.take(THERE.into()).is_none(), "all of its share is being answered");
        assert!(seats.take([198, 51, 100, 1].into()).is_some());
        // All addresses of one /64 are one source; all who work at this machine are not.
        let many: Vec<Seat> = (0..50u16)
            .filter_map(|last| seats.take(format!("2001:db8::{last:x}").parse().unwrap()))
            .collect();
        assert_eq!(many.iter().filter(|seat| !is_given_up(seat)).count(), 10);
        drop((many, other));
        assert_eq!(taken(&seats, 30, HERE).iter().filter(|seat| is_given_up(seat)).count(), 0);
    }

    #[tokio::test]
    async fn what_was_given_up_is_counted_once_and_the_end_is_when_all_have_gone() {
        let (seats, mut left) = Seats::new(4);
        let held = taken(&seats, 9, HERE);
        let copy = held[8].clone();
        drop(held);
        assert_eq!(seats.all.lock().unwrap().taken.len(), 1, "a copy holds its seat");
        copy.settle();
        drop(copy);
        {
            let all = seats.all.lock().unwrap();
            assert!(all.taken.is_empty() && all.idle.is_empty() && all.counts.is_empty());
        }
        drop(seats);
        assert_eq!(left.recv().await, None);
    }
}
