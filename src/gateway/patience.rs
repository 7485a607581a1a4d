//! A connection that is cut when its client takes nothing of what is sent to it.
//!
//! Every answer, every stream of events and every WebSocket goes through here: whoever asks and does not read holds memory, and would hold it for
//! as long as it likes.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

/// A stream whose writes fail when none of them gets on for a while. Reads wait for as long as the caller likes.
#[derive(Debug)]
pub(super) struct PatientStream<S> {
    stream: S,
    patience: Duration,
    // Made with the first write that has to wait, and then kept: most connections never need one.
    waiting: Option<Pin<Box<Sleep>>>,
    is_waiting: bool,
    // Given back when the stream ends, whoever has it then.
    _permit: OwnedSemaphorePermit,
}

impl<S> PatientStream<S> {
    pub(super) const fn new(stream: S, patience: Duration, permit: OwnedSemaphorePermit) -> Self {
        Self { stream, patience, waiting: None, is_waiting: false, _permit: permit }
    }

    /// What became of a write, or that it has waited too long.
    fn judged<T>(&mut self, context: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.is_waiting = false;
            return written;
        }
        let patience = self.patience;
        let waiting = self.waiting.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        if !self.is_waiting {
            self.is_waiting = true;
            waiting.as_mut().reset(Instant::now() + patience);
        }
        ready!(waiting.as_mut().poll(context));
        metrics::counter!("leftoff_connections_cut_off_total").increment(1);
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client takes nothing of what is sent to it")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for PatientStream<S> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for PatientStream<S> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.judged(context, written)
    }

    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[io::IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.judged(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(context);
        self.judged(context, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let ended = Pin::new(&mut self.stream).poll_shutdown(context);
        self.judged(context, ended)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
    use tokio::sync::Semaphore;

    use super::*;

    fn pair(patience: Duration) -> (PatientStream<tokio::io::DuplexStream>, tokio::io::DuplexStream, Arc<Semaphore>) {
        let permits = Arc::new(Semaphore::new(1));
        let permit = Arc::clone(&permits).try_acquire_owned().unwrap();
        let (ours, theirs) = duplex(16);
        (PatientStream::new(ours, patience, permit), theirs, permits)
    }

    #[tokio::test(start_paused = true)]
    async fn who_takes_nothing_is_cut_off_in_time() {
        let (mut ours, theirs, permits) = pair(Duration::from_secs(15));
        let begun = Instant::now();
        let error = ours.write_all(&[7; 100]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 15);
        assert_eq!(permits.available_permits(), 0);
        drop((ours, theirs));
        assert_eq!(permits.available_permits(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn who_reads_slowly_is_not() {
        let (mut ours, mut theirs, _permits) = pair(Duration::from_secs(15));
        let reading = tokio::spawn(async move {
            let mut bytes = [0; 16];
            for _ in 0..7 {
                tokio::time::sleep(Duration::from_secs(10)).await;
                assert!(theirs.read(&mut bytes).await.unwrap() > 0);
            }
        });
        ours.write_all(&[7; 100]).await.unwrap();
        reading.await.unwrap();
    }
}
