//! Images made on the spot, and what can be done with them.

mod root;
mod spec;

pub use spec::{Health, ImageSpec};

use crate::engine::Engine;
use crate::registry::Registry;

/// An image on an engine. It outlives this value: see [`crate::Cleanup`].
#[derive(Debug, Clone)]
pub struct Image {
    engine: Engine,
    tag: String,
    id: String,
}

impl Image {
    fn new(engine: Engine, tag: String, id: String) -> Self {
        Self { engine, tag, id }
    }

    /// The name it was built under. It may have been moved to another image since.
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// Its id, `sha256:...`: what a container of it reports as its image.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Pushes it to `registry` under `name` (`repository:tag`), moving that tag if it exists there
    /// or on the engine. Both the image and its name in the registry stay on the engine.
    pub fn push(&self, registry: &Registry, name: &str) -> Pushed {
        let engine = self.engine.with_docker_config(registry.docker_config());
        let (repository, tag) = name.split_once(':').expect("the name to push under has a tag");
        let repository = format!("{}/{repository}", registry.host());
        let reference = format!("{repository}:{tag}");
        engine.docker(&["tag", &self.id, &reference]);
        engine.docker(&["push", "--quiet", &reference]);
        let pinned = self.repository_digest(&repository);
        Pushed { reference, pinned }
    }

    /// Removes it from the engine under all its names; panics while a container runs it. What was
    /// pushed stays in the registry.
    pub fn remove(&self) {
        self.engine.docker(&["rmi", "--force", &self.id]);
    }

    fn repository_digest(&self, repository: &str) -> String {
        let format = "{{range .RepoDigests}}{{println .}}{{end}}";
        let digests = self
            .engine
            .docker(&["image", "inspect", "--format", format, &self.id]);
        let ours = digests
            .lines()
            .find(|it| it.split_once('@').is_some_and(|(it, _)| it == repository));
        ours.unwrap_or_else(|| panic!("no digest of {repository} among {digests}"))
            .to_owned()
    }
}

/// An image in a registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    reference: String,
    pinned: String,
}

impl Pushed {
    /// `host:port/repository:tag`, as it was pushed. The tag may have been moved since.
    pub fn reference(&self) -> &str {
        &self.reference
    }

    /// `host:port/repository@sha256:...`, which names this very image for good.
    pub fn pinned(&self) -> &str {
        &self.pinned
    }

    /// The manifest's digest, `sha256:...`.
    pub fn digest(&self) -> &str {
        self.pinned.rsplit_once('@').map_or("", |(_, digest)| digest)
    }
}
