//! A client for measuring: connections that stay open, and no more work than it takes to tell that an answer is whole.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::AsFd as _;
use std::thread::{scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::running::PATIENCE;

/// Threads that ask as fast as they are answered: with one, the client would be what is measured.
const THREADS: usize = 2;
/// Bytes that there is room for at first, and as many more whenever they are full.
const ROOM_BYTES: usize = 16 << 10;

/// A connection that stays open between requests.
pub struct Connection {
    stream: TcpStream,
    request: Vec<u8>,
    room: Vec<u8>,
    /// How much of the room holds what was heard.
    heard: usize,
}

impl Connection {
    /// Connects; every request will be a `GET` of `path`.
    ///
    /// # Errors
    /// When nobody answers there.
    pub fn open(address: SocketAddr, path: &str) -> Result<Self> {
        let stream = TcpStream::connect(address).with_context(|| format!("connecting to {address}"))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n").into_bytes();
        Ok(Self { stream, request, room: Vec::new(), heard: 0 })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// When it cannot be sent.
    pub fn ask(&mut self) -> Result<()> {
        self.forget();
        Ok(self.stream.write_all(&self.request)?)
    }

    /// Reads what has arrived, and waits when nothing has.
    ///
    /// # Errors
    /// When the connection has ended.
    pub fn hear(&mut self) -> Result<()> {
        if self.heard == self.room.len() {
            self.room.resize(self.heard + ROOM_BYTES, 0);
        }
        let count = self.stream.read(&mut self.room[self.heard..])?;
        self.heard += count;
        if count == 0 {
            bail!("the connection ended early");
        }
        Ok(())
    }

    /// Everything that was heard and not forgotten.
    pub fn heard(&self) -> &[u8] {
        &self.room[..self.heard]
    }

    /// Forgets what was heard.
    pub fn forget(&mut self) {
        self.heard = 0;
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// When it is none, or another one than 200.
    pub fn get(&mut self) -> Result<&[u8]> {
        self.ask()?;
        while body(self.heard())?.is_none() {
            self.hear()?;
        }
        Ok(body(self.heard())?.unwrap_or_default())
    }
}

/// The body of an answer; `None` before it is whole.
fn body(heard: &[u8]) -> Result<Option<&[u8]>> {
    const END: &[u8] = b"\r\n\r\n";
    let Some(end) = heard.windows(END.len()).position(|bytes| bytes == END) else { return Ok(None) };
    let head = std::str::from_utf8(&heard[..end])?;
    if !head.starts_with("HTTP/1.1 200 ") {
        bail!("the answer is {}", head.lines().next().unwrap_or_default());
    }
    let length = head.lines().find_map(|line| line.strip_prefix("content-length:"));
    let length: usize = length.context("the answer does not tell its length")?.trim().parse()?;
    let body = &heard[end + END.len()..];
    Ok((body.len() >= length).then_some(body))
}

/// Asks `requests` times over so many connections, on each as soon as it has answered; how long all of it took.
///
/// # Errors
/// When an answer is another one than 200.
pub fn flood(address: SocketAddr, path: &str, connections: usize, requests: usize) -> Result<Duration> {
    let mut shares = Vec::new();
    for _ in 0..THREADS {
        let share: Result<Vec<Connection>> =
            (0..connections / THREADS).map(|_| Connection::open(address, path)).collect();
        shares.push(share?);
    }
    let begun = Instant::now();
    scope(|scope| {
        let asking: Vec<_> =
            shares.iter_mut().map(|share| scope.spawn(|| drain(share, requests / THREADS))).collect();
        asking.into_iter().try_for_each(|asking| match asking.join() {
            Ok(done) => done,
            Err(_) => bail!("the client died"),
        })
    })?;
    Ok(begun.elapsed())
}

fn drain(connections: &mut [Connection], requests: usize) -> Result<()> {
    let (mut asked, mut answered) = (0, 0);
    for connection in connections.iter_mut().take(requests) {
        connection.ask()?;
        asked += 1;
    }
    while answered < requests {
        for index in readable(&*connections)? {
            let connection = &mut connections[index];
            connection.hear()?;
            if body(connection.heard())?.is_none() {
                continue;
            }
            answered += 1;
            if asked < requests {
                connection.ask()?;
                asked += 1;
            }
        }
    }
    Ok(())
}

/// Waits until something arrives; at which connections.
///
/// # Errors
/// When nothing does.
pub fn readable<'a>(connections: impl IntoIterator<Item = &'a Connection>) -> Result<Vec<usize>> {
    let mut polled: Vec<PollFd<'_>> = connections
        .into_iter()
        .map(|connection| PollFd::new(connection.stream.as_fd(), PollFlags::POLLIN))
        .collect();
    if poll(&mut polled, PollTimeout::try_from(PATIENCE)?)? == 0 {
        bail!("nobody answered within {PATIENCE:?}");
    }
    let ready = polled.iter().enumerate().filter(|(_, polled)| polled.any().unwrap_or_default());
    Ok(ready.map(|(index, _)| index).collect())
}

/// Asks so often while `goes_on`, which is handed each body; how long each answer took, from when it was due.
///
/// # Errors
/// When an answer is another one than 200.
pub fn pace(
    address: SocketAddr,
    path: &str,
    every: Duration,
    mut goes_on: impl FnMut(&[u8]) -> bool,
) -> Result<Vec<Duration>> {
    let mut connection = Connection::open(address, path)?;
    let (mut times, mut due) = (Vec::new(), Instant::now());
    loop {
        let now = Instant::now();
        if now < due {
            sleep(due - now);
            // That this process is woken late is nothing that the server can help.
            due = Instant::now();
        }
        let goes_on = goes_on(connection.get()?);
        times.push(due.elapsed());
        if !goes_on {
            return Ok(times);
        }
        due += every;
    }
}

/// The time within which 99 of 100 answers came.
pub fn p99(mut times: Vec<Duration>) -> Option<Duration> {
    times.sort_unstable();
    times.get((times.len() * 99).div_ceil(100).checked_sub(1)?).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_whole_when_as_many_bytes_are_there_as_it_tells() {
        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc";
        assert_eq!(body(answer).unwrap(), Some(&b"abc"[..]));
        for end in 0..answer.len() {
            assert_eq!(body(&answer[..end]).unwrap(), None, "{end}");
        }
        assert!(body(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n").is_err());
    }

    #[test]
    fn the_99th_percentile_leaves_one_of_a_hundred_out() {
        let times = |count: u64| (1..=count).rev().map(Duration::from_millis).collect();
        assert_eq!(p99(times(200)), Some(Duration::from_millis(198)));
        assert_eq!(p99(times(100)), Some(Duration::from_millis(99)));
        assert_eq!(p99(times(3)), Some(Duration::from_millis(3)));
        assert_eq!(p99(Vec::new()), None);
    }
}
