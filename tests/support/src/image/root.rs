//! The root folder of a test image, and the archive of it that an engine imports.

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::os::unix::fs::symlink;
use std::process::Command;
use std::sync::LazyLock;

use tempfile::{NamedTempFile, TempDir};

use crate::names::{random_hex, urandom};

/// Statically linked, so that it runs in an image without any library.
const BUSYBOX: &str = "/bin/busybox";
const MIB: u64 = 1024 * 1024;

static APPLETS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let output = Command::new(BUSYBOX)
        .arg("--list")
        .output()
        .expect("/bin/busybox can be run");
    let names = String::from_utf8_lossy(&output.stdout).into_owned();
    names
        .lines()
        .filter(|name| *name != "busybox")
        .map(str::to_owned)
        .collect()
});

#[derive(Debug)]
pub(super) struct Root {
    folder: TempDir,
}

impl Root {
    /// Busybox, its commands, a `/tmp`, and a mark that makes this root unlike any other.
    pub(super) fn new() -> Self {
        let root = Self {
            folder: TempDir::new().expect("a temporary folder can be made"),
        };
        root.install_busybox().expect("busybox can be installed");
        root.write("shipslog-test", &random_hex(16));
        root
    }

    pub(super) fn page(self, page: Option<&str>) -> Self {
        if let Some(page) = page {
            self.write("www/index.html", page);
        }
        self
    }

    pub(super) fn payload(self, mib: u64) -> Self {
        if mib > 0 {
            let mut file = File::create(self.folder.path().join("payload")).expect("a file can be created");
            io::copy(&mut urandom().take(mib * MIB), &mut file).expect("the payload can be written");
        }
        self
    }

    pub(super) fn archive(self) -> NamedTempFile {
        let archive = NamedTempFile::new().expect("a temporary file can be made");
        let status = Command::new("tar")
            .args(["--create", "--owner=0", "--group=0", "--file"])
            .arg(archive.path())
            .arg("--directory")
            .arg(self.folder.path())
            .arg(".")
            .status();
        assert!(
            status.is_ok_and(|status| status.success()),
            "tar could not archive an image root"
        );
        archive
    }

    fn install_busybox(&self) -> io::Result<()> {
        let bin = self.folder.path().join("bin");
        fs::create_dir(&bin)?;
        fs::create_dir(self.folder.path().join("tmp"))?;
        fs::copy(BUSYBOX, bin.join("busybox"))?;
        APPLETS
            .iter()
            .try_for_each(|name| symlink("busybox", bin.join(name)))
    }

    fn write(&self, path: &str, contents: &str) {
        let path = self.folder.path().join(path);
        let parent = path.parent().expect("a file in a root has a folder");
        fs::create_dir_all(parent).expect("a folder can be made");
        fs::write(path, contents).expect("a file can be written");
    }
}
