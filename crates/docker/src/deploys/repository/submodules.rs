//! Repositories in repositories.

use std::collections::{BTreeMap, HashMap};
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
    /// Writes the files of a commit and of its submodules into `into`, and answers where all of them came from.
    pub(super) async fn fill(
        &self,
        url: &RepositoryUrl,
        commit: &Commit,
        access: &Access,
        into: PathBuf,
    ) -> Result<Vec<RepositoryUrl>, DispatchError> {
        let (mut wanted, mut used) = (Wanted::first(url, commit, into), Vec::new());
        let mut left = self.git.most;
        while let Some(next) = wanted.next()? {
            wanted.add(self.fill_one(&next, access, &mut left).await?);
            used.push(next.url);
        }
        Ok(used)
    }

    /// Answers what is to be filled in. The repository is free again then: a submodule may be of the same. Of the bytes that are `left` to all
    /// files together, those of this one are taken.
    async fn fill_one(
        &self,
        next: &Submodule,
        access: &Access,
        left: &mut u64,
    ) -> Result<Vec<Submodule>, DispatchError> {
        let repository = self.open(&next.url, access).await?;
        repository.obtain(&next.commit).await?;
        require_real(&next.into).await?;
        let bytes = repository.measure(&next.commit).await?;
        *left = left
            .checked_sub(bytes)
            .ok_or_else(|| invalid("the files are too large"))?;
        repository.write(&next.commit, &next.into).await?;
        repository.submodules(next).await
    }
}

impl Repository {
    /// The submodules of a commit that is here.
    pub(super) async fn submodules(&self, of: &Submodule) -> Result<Vec<Submodule>, DispatchError> {
        let declared = self.declared(&of.commit).await?;
        if declared.len() > MAX_COUNT {
            return Err(invalid("there are too many submodules"));
        }
        let bound = self.bound(&of.commit, &declared).await?;
        let found = declared.into_iter().filter_map(|(path, address)| {
            let commit = bound.get(&path)?.clone();
            Some((path, address, commit))
        });
        found
            .map(|(path, address, commit)| {
                let url = self.url.join(&address);
                Ok(Submodule {
                    url: url.map_err(|why| invalid(&format!("the address of a submodule {why}")))?,
                    commit,
                    into: of.into.join(path),
                    depth: of.depth + 1,
                })
            })
            .collect()
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

    /// Which of the declared paths are bound to which commits; the others are no submodules.
    async fn bound(
        &self,
        commit: &Commit,
        declared: &[(String, String)],
    ) -> Result<HashMap<String, Commit>, DispatchError> {
        if declared.is_empty() {
            // Without paths, all of them would be listed.
            return Ok(HashMap::new());
        }
        let command = self.local().args(["ls-tree", "-z", commit.as_str(), "--"]);
        let listed = command.args(declared.iter().map(|(path, _)| path)).run().await;
        let listed = listed.map_err(|fault| self.failed("looking for submodules", &fault))?;
        Ok(listed.split('\0').filter_map(linked).collect())
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
fn linked(entry: &str) -> Option<(String, Commit)> {
    let (what, path) = entry.split_once('\t')?;
    let number = what.strip_prefix("160000 commit ")?;
    Some((path.to_owned(), number.parse().ok()?))
}

/// What is declared without path or without address is none, and what is never to be updated stays an empty folder.
fn pairs(listed: &str) -> Vec<(String, String)> {
    let mut declared: BTreeMap<&str, BTreeMap<&str, &str>> = BTreeMap::new();
    for entry in listed.split('\0') {
        let named = entry.split_once('\n').and_then(|(key, value)| {
            let (name, field) = key.strip_prefix("submodule.")?.rsplit_once('.')?;
            Some((name, field, value))
        });
        if let Some((name, field, value)) = named {
            declared.entry(name).or_default().insert(field, value);
        }
    }
    let wanted = declared
        .into_values()
        .filter(|of| of.get("update") != Some(&"none"));
    wanted
        .filter_map(|of| Some(((*of.get("path")?).to_owned(), (*of.get("url")?).to_owned())))
        .collect()
}

fn invalid(why: &str) -> DispatchError {
    DispatchError::new(FailureMarker::SourceInvalid, why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_declared_in_part_is_no_submodule() {
        let listed = "submodule.a.b.path\nlib/a\0submodule.a.b.url\n../a.git\0submodule.c.path\nc\0core.x\ny\0submodule.d.url\nu\0\
            submodule.e.path\ne\0submodule.e.url\n../e\0submodule.e.update\nnone\0";
        assert_eq!(pairs(listed), [("lib/a".to_owned(), "../a.git".to_owned())]);
    }

    #[test]
    fn only_a_path_that_is_bound_to_a_commit_is_a_submodule() {
        let number = "0123456789abcdef0123456789abcdef01234567";
        let (path, commit) = linked(&format!("160000 commit {number}\tlib/x")).unwrap();
        assert_eq!((path.as_str(), commit.as_str()), ("lib/x", number));
        for other in [format!("100644 blob {number}\tfile"), String::new()] {
            assert_eq!(linked(&other), None);
        }
    }
}
