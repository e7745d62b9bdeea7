//! Repositories in repositories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use shipslog_core::deploys::{DispatchError, FailureMarker};

use super::cache::Repository;
use super::{Access, Commit, Repositories, RepositoryUrl};

/// How deep they may lie in each other: one that holds itself would have no end.
const MAX_DEPTH: usize = 10;
/// How many there may be in all.
const MAX_COUNT: usize = 200;

/// A commit of a repository, and where its files belong. The outermost counts as one, too.
#[derive(Debug)]
pub(super) struct Submodule {
    pub(super) url: RepositoryUrl,
    pub(super) commit: Commit,
    into: PathBuf,
    depth: usize,
}

/// What is still to be looked at.
#[derive(Debug)]
pub(super) struct Wanted {
    waiting: Vec<Submodule>,
    taken: usize,
}

impl Wanted {
    pub(super) fn first(url: &RepositoryUrl, commit: &Commit, into: PathBuf) -> Self {
        let first = Submodule {
            url: url.clone(),
            commit: commit.clone(),
            into,
            depth: 0,
        };
        Self {
            waiting: vec![first],
            taken: 0,
        }
    }

    /// The next one; an error where they have no end.
    pub(super) fn next(&mut self) -> Result<Option<Submodule>, DispatchError> {
        let next = self.waiting.pop();
        self.taken += 1;
        if self.taken > MAX_COUNT || next.as_ref().is_some_and(|next| next.depth > MAX_DEPTH) {
            return Err(invalid("there are too many submodules in each other"));
        }
        Ok(next)
    }

    pub(super) fn add(&mut self, more: Vec<Submodule>) {
        self.waiting.extend(more);
    }
}

impl Repositories {
    /// Writes the files of a commit and of its submodules into `into`.
    pub(super) async fn fill(
        &self,
        url: &RepositoryUrl,
        commit: &Commit,
        access: &Access,
        into: PathBuf,
    ) -> Result<(), DispatchError> {
        let mut wanted = Wanted::first(url, commit, into);
        while let Some(next) = wanted.next()? {
            wanted.add(self.fill_one(&next, access).await?);
        }
        Ok(())
    }

    /// Answers what is to be filled in. The repository is free again then: a submodule may be of the same.
    async fn fill_one(&self, next: &Submodule, access: &Access) -> Result<Vec<Submodule>, DispatchError> {
        let repository = self.open(&next.url, access).await?;
        repository.obtain(&next.commit).await?;
        require_real(&next.into).await?;
        repository.write(&next.commit, &next.into).await?;
        repository.submodules(next).await
    }
}

impl Repository {
    /// The submodules of a commit that is here.
    pub(super) async fn submodules(&self, of: &Submodule) -> Result<Vec<Submodule>, DispatchError> {
        let mut found = Vec::new();
        for (path, address) in self.declared(&of.commit).await? {
            let Some(commit) = self.link(&of.commit, &path).await? else {
                continue;
            };
            let url = self.url.join(&address);
            found.push(Submodule {
                url: url.map_err(|why| invalid(&format!("the address of a submodule {why}")))?,
                commit,
                into: of.into.join(path),
                depth: of.depth + 1,
            });
        }
        Ok(found)
    }

    /// Paths and addresses, as the commit says.
    async fn declared(&self, commit: &Commit) -> Result<Vec<(String, String)>, DispatchError> {
        let blob = format!("{commit}:.gitmodules");
        if self.local().args(["cat-file", "-e", &blob]).run().await.is_err() {
            return Ok(Vec::new());
        }
        let command = self.local().args(["config", "--blob", &blob, "--null", "--list"]);
        let listed = command
            .run()
            .await
            .map_err(|_| invalid(".gitmodules cannot be read"))?;
        Ok(pairs(&listed))
    }

    /// The commit to which a path is bound; `None` for what is no submodule at all.
    async fn link(&self, commit: &Commit, path: &str) -> Result<Option<Commit>, DispatchError> {
        let command = self.local().args(["ls-tree", "-z", commit.as_str(), "--", path]);
        let listed = command.run().await;
        let listed = listed.map_err(|fault| self.failed("looking for a submodule", &fault))?;
        Ok(linked(&listed, path))
    }
}

/// Git made an empty folder for each submodule. Where there is none, or a link leads there, the files would end up elsewhere.
async fn require_real(folder: &Path) -> Result<(), DispatchError> {
    let real = tokio::fs::canonicalize(folder).await;
    match real.is_ok_and(|real| real == folder) && folder.is_dir() {
        true => Ok(()),
        false => Err(invalid("there is no folder for a submodule")),
    }
}

/// `160000 commit <number>\t<path>` says that the path is bound to a commit.
fn linked(listed: &str, path: &str) -> Option<Commit> {
    listed.split('\0').find_map(|entry| {
        let (what, at) = entry.split_once('\t')?;
        let number = what.strip_prefix("160000 commit ")?;
        (at == path).then(|| number.parse().ok()).flatten()
    })
}

/// What is declared without path or without address is none.
fn pairs(listed: &str) -> Vec<(String, String)> {
    let mut declared: BTreeMap<&str, (Option<&str>, Option<&str>)> = BTreeMap::new();
    for entry in listed.split('\0') {
        let Some((key, value)) = entry.split_once('\n') else {
            continue;
        };
        let Some((name, field)) = key
            .strip_prefix("submodule.")
            .and_then(|rest| rest.rsplit_once('.'))
        else {
            continue;
        };
        let of_name = declared.entry(name).or_default();
        match field {
            "path" => of_name.0 = Some(value),
            "url" => of_name.1 = Some(value),
            _ => {}
        }
    }
    let whole = declared
        .into_values()
        .filter_map(|(path, url)| Some((path?.to_owned(), url?.to_owned())));
    whole.collect()
}

fn invalid(why: &str) -> DispatchError {
    DispatchError::new(FailureMarker::SourceInvalid, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_in_part_is_no_submodule() {
        let listed = "submodule.a.b.path\nlib/a\0submodule.a.b.url\n../a.git\0submodule.c.path\nc\0core.x\ny\0submodule.d.url\nu\0";
        assert_eq!(pairs(listed), [("lib/a".to_owned(), "../a.git".to_owned())]);
    }

    #[test]
    fn only_a_path_that_is_bound_to_a_commit_is_a_submodule() {
        let number = "0123456789abcdef0123456789abcdef01234567";
        let listed = format!("160000 commit {number}\tlib\0100644 blob {number}\tfile\0");
        assert_eq!(linked(&listed, "lib").unwrap().as_str(), number);
        assert_eq!(linked(&listed, "file"), None);
        assert_eq!(linked("", "lib"), None);
    }
}
