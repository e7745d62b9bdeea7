//! Leaving nothing behind.

use std::collections::BTreeSet;

use crate::engine::Engine;

/// Removes containers, images, networks and volumes from the engine when dropped: those that carry
/// one of its labels or whose name begins with one of its prefixes.
///
/// Make it before the first thing that it is to remove, so that it goes last. What cannot be
/// removed is told on stderr; a drop never panics.
///
/// ```no_run
/// # use shipslog_test_support::{Cleanup, engine, unique};
/// # let Some(engine) = engine() else { return };
/// let name = unique("web");
/// let _cleanup = Cleanup::new(&engine).prefix(&name).label("shipslog.workload=w1");
/// ```
#[derive(Debug)]
#[must_use = "it cleans up when it is dropped"]
pub struct Cleanup {
    engine: Engine,
    labels: Vec<String>,
    prefixes: Vec<String>,
}

/// How one kind of thing is listed, as lines of `name id`, and removed.
struct Kind {
    list: &'static [&'static str],
    remove: &'static [&'static str],
}

/// In this order: each kind may be in use by the one before it.
const KINDS: [Kind; 4] = [
    Kind {
        list: &["ps", "--all", "--no-trunc", "--format", "{{.Names}} {{.ID}}"],
        remove: &["rm", "--force", "--volumes"],
    },
    Kind {
        list: &["images", "--no-trunc", "--format", "{{.Repository}} {{.ID}}"],
        remove: &["rmi", "--force"],
    },
    Kind {
        list: &["network", "ls", "--format", "{{.Name}} {{.ID}}"],
        remove: &["network", "rm"],
    },
    Kind {
        list: &["volume", "ls", "--format", "{{.Name}} {{.Name}}"],
        remove: &["volume", "rm"],
    },
];

impl Cleanup {
    /// One that removes nothing yet.
    pub fn new(engine: &Engine) -> Self {
        Self {
            engine: engine.clone(),
            labels: Vec::new(),
            prefixes: Vec::new(),
        }
    }

    /// Also removes what carries `label`, `key` or `key=value`. Containers carry the labels of
    /// their image.
    pub fn label(mut self, label: &str) -> Self {
        self.labels.push(label.to_owned());
        self
    }

    /// Also removes what has a name that begins with `prefix`. For an image that is the last part
    /// of its repository, so that `web` also finds `127.0.0.1:5000/team/web:1`.
    pub fn prefix(mut self, prefix: &str) -> Self {
        self.prefixes.push(prefix.to_owned());
        self
    }

    /// Removes them now. What appears later is removed on drop.
    pub fn run(&self) {
        for kind in &KINDS {
            if let Err(output) = self.remove_all(kind) {
                eprintln!("cleanup: {output}");
            }
        }
    }

    fn remove_all(&self, kind: &Kind) -> Result<(), String> {
        let mut found = BTreeSet::new();
        for label in &self.labels {
            let filter = format!("label={label}");
            found.extend(
                self.list(kind, &["--filter", &filter])?
                    .into_iter()
                    .map(|(_, id)| id),
            );
        }
        if !self.prefixes.is_empty() {
            let all = self.list(kind, &[])?;
            found.extend(
                all.into_iter()
                    .filter(|(name, _)| self.has_prefix(name))
                    .map(|(_, id)| id),
            );
        }
        if found.is_empty() {
            return Ok(());
        }
        let ids: Vec<&str> = found.iter().map(String::as_str).collect();
        self.engine.try_docker(&[kind.remove, &ids].concat()).map(drop)
    }

    fn list(&self, kind: &Kind, filter: &[&str]) -> Result<Vec<(String, String)>, String> {
        let lines = self.engine.try_docker(&[kind.list, filter].concat())?;
        let pairs = lines.lines().filter_map(|line| line.split_once(' '));
        Ok(pairs.map(|(name, id)| (name.to_owned(), id.to_owned())).collect())
    }

    fn has_prefix(&self, name: &str) -> bool {
        let name = name.rsplit('/').next().unwrap_or(name);
        self.prefixes.iter().any(|prefix| name.starts_with(prefix))
    }
}

impl Drop for Cleanup {
    fn drop(&mut self) {
        self.run();
    }
}
