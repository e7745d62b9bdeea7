//! A repository that is served, and what people do to it.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use tempfile::TempDir;

/// A repository on a [`GitServer`](crate::GitServer), with a work tree of its own beside it.
#[derive(Debug)]
pub struct GitRepository {
    url: String,
    served: PathBuf,
    work: TempDir,
}

impl GitRepository {
    pub(super) fn new(url: String, served: PathBuf) -> Self {
        let work = TempDir::new().expect("a temporary folder can be made");
        let repository = Self { url, served, work };
        fs::create_dir_all(&repository.served).expect("a folder can be made");
        run(
            &repository.served,
            &["init", "--quiet", "--bare", "--initial-branch=main"],
        );
        repository.git(&["init", "--quiet", "--initial-branch=main"]);
        repository
    }

    /// Its address, without a reference.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Where it is on disk, as it is served.
    pub fn served(&self) -> &Path {
        &self.served
    }

    /// Writes a file of the work tree; it is part of the next commit.
    pub fn write(&self, path: &str, contents: impl AsRef<[u8]>) -> &Self {
        fs::write(self.made(path), contents).expect("a file can be written");
        self
    }

    /// Copies a file of the host into the work tree, with its permissions.
    pub fn copy(&self, path: &str, from: &str) -> &Self {
        fs::copy(from, self.made(path)).expect("a file can be copied");
        self
    }

    /// Makes a link in the work tree.
    pub fn link(&self, path: &str, target: &str) -> &Self {
        symlink(target, self.made(path)).expect("a link can be made");
        self
    }

    /// Binds `path` to the newest commit of another repository, whose address is given as `.gitmodules` is to name it.
    pub fn submodule(&self, path: &str, address: &str, of: &Self) -> &Self {
        let entry = format!("[submodule \"{path}\"]\n\tpath = {path}\n\turl = {address}\n");
        let known = fs::read_to_string(self.work.path().join(".gitmodules")).unwrap_or_default();
        self.write(".gitmodules", known + &entry);
        let commit = of.git(&["rev-parse", "HEAD"]);
        self.git(&[
            "update-index",
            "--add",
            "--cacheinfo",
            &format!("160000,{commit},{path}"),
        ]);
        self
    }

    /// Commits all of the work tree to the branch that it is at, publishes it, and answers the commit's number.
    pub fn commit(&self, message: &str) -> String {
        self.git(&["add", "--all", "--ignore-removal", "."]);
        self.git(&["commit", "--quiet", "--allow-empty", "--message", message]);
        self.publish();
        self.git(&["rev-parse", "HEAD"])
    }

    /// Begins a branch, or goes back to one.
    pub fn branch(&self, name: &str) -> &Self {
        if self.try_git(&["checkout", "--quiet", name]).is_err() {
            self.git(&["checkout", "--quiet", "-b", name]);
            self.publish();
        }
        self
    }

    /// The number of an object, by a name of it in the work tree.
    pub fn number(&self, name: &str) -> String {
        self.git(&["rev-parse", "--verify", name])
    }

    /// Makes or moves a tag. With a note it is an object of its own.
    pub fn tag(&self, name: &str, note: Option<&str>) -> &Self {
        match note {
            Some(note) => self.git(&["tag", "--force", "--annotate", "--message", note, name]),
            None => self.git(&["tag", "--force", name]),
        };
        self.publish();
        self
    }

    /// Stores an object that no git would make, of a `kind` such as `blob`, on the server alone, and answers its number.
    pub fn object(&self, kind: &str, contents: &[u8]) -> String {
        let file = tempfile::NamedTempFile::new().expect("a file can be made");
        fs::write(file.path(), contents).expect("a file can be written");
        let path = file.path().to_string_lossy();
        run(
            &self.served,
            &[
                "hash-object",
                "-t",
                kind,
                "-w",
                "--literally",
                "--no-filters",
                &path,
            ],
        )
    }

    /// Stores a tree of modes, names and objects on the server alone, in the order that is given, whatever git thinks of it.
    pub fn tree(&self, entries: &[(&str, &str, &str)]) -> String {
        let mut tree = Vec::new();
        for (mode, name, object) in entries {
            tree.extend(format!("{mode} {name}\0").into_bytes());
            let byte = |at: usize| u8::from_str_radix(&object[at..at + 2], 16).expect("a number");
            tree.extend((0..object.len()).step_by(2).map(byte));
        }
        self.object("tree", &tree)
    }

    /// Makes a branch of the server's lead to a commit of a tree that is there, and answers the commit.
    pub fn branch_of(&self, name: &str, tree: &str) -> String {
        let commit = run(&self.served, &["commit-tree", "-m", name, tree]);
        run(
            &self.served,
            &["update-ref", &format!("refs/heads/{name}"), &commit],
        );
        commit
    }

    /// Takes the newest commit back, as a force-push does. The server still has it until [`forget`](Self::forget).
    pub fn take_back(&self) -> &Self {
        self.git(&["reset", "--quiet", "--hard", "HEAD^"]);
        self.publish();
        self
    }

    /// Has the server delete what no branch and no tag leads to.
    pub fn forget(&self) -> &Self {
        run(&self.served, &["reflog", "expire", "--expire=now", "--all"]);
        run(&self.served, &["gc", "--quiet", "--prune=now"]);
        self
    }

    fn publish(&self) {
        let served = self.served.to_string_lossy();
        self.git(&[
            "push",
            "--quiet",
            "--force",
            &served,
            "refs/heads/*:refs/heads/*",
            "refs/tags/*:refs/tags/*",
        ]);
    }

    fn made(&self, path: &str) -> PathBuf {
        let path = self.work.path().join(path);
        let parent = path.parent().expect("a file has a folder");
        fs::create_dir_all(parent).expect("a folder can be made");
        path
    }

    #[track_caller]
    fn git(&self, args: &[&str]) -> String {
        run(self.work.path(), args)
    }

    fn try_git(&self, args: &[&str]) -> Result<String, String> {
        try_run(self.work.path(), args)
    }
}

#[track_caller]
fn run(folder: &Path, args: &[&str]) -> String {
    try_run(folder, args).unwrap_or_else(|said| panic!("`git {}` failed: {said}", args.join(" ")))
}

fn try_run(folder: &Path, args: &[&str]) -> Result<String, String> {
    let mut command = Command::new("git");
    command.args(args).current_dir(folder).stdin(Stdio::null());
    command
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_CONFIG_NOSYSTEM", "1");
    for role in ["AUTHOR", "COMMITTER"] {
        command
            .env(format!("GIT_{role}_NAME"), "Test")
            .env(format!("GIT_{role}_EMAIL"), "test@localhost");
    }
    let output = command.output().expect("git can be run");
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}
