//! How far a pull has come.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bollard::models::CreateImageInfo;
use shipslog_core::deploys::{DeployStep, Progress};

/// Engines tell of each layer many times a second; people need less.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// The layers that a pull has named so far.
#[derive(Debug, Default)]
pub(super) struct Layers {
    known: HashMap<String, Layer>,
}

#[derive(Debug, Default, Clone, Copy)]
struct Layer {
    complete: bool,
    done: u64,
    total: u64,
}

impl Layers {
    /// Takes in one event. Those that are not about a layer change nothing.
    pub(super) fn note(&mut self, event: &CreateImageInfo) {
        let (Some(id), Some(status)) = (&event.id, event.status.as_deref()) else {
            return;
        };
        if !is_of_layer(status) {
            return;
        }
        let layer = self.known.entry(id.clone()).or_default();
        match status {
            "Downloading" => layer.downloading(event),
            "Download complete" | "Extracting" => layer.done = layer.total,
            "Pull complete" | "Already exists" => {
                *layer = Layer {
                    complete: true,
                    done: layer.total,
                    ..*layer
                }
            }
            _ => {}
        }
    }

    /// The step, summed up over all layers known.
    pub(super) fn step(&self) -> DeployStep {
        let sum = |of: fn(&Layer) -> u64| self.known.values().map(of).fold(0, u64::saturating_add);
        let count = |complete: usize| u32::try_from(complete).unwrap_or(u32::MAX);
        DeployStep::Pulling {
            layers_done: count(self.known.values().filter(|layer| layer.complete).count()),
            layers_total: count(self.known.len()),
            bytes_done: sum(|layer| layer.done),
            bytes_total: sum(|layer| layer.total),
        }
    }
}

impl Layer {
    fn downloading(&mut self, event: &CreateImageInfo) {
        let Some(detail) = &event.progress_detail else {
            return;
        };
        let bytes = |count: Option<i64>| count.and_then(|count| u64::try_from(count).ok());
        self.total = bytes(detail.total).unwrap_or(self.total);
        self.done = bytes(detail.current)
            .unwrap_or(self.done)
            .min(self.total.max(self.done));
    }
}

/// The event that names the tag has an id as well.
fn is_of_layer(status: &str) -> bool {
    const OF_LAYERS: [&str; 8] = [
        "Pulling fs layer",
        "Waiting",
        "Downloading",
        "Verifying Checksum",
        "Download complete",
        "Extracting",
        "Pull complete",
        "Already exists",
    ];
    OF_LAYERS.contains(&status)
}

/// Tells watchers of a pull, a few times a second at most.
#[derive(Debug)]
pub(super) struct Teller<'a> {
    progress: &'a Progress,
    told: Option<Instant>,
}

impl<'a> Teller<'a> {
    pub(super) fn new(progress: &'a Progress) -> Self {
        Self { progress, told: None }
    }

    /// Tells, unless it did a moment ago.
    pub(super) fn tell(&mut self, layers: &Layers) {
        if self.told.is_none_or(|at| at.elapsed() >= TELL_EVERY) {
            self.tell_at_last(layers);
        }
    }

    /// Tells in any case.
    pub(super) fn tell_at_last(&mut self, layers: &Layers) {
        self.told = Some(Instant::now());
        self.progress.step(layers.step());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn after(events: &[serde_json::Value]) -> DeployStep {
        let mut layers = Layers::default();
        events
            .iter()
            .for_each(|event| layers.note(&serde_json::from_value(event.clone()).unwrap()));
        layers.step()
    }

    #[test]
    fn bytes_and_layers_are_summed_up() {
        let events = [
            json!({"status": "Pulling from app", "id": "1"}),
            json!({"status": "Pulling fs layer", "id": "a", "progressDetail": {}}),
            json!({"status": "Pulling fs layer", "id": "b", "progressDetail": {}}),
            json!({"status": "Already exists", "id": "c", "progressDetail": {}}),
            json!({"status": "Downloading", "id": "a", "progressDetail": {"current": 10, "total": 100}}),
            json!({"status": "Downloading", "id": "b", "progressDetail": {"current": 50, "total": 50}}),
            json!({"status": "Download complete", "id": "a", "progressDetail": {}}),
            json!({"status": "Extracting", "id": "a", "progressDetail": {"current": 1, "total": 100}}),
            json!({"status": "Pull complete", "id": "a", "progressDetail": {}}),
            json!({"status": "Digest: sha256:ab"}),
        ];
        assert_eq!(
            after(&events),
            DeployStep::Pulling {
                layers_done: 2,
                layers_total: 3,
                bytes_done: 150,
                bytes_total: 150
            }
        );
        assert_eq!(
            after(&events[..5]),
            DeployStep::Pulling {
                layers_done: 1,
                layers_total: 3,
                bytes_done: 10,
                bytes_total: 100
            }
        );
    }

    #[test]
    fn sizes_that_cannot_be_are_not_counted() {
        let events = [
            json!({"status": "Downloading", "id": "a", "progressDetail": {"current": -5, "total": -1}}),
            json!({"status": "Downloading", "id": "b", "progressDetail": {"current": 7, "total": 5}}),
            json!({"status": "Downloading", "id": "c"}),
        ];
        assert_eq!(
            after(&events),
            DeployStep::Pulling {
                layers_done: 0,
                layers_total: 3,
                bytes_done: 5,
                bytes_total: 5
            }
        );
    }
}
