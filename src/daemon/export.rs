//! All registers of a node as lines of JSON, streamed slot by slot (of 1,024), so that memory holds little of the store at a time.

use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::Stream;
use tokio::sync::mpsc;

use crate::gateway::ProgressBody;
use crate::progress::Policy;
use crate::replica::Core;
use crate::store::{KeyRange, SLOT_COUNT, Slot};

const CHUNKS_COUNT_MAX: usize = 2;

/// The stream of an export. Reading slower than the disk slows the scan, and dropping it ends it.
pub(super) struct Export {
    chunks: mpsc::Receiver<Result<Vec<u8>, std::io::Error>>,
}

impl Export {
    /// Begins to scan. What changes meanwhile is seen as it was or as it is.
    pub(super) fn begin(core: Arc<Core>) -> Self {
        let (sender, chunks) = mpsc::channel(CHUNKS_COUNT_MAX);
        tokio::task::spawn_blocking(move || scan(&core, &sender));
        Self { chunks }
    }
}

fn scan(core: &Core, sender: &mpsc::Sender<Result<Vec<u8>, std::io::Error>>) {
    for slot in 0..SLOT_COUNT as u16 {
        // A slot at a time, and sent outside the scan: a slow reader must not hold what the scan holds.
        let mut chunk = Vec::new();
        let scanned = core.store().scan(KeyRange::of_slot(Slot(slot)), &mut |item| {
            let ids = (item.profile.as_str(), item.title.as_str());
            let body = ProgressBody::new(core.store(), ids, Some(&item.progress), item.arrived, Policy::Continue);
            if serde_json::to_writer(&mut chunk, &body).is_ok() {
                chunk.push(b'\n');
            }
            ControlFlow::Continue(())
        });
        let sent = match scanned {
            Ok(()) if chunk.is_empty() => Ok(()),
            Ok(()) => sender.blocking_send(Ok(chunk)),
            // Breaking the body off is the only way left to say that it is not whole.
            Err(error) => {
                drop(sender.blocking_send(Err(std::io::Error::other(error.to_string()))));
                return;
            }
        };
        if sent.is_err() {
            // Nobody reads any more.
            return;
        }
    }
}

impl Stream for Export {
    type Item = Result<Vec<u8>, std::io::Error>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        self.chunks.poll_recv(context)
    }
}
