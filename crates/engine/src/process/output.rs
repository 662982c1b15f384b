//! What a program writes, read while it runs.

use std::io::{self, Read};
use std::process::Child;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

const BUFFER_BYTES: usize = 64 * 1024;

/// Both outputs of a running program.
pub(super) struct Reading {
    streams: [Arc<Mutex<Vec<u8>>>; 2],
    count: Arc<AtomicU64>,
    most: u64,
    /// Tells of each stream that came to its end.
    ended: Receiver<()>,
    open: std::cell::Cell<usize>,
}

impl Reading {
    /// Reads both outputs on threads of their own. At most `most` bytes are kept, of both together.
    pub(super) fn start(child: &mut Child, most: u64) -> Self {
        let (tell, ended) = channel();
        let reading = Self {
            streams: [Arc::default(), Arc::default()],
            count: Arc::default(),
            most,
            ended,
            open: std::cell::Cell::new(2),
        };
        reading.follow(0, child.stdout.take(), tell.clone());
        reading.follow(1, child.stderr.take(), tell);
        reading
    }

    fn follow(&self, stream: usize, reader: Option<impl Read + Send + 'static>, tell: Sender<()>) {
        let (kept, count, most) = (Arc::clone(&self.streams[stream]), Arc::clone(&self.count), self.most);
        std::thread::spawn(move || {
            if let Some(reader) = reader {
                read(reader, &kept, &count, most);
            }
            // Nobody may be waiting any more.
            let _ = tell.send(());
        });
    }

    /// Whether more was written than may be.
    pub(super) fn is_too_much(&self) -> bool {
        self.count.load(Ordering::Relaxed) > self.most
    }

    /// Waits a while, or until an output comes to its end: that is when a program usually ends.
    pub(super) fn wait(&self, time: Duration) {
        match self.ended.recv_timeout(time) {
            Ok(()) => self.open.set(self.open.get() - 1),
            Err(RecvTimeoutError::Timeout) => {}
            // Both are at their end: nothing is to be heard of any more.
            Err(RecvTimeoutError::Disconnected) => std::thread::sleep(time),
        }
    }

    /// What was written until now; waits at most `patience` for the end of both outputs.
    pub(super) fn finish(self, patience: Duration) -> (Vec<u8>, Vec<u8>) {
        let deadline = Instant::now() + patience;
        while self.open.get() > 0 {
            match self.ended.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(()) => self.open.set(self.open.get() - 1),
                Err(_) => break,
            }
        }
        let [out, err] = self
            .streams
            .map(|kept| std::mem::take(&mut *kept.lock().unwrap_or_else(PoisonError::into_inner)));
        (out, err)
    }
}

fn read(mut reader: impl Read, kept: &Mutex<Vec<u8>>, count: &AtomicU64, most: u64) {
    let mut buffer = vec![0; BUFFER_BYTES];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return,
            Ok(read) => {
                if count.fetch_add(read as u64, Ordering::Relaxed) + read as u64 > most {
                    // The program is ended for it: what it goes on to write is read by nobody.
                    return;
                }
                kept.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(&buffer[..read]);
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return,
        }
    }
}
