//! The files that a build sees, as the engine takes them.

use std::fs::{self, File, Metadata};
use std::io::{self, Seek as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use tar::{Builder, EntryType, Header};

use super::ignore::Ignore;

const IGNORE_FILE: &str = ".dockerignore";

/// Why there is no archive.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    #[error("the name of a file is not UTF-8")]
    Name,
    #[error("the files to build from are too large")]
    TooLarge,
    #[error("the files cannot be archived: {0}")]
    Disk(#[from] io::Error),
}

/// What goes into an archive.
#[derive(Debug)]
pub(super) struct Context {
    /// The folder.
    pub(super) root: PathBuf,
    /// The Dockerfile, as a path in it. It goes along whatever is left out.
    pub(super) dockerfile: String,
    /// Where the archive is written, on the disk that has room for the files.
    pub(super) scratch: PathBuf,
    /// How many bytes of files there may be.
    pub(super) limit: u64,
    /// The time that all files get, in seconds: that of the commit, so that the same commit always makes the same archive.
    pub(super) time: u64,
}

impl Context {
    /// Writes the archive to a file without a name. Links stay links: the engine follows them inside of the archive alone.
    pub(super) fn archive(&self) -> Result<File, Unfit> {
        let mut archive = Builder::new(tempfile::tempfile_in(&self.scratch)?);
        let ignore = self.ignore()?;
        self.add_all(&mut archive, &ignore)?;
        let mut file = archive.into_inner()?;
        file.rewind()?;
        Ok(file)
    }

    /// A file of rules that is a link is none: it may lead anywhere.
    fn ignore(&self) -> io::Result<Ignore> {
        let path = self.root.join(IGNORE_FILE);
        match fs::symlink_metadata(&path) {
            Ok(data) if data.is_file() => Ok(Ignore::parse(&String::from_utf8_lossy(&fs::read(&path)?))),
            _ => Ok(Ignore::default()),
        }
    }

    /// Folders before what is in them.
    fn add_all(&self, archive: &mut Builder<File>, ignore: &Ignore) -> Result<(), Unfit> {
        let (mut waiting, mut bytes) = (self.below("")?, 0);
        while let Some(path) = waiting.pop() {
            let data = fs::symlink_metadata(self.root.join(&path))?;
            let goes = path == self.dockerfile || path == IGNORE_FILE || !ignore.leaves_out(&path);
            if goes {
                bytes += if data.is_file() { data.len() } else { 0 };
                if bytes > self.limit {
                    return Err(Unfit::TooLarge);
                }
                self.add(archive, &path, &data)?;
            }
            if data.is_dir() {
                waiting.extend(self.below(&path)?);
            }
        }
        Ok(())
    }

    /// What is in a folder, the last first.
    fn below(&self, folder: &str) -> Result<Vec<String>, Unfit> {
        let names = sorted_names(&self.root.join(folder))?;
        let paths = names.into_iter().rev().map(|name| match folder {
            "" => name,
            folder => format!("{folder}/{name}"),
        });
        Ok(paths.collect())
    }

    fn add(&self, archive: &mut Builder<File>, path: &str, data: &Metadata) -> io::Result<()> {
        let real = self.root.join(path);
        let mut header = Header::new_gnu();
        header.set_mtime(self.time);
        header.set_mode(if data.is_dir() || data.permissions().mode() & 0o100 != 0 {
            0o755
        } else {
            0o644
        });
        match () {
            () if data.is_symlink() => {
                header.set_entry_type(EntryType::Symlink);
                header.set_size(0);
                archive.append_link(&mut header, path, fs::read_link(real)?)
            }
            () if data.is_dir() => {
                header.set_entry_type(EntryType::Directory);
                header.set_size(0);
                archive.append_data(&mut header, path, io::empty())
            }
            () => {
                header.set_size(data.len());
                archive.append_data(&mut header, path, File::open(real)?)
            }
        }
    }
}

/// A name that is no UTF-8 could be named by no rule.
fn sorted_names(folder: &Path) -> Result<Vec<String>, Unfit> {
    let mut names = Vec::new();
    for entry in fs::read_dir(folder)? {
        names.push(entry?.file_name().into_string().map_err(|_| Unfit::Name)?);
    }
    names.sort_unstable();
    Ok(names)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::fs::symlink;

    use super::*;

    fn context(root: &Path) -> Context {
        Context {
            root: root.to_owned(),
            dockerfile: "Dockerfile".to_owned(),
            scratch: std::env::temp_dir(),
            limit: 1000,
            time: 1_700_000_000,
        }
    }

    fn listed(root: &Path) -> Vec<(String, u32, u64)> {
        let mut archive = tar::Archive::new(context(root).archive().unwrap());
        let entries = archive.entries().unwrap().map(|entry| {
            let entry = entry.unwrap();
            let path = entry.path().unwrap().to_string_lossy().into_owned();
            (
                path,
                entry.header().mode().unwrap(),
                entry.header().mtime().unwrap(),
            )
        });
        entries.collect()
    }

    #[test]
    fn what_is_left_out_stays_out_and_the_dockerfile_goes_along() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        fs::create_dir_all(root.join("src/deep")).unwrap();
        for path in ["Dockerfile", "a.log", "run.sh", "src/main", "src/deep/x"] {
            fs::write(root.join(path), path).unwrap();
        }
        fs::set_permissions(root.join("run.sh"), fs::Permissions::from_mode(0o700)).unwrap();
        symlink("/etc/passwd", root.join("link")).unwrap();
        fs::write(
            root.join(".dockerignore"),
            "Dockerfile\n.dockerignore\n*.log\nsrc\n!src/deep\n",
        )
        .unwrap();
        let time = 1_700_000_000;
        let expected = [
            (".dockerignore", 0o644),
            ("Dockerfile", 0o644),
            ("link", 0o755),
            ("run.sh", 0o755),
            ("src/deep", 0o755),
            ("src/deep/x", 0o644),
        ];
        assert_eq!(
            listed(root),
            expected.map(|(path, mode)| (path.to_owned(), mode, time))
        );
    }

    #[test]
    fn rules_that_are_a_link_are_not_followed() {
        let (folder, outside) = (
            tempfile::tempdir().unwrap(),
            tempfile::NamedTempFile::new().unwrap(),
        );
        fs::write(outside.path(), "*").unwrap();
        symlink(outside.path(), folder.path().join(".dockerignore")).unwrap();
        fs::write(folder.path().join("a"), "a").unwrap();
        assert!(listed(folder.path()).iter().any(|(path, ..)| path == "a"));
    }

    #[test]
    fn nothing_is_left_out_in_silence() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("a"), [0; 900]).unwrap();
        assert!(context(folder.path()).archive().is_ok());
        fs::write(folder.path().join("b"), [0; 900]).unwrap();
        assert!(matches!(context(folder.path()).archive(), Err(Unfit::TooLarge)));
        fs::write(folder.path().join(".dockerignore"), "b").unwrap();
        assert!(context(folder.path()).archive().is_ok());
        fs::write(folder.path().join(OsStr::from_bytes(b"\xff")), "").unwrap();
        assert!(matches!(context(folder.path()).archive(), Err(Unfit::Name)));
    }
}
