//! What comes from outside while the demo runs: keys, signals, the end of standard input. One bounded queue of all of them.

use std::io::Read;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyEventKind, KeyModifiers};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// Inputs that nobody has taken yet; further ones are lost, as keys typed ahead should be.
const INPUTS_COUNT_MAX: usize = 16;
/// How often the reader of keys looks whether it should end.
const LOOK: Duration = Duration::from_millis(100);

/// Something from outside.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Input {
    /// A key that means something by itself.
    Key(char),
    /// The demo is to end: `q`, Ctrl-C, SIGINT, SIGTERM.
    Quit,
    /// Nobody is at the other end of standard input.
    Closed,
    /// Somebody moved a switch of the page.
    Page,
}

/// The queue, and who fills it. Dropping it ends them, but for a reader of a standard input that is no terminal, which ends with the process.
#[derive(Debug)]
pub(super) struct Inputs {
    queue: mpsc::Receiver<Input>,
    sender: mpsc::Sender<Input>,
    closed: bool,
    stop: Arc<AtomicBool>,
    keys: Option<JoinHandle<()>>,
    _signals: JoinSet<()>,
}

impl Inputs {
    /// Listens for signals, and for keys if `keys`, else for the end of standard input.
    pub(super) fn open(keys: bool) -> std::io::Result<Self> {
        let (sender, queue) = mpsc::channel(INPUTS_COUNT_MAX);
        let mut signals = JoinSet::new();
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let (mut signal, sender) = (signal(kind)?, sender.clone());
            signals.spawn(async move {
                while signal.recv().await.is_some() {
                    // Waits for room: a signal must not be lost. Without a receiver the demo is ending anyway.
                    let _ = sender.send(Input::Quit).await;
                }
            });
        }
        let stop = Arc::new(AtomicBool::new(false));
        let page = sender.clone();
        let keys = if keys {
            let stop = Arc::clone(&stop);
            Some(thread::Builder::new().name("leftoff-demo-keys".to_owned()).spawn(move || read_keys(&sender, &stop))?)
        } else {
            // Reading cannot be broken off, so nobody waits for this one.
            thread::Builder::new().name("leftoff-demo-stdin".to_owned()).spawn(move || read_to_end(&sender))?;
            None
        };
        Ok(Self { queue, sender: page, closed: false, stop, keys, _signals: signals })
    }

    /// The next input. Safe to give up half-way.
    pub(super) async fn next(&mut self) -> Input {
        match self.queue.recv().await {
            Some(input) => {
                self.closed |= input == Input::Closed;
                input
            }
            // It holds a sender itself, so that this does not come; if it did, nothing would follow.
            None => std::future::pending().await,
        }
    }

    /// For somebody else who has something to say.
    pub(super) fn sender(&self) -> mpsc::Sender<Input> {
        self.sender.clone()
    }

    /// Whether standard input has ended.
    pub(super) fn is_closed(&self) -> bool {
        self.closed
    }
}

impl Drop for Inputs {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        if let Some(keys) = self.keys.take() {
            // A panic in it has been told by its hook.
            let _ = keys.join();
        }
    }
}

fn read_keys(sender: &mpsc::Sender<Input>, stop: &AtomicBool) {
    while !stop.load(Ordering::Acquire) {
        match event::poll(LOOK).and_then(|ready| if ready { event::read().map(Some) } else { Ok(None) }) {
            Ok(Some(event)) => {
                if let Some(input) = meaning(&event) {
                    let _ = sender.try_send(input);
                }
            }
            Ok(None) => {}
            Err(_) => {
                let _ = sender.blocking_send(Input::Quit);
                return;
            }
        }
    }
}

fn meaning(event: &Event) -> Option<Input> {
    let Event::Key(key) = event else { return None };
    if key.kind == KeyEventKind::Release {
        return None;
    }
    match key.code {
        KeyCode::Char('c' | 'd') if key.modifiers.contains(KeyModifiers::CONTROL) => Some(Input::Quit),
        KeyCode::Char('q' | 'Q') => Some(Input::Quit),
        KeyCode::Char(key) => Some(Input::Key(key.to_ascii_lowercase())),
        KeyCode::Enter => Some(Input::Key(' ')),
        _ => None,
    }
}

fn read_to_end(sender: &mpsc::Sender<Input>) {
    let mut buffer = [0; 1_024];
    loop {
        match std::io::stdin().lock().read(&mut buffer) {
            Ok(0) => break,
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    let _ = sender.blocking_send(Input::Closed);
}

#[cfg(test)]
mod tests {
    use crossterm::event::KeyEvent;

    use super::*;

    #[test]
    fn keys_mean_what_the_help_says() {
        let key = |code, modifiers| meaning(&Event::Key(KeyEvent::new(code, modifiers)));
        assert_eq!(key(KeyCode::Char('q'), KeyModifiers::NONE), Some(Input::Quit));
        assert_eq!(key(KeyCode::Char('c'), KeyModifiers::CONTROL), Some(Input::Quit));
        assert_eq!(key(KeyCode::Char('P'), KeyModifiers::SHIFT), Some(Input::Key('p')));
        assert_eq!(key(KeyCode::Char('2'), KeyModifiers::NONE), Some(Input::Key('2')));
        assert_eq!(key(KeyCode::Up, KeyModifiers::NONE), None);
    }
}
