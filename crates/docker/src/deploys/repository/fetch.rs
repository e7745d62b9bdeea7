//! What a reference stands for now, and the way to it.

use std::fs::{self, File};
use std::io;
use std::time::SystemTime;

use shipslog_core::deploys::{DispatchError, FailureMarker};

use super::cache::{Repository, unusable};
use super::command::Fault;
use super::fault::{refuses_parts, refuses_single_commits};
use super::{Access, Commit, GitReference, Repositories, Version};

/// Where the newest that was fetched is noted.
const INCOMING: &str = "refs/shipslog/incoming";
/// More commits than any history has: git's own word for all of it, wherever the cache had ended so far.
const ALL: &str = "--depth=2147483647";

/// How much of a history is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// A commit without those before it.
    One,
    /// All of it.
    All,
}

impl Repositories {
    /// Finds out for which commit a reference stands now, and fetches it. A commit that is in the cache is not asked for again.
    ///
    /// # Errors
    /// [`FailureMarker::SourceDenied`], [`FailureMarker::SourceUnreachable`], [`FailureMarker::SourceNotFound`], or
    /// [`FailureMarker::Internal`] where git or its cache fail.
    pub(in crate::deploys) async fn resolve(
        &self,
        reference: &GitReference,
        access: &Access,
    ) -> Result<Commit, DispatchError> {
        let repository = self.open(reference.url(), access).await?;
        match reference.version() {
            Version::Commit(commit) => {
                repository.obtain(commit).await?;
                Ok(commit.clone())
            }
            named => repository.follow(named).await,
        }
    }
}

impl Repository {
    /// Fetches what a name stands for now.
    async fn follow(&self, version: &Version) -> Result<Commit, DispatchError> {
        let mut absent = DispatchError::new(FailureMarker::SourceNotFound, "it has no name");
        for name in version.full_names() {
            match self.fetch(&[format!("+{name}:{INCOMING}")], self.reach()).await {
                Ok(()) => return self.incoming().await,
                Err(fault) => absent = self.failed("fetching a branch or tag", &fault),
            }
            if absent.marker() != FailureMarker::SourceNotFound {
                break;
            }
        }
        Err(absent)
    }

    /// Makes sure that a commit is here.
    pub(super) async fn obtain(&self, commit: &Commit) -> Result<(), DispatchError> {
        if !self.has(commit).await {
            self.fetch_commit(commit, &[]).await?;
        }
        self.keep(commit).await
    }

    /// Fetches a commit by itself or, from a server that does not do that, with all branches and tags.
    pub(super) async fn fetch_commit(&self, commit: &Commit, options: &[&str]) -> Result<(), DispatchError> {
        let doing = "fetching a commit";
        match self
            .fetch_with(options, &[format!("+{commit}:{INCOMING}")], self.reach())
            .await
        {
            Ok(()) => return self.require(commit).await,
            Err(Fault::Failed { words }) if refuses_single_commits(&words) => {}
            Err(fault) => return Err(self.failed(doing, &fault)),
        }
        let everything = ["heads", "tags"].map(|kind| format!("+refs/{kind}/*:refs/shipslog/{kind}/*"));
        let fetched = self.fetch_with(options, &everything, Reach::All).await;
        fetched.map_err(|fault| self.failed(doing, &fault))?;
        self.require(commit).await
    }

    async fn require(&self, commit: &Commit) -> Result<(), DispatchError> {
        match self.has(commit).await {
            true => Ok(()),
            false => Err(DispatchError::new(
                FailureMarker::SourceNotFound,
                "there is no such commit, or no branch and no tag leads to it and the server gives out no others",
            )),
        }
    }

    fn reach(&self) -> Reach {
        if self.whole_history {
            Reach::All
        } else {
            Reach::One
        }
    }

    async fn fetch(&self, what: &[String], reach: Reach) -> Result<(), Fault> {
        self.fetch_with(&[], what, reach).await
    }

    async fn fetch_with(&self, options: &[&str], what: &[String], reach: Reach) -> Result<(), Fault> {
        let one = self
            .fetch_part(options, what, (reach == Reach::One).then_some("--depth=1"))
            .await;
        match one {
            // A server of plain files knows no parts, and its repositories were never fetched in parts.
            Err(Fault::Failed { words }) if refuses_parts(&words) => {
                self.fetch_part(options, what, None).await
            }
            done => done,
        }
    }

    async fn fetch_part(&self, options: &[&str], what: &[String], depth: Option<&str>) -> Result<(), Fault> {
        let is_part = self.folder.join("shallow").exists();
        let depth = depth.or(is_part.then_some(ALL));
        let command = self.remote();
        let command = command
            .args([
                "fetch",
                "--progress",
                "--force",
                "--prune",
                "--no-tags",
                "--no-write-fetch-head",
            ])
            .args(depth)
            .args(options)
            .args(["--", &self.url.to_string()])
            .args(what);
        match command.run().await {
            Err(Fault::Failed { .. }) if self.remove_overlong().unwrap_or(false) => Err(Fault::TooLarge),
            ended => ended.map(drop),
        }
    }

    /// Removes what a fetch had begun when it came to the limit, and answers whether one did. Git takes that for a connection that broke off.
    fn remove_overlong(&self) -> io::Result<bool> {
        let mut has_some = false;
        for entry in fs::read_dir(self.folder.join("objects/pack"))? {
            let (name, path) = entry.map(|entry| (entry.file_name(), entry.path()))?;
            let name = name.to_string_lossy();
            let is_begun = name.starts_with("tmp_") || name.ends_with(".temp");
            if is_begun && fs::metadata(&path)?.len() >= self.git.most {
                fs::remove_file(path)?;
                has_some = true;
            }
        }
        Ok(has_some)
    }

    /// The commit that was fetched: of a tag with a note of its own, what the note is about.
    async fn incoming(&self) -> Result<Commit, DispatchError> {
        let object = format!("{INCOMING}^{{commit}}");
        let command = self
            .local()
            .args(["rev-parse", "--verify", "--end-of-options", &object]);
        let no_commit =
            || DispatchError::new(FailureMarker::SourceNotFound, "it does not stand for a commit");
        let said = command.run().await.map_err(|_| no_commit())?;
        let commit = said.trim().parse().map_err(|_| no_commit())?;
        self.keep(&commit).await?;
        Ok(commit)
    }

    /// Keeps a commit that was asked for from being tidied away: it may be the only copy when its branch is gone.
    async fn keep(&self, commit: &Commit) -> Result<(), DispatchError> {
        let name = format!("refs/shipslog/commits/{commit}");
        let command = self.local().args(["update-ref", "--", &name, commit.as_str()]);
        let kept = command.run().await;
        kept.map_err(|fault| self.failed("keeping a commit", &fault))?;
        self.stamp(commit).map_err(|error| unusable(&error))
    }

    fn stamp(&self, commit: &Commit) -> io::Result<()> {
        fs::create_dir_all(self.stamps())?;
        File::create(self.stamps().join(commit.as_str()))?.set_modified(SystemTime::now())
    }

    /// Keeps a commit no longer.
    pub(super) async fn release(&self, commit: &Commit) {
        let name = format!("refs/shipslog/commits/{commit}");
        let command = self.local().args(["update-ref", "-d", "--", &name]);
        if command.run().await.is_ok() {
            // The next time, perhaps.
            let _ = fs::remove_file(self.stamps().join(commit.as_str()));
        }
    }
}
