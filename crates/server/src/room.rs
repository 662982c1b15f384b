//! Room for the bodies of webhooks, which anybody may send: it is taken piece by piece as they come in, so that whoever
//! promises much and sends nothing takes none.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::{Body, Bytes};
use futures_util::StreamExt as _;
use syncline_service::webhooks::DELIVERY_BYTES_MAX;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout, timeout_at};

use crate::failures::network;

/// How long a sender may take for a body.
const BODY_TIME: Duration = Duration::from_secs(10);
/// How long a sender may send nothing of it.
const IDLE_TIME: Duration = Duration::from_secs(5);
/// How long a delivery waits for room.
const ROOM_TIME: Duration = Duration::from_millis(100);
/// All bodies that are read at once take this many pieces, of [`PIECE_BYTES`] each: 64 MiB.
const PIECES_MAX: usize = 1024;
const PIECE_BYTES: usize = 64 << 10;
/// Most of them that those of one address take.
const SHARE_MAX: usize = PIECES_MAX / 2;

/// Why a body was not read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It is larger than a delivery may be, or was cut short.
    TooLarge,
    /// It took too long.
    TooSlow,
    /// Too much comes in at once.
    NoRoom,
    /// Too much comes in from this address at once.
    NoShare,
}

/// Room for bodies.
pub(crate) struct Room {
    pieces: Arc<Semaphore>,
    /// How many pieces the bodies of each address take.
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
}

/// A body that was read, and the room that it takes until that is dropped.
pub(crate) struct Read {
    pub(crate) body: Bytes,
    pub(crate) place: Place,
}

impl Default for Room {
    fn default() -> Self {
        Self { pieces: Arc::new(Semaphore::new(PIECES_MAX)), taken: Arc::default() }
    }
}

impl Room {
    /// Reads the body of a sender at `from`.
    pub(crate) async fn read(&self, body: Body, from: IpAddr) -> Result<Read, Unread> {
        let mut place = Place { from: network(from), taken: Arc::clone(&self.taken), pieces: Vec::new() };
        let (mut text, mut rest) = (Vec::new(), body.into_data_stream());
        let end = Instant::now() + BODY_TIME;
        loop {
            let next = timeout_at(end.min(Instant::now() + IDLE_TIME), rest.next()).await;
            let Some(part) = next.map_err(|_| Unread::TooSlow)? else { break };
            let part = part.map_err(|_| Unread::TooLarge)?;
            if text.len() + part.len() > DELIVERY_BYTES_MAX {
                return Err(Unread::TooLarge);
            }
            let needed = (text.len() + part.len()).div_ceil(PIECE_BYTES);
            while place.pieces.len() < needed {
                place.grow(&self.pieces).await?;
            }
            text.extend_from_slice(&part);
        }
        Ok(Read { body: text.into(), place })
    }
}

/// The room that one body takes.
pub(crate) struct Place {
    from: IpAddr,
    taken: Arc<Mutex<HashMap<IpAddr, usize>>>,
    pieces: Vec<OwnedSemaphorePermit>,
}

impl Place {
    async fn grow(&mut self, all: &Arc<Semaphore>) -> Result<(), Unread> {
        let Ok(Ok(piece)) = timeout(ROOM_TIME, Arc::clone(all).acquire_owned()).await else {
            return Err(Unread::NoRoom);
        };
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(self.from).or_default();
        if *count >= SHARE_MAX {
            return Err(Unread::NoShare);
        }
        *count += 1;
        self.pieces.push(piece);
        Ok(())
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.from) {
            *count = count.saturating_sub(self.pieces.len());
            if *count == 0 {
                taken.remove(&self.from);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use futures_util::stream;

    use super::*;

    const HERE: [u8; 4] = [192, 0, 2, 1];

    /// A body that sends `count` bytes and then nothing more.
    fn stuck(count: usize) -> Body {
        let sent = stream::iter([Ok::<_, Infallible>(Bytes::from(vec![b'0'; count]))]);
        Body::from_stream(sent.chain(stream::pending()))
    }

    type Begun = Vec<tokio::task::JoinHandle<Option<Unread>>>;

    /// Lets bodies begin that come as far as `body` says, and no further.
    async fn begun(room: &Arc<Room>, bodies: usize, body: fn() -> Body) -> Begun {
        let begin = |_| {
            let room = Arc::clone(room);
            tokio::spawn(async move { room.read(body(), HERE.into()).await.err() })
        };
        let begun = (0..bodies).map(begin).collect();
        for _ in 0..bodies * 100 {
            tokio::task::yield_now().await;
        }
        begun
    }

    #[tokio::test(start_paused = true)]
    async fn one_address_takes_its_share_and_leaves_the_rest_to_others() {
        let (room, small) = (Arc::new(Room::default()), || Body::from("small"));
        let all = begun(&room, 8, || stuck(SHARE_MAX / 8 * PIECE_BYTES)).await;
        assert_eq!(room.read(small(), HERE.into()).await.err(), Some(Unread::NoShare));
        let other = room.read(small(), [198, 51, 100, 1].into()).await.unwrap();
        assert_eq!(&other.body[..], b"small");
        drop(other);
        for read in all {
            assert_eq!(read.await.unwrap(), Some(Unread::TooSlow), "nobody holds it for long");
        }
        assert!(room.read(small(), HERE.into()).await.is_ok(), "and all of it is given back");
        assert_eq!(room.pieces.available_permits(), PIECES_MAX);
        assert!(room.taken.lock().unwrap().is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_sends_nothing_takes_no_room_and_is_given_up() {
        let room = Arc::new(Room::default());
        let began = Instant::now();
        let idle = begun(&room, 20, || stuck(0)).await;
        assert_eq!(room.pieces.available_permits(), PIECES_MAX);
        for read in idle {
            assert_eq!(read.await.unwrap(), Some(Unread::TooSlow));
        }
        assert_eq!(began.elapsed(), IDLE_TIME);
        // One byte at a time does not help.
        let drops = stream::unfold((), |()| async {
            tokio::time::sleep(IDLE_TIME / 2).await;
            Some((Ok::<_, Infallible>(Bytes::from_static(b"0")), ()))
        });
        let began = Instant::now();
        assert_eq!(room.read(Body::from_stream(drops), HERE.into()).await.err(), Some(Unread::TooSlow));
        assert_eq!(began.elapsed(), BODY_TIME);
    }

    #[tokio::test]
    async fn what_is_too_large_is_refused_and_what_just_fits_is_read() {
        let room = Room::default();
        let fits = room.read(Body::from(vec![b'0'; DELIVERY_BYTES_MAX]), HERE.into()).await.unwrap();
        assert_eq!(fits.body.len(), DELIVERY_BYTES_MAX);
        let larger = Body::from(vec![b'0'; DELIVERY_BYTES_MAX + 1]);
        assert_eq!(room.read(larger, HERE.into()).await.err(), Some(Unread::TooLarge));
    }
}
