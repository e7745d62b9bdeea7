//! The log of one case.

use std::fmt::{Debug, Write as _};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, set_default};
use tracing::{Dispatch, Event, Metadata, Subscriber};

/// Takes down whatever is logged on this thread, where a `#[tokio::test]` runs all of its tasks, for as long as it lives.
#[derive(Debug)]
pub struct Log {
    text: Arc<Mutex<String>>,
    _guard: DefaultGuard,
}

/// While there is but one subscriber, `tracing` asks whichever thread comes to a line of code first whether anybody wants it, and keeps to
/// that: another test's thread, which listens to nothing, would silence it for this one. With two it asks them.
static SECOND: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Scribe(Arc::default())));

impl Log {
    /// Begins, with nothing so far.
    pub fn capture() -> Self {
        LazyLock::force(&SECOND);
        let text = Arc::default();
        let guard = set_default(Scribe(Arc::clone(&text)));
        Self { text, _guard: guard }
    }

    /// All that was logged so far, one event a line.
    pub fn text(&self) -> String {
        self.text.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

struct Scribe(Arc<Mutex<String>>);

struct Line<'a>(&'a mut String);

impl Visit for Line<'_> {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        // Writing to a string cannot fail.
        let _ = write!(self.0, "{field}={value:?} ");
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        let _ = write!(self.0, "{field}={value} ");
    }
}

impl Subscriber for Scribe {
    /// The engine's client logs whole requests below `info`, which its front page tells hosts to leave off.
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        !metadata.target().starts_with("bollard")
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        event.record(&mut Line(&mut text));
        text.push('\n');
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
