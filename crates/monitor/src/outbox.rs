//! Notices on their way to people: recorded before they are sent, and tried until they arrive.
//!
//! A delivery is taken out when its channel has taken it. Whoever is killed between the two sends it again, under the same
//! identifier: that it arrived cannot be known then.

use std::time::Duration;

use syncline_core::Nanos;
use syncline_store::{AlertBook, DeliveryRecord, HandleRecord};

use crate::alerts::{Notice, nanos};

/// How long it is waited after the first try that failed.
const PAUSE_FIRST: Duration = Duration::from_secs(10);
/// The longest wait between two tries.
const PAUSE_MAX: Duration = Duration::from_secs(15 * 60);
/// How often a delivery is tried: for about two days.
const TRIES_MAX: u32 = 200;
/// How many deliveries wait for one channel; beyond that, the oldest is given up.
const WAITING_MAX: usize = 200;

/// A delivery that came to nothing, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GivenUp {
    /// Its channel.
    pub channel: String,
    /// Why.
    pub reason: String,
}

/// Puts notices into the outbox, one delivery for each channel. What waits there since a try that failed is tried again at
/// once, unless the receiver has said when: there is a new reason, and what is new must not wait for the longest pause.
pub fn post(book: &mut AlertBook, notices: &[Notice], channels: &[String], wall: Nanos) -> Vec<GivenUp> {
    for notice in notices {
        for channel in channels {
            let number = book.number();
            let id = format!("{}-{number}", book.name);
            book.deliveries.push(DeliveryRecord {
                id,
                channel: channel.clone(),
                incident: notice.incident,
                lines: notice.lines.clone(),
                made: wall,
                tries: 0,
                next: book.clock,
                asked: false,
                error: None,
            });
        }
    }
    if !notices.is_empty() {
        for waits in book.deliveries.iter_mut().filter(|waits| !waits.asked) {
            waits.next = waits.next.min(book.clock);
        }
    }
    let mut given_up = Vec::new();
    for channel in channels {
        let waiting =
            |book: &AlertBook| book.deliveries.iter().filter(|waits| waits.channel == *channel).count();
        while waiting(book) > WAITING_MAX
            && let Some(oldest) = book.deliveries.iter().position(|waits| waits.channel == *channel)
        {
            let lost = book.deliveries.remove(oldest);
            given_up
                .push(GivenUp { channel: lost.channel, reason: "too many wait for this channel".to_owned() });
        }
    }
    given_up
}

/// The deliveries that are to be tried now: of each channel the oldest, so that what is told stays in order.
#[must_use]
pub fn due(book: &AlertBook) -> Vec<DeliveryRecord> {
    let mut due: Vec<DeliveryRecord> = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    for delivery in &book.deliveries {
        if seen.contains(&delivery.channel.as_str()) {
            continue;
        }
        seen.push(&delivery.channel);
        if delivery.next <= book.clock {
            due.push(delivery.clone());
        }
    }
    due
}

/// The message in which a channel was told of an incident before, where it can be edited.
#[must_use]
pub fn message_of<'a>(book: &'a AlertBook, channel: &str, incident: u64) -> Option<&'a str> {
    let handle = book.handles.iter().find(|handle| handle.channel == channel && handle.incident == incident);
    handle.map(|handle| handle.message.as_str())
}

/// Takes out a delivery that has arrived; `message` is what the channel calls the message, when it can edit it.
pub fn arrived(book: &mut AlertBook, id: &str, message: Option<String>) {
    let Some(index) = book.deliveries.iter().position(|delivery| delivery.id == id) else { return };
    let delivery = book.deliveries.remove(index);
    if let Some(message) = message {
        let (channel, incident) = (delivery.channel, delivery.incident);
        book.handles.retain(|handle| handle.channel != channel || handle.incident != incident);
        book.handles.push(HandleRecord { channel, incident, message });
    }
    forget_handles(book);
}

/// Notes that a try failed; `pause` is how long it is to be waited at least before the next one, and `asked` whether the
/// receiver asks for that.
pub fn failed(
    book: &mut AlertBook,
    id: &str,
    why: &str,
    pause: Option<Duration>,
    asked: bool,
) -> Option<GivenUp> {
    let clock = book.clock;
    let index = book.deliveries.iter().position(|delivery| delivery.id == id)?;
    let delivery = &mut book.deliveries[index];
    delivery.tries += 1;
    if delivery.tries >= TRIES_MAX {
        let lost = book.deliveries.remove(index);
        forget_handles(book);
        return Some(GivenUp { channel: lost.channel, reason: why.to_owned() });
    }
    let doubled = PAUSE_FIRST.saturating_mul(1 << (delivery.tries - 1).min(10)).min(PAUSE_MAX);
    let pause = doubled.max(pause.unwrap_or_default());
    delivery.next = clock.saturating_add(nanos(pause));
    delivery.asked = asked;
    delivery.error = Some(why.to_owned());
    None
}

/// Drops what is meant for channels that are no more.
pub fn keep_to_channels(book: &mut AlertBook, channels: &[String]) {
    book.deliveries.retain(|delivery| channels.contains(&delivery.channel));
    forget_handles(book);
}

/// Forgets the messages of incidents that are over and of which nothing is left to be told.
fn forget_handles(book: &mut AlertBook) {
    let (incidents, deliveries) = (&book.incidents, &book.deliveries);
    book.handles.retain(|handle| {
        incidents.iter().any(|incident| incident.id == handle.incident)
            || deliveries.iter().any(|delivery| delivery.incident == handle.incident)
    });
}
